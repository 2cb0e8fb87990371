"""Processes that are interrupted, ended or killed: what they say, and what they leave behind."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

import padviz
from padviz.files.unfinished import SUFFIX
from tests.soak import beside

STARTED = "import os, padviz.__main__ as m; handle = m.handle_signals; m.handle_signals = lambda: (handle(), os.write"
STARTED += "({}, b'.')); m.main()"
MANY = [
    "vgg11",
    "resnet18",
    "--size",
    "64:160:32",
    "--format",
    "png,npz",
    "--jobs",
    "2",
    "-o",
    "out",
]
SWEPT = [
    "--size",
    "64",
    "--height",
    "8",
    "--step",
    "1",
    "--threshold",
    "--padding",
    "trained,reflect",
]
TRAINED = """[[maps]]
models = ["net.onnx"]
sizes = [64, 96, 128]
what = ["filters", "responses"]
"""
RUNS = {  # and the seconds that they take
    "usage": (["usage", "resnet18", "--size", "224", "-o", "map.csv", "--overwrite"], 0.8),
    "export": (["export", *MANY], 3.0),
    "torch": (
        ["usage", "torchvision.models:resnet18", "--size", "64", "-o", "map.npy", "--overwrite"],
        4.0,
    ),
    "audit drawn": (["audit", "resnet50", "--size", "224", "-o", "audit.png", "--overwrite"], 1.2),
    "explore": (["explore", "resnet18", "--size", "64,96", "-o", "page.html", "--overwrite"], 1.0),
    "repad": (
        [
            "repad",
            "net.onnx",
            "--size",
            "64",
            "--padding",
            "symmetric",
            "-o",
            "out.onnx",
            "--overwrite",
        ],
        0.8,
    ),
    "detect": (["detect", "net.onnx", *SWEPT, "-o", "spots.png", "--resume", "--overwrite"], 4.0),
    "manifest": (["export", "trained.toml", "--jobs", "2", "-o", "out"], 3.0),
}
# of detect
NOTES = re.compile(r"padviz: .*(the run began anew|the background is seen without a stimulus.*)\n")
CODES = {
    signal.SIGINT: (130, -2),
    signal.SIGTERM: (143, -15),
}  # a shell says 130 and 143 of the others too


class Started:
    """A command in a folder and a session of its own, from the moment that it handles signals."""

    def __init__(self, args: list[str], folder: str) -> None:
        (Path(folder) / "net.onnx").write_bytes(beside.network())
        (Path(folder) / "trained.toml").write_text(TRAINED)
        ready, told = os.pipe()
        command = [sys.executable, "-c", STARTED.format(told), *args]
        pipes = {
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.PIPE,
            "text": True,
            "errors": "replace",
        }
        self.process = subprocess.Popen(
            command, cwd=folder, pass_fds=[told], start_new_session=True, **pipes
        )  # type: ignore[call-overload]
        os.close(told)
        os.read(ready, 1)
        os.close(ready)

    def ended(self, seconds: float = 60) -> tuple[int, str]:
        """Its exit code, and what it said."""
        try:
            _, words = self.process.communicate(timeout=seconds)
            return self.process.returncode, NOTES.sub("", words)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.communicate()
            return -1, f"did not end within {seconds} s"

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def outlived(self) -> bool:
        """Whether children are there two seconds after it ended; they are killed."""
        until = time.monotonic() + 2
        with suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.killpg(self.process.pid, 0)
                time.sleep(0.05)
            os.killpg(self.process.pid, signal.SIGKILL)
            return True
        return False


def disturbed(rng: Random, numbers: list[signal.Signals]) -> str:
    """A signal at a random moment: its code, one line at most, no child and nothing half-written left.

    SIGKILL may leave what is hidden, and children that the test ends: the same command then ends well and sweeps up.
    """
    what, number = rng.choice([*RUNS]), rng.choice(numbers)
    moment, deadly = rng.uniform(0, RUNS[what][1]), number == signal.SIGKILL
    about = f"{what}, {number.name} after {moment:.3f} s: "
    with tempfile.TemporaryDirectory() as folder:
        started = Started(RUNS[what][0], folder)
        time.sleep(moment)
        if deadly:
            started.kill()
            started.ended()
            if broken := _broken(Path(folder), hidden=False, kept=True):
                return about + broken
            started = Started(RUNS[what][0], folder)
        else:
            started.process.send_signal(number)
        code, words = started.ended(60 if deadly else 20)
        if started.outlived() and not deadly:
            return about + "children outlive it by two seconds"
        if code not in ((0,) if deadly else (0, *CODES[number])) or (deadly and words):
            return about + f"exit code {code}: {words[-300:]!r}"
        if words.strip().count("\n") or "Traceback" in words:
            return about + f"says {words[-300:]!r}"
        broken = _broken(Path(folder), hidden=True, kept=code != 0)
        return about + broken if broken else "refused" if deadly or code else "fine"


WAYS: dict[str, Callable[[Random], str]] = {
    "kills": partial(disturbed, numbers=[signal.SIGKILL]), "signals": partial(disturbed, numbers=[*CODES]),
}  # fmt: skip


def _broken(folder: Path, hidden: bool, kept: bool = False) -> str:
    """What is half-written in a folder, or, if asked for, hidden and left behind; a sweep's scores may be `kept`."""
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts):
            if hidden:
                return f"leaves {inside}"
            continue
        try:
            if path.name.endswith(SUFFIX):
                if not kept:
                    return f"leaves {inside}"
                with np.load(path) as scores:
                    assert [*scores] == ["values", "question"]
            elif path.suffix == ".png":
                with Image.open(path) as picture:
                    picture.load()
            elif path.suffix in (".npy", ".npz"):
                padviz.read_counts(path)
            elif path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".onnx":
                padviz.load(path)
            elif path.name == "page.html":
                assert path.read_text().endswith("</html>")
        except Exception as error:
            return f"half-written {inside}: {error}"
    return ""
