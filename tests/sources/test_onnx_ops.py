"""Each operation and habit of exporters in a small graph, held against what onnxruntime makes of single bright pixels.

All weights are one, so in a graph of linear operations the sum over the outputs of an image that is zero but
for one pixel is the number of paths from that pixel: the usage map, by running the file itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

import padviz
from padviz.axis.operations import Window
from padviz.errors import PadvizError
from padviz.network.targets import last_maps
from tests.onnx_oracle import session_of


def sections(text: str) -> Iterator[tuple[str, str, str]]:
    """The graphs of a file, as (title, opset [, channels that sum up to as many times the paths], nodes)."""
    for each in text.split("\n# ")[1:]:
        title, _, body = each.partition("\n")
        name, _, opset = title.partition(" | ")
        yield name, opset, body


GRAPHS, MEANS = (
    [*sections(part)] for part in (Path(__file__).parents[1] / "onnx_graphs.txt").read_text().split("\n----\n")
)


def model_of(body: str, opset: int, channels_last: int = 0) -> Any:
    """The graph with these nodes, and weights of ones, as their names ask; so many channels are last, or one first."""
    lines = [line.strip() for line in body.split("\n")]
    lines.sort(key=lambda line: not line.partition("=")[2].strip().startswith("Constant "))  # constants first
    dims = f"N, H, W, {channels_last}" if channels_last else "N, 1, H, W"
    head = f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[{dims}] x) => (float[] y)'
    model = parser.parse_model(f"{head} {{ {' '.join(lines)} }}")
    names = {name for node in every_node(model.graph) for name in node.input}
    for name in sorted(names):
        if name[:1] in "wf" and "x" in name:
            kernel = [int(n) for n in name[1:].split("x")]
            more = kernel[2] if len(kernel) > 2 else 1
            shape = (1, more, *kernel[:2]) if name[0] == "w" else (more, 1, *kernel[:2])
            model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, dtype=np.float32), name))
    return model


def every_node(graph: Any) -> list[Any]:
    inner = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    return [*graph.node, *(node for each in inner for node in every_node(each))]


def bright_pixels(model: Any, size: tuple[int, int], channels_last: int = 0) -> np.ndarray:
    """For each pixel the sum over the outputs of the image that is one there and zero elsewhere."""
    session = session_of(model)
    found = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            image = np.zeros((1, channels_last or 1, *size), dtype=np.float32)
            image[0, 0, y, x] = 1
            image = np.moveaxis(image, 1, 3) if channels_last else image
            found[y, x] = session.run(None, {"x": image})[0].astype(np.float64).sum()
    return found


def saved(model: Any, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(("name", "opset", "body"), GRAPHS, ids=[each[0] for each in GRAPHS])
def test_each_operation_reads_what_onnxruntime_reads(name: str, opset: str, body: str, tmp_path: Path) -> None:
    version, _, channels = opset.partition(" | ")
    model = model_of(body, int(version))
    net = padviz.load(saved(model, tmp_path), size=(6, 8))
    assert not [layer.note for layer in net.layers if layer.note]
    sizes = 0
    for size in [(6, 8), (8, 10)]:
        try:
            expected = bright_pixels(model, size)
        except Exception:  # what holds its size in numbers
            continue
        try:
            counts = padviz.usage(net, size).counts * int(channels or 1)
        except padviz.PadvizError as error:  # rows in an order that is padding at one size alone
            if size == (6, 8) or "in an order that no padding has" not in str(error):
                raise
            continue
        np.testing.assert_array_equal(counts, expected, err_msg=str(size))
        sizes += 1
    assert sizes


@pytest.mark.parametrize(("name", "opset", "body"), MEANS, ids=[each[0] for each in MEANS])
def test_averages_weigh_as_onnxruntime_weighs(name: str, opset: str, body: str, tmp_path: Path) -> None:
    model = model_of(body, int(opset))
    counts = padviz.usage(padviz.load(saved(model, tmp_path), size=(6, 8)), (6, 8), pooling="mean").counts
    np.testing.assert_allclose(counts, bright_pixels(model, (6, 8)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
@pytest.mark.parametrize("nodes", ["c = Conv <pads = [0, 0, 2, 2]> (a, w3x3)", "c = Sigmoid (b)"])
def test_bits_join_maps_as_products_do(op: str, nodes: str, tmp_path: Path) -> None:
    before = "a = Conv (x, w3x3)\n b = Conv <pads = [2, 2, 0, 0]> (a, w3x3)"
    text = f"{before}\n {nodes}\n d = {{}} (b, c)\n y = Conv (d, w2x2)"
    joined, multiplied = (
        padviz.usage(saved(model_of(text.format(each), 18), tmp_path), (9, 10)).counts for each in (op, "Mul")
    )
    np.testing.assert_array_equal(joined, multiplied)


def test_windows_of_a_norm_count_as_pools_do(tmp_path: Path) -> None:
    text = '{} kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_LOWER"> (x)'
    norm, most = (
        padviz.usage(saved(model_of(f"y = {text.format(each)}", 12), tmp_path), (7, 8)).counts
        for each in ("LpPool <p = 2,", "MaxPool <")
    )
    np.testing.assert_array_equal(norm, most)


def test_channels_last_images_have_height_and_width_in_the_middle(tmp_path: Path) -> None:
    body = "a = Transpose <perm = [0, 3, 1, 2]> (x)\n b = Conv <strides = [2, 1], pads = [1, 0, 0, 0]> (a, w3x2)\n"
    model = model_of(body + " y = Transpose <perm = [0, 2, 3, 1]> (b)", 13, channels_last=1)
    counts = padviz.usage(saved(model, tmp_path), (6, 8)).counts
    np.testing.assert_array_equal(counts, bright_pixels(model, (6, 8), channels_last=1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_last_shows_in_the_number_of_channels(channels: int, tmp_path: Path) -> None:
    body = "c = Cast <to = 1> (x)\n a = Transpose <perm = [0, 3, 1, 2]> (c)\n y = Conv <strides = [2, 1]> (a, w3x2x"
    model = model_of(f"{body}{channels})", 13, channels_last=channels)
    counts = padviz.usage(saved(model, tmp_path), (6, 8)).counts
    np.testing.assert_array_equal(counts, bright_pixels(model, (6, 8), channels_last=channels))


def test_a_size_in_the_file_is_the_default(tmp_path: Path) -> None:
    model = model_of("y = Conv (x, w3x3)", 13)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 48
    path = saved(model, tmp_path)
    assert padviz.load(path).size == (48, 224)
    assert padviz.load(path, size=(10, 20)).size == padviz.usage(path, (10, 20)).size == (10, 20)


def test_a_slice_that_is_read_twice_is_laid_once(tmp_path: Path) -> None:
    body = """s = Constant <value_ints = [1]> ()\n e = Constant <value_ints = [-1]> ()
 h = Constant <value_ints = [2]> ()
 a = Slice (x, s, e, h)\n b = Conv <pads = [1, 1, 1, 1]> (a, w3x3)\n y = Add (a, b)"""
    net = padviz.load(saved(model_of(body, 13), tmp_path))
    assert [layer.kind for layer in net.layers] == ["input", "crop", "conv", "add"]


PADS_OF_SAME = """n = Shape (x)
 r = Constant <value_ints = [2]> ()
 e = Constant <value_ints = [4]> ()
 hw = Slice (n, r, e)
 one = Constant <value = int64 {1}> ()
 two = Constant <value = int64 {2}> ()
 three = Constant <value = int64 {3}> ()
 zero = Constant <value_ints = [0, 0]> ()
 up = Add (hw, one)
 m = Div (up, two)
 l = Sub (m, one)
 k = Mul (l, two)
 t = Add (k, three)
 u = Sub (t, hw)
 v = Max (u, zero)
 b = Div (v, two)
 a = Sub (v, b)
 p = Concat <axis = 0> (zero, b, zero, a)
 q = Pad (x, p)
 y = Conv <strides = [2, 2]> (q, w3x3)"""


def test_padding_computed_from_the_shape_is_followed_at_each_size(tmp_path: Path) -> None:
    model = model_of(PADS_OF_SAME, 13)
    net = padviz.load(saved(model, tmp_path), size=(9, 8))
    for size in ((9, 8), (6, 7)):
        np.testing.assert_array_equal(padviz.usage(net, size).counts, bright_pixels(model, size))


NEUTRAL_TAILS = {
    "silu": "s = Sigmoid (a)\n y = Mul (a, s)",
    "hard swish written out": "c = Constant <value = float {3}> ()\n b = Add (a, c)\n d = Clip (b)\n y = Mul (a, d)",
    "gelu written out": "s = Mul (a, a)\n c = Mul (s, a)\n b = Add (a, c)\n t = Tanh (b)\n y = Mul (a, t)",
    "layer norm": "m = ReduceMean <axes = [1]> (a)\n b = Sub (a, m)\n c = Mul (b, b)\n d = Sqrt (c)\n y = Div (b, d)",
    "softmax over channels": "y = Softmax <axis = 1> (a)",
    "best channel": "y = ArgMax <axis = 1> (a)",
    "a choice": "c = Constant <value = float {0}> ()\n g = Greater (a, c)\n b = Mul (a, c)\n y = Where (g, a, b)",
    "local response": """b = Mul (a, a)\n u = Unsqueeze <axes = [1]> (b)
 p = Pad <mode = "constant"> (u, k)\n k = Constant <value_ints = [0, 0, 1, 0, 0, 0, 0, 1, 0, 0]> ()
 d = AveragePool <kernel_shape = [3, 1, 1], strides = [1, 1, 1]> (p)\n e = Squeeze <axes = [1]> (d)\n y = Div (a, e)""",
    "prelu": "c = Constant <value = float[1, 1, 1] {0.1}> ()\n y = PRelu (a, c)",
}


@pytest.mark.parametrize("name", NEUTRAL_TAILS)
def test_activations_are_neutral_however_they_are_written(name: str, tmp_path: Path) -> None:
    model = model_of("a = Conv (x, w3x3)\n " + NEUTRAL_TAILS[name], 13 if "softmax" in name else 12)
    net = padviz.load(saved(model, tmp_path))
    assert [layer.name for layer in net.layers] == ["input", "a"]
    assert net.targets == ("a",)


GATES = {
    "global average": "p = GlobalAveragePool (a)\n b = Conv (p, w1x1)\n c = Sigmoid (b)\n d = Mul (a, c)",
    "mean, dense": """p = ReduceMean <axes = [2, 3], keepdims = 0> (a)\n w = Constant <value = float[1, 1] {1}> ()
 b = MatMul (p, w)\n s = Constant <value_ints = [1, 1, 1, 1]> ()\n c = Reshape (b, s)\n d = Mul (c, a)""",
    "mean taken away": "p = GlobalAveragePool (a)\n d = Sub (a, p)",
}


@pytest.mark.parametrize("name", GATES)
def test_squeeze_and_excitation_is_a_gate(name: str, tmp_path: Path) -> None:
    model = model_of(f"a = Conv (x, w3x3)\n {GATES[name]}\n y = Conv (d, w3x3)", 11)
    net = padviz.load(saved(model, tmp_path))
    assert [layer.kind for layer in net.layers] == ["input", "conv", "gate", "conv"]
    assert net.gates == ("d",)


def test_a_vector_that_is_added_is_counted_everywhere(tmp_path: Path) -> None:
    body = "a = Conv (x, w3x3)\n p = GlobalAveragePool (a)\n b = Conv (p, w1x1)\n y = Add (a, b)"
    net = padviz.load(saved(model_of(body, 13), tmp_path))
    assert [layer.name for layer in net.layers] == ["input", "a", "p", "b", "y.spread", "y"]
    once = padviz.usage(net, (6, 7), layer="a").counts
    assert (padviz.usage(net, (6, 7)).counts == once * (1 + 4 * 5)).all()


SOFTMAXES = {  # axis, and the units of a 4 x 5 map that one of them sees
    -1: (1, 5),
    2: (4, 1),
    1: (1, 1),
}


@pytest.mark.parametrize("axis", SOFTMAXES)
def test_softmax_over_rows_or_columns_sees_all_of_them(axis: int, tmp_path: Path) -> None:
    model = model_of(f"a = Conv (x, w1x1)\n b = Softmax <axis = {axis}> (a)\n y = Conv (b, w1x1)", 13)
    counts = padviz.usage(saved(model, tmp_path), (4, 5), unit=(2, 3)).counts
    rows, cols = np.nonzero(counts)
    assert (len({*rows}), len({*cols})) == SOFTMAXES[axis]
    assert counts.max() == 1


def test_rows_that_meet_columns_are_refused(tmp_path: Path) -> None:
    for join in ("y = Add (a, t)", "y = Concat <axis = 1> (a, t)"):
        model = model_of(f"a = Conv (x, w3x3)\n t = Transpose <perm = [0, 1, 3, 2]> (a)\n {join}", 13)
        with pytest.raises(PadvizError, match="joins"):
            padviz.usage(saved(model, tmp_path), (8, 8))


def test_rows_that_meet_channels_of_another_map_are_refused(tmp_path: Path) -> None:
    model = model_of("a = Conv (x, f3x3x6)\n t = Transpose <perm = [0, 2, 1, 3]> (a)\n y = Add (a, t)", 13)
    with pytest.raises(PadvizError, match="joins 1x6x6x6 and 1x6x6x6, whose rows and columns do not line up"):
        padviz.usage(saved(model, tmp_path), (8, 8))


def test_the_outer_part_of_rows_is_no_block_of_channels(tmp_path: Path) -> None:
    body = """a = Conv (x, w1x1)\n s = Constant <value_ints = [1, 1, 2, 4, 2, 5]> ()\n b = Reshape (a, s)
 c = Transpose <perm = [0, 1, 2, 4, 3, 5]> (b)\n t = Constant <value_ints = [1, 4, 4, 5]> ()\n d = Reshape (c, t)
 e = ReduceMax <axes = [1], keepdims = 1> (d)\n y = Conv (e, w1x1)"""
    with pytest.raises(PadvizError, match="`layer` e stops before it"):
        padviz.usage(saved(model_of(body, 13), tmp_path), (8, 10))


SPLIT = """a = Conv (x, w1x1)
 s = Constant <value_ints = [1, 1, 2, 4, 2, 5]> ()
 b = Reshape (a, s)"""
JOINED = """z = Constant <value_ints = [1, 1, 8, 10]> ()
 e = Reshape (d, z)
 y = Conv (e, w1x1)"""
SPLITS = {
    "a window's mean added to it": f"""{SPLIT}\n t = Constant <value_ints = [3, 5]> ()
 m = ReduceMean (b, t)\n d = Add (b, m)\n {JOINED}""",
    "zeros inside of windows": f"""{SPLIT}\n t = Constant <value_ints = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]> ()
 y = Pad (b, t)""",
    "mean over the outer part": f"""{SPLIT}\n t = Constant <value_ints = [2, 4]> ()
 d = ReduceMean <keepdims = 0> (b, t)\n y = Conv (d, w1x1)""",
    "rows times columns": "a = Conv (x, w1x1)\n d = MatMul (a, a)\n y = Conv (d, w1x1)",
}


@pytest.mark.parametrize("name", SPLITS)
def test_what_mixes_parts_of_rows_is_refused(name: str, tmp_path: Path) -> None:
    size = (8, 8) if "times" in name else (8, 10)
    with pytest.raises(PadvizError, match="`layer`"):
        padviz.usage(saved(model_of(SPLITS[name], 18), tmp_path), size)


@pytest.mark.parametrize(("axis", "rows"), [(3, slice(0, 4)), (2, slice(0, 8, 4))])
def test_softmax_over_a_part_of_rows_sees_what_differs_in_it(axis: int, rows: slice, tmp_path: Path) -> None:
    model = model_of(f"{SPLIT}\n d = Softmax <axis = {axis}> (b)\n {JOINED}", 18)
    expected = np.zeros((8, 10))
    expected[rows, 1] = 1
    np.testing.assert_array_equal(padviz.usage(saved(model, tmp_path), (8, 10), unit=(0, 1)).counts, expected)


def test_rows_that_are_put_behind_the_others_are_rolled(tmp_path: Path) -> None:
    body = """a = Conv (x, w1x1)\n z = Constant <value_ints = [0]> ()\n t = Constant <value_ints = [3]> ()
 e = Constant <value_ints = [99]> ()\n k = Constant <value_ints = [2]> ()
 p = Slice (a, t, e, k)\n q = Slice (a, z, t, k)\n b = Concat <axis = 2> (p, q)\n y = Conv (b, w1x1)"""
    counts = padviz.usage(saved(model_of(body, 18), tmp_path), (8, 10), unit=(6, 2)).counts
    assert [*zip(*np.nonzero(counts), strict=True)] == [(1, 2)]


def test_a_mask_cuts_the_windows_of_scores(tmp_path: Path) -> None:
    """Of the last four rows of one column the first three see each other, and the last one itself."""
    seen = np.ones((2, 4, 4))
    seen[1, 3, :3] = seen[1, :3, 3] = 0
    mask = ", ".join(str(100.0 * (each - 1)) for each in seen.ravel())
    body = f"""a = Conv (x, w1x1)\n s = Constant <value_ints = [1, 1, 2, 4]> ()\n v = Reshape (a, s)
 w = Constant <value_ints = [1, 2, 4, 1]> ()\n q = Reshape (a, w)\n t = Transpose <perm = [0, 1, 3, 2]> (q)
 r = MatMul (q, t)\n m = Constant <value_floats = [{mask}]> ()\n g = Constant <value_ints = [2, 4, 4]> ()
 n = Reshape (m, g)\n d = Add (r, n)\n f = Softmax <axis = 3> (d)\n o = MatMul (f, q)
 z = Constant <value_ints = [1, 1, 8, 1]> ()\n e = Reshape (o, z)\n y = Conv (e, w1x1)"""
    for unit, rows in {2: [0, 1, 2, 3], 4: [4, 5, 6], 7: [7]}.items():
        counts = padviz.usage(saved(model_of(body, 18), tmp_path), (8, 1), unit=(unit, 0)).counts
        assert np.flatnonzero(counts).tolist() == rows


def test_a_window_is_averaged_over_the_inner_part(tmp_path: Path) -> None:
    body = f"{SPLIT}\n t = Constant <value_ints = [3, 5]> ()\n y = ReduceMean <keepdims = 0> (b, t)"
    counts = padviz.usage(saved(model_of(body, 18), tmp_path), (8, 10), unit=(0, 1)).counts
    expected = np.zeros((8, 10))
    expected[:4, 5:] = 1
    np.testing.assert_array_equal(counts, expected)


def test_old_opsets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PadvizError, match="is of opset 6; padviz reads opset 7 and newer"):
        padviz.load(saved(model_of("y = Conv (x, w3x3)", 6), tmp_path))


def test_windows_side_by_side_are_joined_as_their_maps_are(tmp_path: Path) -> None:
    body = f"""{SPLIT}\n m = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)\n n = Reshape (m, s)
 d = Concat <axis = 1> (b, n)\n z = Constant <value_ints = [1, 2, 8, 10]> ()\n e = Reshape (d, z)
 y = Conv (e, w3x3x2)"""
    network = padviz.load(saved(model_of(body, 18), tmp_path), size=(8, 10))
    assert [layer.name for layer in network.layers] == ["input", "a", "m", "d", "y"]
    assert network.find("d").kind == "concat"


def test_attention_along_columns_sees_one_column(tmp_path: Path) -> None:
    body = """a = Conv (x, f1x1x4)\n q = Transpose <perm = [0, 3, 2, 1]> (a)\n k = Transpose <perm = [0, 3, 1, 2]> (a)
 s = MatMul (q, k)\n p = Softmax <axis = -1> (s)\n z = MatMul (p, q)\n y = Transpose <perm = [0, 3, 2, 1]> (z)"""
    counts = padviz.usage(saved(model_of(body, 13), tmp_path), (4, 5), unit=(2, 3)).counts
    np.testing.assert_array_equal(counts, np.broadcast_to(np.arange(5) == 3, (4, 5)))


def test_attention_written_out_sees_everything(tmp_path: Path) -> None:
    body = """a = Conv (x, f1x1x4)\n s = Constant <value_ints = [1, 4, -1]> ()\n b = Reshape (a, s)
 q = Transpose <perm = [0, 2, 1]> (b)\n m = MatMul (q, b)\n t = Softmax <axis = -1> (m)\n v = MatMul (t, q)
 u = Transpose <perm = [0, 2, 1]> (v)\n h = Shape (a)\n z = Reshape (u, h)\n y = Conv (z, w3x3x4)"""
    net = padviz.load(saved(model_of(body, 13), tmp_path))
    assert [layer.kind for layer in net.layers] == ["input", "conv", "global", "resize", "conv"]
    assert (padviz.usage(net, (5, 6)).counts == 9 * 3 * 4).all()


def test_a_lying_value_info_and_a_listed_initializer_change_nothing(tmp_path: Path) -> None:
    model = model_of("a = Conv (x, w3x3)\n y = Conv (a, w3x3)", 7)
    model.graph.value_info.append(helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [1, 7, 1, 1]))
    model.graph.input.append(helper.make_tensor_value_info("w3x3", onnx.TensorProto.FLOAT, [1, 1, 3, 3]))
    counts = padviz.usage(saved(model, tmp_path), (6, 8)).counts
    np.testing.assert_array_equal(counts, bright_pixels(model, (6, 8)))


def test_functions_of_the_model_are_followed(tmp_path: Path) -> None:
    model = model_of("y = Conv (x, w3x3)", 17)
    text = '<opset_import: ["" : 17], domain: "my"> twice <stride> (a, w) => (c) '
    body = "{ b = Conv <strides : ints = @stride> (a, w)\n c = Conv (b, w) }"
    model.functions.append(parser.parse_function(text + body))
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.graph.node[0].CopyFrom(helper.make_node("twice", ["x", "w3x3"], ["y"], domain="my", stride=[2, 1]))
    net = padviz.load(saved(model, tmp_path), size=(9, 8))
    np.testing.assert_array_equal(padviz.usage(net, (9, 8)).counts, bright_pixels(model, (9, 8)))
    assert net.layers[1].ops[0] == Window(3, 2)


def test_detection_heads_are_listed(tmp_path: Path) -> None:
    body = """a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)\n b = Conv <strides = [2, 2]> (a, w3x3)
 s = Constant <value_ints = [1, -1, 1]> ()\n c = Reshape (a, s)\n d = Reshape (b, s)\n e = Concat <axis = 1> (c, d)
 k = Constant <value_ints = [5]> ()\n v, i = TopK <axis = 1> (e, k)\n y = Identity (v)"""
    net = padviz.load(saved(model_of(body, 13), tmp_path))
    assert net.targets == ("b",)
    body = body.replace("b = Conv <strides = [2, 2]> (a, w3x3)", "b = Conv <strides = [2, 2]> (x, w3x3)")
    net = padviz.load(saved(model_of(body, 13), tmp_path))
    assert last_maps(net) == ("a", "b")
    assert padviz.usage(net, 32).summary().heads == "share"


def test_an_unknown_operation_names_itself_and_two_ways_out(tmp_path: Path) -> None:
    path = saved(model_of("a = Conv (x, w3x3)\n b = Foo (a)\n y = Conv (b, w3x3)", 13), tmp_path)
    message = (
        "b: node b: the operation Foo .opset 13. is not known; .*neutral=..Foo... treats .* `layer` a stops before it"
    )
    with pytest.raises(padviz.PadvizError, match=message):
        padviz.usage(path, 32)
    assert padviz.usage(path, 32, layer="a").max == 9
    assert padviz.usage(padviz.load(path, neutral=["Foo"]), 32).max == 81


def test_a_reshape_to_numbers_fails_at_other_sizes_but_a_head_does_not(tmp_path: Path) -> None:
    body = "a = Conv (x, w3x3)\n s = Constant <value_ints = [1, 1, 1, 4, 6]> ()\n b = Reshape (a, s)\n "
    back = "t = Constant <value_ints = [1, 1, 4, 6]> ()\n c = Reshape (b, t)\n y = Conv (c, w3x3)"
    net = padviz.load(saved(model_of(body + back, 13), tmp_path), size=(6, 8))
    with pytest.raises(padviz.PadvizError, match=r"node y: Conv .* reads what was flattened"):
        padviz.usage(net, (7, 8))
    head = "s = Constant <value_ints = [1, 24]> ()\n b = Reshape (a, s)\n y = Gemm <transB = 1> (b, f)"
    model = model_of("a = Conv (x, w3x3)\n " + head, 13)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((5, 24), dtype=np.float32), "f"))
    net = padviz.load(saved(model, tmp_path), size=(6, 8))
    assert net.targets == ("a",)
    assert padviz.usage(net, 9).max == 9


@pytest.mark.parametrize("seed", range(5))
def test_nodes_may_come_in_any_order(seed: int, tmp_path: Path) -> None:
    body = "a = Conv <pads = [1, 1, 1, 1]> (x, w3x3) b = Relu (a) c = Conv <strides = [2, 2]> (b, w3x3) y = Relu (c)"
    model = model_of(body, 13)
    expected = padviz.usage(saved(model, tmp_path), (15, 18)).counts
    nodes = [model.graph.node[at] for at in np.random.default_rng(seed).permutation(len(model.graph.node))]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert (padviz.usage(saved(model, tmp_path), (15, 18)).counts == expected).all()
