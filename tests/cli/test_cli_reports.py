"""What -o writes: the suffix says the format, and nothing is written in another."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.test_cli import run, told

TEXTS = [["uneven", "resnet18"], ["sizes", "resnet18"], ["diff", "vgg11", "vgg13"], ["coverage", "vgg11", "--margin"]]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("args", TEXTS)
def test_the_suffix_says_the_format(args: list[str]) -> None:
    for suffix in ("json", "csv", "txt"):
        assert run(*args, "-o", f"x.{suffix}").exit_code == 0
    assert json.loads(Path("x.json").read_text())["schema_version"] == 1
    assert len({len(row) for row in csv.reader(Path("x.csv").read_text().splitlines())}) == 1
    assert Path("x.txt").read_text().rstrip() == run(*args).stdout.rstrip()


def test_markdown_is_a_suffix_of_uneven_alone() -> None:
    assert run("uneven", "resnet18", "-o", "x.md").exit_code == 0
    assert Path("x.md").read_text() == run("uneven", "resnet18", "--format", "markdown").stdout
    assert "use .txt .json .csv" in told("sizes", "resnet18", "-o", "y.md")
    assert run("uneven", "resnet18", "--format", "github", "-o", "x.txt").exit_code == 0
    assert Path("x.txt").read_text().startswith("::")


@pytest.mark.parametrize("args", TEXTS)
@pytest.mark.parametrize("name", ["x.foo", "x.csv.gz", "x.pt", "x.toml", "x"])
def test_other_suffixes_are_refused(args: list[str], name: str) -> None:
    assert f"-o: '{name}' has no suffix that says what to write; use .txt .json .csv" in told(*args, "-o", name)
    assert os.listdir() == []


@pytest.mark.parametrize("args", TEXTS)
def test_a_format_that_says_another_is_refused(args: list[str]) -> None:
    line = told(*args, "--format", "csv", "-o", "x.json")
    assert "-o: 'x.json' does not fit --format csv; use .csv, or leave --format out" in line
    assert os.listdir() == []
    assert run(*args, "--format", "csv", "-o", "x.csv").exit_code == 0


def test_a_folder_that_is_a_file_is_called_one() -> None:
    Path("afile").write_text("")
    assert "-o: 'afile' is a file, not a folder; choose another" in told("usage", "vgg11", "-o", "afile/x.png")


def test_taps_print_height_before_width() -> None:
    options = ["taps", "resnet18", "--size", "225x224", "--layer", "layer4.0.conv1"]
    (row,) = json.loads(run(*options, "--format", "json").stdout)["layers"]
    height, width = row["imbalance"]["height"], row["imbalance"]["width"]
    assert height != width
    assert f"{height:+.2%} x {width:+.2%}" in run(*options).stdout
    assert re.search("Imbalance, height x width", " ".join(run("taps", "--help").stdout.split()))
