"""Pictures: what they say, that nothing is clipped or written over, and that colours start at zero."""

from __future__ import annotations

import io
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import padviz
from padviz.counting.coverage import coverages
from padviz.cutting.plan import globals_of, plan_tiles
from padviz.figures import canvas, panels
from padviz.figures.canvas import png
from padviz.figures.heatmap import blocks_of, heatmap, scaled, write_bare, write_thumbnail
from padviz.figures.windows import field_boxes, kernel_cells, ledger_bars
from padviz.figures.windows.tiles import of, tiles
from padviz.geometry.one_layer import illustrate
from padviz.geometry.receptive_fields import fields_of_units
from padviz.reports.windows.tiles import words_of
from padviz.sources.toml.build import parse

SHAPES = [(32, 32), (512, 512), (200, 1000), (1000, 200), (100, 1)]
ONE = parse({"layers": [{"op": "conv", "name": "c", "kernel": 3, "padding": 1}], "title": "One 3x3"}, "one")


def texts(figure: Figure) -> list[Text]:
    figure.canvas.draw()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in shown if text.get_window_extent().width > 0]


def clipped(figure: Figure) -> bool:
    """Whether anything drawn reaches past the page."""
    figure.canvas.draw()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return bool(drawn.x0 < 0 or drawn.y0 < 0 or drawn.x1 > width or drawn.y1 > height)


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_are_whole_and_apart(shape: tuple[int, int]) -> None:
    counts = padviz.usage(ONE if 1 in shape else "vgg19", shape)
    figure = heatmap(counts)
    assert not clipped(figure)
    main = figure.axes[0]
    for axis in (main.xaxis, main.yaxis):
        low, high = sorted(axis.get_view_interval())
        shown = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        boxes = [label.get_window_extent() for label in shown]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]), shape
        assert shown


def test_the_picture_says_what_it_is() -> None:
    figure = heatmap(padviz.usage("vgg19", (200, 300), padding="reflect"))
    said = " ".join(text.get_text() for text in texts(figure))
    for part in ("VGG-19, 200 × 300", "reflect padding", "features.36 (6 × 9)", "paths per pixel (×10¹⁵)"):
        assert part in said
    assert "row (pixels)" in said
    assert "row 100" in said
    assert "column 150" in said
    image = figure.axes[0].images[0]
    assert image.norm.vmin == 0
    assert image.get_cmap().name == "plasma"
    assert image.get_array().max() == pytest.approx(image.norm.vmax)
    assert image.get_array()[0, 0] == pytest.approx(
        padviz.usage("vgg19", (200, 300), padding="reflect").counts[0, 0] / 1e15
    )


def test_the_picture_says_which_axis_has_which_scheme() -> None:
    for size in ((64, 64), (320, 40)):
        figure = heatmap(padviz.usage("vgg11", size, "replicate/partial"))
        assert not clipped(figure)
        assert any("replicate/partial padding (height/width)" in text.get_text() for text in texts(figure))
    assert not clipped(kernel_cells.kernels([illustrate(3, 1, 1, (4, 4), "replicate/symmetric")], (0, 0)))


def test_units_follow_the_mode() -> None:
    said = [
        scaled(padviz.usage("resnet18", 64, **options))[1].unit
        for options in ({"padding": "partial"}, {"pooling": "mean"})
    ]
    assert all(unit.startswith("weighted paths") for unit in said)
    assert scaled(padviz.usage(ONE, 9))[1].unit == "paths per pixel"
    values, scale = scaled(padviz.usage("densenet201", 64))
    assert scale.unit.startswith("paths per pixel (×10")
    assert 1 <= values.max() < 10
    values, scale = scaled(padviz.usage("resnet50", 65536, padding="partial"), (1344, 1344))
    assert 1 <= values.max() < 10
    assert "10¹⁵" in scale.unit


def test_small_maps_have_their_numbers_in_the_cells() -> None:
    def written(counts: padviz.CountMap) -> list[str]:
        return [text.get_text() for text in heatmap(counts).axes[0].texts]

    for counts in (padviz.usage(ONE, 5), padviz.usage("vgg19", 16, layer="features.9")):
        assert written(counts) == [str(n) for n in counts.counts.flat]
        assert not clipped(heatmap(counts))
    assert written(padviz.usage(ONE, (3, 17))) == []
    reflected = written(padviz.usage(ONE, 4, padding="partial"))
    assert reflected[0] == "6.25"
    assert len(written(padviz.usage("vgg11", 32, layer="features.0"))) == 0


@pytest.mark.parametrize("engine", ["numpy"])
def test_plot_and_notebook(engine: str) -> None:
    counts = padviz.usage("resnet18", 64, engine=engine)
    axes = Figure().subplots()
    assert counts.plot(axes) is axes
    assert "ResNet-18, 64 × 64" in axes.get_title()
    assert counts.plot().figure is not None
    with Image.open(io.BytesIO(b64decode(counts._repr_html_().split("base64,")[1].split('"')[0]))) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400


def test_large_maps_are_drawn_as_means() -> None:
    counts = padviz.usage(ONE, (3000, 7))
    figure = heatmap(counts)
    assert "drawn as means of 4 × 1" in " ".join(text.get_text() for text in texts(figure))
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (750, 7)
    assert shown[0, 1] == (6 + 3 * 9) / 4
    assert shown.sum() * 4 == counts.total
    assert figure.axes[0].get_ylim() == (2999.5, -0.5)


def test_blocks_fit_what_repeats_so_that_the_inside_of_a_huge_map_is_even() -> None:
    counts = padviz.usage("resnet50", 65536)
    figure = heatmap(counts)
    assert "drawn as means of 96 × 96" in " ".join(text.get_text() for text in texts(figure))
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (683, 683)
    inside = shown[4:-4, 4:-4]
    assert inside.max() - inside.min() < 1e-12 * inside.max()
    assert shown[0, 0] < shown[-4, 0] < inside.max()
    assert shown.mean() * 1e15 == pytest.approx(counts.total / 65536**2, rel=1e-3)  # the last blocks are smaller
    others = counts.relative((97, 97))[4:-4, 4:-4]
    assert others.max() - others.min() > 0.005  # stripes that blocks of any other size would draw
    assert not clipped(figure)


@pytest.mark.parametrize(
    ("size", "period", "blocks"),
    [
        (700, 32, 1),
        (1024, 32, 2),
        (2048, 32, 4),
        (3000, 32, 4),
        (20_000, 32, 32),
        (30_000, 32, 64),
        (4000, 7, 7),
        (760, 11, 1),
    ],
)
def test_blocks_are_parts_or_multiples_of_a_period(size: int, period: int, blocks: int) -> None:
    counts = padviz.usage(ONE, size).value
    tiling = replace(counts.rows, period=period)
    assert blocks_of(replace(counts, rows=tiling, cols=tiling), 750) == (blocks, blocks)


def test_the_short_axis_of_a_long_map_has_blocks_that_fit_too() -> None:
    counts = padviz.usage("efficientnet_b0", (300, 1_000_000))
    assert blocks_of(counts, 750) == (2, 1344)
    assert "drawn as means of 2 × 1056" in " ".join(text.get_text() for text in texts(heatmap(counts)))


def test_the_outermost_cells_are_not_under_a_frame() -> None:
    counts = padviz.usage("vgg19", 96 * 680, padding="valid")
    figure = heatmap(counts)
    with Image.open(io.BytesIO(png(figure))) as picture:
        box = figure.axes[0].get_window_extent()
        row = [picture.getpixel((round(box.x0) + x, picture.height // 2)) for x in range(round(box.width))]
    values = figure.axes[0].images[0].get_array()[340]
    colours = colormaps["plasma"](values / values.max(), bytes=True)[:, :3]
    for at in (0, 1, -2, -1):
        assert np.abs(np.subtract(row[at], colours[at].astype(int))).max() <= 1
    assert row[0] != row[1] != row[5]


def test_a_bare_picture_larger_than_a_file_should_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(padviz.PadvizError, match=r"65536 x 65536 pixels is larger .* `bare`"):
        write_bare(padviz.usage("vgg11", 65536).value, tmp_path / "bare.png")


def test_a_map_of_any_size_is_drawn_bare_and_plotted() -> None:
    counts = padviz.usage("vgg19", (65536, 40_000))
    axes = counts.plot(Figure().subplots())
    assert max(axes.images[0].get_array().shape) < 1300
    assert "65536 × 40000" in axes.get_title()


def test_names_are_text_and_not_formulas() -> None:
    net = parse(
        {"layers": [{"op": "conv", "name": "a$x_$", "kernel": 3}], "title": "\x1b[31m$\\frac$ 図 " + "long " * 30}, "n"
    )
    picture = png(heatmap(padviz.usage(net, 9)))
    with Image.open(io.BytesIO(picture)) as opened:
        assert opened.size[0] < 1200


@pytest.mark.parametrize("size", [64, 224, 300, 512, 700, 65536])
def test_cells_of_whole_screen_pixels_are_drawn_crisp(size: int) -> None:
    figure = heatmap(padviz.usage("vgg11", size))
    image = figure.axes[0].images[0]
    assert figure.axes[0].bbox.width / image.get_array().shape[1] == pytest.approx(
        round(figure.axes[0].bbox.width / image.get_array().shape[1])
    )
    assert image.get_interpolation() == "nearest"


def test_a_map_of_zeros_draws() -> None:
    net = parse(
        {"layers": [{"op": "pad", "name": "p", "padding": 3}, {"op": "crop", "name": "c", "padding": [[0, 9], 3]}]}, "x"
    )
    assert heatmap(padviz.usage(net, 6)).axes


def titled(ax: Axes) -> Text:
    """The title above the left edge of a panel."""
    return next(text for text in ax.findobj(Text) if text.get_text() and text.get_text() == ax.get_title(loc="left"))


SOME_LAYERS = [["features.2"], ["features.4", "features.36"], [f"features.{i}" for i in (0, 2, 4, 5, 7, 9, 10, 12)]]


@pytest.mark.parametrize("size", [(224, 224), (200, 1000), (1000, 200)])
@pytest.mark.parametrize("layers", SOME_LAYERS)
def test_strips_are_whole(layers: list[str], size: tuple[int, int]) -> None:
    figure = panels.strip(coverages(padviz.load("vgg19"), size, layers=layers))
    assert not clipped(figure)
    assert len(figure.axes) == len(layers) + 1
    titles = [titled(ax).get_window_extent() for ax in figure.axes[:-1]]
    assert all(title.width > 20 for title in titles)
    assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_tap_grids_and_fields_are_whole(name: str) -> None:
    net = padviz.load(name)
    figure = panels.taps(padviz.taps(net, 224)[:8], net.title)
    assert not clipped(figure)
    assert titled(figure.axes[0]).get_color() == canvas.UNEVEN
    assert titled(figure.axes[1]).get_color() == canvas.POOLED
    assert titled(figure.axes[2]).get_color() == "black"
    assert any("blue: uneven, a pool" in text.get_text() for text in texts(figure))
    targets = [net.layers[4].name, net.targets[0]]
    shown = {layer: fields_of_units(net, (224, 160), layer) for layer in targets}
    assert not clipped(field_boxes.fields(shown, (224, 160), net.title))


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
    assert len(figure.axes[0].get_yticks()) == min(len(found.layers), ledger_bars.LEDGER)
    if name == "resnet50":
        first = [round(bar.get_width()) for bar in figure.axes[0].patches[:4]]  # conv1: read and declared, both sides
        assert first == [-3, -3, 2, 3]
        red = {bar.get_facecolor() for bar in figure.axes[0].patches[:3:2]}
        assert {to_hex(colour) for colour in red} == {canvas.UNEVEN}
        pool = figure.axes[0].patches[4]
        assert (to_hex(pool.get_edgecolor()), pool.get_hatch()) == (canvas.POOLED, ledger_bars.HATCH)
        words = [text.get_text() for text in figure.legends[0].get_texts()]
        assert words == [
            "declared", "read, uneven, a convolution", "read, uneven, a pool",
            "read, balanced, a convolution",
        ]  # fmt: skip
        assert any("uneven: 4 convolutions, 1 pool" in text.get_text() for text in texts(figure))


def test_bare_maps_and_thumbnails_have_the_sizes_asked_for(tmp_path: Path) -> None:
    counts = padviz.usage("vgg11", (90, 301)).value
    for most, expected in ((None, (301, 90)), (200, (151, 45)), (1000, (301, 90))):
        write_bare(counts, tmp_path / "bare.png", most=most)
        with Image.open(tmp_path / "bare.png") as picture:
            assert picture.size == expected
    share = coverages(padviz.load("vgg11"), 64, layers=["features.0"])[0]
    write_bare(share, tmp_path / "share.png")
    with Image.open(tmp_path / "share.png") as picture:
        assert (np.asarray(picture) == colormaps["plasma"](share.share(), bytes=True)[..., :3]).all()
    write_thumbnail(tmp_path / "bare.png", tmp_path / "thumb.png", 100)
    with Image.open(tmp_path / "thumb.png") as picture:
        assert picture.size == (100, 30)


def test_a_panel_has_the_proportions_of_its_map_whatever_blocks_it_is_drawn_in() -> None:
    counts = padviz.usage("resnet50", (193, 993)).value
    assert blocks_of(counts, 440) == (1, 4)
    figure = panels.compared([("a", counts)], "remedy")
    width, height = figure.axes[0].get_window_extent().size
    assert width / height == pytest.approx(993 / 193, rel=0.02)
