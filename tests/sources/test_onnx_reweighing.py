"""Partial convolution in ONNX files: what a convolution is multiplied by is read where it is kept, or missed aloud."""

from __future__ import annotations

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
from padviz.axis.operations import Window
from padviz.axis.reweighing import ratios
from padviz.sources.onnx.constants.stored import MOST_AT_ONCE

SIZE = (70, 90)  # whose positions are more than constants have that are folded at once
WINDOW = Window(5, padding=(2, 2))  # with thirds among its ratios, which are rounded
FACTOR = np.outer(ratios(WINDOW, SIZE[0]), ratios(WINDOW, SIZE[1])).astype(np.float32)
Make = Callable[..., Any]


def saved(
    path: Path, factor: NDArray[Any] | None, *before: Any, op: str = "Mul", reads: str = "factor", pad: int = 2
) -> Path:
    """A convolution that pads, multiplied by a constant, which nodes `before` may be made of; kept beside the model."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, *SIZE])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    conv = helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[pad] * 4)
    times = helper.make_node(op, ["a", reads], ["y"], name="times")
    stored = [numpy_helper.from_array(np.ones((2, 2, 5, 5), dtype=np.float32), "w")]
    stored += [] if factor is None else [numpy_helper.from_array(factor, "factor")]
    graph = helper.make_graph([*before, conv, times], "net", [image], [made], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    return path


def scheme(path: Path) -> str:
    modes = {op.mode for op in padviz.load(path).find("conv").ops if isinstance(op, Window)}
    assert len(modes) == 1
    return modes.pop()


def node(op: str, reads: list[str], **attrs: Any) -> Any:
    return helper.make_node(op, reads, ["made"], **attrs)


HITS = np.rint(25 / FACTOR).astype(np.int64)
AXES = helper.make_node("Constant", [], ["axes"], value_ints=[0])
WAYS: dict[str, tuple[NDArray[Any], list[Any], str]] = {
    "as it is": (FACTOR, [], "partial"),
    "with an axis more": (FACTOR, [AXES, node("Unsqueeze", ["factor", "axes"])], "partial"),
    "of two": (FACTOR.T.copy(), [node("Transpose", ["factor"], perm=[1, 0])], "partial"),
    "for each channel": (np.stack([FACTOR] * 2), [], "partial"),
    "for each channel of a batch": (np.stack([FACTOR] * 2)[None], [], "partial"),
    "of doubles": (FACTOR.astype(np.float64), [node("Cast", ["factor"], to=1)], "partial"),
    "of halves": (FACTOR.astype(np.float16), [node("Cast", ["factor"], to=10)], "partial"),
    "of halves, widened": (FACTOR.astype(np.float16), [node("Cast", ["factor"], to=1)], "partial"),
    "one over it": ((1 / FACTOR).astype(np.float32), [node("Reciprocal", ["factor"])], "partial"),
    "of whole numbers": (
        HITS,
        [
            helper.make_node("Cast", ["factor"], ["hits"], to=1),
            helper.make_node("Constant", [], ["taps"], value_float=25.0),
            node("Div", ["taps", "hits"]),
        ],
        "partial",
    ),
    "nearly": (FACTOR * np.float32(1.02), [], "zero"),
    "a mask": (np.where(FACTOR > 1, 0, FACTOR), [], "zero"),
    "another by channel": (np.stack([FACTOR, 2 * FACTOR]), [], "zero"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_convolution_is_multiplied_by_is_read_from_beside_the_model(way: str, tmp_path: Path) -> None:
    factor, before, wanted = WAYS[way]
    path = saved(tmp_path / "net.onnx", factor, *before, reads="made" if before else "factor")
    assert (tmp_path / "net.data").stat().st_size >= factor.nbytes
    assert scheme(path) == wanted


@pytest.mark.parametrize("kind", [TensorProto.BFLOAT16, TensorProto.FLOAT16])
def test_it_may_be_rounded_to_half_the_digits(kind: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "net.onnx", FACTOR)
    model = onnx.load(path)
    at = next(i for i, each in enumerate(model.graph.initializer) if each.name == "factor")
    model.graph.initializer[at].CopyFrom(helper.make_tensor("factor", kind, SIZE, FACTOR.reshape(-1)))
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert scheme(path) == "partial"


def test_it_may_be_divided_by(tmp_path: Path) -> None:
    assert scheme(saved(tmp_path / "net.onnx", (1 / FACTOR).astype(np.float32), op="Div")) == "partial"


def test_it_may_be_worked_out_in_the_graph(tmp_path: Path) -> None:
    parts = [numpy_helper.from_array(ratios(WINDOW, n).astype(np.float32), f"t{n}") for n in SIZE]
    nodes = [helper.make_node("Constant", [], [f"r{n}"], value=part) for n, part in zip(SIZE, parts, strict=True)]
    nodes += [helper.make_node("Constant", [], ["last"], value_ints=[1])]
    nodes += [helper.make_node("Unsqueeze", ["r70", "last"], ["column"]), node("Mul", ["column", "r90"])]
    assert scheme(saved(tmp_path / "net.onnx", None, *nodes, reads="made")) == "partial"


def changed(path: Path, **told: str) -> None:
    """The factor's place in another file told in another way."""
    model = onnx.load(path, load_external_data=False)
    for each in next(each for each in model.graph.initializer if each.name == "factor").external_data:
        each.value = told.get(each.key, each.value)
    path.write_bytes(model.SerializeToString())


def linked(path: Path) -> None:
    os.rename(path.parent / "net.data", path.parent / "other.data")
    os.symlink("other.data", path.parent / "net.data")


def in_a_folder(path: Path) -> None:
    (path.parent / "folder").mkdir()
    os.rename(path.parent / "net.data", path.parent / "folder" / "net.data")
    changed(path, location="folder/net.data")


HARMFUL: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: (path.parent / "net.data").unlink(), r"should be in 'net.data' .* \(no such file\)"),
    "above": (lambda path: changed(path, location="../net.data"), r"'\.\./net.data', which is no name of a file"),
    "whole path": (lambda path: changed(path, location="/etc/passwd"), "'/etc/passwd', which is no name of a file"),
    "below": (in_a_folder, "'folder/net.data', which is no name of a file"),
    "short": (lambda path: os.truncate(path.parent / "net.data", 999), "'net.data', which is too short for it"),
    "beyond": (lambda path: changed(path, offset=str(1 << 40)), "'net.data', which is too short for it"),
    "before": (lambda path: changed(path, offset="-4"), "at '-4', which is no number of bytes"),
    "other length": (lambda path: changed(path, length="8"), "has 8 bytes in 'net.data' where its shape has 25200"),
    "a link": (linked, "'net.data', which is no file beside the model"),
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


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.onnx", FACTOR)
    (tmp_path / "net.data").unlink()
    os.mkfifo(tmp_path / "net.data")
    with pytest.raises(padviz.PadvizError, match=r"'net.data', which is no file beside the model"):
        padviz.usage(path)


def test_what_is_made_in_a_way_of_its_own_is_not_taken_for_elementwise(tmp_path: Path) -> None:
    hits = helper.make_node("Conv", ["factor", "w"], ["made"])
    path = saved(tmp_path / "net.onnx", np.ones((1, 2, 74, 94), dtype=np.float32), hits, reads="made")
    with pytest.raises(padviz.PadvizError, match="partial convolution, is made by a Conv that is not worked out, and"):
        padviz.usage(path)


def test_a_small_file_cannot_ask_for_many_numbers(tmp_path: Path) -> None:
    side = 1 << (MOST_AT_ONCE.bit_length() // 2 + 2)
    shape = helper.make_node("Constant", [], ["shape"], value_ints=[side, side])
    path = saved(tmp_path / "net.onnx", None, shape, node("ConstantOfShape", ["shape"]), reads="made")
    model = onnx.load(path)
    del model.graph.input[0].type.tensor_type.shape.dim[2:]
    for _ in range(2):
        model.graph.input[0].type.tensor_type.shape.dim.add(dim_value=side)
    onnx.save(model, path)
    tracemalloc.start()
    with pytest.raises(padviz.PadvizError, match="is made by a ConstantOfShape that is not worked out"):
        padviz.usage(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_AT_ONCE


def test_a_chain_of_constants_has_an_end(tmp_path: Path) -> None:
    doubling = [helper.make_node("Add", [f"c{i}"] * 2, [f"c{i + 1}"]) for i in range(5000)]
    first = helper.make_node("Identity", ["factor"], ["c0"])
    path = saved(tmp_path / "net.onnx", FACTOR, first, *doubling, reads="c5000")
    with pytest.raises(padviz.PadvizError, match="takes too much to be worked out"):
        padviz.usage(path)


def test_where_no_convolution_can_be_partial_no_numbers_are_needed(tmp_path: Path) -> None:
    for factor, pad in ((np.ones((2, 1, 1), dtype=np.float32), 2), (np.ones((66, 86), dtype=np.float32), 0)):
        path = saved(tmp_path / "net.onnx", factor, pad=pad)
        (tmp_path / "net.data").unlink()
        assert scheme(path) == "zero"
        padviz.usage(path)
