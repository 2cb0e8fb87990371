"""Pictures of networks that were run: nothing is clipped, and what is outlined is what is hidden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from padviz.figures.canvas import new_figure
from padviz.figures.trained import detection, responses, trials
from padviz.intervals import Estimate
from padviz.trained.border_responses import BorderResponse, BorderResponses, Sides
from padviz.trained.trying.trial import Trial, TrialRow
from tests.figures.kinds import clipped
from tests.figures.made_up import detected


def test_maps_of_thresholds_fit_their_page() -> None:
    """Scores are in test_every_picture.py."""
    assert not clipped(detection.positions(detected((64, 640), 1, threshold=True)))
    assert not clipped(detection.positions(detected((640, 64), 4, threshold=True)))


def test_blind_spots_are_outlined() -> None:
    found = detected((320, 320))
    ax = new_figure(400, 400).add_axes((0.1, 0.1, 0.8, 0.8))
    assert detection.plot(found, ax) is ax
    (lines,) = (each for each in ax.collections if isinstance(each, LineCollection))
    columns = len(found.lefts)
    assert len(lines.get_segments()) == 2 * columns + 2  # around the first row
    assert "0.1 to 0.8, 5.0 % blind spots" in ax.get_title()


@pytest.mark.parametrize(("threshold", "most"), [(False, 1.0), (True, 0.8)])
def test_the_bar_ends_where_colours_end(threshold: bool, most: float) -> None:
    figure = detection.positions(detected((320, 320), 2, threshold))
    *maps, bar = figure.axes
    assert {ax.images[0].norm.vmax for ax in maps} == {most}
    assert [*bar.get_ylim()] == pytest.approx([0, most])
    assert [*bar.get_yticks()] == pytest.approx([most * part / 4 for part in range(5)])


def test_each_score_is_drawn_around_its_position() -> None:
    found = replace(detected((64, 640)), lefts=tuple(range(0, 40 * 8, 8)))
    ax = new_figure(400, 400).add_axes((0.1, 0.1, 0.8, 0.8))
    detection.plot(found, ax)
    assert not found.shifted
    assert [*ax.images[0].get_extent()] == [-4, 39 * 8 + 4, 3 * 16 + 8, -8]


def test_responses_of_many_layers_with_long_names_fit_their_page() -> None:
    shape = 160, 16
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
    ax = responses.plot(found)
    assert ax.get_lines()[0].get_ydata()[0] == 0.5
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["as trained", *paddings[1:]]


def test_axes_say_what_moves_and_headings_name_an_output_once() -> None:
    found = detected((320, 320))
    for shifted, labels in (
        (False, {"left (pixels)", "top (pixels)"}),
        (True, {"shift right (pixels)", "shift down (pixels)"}),
    ):
        figure = detection.positions(replace(found, output="output", shifted=shifted))
        assert labels == {figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()}
        assert any(text.get_text().startswith("output, class 0 · red, blind") for text in figure.texts)
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
        (profiles,) = (ax for ax in figure.axes if ax.get_ylabel() == "E")
        return float(profiles.get_ylim()[1])

    assert reach(0) == reach(0.05) == 0.1
    assert reach(0.4) == pytest.approx(1.05 * 0.4)
    assert reach(0.4, 0.8) == pytest.approx(1.05 * 0.8)
    assert reach(0.4, 9.0) == pytest.approx(1.05 * 2.5 * 0.4)  # others do not make the first one small


def test_dots_and_their_axis_say_what_was_measured_of_scores_and_of_maps() -> None:
    for name, says in (("kept", "top-1 kept, %"), ("relative", "change, % of the output's norm")):
        shift, change = Estimate(0.8, 0.7, 0.9), Estimate(0.6, 0.5, 0.75)
        rows = (
            TrialRow("shift", (32, 48), None, None, (32, 48), {name: shift}),
            TrialRow("padding", (32, 48), None, "reflect", (32, 48), {name: change}),
            TrialRow("size", (33, 48), "resize", None, (32, 48), {}, note="cannot be compared"),
        )
        kind = "classes" if name == "kept" else "map"
        ax = trials.plot(Trial("net", "net", (32, 48), "noise", 8, 8, "y", kind, rows))  # type: ignore[arg-type]
        assert (ax.get_xlabel(), ax.get_xlim()[0], ax.get_xlim()[1] == 100) == (says, 0, name == "kept")
        assert ax.get_lines()[0].get_xdata() == pytest.approx([80, 80])
        (dots,) = ax.containers
        assert [*dots.lines[0].get_xydata()[0]] == pytest.approx([60, 0])
        (interval,) = dots.lines[2][0].get_segments()
        assert interval[:, 0].tolist() == pytest.approx([50, 75])
        assert [text.get_text() for text in ax.texts] == ["cannot be compared"]
        assert not clipped(ax.figure)


def test_a_trial_s_page_grows_by_a_line_for_each_change() -> None:
    kept = {"kept": Estimate(0.8, 0.7, 0.9)}
    row = TrialRow("padding", (32, 48), None, "reflect", (32, 48), kept)
    for count in (1, 4, 20):
        rows = (replace(row, kind="shift", padding=None), *[row] * count)
        figure = trials.dots(Trial("net", "net", (32, 48), "noise", 8, 8, "y", "classes", rows))
        (ax,) = figure.axes
        assert [*ax.bbox.size] == pytest.approx([trials.WIDE, trials.LINE * (count + 1)])
        assert not clipped(figure)
