"""Quantised ONNX files: the map, the ledger and the costs are those of the file of floats."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from onnx import TensorProto, helper, numpy_helper

import padviz

quantization = pytest.importorskip("onnxruntime.quantization")
SIZE = (64, 96)


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ResNet-18 as a file whose biases are stored, as quantisation asks for."""
    path = tmp_path_factory.mktemp("floats") / "net.onnx"
    module = torchvision.models.resnet18(weights=None).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, *SIZE),), path, dynamo=False, input_names=["image"])
        quantization.quant_pre_process(str(path), str(path), skip_symbolic_shape=True)
    return path


class Noise(quantization.CalibrationDataReader):  # type: ignore[misc,name-defined]
    """One image, which ranges are taken from."""

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
    for size in (SIZE, (65, 97)):
        np.testing.assert_array_equal(padviz.usage(network, size).counts, padviz.usage(own, size).counts)
        assert padviz.costs(network, size).macs == padviz.costs(own, size).macs
        ledger, expected = ([(row.height, row.width) for row in padviz.uneven(net, size)] for net in (network, own))
        assert ledger == expected


def graph(nodes: list[Any], path: Path) -> Path:
    """A file of nodes that read `image`, weights `w`, a scale `s` and a zero point `z`, and make `y`."""
    stored = {"w": np.ones((3, 3, 3, 3), np.float32), "s": np.float32(1), "z": np.uint8(0)}
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 12, 15])
    made = helper.make_graph(
        nodes, "net", [image], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )  # fmt: skip
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(made, opset_imports=domains), path)
    return path


SCALE = ["s", "z"]
TWINS: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "QLinearAdd": (["c", *SCALE, "r", *SCALE, *SCALE], "Add", {}),
    "QLinearMul": (["c", *SCALE, "r", *SCALE, *SCALE], "Mul", {}),
    "QLinearConcat": ([*SCALE, "c", *SCALE, "r", *SCALE], "Concat", {"axis": 1}),
    "QLinearAveragePool": (["c", *SCALE, *SCALE], "AveragePool", {"kernel_shape": [3, 2], "strides": [2, 2]}),
    "QLinearLeakyRelu": (["c", *SCALE, *SCALE], "LeakyRelu", {}),
    "QLinearSoftmax": (["c", *SCALE, *SCALE], "Softmax", {"axis": 1}),
    "QLinearReduceMean": (["c", *SCALE, *SCALE], "ReduceMean", {"axes": [3]}),
}


@pytest.mark.parametrize("op", TWINS)
def test_a_quantised_operation_counts_as_its_twin_does(op: str, tmp_path: Path) -> None:
    reads, twin, attrs = TWINS[op]
    conv = helper.make_node("Conv", ["image", "w"], ["c"], name="c")
    further = helper.make_node("Conv", ["c", "w"], ["r"], name="r", pads=[1, 1, 1, 1])
    more = {"opset": 13} if op == "QLinearSoftmax" else {}
    nodes = [conv, further, helper.make_node(op, reads, ["y"], name="y", domain="com.microsoft", **attrs, **more)]
    names = [name for name in reads if name not in SCALE]
    plain = [conv, further, helper.make_node(twin, names, ["y"], name="y", **attrs)]
    network, own = padviz.load(graph(nodes, tmp_path / "q.onnx")), padviz.load(graph(plain, tmp_path / "f.onnx"))
    assert [(layer.name, layer.kind, layer.ops) for layer in network.layers] == [
        (layer.name, layer.kind, layer.ops) for layer in own.layers
    ]
    np.testing.assert_array_equal(padviz.usage(network).counts, padviz.usage(own).counts)
