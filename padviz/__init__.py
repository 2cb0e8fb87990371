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
    from padviz.advice.verdict import Audit
    from padviz.api.audits import audit, costs, fields, sizes, taps, uneven
    from padviz.api.counts import coverage, usage
    from padviz.api.repadding import repad
    from padviz.api.tiles import tiles, verify_tiles
    from padviz.api.trained import detect, filters, responses
    from padviz.api.trying import seen, trial
    from padviz.counting.count_map import CountMap
    from padviz.counting.shares.summary import Summary
    from padviz.cutting.plan import Plan
    from padviz.cutting.running import tiled
    from padviz.cutting.verify import Verified
    from padviz.exports.run import export
    from padviz.geometry.balance.even_sizes import EvenSizes
    from padviz.geometry.costs import Costs
    from padviz.geometry.ledger import Ledger
    from padviz.geometry.receptive_fields import ReceptiveField
    from padviz.geometry.tap_exposure import TapExposure
    from padviz.network.layer import Layer
    from padviz.network.network import Network
    from padviz.pages.explorer import Explorer, explore
    from padviz.repadding.onnx.file import Repadded
    from padviz.reports.counts import read_counts
    from padviz.sources import load
    from padviz.trained.border_responses import BorderResponse, BorderResponses
    from padviz.trained.detecting.detectability import Detectability, PositionMap
    from padviz.trained.mean_filters import MeanFilter, MeanFilters
    from padviz.trained.trying.seen import Seen
    from padviz.trained.trying.trial import Trial, TrialRow

__all__ = [
    "Audit", "BorderResponse", "BorderResponses", "Costs", "CountMap", "Detectability", "EvenSizes", "Explorer",
    "Layer", "Ledger", "MeanFilter", "MeanFilters", "Network", "PadvizError", "Plan", "PositionMap",
    "ReceptiveField", "Remedy", "Repadded", "Seen", "Summary", "TapExposure", "Trial", "TrialRow", "Verified",
    "__version__", "audit", "costs", "coverage", "detect", "explore", "export", "fields", "filters", "load",
    "read_counts", "repad", "responses", "seen", "sizes", "taps", "tiled", "tiles", "trial", "uneven", "usage",
    "verify_tiles",
]  # fmt: skip

_HOMES = {
    "advice.remedies": "Remedy",
    "advice.verdict": "Audit",
    "api.audits": "audit costs fields sizes taps uneven",
    "api.counts": "coverage usage",
    "api.repadding": "repad",
    "api.tiles": "tiles verify_tiles",
    "api.trained": "detect filters responses",
    "api.trying": "seen trial",
    "counting.count_map": "CountMap",
    "counting.shares.summary": "Summary",
    "cutting.plan": "Plan",
    "cutting.running": "tiled",
    "cutting.verify": "Verified",
    "exports.run": "export",
    "geometry.balance.even_sizes": "EvenSizes",
    "geometry.costs": "Costs",
    "geometry.ledger": "Ledger",
    "geometry.receptive_fields": "ReceptiveField",
    "geometry.tap_exposure": "TapExposure",
    "network.layer": "Layer",
    "network.network": "Network",
    "pages.explorer": "Explorer explore",
    "repadding.onnx.file": "Repadded",
    "reports.counts": "read_counts",
    "sources": "load",
    "trained.border_responses": "BorderResponse BorderResponses",
    "trained.detecting.detectability": "Detectability PositionMap",
    "trained.mean_filters": "MeanFilter MeanFilters",
    "trained.trying.seen": "Seen",
    "trained.trying.trial": "Trial TrialRow",
}
_HOME_OF = {name: f"padviz.{home}" for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'padviz' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])


forking.register()
hooks.figure = lambda name: import_module(f"padviz.figures.{name}")
