"""The forward of a repadded module, next to that of the module itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision

import padviz


@pytest.mark.parametrize("scheme", [None, "replicate", "reflect", "circular", "symmetric"])
def test_repadded_forward(benchmark: Any, scheme: str | None) -> None:
    module = torchvision.models.resnet50(weights=None).eval()
    if scheme is not None:
        module = padviz.repad(module, scheme, size=224)
    image = torch.randn(8, 3, 224, 224)
    with torch.inference_mode():
        benchmark.pedantic(module, (image,), rounds=7, warmup_rounds=1)
