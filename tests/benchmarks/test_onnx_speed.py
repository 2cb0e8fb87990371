"""Reading an ONNX file and printing its ledger, and repadding it, next to the onnx package loading and saving it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torchvision

import padviz
from tests.benchmarks.test_speed import process


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("onnx") / "resnet50.onnx"
    model = torchvision.models.resnet50(weights=None).eval()
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), path, dynamo=False)
    return str(path)


@pytest.mark.filterwarnings("ignore")
def test_process_onnx_uneven(benchmark: Any, tmp_path: Path, file: str) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "uneven", file)


@pytest.mark.filterwarnings("ignore")
def test_process_onnx_load(benchmark: Any, tmp_path: Path, file: str) -> None:
    process(benchmark, tmp_path, "-c", f"import onnx; onnx.load({file!r})")


@pytest.mark.parametrize("scheme", ["reflect", "symmetric", "partial"])
def test_repad(benchmark: Any, tmp_path: Path, file: str, scheme: str) -> None:
    benchmark(lambda: padviz.repad(file, scheme).save(tmp_path / "out.onnx", overwrite=True))


def test_onnx_load_and_save(benchmark: Any, tmp_path: Path, file: str) -> None:
    benchmark(lambda: onnx.save(onnx.load(file), tmp_path / "out.onnx"))
