"""A little of `make soak`: a few dozen mutants of each kind, signals and kills, and two exports at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

import padviz
from padviz.cli.group import COMMANDS, cli
from tests.cli.test_cli import APART
from tests.soak import beside, commands, fuzz, processes
from tests.soak.__main__ import FUZZED
from tests.sweeps import SLOW

SEED = os.environ.get("SEED", "1")
SIGNALS, KILLS = 10, 3
# They need a browser, a module, what is not known, a signal, or folders of labels.
UNTRIED = {
    *("--open", "--weights", "--allow-modules", "--images", "--image-sizes"),
    *("--neutral", "--input", "--shape", "--chunk"),
    *("--dpi", "--width", "--theme"),  # which tests/figures/test_written.py tries
}


@pytest.mark.parametrize("kind", FUZZED)
def test_mutants_are_refused_by_one_line_or_counted(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = fuzz.run(kind, SEED, 0, 40)
    assert found["failures"] == []
    assert found["tally"]["refused"] > 5


def test_every_command_and_option_is_tried_on_a_line_that_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {
        (name, option)
        for name in COMMANDS
        for each in cli.get_command(None, name).params  # type: ignore[arg-type, union-attr]
        for option in each.opts
        if option.startswith("-") and option not in UNTRIED
    }
    lines = commands.COMMANDS
    tried = {(line.split()[0], word) for line in lines for word in line.split() if word.startswith("-")}
    tried |= {(name, option.partition("=")[0]) for name, option in tried}
    assert {line.split()[0] for line in lines} == {*COMMANDS}
    assert sorted(options - tried) == []
    for line in lines:
        beside.lay_out(whole=True)
        Path("a.png").unlink(missing_ok=True)  # which the line before drew, and which is no photograph
        result = CliRunner(**APART).invoke(cli, line.split())
        assert result.exit_code == ("--check" in line and "repad" not in line), f"{line}: {result.output}"


@SLOW
def test_processes_end_when_they_are_told_to() -> None:
    ways = [processes.signalled] * SIGNALS + [processes.killed] * KILLS + [processes.paired]
    with ThreadPoolExecutor(2) as pool:
        said = [*pool.map(lambda way, number: way(Random(f"{SEED}/signals/{number}")), ways, range(len(ways)))]
    assert [line for line in said if line not in ("fine", "refused")] == []
    assert "refused" in said


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("raise padviz.PadvizError('x' * 10**6)", "refused"),
        ("while True: pass", "took more than 1 s"),
        ("return [0]", "AttributeError"),
    ],
)
def test_the_judge_finds_what_it_looks_for(
    breaks: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = {"padviz": padviz}
    exec(f"def load(path):\n    {breaks}", space)
    monkeypatch.setattr("padviz.load", space["load"])
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    assert says in fuzz._judged("TOML descriptions", beside.NET, Random(0))


def test_the_judge_compares_with_the_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'layers = [{op = "conv", kernel = 3, padding = 1}, {op = "maxpool", kernel = 2}]'
    assert fuzz._judged("TOML descriptions", text, Random(0)) == "fine"
    monkeypatch.setattr("tests.naive.usage", lambda steps, size, targets: [[7] * size[1]] * size[0])
    assert "counts differ from the twin's" in fuzz._judged("TOML descriptions", text, Random(0))


def test_a_run_prints_its_seed_and_its_table_and_fails_if_anything_did(tmp_path: Path) -> None:
    code = """
import sys
from tests.soak import __main__ as soak
soak.FUZZED = {"counts files": 30}
soak.DISTURBED = {"signals": 1}
soak.processes.WAYS = {"signals": lambda rng: sys.argv[1]}
raise SystemExit(soak.main())
"""
    for said, expected in (("refused", 0), ("exit code 1", 1)):
        environment = {**os.environ, "SEED": "5", "PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [sys.executable, "-c", code, said]
        run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert run.returncode == expected, run.stderr
        assert run.stdout.startswith("SEED=5 SOAK=1\n")
        assert "counts files" in run.stdout
        assert ("signals 0: exit code 1" in run.stdout) == bool(expected)
