"""Files that are broken, or meant to do harm, and what lies beside files, as factors of partial convolution do."""

import itertools
import json
import os
import subprocess
import sys
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
from padviz.sources.onnx.operators import OPS
from tests.sources.test_onnx_ops import REFUSED, model_of

RUN = r"""
import contextlib, io, json, re, sys
from pathlib import Path
from padviz.cli import cli
watched = []
sys.addaudithook(lambda event, args: watched.append(str(args[0])) if event == "open" else None)
found = {}
for path, size in json.loads(Path("asked.json").read_text()).items():
    watched.clear()
    code = None
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            cli(["uneven", path, "--size", size] if size else ["uneven", path])
        except SystemExit as ending:
            code = ending.code
    status = Path("/proc/self/status")  # what getrusage says is the largest of the process that forked this one, too
    most = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) if status.exists() else 0
    found[path] = code, said.getvalue(), most, any("passwd" in each for each in watched)
Path("answers.json").write_text(json.dumps(found))
"""


CONV = "y = Conv (x, w3x3)"


def many(op: str, count: int, *weights: str) -> Any:
    model = model_of("y = Conv (x, w1x1)", 13)
    del model.graph.node[:]
    names = ["x", *(f"n{i}" for i in range(count))]
    model.graph.node.extend(
        helper.make_node(op, [a, *weights], [b]) for a, b in itertools.pairwise(names)
    )
    model.graph.output[0].name = names[-1]
    return model


def doubling_functions() -> Any:
    inner = [f"my.f{i + 1}" for i in range(17)] + ["Relu"]
    functions = [f"f{i} (a) => (c) {{ b = {op} (a)\n c = {op} (b) }}" for i, op in enumerate(inner)]
    return model_of("\n---\n".join(["y = my.f0 (x)", *functions]), 13)


def external(node: str, name: str, kind: int, *dims: int) -> Any:
    """A model whose constant is said to be in a file far away."""
    model = model_of(node, 13)
    tensor = TensorProto(name=name, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../../../../../../../etc/passwd")
    model.graph.ClearField("initializer")
    model.graph.initializer.append(tensor)
    return model


def control_characters() -> Any:
    model = model_of("a = Conv (x, w3x3)\nb = Foo (a)\ny = Conv (b, w3x3)", 13)
    for node in model.graph.node:
        node.name = f"\x1b[31m\r\n{node.output[0]}\x07"
    return model


def a_branch_without_its_output() -> Any:
    branches = ", ".join(
        f"{kind}_branch = {kind} () => (float[] a) {{ a = Conv (x, w3x3) }}"
        for kind in ("then", "else")
    )
    model = model_of(f"c = Constant <value_int = 1> ()\ny = If (c) <{branches}>", 13)
    for attribute in model.graph.node[-1].attribute:
        attribute.g.output[0].name = "lost"
    return model


def endless_scales() -> Any:
    model = model_of("u = Upsample <scales = [1.0, 1.0, 2.0, 2.0]> (x)\ny = Conv (u, w3x3)", 8)
    (node,) = (node for node in model.graph.node if node.op_type == "Upsample")
    node.attribute[0].floats[2] = float("inf")
    return model


def endless_parts() -> Any:
    zeros = ", ".join("0" * 16)
    return model_of(
        f"s, t = Split <num_outputs = 1000000000> ([{zeros}])\na = Pad (x, s)\ny = Conv (a, w3x3)",
        18,
    )


NO_CONSTANT = "y: Pad (opset 13) has an input that is not a small constant"
HOSTILE: dict[str, tuple[Any, str]] = {
    "empty": (b"", "is not an ONNX file, or has no nodes"),
    "a part": (
        lambda: model_of(CONV, 13).SerializeToString()[:-1],
        "is not an ONNX file, or only a part of one",
    ),
    "noise": (bytes(range(256)) * 40, "is not an ONNX file"),
    "no shape": (lambda: model_of(CONV, 13, inputs="float[] x"), "has no input of four dimensions"),
    "huge image": (
        lambda: model_of(CONV, 13, inputs="float[1, 1, 1000000000000000, 1000000000000000] x"),
        "is not one to three numbers of pixels",
    ),
    "large image": (lambda: model_of(CONV, 13, inputs="float[1, 1, 1000000, 1000000] x"), ""),
    "many nodes": (lambda: many("Relu", 31_000), "has more than 30000 nodes"),
    "many layers": (lambda: many("Conv", 10_100, "w1x1"), "has more than 10000 layers"),
    "doubling functions": (doubling_functions, "has more than 30000 nodes"),
    "control characters": (
        control_characters,
        "the operation Foo (opset 13) is not known; --neutral Foo",
    ),
    "a branch without its output": (
        a_branch_without_its_output,
        "nothing in it makes 'lost', which it returns",
    ),
    "endless parts": (endless_parts, ""),
    "endless scales": (endless_scales, "u: Upsample (opset 8) needs either scales or sizes"),
    "external shape": (lambda: external("y = Pad (x, p)", "p", TensorProto.INT64, 8), NO_CONSTANT),
    "external weights": (lambda: external(CONV, "w3x3", TensorProto.FLOAT, 1, 1, 3, 3), ""),
}
MESSAGES = {name: message for name, (_, message) in HOSTILE.items()}
MESSAGES |= {name: opset.partition(" | ")[2] for name, opset, _ in REFUSED}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one process says of all files: its exit codes, its lines, its largest size, and what it looked at."""
    folder, asked = tmp_path_factory.mktemp("hostile"), {}
    models = {name: (made, "") for name, (made, _) in HOSTILE.items()}
    for name, opset, text in REFUSED:
        version, _, size = opset.partition(" | ")[0].partition(" at ")
        models[name] = model_of(text, int(version)), size
    for number, (made, size) in enumerate(models.values()):
        content = made() if callable(made) else made
        (folder / f"{number}.onnx").write_bytes(
            content if isinstance(content, bytes) else content.SerializeToString()
        )
        asked[f"{number}.onnx"] = size
    (folder / "asked.json").write_text(json.dumps(asked))
    run = subprocess.run(
        [sys.executable, "-c", RUN], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return dict(
        zip(models, json.loads((folder / "answers.json").read_text()).values(), strict=True)
    )


@pytest.mark.parametrize("name", MESSAGES)
def test_hostile_files_get_one_line(name: str, answers: Any) -> None:
    code, said, most, opened = answers[name]
    assert most < 1 << 20  # kilobytes
    assert not opened
    if not MESSAGES[name]:
        assert code == 0, said
        return
    assert code == 2, said
    assert len(said.splitlines()) == 1
    assert said.strip().isprintable()
    assert MESSAGES[name] in said


@pytest.mark.parametrize(
    "kind", [TypeError, ValueError, KeyError, IndexError, ZeroDivisionError, MemoryError]
)
def test_an_error_of_our_own_is_not_blamed_on_the_file(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither of what an operation does, nor of what makes a network of a trace."""

    def wrong(*args: Any) -> None:
        raise kind("ours")

    (tmp_path / "net.onnx").write_bytes(model_of(CONV, 13).SerializeToString())
    for name, put in (
        ("OPS", {**OPS, "Conv": wrong}),
        ("foreign_network", wrong),
        ("needed", wrong),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"padviz.sources.onnx.load.{name}", put)
            with pytest.raises(kind, match="ours"):
                padviz.load(tmp_path / "net.onnx")


SIZE = (70, 90)  # whose positions are more than constants have that are folded at once
WINDOW = Window(5, padding=(2, 2))  # with thirds among its ratios, which are rounded
PARTS = [np.asarray(partial_weights(WINDOW, n), dtype=np.float32) for n in SIZE]
FACTOR = np.outer(*(partial_weights(WINDOW, n) for n in SIZE)).astype(np.float32)


def saved(
    path: Path, factor: Any, *before: Any, op: str = "Mul", pad: int = 2, size: Any = SIZE
) -> Path:
    """A convolution that pads, times a constant, which nodes `before` may make; all is kept beside the model."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, *size])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    conv = helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[pad] * 4)
    times = helper.make_node(op, ["a", "made" if before else "factor"], ["y"], name="times")
    stored = [numpy_helper.from_array(np.ones((2, 2, 5, 5), dtype=np.float32), "w")]
    if factor is not None:
        stored += [
            factor if isinstance(factor, TensorProto) else numpy_helper.from_array(factor, "factor")
        ]
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
        [
            node("Cast", "factor", makes="hits", to=1),
            constant("taps", value_float=25.0),
            node("Div", "taps", "hits"),
        ],
        "partial",
    ),
    "worked out in the graph": (None, OUTER, "partial"),
    "nearly": (FACTOR * np.float32(1.02), [], "zero"),
    "a mask": (np.where(FACTOR > 1, 0, FACTOR), [], "zero"),
    "another by channel": (np.stack([FACTOR, 2 * FACTOR]), [], "zero"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_convolution_is_multiplied_by_is_read_from_beside_the_model(
    way: str, tmp_path: Path
) -> None:
    factor, before, wanted = WAYS[way]
    path = saved(tmp_path / "net.onnx", factor, *before)
    assert (
        not isinstance(factor, np.ndarray) or (tmp_path / "net.data").stat().st_size > factor.nbytes
    )
    assert scheme(path) == wanted


def test_it_may_be_divided_by(tmp_path: Path) -> None:
    assert (
        scheme(saved(tmp_path / "net.onnx", (1 / FACTOR).astype(np.float32), op="Div")) == "partial"
    )


@pytest.mark.parametrize(("op", "wanted"), [("BatchNormalization", "partial"), ("Relu", "zero")])
def test_it_may_stand_behind_a_batch_norm_but_not_behind_an_activation(
    op: str, wanted: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "net.onnx", FACTOR)
    model = onnx.load(path)
    convolved, times = model.graph.node
    statistics = (
        [numpy_helper.from_array(np.ones(2, dtype=np.float32), "one")] if op != "Relu" else []
    )
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
    for each in next(
        each for each in model.graph.initializer if each.name == "factor"
    ).external_data:
        each.value = told.get(each.key, each.value)
    path.write_bytes(model.SerializeToString())


def piped(path: Path) -> None:
    (path.parent / "net.data").unlink()
    os.mkfifo(path.parent / "net.data")


HARMFUL: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (
        lambda path: (path.parent / "net.data").unlink(),
        r"should be in 'net.data' .* \(no such file\)",
    ),
    "whole path": (
        lambda path: changed(path, location="/etc/passwd"),
        "'/etc/passwd', which is not a file name",
    ),
    "short": (
        lambda path: os.truncate(path.parent / "net.data", 999),
        "'net.data', which is too short for it",
    ),
    "before": (lambda path: changed(path, offset="-4"), "at '-4', which is not a number of bytes"),
    "other length": (
        lambda path: changed(path, length="8"),
        "has 8 bytes in 'net.data' where its shape has 25200",
    ),
    "a pipe": (piped, "'net.data', which is not a file beside the model"),
}


@pytest.mark.parametrize("how", HARMFUL)
def test_what_is_not_beside_the_model_is_said_by_name(how: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "net.onnx", FACTOR)
    spoil, message = HARMFUL[how]
    spoil(path)
    with pytest.raises(
        padviz.PadvizError, match=f"node times: the constant that it multiplies .*{message}"
    ) as caught:
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
