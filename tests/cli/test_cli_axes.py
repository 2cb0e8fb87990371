"""Commands on networks of one axis and of three: their own names, samples for pixels, one line where none answers."""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.test_cli import run

pytestmark = pytest.mark.usefixtures("elsewhere")
TCN, VIDEO, DECODER = "tests.signals:Tcn", "tests.signals:CausalVideo", "tests.signals:decoder"


def said(*args: str) -> str:
    return " ".join(run(*args).stdout.split())


def facts(*args: str) -> dict:
    return json.loads(run(*args, "--format", "json").stdout)


def test_usage_of_a_signal_speaks_of_samples() -> None:
    text = said("usage", TCN, "--size", "1x400", "--no-picture")
    assert "Tcn, 400 samples" in text
    assert "the last 4 samples are starved" in text
    assert " px" not in text
    assert "height" not in text
    figures = facts("usage", TCN, "--size", "400")
    assert (figures["size"], figures["target"]["shape"]) == ([400], [400])
    assert figures["rim"] == {"length": [0, 4]}
    assert figures["corners"].keys() == {"first", "last"}
    assert figures["share"]["skew"].keys() == figures["skew"].keys() == figures["asymmetry"].keys() == {"length"}
    head, row = run("usage", TCN, "--size", "400", "--format", "csv").stdout.splitlines()
    cells = dict(zip(head.split(","), row.split(","), strict=True))
    assert (cells["length"], cells["rim_first"], cells["rim_last"]) == ("400", "0", "4")
    assert not any(name in head for name in ("height", "width", "top", "left"))


def test_coverage_and_comparisons_of_signals_have_their_length() -> None:
    (layer,) = facts("coverage", TCN, "--size", "400")["layers"]
    assert layer["length"] == 400
    assert not {"height", "width"} & layer.keys()
    assert "Tcn, 400: share" in said("coverage", TCN, "--size", "400", "--no-picture")
    results = facts("compare", TCN, "--size", "100,400")["results"]
    assert [row["size"] for row in results] == [[100], [400]]
    assert {**results[0]["rim"]} == {"length": [0, 4]}


def test_a_signal_is_drawn_as_a_line(tmp_path: Path) -> None:
    for size in ("60", "4000"):  # as a whole, and by its ends
        path = tmp_path / f"{size}.png"
        assert run("usage", TCN, "--size", size, "--scale", "share", "-o", str(path)).exit_code == 0
        with Image.open(path) as picture:
            assert picture.width > 2 * picture.height


def test_fields_and_ledger_have_the_axes_that_there_are() -> None:
    layers = facts("layers", TCN, "--size", "400")["layers"]
    assert layers[-1]["field"]["length"]["size"] == 15
    assert (layers[-1]["field"]["length"]["before"], layers[-1]["field"]["length"]["after"]) == (14, 0)
    assert "after is its look-ahead" in said("layers", TCN)
    ledger = facts("uneven", VIDEO, "--size", "9x10x12", "--all")["results"][0]
    assert ledger["size"] == [9, 10, 12]
    assert ledger["layers"][0]["depth"]["consumed"] == [2, 0]
    assert ledger["layers"][0]["height"]["consumed"] == [1, 1]
    assert "2 front, 0 back" in said("uneven", VIDEO, "--size", "9x10x12")
    assert "2 before, 0 after" in said("uneven", TCN, "--size", "400")
    assert facts("sizes", VIDEO, "--size", "9:40", "--axis", "height")["balanced"]


def test_tiles_say_what_chunks_read_again() -> None:
    text = said("tiles", TCN, "--chunk", "64")
    assert "Each chunk reads 78 input samples: the last 14 before it again, and 64 new; no look-ahead." in text
    assert (
        "makes of each chunk, drop the first 14 and the last 0, and keep the 64 between. Drop none in front of" in text
    )
    assert "context" not in text
    assert "14 input samples of context before and 0 input samples after" in said("tiles", TCN)
    chunks = facts("tiles", DECODER, "--chunk", "16", "--size", "40")["chunks"]
    assert (chunks["new"], chunks["read"] - chunks["again"]) == (16, 16)
    assert chunks["heads"][0]["units"] == 128
    played = chunks["heads"][0]["drop_first"] + chunks["heads"][0]["units"]  # of the 8 of each input sample
    assert chunks["look_ahead"] == ceil((27 * 8 - played) / 8) == 7
    ahead = "Each chunk reads 27 input samples: the last 11 before it again, and 16 new; the newest 7 are look-ahead."
    assert ahead in said("tiles", DECODER, "--chunk", "16", "--size", "40")


def test_gates_of_a_signal_that_are_left_out_are_said(tmp_path: Path) -> None:
    code = "import torch\nfrom torch import nn\n\nclass Gated(nn.Module):\n"
    code += "    def __init__(self):\n        super().__init__()\n        self.a = nn.Conv1d(3, 3, 3, padding=1)\n\n"
    code += "    def forward(self, x):\n        y = self.a(x)\n        return y * y.mean(2, keepdim=True)\n"
    Path("gated_signal_net.py").write_text(code)
    text = said("usage", "gated_signal_net:Gated", "--size", "64", "--no-picture")
    assert "left out the global vectors of 1 gates" in text
