"""Pictures: what they say, that nothing is clipped or written over, and that colours start at zero."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

import padviz
from padviz.counting.coverage import coverages
from padviz.cutting.plan import globals_of, plan_tiles
from padviz.figures import canvas, colours
from padviz.figures.canvas import png
from padviz.figures.maps import panels
from padviz.figures.maps.heatmap import heatmap
from padviz.figures.maps.thumbnails import write_map_thumbnail, write_thumbnail
from padviz.figures.windows import field_boxes, kernel_cells, ledger_bars
from padviz.figures.windows.tiles import of, tiles
from padviz.geometry.one_layer import illustrate
from padviz.geometry.receptive_fields import fields_of_units
from padviz.reports.windows.tiles import words_of
from padviz.sources.toml.build import parse
from tests.figures.kinds import clipped, overlapping, texts

SHAPES = [(32, 32), (512, 512), (200, 1000), (1000, 200), (100, 1)]
ONE = parse({"layers": [{"op": "conv", "name": "c", "kernel": 3, "padding": 1}], "title": "One 3x3"}, "one")


def test_the_picture_says_which_axis_has_which_scheme() -> None:
    for size in ((64, 64), (320, 40)):
        figure = heatmap(padviz.usage("vgg11", size, "replicate/partial"))
        assert not clipped(figure)
        assert any("replicate/partial padding (height/width)" in text.get_text() for text in texts(figure))
    assert not clipped(kernel_cells.kernels([illustrate(3, 1, 1, (4, 4), "replicate/symmetric")], (0, 0)))


def test_names_are_text_and_not_formulas() -> None:
    net = parse(
        {"layers": [{"op": "conv", "name": "a$x_$", "kernel": 3}], "title": "\x1b[31m$\\frac$ 図 " + "long " * 30}, "n"
    )
    picture = png(heatmap(padviz.usage(net, 9)))
    with Image.open(io.BytesIO(picture)) as opened:
        assert opened.size[0] < 1500


def test_a_map_of_zeros_draws() -> None:
    net = parse(
        {"layers": [{"op": "pad", "name": "p", "padding": 3}, {"op": "crop", "name": "c", "padding": [[0, 9], 3]}]}, "x"
    )
    assert heatmap(padviz.usage(net, 6)).axes


SOME_LAYERS = [["features.2"], ["features.4", "features.36"], [f"features.{i}" for i in (0, 2, 4, 5, 7, 9, 10, 12)]]


@pytest.mark.parametrize(("layers", "size"), [*zip(SOME_LAYERS, [(224, 224), (200, 1000), (1000, 200)], strict=True)])
def test_strips_are_whole(layers: list[str], size: tuple[int, int]) -> None:
    figure = panels.strip(coverages(padviz.load("vgg19"), size, layers=layers))
    assert not clipped(figure)
    assert len(figure.axes) == len(layers) + 1
    assert set(layers) <= {text.get_text() for text in figure.texts}
    assert [*overlapping(figure)] == []


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_tap_grids_and_fields_are_whole(name: str) -> None:
    net = padviz.load(name)
    figure = panels.taps(padviz.taps(net, 224)[:8], net.title)
    assert not clipped(figure)
    label = {text.get_text(): text.get_color() for text in figure.texts}
    first, pool = ("conv1", "maxpool") if name == "resnet18" else ("conv1.conv", "maxpool1")
    assert (label[first], label[pool]) == (colours.UNEVEN, colours.POOLED)
    assert "black" in label.values()
    assert any("blue: uneven, a pool" in text.get_text() for text in texts(figure))
    targets = [net.layers[4].name, net.targets[0]]
    shown = {layer: fields_of_units(net, (224, 160), layer) for layer in targets}
    assert not clipped(field_boxes.fields(shown, (224, 160), net.title))


def test_a_field_is_drawn_where_it_lies_and_hatched_outside_of_the_image() -> None:
    figure = padviz.fields("vgg16", (224, 160), layer="features.2")._shown.draw()  # of 5 x 5 pixels, from -2 to 2
    corner, centre = figure.axes
    assert [patch.get_bbox().bounds for patch in corner.patches if patch.get_hatch()] == [(-2.5, -2.5, 5, 5)]
    assert corner.patches[1].get_bbox().bounds == (-0.5, -0.5, 160, 224)
    assert centre.patches[0].get_bbox().bounds == (77.5, 109.5, 5, 5)
    assert "5 × 5 px, 64.0\xa0% padding" in said(figure)
    assert "5 × 5 px, no padding" in said(figure)


TILED = [
    ("unet_padded", (512, 512), 256, 3),
    ("unet_padded", (200, 1000), 512, 2),
    ("unet_padded", (1000, 200), 512, 2),
    ("unet_padded", (65_536, 65_536), 512, 3),
    ("unet_padded", (1_000_000, 200), 512, 2),
    ("unet", (2044, 2044), 572, 3),
    ("vgg11", (224, 224), 512, 1),
]


@pytest.mark.parametrize(("name", "size", "tile", "places"), TILED)
def test_tiles_are_whole_and_to_scale(name: str, size: tuple[int, int], tile: int, places: int) -> None:
    plan = plan_tiles(padviz.load(name), size, (tile, tile))
    figure = tiles(plan, words_of(plan))
    assert not clipped(figure)
    said = texts(figure)
    assert words_of(plan)[0] in " ".join(text.get_text() for text in said)
    assert f"{size[0]} × {size[1]}" in [text.get_text() for text in said]
    boxes = [text.get_window_extent() for text in said if len(text.get_text()) > 1]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert len(figure.axes) == 1 + places == 1 + len(of(plan))
    for ax, place in zip(figure.axes[1:], of(plan), strict=True):
        image, read, kept = (patch.get_bbox().bounds for patch in ax.patches[:3])
        assert image == (0, 0, size[1], size[0])
        assert read == (place.read[1].start, place.read[0].start, plan.tile[1], plan.tile[0])
        (top, bottom, left, right), box = place.kept, ax.get_window_extent()
        assert kept == (left, top, right - left, bottom - top)
        width, height = (abs(np.diff(ends)[0]) for ends in (ax.get_xlim(), ax.get_ylim()))
        assert box.width / width == pytest.approx(box.height / height, rel=0.02)


def test_what_tiles_keep_is_drawn_where_it_lies_in_the_image() -> None:
    plan = plan_tiles(padviz.load("unet"), (2044, 2044), (572, 572))  # 92 px of the image have no units, on each side
    assert [place.kept for place in of(plan)][-1] == (92, 92 + 386, 92, 92 + 386)
    assert [line.keeps[0][0] for line in plan.lines] == [(0, 386), (0, 386)]
    strided = plan_tiles(padviz.load("resnet50"), (2048, 1536), (1024, 1024))
    keeps = [line.keeps[0] for line in strided.lines]
    assert of(strided)[0].kept == (*(32 * n for n in keeps[0][1]), *(32 * n for n in keeps[1][1]))


def test_a_picture_of_tiles_says_what_makes_them_inexact() -> None:
    network = padviz.load("efficientnet_b0")
    plan = plan_tiles(network, (2048, 2048), (1024, 1024), without=globals_of(network))
    figure = tiles(plan, words_of(plan))
    assert not clipped(figure)
    said = " ".join(text.get_text() for text in texts(figure))
    assert "Not exact: features.1.0.block.1 (gate) and 15 more counted as if each position were by itself" in said


@pytest.mark.parametrize(("name", "size"), [("resnet50", (224, 224)), ("densenet201", (224, 330)), ("vgg11", (64, 64))])
def test_the_ledger_picture_shows_what_is_declared_and_read(name: str, size: tuple[int, int]) -> None:
    net = padviz.load(name)
    found = padviz.uneven(net, size)
    figure = ledger_bars.padding(found, net.title)
    assert not clipped(figure)
    assert len(figure.axes) == (1 if size[0] == size[1] else 2)
    uneven = [row.layer for row in found.layers if row.uneven]
    unread = [row.layer for row in found.layers if row.has_remainder and not row.uneven]
    listed = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    names = [canvas.short_name(layer) for layer in uneven + unread]
    assert listed == [*names, f"{len(found.layers) - len(names)} even windows"]
    if name == "resnet50":
        first = [round(bar.get_width()) for bar in figure.axes[0].patches[:4]]  # conv1: read and declared, both sides
        assert first == [-3, -3, 2, 3]
        red = {bar.get_facecolor() for bar in figure.axes[0].patches[:3:2]}
        assert {to_hex(colour) for colour in red} == {colours.UNEVEN}
        pool = figure.axes[0].patches[4]
        assert (to_hex(pool.get_edgecolor()), pool.get_hatch()) == (colours.POOLED, ledger_bars.HATCH)
        assert "5 of 21 windows are uneven (4 convolutions, 1 pool), 3 leave rows unread" in said(figure)


def said(figure: Figure) -> str:
    """All that a picture says, in one line."""
    return " ".join(text.get_text() for text in texts(figure))


def test_thumbnails_have_the_sizes_asked_for(tmp_path: Path) -> None:
    counts = padviz.usage("vgg11", (90, 301))
    for most, expected in ((200, (151, 45)), (1000, (301, 90))):
        write_map_thumbnail(counts, tmp_path / "map.png", most)
        with Image.open(tmp_path / "map.png") as picture:
            assert picture.size == expected
    write_thumbnail(tmp_path / "map.png", tmp_path / "thumb.png", 100)
    with Image.open(tmp_path / "thumb.png") as picture:
        assert picture.size == (100, 30)


def test_thumbnails_show_fair_shares_up_to_2_whatever_is_in_them(tmp_path: Path) -> None:
    cover = coverages(padviz.load("vgg11"), 64, layers=["features.0"])[0]
    one_unit = padviz.usage("vgg11", 64, unit=(0, 0))
    maps = [(padviz.usage("resnet18", size), "PuOr", 2) for size in (32, (300, 500))]
    for counts, cmap, most in [*maps, (cover, "plasma", 1), (one_unit, "plasma", 1)]:
        values = counts.relative() if counts is one_unit else counts.share()
        write_map_thumbnail(counts, tmp_path / "map.png", 1000)
        with Image.open(tmp_path / "map.png") as picture:
            assert (np.asarray(picture) == colormaps[cmap](values / most, bytes=True)[..., :3]).all()
