"""Manifests run no code unless they are allowed to."""

import subprocess
import sys
from pathlib import Path

import pytest

import padviz
from tests.cli.test_cli import run, told

CODE = """
from pathlib import Path
from torch import nn

Path("ran").touch()
net = nn.Conv2d(3, 4, 3)
"""


@pytest.fixture(autouse=True)
def _folder(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "foreign_code", raising=False)
    Path("foreign_code.py").write_text(CODE)


@pytest.mark.parametrize("model", ["foreign_code:net", "./foreign_code:net"])
@pytest.mark.parametrize("table", ["[[maps]]", "[[compare]]\nname = 'x'\npaddings = ['zero', 'reflect']"])
def test_a_manifest_that_names_code_is_refused(table: str, model: str) -> None:
    Path("survey.toml").write_text(f"{table}\nmodels = ['{model}']\nsizes = [32]\n")
    line = told("export", "survey.toml", "-o", "out", "--jobs", "1")
    assert line.startswith(f"padviz: survey.toml, {model}: names code that would run; ")
    assert "--allow-modules" in line
    with pytest.raises(padviz.PadvizError, match="`allow_modules`"):
        padviz.export("survey.toml", "out", jobs=1)
    assert not Path("ran").exists()
    assert not Path("out").exists()


@pytest.mark.parametrize("asked", [["survey.toml", "--allow-modules"], ["foreign_code:net", "--size", "32"]])
def test_allowed_or_on_the_command_line_it_runs(asked: list[str]) -> None:
    Path("survey.toml").write_text("[[maps]]\nmodels = ['foreign_code:net']\nsizes = [32]\n")
    result = run("export", *asked, "-o", "out", "--jobs", "1", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert Path("ran").exists()


def test_a_module_that_hides_an_installed_one_is_said_once_for_each_model() -> None:
    Path("hypothesis.py").write_text("from torch import nn\nnet = nn.Conv2d(3, 4, 3)\n")
    tables = "[[maps]]\nmodels = ['hypothesis:net']\nsizes = [32, 33]\n" * 2
    Path("survey.toml").write_text(tables + "[[compare]]\nname = 'c'\nmodels = ['hypothesis:net']\nsizes = [32, 64]\n")
    line = "export survey.toml --allow-modules -o out --jobs 1 --format json"
    done = subprocess.run([sys.executable, "-m", "padviz", *line.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("padviz: hypothesis:net: hypothesis is ")
    assert "hides the hypothesis that is installed" in done.stderr


def test_what_hides_an_installed_module_is_said_before_its_code_runs() -> None:
    Path("hypothesis.py").write_text("raise ValueError('no')\n")
    Path("survey.toml").write_text("[[maps]]\nmodels = ['hypothesis:net']\nsizes = [32]\n")
    command = [sys.executable, "-m", "padviz", "export", "survey.toml", "--allow-modules", "-o", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert ["hides" in line for line in done.stderr.splitlines()] == [True, False]
