"""padviz: does a network treat the border of an image fairly, and what to change if it does not.

Everything is loaded on first use: `import padviz` alone brings in neither numba nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from padviz.errors import PadvizError

if TYPE_CHECKING:
    from padviz.counts import CountMap, Summary
    from padviz.network import Layer, Network
    from padviz.sources import load
    from padviz.store import read_counts
    from padviz.walk import usage

__version__ = "0.1.0"
__all__ = ["CountMap", "Layer", "Network", "PadvizError", "Summary", "load", "read_counts", "usage"]

_HOMES = {
    "CountMap": "padviz.counts",
    "Layer": "padviz.network",
    "Network": "padviz.network",
    "Summary": "padviz.counts",
    "load": "padviz.sources",
    "read_counts": "padviz.store",
    "usage": "padviz.walk",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'padviz' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
