"""Where layers came from and what they are called; where counting stops, before heads and at grids of patches."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.network.layer import Origin
from padviz.network.operations import Window
from padviz.network.rewrites import padded_windows, with_pads_merged
from padviz.network.targets import last_maps
from tests.cli.test_cli import run, told
from tests.sources.test_onnx_exports import SINCE_2_5
from tests.sources.test_onnx_ops import model_of, saved
from tests.sweeps import SLOW
from tests.torch_calls import to_onnx
from tests.yolo import YoloV8, exported


def origins(network: padviz.Network) -> dict[str, str]:
    return {layer.name: layer.origin.name for layer in network.layers[1:] if layer.origin}


def dims_of(network: padviz.Network) -> dict[str, tuple[int, ...]]:
    return {layer.name: layer.origin.dims for layer in network.layers[1:] if layer.origin}


NODES = {
    "alone": ("y = Conv (x, w3x3)", {"y": "y"}),
    "padded": ("a = Pad (x, [0, 0, 1, 2, 0, 0, 0, 1])\n y = Conv (a, w3x3)", {"a": "a", "y": "y"}),
    "sliced": (
        "s = Slice (x, [1], [-1], [2])\n r = Relu (s)\n y = Conv (r, w3x3)",
        {"s": "s", "y": "y"},
    ),
    "of many layers": (
        "a = SpaceToDepth <blocksize = 2> (x)\n y = Conv (a, w1x1x4)",
        {"a.0.0": "a", "a.0.1": "a", "a.1.0": "a", "a.1.1": "a", "a": "a", "y": "y"},
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_is_the_origin_of_its_layers(name: str, tmp_path: Path) -> None:
    body, expected = NODES[name]
    network = padviz.load(saved(model_of(body, 13), tmp_path))
    assert origins(network) == expected
    if name == "padded":
        assert with_pads_merged(network).find("y").origin == Origin("y", ("a",), (2, 3))
        assert [layer.origin for layer in padded_windows(network) if layer.name == "y"] == [
            Origin("y", ("a",), (2, 3))
        ]


def test_the_axes_of_the_image_are_dimensions_of_a_layers_tensor(tmp_path: Path) -> None:
    body = """t = Transpose <perm = [0, 2, 3, 1]> (x)
 a = Pad (t, [0, 1, 1, 0, 0, 1, 1, 0])
 b = Transpose <perm = [0, 3, 2, 1]> (a)
 y = Conv (b, w3x3)"""
    network = padviz.load(saved(model_of(body, 13), tmp_path))
    assert dims_of(network) == {"a": (1, 2), "y": (3, 2)}


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
    assert origins(network) == {"pad": "pad", "conv": "conv"}
    assert with_pads_merged(network).find("conv").origin == Origin("conv", ("pad",), (2, 3))


def test_a_pad_that_follows_the_size_becomes_the_convolutions_own() -> None:
    def same(x: Tensor) -> Tensor:
        rows, cols = (max((-(-n // 2) - 1) * 2 + 3 - n, 0) for n in x.shape[2:])
        return functional.pad(x, (cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))

    (window,) = padded_windows(padviz.load(Padded(same), 32))
    assert (window.ops[0], window.origin) == (
        Window(3, 2, padding=(0, 1)),
        Origin("conv", ("pad",), (2, 3)),
    )


def test_every_layer_of_a_resnet_has_a_module() -> None:
    found = origins(padviz.load("torchvision.models:resnet18"))
    assert found == {name: name for name in found}
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
    ("tensor", "layer"),
    [("c", "c"), ("early", "c"), ("idle", "c"), ("d", "d"), ("late", "d"), ("f", "d")],
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
    assert padviz.usage(path, 16, layer=["early", "late", "c", "node_d"]).target.layer == [
        "node_c",
        "node_d",
    ]


def test_an_export_takes_tensors(path: str) -> None:
    for name in ("node_d", "late"):
        assert run("export", path, "--size", "16", "-o", "out", "--layer", name).exit_code == 0


SIZE = (64, 96)
SOURCES = ["old", pytest.param("new", marks=[SINCE_2_5, SLOW]), "module", "raw"]


@pytest.fixture(scope="module")
def yolo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("yolo"), size=SIZE)


@pytest.fixture(scope="module", params=SOURCES)
def network(
    request: pytest.FixtureRequest, yolo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    if request.param in ("module", "raw"):
        return padviz.load(YoloV8(request.param == "raw"), size=SIZE)
    path = (
        yolo if request.param == "old" else exported(tmp_path_factory.mktemp("yolo"), "new", SIZE)
    )
    return padviz.load(path, size=SIZE)


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    """Counts of the network as it is up to each of its three levels, which nothing has to be cut off from."""

    class Level(YoloV8):
        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

        def forward(self, x: Tensor) -> Tensor:
            kept: list[Tensor] = []
            self.detect.forward = lambda maps: (None, kept.extend(maps))  # type: ignore[method-assign]
            super().forward(x)
            x = kept[self.at]
            return torch.cat((self.detect.cv2[self.at](x), self.detect.cv3[self.at](x)), 1)

    return [padviz.usage(Level(at), SIZE).counts for at in range(3)]


def test_a_detector_is_cut_where_its_levels_are_flattened(
    network: padviz.Network, expected: list[np.ndarray]
) -> None:
    lasts = last_maps(network)
    assert (network.targets, len(lasts)) == ((), 3)
    assert not any(last.endswith("output") for last in lasts)
    (note,) = network.notes
    skipped = (
        r"\S*(dfl/conv\S*|Conv_\d+) and what follows: it reads a flattened map as an image"
        "|detect.cat and what follows: it joins the positions of several maps"
    )
    assert re.fullmatch(
        f"analysed up to the heads {', '.join(map(re.escape, lasts))}; skipped ({skipped})", note
    )
    for counts, last in zip(expected, lasts, strict=True):
        found = padviz.usage(network, SIZE, layer=last)
        assert found.notes == (note,)
        assert found.summary().notes == [note]
        np.testing.assert_array_equal(found.counts, counts)


def test_what_lies_behind_a_cut_is_an_error_that_names_it(network: padviz.Network) -> None:
    for name, why in network.gone.items():
        with pytest.raises(padviz.PadvizError) as error:
            padviz.usage(network, layer=name)
        assert str(error.value) == f"{network.name}: {name} {why}"
        assert error.value.what.endswith(
            f"the network was analysed up to the heads {', '.join(last_maps(network))}"
        )
    if network.source.endswith(".onnx"):
        assert any("it follows" in why for why in network.gone.values())
        assert any("reads a flattened map" in why for why in network.gone.values())


@pytest.mark.parametrize(
    "line",
    [
        "layers --size 64x96",
        "sizes --size 64:96",
        "convert -o net.toml",
        "audit --layer /detect/Concat_1 --size 64x96",
    ],
)
def test_commands_cut_it_and_say_so_once(line: str, yolo: Path, elsewhere: None) -> None:
    command, *more = line.split()
    result = run(command, str(yolo), *more)
    assert result.exit_code == 0, result.output
    lines = [each for each in result.stderr.splitlines() if "skipped" in each]
    assert lines == [
        "padviz: yolo-old: analysed up to the heads /detect/Concat, /detect/Concat_1, /detect/Concat_2; "
        "skipped /detect/dfl/conv/Conv and what follows: it reads a flattened map as an image"
    ]


NOTE = "counting stops at {}, the grid of patches before attention"


class Tokens(nn.Module):
    """A grid of patches, a token beside them or their mean alone, and what becomes of both."""

    def __init__(self, then: Callable[[Tensor], Tensor], token: bool = True) -> None:
        super().__init__()
        self.grid, self.then, self.token = nn.Conv2d(3, 8, 4, 4), then, token

    def forward(self, x: Tensor) -> Tensor:
        x = self.grid(x).flatten(2).transpose(1, 2)
        x = torch.cat([torch.zeros(1, 1, 8), x], 1) if self.token else x.mean(1, keepdim=True)
        return self.then(x)[:, 0]


def written(x: Tensor) -> Tensor:
    return (x @ x.transpose(1, 2)).softmax(-1) @ x


MODULES: dict[str, tuple[nn.Module, bool]] = {  # and whether counting stops at the grid
    "written": (Tokens(written), True),
    "summed": (
        Tokens(lambda x: torch.einsum("bij,bjc->bic", torch.einsum("bic,bjc->bij", x, x).softmax(2), x)), True
    ),
    "batched": (Tokens(lambda x: torch.bmm(functional.softmax(torch.bmm(x, x.transpose(1, 2)), -1), x)), True),
    "called": (Tokens(lambda x: functional.scaled_dot_product_attention(x, x, x)), True),
    "nothing": (Tokens(lambda x: x.relu()), False),
    "softmax first": (Tokens(lambda x: x.softmax(-1) @ x.transpose(1, 2) @ x), False),
    "weights": (Tokens(lambda x: (x @ torch.ones(8, 8)).softmax(-1) @ torch.ones(8, 8)), False),
    "pooled vectors": (Tokens(written, token=False), False),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_attention_is_told_by_its_steps(name: str, tmp_path: Path) -> None:
    module, stops = MODULES[name]
    path = to_onnx(module, tmp_path / "net.onnx", torch.zeros(1, 3, 32, 32), opset_version=14)
    for net in (padviz.load(module, size=(32, 32)), padviz.load(path)):
        assert net.notes == ((NOTE.format(net.targets[0]),) if stops else ())


@pytest.mark.parametrize("pooled", [False, True])
def test_a_last_norm_over_positions_is_left_out_before_pooling_and_without(pooled: bool) -> None:
    layers = [
        nn.Conv2d(3, 4, 3, padding=1),
        nn.GroupNorm(1, 4),
        *[nn.AdaptiveAvgPool2d(1)] * pooled,
    ]
    assert padviz.load(nn.Sequential(*layers), 16).targets == ("0",)
