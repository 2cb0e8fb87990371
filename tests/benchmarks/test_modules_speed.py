"""Modules and ONNX files: read, repadded, their filters, and tiled, next to what others do with the same."""

from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torchvision

import padviz
from tests.benchmarks.test_speed import process

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("what", ["load", "build"])
def test_reading(benchmark: Any, what: str) -> None:
    module = torchvision.models.resnet50(weights=None).eval()
    load, build = partial(padviz.load, module, size=224), partial(torchvision.models.resnet50, weights=None)
    benchmark(load if what == "load" else build)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("resnet50")
    model = torchvision.models.resnet50(weights=None).eval()
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


PROCESSES = {
    "uneven": ["-m", "padviz", "uneven", "resnet50.onnx"],
    "load": ["-c", "import onnx; onnx.load('resnet50.onnx')"],
}


@pytest.mark.parametrize("what", PROCESSES)
def test_process_resnet(benchmark: Any, folder: Path, what: str) -> None:
    process(benchmark, folder, PROCESSES[what])
