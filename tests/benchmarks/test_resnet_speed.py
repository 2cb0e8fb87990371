"""ResNet-50 as a module and as files: read, repadded, and its filters, next to what others do with the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torchvision

import padviz
from tests.benchmarks.test_speed import process

pytestmark = pytest.mark.filterwarnings("ignore")
READ_ONNX = """
import onnx
from onnx import numpy_helper
weights = [numpy_helper.to_array(each) for each in onnx.load({!r}).graph.initializer]
"""
READ_TORCH = """
import torch, torchvision
torchvision.models.resnet50().load_state_dict(torch.load({!r}, weights_only=True))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The network as an ONNX file, and its weights."""
    folder = tmp_path_factory.mktemp("resnet50")
    model = torchvision.models.resnet50(weights=None).eval()
    torch.save(model.state_dict(), folder / "resnet50.pth")
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), folder / "resnet50.onnx", dynamo=False)
    return str(folder / "resnet50.onnx"), str(folder / "resnet50.pth")


@pytest.mark.parametrize("scheme", [None, "replicate", "reflect", "circular", "symmetric"])
def test_repadded_forward(benchmark: Any, scheme: str | None) -> None:
    module = torchvision.models.resnet50(weights=None).eval()
    if scheme is not None:
        module = padviz.repad(module, scheme, size=224)
    image = torch.randn(8, 3, 224, 224)
    with torch.inference_mode():
        benchmark.pedantic(module, (image,), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("scheme", ["reflect", "symmetric", "partial"])
def test_repad(benchmark: Any, tmp_path: Path, files: tuple[str, str], scheme: str) -> None:
    benchmark(lambda: padviz.repad(files[0], scheme).save(tmp_path / "out.onnx", overwrite=True))


def test_onnx_load_and_save(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    benchmark(lambda: onnx.save(onnx.load(files[0]), tmp_path / "out.onnx"))


def test_process_onnx_uneven(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "uneven", files[0])


def test_process_onnx_load(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-c", f"import onnx; onnx.load({files[0]!r})")


def test_process_filters_onnx(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "filters", files[0])


def test_process_weights_onnx(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-c", READ_ONNX.format(files[0]))


def test_process_filters_torch(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "filters", "torchvision.models:resnet50", "--weights", files[1])


def test_process_weights_torch(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-c", READ_TORCH.format(files[1]))
