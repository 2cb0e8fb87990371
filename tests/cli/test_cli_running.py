"""`padviz responses` and `padviz detect` from the command line: networks that are run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_cli import run, told
from tests.cli.test_cli_foreign import conv, plain, saved

NET = """
import time

import torch
from torch import nn

class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.dead, self.lost = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        nn.init.zeros_(self.dead.weight), nn.init.zeros_(self.dead.bias)
        nn.init.constant_(self.lost.bias, float("nan"))

    def forward(self, x):
        return self.dead(x) + self.lost(x)

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, x):
        time.sleep(0 if x.is_meta else 0.02 * len(x))
        return torch.sigmoid(self.conv(x))

def classes():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )

classes = classes()  # a module: of one that is made anew it is said that nothing tells of its training

def slow():
    torch.manual_seed(0)
    return Slow()

def dark():
    net = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid())
    nn.init.constant_(net[0].weight, -1.0), nn.init.constant_(net[0].bias, -2.0)
    return net

def linear():
    return nn.Linear(8, 8)

def pooled():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 8, 1))

def boxes():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(2), nn.Unflatten(2, (2, -1, 1, 1)))

class Scalar(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, x):
        return self.conv(x).mean()

def scalar():
    return Scalar()

broken = Broken()
"""
NETS = "run_net:"
CLASSES = ("detect", f"{NETS}classes", "--size", "48", "--stimulus", "text:o", "--contrast", "1")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run_net.py").write_text(NET)
    plain("net.onnx")


def test_layers_without_figures_say_why() -> None:
    result = run("responses", f"{NETS}broken", "--size", "32", "-n", "2", "--padding", "trained", "-o", "b.png")
    assert result.exit_code == 0
    assert "is dead: 0 all over the interior" in result.stdout
    assert "makes NaN or infinite numbers" in result.stdout
    assert json.loads(run("responses", f"{NETS}broken", "--size", "32", "--format", "json").stdout)["layers"]


def test_few_inputs_are_said_and_one_has_no_energy() -> None:
    plain("net.onnx")
    Path("pics").mkdir()
    for i in range(2):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (40, 40, 3), np.uint8)).save(f"pics/{i}.png")
    options = ("responses", "net.onnx", "--size", "32", "--padding", "trained")
    assert run(*options, "--inputs", "pics").stderr == "padviz: pics has 2 pictures, and 16 were asked for\n"
    result = run(*options, "-n", "1")
    assert result.stderr == "padviz: one input has no two halves, so E is not known; use more\n"
    assert "1 input (noise)" in result.stdout
    assert " ".join(result.stdout.splitlines()[-4].split()).startswith("b 3 x 16 x 16 -")
    assert run(*options, "--inputs", "blank").stderr == ""


def test_what_keeps_its_padding_is_said() -> None:
    wide = {"pads": [3, 3, 3, 3], "dilations": [3, 3]}
    saved([conv("a", "image", pads=[1, 1, 1, 1]), conv("b", "a", **wide)], ["b"], "wide.onnx", (3, 3))
    result = run("responses", "wide.onnx", "-n", "2", "--padding", "reflect,symmetric")
    assert result.exit_code == 0
    why = "its input has 3 rows, too few for reflect padding of 3"
    assert result.stderr == f"padviz: reflect: b keeps its padding ({why})\n"


def test_thresholds_and_shifted_pictures_are_mapped() -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)).save("scene.png")
    size = ("--size", "40", "--step", "16")
    needed = run("detect", f"{NETS}dark", *size, "--threshold", "--stimulus", "text:o", "-o", "t.svg")
    assert needed.exit_code == 0
    assert "contrast needed, median" in needed.stdout
    command = ("detect", f"{NETS}classes", *size, "--threshold", "--stimulus", "text:o", "-o", "u.svg")
    assert (
        "run_net:classes: nothing reacts to the stimulus: every score is within 0.01 of the background's, 0.4"
        in told(*command)
    )
    assert not [*Path().glob("u.svg*")]
    shifted = run("detect", f"{NETS}classes", *size, "--image", "scene.png", "--shift", "16", "-o", "s.pdf")
    assert shifted.exit_code == 0
    assert "scene.png, shifted under the frame by up to 16 px" in shifted.stdout


def test_a_sweep_that_was_not_kept_begins_anew_and_says_so() -> None:
    line = "padviz: d.png.unfinished.npz was not there: nothing was kept, and the run began anew\n"
    assert run(*_classes("d.png"), "--resume").stderr.startswith(line)
    assert line not in run(*_classes("d.png"), "--overwrite").stderr


def _classes(picture: str) -> tuple[str, ...]:
    return (*CLASSES, "--step", "8", "-o", picture)


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


def test_scores_are_kept_where_the_picture_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with _full_disk():
        result = run(*_classes("d.png"))
    why = "make room there, and add --resume: d.png.unfinished.npz has all scores"
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"padviz: d.png: cannot be written (File too large); {why}\n"
    assert sorted(Path().glob("d.png*")) == [Path("d.png.unfinished.npz")]
    held = (
        "padviz: d.png.unfinished.npz: keeps an interrupted run; add --resume to continue it, or --overwrite to begin"
    )
    assert told(*_classes("d.png")).startswith(held)
    with monkeypatch.context() as patched:
        patched.setattr("padviz.trained.detecting.sweeping.Sweep.fill", _filled)
        again = run(*_classes("d.png"), "--resume")
    assert again.exit_code == 0
    assert again.stdout == run(*_classes("e.png")).stdout.replace("e.png", "d.png")
    assert not [*Path().glob("*unfinished*")]


def _filled(sweep: Any, kept: Any, *others: Any) -> None:
    assert np.isfinite(kept.values).all()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_scores_are_kept_where_the_figures_cannot_be_told() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "padviz", *_classes("d.png")]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "padviz: stdout: cannot be written (No space left on device)\n")
    assert sorted(Path().glob("d.png*")) == [Path("d.png"), Path("d.png.unfinished.npz")]


def test_a_missing_onnxruntime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    line = "net.onnx: running it needs the package onnxruntime; install it: pip install 'padviz[trained]'"
    assert told("responses", "net.onnx") == f"padviz: {line}\n"
    assert told("detect", "net.onnx") == f"padviz: {line}\n"


def test_each_side_of_a_map_has_its_own_line() -> None:
    from padviz.reports.trained.detect import figures
    from padviz.trained.detecting.detectability import Detectability, PositionMap

    values = np.full((5, 5), 0.5)
    values[0], values[-1], values[1:-1, 0], values[1:-1, -1] = 0.1, 0.2, 0.3, 0.4
    shown = PositionMap(None, values)
    found = Detectability(
        "net", "net", (32, 32), "rings", (8, 8), 1.0, "y", 0, tuple(range(5)), tuple(range(5)), (shown,)
    )
    rows = dict(map(tuple, figures(found).values))
    assert [rows[f"{side} minus inside"] for side in ("top", "bottom", "left", "right")] == [*shown.edges]
    assert len({*shown.edges}) == 4


def test_figures_of_thresholds_are_of_the_positions_that_are_seen() -> None:
    from padviz.reports.trained.detect import figures
    from padviz.trained.detecting.detectability import Detectability, PositionMap

    some = PositionMap(None, np.array([[0.2, 0.4, np.inf, np.nan]]), threshold=True)
    about = ("net", "net", (32, 32), "rings", (8, 8), 1.0, "y", 0, (0,), (0, 8, 16, 24))
    rows = dict(map(tuple, figures(Detectability(*about, (some,))).values))
    assert rows["contrast needed, median where enough"] == pytest.approx(0.3)
    assert (rows["no contrast tried is enough"], rows["NaN"], rows["blind spots"]) == ("25.0 %", "25.0 %", "33.3 %")
