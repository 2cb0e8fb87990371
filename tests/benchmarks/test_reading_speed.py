"""Reading a module, and what is asked of it, next to building it and to traces alone."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

import pytest
import timm
import torchvision

import padviz


@pytest.mark.parametrize("what", ["load", "build", "trace", "usage", "audit", "traced", "sizes"])
def test_reading(benchmark: Any, what: str) -> None:
    module = torchvision.models.resnet50(weights=None).eval()
    network, sides = padviz.load(module, size=224), count(225)

    def trace(times: int = 1) -> None:
        for _ in range(times):
            network.at(next(sides))  # never read before

    audited = padviz.load(module, size=224)
    padviz.audit(audited)
    others = len(audited.again.__self__.read) - 1  # sizes that an audit reads besides
    asked = {
        "load": partial(padviz.load, module, size=224),
        "build": partial(torchvision.models.resnet50, weights=None),
        "trace": trace,
        "usage": partial(padviz.usage, module, 224),
        "audit": partial(padviz.audit, module, 224),
        "traced": lambda: (padviz.usage(module, 224), trace(others)),
        "sizes": partial(padviz.sizes, module, "64:1024"),
    }
    benchmark(asked[what])


@pytest.mark.parametrize("what", ["load", "build"])
def test_slowest(benchmark: Any, what: str) -> None:
    """The network of the zoo of tests that takes longest to read, of the libraries that benchmarks need."""
    build = partial(timm.create_model, "coat_tiny", pretrained=False)
    benchmark(partial(padviz.load, build().eval(), size=224) if what == "load" else build)
