"""The commands that read weights or run networks: answers, what they refuse, what is kept of an interrupted run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from PIL import Image
from torch import nn

import padviz
import padviz.trained.networks
from tests.cli.test_cli import lay, run, told
from tests.cli.test_cli_foreign import conv, plain, saved
from tests.snippets import seeing_file
from tests.trained.test_trying import folder

NETS = "run_net:"
DETECT = ("detect", "seeing.onnx", "--size", "48", "--stimulus", "text:o", "--step", "8", "-o")
KEPT = "d.png.unfinished.npz"


@pytest.fixture(autouse=True)
def _files(elsewhere: None) -> None:
    lay("run_net.py", "filtered_net.py", "lost_net.py", "judge_net.py")
    seeing_file("seeing.onnx")
    plain("net.onnx")
    folder(Path("photos"), 12)


def test_what_does_not_react_is_refused_and_nothing_is_kept() -> None:
    size = ("--size", "40", "--step", "16")
    line = told(
        "detect", f"{NETS}classes", *size, "--class", "3", "--stimulus", "text:o", "-o", "u.svg"
    )
    says = "run_net:classes: nothing reacts to what is shown: every score is within 0.01 of the background's, 0."
    assert says in line
    assert not [*Path().glob("u.svg*")]


@contextmanager
def _full_disk() -> Iterator[None]:
    """No file can have more than 20,000 bytes: scores fit, and pictures do not."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_scores_are_kept_where_the_picture_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _full_disk():
        result = run(*DETECT, "d.png")
    why = f"make room there, and add --resume: {KEPT} has the finished work"
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"padviz: d.png: cannot be written (File too large); {why}\n"
    assert sorted(Path().glob("d.png*")) == [Path(KEPT)]
    held = f"padviz: {KEPT}: has an interrupted run; add --resume to continue it, or --overwrite to start"
    assert told(*DETECT, "d.png").startswith(held)

    def computed(*others: Any) -> None:
        raise AssertionError("a score is computed again")

    with monkeypatch.context() as patched:
        patched.setattr("padviz.trained.detecting.sweeping.Sweep.values", computed)
        again = run(*DETECT, "d.png", "--resume")
    assert again.exit_code == 0
    assert not [*Path().glob("*unfinished*")]
    anew = run(*DETECT, "e.png", "--resume")
    assert (
        anew.stderr
        == "padviz: e.png.unfinished.npz does not exist: the run starts from the beginning\n"
    )
    assert again.stdout == anew.stdout.replace("e.png", "d.png")


SIGMOID = """from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)
    def forward(self, x):
        return self.conv(x).sigmoid()
"""


def save_weights(path: Path, bias: float) -> None:
    torch.save(
        {"conv.weight": torch.full((1, 3, 3, 3), -0.2), "conv.bias": torch.full((1,), bias)}, path
    )


def replace_bias(path: Path) -> None:
    path.write_bytes(
        path.read_bytes().replace(np.float32(-2).tobytes(), np.float32(-1.9).tobytes())
    )


SOURCES = {"file": ["seeing.onnx"], "module": ["sigmoid_net:Net", "--weights", "net.pth"]}
CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "seeing.onnx": ("file", replace_bias),
    "dots.png": ("file", lambda path: Image.effect_noise((12, 12), 80).save(path)),
    "net.pth": ("module", lambda path: save_weights(path, -1.9)),
    "sigmoid_net.py": ("module", lambda path: path.write_text(f"{SIGMOID}# another version")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_sweep_is_resumed_for_the_same_contents_only(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "sigmoid_net", raising=False)
    Path("sigmoid_net.py").write_text(SIGMOID)
    save_weights(Path("net.pth"), -2.0)
    Image.effect_noise((12, 12), 90).save("dots.png")
    source, change = CHANGES[name]
    line = [
        "detect",
        *SOURCES[source],
        "--size",
        "48",
        "--step",
        "8",
        "--stimulus",
        "dots.png",
        "-o",
        "d.png",
    ]
    with _full_disk():
        assert "has the finished work" in run(*line).stderr

    before = Path(name).read_bytes()
    change(Path(name))
    assert f"{KEPT}: was started with other options, or another network" in told(*line, "--resume")

    Path("aside").mkdir()
    for path in (Path(name), Path("aside", name)):
        path.write_bytes(before)
    elsewhere = [f"aside/{word}" if word == name else word for word in line]
    result = run(*elsewhere, "--resume")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_scores_are_kept_where_the_figures_cannot_be_told() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "padviz", *DETECT, "d.png"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (
        2,
        "padviz: stdout: cannot be written (No space left on device)\n",
    )
    assert sorted(Path().glob("d.png*")) == [Path("d.png"), Path(KEPT)]


def network() -> nn.Sequential:
    """What filtered_net makes, in the layout of its weights."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, (1, 5)))


def test_weights_that_are_given_or_made_before_are_not_doubted() -> None:
    torch.save(network().state_dict(), "w.pth")
    lay("made_net.py")
    for more in (["filtered_net:net", "--weights", "w.pth"], ["made_net:net"]):
        assert run("filters", "--size", "32", *more).stderr == ""


def test_what_is_dead_or_broken_or_unread_is_told() -> None:
    net = network()
    net[0].weight.data[:2] = 0
    net[3].weight.data[0, 0, 0, 0] = torch.inf
    torch.save(net.state_dict(), "w.pth")
    said = run("filters", "filtered_net:net", "--weights", "w.pth", "-o", "broken.png").stdout
    assert "Left out: 2 channels with weights below 1e-4 of the median channel's, of 0." in said
    assert "Nothing can be measured of 3: weights are NaN or infinite." in said
    calculated = [helper.make_node("Mul", ["w3", "w3"], ["m"]), conv("a", "image"), conv("b", "a")]
    calculated[2].input[1] = "m"
    said = run("filters", saved(calculated, ["b"])).stdout
    assert "Not read: b, its weights are calculated, by Mul." in said
    assert "No batch normalisation found (folded or absent); D does not depend on it." in said


MISSING = {
    "onnx": "net.onnx: reading it needs the package onnx; install it: pip install 'padviz[onnx]'",
    "torch": "filtered_net:net: needs PyTorch; install it: pip install 'padviz[torch]'",
    "safetensors": "w.safetensors: needs the package safetensors; install it: pip install 'padviz[trained]'",
    "onnxruntime": "net.onnx: running it needs the package onnxruntime; install it: pip install 'padviz[trained]'",
}


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("onnx", "filters net.onnx"),
        ("torch", "filters filtered_net:net"),
        ("safetensors", "filters filtered_net:net --weights w.safetensors"),
        ("onnxruntime", "responses net.onnx"),
        ("onnxruntime", "detect net.onnx"),
    ],
)
def test_a_missing_extra_is_named(missing: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain("net.onnx")
    Path("w.safetensors").write_text("")
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "torch":
        monkeypatch.delitem(sys.modules, "padviz.trained.networks.torch_network", raising=False)
        monkeypatch.delattr(padviz.trained.networks, "torch_network", raising=False)
    assert told(*line.split()) == f"padviz: {MISSING[missing]}\n"


PHOTOS = ("--images", "photos")
TRIAL = (
    "trial",
    "judge_net:judge",
    "--trained-at",
    "24",
    *PHOTOS,
    "-n",
    "16",
    "--mean",
    ".5",
    "--std",
    ".1",
)


def test_an_audit_tries_its_remedies_on_the_trained_network() -> None:
    words = ("audit", "judge_net:judge", "--size", "24", *PHOTOS)
    found = json.loads(run(*words, "--format", "json").stdout)
    tried = found["trial"]
    rows = {
        (row["padding"], *row["size"]): row["kept"]
        for row in tried["rows"]
        if row["how"] != "resize"
    }
    marked = run(*words, "--format", "markdown").stdout
    assert "| top-1 kept |" in marked
    kept = 0
    for remedy in found["rows"][1:]:
        tryable = remedy["kind"] in ("size", "larger", "padding")
        value = rows.get((remedy["padding"], *remedy["size"])) if tryable else None
        cell = "not tried" if value is None else f"{100 * value:.1f} %"
        line = next(
            line for line in marked.splitlines() if line.startswith(f"| {remedy['change']} |")
        )
        assert line.split(" | ")[6] == cell
        kept += value is not None
    assert kept >= 3


def test_a_single_change_is_the_answer() -> None:
    found = json.loads(
        run(*TRIAL, "--size", "25", "--padding", "trained", "--format", "json").stdout
    )
    answer = r"Of 2 changes, 25 px \((one row more|resized)\) harms least: it keeps the top-1 on "
    assert re.match(answer, found["verdict"])
    kept = r"reflect padding keeps the top-1 on \d+ % of 16 crops \(\d+ to \d+\), KL [\d.e-]+; "
    line = run(*TRIAL, "--padding", "reflect").stdout.splitlines()[0]
    assert re.fullmatch(rf"{kept}a shift by one pixel on \d+ %, KL [\d.e-]+\.", line)


def interrupted(options: list[str]) -> tuple[int, tuple[str, str]]:
    """The exit code and output of a run that Ctrl-C ends once it is under way."""
    often = "from padviz.files import unfinished; unfinished.EVERY = 0.1"
    code = f"import sys; {often}; print(1, flush=True); sys.argv[1:] = {options!r}; {MAIN}"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as started:
        assert started.stdout
        assert started.stdout.readline() == "1\n"
        kept = Path("x.png.unfinished.npz")
        for _ in range(300 if "seen" in options else 20):
            time.sleep(0.1)
            if kept.exists():
                break
        started.send_signal(signal.SIGINT)
        said = started.communicate(timeout=30)
    return started.returncode, said


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_trial_that_is_interrupted_ends_with_one_line_and_no_file() -> None:
    options = ["trial", f"{NETS}slow", "--trained-at", "40", *PHOTOS, "-n", "500", "-o", "x.png"]
    assert interrupted(options) == (130, ("", "padviz: interrupted\n"))
    assert not [*Path().glob("x.*")]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_what_was_seen_is_kept_and_resumed() -> None:
    size = ["--size", "32", "--patch", "8", "--grid", "5"]
    options = ["seen", f"{NETS}slow", *size, *PHOTOS, "-n", "3", "-o", "x.png"]
    code, said = interrupted(options)
    with np.load("x.png.unfinished.npz") as file:
        done, count = int(np.isfinite(file["values"]).sum()), file["values"].size
    assert 0 < done < count == 3 * 25
    left = f"{done} of {count} scores are kept in x.png.unfinished.npz, and --resume goes on"
    assert (code, said) == (130, ("", f"padviz: interrupted; {left}\n"))
    assert "was started with other options" in told(
        *options[:-2], "--seed", "1", "-o", "x.png", "--resume"
    )
    result = run(*options, "--resume")
    assert (result.exit_code, Path("x.png").exists(), [*Path().glob("*unfinished*")]) == (
        0,
        True,
        [],
    )
    assert result.stdout == run(*options, "--overwrite").stdout


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_a_library_is_imported_is_no_missing_library(number: signal.Signals) -> None:
    code = f"import os\ntry:\n    os.kill(os.getpid(), {number.value})\n    [1 for _ in range(10**6)]\n"
    Path("onnxruntime.py").write_text(
        f"{code}except BaseException:\n    pass\nraise ImportError('DLL load failed')\n"
    )
    command = [sys.executable, "-m", "padviz", *DETECT, "d.png"]
    with_fake = {**os.environ, "PYTHONPATH": f"{Path.cwd()}"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=with_fake)
    assert (ended.returncode, ended.stdout) == (128 + number, "")
    assert ended.stderr == ("padviz: interrupted\n" if number == signal.SIGINT else "")


MAIN = "import runpy; runpy.run_module('padviz', run_name='__main__')"
