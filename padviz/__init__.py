"""padviz: how much of an image's border a network neglects, and what can be changed.

The public names, and the commands. Everything is loaded on first use: `import padviz` alone brings
in no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from padviz.errors import PadvizError
from padviz.version import __version__

if TYPE_CHECKING:
    from padviz.analyses.audit import audit
    from padviz.analyses.check import check
    from padviz.analyses.compare import compare
    from padviz.analyses.coverage import coverage
    from padviz.analyses.detect import detect
    from padviz.analyses.diff import diff
    from padviz.analyses.filters import filters
    from padviz.analyses.keeps import keeps
    from padviz.analyses.kernel import kernel
    from padviz.analyses.layers import costs, fields, layers
    from padviz.analyses.load import convert, load
    from padviz.analyses.networks import networks
    from padviz.analyses.repad import repad
    from padviz.analyses.responses import responses
    from padviz.analyses.result import Result
    from padviz.analyses.rings import rings
    from padviz.analyses.rules import rules
    from padviz.analyses.run_tiles import run_tiles
    from padviz.analyses.seams import seams
    from padviz.analyses.seen import seen
    from padviz.analyses.shards import shards
    from padviz.analyses.sizes import sizes
    from padviz.analyses.stream import stream, streamed
    from padviz.analyses.taps import taps
    from padviz.analyses.tiles import tiles
    from padviz.analyses.trial import trial
    from padviz.analyses.uneven import uneven
    from padviz.analyses.usage import usage
    from padviz.analyses.verify import verify
    from padviz.counting.count_map import CountMap
    from padviz.cutting.by_layer import sharded
    from padviz.cutting.plan import Plan
    from padviz.cutting.running import tiled
    from padviz.exports.run import export
    from padviz.network.layer import Layer
    from padviz.network.network import Network
    from padviz.pages.explorer import Explorer, explore
    from padviz.repadding.onnx_file import Repadded
    from padviz.reports.counts import read_counts
    from padviz.trained.asking import Verified

__all__ = [
    "CountMap",
    "Explorer",
    "Layer",
    "Network",
    "PadvizError",
    "Plan",
    "Repadded",
    "Result",
    "Verified",
    "__version__",
    "audit",
    "check",
    "compare",
    "convert",
    "costs",
    "coverage",
    "detect",
    "diff",
    "explore",
    "export",
    "fields",
    "filters",
    "keeps",
    "kernel",
    "layers",
    "load",
    "networks",
    "read_counts",
    "repad",
    "responses",
    "rings",
    "rules",
    "run_tiles",
    "seams",
    "seen",
    "sharded",
    "shards",
    "sizes",
    "stream",
    "streamed",
    "taps",
    "tiled",
    "tiles",
    "trial",
    "uneven",
    "usage",
    "verify",
]

GROUPS = {  # the commands by purpose, in the order of help, with what it says of each
    "Judge": {
        "audit": "How much of the border is neglected, and what may help.",
        "uneven": "Layers that read more padding on one side, and the fix.",
        "taps": "How often each kernel position reads the image.",
        "sizes": "Balanced input sizes: every window reads its padding evenly.",
        "check": "What must hold: expectations, rules, in CI.",
        "diff": "Layers where two networks read different rows.",
        "verify": "Whether the network itself does what padviz says.",
    },
    "See": {
        "usage": "How often each input pixel is used: a map and its figures.",
        "compare": "Usage maps side by side: paddings, sizes, layers, networks.",
        "explore": "Interactive page: maps, layers, audit.",
        "kernel": "One layer on a small image, cell by cell.",
        "coverage": "Share of each unit's paths that start in the image.",
    },
    "Trained": {
        "filters": "Mean filters of a trained network, and their skew.",
        "responses": "Border artifacts in a trained network's feature maps.",
        "detect": "Where a trained network sees a stimulus, or is blind.",
        "seen": "What a trained network sees of photographs, place by place.",
        "trial": "What each remedy does to a trained network at once.",
        "rings": "Accuracy on objects, by distance to the border.",
    },
    "Change": {
        "repad": "Change the padding of an ONNX file, verified.",
        "convert": "Convert any network to a TOML description.",
    },
    "Cut": {
        "tiles": "Context that tiles need, and a plan without seams.",
        "run-tiles": "Run a network on a large image, tile by tile, without seams.",
        "keeps": "What a tile of some size keeps of an image.",
        "seams": "Seams of a tiler: its output against the whole image's.",
        "shards": "What parts of an image that run at once exchange.",
        "stream": "What to keep between chunks of a signal.",
    },
    "List": {
        "layers": "Every layer of a network.",
        "networks": "The built-in networks.",
        "rules": "The rules of check, and why.",
    },
    "Many": {
        "export": "Many maps at once: pictures, counts, index, gallery.",
    },
}
_HOMES = {  # but for those that are the function of their file in analyses/
    "analyses.layers": "costs fields",
    "analyses.load": "convert",
    "analyses.result": "Result",
    "analyses.stream": "streamed",
    "counting.count_map": "CountMap",
    "cutting.by_layer": "sharded",
    "cutting.plan": "Plan",
    "cutting.running": "tiled",
    "exports.run": "export",
    "network.layer": "Layer",
    "network.network": "Network",
    "pages.explorer": "Explorer explore",
    "repadding.onnx_file": "Repadded",
    "reports.counts": "read_counts",
    "trained.asking": "Verified",
}
_HOME_OF = {name: f"padviz.{home}" for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'padviz' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF.get(name, f"padviz.analyses.{name}")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
