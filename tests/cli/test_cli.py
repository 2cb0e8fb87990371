"""The commands as a person uses them: what they print, write and refuse."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import padviz
from padviz.axis.padding_modes import SCHEMES
from padviz.cli.group import COMMANDS, cli
from padviz.sources.toml.load import zoo
from tests.sweeps import sampled

ONE = '[[layers]]\nop = "conv"\nname = "c"\nkernel = 3\npadding = 1\n'


pytestmark = pytest.mark.usefixtures("elsewhere")


# Before 8.2, Click's runner told stderr from stdout only where it was asked to.
APART = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}


def run(*args: str) -> Result:
    return CliRunner(**APART, env={"COLUMNS": None}).invoke(cli, list(args), prog_name="padviz")


def contents(folder: Path | str = ".") -> dict[str, tuple[int, int, int]]:
    """All that a folder holds, with what a change of it would change; what Python compiled aside."""
    paths = [path for path in sorted(Path(folder).rglob("*")) if "__pycache__" not in path.parts]
    states = [(path, path.lstat()) for path in paths]
    return {str(path): (state.st_mode, state.st_size, state.st_mtime_ns) for path, state in states}


def told(*args: str) -> str:
    """The one line of an error, and nothing else anywhere: no file is left, made or changed."""
    assert not Path("pyproject.toml").exists(), "use the fixture elsewhere: others write into this folder"
    before = contents()
    result = run(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("padviz: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert contents() == before
    return result.stderr


# usage: success


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ("65536", "in a core of 448 x 448, whose middle repeats by 32 x 32 (tiled)"),
        ("300x65536", "in a core of 300 x 448, whose middle repeats by 32 columns (tiled)"),
        ("65536x300", "in a core of 448 x 300, whose middle repeats by 32 rows (tiled)"),
        ("224", "at every position (dense)"),
    ],
)
def test_usage_says_how_it_counted(size: str, says: str) -> None:
    result = run("usage", "resnet50", "--size", size)
    assert says in result.stdout
    found = json.loads(run("usage", "resnet50", "--size", size, "--format", "json").stdout)
    assert found["method"] == says.split("(")[1][:-1]


def test_a_scheme_for_each_axis() -> None:
    result = run("usage", "vgg11", "--size", "64x96", "--padding", "zero/circular")
    assert "zero/circular (height/width)" in result.stdout
    assert run("coverage", "vgg11", "--size", "64", "--padding", "zero/zero").exit_code == 0
    assert sorted(os.listdir()) == ["vgg11-64-zero-coverage.png", "vgg11-64x96-zero+circular-usage.png"]
    found = json.loads(
        run("usage", "vgg11", "--size", "64x96", "--padding", "zero/circular", "--format", "json").stdout
    )
    counts = padviz.usage("vgg11", (64, 96), "zero/circular")
    assert (found["padding"], found["max"], found["min"]) == ("zero/circular", counts.max, counts.min)
    rows = json.loads(run("layers", "vgg11", "--size", "96", "--padding", "full/zero", "--format", "json").stdout)
    assert rows["layers"][0]["padding"] == [[2, 2], [1, 1]]


def test_usage_json_has_exact_integers() -> None:
    result = run("usage", "resnet152", "--size", "96x64", "--format", "json", "-o", "counts.npz")
    found = json.loads(result.stdout)
    counts = padviz.usage("resnet152", (96, 64)).counts
    assert list(found) == [
        "schema_version", "network", "size", "padding", "pooling", "target", "heads", "unit", "min", "max", "mean",
        "centre", "corners", "marginalised", "asymmetry", "skew", "share", "share_reason",
        "rim", "overused_rim", "gates_left_out", "method", "notes", "files",
    ]  # fmt: skip
    assert (found["schema_version"], found["padding"], found["files"]) == (4, None, ["counts.npz"])
    assert found["target"] == {"layer": "layer4.2", "shape": [3, 2]}
    assert (found["max"], found["min"], found["centre"]) == (counts.max(), counts.min(), counts[48, 32])
    assert found["max"].bit_length() > 64
    assert [*found["corners"].values()] == [counts[0, 0], counts[0, -1], counts[-1, 0], counts[-1, -1]]
    assert found["skew"]["height"] == (counts[48:].sum() - counts[:48].sum()) / counts.sum()


def test_several_layers_and_units_are_said() -> None:
    heads = ("backbone.features.21", "backbone.extra.0.7.3")
    both = run("usage", "ssd300_vgg16", "--layer", heads[0], "--layer", heads[1], "--format", "json", "-o", "a.npy")
    assert json.loads(both.stdout)["target"] == {"layer": list(heads), "shape": [[38, 38], [19, 19]]}
    unit = run("usage", "resnet18", "--unit", "3,-1", "--format", "json", "-o", "b.npy")
    assert json.loads(unit.stdout)["unit"] == [3, 6]
    assert (padviz.read_counts("b.npy") == padviz.usage("resnet18", 224, unit=(3, 6)).counts).all()
    box = run("usage", "resnet18", "--unit", "0:2,5:", "--format", "json", "-o", "c.npy")
    assert json.loads(box.stdout)["unit"] == [[0, 2], [5, 7]]


def test_gates_left_out_are_said() -> None:
    assert "global vectors of 16 gates" in run("usage", "efficientnet_b0", "-o", "a.npy").stdout


def test_overwrite() -> None:
    Path("map.npz").write_text("keep me")
    assert "exists" in told("usage", "vgg11", "-o", "map.npz")
    assert run("usage", "vgg11", "-o", "map.npz", "--overwrite").exit_code == 0
    assert padviz.read_counts("map.npz").shape == (224, 224)


USE = '{op = "block", use = "b", name = "x"}'
DISAGREE = '{op = "add", branches = [[{op = "conv", name = "a", kernel = 3}], [{op = "conv", name = "b"}]]}'


def toml(step: str, rest: str = "") -> str:
    return f"layers = [{step}]\n{rest}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("layers = [", ["not valid TOML"]),
        ("\udcff", ["not valid TOML"]),
        ("title = 'x'", ["layers"]),
        ("layers = []", ["layers"]),
        (toml('{op = "conv", kernl = 3}'), ["layers[0]", "kernl"]),
        (toml('{op = "conw"}'), ["layers[0].op", "conw"]),
        (toml('{kernel = 3}'), ["layers[0]", "op"]),
        (toml('{op = "conv", kernel = 0}'), ["layers[0].kernel", ">= 1"]),
        (toml('{op = "conv", kernel = -3}'), ["layers[0].kernel", ">= 1"]),
        (toml('{op = "conv", kernel = 3, stride = 0}'), ["layers[0].stride", ">= 1"]),
        (toml('{op = "conv", kernel = 3, padding = -1}'), ["layers[0].padding", ">= 0"]),
        (toml('{op = "conv", kernel = 3, padding = "some"}'), ["layers[0].padding", "some"]),
        (toml('{op = "conv", kernel = [3, 3, 3]}'), ["layers[0].kernel"]),
        (toml('{op = "conv", kernel = "3"}'), ["layers[0].kernel", "str"]),
        (toml('{op = "conv", kernel = 3, mode = "mirror"}'), ["layers[0].mode", "mirror"]),
        (toml('{op = "conv"}', "size = 0"), ["size", ">= 1"]),
        (toml('{op = "conv"}', "colour = 1"), ["colour"]),
        (toml('{op = "conv", name = "a"}', 'target = "b"'), ["target", "'b'"]),
        (toml('{op = "conv", name = "a"}, {op = "conv", name = "a"}'), ["'a'", "twice"]),
        (toml('{op = "conv", name = "a", from = "b"}'), ["from", "'b'"]),
        (toml('{op = "conv", name = "a", from = ["input"]}'), ["from", "merge"]),
        (toml('{op = "add", name = "a"}'), ["'a'", "branches", "from"]),
        (toml('{op = "crop", name = "a"}'), ["'a'", "padding", "like"]),
        (toml('{op = "resize", name = "a"}'), ["'a'", "scale", "size", "like"]),
        (toml(USE), ["'x'", "'b'"]),
        (toml(USE, '[blocks]\nb = [{op = "conv", kernel = "$k"}]'), ["$k", "with"]),
        (toml(USE, '[blocks]\nb = [{op = "conv", kernel = 0}]'), ["blocks.b[0].kernel"]),
        (toml(USE, f"[blocks]\nb = [{USE}]"), ["uses itself"]),
        (toml(USE.replace("}", ", repeat = 2}"), '[blocks]\nb = [{op = "conv"}]'), ["{}"]),
        (toml(DISAGREE), ["a has 222", "b has 224"]),
        (toml('{op = "convtranspose", name = "a", kernel = 1, padding = 200}'), ["a", "224 rows"]),
        (toml('{op = "conv", name = "a\\u001b[31m\\n", from = "x"}'), ["\\x1b", "'x'"]),
    ],
)  # fmt: skip
def test_a_bad_description_is_one_line(text: str, says: list[str]) -> None:
    Path("bad.toml").write_bytes(text.encode(errors="surrogateescape"))
    line = told("usage", "bad.toml")
    assert "bad" in line
    for part in says:
        assert part in line
    assert os.listdir() == ["bad.toml"]


HOSTILE = {
    "empty nested blocks": (
        toml('{op = "block", use = "a", name = "a{}", repeat = 100000}', "[blocks]\nb = []\n")
        + 'a = [{op = "block", use = "b", name = "b{}", repeat = 100000}]\n',
        "steps",
    ),
    "growing maps": (toml(", ".join(['{op = "resize", scale = 1000}'] * 9)), "its output would have"),
    "huge steps": (toml(", ".join(['{op = "convtranspose", kernel = 2, stride = 100000}'] * 99)), "output would have"),
    "wide padding": (toml(", ".join(['{op = "conv", kernel = 16, padding = 100000}'] * 60)), "output would have"),
    "deep counts": (toml(", ".join(['{op = "conv", kernel = 3, padding = 1}'] * 5000), "size = 8"), "4000 digits"),
    "deep blocks": (
        toml('{op = "block", use = "b0", name = "x"}', "[blocks]\n")
        + "".join(f'b{i} = [{{op = "block", use = "b{i + 1}", name = "y"}}]\n' for i in range(400))
        + 'b400 = [{op = "conv"}]\n',
        "nested",
    ),
    "long name": (toml('{op = "conv", name = "' + "n" * 2000 + '"}'), "layers[0].name"),
    "long title": (toml('{op = "conv"}', 'title = "' + "t" * 10**6 + '"'), "title"),
    "unused parameter": (
        toml(USE.replace("}", ", with = {k = 1}}"), '[blocks]\nb = [{op = "conv"}]'),
        "no parameter $k",
    ),
    "same and stride": (toml('{op = "conv", kernel = 3, stride = 2, padding = "same"}'), "stride 1"),
    "output padding": (toml('{op = "convtranspose", kernel = 3, stride = 2, output_padding = 7}'), "output_padding"),
    "partial pad": (toml('{op = "pad", padding = 1, mode = "partial"}'), "layers[0].mode"),
    "crop": (toml('{op = "crop", padding = 200}'), "would remove 400"),
    "big file": ("#" * (5 << 20), "bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_descriptions_are_refused(name: str) -> None:
    text, says = HOSTILE[name]
    Path("bad.toml").write_text(text)
    assert says in told("usage", "bad.toml")
    if name == "deep counts":  # which is fine where nothing is counted
        assert padviz.uneven("bad.toml").balanced


def test_hostile_paths_are_refused() -> None:
    os.mkfifo("pipe.toml")
    Path("folder.toml").mkdir()
    long = ["a" * 300, "b" * 300 + ".toml"]
    for model in ("pipe.toml", "folder.toml", "/dev/zero", *long, "a\0.toml", "", ".", "\udcff.toml"):
        result = run("usage", model)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), model
    for path in ("c" * 300 + ".png", "/dev/full.png/x.png", "folder.toml/x.jpg", "-", "x.png/y.npz"):
        result = run("usage", "vgg11", "-o", path)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), path
    long_folder = run("export", "vgg11", "-o", "d" * 300)
    assert (long_folder.exit_code, long_folder.stderr.count("\n")) == (2, 1)
    os.symlink("nowhere", "link.png")
    assert "exists" in run("usage", "vgg11", "-o", "link.png").stderr
    assert sorted(os.listdir()) == ["folder.toml", "link.png", "pipe.toml"]


def test_names_as_long_as_the_file_system_takes() -> None:
    name = "n" * 251 + ".npy"
    assert run("usage", "vgg11", "-o", name).exit_code == 0
    assert os.listdir() == [name]


@pytest.mark.parametrize("suffix", [".NPY", ".Npz", ".CSV", ".PNG", ".Svg"])
def test_suffixes_in_capitals(suffix: str) -> None:
    assert run("usage", "vgg11", "-o", f"map{suffix}").exit_code == 0
    assert os.listdir() == [f"map{suffix}"]


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = line.replace("padviz", f"{sys.executable} -m padviz", 1)
    return subprocess.run(
        command, shell=True, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_output_that_cannot_be_written_is_one_line() -> None:
    full = shell("padviz layers vgg16 >/dev/full")
    assert (full.returncode, full.stderr) == (2, "padviz: stdout: cannot be written (No space left on device)\n")
    assert shell("padviz layers vgg16 >&-").stderr.count("\n") <= 1
    Path("titled.toml").write_text('title = "図"\n' + ONE, encoding="utf-8")
    ascii_only = shell("padviz layers titled.toml", PYTHONIOENCODING="ascii")
    assert (ascii_only.returncode, ascii_only.stderr) == (0, "")


def test_a_folder_that_is_gone_is_said_where_it_is_needed() -> None:
    Path("here").mkdir()
    assert shell("cd here && rmdir ../here && padviz layers vgg16").returncode == 0
    Path("here").mkdir()
    named = shell("cd here && rmdir ../here && padviz export alexnet.onnx -o out")
    assert (named.returncode, named.stderr.count("\n")) == (2, 1)
    assert "stdout" not in named.stderr
    Path("here").mkdir()
    module = shell("cd here && rmdir ../here && padviz layers torchvision.models:alexnet")
    assert module.stderr == "padviz: the current folder is not there any more; change to another\n"
    assert module.returncode == 2


def test_a_file_that_cannot_be_used_is_not_called_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", "secret.toml")

    monkeypatch.setattr("padviz.cli.options.load_as", unreadable)
    assert told("layers", "vgg16") == "padviz: secret.toml: cannot be used (Permission denied)\n"


def test_markup_in_titles_is_text() -> None:
    Path("net.toml").write_text('title = "[/x] [red]A[/red]"\n' + ONE)
    assert "[/x] [red]A[/red], 224 x 224" in run("layers", "net.toml").stdout


def test_python_arguments_are_checked() -> None:
    counts = padviz.usage("vgg11", np.int64(64))
    assert counts.shape == padviz.usage("vgg11", (np.int32(64), np.uint8(64))).shape == (64, 64)
    for size in (2.5, True, b"ab", {64}, "64", (64, 64.0), [64, True]):
        with pytest.raises(padviz.PadvizError, match="size"):
            padviz.usage("vgg11", size)  # type: ignore[arg-type]
    for unit in (5, (1,), (1, 2, 3), "1,1", (1.0, 1), (slice(0, 2, 2), 0), (slice(0, 99), 0), (2, 0)):
        with pytest.raises(padviz.PadvizError, match="unit"):
            padviz.usage("vgg11", 64, unit=unit)  # type: ignore[arg-type]
    for layer in (5, [None], b"x", [["a"]], []):
        with pytest.raises(padviz.PadvizError, match="layer"):
            padviz.usage("vgg11", 64, layer=layer)  # type: ignore[arg-type]
    for network in (None, 5, b"vgg11"):
        with pytest.raises(padviz.PadvizError, match="is no network"):
            padviz.load(network)  # type: ignore[arg-type]
    with pytest.raises(padviz.PadvizError, match="padding"):
        padviz.usage("vgg11", 64, padding=[])  # type: ignore[arg-type]
    assert padviz.usage("vgg11", 64, unit=(-1, slice(None))).unit == [[1, 2], [0, 2]]


@pytest.mark.parametrize(
    ("number", "code", "words"), [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "padviz: interrupted\n")]
)
def test_a_write_that_a_signal_ends_leaves_nothing(number: int, code: int, words: str) -> None:
    command = [sys.executable, "-c", SLOW_WRITE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said, os.listdir()) == (code, words, [])


SLOW_WRITE = """
import time, numpy
def slow(to, **arrays):
    to.write(b"half")
    to.flush()
    print("writing", flush=True)
    time.sleep(60)
numpy.savez_compressed = slow
import sys
from padviz.__main__ import main
sys.argv[1:] = ["usage", "vgg11", "-o", "map.npz"]
main()
"""


def test_a_failed_write_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **options: Any) -> None:
        args[0].write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fails)
    Path("map.npz").write_text("keep me")
    result = run("usage", "vgg11", "-o", "map.npz", "--overwrite")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No space left" in result.stderr
    assert os.listdir() == ["map.npz"]
    assert Path("map.npz").read_text() == "keep me"


def test_an_interrupt_that_python_would_only_print_is_one() -> None:
    code = """
import os, signal, sys, weakref, padviz.counting.usage
class Anything:
    pass
def interrupted(reference):
    os.kill(os.getpid(), signal.SIGINT)
def usage(*args, **options):
    anything = Anything()
    reference = weakref.ref(anything, interrupted)
    del anything
    for _ in range(10**9):
        pass
    print("went on")
padviz.counting.usage.usage = usage
from padviz.__main__ import main
sys.argv[1:] = ["usage", "vgg11"]
main()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr.strip()) == (130, "", "padviz: interrupted")


# layers, help


def test_layers_without_a_model_lists_the_zoo() -> None:
    table = run("layers").stdout
    assert all(name in table for name in zoo())
    rows = list(csv.DictReader(io.StringIO(run("layers", "--format", "csv").stdout)))
    assert [row["name"] for row in rows] == zoo()
    assert len(rows) >= 27
    listed = json.loads(run("layers", "--format", "json").stdout)
    assert listed["schema_version"] == 1
    assert listed["networks"][0] == {
        "name": "alexnet", "title": "AlexNet", "size": "224x224", "layers": 8, "source": "torchvision.models.alexnet"
    }  # fmt: skip


@pytest.mark.parametrize("command", sampled(COMMANDS, "", "detect export seen"))
def test_help_ends_with_an_example_that_runs(command: str) -> None:
    text = run(command, "--help").stdout
    examples = [line.strip() for line in text.splitlines() if line.strip().startswith("padviz ")]
    assert examples
    if "model.onnx" in text:
        from tests.cli.test_cli_foreign import plain
        from tests.snippets import seeing_file

        (seeing_file if command == "detect" else plain)("model.onnx")
    if command == "rings":
        from tests.scoring.made import coco_files, scenes

        coco_files(scenes(0, images=8), names=("instances.json", "results.json"))
    if "photos" in text:
        from tests.trained.test_trying import folder

        folder(Path("photos"), 3, 260, 280)
    for example in examples:
        result = run(*example.split()[1:])
        assert result.exit_code == 0, result.output


def test_help_names_every_padding_scheme() -> None:
    for text in (run("--help").stdout, told("usage", "vgg11", "--padding", "x")):
        assert all(scheme in text for scheme in SCHEMES)
    assert "usage" in run().stdout


@pytest.mark.parametrize("asked", [["layers", "vgg11"], ["--help"]])
def test_a_reader_that_is_gone_is_no_error(asked: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "padviz", *asked]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_reader_that_goes_after_one_letter_is_no_error() -> None:
    command = [sys.executable, "-m", "padviz", "layers", "densenet201", "--format", "json"]
    assert len(run(*command[3:]).stdout) > 1 << 16  # more than the pipe holds
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}  # which drops the rest
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert os.read(process.stdout.fileno(), 1) == b"{"
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == ("", 141)
