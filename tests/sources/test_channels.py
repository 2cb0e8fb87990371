"""Channels: from the weights of ONNX files and modules, and in descriptions from step to step."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import numpy_helper, parser
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.network.layer import Channels
from padviz.sources.toml.build import parse
from padviz.sources.toml.write import to_toml
from tests.sources.test_onnx_ops import saved
from tests.torch_attention import After


def channels(network: padviz.Network) -> dict[str, Channels | None]:
    return {layer.name: layer.channels for layer in network.layers if layer.kind in ("conv", "convtranspose")}


def back(network: padviz.Network) -> padviz.Network:
    return parse(tomllib.loads(to_toml(network)), network.name)


DESCRIBED: dict[str, tuple[str, dict[str, Channels | None]]] = {
    "from step to step": (
        """{op = "conv", name = "a", out = 8, kernel = 3},
        {op = "maxpool", kernel = 2}, {op = "gate"}, {op = "pad", padding = 1}, {op = "resize", scale = 2},
        {op = "conv", name = "b", groups = "depthwise", kernel = 3},
        {op = "conv", name = "c", out = 24, groups = "depthwise"},
        {op = "concat", branches = [[{op = "conv", name = "d", out = 6, groups = 6}], []]},
        {op = "add", branches = [[{op = "conv", name = "e", out = 30}], [{op = "conv", name = "f", out = 1}]]},
        {op = "convtranspose", name = "g", out = 10, groups = 5, kernel = 2},
        {op = "global"}, {op = "conv", name = "h", out = 4}""",
        {
            "a": Channels(3, 8), "b": Channels(8, 8, 8), "c": Channels(8, 24, 8), "d": Channels(24, 6, 6),
            "e": Channels(30, 30), "f": Channels(30, 1), "g": Channels(30, 10, 5), "h": Channels(10, 4),
        },
    ),
    "unknown up to the next convolution that says": (
        """{op = "conv", name = "a"}, {op = "conv", name = "b", groups = "depthwise"},
        {op = "conv", name = "c", out = 4}, {op = "conv", name = "d", out = 8}, {op = "conv", name = "e"},
        {op = "conv", name = "f", out = 2, in = 5}""",
        {**dict.fromkeys("abce"), "d": Channels(4, 8), "f": Channels(5, 2)},
    ),
    "what is split says what it has": (
        """{op = "conv", name = "a", out = 8},
        {op = "concat", name = "x", branches = [[], [{op = "conv", name = "b", in = 4, out = 4}]]},
        {op = "add", name = "y", in = 2, branches = [[], [{op = "conv", name = "c", in = 3, out = 2}]]},
        {op = "conv", name = "d", out = 2}""",
        {"a": Channels(3, 8), "b": Channels(4, 4), "c": Channels(3, 2), "d": Channels(2, 2)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DESCRIBED)
def test_channels_of_a_description(name: str) -> None:
    steps, expected = DESCRIBED[name]
    net = parse(tomllib.loads(f"layers = [{steps}]".replace("\n", "")), "net")
    assert channels(net) == channels(back(net)) == expected
    assert padviz.costs(net, 9).unknown == next((key for key, each in expected.items() if each is None), None)


def test_modules_say_their_channels() -> None:
    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
            self.up = nn.ConvTranspose2d(8, 12, 2, 2, groups=4)
            self.part = nn.Conv2d(6, 4, 1)
            self.shared = nn.Conv2d(2, 5, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.up(self.first(x))
            x = functional.conv2d(x, torch.ones(12, 6, 1, 3), groups=2)
            x = self.part(x[:, 6:])
            return self.shared(x.view(2, 2, *x.shape[2:]))  # two images of two channels each

    net = padviz.load(Calls())
    assert channels(net) == {
        "first": Channels(3, 8), "up": Channels(8, 12, 4), "conv": Channels(12, 12, 2), "part": Channels(6, 4),
        "shared": Channels(4, 10, 2),
    }  # fmt: skip
    assert padviz.costs(net, 8).layers[-1].macs == 14 * 12 * 9 * 2 * 5 * 2


def test_a_vector_that_is_spread_costs_what_made_it() -> None:
    line = nn.Conv2d(8, 6, 1)

    def pyramid(x: Tensor) -> Tensor:
        return torch.cat([x, functional.interpolate(line(functional.adaptive_avg_pool2d(x, 1)), x.shape[2:])], 1)

    net = padviz.load(After(pyramid))
    assert channels(net) == {"conv": Channels(3, 8), "conv_2": Channels(8, 6)}
    assert padviz.costs(net, 8).macs == 64 * 9 * 3 * 8 + 8 * 6


WEIGHTS = {"w": (6, 2, 3, 3), "t": (4, 3, 2, 2), "v": (5, 2, 1, 1), "d": (4, 1, 3, 3)}
FILES = {  # nodes over an image of four channels, and the channels of their last convolution
    "initializer": ("y = Conv <group = 2> (x, w)", Channels(4, 6, 2)),
    "transposed": ("y = ConvTranspose <group = 2> (x, t)", Channels(4, 6, 2)),
    "depthwise": ("y = Conv <group = 4> (x, d)", Channels(4, 4, 4)),
    "quantized": ("s = Constant <value_float = 0.5> () q = Cast <to = 2> (w) k = DequantizeLinear (q, s) "
                  "y = Conv <group = 2> (x, k)", Channels(4, 6, 2)),
    "constant": ("i = Constant <value = float[2,4,1,1] {1,1,1,1,1,1,1,1}> () y = Conv (x, i)", Channels(4, 2)),
    "split": ("h, k = Split <axis = 1> (x) y = Conv (h, v)", Channels(2, 5)),
    "batch": ("n = Constant <value_ints = [-1, 2, 9, 9]> () h = Reshape (x, n) y = Conv (h, v)", Channels(4, 10, 2)),
    "given": ("y = Conv <kernel_shape = [3, 3], group = 4> (x, g)", None),
    "no groups": ("y = Conv <kernel_shape = [3, 3], group = 4> (x, w)", None),
}  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", FILES)
def test_files_say_their_channels(name: str, batch: int, tmp_path: Path) -> None:
    body, expected = FILES[name]
    image = f"float[{batch}, 4, 9, 9] x"
    text = f'<ir_version: 8, opset_import: ["" : 13]> g ({image}, float[a, b, c, d, e] g) => (float[] y)'
    model = parser.parse_model(f"{text} {{ {body} }}")
    for key, shape in WEIGHTS.items():
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, dtype=np.float32), key))
    network = padviz.load(saved(model, tmp_path))
    assert [*channels(network).values()] == [expected]
    assert padviz.costs(network).unknown == (None if expected else "y")
    if expected:
        assert channels(back(network)) == channels(network)
