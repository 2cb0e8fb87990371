"""padviz: does a network treat the border of an image fairly, and what to change if it does not.

Everything is loaded on first use: `import padviz` alone brings in neither numba nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from padviz import hooks
from padviz.errors import PadvizError
from padviz.version import __version__

if TYPE_CHECKING:
    from padviz.advice.remedies import Remedy
    from padviz.api import costs, coverage, even_sizes, ledger, receptive_fields, remedies, tap_exposure, usage
    from padviz.audit.costs import Costs
    from padviz.audit.even_sizes import EvenSizes
    from padviz.audit.ledger import Ledger
    from padviz.audit.receptive_fields import ReceptiveField
    from padviz.audit.tap_exposure import TapExposure
    from padviz.counting.count_map import CountMap
    from padviz.counting.summary import Summary
    from padviz.exports.run import export
    from padviz.files.counts import read_counts
    from padviz.network.layer import Layer
    from padviz.network.network import Network
    from padviz.pages.explorer import Explorer, explore
    from padviz.sources import load

__all__ = [
    "Costs", "CountMap", "EvenSizes", "Explorer", "Layer", "Ledger", "Network", "PadvizError", "ReceptiveField",
    "Remedy", "Summary", "TapExposure", "__version__", "costs", "coverage", "even_sizes", "explore", "export",
    "ledger", "load", "read_counts", "receptive_fields", "remedies", "tap_exposure", "usage",
]  # fmt: skip

_HOMES = {
    "Costs": "padviz.audit.costs",
    "CountMap": "padviz.counting.count_map",
    "EvenSizes": "padviz.audit.even_sizes",
    "Explorer": "padviz.pages.explorer",
    "Layer": "padviz.network.layer",
    "Ledger": "padviz.audit.ledger",
    "Network": "padviz.network.network",
    "ReceptiveField": "padviz.audit.receptive_fields",
    "Remedy": "padviz.advice.remedies",
    "Summary": "padviz.counting.summary",
    "TapExposure": "padviz.audit.tap_exposure",
    "costs": "padviz.api",
    "coverage": "padviz.api",
    "even_sizes": "padviz.api",
    "explore": "padviz.pages.explorer",
    "export": "padviz.exports.run",
    "ledger": "padviz.api",
    "load": "padviz.sources",
    "read_counts": "padviz.files.counts",
    "receptive_fields": "padviz.api",
    "remedies": "padviz.api",
    "tap_exposure": "padviz.api",
    "usage": "padviz.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'padviz' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


hooks.heatmap = lambda: import_module("padviz.figures.heatmap")
