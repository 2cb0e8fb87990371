"""What a release is made of agrees: versions, the paper, the citation, and examples that stand in the code."""

import re
import tomllib
from pathlib import Path

import padviz
from tests.cli.test_cli import run
from tests.snippets import fenced

ROOT = Path(__file__).parent.parent
PAPER = (ROOT / "paper" / "paper.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_one_version_is_released() -> None:
    newest = re.findall(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    cited = (ROOT / "CITATION.cff").read_text()
    released = re.findall(r"^(?:version|date-released): \"?([\d.-]+)\"?$", cited, re.MULTILINE)
    assert [padviz.__version__, newest[1]] == [*newest] == released
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert written["project"]["dynamic"] == ["version"]
    home = ROOT / written["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.+)"$', home.read_text(), re.MULTILINE) == [padviz.__version__]
    assert run("--version").stdout == f"padviz, version {padviz.__version__}\n"


def test_examples_of_how_to_contribute_stand_in_the_code() -> None:
    blocks = [block for language in ("python", "toml") for block in fenced(CONTRIBUTING, language)]
    assert len(blocks) == 7
    for block in blocks:
        first, *lines = block.rstrip("\n").split("\n")
        code = {line.strip() for line in (ROOT / first.removeprefix("# ")).read_text().split("\n")}
        assert {line.strip() for line in lines} <= code


def test_files_of_how_to_contribute_are_there() -> None:
    named = re.findall(r"`((?:padviz|tests|configs|docs)/[^`]*)`", CONTRIBUTING)
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []


def test_the_paper_is_as_long_as_a_journal_asks_and_cites_its_bibliography() -> None:
    assert 700 <= len(PAPER.split()) <= 1050
    entries = re.findall(r"^@\w+\{([^,]*),", (ROOT / "paper" / "paper.bib").read_text(), re.MULTILINE)
    assert sorted({*re.findall(r"@([a-z]+\d{4}[a-z]+)", PAPER)}) == sorted(entries)


def test_the_paper_counts_the_networks_that_the_site_lists() -> None:
    (row,) = re.findall(r"^\| all \| (.*) \|$", (ROOT / "docs/evidence/tested-networks.md").read_text(), re.MULTILINE)
    every, counts, support, refused, open_, wrong = map(int, row.split(" | "))
    sentence = r"Of (\d+) networks of eight libraries (\d+) are [a-z ]*, (\d+) are refused by name, and (\d+) could"
    told = re.findall(sentence, " ".join(PAPER.split()))
    assert [[*map(int, each)] for each in told] == [[every, counts + support, refused, open_]]
    assert wrong == 0
