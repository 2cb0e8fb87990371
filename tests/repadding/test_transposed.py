"""The transpose law: a file turned by 90 degrees is repadded to what its repadded original is, turned."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import padviz
from padviz.network.targets import target_names
from padviz.repadding.onnx_file import repad_file
from tests.cli.test_cli import run
from tests.onnx_oracle import run_file
from tests.repadding.test_onnx_graphs import sized
from tests.sources.test_onnx_ops import model_of

Pair = tuple[int, int]
SCHEMES = ("zero", "reflect", "symmetric", "circular", "replicate", "partial", "reflect/circular", "partial/symmetric")
NODES = {  # that pad in every way, on one axis or both
    "uneven": "y = Conv <pads = [2, 1, 0, 3], strides = [2, 1], dilations = [1, 2]> (x, w4x3)",
    "same": "a = Conv <auto_pad = \"SAME_UPPER\", strides = [1, 2]> (x, w4x3)\n"
    "y = Conv <auto_pad = \"SAME_LOWER\", strides = [2, 1]> (a, w2x4)",
    "pads": "a = Pad (x, [0, 0, 1, 0, 0, 0, 2, 1])\n b = Conv (a, w3x4)\n"
    "c = Pad <mode = \"edge\"> (b, [0, 0, 0, 2, 0, 0, 1, 2])\n y = Conv (c, w2x3)",
    "branches": "a = Conv <pads = [0, 1, 0, 1]> (x, w1x3)\n b = Conv <pads = [1, 2, 1, 2]> (a, w3x5)\n c = Add (a, b)\n"
    "d = MaxPool <kernel_shape = [3, 2], strides = [2, 1], pads = [1, 0, 1, 1]> (c)\n"
    "y = Conv <pads = [1, 1, 1, 1]> (d, w3x3)",
}  # fmt: skip
EVEN = {  # windows that read their padding unevenly: strides that can be pooled, and pads that can be shared out
    True: "a = Conv <pads = [1, 2, 1, 2], strides = [2, 2]> (x, w3x5)\n"
    "b = Conv <pads = [2, 1, 2, 1], strides = [2, 2]> (a, w5x3)\n c = Conv <strides = [2, 2]> (a, w1x1)\n"
    "d = Add (b, c)\n e = MaxPool <kernel_shape = [2, 3], strides = [2, 2], pads = [0, 1, 0, 1]> (d)\n"
    "y = Conv <pads = [1, 0, 1, 0]> (e, w3x1)",
    False: "a = Conv <pads = [0, 0, 4, 2], strides = [2, 2]> (x, w6x4)\n"
    "b = MaxPool <kernel_shape = [2, 3], strides = [2, 2], pads = [0, 1, 0, 1]> (a)\n"
    "y = Conv <pads = [1, 0, 1, 0]> (b, w3x1)",
}


def pair_of_files(body: str, size: Pair, folder: Path) -> tuple[Path, Path]:
    """A file, and the one for an image whose height is its width, and the other way round."""
    model = sized(model_of(body, 17), size)
    shape = model.graph.output[0].type.tensor_type.shape
    for _ in range(4):
        shape.dim.add()
    paths = folder / "net.onnx", folder / "turned" / "net.onnx"
    onnx.save(model, paths[0])
    sized(model, size[::-1])
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).swapaxes(2, 3).copy(), tensor.name))
    for each in (each for node in model.graph.node for each in node.attribute):
        if each.name in ("kernel_shape", "strides", "dilations"):
            each.ints[:] = each.ints[::-1]
        elif each.name in ("pads", "value_ints"):
            order = (1, 0, 3, 2) if len(each.ints) == 4 else (0, 1, 3, 2, 4, 5, 7, 6)
            each.ints[:] = [each.ints[i] for i in order]
    paths[1].parent.mkdir()
    onnx.save(model, paths[1])
    return paths


@pytest.mark.parametrize("name", NODES)
def test_a_file_turned_is_repadded_as_its_original_turned(name: str, tmp_path: Path) -> None:
    path, other = pair_of_files(NODES[name], (15, 22), tmp_path)
    image = np.random.default_rng(0).random((1, 1, 15, 22), dtype=np.float32)
    for scheme in SCHEMES:
        one, two = repad_file(path, scheme), repad_file(other, "/".join(scheme.split("/")[::-1]))
        assert one.changed == two.changed
        assert one.left == two.left == ()
        maps = [
            padviz.usage(each.network, each.plan.size, layer=target_names(None, each.network)) for each in (one, two)
        ]
        wanted = padviz.usage(path, padding=scheme).counts
        near = 1e-12 if "partial" in scheme else 0  # floats, which are added in another order
        np.testing.assert_allclose(maps[0].counts, wanted, rtol=near)
        np.testing.assert_allclose(maps[1].counts.T, wanted, rtol=near)
        (seen,), (twin,) = run_file(one.content, image), run_file(two.content, image.swapaxes(2, 3).copy())
        np.testing.assert_allclose(twin.swapaxes(2, 3), seen, rtol=1e-5)


def report(path: Path) -> Any:
    """What JSON tells, to 12 digits, since means are taken in another order."""
    result = run("repad", str(path), "--even", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "padviz: nothing is written; add -o FILE.onnx\n")
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


@pytest.mark.parametrize("pooled", EVEN)
def test_a_report_of_even_windows_turns_with_its_file(pooled: bool, tmp_path: Path) -> None:
    path, other = pair_of_files(EVEN[pooled], (16, 28), tmp_path)
    one, two = report(path), report(other)
    assert {row["pooled"] for row in one["changed"]} == {pooled}
    layers = {each.layer: each for each in padviz.uneven(path, one["size"]).layers}
    for row in one["changed"]:
        found = layers[row["layer"]]
        assert row["input"] == [found.height.input, found.width.input]
    assert of_axes(two) == one
