"""The transpose law: a file turned by 90 degrees is repadded to what its repadded original is, turned."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import padviz
from padviz.network.targets import names_of
from padviz.repadding.onnx.file import repad_file
from tests.cli.test_cli import run
from tests.onnx_by_hand import run_file

Pair = tuple[int, int]
SCHEMES = ("zero", "reflect", "symmetric", "circular", "replicate", "partial")
TURNED = ("kernel_shape", "strides", "dilations")
CASES = range(24)
NOTHING_WRITTEN = "padviz: nothing is written; -o FILE.onnx says where to\n"


@dataclass
class File:
    """A file that is made node by node."""

    rng: np.random.Generator
    size: Pair
    opset: int
    nodes: list[Any] = field(default_factory=list)
    stored: list[Any] = field(default_factory=list)

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x: str, kernel: Pair, **attributes: Any) -> str:
        weight = self.rng.integers(1, 9, (2, 2, *kernel)).astype(np.float32)
        self.stored.append(numpy_helper.from_array(weight, f"w{len(self.nodes)}"))
        return self.add("Conv", [x, f"w{len(self.nodes)}"], kernel_shape=[*kernel], **attributes)

    def pad(self, x: str, amounts: list[int], mode: str) -> str:
        whole = np.array([0, 0, *amounts[:2], 0, 0, *amounts[2:]])
        self.stored.append(numpy_helper.from_array(whole, f"p{len(self.nodes)}"))
        return self.add("Pad", [x, f"p{len(self.nodes)}"], mode=mode)

    def model(self, last: str) -> Any:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, *self.size])
        made = helper.make_tensor_value_info(last, TensorProto.FLOAT, [None] * 4)
        graph = helper.make_graph(self.nodes, "net", [image], [made], self.stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def random_model(seed: int) -> Any:
    """Convolutions that pad in every way, on one axis or both, on an image that is no square."""
    rng = np.random.default_rng(seed)

    def pair(low: int, high: int) -> Pair:
        return int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1))

    file = File(rng, (int(rng.integers(14, 20)), int(rng.integers(20, 30))), int(rng.choice([13, 17, 19])))
    x = "image"
    for kind in rng.permutation(["conv", "same", "pad", "branch", rng.choice(["conv", "pool", "axis"])]):
        kernel = pair(1, 4)
        if kind == "conv":
            x = file.conv(x, kernel, pads=[*pair(0, 2), *pair(0, 2)], strides=[*pair(1, 2)], dilations=[*pair(1, 2)])
        elif kind == "same":
            x = file.conv(x, kernel, auto_pad=rng.choice(["SAME_UPPER", "SAME_LOWER"]), strides=[*pair(1, 2)])
        elif kind == "pad":
            x = file.conv(file.pad(x, [*pair(0, 2), *pair(0, 2)], rng.choice(["constant", "edge"])), kernel)
        elif kind == "branch":
            x = file.add("Add", [x, file.conv(x, (3, 5), pads=[1, 2, 1, 2])])
        elif kind == "pool":
            x = file.add("MaxPool", [x], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
        else:
            x = file.conv(x, (1, 3), pads=[0, 1, 0, 1])
    return file.model(file.conv(x, (3, 3), pads=[1, 1, 1, 1]))


def turned(model: Any) -> Any:
    """The file for an image whose height is its width, and the other way round."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    dims = found.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_value, dims[3].dim_value = dims[3].dim_value, dims[2].dim_value
    for tensor in found.graph.initializer:
        array = numpy_helper.to_array(tensor)
        swapped = array.transpose(0, 1, 3, 2) if array.ndim == 4 else array[[0, 1, 3, 2, 4, 5, 7, 6]]
        tensor.CopyFrom(numpy_helper.from_array(swapped.copy(), tensor.name))
    for node in found.graph.node:
        for each in node.attribute:
            if each.name in TURNED:
                each.ints[:] = each.ints[::-1]
            elif each.name == "pads":
                each.ints[:] = [each.ints[i] for i in (1, 0, 3, 2)]
    return found


def swapped(scheme: str) -> str:
    return "/".join(scheme.split("/")[::-1])


def pair_of_files(model: Any, folder: Path) -> tuple[Path, Path]:
    onnx.save(model, folder / "net.onnx")
    (folder / "turned").mkdir()
    onnx.save(turned(model), folder / "turned" / "net.onnx")
    return folder / "net.onnx", folder / "turned" / "net.onnx"


@pytest.mark.parametrize("seed", CASES)
def test_a_file_turned_is_repadded_as_its_original_turned(seed: int, tmp_path: Path) -> None:
    model = random_model(seed)
    path, other = pair_of_files(model, tmp_path)
    height, width = (SCHEMES[(seed // n) % len(SCHEMES)] for n in (1, 5))
    for scheme in (height, f"{height}/{width}"):
        one, two = repad_file(path, scheme), repad_file(other, swapped(scheme))
        assert one.changed == two.changed
        assert one.left == two.left == ()
        maps = [padviz.usage(each.network, each.plan.size, layer=names_of(None, each.network)) for each in (one, two)]
        wanted = padviz.usage(path, padding=scheme).counts
        if "partial" in scheme:  # floats, which are added in another order
            np.testing.assert_allclose(maps[1].counts.T, wanted, rtol=1e-12)
        else:
            np.testing.assert_array_equal(maps[1].counts.T, wanted)
        np.testing.assert_array_equal(maps[0].counts, wanted)
        image = np.random.default_rng(seed).random((1, 2, *one.plan.size), dtype=np.float32)
        (seen,), (twin,) = run_file(one.content, image), run_file(two.content, image.transpose(0, 1, 3, 2).copy())
        np.testing.assert_allclose(twin.transpose(0, 1, 3, 2), seen, rtol=1e-5)


def report(path: Path, *words: str) -> Any:
    """What JSON tells, to 12 digits, since means are taken in another order."""
    result = run("repad", str(path), *words, "--format", "json")
    assert (result.exit_code, result.stderr) == (0, NOTHING_WRITTEN)
    return json.loads(result.stdout, parse_float=lambda text: float(f"{float(text):.12g}"))


def of_axes(value: Any) -> Any:
    """A report whose height is its width: pairs by axis are turned, and corners that lie across."""
    if isinstance(value, dict):
        names = {"height": "width", "width": "height", "top_right": "bottom_left", "bottom_left": "top_right"}
        found = {names.get(key, key): of_axes(each) for key, each in value.items()}
        return found | {
            key: found[key][::-1] for key in ("size", "shape", "period", "input", "was", "now") if key in found
        }
    return [of_axes(each) for each in value] if isinstance(value, list) else value


def even_model(seed: int) -> Any:
    """Windows that read their padding unevenly, whose pads can be shared out or whose strides can be pooled."""
    rng = np.random.default_rng(seed)
    file = File(rng, (int(rng.integers(3, 6)) * 4, int(rng.integers(6, 9)) * 4), 17)
    if seed % 2:  # an even number of rows on the far sides
        pads = [0, 0, 2 * int(rng.integers(1, 3)), 2 * int(rng.integers(0, 2))]
        x = file.conv("image", (pads[2] + 2, pads[3] + 2), pads=pads, strides=[2, 2])
    else:
        kernel = (3, 3) if seed % 4 else (3, 5)
        x = file.conv("image", kernel, pads=[n // 2 for n in kernel] * 2, strides=[2, 2])
        x = file.add(
            "Add", [file.conv(x, (5, 3), pads=[2, 1] * 2, strides=[2, 2]), file.conv(x, (1, 1), strides=[2, 2])]
        )
    x = file.add("MaxPool", [x], kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 0, 1])
    return file.model(file.conv(x, (3, 1), pads=[1, 0, 1, 0]))


@pytest.mark.parametrize("seed", range(8))
def test_a_report_of_even_windows_turns_with_its_file(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, other = pair_of_files(even_model(seed), tmp_path)
    one, two = report(path, "--even"), report(other, "--even")
    assert {row["pooled"] for row in one["changed"]} == {seed % 2 == 0}
    for row in one["changed"]:
        layer = padviz.uneven(path, one["size"]).layers
        (found,) = (each for each in layer if each.layer == row["layer"])
        assert row["input"] == [found.height.input, found.width.input]
    assert of_axes(two) == one


@pytest.mark.parametrize("seed", CASES)
def test_a_report_turns_with_its_file(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, other = pair_of_files(random_model(seed), tmp_path)
    scheme = f"{SCHEMES[seed % 5]}/{SCHEMES[(seed + 1) % 5]}"
    one, two = report(path, "--padding", scheme), report(other, "--padding", swapped(scheme))
    assert of_axes(two | {"padding": scheme}) == one


def modules() -> Iterator[Any]:
    """A module that pads in convolutions and before them, on one axis and both; and the same one, turned."""
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(2, 3, (3, 5), (2, 1), (1, 2)),
        nn.ZeroPad2d((1, 2, 0, 3)),
        nn.Conv2d(3, 3, (4, 2), padding=(1, 0), dilation=(1, 2)),
        nn.ReLU(),
        nn.Conv2d(3, 3, (1, 3), padding=(0, 1)),
        nn.Conv2d(3, 2, (2, 4), padding="same"),
    )
    yield plain
    other = copy.deepcopy(plain)
    for each in other.modules():
        if isinstance(each, nn.ZeroPad2d):
            each.padding = (each.padding[2], each.padding[3], each.padding[0], each.padding[1])
        if isinstance(each, nn.Conv2d):
            each.weight.data = each.weight.data.transpose(2, 3).contiguous()
            for name in ("kernel_size", "stride", "padding", "dilation"):
                value = getattr(each, name)
                setattr(each, name, value if isinstance(value, str) else value[::-1])
    yield other


@pytest.mark.parametrize("scheme", [*SCHEMES, "zero/circular", "symmetric/partial", "partial/reflect"])
def test_a_module_turned_is_repadded_as_its_original_turned(scheme: str) -> None:
    size = (21, 30)
    plain, other = modules()
    one, two = padviz.repad(plain, scheme, size=size), padviz.repad(other, swapped(scheme), size=size[::-1])
    assert one.repadded.changed == two.repadded.changed
    assert one.repadded.left == two.repadded.left == ()
    maps = [padviz.usage(one, size).counts, padviz.usage(two, size[::-1]).counts.T]
    wanted = padviz.usage(plain, size, padding=scheme).counts
    for counts in maps:
        np.testing.assert_allclose(counts, wanted, rtol=1e-12 if "partial" in scheme else 0)
    image = torch.rand(1, 2, *size)
    assert torch.allclose(one(image), two(image.transpose(2, 3)).transpose(2, 3), atol=1e-5)
