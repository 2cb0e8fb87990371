"""Partial convolution in ONNX files: what a convolution is multiplied by is read where it is kept, or missed aloud."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import padviz
from padviz.network.axis_maps import partial_weights
from padviz.network.operations import Window
from padviz.sources.onnx.constants import MOST_AT_ONCE

SIZE = (70, 90)  # whose positions are more than constants have that are folded at once
WINDOW = Window(5, padding=(2, 2))  # with thirds among its ratios, which are rounded
PARTS = [np.asarray(partial_weights(WINDOW, n), dtype=np.float32) for n in SIZE]
FACTOR = np.outer(*(partial_weights(WINDOW, n) for n in SIZE)).astype(np.float32)


def saved(path: Path, factor: Any, *before: Any, op: str = "Mul", pad: int = 2, size: Any = SIZE) -> Path:
    """A convolution that pads, times a constant, which nodes `before` may make; all is kept beside the model."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, *size])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    conv = helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[pad] * 4)
    times = helper.make_node(op, ["a", "made" if before else "factor"], ["y"], name="times")
    stored = [numpy_helper.from_array(np.ones((2, 2, 5, 5), dtype=np.float32), "w")]
    if factor is not None:
        stored += [factor if isinstance(factor, TensorProto) else numpy_helper.from_array(factor, "factor")]
    graph = helper.make_graph([*before, conv, times], "net", [image], [made], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    return path


def scheme(path: Path) -> str:
    (mode,) = {op.mode for op in padviz.load(path).find("conv").ops if isinstance(op, Window)}
    return mode


def node(op: str, *reads: str, makes: str = "made", **attrs: Any) -> Any:
    return helper.make_node(op, reads, [makes], **attrs)


def constant(name: str, **value: Any) -> Any:
    return node("Constant", makes=name, **value)


HITS = np.rint(25 / FACTOR).astype(np.int64)
OUTER = [
    *(constant(f"r{n}", value=numpy_helper.from_array(part, f"t{n}")) for n, part in zip(SIZE, PARTS, strict=True)),
    constant("last", value_ints=[1]), node("Unsqueeze", "r70", "last", makes="column"), node("Mul", "column", "r90"),
]  # fmt: skip
WAYS: dict[str, tuple[Any, list[Any], str]] = {
    "as it is": (FACTOR, [], "partial"),
    "of two": (FACTOR.T.copy(), [node("Transpose", "factor", perm=[1, 0])], "partial"),
    "for each channel of a batch": (np.stack([FACTOR] * 2)[None], [], "partial"),
    "of halves, widened": (FACTOR.astype(np.float16), [node("Cast", "factor", to=1)], "partial"),
    "rounded to the shorter halves": (
        helper.make_tensor("factor", TensorProto.BFLOAT16, SIZE, FACTOR.reshape(-1)),
        [],
        "partial",
    ),
    "one over it": ((1 / FACTOR).astype(np.float32), [node("Reciprocal", "factor")], "partial"),
    "of whole numbers": (
        HITS,
        [node("Cast", "factor", makes="hits", to=1), constant("taps", value_float=25.0), node("Div", "taps", "hits")],
        "partial",
    ),
    "worked out in the graph": (None, OUTER, "partial"),
    "nearly": (FACTOR * np.float32(1.02), [], "zero"),
    "a mask": (np.where(FACTOR > 1, 0, FACTOR), [], "zero"),
    "another by channel": (np.stack([FACTOR, 2 * FACTOR]), [], "zero"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_convolution_is_multiplied_by_is_read_from_beside_the_model(way: str, tmp_path: Path) -> None:
    factor, before, wanted = WAYS[way]
    path = saved(tmp_path / "net.onnx", factor, *before)
    assert not isinstance(factor, np.ndarray) or (tmp_path / "net.data").stat().st_size > factor.nbytes
    assert scheme(path) == wanted


def test_it_may_be_divided_by(tmp_path: Path) -> None:
    assert scheme(saved(tmp_path / "net.onnx", (1 / FACTOR).astype(np.float32), op="Div")) == "partial"


@pytest.mark.parametrize(("op", "wanted"), [("BatchNormalization", "partial"), ("Relu", "zero")])
def test_it_may_stand_behind_a_batch_norm_but_not_behind_an_activation(op: str, wanted: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "net.onnx", FACTOR)
    model = onnx.load(path)
    convolved, times = model.graph.node
    statistics = [numpy_helper.from_array(np.ones(2, dtype=np.float32), "one")] if op != "Relu" else []
    between = node(op, "b", *["one"] * 4 * len(statistics), makes="a")
    convolved.output[0] = "b"
    del model.graph.node[1:]
    model.graph.node.extend([between, times])
    model.graph.initializer.extend(statistics)
    onnx.save(model, path)
    assert scheme(path) == wanted


def changed(path: Path, **told: str) -> None:
    """The factor's place in another file told in another way."""
    model = onnx.load(path, load_external_data=False)
    for each in next(each for each in model.graph.initializer if each.name == "factor").external_data:
        each.value = told.get(each.key, each.value)
    path.write_bytes(model.SerializeToString())


def piped(path: Path) -> None:
    (path.parent / "net.data").unlink()
    os.mkfifo(path.parent / "net.data")


HARMFUL: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: (path.parent / "net.data").unlink(), r"should be in 'net.data' .* \(no such file\)"),
    "whole path": (lambda path: changed(path, location="/etc/passwd"), "'/etc/passwd', which is not a file name"),
    "short": (lambda path: os.truncate(path.parent / "net.data", 999), "'net.data', which is too short for it"),
    "before": (lambda path: changed(path, offset="-4"), "at '-4', which is not a number of bytes"),
    "other length": (lambda path: changed(path, length="8"), "has 8 bytes in 'net.data' where its shape has 25200"),
    "a pipe": (piped, "'net.data', which is not a file beside the model"),
}


@pytest.mark.parametrize("how", HARMFUL)
def test_what_is_not_beside_the_model_is_said_by_name(how: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "net.onnx", FACTOR)
    spoil, message = HARMFUL[how]
    spoil(path)
    with pytest.raises(padviz.PadvizError, match=f"node times: the constant that it multiplies .*{message}") as caught:
        padviz.usage(path)
    assert "\n" not in str(caught.value)
    padviz.usage(path, layer="conv")
    assert padviz.load(path, neutral=["Mul"]).find("conv").ops[0].mode == "zero"  # type: ignore[union-attr]


SIDE = 1 << (MOST_AT_ONCE.bit_length() // 2 + 2)
DOUBLED = [
    node("Identity", "factor", makes="c0"),
    *(node("Add", *[f"c{i}"] * 2, makes=f"c{i + 1}") for i in range(5000)), node("Identity", "c5000"),
]  # fmt: skip
TOO_MUCH: dict[str, tuple[Any, list[Any], Any, str]] = {
    "its own convolution": (
        np.ones((1, 2, 74, 94), dtype=np.float32),
        [node("Conv", "factor", "w")],
        SIZE,
        "partial convolution, is made by a Conv that padviz does not compute, and",
    ),
    "many numbers": (
        None,
        [constant("shape", value_ints=[SIDE, SIDE]), node("ConstantOfShape", "shape")],
        (SIDE, SIDE),
        "is made by a ConstantOfShape that padviz does not compute",
    ),
    "a long chain": (FACTOR, DOUBLED, SIZE, "takes too many numbers to compute"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_not_worked_out_is_not_taken_for_elementwise(name: str, tmp_path: Path) -> None:
    factor, before, size, message = TOO_MUCH[name]
    path = saved(tmp_path / "net.onnx", factor, *before, size=size)
    if name == "many numbers":
        tracemalloc.start()
    with pytest.raises(padviz.PadvizError, match=message):
        padviz.usage(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_AT_ONCE


def test_where_no_convolution_can_be_partial_no_numbers_are_needed(tmp_path: Path) -> None:
    factors: list[tuple[NDArray[Any], int]] = [(np.ones((2, 1, 1)), 2), (np.ones((66, 86)), 0)]
    for factor, pad in factors:
        path = saved(tmp_path / "net.onnx", factor.astype(np.float32), pad=pad)
        (tmp_path / "net.data").unlink()
        assert scheme(path) == "zero"
        padviz.usage(path)
