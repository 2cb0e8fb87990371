"""What -o writes: the suffix says the format, and nothing is written in another."""

from __future__ import annotations

from pathlib import Path

import pytest

import padviz
from tests.cli.test_cli import run
from tests.cli.test_cli_foreign import conv, saved


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_annotations_are_written_to_a_text() -> None:
    assert run("uneven", "resnet18", "--format", "github", "-o", "x.txt").exit_code == 0
    assert Path("x.txt").read_text().startswith("::")


def test_sizes_say_which_window_is_never_even() -> None:
    steps = '{op = "conv", name = "c", kernel = 2, padding = [[1, 0], [1, 0]]}'
    Path("never.toml").write_text(f"layers = [{steps}]")
    assert "why none      c reads an odd number of padded rows at each" in run("sizes", "never.toml").stdout
    assert "why none" not in run("sizes", "resnet18").stdout


def test_markdown_takes_no_name_for_markup() -> None:
    steps = '{op = "conv", name = "a*`<b|", kernel = 3, stride = 2, padding = 1}'
    Path("marked.toml").write_text(f"size = 224\nlayers = [{steps}]")
    assert r"| a\*\`\<b\| | conv |" in run("uneven", "marked.toml", "--format", "markdown").stdout


def test_a_file_with_a_fixed_input_is_exported_anew() -> None:
    nodes = [conv("a", "image", pads=[1, 1, 1, 1], strides=[2, 2])]
    path = saved(nodes, ["a"], "fixed.onnx", (224, 224))
    assert padviz.load(path).declared == (224, 224)
    screen = " ".join(run("audit", path).stdout.split())
    assert "export the file anew at 223 x 223, or with an open input size; CenterCrop(223)" in screen
