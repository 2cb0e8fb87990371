"""Manifests run no code unless they are allowed to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import padviz
from padviz.cli import cli

CODE = """
from pathlib import Path
from torch import nn

Path("ran").touch()
net = nn.Conv2d(3, 4, 3)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "foreign_code", raising=False)
    Path("foreign_code.py").write_text(CODE)


@pytest.mark.parametrize("model", ["foreign_code:net", "./foreign_code:net"])
@pytest.mark.parametrize("table", ["[[maps]]", "[[compare]]\nname = 'x'\npaddings = ['zero', 'reflect']"])
def test_a_manifest_that_names_code_is_refused(table: str, model: str) -> None:
    Path("survey.toml").write_text(f"{table}\nmodels = ['{model}']\nsizes = [32]\n")
    result = CliRunner().invoke(cli, ["export", "survey.toml", "-o", "out", "--jobs", "1"])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"padviz: survey.toml, {model}: names code that would run; ")
    assert "--allow-modules" in result.stderr
    with pytest.raises(padviz.PadvizError, match="`allow_modules`"):
        padviz.export("survey.toml", "out", jobs=1)
    assert not Path("ran").exists()
    assert not Path("out").exists()


@pytest.mark.parametrize("asked", [["survey.toml", "--allow-modules"], ["foreign_code:net", "--size", "32"]])
def test_allowed_or_on_the_command_line_it_runs(asked: list[str]) -> None:
    Path("survey.toml").write_text("[[maps]]\nmodels = ['foreign_code:net']\nsizes = [32]\n")
    result = CliRunner().invoke(cli, ["export", *asked, "-o", "out", "--jobs", "1", "--format", "json"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert Path("ran").exists()
