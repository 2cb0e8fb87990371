"""Maps compared by what does not repeat in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from padviz.counting.count_map import CountMap
from padviz.engine.core import Core
from padviz.engine.tally import Tally
from padviz.repadding import verify
from tests.cli.test_cli_foreign import plain
from tests.sources.test_onnx_ops import model_of, saved


@pytest.mark.parametrize("one", ["zero", "symmetric", "circular", "zero/reflect"])
@pytest.mark.parametrize("other", ["zero", "reflect", "circular", "zero/reflect", "zero/symmetric"])
def test_maps_are_the_same_if_all_their_counts_are(one: str, other: str) -> None:
    maps = [padviz.usage("resnet18", (300, 520), padding) for padding in (one, other)]
    assert maps[0].tiled
    assert verify.same(*maps) == np.array_equal(maps[0].counts, maps[1].counts) == (one == other)


def test_one_row_that_differs_is_found() -> None:
    found = padviz.usage("resnet18", (300, 520))
    for row in (0, 7, found.rows.kept // 2, found.rows.kept - 1):
        counts = found.tally.copy()
        counts[0, row, -1] += 1
        assert not verify.same(found, replace(found, core=Core(Tally(counts, found.max + 1, found.max + 1))))


def test_a_huge_file_is_verified_by_what_does_not_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = []
    counts_at = CountMap.counts_at

    def counted(self: CountMap, rows: Any, cols: Any) -> Any:
        found = counts_at(self, rows, cols)
        cells.append(found.size)
        assert sum(cells) < 10**6
        return found

    monkeypatch.setattr(CountMap, "counts_at", counted)
    nodes = "a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w3x3)\ny = Conv (a, w3x3)"
    path = saved(model_of(nodes, 13), tmp_path)
    assert padviz.repad(path, "reflect", 1_000_000).changed == ("a",)
    assert cells


def test_what_reads_the_same_rows_is_left_as_it_is(tmp_path: Path) -> None:
    """With one row of padding ONNX's edge is symmetric padding, so that a second repadding has nothing to do."""
    plain(str(tmp_path / "one.onnx"))
    once = padviz.repad(tmp_path / "one.onnx", "symmetric")
    once.save(tmp_path / "once.onnx")
    again = padviz.repad(tmp_path / "once.onnx", "symmetric")
    assert once.changed
    assert not again.changed
    assert again.content == once.content
