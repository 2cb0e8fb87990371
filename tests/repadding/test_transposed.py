"""The transpose law: a file turned by 90 degrees is repadded to what its repadded original is, turned."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import padviz
from padviz.network.targets import names_of
from padviz.repadding.onnx.file import repad_file
from tests.cli.test_cli import run
from tests.onnx_by_hand import run_file

Pair = tuple[int, int]
SCHEMES = ("zero", "reflect", "symmetric", "circular", "replicate", "partial")
TURNED = ("kernel_shape", "strides", "dilations")
CASES = range(12)
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


def report(path: Path) -> Any:
    """What JSON tells, to 12 digits, since means are taken in another order."""
    result = run("repad", str(path), "--even", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, NOTHING_WRITTEN)
    return json.loads(result.stdout, parse_float=lambda text: float(f"{float(text):.12g}"))


def of_axes(value: Any) -> Any:
    """A report whose height is its width: pairs by axis are turned, and corners that lie across."""
    if isinstance(value, list):
        return [of_axes(each) for each in value]
    if not isinstance(value, dict):
        return value
    names = {"height": "width", "width": "height", "top_right": "bottom_left", "bottom_left": "top_right"}
    found = {names.get(key, key): of_axes(each) for key, each in value.items()}
    pairs = {"size", "shape", "period", "input", "was", "now"} & found.keys()
    return found | {key: found[key][::-1] for key in pairs}


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
        large, small = file.conv(x, (5, 3), pads=[2, 1] * 2, strides=[2, 2]), file.conv(x, (1, 1), strides=[2, 2])
        x = file.add("Add", [large, small])
    x = file.add("MaxPool", [x], kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 0, 1])
    return file.model(file.conv(x, (3, 1), pads=[1, 0, 1, 0]))


@pytest.mark.parametrize("seed", range(6))
def test_a_report_of_even_windows_turns_with_its_file(seed: int, tmp_path: Path) -> None:
    path, other = pair_of_files(even_model(seed), tmp_path)
    one, two = report(path), report(other)
    assert {row["pooled"] for row in one["changed"]} == {seed % 2 == 0}
    layers = {each.layer: each for each in padviz.uneven(path, one["size"]).layers}
    for row in one["changed"]:
        found = layers[row["layer"]]
        assert row["input"] == [found.height.input, found.width.input]
    assert of_axes(two) == one
