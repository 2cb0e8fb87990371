"""What an export at one size made numbers of: at other sizes the file is followed, and that is said once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import padviz
from padviz.network.baked import baked
from tests.cli.test_cli import run
from tests.sources.test_onnx_ops import bright_pixels, model_of, saved


def fixed(body: str, size: tuple[int, int], opset: int = 13) -> Any:
    """A model whose image has that size, as the file says."""
    model = model_of(body, opset)
    for at, n in zip((2, 3), size, strict=True):
        model.graph.input[0].type.tensor_type.shape.dim[at].dim_value = n
    return model


ONE_AROUND = "p = Constant <value_ints = [0, 0, 1, 1, 0, 0, 1, 1]> ()\n "
BAKED = {
    "a resize to a size": (
        "n = Constant <value_ints = [1, 1, 12, 20]> ()\n b = Resize (x, , , n)\n y = Conv (b, w3x3)",
        ("b",),
    ),
    "a resize by a scale": (
        "n = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()\n b = Resize (x, , n)\n y = Conv (b, w3x3)",
        (),
    ),
    "a pad to a multiple": (
        "p = Constant <value_ints = [0, 0, 3, 4, 0, 0, 3, 4]> ()\n b = Pad (x, p)\n y = Conv (b, w3x3)",
        ("b",),
    ),
    "a pad that nothing reads as a window": (
        ONE_AROUND + "b = Pad (x, p)\n c = Conv (x, w1x1)\n d = Pad (c, p)\n y = Add (b, d)",
        ("b", "d"),
    ),
    "a pad for its convolution": (
        ONE_AROUND + 'b = Pad <mode = "reflect"> (x, p)\n y = Conv (b, w3x3)',
        (),
    ),
    "SAME as numbers": ("b = Conv <strides = [2, 2], pads = [0, 0, 1, 1]> (x, w3x3)\n y = Conv (b, w1x1)", ("b",)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAKED)
def test_what_is_baked_in_is_said_at_other_sizes(name: str, tmp_path: Path) -> None:
    body, names = BAKED[name]
    path = saved(fixed(body, (10, 16)), tmp_path)
    net = padviz.load(path)
    assert (baked(net), net.fixed) == (names, ())
    assert padviz.usage(net, (10, 16)).notes == ()
    counts = padviz.usage(net, (12, 18))
    np.testing.assert_array_equal(counts.counts, bright_pixels(open_again(path), (12, 18)))
    assert len(counts.notes) == bool(names)
    result = run("usage", str(path), "--size", "12x18", "--format", "json", "-o", str(tmp_path / "o.npz"))
    assert json.loads(result.stdout)["notes"] == [*counts.notes]
    assert result.stderr == "".join(f"padviz: model: {note}\n" for note in counts.notes)
    assert all(note.startswith(f"{names[0]} ") and "the file is followed" in note for note in counts.notes)


def open_again(path: Path) -> Any:
    """The file with its height and width left open, so that onnxruntime takes any."""
    model = onnx.load(path)
    for at in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[at].dim_param = f"n{at}"
    return model


@pytest.mark.parametrize("command", [["compare", "--size", "10x16,20,30"], ["uneven", "--size", "20", "--size", "30"]])
def test_a_baked_file_is_warned_of_once(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = saved(fixed(BAKED["a resize to a size"][0], (10, 16)), tmp_path)
    result = run(command[0], str(path), *command[1:])
    assert result.exit_code == 0, result.output
    assert result.stderr.count("the file is followed") == 1


@pytest.mark.parametrize("size", ["20", "20,30"])
def test_an_export_of_a_baked_file_warns_once(size: str, tmp_path: Path) -> None:
    path = saved(fixed(BAKED["a resize to a size"][0], (10, 16)), tmp_path)
    result = run("export", str(path), "--size", size, "-o", str(tmp_path / "out"), "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("the file is followed") == 1


@pytest.mark.parametrize("command", ["sizes", "uneven", "audit"])
def test_other_sizes_of_a_file_that_declares_its_own_ask_for_another_export(command: str, tmp_path: Path) -> None:
    path = saved(fixed("y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w3x3)", (32, 32)), tmp_path)
    result = run(command, str(path))
    assert result.exit_code == 0, result.stderr
    said = " ".join((result.stdout + result.stderr).split())
    assert "33" in said
    assert "anew" in said
    onnx.save(open_again(path), path)
    result = run(command, str(path), "--size", "32")
    assert "anew" not in result.stdout + result.stderr
