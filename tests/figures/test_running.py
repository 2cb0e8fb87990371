"""Pictures of networks that were run: nothing is clipped, and what is outlined is what is hidden."""

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.collections import LineCollection

from padviz.figures.trained import intervals, position_maps
from padviz.intervals import Estimate
from padviz.trained.trying.trial import Trial, TrialRow
from tests.figures.kinds import clipped, said
from tests.figures.made_up import detected


def test_blind_spots_are_outlined_and_each_score_is_drawn_around_its_position() -> None:
    found = replace(detected((64, 640)), lefts=tuple(range(0, 40 * 8, 8)))
    figure = position_maps.detected(found)
    ax = figure.axes[0]
    (lines,) = (each for each in ax.collections if isinstance(each, LineCollection))
    assert len(lines.get_segments()) == 2 * len(found.lefts) + 2  # around the first row
    assert "0.1 to 0.8, 25.0 % blind spots" in said(figure)
    assert [*ax.images[0].get_extent()] == [-4, 39 * 8 + 4, 3 * 16 + 8, -8]


@pytest.mark.parametrize(
    ("size", "maps", "threshold", "most"),
    [((320, 320), 2, False, 1.0), ((64, 640), 1, True, 0.8), ((640, 64), 4, True, 0.8)],
)
def test_the_bar_ends_where_colours_end(size: tuple[int, int], maps: int, threshold: bool, most: float) -> None:
    figure = position_maps.detected(detected(size, maps, threshold))
    *drawn, bar = figure.axes
    assert {ax.images[0].norm.vmax for ax in drawn} == {most}
    assert [*bar.get_ylim()] == pytest.approx([0, most])
    assert bar.get_yticks()[[0, -1]] == pytest.approx([0, most])
    assert not clipped(figure)


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [("kept", "classes", "top-1 kept, %"), ("relative", "map", "change, % of the output's norm")],
)
def test_dots_and_their_axis_say_what_was_measured(name: str, kind: Any, says: str) -> None:
    rows = (
        TrialRow("shift", (32, 48), None, None, (32, 48), {name: Estimate(0.8, 0.7, 0.9)}),
        TrialRow("padding", (32, 48), None, "reflect", (32, 48), {name: Estimate(0.6, 0.5, 0.75)}),
        TrialRow("size", (33, 48), "resize", None, (32, 48), {}, note="not comparable"),
    )
    ax = intervals.plot_dots(Trial("net", "net", (32, 48), "noise", 8, 8, "y", kind, rows))
    assert (ax.get_xlabel(), ax.get_xlim()[0], ax.get_xlim()[1] == 100) == (says, 0, name == "kept")
    assert ax.get_lines()[0].get_xdata() == pytest.approx([80, 80])
    (dots,) = ax.containers
    assert [*dots.lines[0].get_xydata()[0]] == pytest.approx([60, 0])
    (interval,) = dots.lines[2][0].get_segments()
    assert interval[:, 0].tolist() == pytest.approx([50, 75])
    assert [text.get_text() for text in ax.texts] == ["not comparable"]
    assert not clipped(ax.figure)
