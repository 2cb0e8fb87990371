"""Pictures of networks that were run: nothing is clipped, and what is outlined is what is hidden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from padviz.figures.canvas import new_figure
from padviz.figures.trained import detection, responses
from padviz.trained.border_responses import BorderResponse, BorderResponses, Sides
from padviz.trained.detecting.detectability import Detectability, PositionMap
from tests.figures.test_draw import clipped

SIZES = [(320, 320), (64, 640), (640, 64)]


def detected(size: tuple[int, int], paddings: int = 1, threshold: bool = False) -> Detectability:
    tops, lefts = (tuple(range(0, n - 15, 16)) for n in size)
    values = np.full((len(tops), len(lefts)), 0.8)
    values[0] = np.inf if threshold else 0.1
    names = [None, "symmetric", "circular", "reflect"][:paddings]
    maps = tuple(PositionMap(name, values, threshold) for name in names)
    return Detectability("net", "a network", size, "'word', 12 px high", (12, 40), 0.3, "y", 0, tops, lefts, maps)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("paddings", [1, 4])
def test_maps_of_positions_fit_their_page(size: tuple[int, int], paddings: int) -> None:
    assert not clipped(detection.positions(detected(size, paddings)))
    assert not clipped(detection.positions(detected(size, paddings, threshold=True)))


def test_blind_spots_are_outlined() -> None:
    found = detected((320, 320))
    ax = new_figure(400, 400).add_axes((0.1, 0.1, 0.8, 0.8))
    assert found.plot(ax) is ax
    (lines,) = (each for each in ax.collections if isinstance(each, LineCollection))
    columns = len(found.lefts)
    assert len(lines.get_segments()) == 2 * columns + 2  # around the first row
    assert "0.1 to 0.8, 5.0% blind spots" in ax.get_title()


def test_each_score_is_drawn_around_its_position() -> None:
    found = replace(detected((64, 640)), lefts=tuple(range(0, 40 * 8, 8)))
    ax = new_figure(400, 400).add_axes((0.1, 0.1, 0.8, 0.8))
    found.plot(ax)
    assert not found.shifted
    assert [*ax.images[0].get_extent()] == [-4, 39 * 8 + 4, 3 * 16 + 8, -8]


@pytest.mark.parametrize("shape", [(160, 160), (16, 160), (160, 16)])
def test_pictures_of_responses_fit_their_page(shape: tuple[int, int]) -> None:
    lines = tuple(np.linspace(0.5, 0, 8) for _ in range(4))
    rows = tuple(
        BorderResponse(
            f"layer{i}" * 9, name, 8, shape, 1.0, Sides(0.5, 0.5, 0.5, 0.5), profiles=lines, map=np.eye(*shape)
        )
        for i in range(11)
        for name in (None, "reflect", "circular", "symmetric", "partial")
    )
    paddings = (None, "reflect", "circular", "symmetric", "partial")
    found = BorderResponses("net", "a network", (320, 320), paddings, "noise", 16, rows)
    assert responses.drawn(found) == [f"layer{i}" * 9 for i in (0, 1, 3, 4, 6, 7, 9, 10)]
    assert not clipped(responses.panels(found))
    assert found.plot().get_lines()[0].get_ydata()[0] == 0.5


def test_axes_say_what_moves_and_headings_name_an_output_once() -> None:
    found = detected((320, 320))
    for shifted, labels in (
        (False, {"left (pixels)", "top (pixels)"}),
        (True, {"shift right (pixels)", "shift down (pixels)"}),
    ):
        figure = detection.positions(replace(found, output="output", shifted=shifted))
        assert labels == {figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()}
        assert any(text.get_text().startswith("output, class 0 · red") for text in figure.texts)
        assert not clipped(figure)


def test_the_scale_of_profiles_reaches_the_first_ones_and_at_least_a_tenth() -> None:
    def reach(*starts: float) -> float:
        names = (None, "reflect", "circular")[: len(starts)]
        rows = tuple(
            BorderResponse(
                "a", name, 8, (16, 16), 1.0, map=np.eye(16), profiles=(np.array([start, 0.0]),) * 4 if start else ()
            )
            for name, start in zip(names, starts, strict=True)
        )
        figure = responses.panels(BorderResponses("net", "net", (32, 32), names, "noise", 16, rows))
        return float(figure.axes[-1].get_ylim()[1])

    assert reach(0) == reach(0.05) == 0.1
    assert reach(0.4) == pytest.approx(1.05 * 0.4)
    assert reach(0.4, 0.8) == pytest.approx(1.05 * 0.8)
    assert reach(0.4, 9.0) == pytest.approx(1.05 * 2.5 * 0.4)  # others do not make the first one small
