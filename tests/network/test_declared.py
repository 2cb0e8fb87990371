"""A file that declares the size of its image is read at any, and its notes say what holds at another one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import padviz
from tests.cli.test_cli import run
from tests.sources.test_onnx_ops import bright_pixels, model_of, saved

ANEW = "the file declares an input of 10 x 16, and must be exported again for 12 x 18"


def fixed(body: str, size: tuple[int, int], opset: int = 13) -> Any:
    model = model_of(body, opset)
    for at, n in zip((2, 3), size, strict=True):
        model.graph.input[0].type.tensor_type.shape.dim[at].dim_value = n
    return model


def open_again(path: Path) -> Any:
    """The file with its height and width left open, so that onnxruntime takes any."""
    model = onnx.load(path)
    for at in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[at].dim_param = f"n{at}"
    return model


BODIES = {
    "a resize to a size": "n = Constant <value_ints = [1, 1, 12, 20]> ()\n b = Resize (x, , , n)\n y = Conv (b, w3x3)",
    "a pad to a multiple": (
        "p = Constant <value_ints = [0, 0, 3, 4, 0, 0, 3, 4]> ()\n b = Pad (x, p)\n y = Conv (b, w3x3)"
    ),
    "SAME as numbers": "b = Conv <strides = [2, 2], pads = [0, 0, 1, 1]> (x, w3x3)\n y = Conv (b, w1x1)",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_file_is_followed_at_another_size_than_it_declares_and_says_so(
    name: str, tmp_path: Path
) -> None:
    path = saved(fixed(BODIES[name], (10, 16)), tmp_path)
    assert all("resized" in note for note in padviz.usage(path).notes)
    counts = padviz.usage(path, (12, 18))
    np.testing.assert_array_equal(counts.counts, bright_pixels(open_again(path), (12, 18)))
    *_, note = counts.notes
    assert note.startswith(ANEW)
    result = run(
        "usage", str(path), "--size", "12x18", "--format", "json", "-o", str(tmp_path / "o.npz")
    )
    assert json.loads(result.stdout)["notes"] == [*counts.notes]
    assert result.stderr == "".join(f"padviz: model: {each}\n" for each in counts.notes)


@pytest.mark.parametrize("command", ["sizes", "audit", "uneven"])
def test_other_sizes_of_a_file_that_declares_its_own_need_another_export(
    command: str, tmp_path: Path
) -> None:
    path = saved(
        fixed("y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w3x3)", (32, 32)), tmp_path
    )
    more = {"sizes": ["--size", "16:64"], "audit": ["--all"]}
    result = run(command, str(path), *more.get(command, []))
    assert result.exit_code == 0, result.stderr
    said = " ".join((result.stdout + result.stderr).split())
    assert command == "sizes" or "31" in said or "33" in said
    assert " again " in said
    onnx.save(open_again(path), path)
    result = run(command, str(path), "--size", "16:64" if command == "sizes" else "32")
    assert "anew" not in result.stdout + result.stderr


def test_a_head_of_a_fixed_shape_does_not_fix_a_file(tmp_path: Path) -> None:
    head = "f = Constant <value_ints = [1, 24]> ()\n r = Reshape (a, f)\n y = Relu (r)"
    path = saved(fixed("a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)\n " + head, (4, 6)), tmp_path)
    assert padviz.usage(path).share_reason is None
    assert padviz.usage(path, 9).max == 9
