"""Files that are broken, or meant to do harm: one clear line, in seconds, and nothing is opened that should not be."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

import padviz
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
    model.graph.node.extend(helper.make_node(op, [a, *weights], [b]) for a, b in itertools.pairwise(names))
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
        f"{kind}_branch = {kind} () => (float[] a) {{ a = Conv (x, w3x3) }}" for kind in ("then", "else")
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
    return model_of(f"s, t = Split <num_outputs = 1000000000> ([{zeros}])\na = Pad (x, s)\ny = Conv (a, w3x3)", 18)


NO_CONSTANT = "y: Pad (opset 13) has an input that is not a small constant"
HOSTILE: dict[str, tuple[Any, str]] = {
    "empty": (b"", "is not an ONNX file, or has no nodes"),
    "a part": (lambda: model_of(CONV, 13).SerializeToString()[:-1], "is not an ONNX file, or only a part of one"),
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
    "control characters": (control_characters, "the operation Foo (opset 13) is not known; --neutral Foo"),
    "a branch without its output": (a_branch_without_its_output, "nothing in it makes 'lost', which it returns"),
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
        (folder / f"{number}.onnx").write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        asked[f"{number}.onnx"] = size
    (folder / "asked.json").write_text(json.dumps(asked))
    run = subprocess.run([sys.executable, "-c", RUN], cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return dict(zip(models, json.loads((folder / "answers.json").read_text()).values(), strict=True))


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


@pytest.mark.parametrize("kind", [TypeError, ValueError, KeyError, IndexError, ZeroDivisionError, MemoryError])
def test_an_error_of_our_own_is_not_blamed_on_the_file(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither of what an operation does, nor of what makes a network of a trace."""

    def wrong(*args: Any) -> None:
        raise kind("ours")

    (tmp_path / "net.onnx").write_bytes(model_of(CONV, 13).SerializeToString())
    for name, put in (("OPS", {**OPS, "Conv": wrong}), ("foreign_network", wrong), ("trace", wrong)):
        with monkeypatch.context() as patch:
            patch.setattr(f"padviz.sources.onnx.load.{name}", put)
            with pytest.raises(kind, match="ours"):
                padviz.load(tmp_path / "net.onnx")
