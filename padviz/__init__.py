"""padviz: does a network treat the border of an image fairly, and what to change if it does not.

Everything is loaded on first use: `import padviz` alone brings in neither numba nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from padviz.errors import PadvizError

if TYPE_CHECKING:
    from padviz.counts import CountMap, Summary
    from padviz.even import EvenSizes, even_sizes
    from padviz.exporting import export
    from padviz.fields import ReceptiveField, receptive_fields
    from padviz.network import Layer, Network
    from padviz.padding import Ledger, TapExposure, ledger, tap_exposure
    from padviz.paths import coverage, usage
    from padviz.sources import load
    from padviz.store import read_counts

__version__ = "0.1.0"
__all__ = [
    "CountMap", "EvenSizes", "Layer", "Ledger", "Network", "PadvizError", "ReceptiveField", "Summary", "TapExposure",
    "coverage", "even_sizes", "export", "ledger", "load", "read_counts", "receptive_fields", "tap_exposure", "usage",
]  # fmt: skip

_HOMES = {
    "CountMap": "padviz.counts",
    "EvenSizes": "padviz.even",
    "Layer": "padviz.network",
    "Ledger": "padviz.padding",
    "Network": "padviz.network",
    "ReceptiveField": "padviz.fields",
    "Summary": "padviz.counts",
    "TapExposure": "padviz.padding",
    "coverage": "padviz.paths",
    "even_sizes": "padviz.even",
    "export": "padviz.exporting",
    "ledger": "padviz.padding",
    "load": "padviz.sources",
    "read_counts": "padviz.store",
    "receptive_fields": "padviz.fields",
    "tap_exposure": "padviz.padding",
    "usage": "padviz.paths",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'padviz' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
