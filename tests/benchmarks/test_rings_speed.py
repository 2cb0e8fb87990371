"""Rings of a hundred thousand detections, with their intervals, next to pycocotools' evaluation of the same."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from typing import Any

import pytest

from padviz.scoring.rings.detected import rings_of
from tests.scoring.made import as_coco, scenes

MADE = scenes(0, images=2500, categories=20, each=22, false=1.0)
MOST_BYTES = 400_000_000


def test_rings(benchmark: Any) -> None:
    assert 90_000 < len(MADE.detections) < 110_000
    tracemalloc.start()
    rings_of(MADE)
    assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    tracemalloc.stop()
    benchmark.pedantic(lambda: rings_of(MADE), rounds=3)


def test_pycocotools(benchmark: Any) -> None:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    instances, results = as_coco(MADE)
    with contextlib.redirect_stdout(io.StringIO()):
        there = coco.COCO()
        there.dataset = instances
        there.createIndex()
        found = there.loadRes(results)

        def judged() -> None:
            judge = cocoeval.COCOeval(there, found, "bbox")
            judge.evaluate()
            judge.accumulate()

        benchmark.pedantic(judged, rounds=3)
