"""Exports and a page of maps, next to matplotlib and to pictures of the same maps."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import padviz
from padviz.axis.padding_modes import EXPLORED
from padviz.pages.explorer import SIZES
from tests.benchmarks.test_speed import process

NETWORKS, RANGE, PADDINGS = ["vgg11", "vgg19", "resnet18", "resnet50"], "64:448:16", ["zero", "reflect", "symmetric"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_export(benchmark: Any, tmp_path: Path, jobs: int) -> None:
    def whole() -> None:
        outcomes = padviz.export(NETWORKS, tmp_path, size=[RANGE], padding=PADDINGS, jobs=jobs)
        assert [outcome.state for outcome in outcomes] == ["made"] * 300

    benchmark.pedantic(whole, rounds=1)


def test_matplotlib_loop(benchmark: Any, tmp_path: Path) -> None:
    chosen = product(NETWORKS, range(64, 449, 16), PADDINGS)
    arrays = [padviz.usage(*each).counts.astype(np.float64) for each in chosen]
    assert len(arrays) == 300

    def whole() -> None:
        for i, values in enumerate(arrays):
            figure = Figure()
            FigureCanvasAgg(figure)
            axes = figure.subplots()
            figure.colorbar(axes.imshow(values, cmap="plasma"))
            figure.savefig(tmp_path / f"{i}.png")

    benchmark.pedantic(whole, rounds=1)


COMPARES = """
from padviz.cli import cli
for size in {sizes}:
    try:
        cli(["compare", "resnet50", "--size", str(size), "--padding", "{paddings}", "-o", "maps.png", "--overwrite"])
    except SystemExit:
        pass
"""


def test_process_explore(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "explore", "resnet50", "-o", "page.html", "--overwrite", rounds=7)


def test_process_compare(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-c", COMPARES.format(sizes=SIZES, paddings=",".join(EXPLORED)), rounds=7)
