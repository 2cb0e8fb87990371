"""An export of 300 maps, with one job and with two, next to matplotlib saving the same arrays in a loop."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import padviz

NETWORKS, SIZES, PADDINGS = ["vgg11", "vgg19", "resnet18", "resnet50"], "64:448:16", ["zero", "reflect", "symmetric"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_export(benchmark: Any, tmp_path: Path, jobs: int) -> None:
    def whole() -> None:
        outcomes = padviz.export(NETWORKS, tmp_path, size=[SIZES], padding=PADDINGS, jobs=jobs)
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
