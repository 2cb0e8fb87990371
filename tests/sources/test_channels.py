"""Channels, from weights and descriptions; descriptions that load back; what `--neutral` may be said of."""

import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from onnx import TensorProto, helper, numpy_helper, parser
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.network.layer import Channels, Kind, Layer
from padviz.network.network import Network
from padviz.network.operations import Adaptive, Op, Transposed, Window
from padviz.network.resize import Resize
from padviz.sources.toml.load import parse
from padviz.sources.toml.write import to_toml
from padviz.sources.tracing.reading import moves
from tests.cli.test_cli import run
from tests.sources.test_onnx_ops import model_of, saved
from tests.strategies import networks
from tests.torch_attention import After


def channels(network: padviz.Network) -> dict[str, Channels | None]:
    return {
        layer.name: layer.channels
        for layer in network.layers
        if layer.kind in ("conv", "convtranspose")
    }


def read_back(network: padviz.Network) -> padviz.Network:
    return parse(tomllib.loads(to_toml(network)), network.name)


DESCRIBED = tomllib.loads(Path(__file__).with_name("channels.toml").read_text())


@pytest.mark.parametrize("name", DESCRIBED)
def test_channels_of_a_description(name: str) -> None:
    expected = {
        key: Channels(*each) if each else None for key, each in DESCRIBED[name]["channels"].items()
    }
    net = parse({"layers": DESCRIBED[name]["layers"]}, "net")
    assert channels(net) == channels(read_back(net)) == expected
    assert padviz.costs(net, 9).macs_unknown == next(
        (key for key, each in expected.items() if each is None), None
    )


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
        return torch.cat(
            [x, functional.interpolate(line(functional.adaptive_avg_pool2d(x, 1)), x.shape[2:])], 1
        )

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
        model.graph.initializer.append(
            numpy_helper.from_array(np.ones(shape, dtype=np.float32), key)
        )
    network = padviz.load(saved(model, tmp_path))
    assert [*channels(network).values()] == [expected]
    assert padviz.costs(network).macs_unknown == (None if expected else "y")
    if expected:
        assert channels(read_back(network)) == channels(network)


MOVING = [
    "Gather", "GatherElements", "GatherND", "ScatterND", "ScatterElements", "ReverseSequence", "Col2Im", "MaxUnpool",
    "NonMaxSuppression", "GridSample", "DeformConv", "Scan", "Loop", "If", "RoiAlign", "MaxRoiPool", "CumSum", "DFT",
    "STFT", "TopK", "Compress", "Trilu", "Conv", "AveragePool", "own.DeformConv2d", "com.microsoft.CropAndResize",
    "CenterCropPad", "Unique", "LSTM", "gather", "conv3d", "grid_sampler_2d", "nms", "lstm", "im2col", "foreach_add",
    "own.SumPositions",
]  # fmt: skip
STAYING = [
    "Foo", "own.Mystery", "Erf", "Gelu", "lgamma", "erfinv", "i0", "sinc", "heaviside", "frac",
    "com.microsoft.BiasGelu", "own.Clip6", "IsNaN", "digamma", "hypot", "own.FakeQuantize",
]  # fmt: skip


def test_operations_that_move_positions_are_told_by_their_words() -> None:
    assert [op for op in MOVING if not moves(op)] == []
    assert [op for op in STAYING if moves(op)] == []


@pytest.mark.parametrize("op", ["GridSample", "rot90", "gradient"])
def test_neutral_is_neither_hinted_nor_taken_where_positions_move(op: str, tmp_path: Path) -> None:
    network: Any = After(lambda x: x.rot90(2, (2, 3)))
    if op == "gradient":
        network = After(lambda x: torch.gradient(x, dim=2)[0])
    if op == "GridSample":
        network = saved(
            model_of(f"conv = Conv (x, w3x3)\n b = {op} (conv, conv)\n y = Conv (b, w3x3)", 18),
            tmp_path,
        )
    with pytest.raises(
        PadvizError, match=f"{op} .*is not known, and moves .*; `layer` conv stops"
    ) as error:
        padviz.usage(network, 32)
    assert "neutral=" not in str(error.value)
    with pytest.raises(PadvizError, match=f"neutral: '{op}' moves positions or joins them"):
        padviz.load(network, neutral=[op])


def test_a_branch_that_the_image_decides_is_refused_for_that(tmp_path: Path) -> None:
    """Its branches read the map by its name, so nothing that enters the node is a map."""
    branches = {}
    for name, side in {"then_branch": 3, "else_branch": 5}.items():
        pads = [side // 2] * 4
        pool = helper.make_node("MaxPool", ["c"], [name], kernel_shape=[side] * 2, pads=pads)
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]
        branches[name] = helper.make_graph([pool], name, [], made)
    model = model_of("c = Conv (x, w3x3)\n m = ReduceMean <keepdims = 0> (x)\n y = Abs (c)", 17)
    graph = model.graph
    graph.node[-1].CopyFrom(helper.make_node("If", ["b"], ["y"], "choice", **branches))
    graph.node.insert(2, helper.make_node("Cast", ["m"], ["b"], to=TensorProto.BOOL))
    with pytest.raises(PadvizError, match="node choice: an If, whose branch the image decides, is"):
        padviz.usage(saved(model, tmp_path), 32)


def test_a_neutral_operation_of_several_maps_sees_all_of_them(tmp_path: Path) -> None:
    nodes = "a = Conv (x, w3x3)\n b = Conv <dilations = [1, 1]> (x, w3x3)\n c = {} (a, b)\n y = Conv (c, w3x3)"
    taken = padviz.load(saved(model_of(nodes.format("Fuse"), 18), tmp_path), neutral="Fuse")
    added = padviz.load(saved(model_of(nodes.format("Add"), 18), tmp_path))
    assert [layer.kind for layer in taken.layers] == ["input", "conv", "conv", "add", "conv"]
    assert (padviz.usage(taken, 32).counts == padviz.usage(added, 32).counts).all()


def test_what_makes_another_shape_is_not_elementwise() -> None:
    net = padviz.load(
        After(lambda y: torch.tensordot(y, y, ([3], [3]))), size=16, neutral=["tensordot"]
    )
    with pytest.raises(
        PadvizError,
        match=r"tensordot .*makes .* of 1 x 8 x 16 x 16, so it is not elementwise; `layer`",
    ):
        padviz.usage(net)


def test_an_unknown_function_of_pytorch_is_not_neutral() -> None:
    """Those that are elementwise are known to be."""
    network = padviz.load(After(torch.msort), neutral=["msort"], size=16)
    with pytest.raises(PadvizError, match="function msort is not known; `layer` conv stops"):
        padviz.usage(network)


@pytest.mark.parametrize("op", ["ReduceMax", "median"])
def test_what_is_known_to_join_positions_is_not_neutral(op: str, tmp_path: Path) -> None:
    ones = torch.ones(8, 8, 1, 3)
    network: Any = After(lambda x: functional.conv2d(x.median(2, keepdim=True)[0], ones))
    if op == "ReduceMax":
        body = "conv = Conv (x, w3x3)\n a = ReduceMax <axes = [2]> (conv)\n y = Conv (a, w1x3)"
        network = saved(model_of(body, 13), tmp_path)
    target = padviz.usage(padviz.load(network, neutral=op), 16).target
    assert target == padviz.usage(network, 16).target
    assert target.shape[0] == 1


def round_trips(network: Network, counts: bool = True) -> None:
    back = read_back(network)
    for field in ("layers", "name", "targets", "title", "source", "size", "fixed"):
        assert getattr(back, field) == getattr(network, field)
    if counts:
        np.testing.assert_array_equal(padviz.usage(back).counts, padviz.usage(network).counts)


@given(networks())
def test_random_networks_round_trip(drawn: tuple[list[dict[str, Any]], tuple[int, int]]) -> None:
    steps, size = drawn
    round_trips(
        parse(
            {"layers": steps, "size": list(size), "title": 'a "title"', "source": "a\\b"}, "drawn"
        )
    )


ODD = 'odd "name"\n\x7f\\é'


def one(kind: Kind, height: Op | None, width: Op | None, name: str = ODD) -> Network:
    layers = (Layer("input", "input", ()), Layer(name, kind, (0,), (height, width)))
    return Network("one", layers, (name,), "One", size=(40, 60))


@pytest.mark.parametrize(
    "network",
    [
        one("conv", Window(3, 2, 2, (1, 2), "reflect"), Window(5, 1, 3, "same_lower", "circular")),
        one("pad", Window(1, padding=(1, 2)), Window(1, padding=(0, 3), mode="circular")),
        one("crop", Window(1, 2, padding=(-1, 0)), Window(1, 3, padding=(1, -5))),
        one("avgpool", Window(2, 1, padding="same_upper"), Window(3, 1, padding="same_upper")),
        one("global", Adaptive(1), Adaptive(1)),
        one("resize", Resize(scale=Fraction(1, 3)), Resize(scale=Fraction(10_001, 20_000))),
        one(
            "resize",
            Resize(7, mode="linear", align_corners=True),
            Resize(9, mode="linear", align_corners=True),
        ),
        one("identity", None, None),
        *(replace(padviz.load("vgg11"), fixed=axes) for axes in ((0,), (1,), (0, 1))),
        replace(padviz.load("vgg11"), targets=()),
        padviz.load("ssd300_vgg16"),  # of several targets
    ],
    ids=lambda network: network.layers[-1].kind,
)
def test_what_random_networks_lack_round_trips_too(network: Network) -> None:
    round_trips(network, counts=False)


@pytest.mark.parametrize(
    ("kind", "op", "other"),
    [
        ("conv", Window(3, 2, padding=(1, 0)), Window(1)),
        ("crop", Window(1, padding=(-1, -2)), Window(1)),
        ("convtranspose", Transposed(3, 2), Transposed(1)),
        ("resize", Resize(scale=Fraction(3, 2)), Resize(scale=Fraction(1))),
    ],
)
def test_what_acts_on_one_axis_alone_is_written_for_both(kind: Kind, op: Op, other: Op) -> None:
    for ops, filled in (((op, None), (op, other)), ((None, op), (other, op))):
        back = read_back(network := one(kind, *ops))
        assert back.layers[1].ops == filled
        assert (padviz.usage(back).counts == padviz.usage(network).counts).all()


@pytest.mark.parametrize(
    "network",
    [
        one("adaptive", Adaptive(3), None, "c"),
        one("resize", Resize(5), Resize(scale=Fraction(2)), "c"),
        one("resize", Resize(5), Resize(7, rounding="ceil"), "c"),
        one("conv", Window(3, mean=True), Window(3, mean=True), "c"),
    ],
    ids=lambda network: str(network.layers[-1].ops),
)
def test_what_a_description_cannot_say_is_an_error(network: Network) -> None:
    with pytest.raises(padviz.PadvizError, match="one: layer 'c' cannot be described"):
        to_toml(network)


def test_convert_prints_or_writes_what_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    assert run("convert", "resnet18", "--size", "96x128", "-o", str(path)).exit_code == 0
    back = padviz.load(path)
    assert back.layers == padviz.load("resnet18").layers
    assert back.size == (96, 128)
    assert run("convert", "resnet18", "--size", "96x128").stdout == path.read_text()
    assert "use .toml" in run("convert", "resnet18", "-o", str(tmp_path / "net.png")).stderr
