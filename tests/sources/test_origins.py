"""Where the layers of foreign networks came from: their nodes, modules and functions, and the pads in them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.network.layer import Origin
from padviz.network.operations import Window
from padviz.network.rewrites import padded_windows, with_pads_merged
from tests.cli.test_cli import run, told
from tests.sources.test_onnx_ops import model_of, saved


def origins(network: padviz.Network) -> dict[str, Origin | None]:
    return {layer.name: layer.origin for layer in network.layers[1:]}


NODES = {
    "alone": ("y = Conv (x, w3x3)", {"y": "y"}),
    "padded": ("a = Pad (x, [0, 0, 1, 2, 0, 0, 0, 1])\n y = Conv (a, w3x3)", {"a": "a", "y": "y"}),
    "sliced": ("s = Slice (x, [1], [-1], [2])\n r = Relu (s)\n y = Conv (r, w3x3)", {"s": "s", "y": "y"}),
    "of many layers": (
        "a = SpaceToDepth <blocksize = 2> (x)\n y = Conv (a, w1x1x4)",
        {"a.0.0": "a", "a.0.1": "a", "a.1.0": "a", "a.1.1": "a", "a": "a", "y": "y"},
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_the_origin_of_its_layers(name: str, tmp_path: Path) -> None:
    body, expected = NODES[name]
    network = padviz.load(saved(model_of(body, 13), tmp_path))
    assert origins(network) == {layer: Origin(node) for layer, node in expected.items()}
    if name == "padded":
        assert with_pads_merged(network).find("y").origin == Origin("y", ("a",))
        assert [layer.origin for layer in padded_windows(network) if layer.name == "y"] == [Origin("y", ("a",))]


class Padded(nn.Module):
    """Rows beside a map by a function or a module, and a convolution."""

    def __init__(self, pad: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.pad, self.conv = pad, nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pad(x))


@pytest.mark.parametrize(
    "pad", [nn.ZeroPad2d(1), lambda x: functional.pad(x, (1, 0, 2, 1))], ids=["module", "function"]
)
def test_a_pad_that_is_joined_to_a_convolution_is_named(pad: Callable[[Tensor], Tensor]) -> None:
    network = padviz.load(Padded(pad))
    assert origins(network) == {"pad": Origin("pad"), "conv": Origin("conv")}
    assert with_pads_merged(network).find("conv").origin == Origin("conv", ("pad",))


def test_a_pad_that_follows_the_size_becomes_the_convolutions_own() -> None:
    def same(x: Tensor) -> Tensor:
        rows, cols = (max((-(-n // 2) - 1) * 2 + 3 - n, 0) for n in x.shape[2:])
        return functional.pad(x, (cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))

    (window,) = padded_windows(padviz.load(Padded(same), 32))
    assert (window.ops[0], window.origin) == (Window(3, 2, padding=(0, 1)), Origin("conv", ("pad",)))


def test_every_layer_of_a_resnet_has_a_module() -> None:
    found = origins(padviz.load("torchvision.models:resnet18"))
    assert found == {name: Origin(name) for name in found}
    assert {"layer1.0.conv1", "layer1.0"} <= {*found}  # the second is an addition, a function


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
