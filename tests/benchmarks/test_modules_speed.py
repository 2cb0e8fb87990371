"""Modules and ONNX files: read, repadded, their filters, and tiled, next to what others do with the same."""

from __future__ import annotations

from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torchvision

import padviz
from tests.benchmarks.test_speed import process
from tests.cutting.test_plan import UNet, seeded

pytestmark = pytest.mark.filterwarnings("ignore")


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ResNet-50 as an ONNX file, and its weights."""
    place = tmp_path_factory.mktemp("resnet50")
    model = torchvision.models.resnet50(weights=None).eval()
    torch.save(model.state_dict(), place / "resnet50.pth")
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), place / "resnet50.onnx", dynamo=False)
    return place


@pytest.mark.parametrize("scheme", [None, "replicate", "reflect", "circular", "symmetric"])
def test_repadded_forward(benchmark: Any, scheme: str | None) -> None:
    module = torchvision.models.resnet50(weights=None).eval()
    if scheme is not None:
        module = padviz.repad(module, scheme, size=224)
    image = torch.randn(8, 3, 224, 224)
    with torch.inference_mode():
        benchmark.pedantic(module, (image,), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("scheme", ["reflect", "symmetric", "partial"])
def test_repad(benchmark: Any, tmp_path: Path, folder: Path, scheme: str) -> None:
    benchmark(lambda: padviz.repad(folder / "resnet50.onnx", scheme).save(tmp_path / "out.onnx", overwrite=True))


def test_onnx_load_and_save(benchmark: Any, tmp_path: Path, folder: Path) -> None:
    benchmark(lambda: onnx.save(onnx.load(folder / "resnet50.onnx"), tmp_path / "out.onnx"))


WEIGHTS = """
import onnx
from onnx import numpy_helper
weights = [numpy_helper.to_array(each) for each in onnx.load("resnet50.onnx").graph.initializer]
"""
STATE = """
import torch, torchvision
torchvision.models.resnet50().load_state_dict(torch.load("resnet50.pth", weights_only=True))
"""
PROCESSES = {
    "uneven": ["-m", "padviz", "uneven", "resnet50.onnx"],
    "load": ["-c", "import onnx; onnx.load('resnet50.onnx')"],
    "filters": ["-m", "padviz", "filters", "resnet50.onnx"],
    "weights": ["-c", WEIGHTS],
    "filters-pth": ["-m", "padviz", "filters", "torchvision.models:resnet50", "--weights", "resnet50.pth"],
    "weights-pth": ["-c", STATE],
}


@pytest.mark.parametrize("what", PROCESSES)
def test_process_resnet(benchmark: Any, folder: Path, what: str) -> None:
    process(benchmark, folder, PROCESSES[what])


@pytest.mark.parametrize("what", ["tiled", "bare"])
def test_tiles_run(benchmark: Any, what: str) -> None:
    module, image = seeded(UNet(1)).float(), torch.rand(1, 1, 1024, 1024)
    plan = padviz.tiles(padviz.load(module, size=(1024, 1024)), 1024, 256)

    def bare() -> None:
        for tile in plan:
            module(image[(..., *tile.read)])

    with torch.no_grad():
        benchmark.pedantic(bare if what == "bare" else lambda: padviz.tiled(module, image, plan), rounds=7)
