"""Counts of ONNX files that join parts of one layer: slices, halves of channels, products, steps of a recurrence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import padviz
from tests.sources.test_onnx_ops import bright_pixels, model_of, saved


def given(model: Any, **weights: NDArray[Any]) -> Any:
    """The model with more weights."""
    for name, value in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    return model


FOCUS = """i0 = Constant <value_ints = [0]> ()\n i1 = Constant <value_ints = [1]> ()
 big = Constant <value_ints = [9223372036854775807]> ()\n two = Constant <value_ints = [2]> ()
 h = Constant <value_ints = [2]> ()\n w = Constant <value_ints = [3]> ()
 even = Slice (x, i0, big, h, two)\n odd = Slice (x, i1, big, h, two)
 a = Slice (even, i0, big, w, two)\n b = Slice (odd, i0, big, w, two)
 c = Slice (even, i1, big, w, two)\n d = Slice (odd, i1, big, w, two)
 """


def test_a_focus_of_slices_is_named_for_its_concat(tmp_path: Path) -> None:
    model = model_of(FOCUS + "focus = Concat <axis = 1> (a, b, c, d)\n y = Conv (focus, w3x3x4)", 13)
    net = padviz.load(saved(model, tmp_path), size=(6, 8))
    assert [layer.name for layer in net.layers] == ["input", "a", "b", "c", "d", "focus", "y"]
    assert (padviz.usage(net, (6, 8), layer="focus").counts == 1).all()
    assert padviz.usage(net, (6, 8), layer="c").counts.sum() == 12
    np.testing.assert_array_equal(padviz.usage(net, (6, 8)).counts, bright_pixels(model, (6, 8)))


def test_a_convolution_is_no_slice_of_its_input(tmp_path: Path) -> None:
    model = model_of(FOCUS + "y = Conv (d, w1x1)", 13)
    assert [layer.name for layer in padviz.load(saved(model, tmp_path)).layers] == ["input", "d", "y"]


def test_blocks_are_named_for_the_reshape_that_makes_them(tmp_path: Path) -> None:
    body = """s = Constant <value_ints = [1, 1, 3, 2, 4, 2]> ()\n t = Constant <value_ints = [1, 4, 3, 4]> ()
 a = Reshape (x, s)\n b = Transpose <perm = [0, 1, 3, 5, 2, 4]> (a)\n c = Reshape (b, t)\n y = Conv (c, w1x1x4)"""
    model = model_of(body, 13)
    net = padviz.load(saved(model, tmp_path), size=(6, 8))
    assert [(layer.name, layer.kind) for layer in net.layers[-2:]] == [("a", "concat"), ("y", "conv")]
    np.testing.assert_array_equal(padviz.usage(net, (6, 8)).counts, bright_pixels(model, (6, 8)))


FIRST = "i = Constant <value_ints = [0]> ()\n "
HALVES = "p, q = Split <axis = 1> (a)\n "
TIMES = {  # what is made of the layer a, and how often it counts
    "product of two halves": (HALVES + "y = Mul (p, q)", 2),
    "one half gates the other": (HALVES + "s = Sigmoid (q)\n y = Mul (p, s)", 2),
    "sum of a half and what acted on the other": (HALVES + "t = Tanh (q)\n y = Add (p, t)", 2),
    "both halves side by side": (HALVES + "t = Tanh (q)\n y = Concat <axis = 1> (p, t)", 2),
    "one half by itself": (HALVES + "s = Sigmoid (p)\n y = Mul (p, s)", 1),
    "one half and the same channels sliced": (
        FIRST
        + "e = Constant <value_ints = [2]> ()\n c = Constant <value_ints = [1]> ()\n "
        + HALVES
        + "r = Slice (a, i, e, c)\n s = Sigmoid (r)\n y = Mul (p, s)",
        1,
    ),
    "channels picked": (
        "i = Constant <value_ints = [0, 3]> ()\n j = Constant <value_ints = [0, 2]> ()\n "
        "p = Gather <axis = 1> (a, i)\n q = Gather <axis = 1> (a, j)\n s = Sigmoid (q)\n y = Mul (p, s)",
        2,
    ),
    "swish": ("s = Sigmoid (a)\n y = Mul (a, s)", 1),
    "swish of some rows": (
        FIRST
        + "e = Constant <value_ints = [-1]> ()\n c = Constant <value_ints = [2]> ()\n "
        + "r = Slice (a, i, e, c)\n s = Sigmoid (r)\n y = Mul (r, s)",
        1,
    ),
    "a map times itself and one more": ("c = Constant <value = float {3}> ()\n s = Add (a, c)\n y = Mul (a, s)", 1),
    "two maps": ("b = Conv (x, f1x1x4)\n s = Sigmoid (b)\n y = Mul (a, s)", 2),
}


@pytest.mark.parametrize("name", TIMES)
def test_two_parts_of_one_layer_count_as_two_layers_do(name: str, tmp_path: Path) -> None:
    body, times = TIMES[name]
    counts = padviz.usage(saved(model_of("a = Conv (x, f1x1x4)\n " + body, 12), tmp_path), (4, 6)).counts
    assert counts[:3].min() == counts.max() == times


MIXES = {  # of the features of each position, in opset 13
    "a residual branch": ("m = MatMul (t, W)\n g = Tanh (m)\n n = MatMul (g, W)\n z = Add (t, n)", 2),
    "one product gates another": ("m = MatMul (t, W)\n n = MatMul (t, W)\n s = Sigmoid (n)\n z = Mul (m, s)", 2),
    "a product acts on itself": ("m = MatMul (t, W)\n s = Sigmoid (m)\n z = Mul (m, s)", 1),
}


@pytest.mark.parametrize("name", MIXES)
def test_products_with_weights_count_as_convolutions_of_one_tap_do(name: str, tmp_path: Path) -> None:
    body, times = MIXES[name]
    there, back = "t = Transpose <perm = [0, 2, 3, 1]> (a)", "y = Transpose <perm = [0, 3, 1, 2]> (z)"
    model = given(model_of(f"a = Conv (x, f1x1x4)\n {there}\n {body}\n {back}", 13), W=np.ones((4, 4)))
    assert (padviz.usage(saved(model, tmp_path), (4, 6)).counts == times).all()


COLUMNS = """a = Conv <pads = [1, 1, 1, 1]> (x, f3x3x2)\n t = Transpose <perm = [3, 0, 1, 2]> (a)
 s = Constant <value_ints = [12, 1, 16]> ()\n r = Reshape (t, s)"""


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_a_recurrence_over_flattened_rows_sees_all_of_them(op: str, tmp_path: Path) -> None:
    gates, ways = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 2
    body = f'{COLUMNS}\n y = {op} <hidden_size = 3, direction = "bidirectional"> (r, W, R)'
    weights = {"W": np.ones((ways, gates * 3, 16)), "R": np.ones((ways, gates * 3, 3))}
    model = given(model_of(body, 13), **weights)
    counts = padviz.usage(saved(model, tmp_path), (8, 12))
    assert counts.summary().target.shape == [1, 12]
    local = padviz.usage(saved(model, tmp_path), (8, 12), layer="a").counts
    np.testing.assert_array_equal(counts.counts, 12 * local)
    step = padviz.usage(saved(model, tmp_path), (8, 12), unit=(0, 5)).counts
    np.testing.assert_array_equal(step, local)


def test_a_recurrence_along_columns_of_each_row_leaves_rows_apart(tmp_path: Path) -> None:
    body = """a = Conv (x, f1x1x2)\n t = Transpose <perm = [3, 0, 2, 1]> (a)\n s = Constant <value_ints = [12, 8, 2]> ()
 r = Reshape (t, s)\n y = RNN <hidden_size = 3, direction = "bidirectional"> (r, W, R)"""
    model = given(model_of(body, 13), W=np.ones((2, 3, 2)), R=np.ones((2, 3, 3)))
    counts = padviz.usage(saved(model, tmp_path), (8, 12), unit=(2, 5)).counts
    np.testing.assert_array_equal(counts, np.arange(8)[:, None] == np.full(12, 2))


def test_a_recurrence_of_steps_written_out_sees_all_rows(tmp_path: Path) -> None:
    """Without activations, and with weights of ones, the file itself counts the paths."""
    lines = [
        "t = Transpose <perm = [3, 0, 1, 2]> (a)",
        "s = Constant <value_ints = [4, 1, 3]> ()",
        "r = Reshape (t, s)",
    ]
    for i in range(4):
        lines += [f"i{i} = Constant <value = int64 {{{i}}}> ()", f"g{i} = Gather <axis = 0> (r, i{i})"]
        lines += [f"m{i} = MatMul (g{i}, W)", f"u{i} = MatMul (h{i - 1}, R)" if i else "h0 = Identity (m0)"]
        lines += [f"h{i} = Add (m{i}, u{i})"] if i else []
        lines += [f"z{i} = Unsqueeze <axes = [0]> (h{i})"]
    body = "\n ".join(["a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)", *lines, "y = Concat <axis = 0> (z0, z1, z2, z3)"])
    model = given(model_of(body, 12), W=np.ones((3, 1)), R=np.ones((1, 1)))
    counts = padviz.usage(saved(model, tmp_path), (3, 4))
    assert counts.summary().target.layer == "y"
    np.testing.assert_array_equal(counts.counts, bright_pixels(model, (3, 4)))
