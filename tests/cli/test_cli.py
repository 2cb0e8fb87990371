"""The commands as a person uses them: files that are whole or not there, streams that end, signals."""

import json
import os
import signal
import subprocess
import sys
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import padviz
from padviz.cli import cli
from tests.sweeps import SLOW

FILES = dict(
    part.split("\n", 1)
    for part in Path(__file__).with_name("files.txt").read_text().split("=== ")[1:]
)
ONE = '[[layers]]\nop = "conv"\nname = "c"\nkernel = 3\npadding = 1\n'


pytestmark = pytest.mark.usefixtures("elsewhere")


# Before 8.2, Click's runner told stderr from stdout only where it was asked to.
APART = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}


def run(*args: str) -> Result:
    return CliRunner(**APART, env={"COLUMNS": None}).invoke(cli, list(args), prog_name="padviz")


def lay(*names: str) -> None:
    """Write files of files.txt into this folder."""
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(FILES[name])


def contents(folder: Path | str = ".") -> dict[str, tuple[int, int, int]]:
    """All that a folder holds, with what a change of it would change; what Python compiled aside."""
    paths = [path for path in sorted(Path(folder).rglob("*")) if "__pycache__" not in path.parts]
    states = [(path, path.lstat()) for path in paths]
    return {str(path): (state.st_mode, state.st_size, state.st_mtime_ns) for path, state in states}


def told(*args: str) -> str:
    """The one line of an error, and nothing else anywhere: no file is left, made or changed."""
    assert not Path("pyproject.toml").exists(), (
        "use the fixture elsewhere: others write into this folder"
    )
    before = contents()
    result = run(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("padviz: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert contents() == before
    return result.stderr


def test_usage_json_has_exact_integers() -> None:
    result = run("usage", "resnet152", "--size", "96x64", "--format", "json", "-o", "counts.npz")
    found = json.loads(result.stdout)
    counts = padviz.usage("resnet152", (96, 64)).counts
    assert (found["schema_version"], found["padding"], found["files"]) == (6, None, ["counts.npz"])
    (row,) = found["rows"]
    assert (row["target_layer"], row["target_shape"]) == ("layer4.2", [3, 2])
    assert (row["max"], row["min"], row["centre"]) == (
        counts.max(),
        counts.min(),
        counts[48, 32],
    )
    assert row["max"].bit_length() > 64
    corners = [
        row[f"corners_{end}_{side}"] for end in ("top", "bottom") for side in ("left", "right")
    ]
    assert corners == [counts[0, 0], counts[0, -1], counts[-1, 0], counts[-1, -1]]
    assert row["skew_height"] == (counts[48:].sum() - counts[:48].sum()) / counts.sum()


def toml(step: str, rest: str = "") -> str:
    return f"layers = [{step}]\n{rest}"


HOSTILE = {
    "no text": ("\udcff", "not valid TOML"),
    "empty nested blocks": (
        toml('{op = "block", use = "a", name = "a{}", repeat = 100000}', "[blocks]\nb = []\n")
        + 'a = [{op = "block", use = "b", name = "b{}", repeat = 100000}]\n',
        "steps",
    ),
    "growing maps": (
        toml(", ".join(['{op = "resize", scale = 1000}'] * 9)),
        "its output would have",
    ),
    "deep counts": (
        toml(", ".join(['{op = "conv", kernel = 3, padding = 1}'] * 5000), "size = 8"),
        "4000 digits",
    ),
    "deep blocks": (
        toml('{op = "block", use = "b0", name = "x"}', "[blocks]\n")
        + "".join(f'b{i} = [{{op = "block", use = "b{i + 1}", name = "y"}}]\n' for i in range(400))
        + 'b400 = [{op = "conv"}]\n',
        "nested",
    ),
    "long name": (toml('{op = "conv", name = "' + "n" * 2000 + '"}'), "layers[0].name"),
    "long title": (toml('{op = "conv"}', 'title = "' + "t" * 10**6 + '"'), "title"),
    "big file": ("#" * (5 << 20), "bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_descriptions_are_refused(name: str) -> None:
    text, says = HOSTILE[name]
    Path("bad.toml").write_bytes(text.encode(errors="surrogateescape"))
    assert says in told("usage", "bad.toml")
    if name == "deep counts":  # which is fine where nothing is counted
        assert padviz.uneven("bad.toml").balanced


def test_hostile_paths_are_refused() -> None:
    os.mkfifo("pipe.toml")
    Path("folder.toml").mkdir()
    os.symlink("nowhere", "link.png")
    models = [
        "pipe.toml",
        "folder.toml",
        "/dev/zero",
        "a" * 300,
        "b" * 300 + ".toml",
        "a\0.toml",
        "",
        ".",
        "\udcff.toml",
    ]
    outputs = [
        "c" * 300 + ".png",
        "/dev/full/x.png",
        "folder.toml/x.jpg",
        "pipe.toml/y.npz",
        "link.png",
    ]
    for args in (
        *(["usage", model] for model in models),
        *(["usage", "vgg11", "-o", path] for path in outputs),
    ):
        told(*args)
    told("export", "vgg11", "-o", "d" * 300)


@pytest.mark.parametrize(
    "name", ["n" * 251 + ".npy", "map.NPY", "map.Npz", "map.CSV", "map.PNG", "map.Svg"]
)
def test_suffixes_may_be_capitals_and_names_as_long_as_the_file_system_takes(name: str) -> None:
    assert run("usage", "vgg11", "--size", "32", "-o", name).exit_code == 0
    assert os.listdir() == [name]


def test_a_write_that_fails_leaves_nothing_and_what_was_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*args: Any, **options: Any) -> None:
        args[0].write(b"half")
        raise OSError(28, "No space left on device")

    Path("map.npz").write_text("keep me")
    asked = ["usage", "vgg11", "--size", "64", "-o", "map.npz"]
    assert "exists" in told(*asked)
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez_compressed", fails)
        assert "No space left" in told(*asked, "--overwrite")
    assert run(*asked, "--overwrite").exit_code == 0
    assert padviz.read_counts("map.npz").shape == (64, 64)
    assert os.listdir() == ["map.npz"]


def test_a_file_that_cannot_be_used_is_not_called_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", "secret.toml")

    monkeypatch.setattr("padviz.sources.load", unreadable)
    assert told("layers", "vgg16") == "padviz: secret.toml: cannot be used (Permission denied)\n"


def shell(line: str, **environment: str) -> tuple[int, str]:
    command = line.replace("padviz", f"{sys.executable} -m padviz", 1)
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    return done.returncode, done.stderr


GONE = "cd here && rmdir ../here && padviz "


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (
            "padviz layers vgg16 >/dev/full",
            2,
            "padviz: stdout: cannot be written (No space left on device)\n",
        ),
        ("padviz audit nope 2>/dev/full", 2, ""),
        ("padviz layers titled.toml", 0, ""),
        ("padviz layers marked.toml", 0, ""),
        (f"{GONE}layers vgg16 >&-", 0, ""),
        (
            f"{GONE}layers torchvision.models:alexnet",
            2,
            "padviz: the current folder no longer exists; change to",
        ),
    ],
)
def test_output_or_a_folder_that_cannot_be_used_is_one_line(
    line: str, code: int, says: str
) -> None:
    Path("here").mkdir()
    Path("titled.toml").write_text('title = "図"\n' + ONE, encoding="utf-8")
    Path("marked.toml").write_text(ONE, encoding="utf-8-sig")
    returned, words = shell(line, PYTHONIOENCODING="ascii")
    assert (returned, words[: len(says)], words.count("\n")) == (code, says, bool(says))


def test_warnings_of_libraries_name_no_path(capsys: pytest.CaptureFixture[str]) -> None:
    run("--version")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        print(warnings.formatwarning(UserWarning("on two\nlines"), UserWarning, "/a/path.py", 1))
    assert capsys.readouterr().out == "padviz: UserWarning: on two lines\n\n"


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
    # which drops the rest
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert os.read(process.stdout.fileno(), 1) == b"{"
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == ("", 141)


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


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "padviz: interrupted\n")],
)
def test_a_write_that_a_signal_ends_leaves_nothing(number: int, code: int, words: str) -> None:
    command = [sys.executable, "-c", SLOW_WRITE]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said, os.listdir()) == (code, words, [])


SELF = "import os, signal, sys\nfrom torch import nn\ndef end(): os.kill(os.getpid(), signal.{})\n"
MOMENTS = {
    "import": "end()\nnet = nn.Conv2d(3, 4, 3)",
    "factory": "def net():\n    end()\n    return nn.Conv2d(3, 4, 3)",
    "forward": "class net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 4, 3)\n"
    "    def forward(self, x):\n        end()\n        return super().forward(x)",
}
FOREIGN = {
    "exits": ("def net(): raise SystemExit(0)", "cannot be made: SystemExit: 0"),
    "exits at import": ("sys.exit(3)", "cannot be imported: SystemExit: 3"),
    "asks": (
        "def net(): return input('weights? ')",
        "cannot be made: EOFError: EOF when reading a line",
    ),
}
ENDS = [("SIGTERM", 143, ""), ("SIGINT", 130, "padviz: interrupted\n")]


def command(text: str) -> list[str]:
    Path("foreign.py").write_text(text)
    return [sys.executable, "-m", "padviz", "usage", "foreign:net", "--size", "32", "-o", "map.npz"]


def ended(asked: list[str]) -> tuple[int, str, str]:
    run = subprocess.run(
        asked, capture_output=True, text=True, check=False, timeout=60, input="yes\n"
    )
    return run.returncode, run.stdout, run.stderr


@SLOW
@pytest.mark.parametrize(("name", "code", "words"), ENDS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_other_peoples_code(moment: str, name: str, code: int, words: str) -> None:
    assert ended(command(SELF.format(name) + MOMENTS[moment])) == (code, "", words)
    assert contents().keys() == {"foreign.py"}


@SLOW
@pytest.mark.parametrize("what", FOREIGN)
def test_other_peoples_code_neither_ends_padviz_nor_asks(what: str) -> None:
    text, line = FOREIGN[what]
    code, out, words = ended(command(SELF.format("SIGTERM") + text))
    assert (code, out, words.count("\n")) == (2, "", 1)
    assert words.startswith(f"padviz: foreign:net: {line}")


@SLOW
def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    asked = command(SELF.format("SIGINT") + "def net():\n    end()\n    return nn.Conv2d(3, 4, 3)")
    text = "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    code, _, words = ended([sys.executable, "-c", f"{text}; sys.exit(subprocess.call({asked}))"])
    assert (code, words) == (0, "")
    assert Path("map.npz").exists()
