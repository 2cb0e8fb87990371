"""`padviz responses` and `padviz detect` from the command line: networks that are run."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.test_cli import run, told
from tests.snippets import seeing_file

NET = """
import time

import torch
from torch import nn

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, x):
        time.sleep(0 if x.is_meta else 0.02 * len(x))
        return torch.sigmoid(self.conv(x))

class Scalar(Slow):
    def forward(self, x):
        return self.conv(x).mean()

class Ramp(Slow):
    def forward(self, x):
        return torch.sigmoid(self.conv(x) - torch.linspace(9, 1, 40) - torch.linspace(0, 1, 40)[:, None])

torch.manual_seed(0)
classes = nn.Sequential(
    nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
)
slow, scalar, ramp = Slow(), Scalar(), Ramp()
dark = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid())
for net in (dark[0], ramp.conv):
    nn.init.constant_(net.weight, -1.0), nn.init.constant_(net.bias, -2.0)
linear = nn.Linear(8, 8)
pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 8, 1))
boxes = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(2), nn.Unflatten(2, (2, -1, 1, 1)))
broken = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1))
nn.init.zeros_(broken[0].weight), nn.init.zeros_(broken[0].bias), nn.init.constant_(broken[1].bias, float("nan"))
"""
NETS = "run_net:"
DETECT = ("detect", "seeing.onnx", "--size", "48", "--stimulus", "text:o", "--step", "8", "-o")
KEPT = "d.png.unfinished.npz"


@pytest.fixture(autouse=True)
def _files(elsewhere: None) -> None:
    Path("run_net.py").write_text(NET)
    seeing_file("seeing.onnx")


def test_what_does_not_react_is_refused_and_nothing_is_kept() -> None:
    size = ("--size", "40", "--step", "16")
    line = told("detect", f"{NETS}classes", *size, "--threshold", "--stimulus", "text:o", "-o", "u.svg")
    says = "run_net:classes: nothing reacts to the stimulus: every score is within 0.01 of the background's, 0.4"
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


def test_scores_are_kept_where_the_picture_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with _full_disk():
        result = run(*DETECT, "d.png")
    why = f"make room there, and add --resume: {KEPT} has the finished work"
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"padviz: d.png: cannot be written (File too large); {why}\n"
    assert sorted(Path().glob("d.png*")) == [Path(KEPT)]
    held = f"padviz: {KEPT}: has an interrupted run; add --resume to continue it, or --overwrite to start"
    assert told(*DETECT, "d.png").startswith(held)

    def filled(sweep: Any, values: Any, *others: Any) -> None:
        assert np.isfinite(values).all()

    with monkeypatch.context() as patched:
        patched.setattr("padviz.trained.detecting.sweeping.Sweep.fill", filled)
        again = run(*DETECT, "d.png", "--resume")
    assert again.exit_code == 0
    assert not [*Path().glob("*unfinished*")]
    anew = run(*DETECT, "e.png", "--resume")
    assert anew.stderr == "padviz: e.png.unfinished.npz does not exist: the run starts from the beginning\n"
    assert again.stdout == anew.stdout.replace("e.png", "d.png")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_scores_are_kept_where_the_figures_cannot_be_told() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "padviz", *DETECT, "d.png"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "padviz: stdout: cannot be written (No space left on device)\n")
    assert sorted(Path().glob("d.png*")) == [Path("d.png"), Path(KEPT)]
