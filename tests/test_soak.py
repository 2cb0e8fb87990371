"""A little of `make soak`: a few mutants of each kind, and what judges them."""

import os
from random import Random

import pytest
from click.testing import CliRunner

import padviz
from padviz.cli.group import cli
from tests.cli.test_cli import APART
from tests.soak import beside, fuzz, mutants
from tests.soak.__main__ import FUZZED
from tests.sweeps import REST

SEED = os.environ.get("SEED", "1")
pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=REST if each == "programs" else ()) for each in FUZZED]
)
def test_mutants_are_refused_by_one_line_or_counted(kind: str) -> None:
    found = fuzz.run(kind, SEED, 0, 25)
    assert found["failures"] == []
    assert found["tally"]["refused"] > 3


@pytest.mark.parametrize(
    "line",
    [pytest.param(each, marks=REST if i % 3 else ()) for i, each in enumerate(mutants.COMMANDS)],
)
def test_lines_that_are_right_run(line: str) -> None:
    beside.lay_out(whole=True)
    result = CliRunner(**APART).invoke(cli, line.split())
    assert result.exit_code == line.startswith("check"), f"{line}: {result.output}"


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("while True: pass", "took more than 1 s"),
    ],
)
def test_the_judge_finds_what_it_looks_for(
    breaks: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {"padviz": padviz}
    exec(f"def load(path):\n    {breaks}", space)
    monkeypatch.setattr("padviz.load", space["load"])
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    assert says in fuzz._judged("TOML descriptions", beside.NET, Random(0))
