"""Pictures of windows, fields, taps and tiles: what they say, and that each thing is drawn where it lies."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

import padviz
from padviz.analyses.tiles import words_of
from padviz.counting.shares.summary import percent
from padviz.cutting.plan import plan_tiles
from padviz.figures import canvas, colours
from padviz.figures.maps import heatmap, panels
from padviz.figures.trained import intervals, position_maps
from padviz.figures.windows.padding import HATCH, ledger_bars
from padviz.figures.windows.tiles import examples_of, tiles
from padviz.intervals import Estimate
from padviz.trained.detecting.detectability import SEEN, doubts
from padviz.trained.trying.seen import edge_of, estimates
from padviz.trained.trying.trial import Trial, TrialRow
from tests.figures import made_up
from tests.figures.kinds import KINDS, clipped, overlapping, said
from tests.figures.made_up import detected, ringed
from tests.sweeps import examples


def test_taps_are_red_of_uneven_convolutions_and_blue_of_pools() -> None:
    net = padviz.load("googlenet")
    figure = panels.taps(padviz.taps(net, 224)[:8], net.title)
    label = {text.get_text(): text.get_color() for text in figure.texts}
    assert (label["conv1.conv"], label["maxpool1"]) == (colours.UNEVEN, colours.POOLED)
    assert "black" in label.values()
    assert "blue: uneven, a pool" in said(figure)


def test_a_field_is_drawn_where_it_lies_and_hatched_outside_of_the_image() -> None:
    figure = padviz.fields(
        "vgg16", (224, 160), layer="features.2"
    )._shown.draw()  # of 5 x 5 pixels, from -2 to 2
    corner, centre = figure.axes
    assert [patch.get_bbox().bounds for patch in corner.patches if patch.get_hatch()] == [
        (-2.5, -2.5, 5, 5)
    ]
    assert corner.patches[1].get_bbox().bounds == (-0.5, -0.5, 160, 224)
    assert centre.patches[0].get_bbox().bounds == (77.5, 109.5, 5, 5)
    assert "5 x 5 px, 64.0\xa0% padding" in said(figure)
    assert "5 x 5 px, no padding" in said(figure)


TILED = [
    ("unet_padded", (1000, 200), 512, 2),
    ("unet_padded", (65_536, 65_536), 512, 3),
    ("unet", (2044, 2044), 572, 3),
    ("vgg11", (224, 224), 512, 1),
]


@pytest.mark.parametrize(("name", "size", "tile", "places"), TILED)
def test_tiles_are_whole_and_to_scale(
    name: str, size: tuple[int, int], tile: int, places: int
) -> None:
    plan = plan_tiles(padviz.load(name), size, (tile, tile))
    figure = tiles(plan, words_of(plan))
    assert not clipped(figure)
    assert words_of(plan)[0] in said(figure)
    assert not [pair for pair in overlapping(figure) if min(map(len, pair)) > 1]
    assert len(figure.axes) == 1 + places == 1 + len(examples_of(plan))
    for ax, place in zip(figure.axes[1:], examples_of(plan), strict=True):
        image, read, kept = (patch.get_bbox().bounds for patch in ax.patches[:3])
        assert image == (0, 0, size[1], size[0])
        assert read == (place.read[1].start, place.read[0].start, plan.tile[1], plan.tile[0])
        (top, bottom, left, right), box = place.kept, ax.get_window_extent()
        assert kept == (left, top, right - left, bottom - top)
        width, height = (abs(np.diff(ends)[0]) for ends in (ax.get_xlim(), ax.get_ylim()))
        assert box.width / width == pytest.approx(box.height / height, rel=0.02)


def test_what_tiles_keep_is_drawn_where_it_lies_in_the_image() -> None:
    # 92 px of the image have no units, on each side
    plan = plan_tiles(padviz.load("unet"), (2044, 2044), (572, 572))
    assert [place.kept for place in examples_of(plan)][-1] == (92, 92 + 386, 92, 92 + 386)
    assert [line.keeps[0][0] for line in plan.lines] == [(0, 386), (0, 386)]
    strided = plan_tiles(padviz.load("resnet50"), (2048, 1536), (1024, 1024))
    keeps = [line.keeps[0] for line in strided.lines]
    assert examples_of(strided)[0].kept == (
        *(32 * n for n in keeps[0][1]),
        *(32 * n for n in keeps[1][1]),
    )


@pytest.mark.parametrize(("name", "size"), [("resnet50", (224, 224)), ("densenet201", (224, 330))])
def test_the_ledger_picture_shows_what_is_declared_and_read(
    name: str, size: tuple[int, int]
) -> None:
    net = padviz.load(name)
    found = padviz.uneven(net, size)
    figure = ledger_bars(found, net.title)
    assert not clipped(figure)
    assert len(figure.axes) == (1 if size[0] == size[1] else 2)
    uneven = [row.layer for row in found.layers if row.uneven]
    unread = [row.layer for row in found.layers if row.has_remainder and not row.uneven]
    listed = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    names = [canvas.short_name(layer) for layer in uneven + unread]
    assert listed == [*names, f"{len(found.layers) - len(names)} even windows"]
    if name == "resnet50":
        bars = figure.axes[0].patches
        assert [round(bar.get_width()) for bar in bars[:4]] == [
            -3,
            -3,
            2,
            3,
        ]  # conv1: read and declared, both sides
        assert {to_hex(bar.get_facecolor()) for bar in bars[:3:2]} == {colours.UNEVEN}
        assert (to_hex(bars[4].get_edgecolor()), bars[4].get_hatch()) == (colours.POOLED, HATCH)
        assert "5 of 21 windows are uneven (4 convolutions, 1 pool), 3 leave rows unread" in said(
            figure
        )


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
def test_the_bar_ends_where_colours_end(
    size: tuple[int, int], maps: int, threshold: bool, most: float
) -> None:
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


NEEDS = ("today's weights", "fine-tune", "more pictures", None)


@given(st.lists(st.sampled_from(NEEDS), max_size=5))
@examples(40)
def test_a_trial_s_title_names_what_stands_and_what_does_not(needs: list[Any]) -> None:
    figures = {"kept": Estimate(0.6, 0.5, 0.75)}
    shift = TrialRow("shift", (32, 32), None, None, (32, 32), figures)
    rows = [
        TrialRow("padding", (32, 32), None, f"p{i}", (32, 32), figures, needs=need)
        for i, need in enumerate(needs)
    ]
    about = "net", "net", (32, 32), "noise", 8, 8, "y"
    title = intervals.trial_finding(Trial(*about, "classes", (shift, *rows)))
    judged = sum(need is not None for need in needs)
    tune, works = needs.count("fine-tune"), needs.count("today's weights")
    assert ("no change measurably harms" in title) == (judged > 0 == tune)
    assert ("every change needs" in title) == (0 < tune == judged)
    assert ("as is" in title) == (0 < tune < judged)
    for row in rows:  # up to two of a kind are named, and no others
        few = {"fine-tune": tune, "today's weights": works}.get(row.needs or "", 3) < 3
        assert (row.change in title) == (few and 0 < tune < judged)


def test_a_detector_s_title_says_how_weak_it_is_and_where() -> None:
    found = detected((320, 320), 2)
    title = position_maps.finding
    assert title(found) == "blind at 5.0 % of the positions at the top; no padding changes that"
    first, other = found.maps
    seen = replace(other, values=np.full(other.values.shape, 0.8))
    assert title(replace(found, maps=(first,))) == "blind at 5.0 % of the positions at the top"
    less = replace(found, maps=(first, seen))
    assert title(less) == "blind at 5.0 % of the positions at the top as trained; symmetric none"
    assert title(replace(found, maps=(seen, seen))) == "no blind spots; no padding changes that"


@pytest.mark.parametrize("threshold", [False, True])
def test_red_is_explained_where_blind_spots_are_outlined(threshold: bool) -> None:
    scores = detected((64, 64), threshold=threshold)
    evenly = np.full(scores.maps[0].values.shape, 0.8)
    even = replace(scores, maps=(replace(scores.maps[0], values=evenly),))
    assert "red, blind" in said(position_maps.detected(scores))
    assert "red" not in said(position_maps.detected(even))


@pytest.mark.parametrize("background", [0.0, 0.499, 0.5, 0.506])
@pytest.mark.parametrize("least", [0.1, 0.513])
def test_a_detector_s_title_and_lines_warn_of_a_background_that_is_seen(
    background: float, least: float
) -> None:
    scores = detected((64, 64))
    values = np.linspace(least, 0.525, scores.maps[0].values.size)
    score_map = replace(
        scores.maps[0],
        values=values.reshape(scores.maps[0].values.shape),
        background=np.full(scores.maps[0].values.shape, background),
    )
    notes = (*doubts([score_map]),)
    figure = position_maps.detected(replace(scores, maps=(score_map,), notes=notes))
    title = position_maps.finding(replace(scores, maps=(score_map,)))
    if background >= SEEN:
        assert title == f"the background alone is seen, with a score of {background:.3g}"
        assert all(note in said(figure).replace("\n", " ") for note in notes)
    else:
        assert "background" not in said(figure)


@given(st.integers(0, 399), st.floats(1.2, 5), st.sampled_from([1.0, 1.5, np.inf]))
@examples(20)
def test_the_contrast_of_a_title_is_that_of_its_maps(
    place: int, times: float, other: float
) -> None:
    found = detected((320, 320), 2, threshold=True)
    contrasts = np.full((2, 20, 20), 0.1)
    contrasts[0].flat[place] *= times
    contrasts[1, 7, 7] *= other
    maps = tuple(
        replace(score_map, values=values)
        for score_map, values in zip(found.maps, contrasts, strict=True)
    )
    title = position_maps.finding(replace(found, maps=maps))
    row, column = divmod(place, 20)
    edges = {"top": row == 0, "bottom": row == 19, "left": column == 0, "right": column == 19}
    if f"{times:.1f}" == f"{other:.1f}" and not any(edges.values()):
        assert title.endswith("; no padding changes that")
        return
    named = re.match(
        r"needs up to ([\d.]+) times the median contrast(?: at the (\w+))? as trained; ", title
    )
    assert named is not None
    assert float(named[1]) == pytest.approx(times, abs=0.0501)
    assert edges[named[2]] if named[2] else not any(edges.values())
    expected = f"up to {other:.1f} times" if np.isfinite(other) else "not enough at 0.2 %"
    assert title.endswith(f"symmetric {expected}")


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (512, 512), (200, 1000), (65_536, 65_536)])
@pytest.mark.parametrize("edge", [0.0, 0.004, 0.25, 0.999, 1.0, 1.5])
def test_the_title_of_what_is_seen_divides_the_edge_that_is_drawn_by_the_inside(
    size: tuple[int, int], edge: float
) -> None:
    about, ring = made_up.seen(size), np.ones((9, 9), bool)
    ring[1:-1, 1:-1] = False
    values, usage = np.where(ring, edge, 2.0), np.where(ring, 0.5, 0.25)
    squares = np.tile(np.square(values).ravel(), (13, 1))
    *_, at_edge = estimates(squares, np.arange(13), usage, about.distance)
    found = replace(about, values=values, usage=usage, edge=at_edge, edge_usage=edge_of(usage))
    figure = position_maps.seen(found)
    drawn = [np.asarray(ax.images[0].get_array()) for ax in figure.axes[:2]]
    seen, counted = (percent(each[ring].mean() / each[3:6, 3:6].mean(), 0) for each in drawn)
    title = f"the edge is seen at {seen} of the inside, counts say {counted}"
    assert title in said(figure).replace("\n", " ")


# of few values, so that there are ties, and of shares that are written alike
SHARES = st.sampled_from([0.0, 0.0001, 0.1, 0.1004, 0.25, 0.5, 0.75, 0.9999, 1.0])


@given(st.lists(SHARES, min_size=1, max_size=8), st.sampled_from(["starve", "overuse"]))
@examples(80)
def test_a_comparison_s_title_gives_each_share_or_those_between(
    shares: list[float], verb: str
) -> None:
    title = panels.shares_by_name([(f"net{i}", share) for i, share in enumerate(shares)], verb)
    written = {i: panels.share_or_none(share) for i, share in enumerate(shares)}
    if title == f"none {verb}s a pixel":
        assert {*written.values()} == {"none"}
        return
    if title.startswith(f"all {verb} "):
        assert {*written.values()} == {title.removeprefix(f"all {verb} ")}
        return
    named: dict[str, int] = {}
    for names, share in re.findall(r"(net.+?) (none|(?:under )?[\d.]+ %)", title):
        named[share] = names.count("net") + sum(map(int, re.findall(r"(\d+) more", names)))
        assert {written[int(name)] for name in re.findall(r"net(\d)", names)} == {share}
    counts = Counter(written.values())
    assert all(counts[share] == number for share, number in named.items())
    if title.endswith(", others between"):
        ends = {panels.share_or_none(max(shares)), panels.share_or_none(min(shares))}
        assert {*named} == ends
    else:
        assert named == counts


SCHEMES = ("zero", "reflect", "replicate", "partial")


@pytest.mark.parametrize("size", [64, 65, 96, 224, 225])
@pytest.mark.parametrize("padding", SCHEMES)
@pytest.mark.parametrize("network", ["resnet18", "vgg11"])
def test_a_title_gives_the_pixels_that_are_starved_and_overused(
    network: str, padding: str, size: int
) -> None:
    counts = padviz.usage(network, size, padding)
    share, title = counts.share(), heatmap.finding(counts)
    starved, overused = np.mean(share < 0.5), np.mean(share > 1.5)
    assert (starved == 1) == title.startswith("all starved")
    if starved < 1:
        assert (starved > 0) == bool(re.search("^(?!no pixel).* less than half", title))
    assert (overused >= 0.0005) == ("more than 3/2" in title)
    if starved and overused >= 0.0005:
        assert title.endswith(f", {percent(overused)} more than 3/2")


def test_a_comparison_s_title_gives_the_pixels_that_are_overused() -> None:
    figure = padviz.compare("resnet18", 225, ["zero", "replicate"])._shown.draw()
    assert re.search(r"; replicate overuses [\d.]+ %, zero none", said(figure))


@pytest.mark.parametrize("size", [32, 64, 96, 224, 640])
def test_a_field_s_title_gives_the_padding_at_both_places(size: int) -> None:
    figure = padviz.fields("resnet18", size)._shown.draw()
    labels = re.findall(r"the unit (?:in|at) the (.+?): .+? px, (.+? padding)", said(figure))
    at_places = dict(labels)
    title = f"at the centre {at_places['centre']}, in the corner {at_places['top left corner']}"
    assert title in said(figure).replace("\n", " ")


@pytest.mark.parametrize("size", [32, 64, 97, 224, 225])
@pytest.mark.parametrize("network", ["resnet18", "googlenet"])
def test_titles_of_windows_count_those_that_read_unequal_padding(network: str, size: int) -> None:
    ledger = padviz.uneven(network, size)
    rows = [[*layer.axes.values()] for layer in ledger.layers]
    uneven = sum(any(len({*axis.reads}) == 2 for axis in axes) for axes in rows)
    unread = sum(any(axis.remainder for axis in axes) for axes in rows)
    title = ledger_bars(ledger, "net")
    assert (f"{uneven} of {len(rows)} windows" in said(title)) == (uneven > 0)
    assert ("no window is uneven" in said(title)) == (uneven == 0)
    found = re.search(r"(\d+) leaves? rows unread", said(title))
    assert int(found[1] if found else 0) == unread

    exposures = padviz.taps(network, size)
    skewed = sum(any(row.imbalance.values()) for row in exposures)
    text = said(panels.taps(exposures, "net"))
    assert (
        f"net: {skewed or 'none'} of {len(exposures)} layers {'is' if skewed == 1 else 'are'} uneven"
        in text
    )


@pytest.mark.parametrize("size", [3, 4, 5, 8, 11])
@pytest.mark.parametrize("padding", ["zero", "valid", "full", "circular"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_s_title_counts_the_windows_over_a_corner_and_the_middle(
    size: int, padding: str, stride: int
) -> None:
    found = padviz.kernel(3, size=size, padding=padding, stride=stride)
    before = {"zero": 1, "valid": 0, "full": 2, "circular": 1}[padding]
    starts = range(-before, size + before - 2, stride)
    reads = [sum(start <= row <= start + 2 for start in starts) for row in range(size)]
    if padding == "circular":
        reads = [sum((row - start) % size < 3 for start in starts) for row in range(size)]
    corner, middle = (
        "once" if count == 1 else f"{count} times"
        for count in (reads[0] ** 2, reads[size // 2] ** 2)
    )
    words = f"a corner is used {corner}, the middle {middle}"
    assert words in said(found._shown.draw()).replace("\n", " ")


def test_a_comparison_of_remedies_begins_with_today() -> None:
    assert "ResNet-18, 64 x 64: 100.0 % starved; " in said(
        padviz.audit("resnet18", 64)._shown.draw()
    )


def test_each_side_of_a_ring_is_drawn_with_its_figure_at_its_place() -> None:
    scored = ringed((300, 300), network=False)
    bands = KINDS["rings"]((300, 300)).axes[1]
    texts = {text.get_text(): text.get_position() for text in bands.texts}
    assert len(bands.patches) == 4 * len(scored.rings)
    for side, part in scored.rings[0].sides.items():
        x, y = texts[f"{100 * (part.figure.value or 0):.0f} % of {part.count}"]
        away = {"left": x, "top": y, "right": intervals.HIGH - x, "bottom": intervals.HIGH - y}
        assert min(away, key=lambda name: away[name]) == side
