"""`padviz trial` and `padviz detect --cover` from the command line: answers, pictures, interrupts."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.test_cli import run, told
from tests.cli.test_cli_foreign import plain
from tests.cli.test_cli_running import NET, NETS
from tests.trained.test_trying import folder

LOST = """
def lost():
    made = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.constant_(made[0].bias, float("nan"))
    return made

lost = lost()
"""
JUDGE = """
from tests.trained.test_trying import classifier

judge = classifier()
"""
PHOTOS = ("--images", "photos")
TRIAL = ("trial", "judge_net:judge", "--trained-at", "24", *PHOTOS, "-n", "16", "--mean", ".5", "--std", ".1")


@pytest.fixture(autouse=True)
def _files(elsewhere: None) -> None:
    Path("run_net.py").write_text(NET)
    Path("lost_net.py").write_text(NET + LOST)  # by its own name: a module is imported once
    Path("judge_net.py").write_text(JUDGE)  # apart: processes that are started know no tests
    plain("net.onnx")
    folder(Path("photos"), 12)


def test_an_audit_tries_its_remedies_on_the_trained_network() -> None:
    words = ("audit", "judge_net:judge", "--size", "24", *PHOTOS)
    found = json.loads(run(*words, "--format", "json").stdout)
    (audited,), tried = found["results"], found["trial"]
    rows = {(row["padding"], *row["size"]): row["kept"] for row in tried["rows"] if row["how"] != "resize"}
    marked = run(*words, "--format", "markdown").stdout
    assert "| top-1 kept |" in marked
    kept = 0
    for remedy in audited["remedies"]:
        what, tryable = remedy["what"], remedy["kind"] in ("size", "larger", "padding")
        row = rows.get((remedy["padding"], *remedy["outcome"]["size"])) if tryable else None
        cell = f"{100 * row['value']:.1f} %" if row else "not tried"
        line = next(line for line in marked.splitlines() if line.startswith(f"| {what} |"))
        assert line.split(" | ")[6] == cell
        kept += bool(row)
    assert kept >= 3


def test_a_single_change_is_the_answer() -> None:
    found = json.loads(run(*TRIAL, "--size", "25", "--padding", "trained", "--format", "json").stdout)
    answer = r"Of 2 changes, 25 px \((one row more|resized)\) harms least: it keeps the top-1 on "
    assert re.match(answer, found["answer"])
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
        for _ in range(300 if "--cover" in options else 20):
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
    size = ["--size", "32", "--patch", "8", "--grid", "7"]
    options = ["detect", f"{NETS}slow", "--cover", *size, *PHOTOS, "-n", "3", "-o", "x.png"]
    code, said = interrupted(options)
    with np.load("x.png.unfinished.npz") as file:
        done, count = int(np.isfinite(file["values"]).sum()), file["values"].size
    assert 0 < done < count == 3 * 49
    left = f"{done} of {count} scores are kept in x.png.unfinished.npz, and --resume goes on"
    assert (code, said) == (130, ("", f"padviz: interrupted; {left}\n"))
    assert "was started with other options" in told(*options[:-2], "--seed", "1", "-o", "x.png", "--resume")
    result = run(*options, "--resume")
    assert (result.exit_code, Path("x.png").exists(), [*Path().glob("*unfinished*")]) == (0, True, [])
    assert result.stdout == run(*options, "--overwrite").stdout


MAIN = "import runpy; runpy.run_module('padviz', run_name='__main__')"
