"""padviz: how much of an image's border a network neglects, and what can be changed.

Everything is loaded on first use: `import padviz` alone brings in neither numba nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from padviz.errors import PadvizError
from padviz.version import __version__

if TYPE_CHECKING:
    from padviz.api.judging import audit
    from padviz.api.listing import convert, costs, diff, layers, load, networks
    from padviz.api.maps import compare, coverage, kernel, usage
    from padviz.api.results.result import Result
    from padviz.api.rings import rings
    from padviz.api.tiles import chunks, tiles, verify_tiles
    from padviz.api.trained.measured import detect, filters, responses
    from padviz.api.trained.repadding import repad
    from padviz.api.trained.trying import seen, trial
    from padviz.api.windows import fields, sizes, taps, uneven
    from padviz.counting.count_map import CountMap
    from padviz.cutting.plan import Plan
    from padviz.cutting.running import tiled
    from padviz.cutting.verify import Verified
    from padviz.exports.run import export
    from padviz.network.layer import Layer
    from padviz.network.network import Network
    from padviz.pages.explorer import Explorer, explore
    from padviz.repadding.onnx.file import Repadded
    from padviz.reports.counts import read_counts

__all__ = [
    "CountMap", "Explorer", "Layer", "Network", "PadvizError", "Plan", "Repadded", "Result", "Verified", "__version__",
    "audit", "chunks", "compare", "convert", "costs", "coverage", "detect", "diff", "explore", "export", "fields",
    "filters", "kernel", "layers", "load", "networks", "read_counts", "repad", "responses", "rings", "seen",
    "sizes", "taps", "tiled", "tiles", "trial", "uneven", "usage", "verify_tiles",
]  # fmt: skip

_HOMES = {
    "api.judging": "audit",
    "api.listing": "convert costs diff layers load networks",
    "api.maps": "compare coverage kernel usage",
    "api.trained.repadding": "repad",
    "api.results.result": "Result",
    "api.rings": "rings",
    "api.tiles": "chunks tiles verify_tiles",
    "api.trained.measured": "detect filters responses",
    "api.trained.trying": "seen trial",
    "api.windows": "fields sizes taps uneven",
    "counting.count_map": "CountMap",
    "cutting.plan": "Plan",
    "cutting.running": "tiled",
    "cutting.verify": "Verified",
    "exports.run": "export",
    "network.layer": "Layer",
    "network.network": "Network",
    "pages.explorer": "Explorer explore",
    "repadding.onnx.file": "Repadded",
    "reports.counts": "read_counts",
}
_HOME_OF = {name: f"padviz.{home}" for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'padviz' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
