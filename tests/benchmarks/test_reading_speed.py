"""Reading a module, next to building it."""

from __future__ import annotations

from typing import Any

import pytest
import torchvision

import padviz


@pytest.mark.parametrize("what", ["load", "build"])
def test_reading(benchmark: Any, what: str) -> None:
    module = torchvision.models.resnet50(weights=None).eval()
    if what == "load":
        benchmark(lambda: padviz.load(module, size=224))
    else:
        benchmark(torchvision.models.resnet50, weights=None)
