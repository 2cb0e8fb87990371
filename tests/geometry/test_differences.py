"""Where two networks differ: each fact is named at its layer, and other spellings of one network are no difference."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

import padviz
from padviz.network.rewrites import with_same
from padviz.sources.toml.load import parse

SIZE = 16


def conv(*args: Any, **kwargs: Any) -> nn.Conv2d:
    return nn.Conv2d(3, 3, *args, **kwargs)


class Cropped(nn.Module):
    def __init__(self, top: int, bottom: int) -> None:
        super().__init__()
        self.top, self.bottom = top, bottom

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.top : x.shape[2] - self.bottom]


class Skip(nn.Module):
    """A sum of two branches, in either order."""

    def __init__(self, inner: nn.Module, first: bool = False) -> None:
        super().__init__()
        self.inner, self.first = inner, first

    def forward(self, x: Tensor) -> Tensor:
        inner = self.inner(x)
        return inner + x if self.first else x + inner


class Branches(nn.Module):
    def __init__(self, branches: nn.ModuleDict) -> None:
        super().__init__()
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches.values()], 1)


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class Fixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="bilinear")


def up(**kwargs: Any) -> nn.Module:
    return nn.Upsample(scale_factor=2, **kwargs)


def turned(*args: Any, **kwargs: Any) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(3, 3, *args, **kwargs)


APART: dict[str, tuple[list[nn.Module], list[nn.Module], str, str]] = {  # in the middle: A, B, layer of A, what
    "kernel": ([conv(3)], [conv(5)], "1", "kernel"),
    "stride": ([conv(3)], [conv(3, 2)], "1", "stride"),
    "dilation": ([conv(3)], [conv(3, dilation=2)], "1", "dilation"),
    "pads": ([conv(3, padding=1)], [conv(3, padding=2)], "1", "padding"),
    "pads on one side": (
        [nn.ZeroPad2d((0, 1, 0, 1)), conv(3, 2)], [nn.ZeroPad2d((1, 0, 1, 0)), conv(3, 2)], "1", "padding",
    ),
    "mode": ([conv(3, padding=1)], [conv(3, padding=1, padding_mode="reflect")], "1", "mode"),
    "value": ([nn.ConstantPad2d(1, 0.0), conv(3)], [nn.ConstantPad2d(1, 0.5), conv(3)], "1", "mode"),
    "crop": ([Cropped(1, 0)], [Cropped(0, 1)], "1.slice", "crop"),
    "kind of pool": ([nn.MaxPool2d(2)], [nn.AvgPool2d(2)], "1", "kind"),
    "an average and weights": ([nn.AvgPool2d(2)], [conv(2, 2, groups=3)], "1", "kind"),
    "a padded average and weights": ([nn.AvgPool2d(3, 1, 1)], [conv(3, padding=1, groups=3)], "1", "kind"),
    "a padded window and an adaptive pool": ([conv(3, padding=1)], [nn.AdaptiveAvgPool2d(7)], "1", "kind"),
    "ceil": ([nn.MaxPool2d(3, 2)], [nn.MaxPool2d(3, 2, ceil_mode=True)], "1", "rounding"),
    "counted padding": (
        [nn.AvgPool2d(3, 2, 1)], [nn.AvgPool2d(3, 2, 1, count_include_pad=False)], "1", "mode",
    ),
    "zeros in a max pool": ([nn.MaxPool2d(3, 2, 1)], [nn.ZeroPad2d(1), nn.MaxPool2d(3, 2)], "1", "mode"),
    "pad and pool": ([nn.ZeroPad2d(1), nn.MaxPool2d(2)], [nn.MaxPool2d(2), nn.ZeroPad2d(1)], "2", "padding"),
    "output padding": ([turned(3, 2, 1)], [turned(3, 2, 1, output_padding=1)], "1", "output padding"),
    "pads of a transposed one": ([turned(3, 2, 0)], [turned(3, 2, 1)], "1", "padding"),
    "corners": ([up(mode="bilinear")], [up(mode="bilinear", align_corners=True)], "1", "coordinates"),
    "how it resizes": ([up(mode="bilinear")], [up(mode="bicubic")], "1", "mode"),
    "scale": ([up(mode="bilinear")], [nn.Upsample(scale_factor=1.5, mode="bilinear")], "1", "scale"),
    "a layer more": ([conv(3), nn.ReLU()], [conv(3), conv(3), nn.ReLU()], "None", "layer"),
    "a branch": ([Skip(conv(3, padding=1))], [conv(3, padding=1)], "1", "layer"),
}  # fmt: skip
ALIKE: dict[str, tuple[list[nn.Module], list[nn.Module]]] = {
    "a pad apart": ([nn.ZeroPad2d(1), conv(3)], [conv(3, padding=1)]),
    "a mirrored pad apart": (
        [nn.ReflectionPad2d(1), conv(3)],
        [conv(3, padding=1, padding_mode="reflect")],
    ),
    "the outermost row twice": (
        [nn.ReplicationPad2d(1), nn.MaxPool2d(3)],
        [nn.MaxPool2d(3, padding=1)],
    ),
    "same": ([conv(3, padding="same")], [conv(3, padding=1)]),
    "a pad in two": (
        [nn.ZeroPad2d((1, 0, 1, 0)), nn.ZeroPad2d((0, 1, 0, 1)), conv(3)],
        [conv(3, padding=1)],
    ),
    "a pad around an activation": (
        [nn.ZeroPad2d(1), nn.ReLU(), conv(3)],
        [nn.ReLU(), conv(3, padding=1)],
    ),
    "a crop undone": ([nn.ZeroPad2d((0, 0, 2, 1)), Cropped(2, 1)], [nn.Identity()]),
    "counted padding": ([nn.ZeroPad2d(1), nn.AvgPool2d(3, 2)], [nn.AvgPool2d(3, 2, 1)]),
    "nothing to a max pool": (
        [nn.ConstantPad2d(1, -math.inf), nn.MaxPool2d(3, 2)],
        [nn.MaxPool2d(3, 2, 1)],
    ),
    "a pool of halves": ([nn.AvgPool2d(2)], [nn.AdaptiveAvgPool2d(7)]),
    "maxima of halves": ([nn.AdaptiveMaxPool2d(7)], [nn.MaxPool2d(2)]),
    "ceil that changes nothing": ([nn.MaxPool2d(2, ceil_mode=True)], [nn.MaxPool2d(2)]),
    "halves by a resize": ([nn.AvgPool2d(2)], [nn.Upsample(scale_factor=0.5, mode="bilinear")]),
    "a size": ([up(mode="bilinear")], [Fixed()]),
    "swish": ([nn.SiLU()], [Swish()]),
    "a sum": ([Skip(conv(3, padding=1))], [Skip(conv(3, padding=1), first=True)]),
    "a stride of one tap": ([conv(1, 2)], [nn.MaxPool2d(1, 2), conv(1)]),
}


def whole(middle: list[nn.Module]) -> nn.Module:
    return nn.Sequential(conv(3), *middle, conv(3, padding=1), nn.ReLU(), conv(3, 2)).eval()


@pytest.mark.parametrize("fact", APART)
def test_one_fact_is_named_at_its_layer(fact: str) -> None:
    one, other, layer, what = APART[fact]
    rows = list(padviz.diff(whole(one), whole(other), SIZE))
    assert (str(rows[0].layer), rows[0].what) == (layer, what)
    assert all(row.value != row.other_value for row in rows)
    assert list(padviz.diff(whole(other), whole(one), SIZE))
    later = [row for row in rows if row.layer == "2" and row.other_layer == "2"]
    assert not later or layer == "2"  # what only has another size is no difference


@pytest.mark.parametrize("spelling", ALIKE)
def test_another_spelling_is_no_difference(spelling: str) -> None:
    one, other = ALIKE[spelling]
    assert not list(padviz.diff(whole(one), whole(other), SIZE))
    assert "every unit reads the same" in str(padviz.diff(whole(one), whole(other), SIZE))


@pytest.mark.filterwarnings("ignore")  # of the exporter
@pytest.mark.parametrize("name", [*APART, *ALIKE][::2])
def test_a_module_and_its_own_export_are_alike(name: str, tmp_path: Path) -> None:
    module, path = whole((APART.get(name) or ALIKE[name])[0]), tmp_path / "net.onnx"
    torch.onnx.export(
        module, (torch.zeros(1, 3, SIZE, SIZE),), str(path), dynamo=False, opset_version=18
    )
    assert not list(padviz.diff(module, path, SIZE))
    assert not list(padviz.diff(module, parse_again(module, tmp_path), SIZE))


def parse_again(module: nn.Module, folder: Path) -> Path:
    path = folder / "net.toml"
    padviz.convert(module, SIZE).save(path)
    return path


KERNEL = ", ".join(["1"] * 81)
GRAPH = f"""<ir_version: 8, opset_import: ["": 17]>
g (float[1,3,h,w] image) => (float[n,c,p,q] y)
<float[3,3,3,3] k = {{{KERNEL}}}> {{ x = Relu(image)  z = NODE  y = Relu(z) }}"""
NODES = [
    ('ConvTranspose <pads = [1,1,0,0]> (x, k)', 'ConvTranspose <pads = [0,0,1,1]> (x, k)', "padding"),
    ('Conv <auto_pad = "SAME_UPPER", strides = [2,2]> (x, k)', 'Conv <auto_pad = "SAME_LOWER", strides = [2,2]> (x, k)',
     "padding"),
    ('AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (x)',
     'AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1> (x)', "mode"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "what"), NODES)
def test_nodes_of_a_file_that_differ_in_one_attribute(
    one: str, other: str, what: str, tmp_path: Path
) -> None:
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for path, node in zip(paths, (one, other), strict=True):
        onnx.save(onnx.parser.parse_model(GRAPH.replace("NODE", node)), path)
    rows = list(padviz.diff(*paths, SIZE))
    assert rows[0].what == what
    assert not list(padviz.diff(paths[0], paths[0], SIZE))


def test_pools_that_heads_read_are_compared() -> None:
    def net(pool: nn.Module) -> nn.Module:
        return nn.Sequential(conv(3), pool, nn.Flatten(), nn.LazyLinear(2))

    def pooled(one: nn.Module, other: nn.Module) -> list[Any]:
        nets = [net(each) for each in (one, other)]
        for each in nets:
            each(torch.zeros(1, 3, SIZE, SIZE))
        return list(padviz.diff(*nets, SIZE))

    (row,) = pooled(nn.AdaptiveAvgPool2d(7), nn.AdaptiveAvgPool2d(6))
    assert (row.layer, row.what, row.value, row.other_value) == ("1", "output", "7", "6")
    assert pooled(nn.AdaptiveAvgPool2d(7), nn.AdaptiveMaxPool2d(7))
    assert not pooled(nn.AdaptiveAvgPool2d(1), nn.AvgPool2d(14))
    assert not pooled(nn.AdaptiveAvgPool2d(7), nn.AvgPool2d(2))
    assert pooled(nn.AdaptiveAvgPool2d(1), nn.AvgPool2d(13))


def test_differences_between_descriptions() -> None:
    net = padviz.load("mobilenet_v1")
    assert not padviz.diff(net, net, 224)
    assert not padviz.diff(net, with_same(net), 225)
    rows = list(padviz.diff(net, with_same(net), 224))
    assert {row.what for row in rows} == {"padding", "padding read"}
    assert {row.layer for row in rows} == {row.layer for row in padviz.uneven(net, 224).uneven}
    assert {row.change for row in rows} == {"pad 0 before and 1 after", ""}
    step = {"op": "conv", "kernel": 3, "padding": 1}
    layers = {**step, "name": "x", "kernel": [3, 5]}, {**step, "name": "y"}
    found = padviz.diff(*(parse({"layers": [layer]}, "net") for layer in layers), 9)
    assert [
        (row.layer, row.other_layer, row.axis, row.what, row.value, row.other_value, row.change)
        for row in found
    ] == [
        ("x", "y", "width", "kernel", "5", "3", "set it to 3"),
        ("x", "y", "width", "output", "7", "9", ""),
    ]
    gone = padviz.diff("vgg16", "vgg13", 224)
    assert [(row.layer, row.other_value) for row in gone] == [
        (f"features.{i}", "missing") for i in (14, 21, 24)
    ]


def test_a_layer_that_copies_each_row_is_not_named() -> None:
    nets = [
        whole([conv(1, 2), conv(1), nn.AvgPool2d(3, 2, 1, ceil_mode=ceil)])
        for ceil in (False, True)
    ]
    assert {row.layer for row in padviz.diff(*nets, 18)} == {"3"}


def test_both_grid_offsets_stand_at_the_end() -> None:
    text = str(padviz.diff("mobilenet_v1", size=224, same=True))
    assert "end of A: height -15.5 px, width -15.5 px" in text
    assert "end of B: height +15.5 px, width +15.5 px" in text


def test_a_branch_that_reads_another_layer_is_a_difference() -> None:
    steps = [{"op": "conv", "name": name, "kernel": 3, "padding": 1} for name in "abc"]
    nets = [
        parse({"layers": [*steps, {"op": "add", "name": "s", "from": ["c", skip]}]}, "net")
        for skip in ("a", "b")
    ]
    (row,) = padviz.diff(*nets, 9)
    assert (row.layer, row.what, row.value, row.other_value) == ("s", "inputs", "a, c", "b, c")


class Sums(nn.Module):
    """A sum of three branches, with brackets around the first or the last two."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.branches, self.first = (
            nn.ModuleList([conv(k, padding=k // 2) for k in (3, 5, 7)]),
            first,
        )

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = (branch(x) for branch in self.branches)
        return (a + b) + c if self.first else a + (b + c)


def test_of_equal_branches_the_one_that_differs_is_named() -> None:
    one, other = (nn.ModuleDict({name: conv(3, padding=1) for name in "ab"}) for _ in range(2))
    one["c"] = other["c"] = conv(5, padding=2)
    other["a"] = conv(3, padding=1, padding_mode="reflect")
    rows = padviz.diff(Branches(one), Branches(other), SIZE)
    assert [(row.layer, row.other_layer) for row in rows] == [("branches.a", "branches.a")]


def test_brackets_of_a_sum_are_no_difference() -> None:
    assert not padviz.diff(whole([Sums(True)]), whole([Sums(False)]), SIZE)


def test_blocks_of_attention_are_compared() -> None:
    nets = [
        parse({"layers": [{"op": "mixing", "name": "m", "size": size, "step": step}]}, "net")
        for size, step in ((4, 1), (2, 1), (2, 2), (2, 4))
    ]
    for one, other in pairwise(nets):
        assert {row.layer for row in padviz.diff(one, other, 8)} == {"m"}
        assert not padviz.diff(one, one, 8)


def test_branches_in_another_order_are_compared_with_their_own() -> None:
    def net(order: list[str], rows: list[int]) -> padviz.Network:
        steps = [
            {"op": "conv", "name": "a", "kernel": 3, "from": "input"},
            {"op": "conv", "name": "b", "kernel": 5, "padding": 1, "from": "input"},
            {"op": "crop", "name": "left", "padding": [rows, [0, 1]], "from": "a"},
            {"op": "crop", "name": "right", "padding": [[1, 0], [0, 1]], "from": "b"},
        ]
        return parse({"layers": [*steps, {"op": "add", "name": "s", "from": order}]}, "net")

    first, turned = ["left", "right"], ["right", "left"]
    assert not padviz.diff(net(first, [1, 0]), net(turned, [1, 0]), 12)
    (row,) = padviz.diff(net(first, [1, 0]), net(turned, [0, 1]), 12)
    assert (row.layer, row.other_layer, row.what, row.value, row.other_value) == (
        "left",
        "left",
        "crop",
        "1+0",
        "0+1",
    )
