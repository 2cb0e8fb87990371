"""What -o writes: the suffix says the format, and nothing is written in another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import padviz
from tests.cli.test_cli import run, told
from tests.cli.test_cli_foreign import conv, saved

TEXTS = [["uneven", "resnet18"], ["sizes", "resnet18"], ["diff", "vgg11", "vgg13"], ["tiles", "vgg11"]]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_annotations_are_written_to_a_text() -> None:
    assert run("uneven", "resnet18", "--format", "github", "-o", "x.txt").exit_code == 0
    assert Path("x.txt").read_text().startswith("::")


@pytest.mark.parametrize("args", TEXTS)
@pytest.mark.parametrize("name", ["x.foo", "x.csv.gz", "x.pt", "x.toml", "x"])
def test_other_suffixes_are_refused(args: list[str], name: str) -> None:
    suffix = Path(name).suffix
    wrong = f"ends in {suffix}, which is not written here" if suffix else "has no suffix"
    assert f"-o: '{name}' {wrong}; use .txt .json .csv" in told(*args, "-o", name)
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


def test_sizes_say_which_window_is_never_even() -> None:
    steps = '{op = "conv", name = "c", kernel = 2, padding = [[1, 0], [1, 0]]}'
    Path("never.toml").write_text(f"layers = [{steps}]")
    assert "why none      c reads an odd number of padded rows at each" in run("sizes", "never.toml").stdout
    assert "why none" not in run("sizes", "resnet18").stdout


def test_markdown_takes_no_name_for_markup() -> None:
    steps = '{op = "conv", name = "a*`<b|", kernel = 3, stride = 2, padding = 1}'
    Path("marked.toml").write_text(f"size = 224\nlayers = [{steps}]")
    assert r"| a\*\`\<b\| | conv |" in run("uneven", "marked.toml", "--format", "markdown").stdout


@pytest.mark.parametrize("name", ["dir", "dir/"])
def test_a_folder_is_called_one(name: str) -> None:
    Path("dir").mkdir()
    assert f"{name}: is a folder, not a network; name a .onnx or .toml file in it" in told("audit", name)


def test_a_file_with_a_fixed_input_is_exported_anew() -> None:
    nodes = [conv("a", "image", pads=[1, 1, 1, 1], strides=[2, 2])]
    path = saved(nodes, ["a"], "fixed.onnx", (224, 224))
    assert padviz.load(path).declared == (224, 224)
    screen = " ".join(run("audit", path).stdout.split())
    assert "export the file anew at 223 x 223, or with an open input size; CenterCrop(223)" in screen
