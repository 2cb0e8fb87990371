"""numba is a faster road, not a needed one: without it numpy counts, and one line says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import padviz

ROOT = Path(__file__).parent.parent.parent
LINE = "numba is not installed: numpy counts, the same numbers in more time; pip install numba"
COMMAND = """
import sys, tests.without_numba
from padviz.engine import apply
apply.NUMBA_FROM = 0
from padviz.cli import cli
cli(["usage", "resnet18", "--size", "64", "--no-picture", "--format", "json"])
"""


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT)


def test_each_case_has_its_counts() -> None:
    quiet, path = "ignore::padviz.engine.apply.Slower", "tests/test_cases.py"
    plugins = "-p", "tests.without_numba", "-p", "no:xdist", "-p", "no:cacheprovider"
    cases = run("-m", "pytest", *plugins, path, "-W", quiet)
    assert cases.returncode == 0, cases.stdout
    assert " passed" in cases.stdout


def test_the_command_says_so_once() -> None:
    counted = run("-c", COMMAND)
    assert (counted.returncode, counted.stderr) == (0, f"padviz: {LINE}\n")
    assert json.loads(counted.stdout)["max"] == padviz.usage("resnet18", 64).max


def test_python_warns_once() -> None:
    lines = "import tests.without_numba, padviz\nfor i in 1, 2: print(padviz.usage('resnet18', 64, engine='numba').max)"
    counted = run("-c", lines)
    assert counted.stdout.split() == [str(padviz.usage("resnet18", 64).max)] * 2
    assert counted.stderr.count(LINE) == 1


def test_a_numba_that_breaks_says_why(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.3 or less')")
    counted = run("-c", "import padviz; padviz.usage('vgg11', 64, engine='numba')", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert "numba cannot be imported (Numba needs NumPy 2.3 or less): numpy counts" in counted.stderr
