"""Small graphs, of each operation and habit of exporters, held against onnxruntime or against what they must give.

All weights are one, so in a graph of linear operations the sum over the outputs of an image that is zero but
for one pixel is the number of paths from that pixel: the usage map, by running the file itself.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

import padviz
from padviz.errors import PadvizError
from padviz.network.operations import Window
from padviz.network.targets import last_maps
from tests.onnx_oracle import session_of

Graphs = list[tuple[str, str, str]]
OPERANDS = re.compile(r"\([^()]*\)$")
NUMBERS = re.compile(r"\[[^]]*\]|(?<![\w.])-?\d[\d.]*")


def sections(text: str) -> Iterator[tuple[str, str, str]]:
    """The graphs of a part of the file, as (title, opset and what else the title ends with, nodes)."""
    for each in text.split("\n# ")[1:]:
        title, _, body = each.partition("\n")
        name, _, opset = title.partition(" | ")
        yield name, opset, body


GRAPHS, MEANS, LAID, TIMES, SEEN, REFUSED, PADDED, TURNED, UNEVEN = (
    [*sections(part)]
    for part in (Path(__file__).parents[1] / "onnx_graphs.txt").read_text().split("\n----\n")
)


def model_of(body: str, opset: int, channels_last: int = 0, inputs: str = "") -> Any:
    """The graph with these nodes, and weights of ones, as their names ask; so many channels are last, or one first."""
    body, *functions = body.split("\n---\n")
    lines = with_constants([line.strip() for line in body.split("\n")])
    # constants first
    lines.sort(key=lambda line: not line.partition("=")[2].strip().startswith("Constant "))
    inputs = inputs or (
        f"float[N, H, W, {channels_last}] x" if channels_last else "float[N, 1, H, W] x"
    )
    head = f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => (float[] y)'
    model = parser.parse_model(f"{head} {{ {' '.join(lines)} }}")
    for each in functions:
        model.functions.append(
            parser.parse_function(f'<opset_import: ["" : {opset}, "my" : 1], domain: "my"> {each}')
        )
    model.opset_import.extend([helper.make_opsetid("my", 1)] if functions else [])
    names = {name for node in every_node(model.graph) for name in node.input}
    for name in sorted(names):
        if re.fullmatch(r"[wfm]\d+(x\d+)+", name):
            sides = [int(n) for n in name[1:].split("x")]
            kernel, (more, *_) = sides[:2], [*sides[2:], 1]
            shape = {"w": [1, more, *kernel], "f": [more, 1, *kernel], "m": sides}[name[0]]
            model.graph.initializer.append(
                numpy_helper.from_array(np.ones(shape, dtype=np.float32), name)
            )
    return model


def with_constants(lines: list[str]) -> list[str]:
    """Numbers among the operands of nodes, such as 3.0 or [1, 2], as nodes that make them."""
    made: list[str] = []

    def named(number: re.Match[str]) -> str:
        kind = ("float" if "." in number[0] else "int") + "s" * number[0].startswith("[")
        made.append(f"number{len(made)} = Constant <value_{kind} = {number[0]}> ()")
        return f"number{len(made) - 1}"

    lines = [OPERANDS.sub(lambda operands: NUMBERS.sub(named, operands[0]), line) for line in lines]
    return made + lines


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


def graphs(part: Graphs) -> Any:
    return pytest.mark.parametrize(("name", "opset", "body"), part, ids=[each[0] for each in part])


@graphs(GRAPHS)
def test_each_operation_reads_what_onnxruntime_reads(
    name: str, opset: str, body: str, tmp_path: Path
) -> None:
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
        except PadvizError as error:  # rows in an order that is padding at one size alone
            if size == (6, 8) or "in an order that no padding has" not in str(error):
                raise
            continue
        np.testing.assert_array_equal(counts, expected, err_msg=str(size))
        sizes += 1
    assert sizes


@graphs(MEANS)
def test_averages_weigh_as_onnxruntime_weighs(
    name: str, opset: str, body: str, tmp_path: Path
) -> None:
    model = model_of(body, int(opset))
    counts = padviz.usage(
        padviz.load(saved(model, tmp_path), size=(6, 8)), (6, 8), pooling="mean"
    ).counts
    np.testing.assert_allclose(counts, bright_pixels(model, (6, 8)), rtol=1e-5, atol=1e-6)


@graphs(LAID)
def test_a_graph_is_laid_out_as_these_layers(
    name: str, opset: str, body: str, tmp_path: Path
) -> None:
    """Activations are neutral however they are written; squeeze and excitation is a gate."""
    version, _, expected = opset.partition(" | ")
    net = padviz.load(saved(model_of(body, int(version)), tmp_path), size=(8, 10))
    assert ", ".join(f"{layer.name} {layer.kind}" for layer in net.layers[1:]) == expected
    assert net.targets == (net.layers[-1].name,)


@graphs(TIMES)
def test_how_often_a_map_counts(name: str, opset: str, body: str, tmp_path: Path) -> None:
    """Two parts of one layer count as two layers do, and products with matrices as convolutions of one tap."""
    version, _, times = opset.partition(" | ")
    counts = padviz.usage(saved(model_of(body, int(version)), tmp_path), (4, 6)).counts
    assert counts[:3].min() == counts.max() == int(times)


@graphs(SEEN)
def test_what_a_unit_sees(name: str, opset: str, body: str, tmp_path: Path) -> None:
    version, _, seen = opset.partition(" | ")
    size, unit, rows, cols = seen.split()
    height, width = map(int, size.split("x"))
    row, col = map(int, unit.split(","))
    counts = padviz.usage(
        saved(model_of(body, int(version)), tmp_path), (height, width), unit=(row, col)
    ).counts
    expected = np.zeros((height, width))
    expected[slice(*map(int, rows.split(":"))), slice(*map(int, cols.split(":")))] = 1
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_last_images_have_height_and_width_in_the_middle(
    channels: int, tmp_path: Path
) -> None:
    body = f"""c = Cast <to = 1> (x)\n a = Transpose <perm = [0, 3, 1, 2]> (c)
 b = Conv <strides = [2, 1], pads = [1, 0, 0, 0]> (a, w3x2x{channels})\n y = Transpose <perm = [0, 2, 3, 1]> (b)"""
    model = model_of(body, 13, channels_last=channels)
    counts = padviz.usage(saved(model, tmp_path), (6, 8)).counts
    np.testing.assert_array_equal(counts, bright_pixels(model, (6, 8), channels_last=channels))


def test_a_mask_cuts_the_windows_of_scores(tmp_path: Path) -> None:
    """Of the last four rows of one column the first three see each other, and the last one itself."""
    seen = np.ones((2, 4, 4))
    seen[1, 3, :3] = seen[1, :3, 3] = 0
    mask = ", ".join(str(100.0 * (each - 1)) for each in seen.ravel())
    body = f"""a = Conv (x, w1x1)\n v = Reshape (a, [1, 1, 2, 4])\n q = Reshape (a, [1, 2, 4, 1])
 t = Transpose <perm = [0, 1, 3, 2]> (q)\n r = MatMul (q, t)\n n = Reshape ([{mask}], [2, 4, 4])\n d = Add (r, n)
 f = Softmax <axis = 3> (d)\n o = MatMul (f, q)\n e = Reshape (o, [1, 1, 8, 1])\n y = Conv (e, w1x1)"""
    for unit, rows in {2: [0, 1, 2, 3], 4: [4, 5, 6], 7: [7]}.items():
        counts = padviz.usage(saved(model_of(body, 18), tmp_path), (8, 1), unit=(unit, 0)).counts
        assert np.flatnonzero(counts).tolist() == rows


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_a_recurrence_over_flattened_rows_sees_all_of_them(
    op: str, gates: int, tmp_path: Path
) -> None:
    body = f"""a = Conv <pads = [1, 1, 1, 1]> (x, f3x3x2)\n t = Transpose <perm = [3, 0, 1, 2]> (a)
 r = Reshape (t, [12, 1, 16])
 y = {op} <hidden_size = 3, direction = "bidirectional"> (r, m2x{3 * gates}x16, m2x{3 * gates}x3)"""
    path = saved(model_of(body, 13), tmp_path)
    counts = padviz.usage(path, (8, 12))
    assert counts.summary().target.shape == [1, 12]
    local = padviz.usage(path, (8, 12), layer="a").counts
    np.testing.assert_array_equal(counts.counts, 12 * local)
    np.testing.assert_array_equal(padviz.usage(path, (8, 12), unit=(0, 5)).counts, local)


def test_a_recurrence_of_steps_written_out_sees_all_rows(tmp_path: Path) -> None:
    """Without activations, and with weights of ones, the file itself counts the paths."""
    lines = ["a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)", "t = Transpose <perm = [3, 0, 1, 2]> (a)"]
    lines += ["r = Reshape (t, [4, 1, 3])"]
    for i in range(4):
        lines += [f"g{i} = Gather <axis = 0> (r, {i})", f"p{i} = MatMul (g{i}, m3x1)"]
        lines += [f"u{i} = MatMul (h{i - 1}, m1x1)" if i else "h0 = Identity (p0)"]
        lines += [f"h{i} = Add (p{i}, u{i})"] if i else []
        lines += [f"z{i} = Unsqueeze <axes = [0]> (h{i})"]
    model = model_of("\n".join([*lines, "y = Concat <axis = 0> (z0, z1, z2, z3)"]), 12)
    counts = padviz.usage(saved(model, tmp_path), (3, 4))
    assert counts.summary().target.layer == "y"
    np.testing.assert_array_equal(counts.counts, bright_pixels(model, (3, 4)))


def test_a_lying_value_info_and_a_listed_initializer_change_nothing(tmp_path: Path) -> None:
    model = model_of("a = Conv (x, w3x3)\n y = Conv (a, w3x3)", 7)
    model.graph.value_info.append(
        helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [1, 7, 1, 1])
    )
    model.graph.input.append(
        helper.make_tensor_value_info("w3x3", onnx.TensorProto.FLOAT, [1, 1, 3, 3])
    )
    counts = padviz.usage(saved(model, tmp_path), (6, 8)).counts
    np.testing.assert_array_equal(counts, bright_pixels(model, (6, 8)))


def test_functions_of_the_model_are_followed(tmp_path: Path) -> None:
    body = """y = my.twice <stride = [2, 1]> (x, w3x3)\n---
twice <stride> (a, w) => (c) { b = Conv <strides : ints = @stride> (a, w)\n c = Conv (b, w) }"""
    net = padviz.load(saved(model := model_of(body, 17), tmp_path), size=(9, 8))
    np.testing.assert_array_equal(padviz.usage(net, (9, 8)).counts, bright_pixels(model, (9, 8)))
    assert net.layers[1].ops[0] == Window(3, 2)


def test_a_branch_inside_a_function_has_the_attributes_of_the_call(tmp_path: Path) -> None:
    body = """y = my.strided <stride = [2, 1]> (x, w3x3)\n---
strided <stride> (a, w) => (c) { on = Constant <value = bool {1}> ()
 c = If (on) <then_branch = t () => (float[] b) { b = Conv <strides : ints = @stride> (a, w) },
 else_branch = e () => (float[] b) { b = Identity (a) }> }"""
    net = padviz.load(saved(model_of(body, 17), tmp_path), size=(9, 8))
    assert [layer.ops for layer in net.layers[1:]] == [(Window(3, 2), Window(3))]


def test_detection_heads_are_listed(tmp_path: Path) -> None:
    body = """a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)\n b = Conv <strides = [2, 2]> ({}, w3x3)
 c = Reshape (a, [1, -1, 1])\n d = Reshape (b, [1, -1, 1])\n e = Concat <axis = 1> (c, d)
 v, i = TopK <axis = 1> (e, [5])\n y = Identity (v)"""
    assert padviz.load(saved(model_of(body.format("a"), 13), tmp_path)).targets == ("b",)
    net = padviz.load(saved(model_of(body.format("x"), 13), tmp_path))
    assert (net.targets, last_maps(net)) == ((), ("a", "b"))


def test_a_reshape_to_numbers_fails_at_other_sizes(tmp_path: Path) -> None:
    back = "a = Conv (x, w3x3)\n b = Reshape (a, [1, 1, 1, 4, 6])\n c = Reshape (b, [1, 1, 4, 6])\n y = Conv (c, w3x3)"
    net = padviz.load(saved(model_of(back, 13), tmp_path), size=(6, 8))
    with pytest.raises(PadvizError, match=r"node y: Conv .* reads what was flattened"):
        padviz.usage(net, (7, 8))


@pytest.mark.parametrize("seed", range(3))
def test_nodes_may_come_in_any_order(seed: int, tmp_path: Path) -> None:
    body = "a = Conv <pads = [1, 1, 1, 1]> (x, w3x3) b = Relu (a) c = Conv <strides = [2, 2]> (b, w3x3) y = Relu (c)"
    model = model_of(body, 13)
    expected = padviz.usage(saved(model, tmp_path), (15, 18)).counts
    nodes = [
        model.graph.node[at]
        for at in np.random.default_rng(seed).permutation(len(model.graph.node))
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert (padviz.usage(saved(model, tmp_path), (15, 18)).counts == expected).all()
