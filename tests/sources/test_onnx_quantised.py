"""Quantised ONNX files: the map, the ledger and the costs are those of the file of floats."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import padviz
from tests.sources.test_onnx_ops import model_of, saved

quantization = pytest.importorskip("onnxruntime.quantization")
SIZE = (32, 48)


class Residual(nn.Sequential):
    """A branch with an addition, between two windows, and a classifier behind a mean."""

    def forward(self, x: Tensor) -> Tensor:
        stem, pool, branch, down, head = self
        y = pool(stem(x).relu())
        return head(down(branch(y).relu() + y).relu().mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose biases are stored, as quantisation asks for."""
    path = tmp_path_factory.mktemp("floats") / "net.onnx"
    stem, branch = nn.Conv2d(3, 8, 7, 2, 3), nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8))
    module = Residual(stem, nn.MaxPool2d(3, 2, 1), branch, nn.Conv2d(8, 16, 3, 2, 1), nn.Linear(16, 5)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, *SIZE),), path, dynamo=False, input_names=["image"])
        quantization.quant_pre_process(str(path), str(path), skip_symbolic_shape=True)
    return path


class Noise(quantization.CalibrationDataReader):  # type: ignore[misc,name-defined]
    def __init__(self) -> None:
        self.images = iter([{"image": np.random.default_rng(0).normal(size=(1, 3, *SIZE)).astype(np.float32)}])

    def get_next(self) -> Any:
        return next(self.images, None)


def static(how: str) -> Any:
    form = getattr(quantization.QuantFormat, how)
    return lambda one, other: quantization.quantize_static(one, other, Noise(), quant_format=form)


WAYS = {"QDQ": static("QDQ"), "QOperator": static("QOperator"), "dynamic": quantization.quantize_dynamic}


@pytest.mark.parametrize("way", WAYS)
def test_a_quantised_file_counts_as_its_floats_do(way: str, floats: Path, tmp_path: Path) -> None:
    WAYS[way](str(floats), str(tmp_path / "quantised.onnx"))
    network, own = padviz.load(tmp_path / "quantised.onnx"), padviz.load(floats)
    for size in (SIZE, (33, 49)):
        np.testing.assert_array_equal(padviz.usage(network, size).counts, padviz.usage(own, size).counts)
        assert padviz.costs(network, size).macs == padviz.costs(own, size).macs
        ledger, expected = ([(row.height, row.width) for row in padviz.uneven(net, size)] for net in (network, own))
        assert ledger == expected


BOTH = "c = Conv (x, w3x3)\n r = Conv <pads = [1, 1, 1, 1]> (c, w3x3)\n "
QUANTISED = [  # reads of a map, and the scale s and the zero point z beside it
    "QLinearAdd (c, s, z, r, s, z, s, z)",
    "QLinearMul (c, s, z, r, s, z, s, z)",
    "QLinearConcat <axis = 1> (s, z, c, s, z, r, s, z)",
    "QLinearAveragePool <kernel_shape = [3, 2], strides = [2, 2]> (c, s, z, s, z)",
    "QLinearLeakyRelu (c, s, z, s, z)",
    "QLinearSoftmax <axis = 1, opset = 13> (c, s, z, s, z)",
    "QLinearReduceMean <axes = [3]> (c, s, z, s, z)",
]


@pytest.mark.parametrize("node", QUANTISED)
def test_a_quantised_operation_counts_as_its_twin_does(node: str, tmp_path: Path) -> None:
    scales = "s = Constant <value = float {1}> ()\n z = Constant <value = uint8 {0}> ()\n"
    twin = re.sub(r"\bs, z, |, s, z|, opset = 13", "", node.removeprefix("QLinear"))
    network = padviz.load(saved(model_of(f"{scales}{BOTH} y = com.microsoft.{node}", 17), tmp_path), 12)
    own = padviz.load(saved(model_of(f"{BOTH} y = {twin}", 17), tmp_path), 12)
    assert [(layer.name, layer.kind, layer.ops) for layer in network.layers] == [
        (layer.name, layer.kind, layer.ops) for layer in own.layers
    ]
    np.testing.assert_array_equal(padviz.usage(network).counts, padviz.usage(own).counts)
