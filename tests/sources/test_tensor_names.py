"""Layers of ONNX files go by the names of the tensors that they make, too."""

from pathlib import Path

import numpy as np
import pytest

import padviz
from tests.cli.test_cli import run, told
from tests.sources.test_onnx_ops import model_of, saved

pytestmark = pytest.mark.usefixtures("elsewhere")

BODY = """c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w3x3)
 early = Relu (c)
 p = Constant <value_ints = [0, 0, 0, 0, 0, 0, 0, 0]> ()
 idle = Pad (early, p)
 d = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (idle)
 late = Sigmoid (d)
 g = GlobalAveragePool (late)
 f = Flatten (late)
 r = Flatten (g)
 y = Concat <axis = 1> (f, r)"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    model = model_of(BODY, 13)
    for node in model.graph.node:
        node.name = f"node_{node.output[0]}"
    for name in ("early", "late", "g"):
        model.graph.output.add().CopyFrom(model.graph.output[0])
        model.graph.output[-1].name = name
    return str(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("tensor", "layer"), [("c", "c"), ("early", "c"), ("idle", "c"), ("d", "d"), ("late", "d"), ("f", "d")]
)
def test_a_tensor_is_the_layer_that_makes_it(tensor: str, layer: str, path: str) -> None:
    net = padviz.load(path, size=(16, 18))
    found, expected = (padviz.usage(net, layer=name) for name in (tensor, f"node_{layer}"))
    assert found.target == expected.target
    assert found.target.layer == f"node_{layer}"
    np.testing.assert_array_equal(found.counts, expected.counts)
    assert padviz.coverage(net, layer=tensor).target == expected.target


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("g", "padviz: model: g is no map: it is made of what was flattened or pooled of node_d\n"),
        ("node_dd", "'node_dd'; did you mean node_d, node_c?"),
        ("quite another", "'quite another'; padviz layers {path} lists them"),
    ],
)
def test_a_name_that_is_no_map_gets_one_line(name: str, says: str, path: str) -> None:
    assert says.format(path=path) in told("usage", path, "--size", "16", "--layer", name)


def test_tensors_of_one_layer_count_once(path: str) -> None:
    assert padviz.usage(path, 16, layer=["early", "late", "c", "node_d"]).target.layer == ["node_c", "node_d"]


def test_an_export_takes_tensors(path: str) -> None:
    for name in ("node_d", "late"):
        assert run("export", path, "--size", "16", "-o", "out", "--layer", name).exit_code == 0
