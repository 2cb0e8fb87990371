"""Mean filters of a network, next to reading its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from tests.benchmarks.test_speed import process

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
    folder = tmp_path_factory.mktemp("trained")
    model = torchvision.models.resnet50(weights=None).eval()
    torch.save(model.state_dict(), folder / "resnet50.pth")
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), folder / "resnet50.onnx", dynamo=False)
    return str(folder / "resnet50.onnx"), str(folder / "resnet50.pth")


@pytest.mark.filterwarnings("ignore")
def test_process_filters_onnx(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "filters", files[0])


@pytest.mark.filterwarnings("ignore")
def test_process_weights_onnx(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-c", READ_ONNX.format(files[0]))


@pytest.mark.filterwarnings("ignore")
def test_process_filters_torch(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "filters", "torchvision.models:resnet50", "--weights", files[1])


@pytest.mark.filterwarnings("ignore")
def test_process_weights_torch(benchmark: Any, tmp_path: Path, files: tuple[str, str]) -> None:
    process(benchmark, tmp_path, "-c", READ_TORCH.format(files[1]))
