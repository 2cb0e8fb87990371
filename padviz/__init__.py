"""padviz: how much of an image's border a network neglects, and what can be changed.

Everything is loaded on first use: `import padviz` alone brings in neither numba nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from padviz import forking, hooks
from padviz.errors import PadvizError
from padviz.version import __version__

if TYPE_CHECKING:
    from padviz.advice.remedies import Remedy
    from padviz.api.audits import costs, even_sizes, ledger, receptive_fields, remedies, tap_exposure
    from padviz.api.counts import coverage, usage
    from padviz.api.tiles import tiles
    from padviz.api.trained import border_responses, detectability
    from padviz.api.trying import seen, trial
    from padviz.counting.count_map import CountMap
    from padviz.counting.shares.summary import Summary
    from padviz.cutting.plan import Plan
    from padviz.cutting.running import tiled
    from padviz.exports.run import export
    from padviz.geometry.balance.even_sizes import EvenSizes
    from padviz.geometry.costs import Costs
    from padviz.geometry.ledger import Ledger
    from padviz.geometry.receptive_fields import ReceptiveField
    from padviz.geometry.tap_exposure import TapExposure
    from padviz.network.layer import Layer
    from padviz.network.network import Network
    from padviz.pages.explorer import Explorer, explore
    from padviz.repadding.onnx.file import Repadded, repad_file
    from padviz.repadding.torch_module.repadding import repad
    from padviz.reports.counts import read_counts
    from padviz.sources import load
    from padviz.trained.border_responses import BorderResponse, BorderResponses
    from padviz.trained.detecting.detectability import Detectability, PositionMap
    from padviz.trained.mean_filters import MeanFilter, MeanFilters, mean_filters
    from padviz.trained.trying.seen import Seen
    from padviz.trained.trying.trial import Trial, TrialRow

__all__ = [
    "BorderResponse", "BorderResponses", "Costs", "CountMap", "Detectability", "EvenSizes", "Explorer", "Layer",
    "Ledger", "MeanFilter", "MeanFilters", "Network", "PadvizError", "Plan", "PositionMap", "ReceptiveField", "Remedy",
    "Repadded", "Seen", "Summary", "TapExposure", "Trial", "TrialRow", "__version__", "border_responses", "costs",
    "coverage", "detectability", "even_sizes", "explore", "export", "ledger", "load", "mean_filters", "read_counts",
    "receptive_fields", "remedies", "repad", "repad_file", "seen", "tap_exposure", "tiled", "tiles", "trial", "usage",
]  # fmt: skip

_HOMES = {
    "Costs": "padviz.geometry.costs",
    "BorderResponse": "padviz.trained.border_responses",
    "BorderResponses": "padviz.trained.border_responses",
    "CountMap": "padviz.counting.count_map",
    "Detectability": "padviz.trained.detecting.detectability",
    "EvenSizes": "padviz.geometry.balance.even_sizes",
    "Explorer": "padviz.pages.explorer",
    "Layer": "padviz.network.layer",
    "Ledger": "padviz.geometry.ledger",
    "MeanFilter": "padviz.trained.mean_filters",
    "MeanFilters": "padviz.trained.mean_filters",
    "Network": "padviz.network.network",
    "Plan": "padviz.cutting.plan",
    "PositionMap": "padviz.trained.detecting.detectability",
    "ReceptiveField": "padviz.geometry.receptive_fields",
    "Remedy": "padviz.advice.remedies",
    "Repadded": "padviz.repadding.onnx.file",
    "Seen": "padviz.trained.trying.seen",
    "Summary": "padviz.counting.shares.summary",
    "TapExposure": "padviz.geometry.tap_exposure",
    "Trial": "padviz.trained.trying.trial",
    "TrialRow": "padviz.trained.trying.trial",
    "border_responses": "padviz.api.trained",
    "costs": "padviz.api.audits",
    "coverage": "padviz.api.counts",
    "detectability": "padviz.api.trained",
    "even_sizes": "padviz.api.audits",
    "explore": "padviz.pages.explorer",
    "export": "padviz.exports.run",
    "ledger": "padviz.api.audits",
    "load": "padviz.sources",
    "mean_filters": "padviz.trained.mean_filters",
    "read_counts": "padviz.reports.counts",
    "receptive_fields": "padviz.api.audits",
    "remedies": "padviz.api.audits",
    "repad": "padviz.repadding.torch_module.repadding",
    "repad_file": "padviz.repadding.onnx.file",
    "seen": "padviz.api.trying",
    "tap_exposure": "padviz.api.audits",
    "tiled": "padviz.cutting.running",
    "tiles": "padviz.api.tiles",
    "trial": "padviz.api.trying",
    "usage": "padviz.api.counts",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'padviz' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


forking.register()
hooks.figure = lambda name: import_module(f"padviz.figures.{name}")
