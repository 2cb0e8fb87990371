"""Pictures of maps, and pictures as files: what they say, which cells they draw, sizes, themes, the same bytes."""

from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colormaps
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from PIL import Image

import padviz
from padviz.counting.count import coverages
from padviz.counting.walking.tiling import Tiling
from padviz.figures.canvas import drawing_options, pixels_of, rendered, write_thumbnail
from padviz.figures.colours import scientific, write_map_thumbnail
from padviz.figures.maps import panels
from padviz.figures.maps.cells import Cells
from padviz.figures.maps.heatmap import caption, heatmap, png
from padviz.figures.maps.views import AxisView, view_of, views_of, words_of
from padviz.sources.toml.load import parse
from tests.cli.test_cli import run
from tests.figures.kinds import clipped, said
from tests.sweeps import examples

CONV = {"op": "conv", "name": "c", "kernel": 3, "padding": 1}
ONE = parse({"layers": [CONV], "title": "One 3x3"}, "one")


def test_the_picture_is_one_map_of_fair_shares_with_one_bar() -> None:
    counts = padviz.usage("vgg19", (200, 300), padding="reflect/replicate")
    figure = heatmap(counts)
    words = said(figure)
    for part in (
        "VGG-19, 200 x 300: the outer",
        "reflect/replicate padding (height/width)",
        "features.36 (6 x 9)",
    ):
        assert part in words
    for part in ("fair share: 1 is", "starved", "row (pixels)", "row 100", "col 150"):
        assert part in words
    shown, bar = figure.axes
    (image,) = shown.images
    assert (image.get_cmap().name, image.norm.vmin, image.norm.vmax) == ("PuOr", 0, 2)
    assert bar.get_ylim() == (0, 2)
    assert (np.asarray(image.get_array()) == counts.share()).all()
    assert (image.get_interpolation(), shown.bbox.width) == (
        "nearest",
        2 * 300,
    )  # whole screen pixels


def test_a_picture_over_a_kept_frame_is_that_of_a_new_figure() -> None:
    maps = [
        padviz.usage("vgg11", size, scheme) for size in (64, 96) for scheme in ("zero", "reflect")
    ]
    maps += [
        padviz.usage("resnet18", (9, 300)),
        padviz.usage("resnet50", 65536),
        padviz.coverage("vgg11", 64)[0],
    ]
    again = [png(counts) for counts in maps]  # drawn by now, each in its frame
    for counts, first in zip(maps, again, strict=True):
        assert png(counts) == first
        with Image.open(BytesIO(first)) as picture:
            assert (np.asarray(picture) == pixels_of(heatmap(counts))).all()
    with drawing_options(width=300):
        assert png(maps[0]) == rendered(heatmap(maps[0]))
    with drawing_options(theme="dark"):
        assert png(maps[0]) == rendered(heatmap(maps[0]))


def test_cells_have_the_pixels_of_matplotlibs_image(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Cells.make_image
    for size, dpi in product((64, 181, (64, 300), 2500), (None, 65, 260)):
        with drawing_options(dpi=dpi):
            figure = heatmap(padviz.usage("vgg11", size))
            monkeypatch.setattr(Cells, "make_image", ours)
            drawn = pixels_of(figure)
            monkeypatch.setattr(Cells, "make_image", AxesImage.make_image)
            assert (drawn == pixels_of(figure)).all()


def test_counts_are_drawn_on_request_or_where_there_are_no_fair_shares() -> None:
    counts, one_unit = padviz.usage("resnet50", (70, 500)), padviz.usage("vgg19", 64, unit=(1, 1))
    for each, figure, cmap, words in (
        (
            counts,
            heatmap(counts, scale="counts"),
            "plasma",
            f"counts; 100% is {scientific(counts.max)} paths",
        ),
        (
            one_unit,
            heatmap(one_unit, "viridis"),
            "viridis",
            "no pixel has a fair share: vgg19: only usage by all units",
        ),
    ):
        (image,) = (image for ax in figure.axes for image in ax.images)
        assert (image.get_cmap().name, image.norm.vmin, image.norm.vmax) == (cmap, 0, 1)
        assert (np.asarray(image.get_array()) == each.relative()).all()
        assert words in said(figure)
        assert "starved" not in said(figure)


def test_titles_say_what_is_found() -> None:
    titles = {
        (
            "resnet50",
            224,
            None,
        ): "ResNet-50, 224 x 224: the outer 14 px above and left and 34 px below and right get",
        (
            "resnet50",
            32,
            None,
        ): "ResNet-50, 32 x 32: all starved, the most used pixel 102 times the least",
        (
            "resnet50",
            225,
            "replicate",
        ): "ResNet-50, 225 x 225: the outer 8 px on all sides get more than 3/2 of",
        (
            "vgg11",
            224,
            "circular",
        ): "VGG-11, 224 x 224: no pixel gets less than half its fair share",
    }
    for (network, size, padding), title in titles.items():
        assert caption(padviz.usage(network, size, padding))[0].startswith(title)
    signal = padviz.usage("tests.signals:Tcn", 64)
    assert caption(signal)[0] == (
        "Tcn, 64 samples: the last 4 samples get less than half their fair share"
    )
    maps = coverages(padviz.load("vgg19"), 224, layers=["features.4", "features.36"])
    assert "down to 26.3 % of the paths start at real pixels, in features.36" in said(
        panels.strip(maps)
    )


def test_a_map_that_is_all_starved_has_the_colours_of_what_there_is() -> None:
    counts = padviz.usage("resnet50", (32, 48))
    image, values = heatmap(counts).axes[0].images[0], counts.share()
    assert (image.norm.vmin, image.norm.vmax) == (values.min(), values.max())
    assert type(image.norm).__name__ == "LogNorm"
    asked = heatmap(counts, scale="share")
    assert "colours run over" not in said(asked)
    assert not asked.axes[0].texts  # the rim is that of a large input
    assert (asked.axes[0].images[0].norm.vmin, asked.axes[0].images[0].norm.vmax) == (0, 2)


def test_rims_are_marked_where_they_end() -> None:
    counts = padviz.usage("resnet50", (224, 320))
    ax = heatmap(counts).axes[0]
    rim = counts.rims[0]  # type: ignore[index]

    def at(ends: list[Any]) -> list[float]:
        return sorted(float(first) for first, last in ends if first == last)

    assert at([line.get_ydata() for line in ax.lines]) == [
        rim.height[0] - 0.5,
        224 - rim.height[1] - 0.5,
    ]
    assert at([line.get_xdata() for line in ax.lines]) == [
        rim.width[0] - 0.5,
        320 - rim.width[1] - 0.5,
    ]
    assert [text.get_text() for text in ax.texts] == [
        f"{depth} px" for depth in rim.depths if depth
    ]


def test_small_maps_have_their_numbers_in_the_cells() -> None:
    def written(counts: padviz.CountMap, scale: str = "counts") -> list[str]:
        return [text.get_text() for text in heatmap(counts, scale=scale).axes[0].texts]

    for counts in (padviz.usage(ONE, 5), padviz.usage("vgg19", 16, layer="features.9")):
        assert written(counts) == [str(n) for n in counts.counts.flat]
        assert not clipped(heatmap(counts))
    assert written(padviz.usage(ONE, (3, 17))) == []
    assert written(padviz.usage(ONE, 4, padding="partial"))[0] == "6.25"
    assert written(padviz.usage(ONE, 4), "share")[:2] == ["0.44", "0.67"]


def test_large_maps_are_drawn_as_means() -> None:
    counts = padviz.usage("resnet50", 800)
    figure = heatmap(counts, scale="share")
    assert "drawn as means of 2 x 2" in said(figure)
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown.shape == (400, 400)
    assert shown[3, 5] == pytest.approx(counts.share()[6:8, 10:12].mean())


BROKEN = [("resnet50", (200, 65_536)), ("vgg11", (30_000, 400)), ("mobilenet_v2", (3000, 3000))]


@pytest.mark.parametrize(("name", "size"), BROKEN)
def test_the_border_of_a_large_image_is_drawn_at_its_own_scale(
    name: str, size: tuple[int, int]
) -> None:
    counts = padviz.usage(name, size)
    view = view_of(counts, 440)
    values = view.values(counts, share=True)
    assert values.shape == (view.down.cells, view.across.cells)
    assert words_of([view])[-1] == "only the border and the middle are drawn, with breaks between"
    for along, axis, n in ((view.down, "height", size[0]), (view.across, "width", size[1])):
        assert along.broken == (n > 500)
        assert (along.pieces[0].start, along.pieces[-1].stop) == (0, n)
        assert len(along.pieces[0]) >= 4 * max(
            depth for rim in counts.rims or () for depth in getattr(rim, axis)
        )
    core = counts.shares.values
    for cell_row, first_row, last_row in [*view.down.windows()][::17]:
        for cell_col, first_col, last_col in [*view.across.windows()][::23]:
            rows, cols = slice(first_row, last_row), slice(first_col, last_col)
            index = np.ix_(counts.rows.index[rows], counts.cols.index[cols])
            assert values[cell_row, cell_col] == pytest.approx(
                float(np.nanmean(core[index])), rel=1e-9
            )
    figure, view = heatmap(counts), view_of(counts, 560)
    assert not clipped(figure)
    for along, axis in ((view.across, figure.axes[0].xaxis), (view.down, figure.axes[0].yaxis)):
        if along.broken:  # both ends of each break are labelled
            labels = [int(label.get_text()) for label in axis.get_ticklabels()]
            assert labels == [end for piece in along.pieces for end in (piece[0], piece[-1])]


@given(st.data())
@examples(15)
def test_positions_and_cells_of_a_broken_axis_are_each_other_s(data: st.DataObject) -> None:
    block = data.draw(st.integers(1, 5))
    reach = block * data.draw(st.integers(1, 9))
    n = 3 * reach + data.draw(st.integers(2, 50))
    middle = (n - reach) // 2
    along = AxisView(n, (range(reach), range(middle, middle + reach), range(n - reach, n)), block)
    windows = [*along.windows()]
    cells = [cell for cell, _, _ in windows]
    assert cells == sorted({*cells})
    for cell, first, last in windows:
        assert {along.cell(at) for at in range(first, last)} == {cell}
    assert along.at(-0.5) == -0.5
    assert along.at(n - 0.5) == along.cells - 0.5
    drawn = {at for _, first, last in windows for at in range(first, last)}
    assert all(np.isnan(along.at(at)) for at in set(range(n)) - drawn)
    assert along.weights(Tiling(n)).sum(1).round(9).tolist() == [
        float(cell in cells) for cell in range(along.cells)
    ]


@pytest.mark.parametrize("scale", ["share", "counts", "coverage"])
def test_values_and_curves_have_a_gap_where_positions_are_left_out(scale: str) -> None:
    if scale == "coverage":
        counts, asked = padviz.coverage("vgg19", 65_536)[0], None
    else:
        counts, asked = padviz.usage("resnet50", 65_536), scale
    figure, view = heatmap(counts, scale=asked), view_of(counts, 560)
    values = np.asarray(figure.axes[0].images[0].get_array().filled(np.nan))
    drawn = [cell for cell, _, _ in view.across.windows()]
    assert len(drawn) < view.across.cells
    assert np.isfinite(values[np.ix_(drawn, drawn)]).all()
    assert np.isfinite(values).sum() == len(drawn) ** 2
    lines = [artist.get_xydata() for artist in figure.artists if isinstance(artist, Line2D)]
    curves = [points for points in lines if len(points) > 2]
    assert [len(np.flatnonzero(np.isnan(curve).any(axis=1))) for curve in curves] == [
        2 * (along.cells - len(drawn)) for along in (view.across, view.down)
    ]


def test_maps_side_by_side_have_breaks_in_all_or_in_none_and_show_as_much_of_the_border() -> None:
    far, small = padviz.usage("resnet50", 2048), padviz.usage("vgg11", 64)
    assert any(view_of(far, 300).broken)
    assert [any(view.broken) for view in views_of([far, small], [300, 300])] == [False, False]
    # uneven, and even
    views = views_of([padviz.usage("resnet50", n) for n in (65_536, 65_537)], [300, 300])
    assert len({len(view.across.pieces[0]) for view in views}) == 1


def test_the_outermost_cells_are_not_under_a_frame() -> None:
    figure = heatmap(padviz.usage("vgg19", 560), scale="counts")
    ax, pixels = figure.axes[0], pixels_of(figure).astype(int)
    left, right = (round(x) for x in ax.get_window_extent().intervalx)
    row = pixels[len(pixels) // 2, left:right]
    colours = colormaps["plasma"](np.asarray(ax.images[0].get_array())[280], bytes=True)[:, :3]
    assert np.abs(row - colours)[[0, 1, -2, -1]].max() <= 3
    assert (row[0] != row[20]).any()


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


def test_a_picture_is_as_large_as_asked_for(tmp_path: Path) -> None:
    found, path = padviz.uneven("resnet18", (32, 48)), tmp_path / "a.png"
    found.save(path)
    width, height = opened(path).size
    for look, expected in (({"width": 700}, 700), ({"dpi": 65}, width // 2)):
        found.save(path, overwrite=True, **look)
        picture = opened(path)
        assert picture.size[0] == expected
        assert picture.size[1] == pytest.approx(height * expected / width, abs=1)
        assert picture.info["dpi"][0] == pytest.approx(130 * expected / width, rel=0.01)
    figure = found.plot(width=300).figure
    assert figure.get_size_inches()[0] * figure.dpi == pytest.approx(300, 1e-3)


def test_the_dark_theme_turns_greys_over_and_leaves_colours_and_images() -> None:
    figure = padviz.usage("resnet18", (64, 96))._shown.draw()
    light = pixels_of(figure)
    with drawing_options(theme="dark"):
        dark = pixels_of(figure)
    assert light[0, 0].tolist() == [255, 255, 255]
    assert dark[0, 0].tolist() == [23, 23, 23]
    image = figure.axes[0].get_window_extent()
    top = light.shape[0] - round(image.y1)
    inside = np.s_[
        top + 2 : top + round(image.height) - 2, round(image.x0) + 2 : round(image.x1) - 2
    ]
    assert (light[inside] == dark[inside]).mean() > 0.98  # but for what is transparent


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_the_same_picture_has_the_same_bytes_and_text_is_text(suffix: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        padviz.uneven("resnet18", 64).save(path)
    one, other = (path.read_bytes() for path in paths)
    assert one == other
    if suffix == ".svg":
        assert b">conv1</text>" in one
        assert b"<dc:date>" not in one
    if suffix == ".pdf":
        assert b"CreationDate" not in one
        assert b"/Type3" not in one.replace(b" ", b"")


def test_commands_take_the_same_words(elsewhere: None) -> None:
    asked = ["uneven", "resnet18", "--size", "64", "--width", "500"]
    assert run(*asked, "-o", "a.png", "--theme", "dark").exit_code == 0
    picture = opened(Path("a.png")).convert("RGB")
    assert (picture.size[0], picture.getpixel((0, 0))) == (500, (23, 23, 23))
    assert run(*asked, "-o", "b.png", "--dpi", "90").exit_code == 2
    assert not Path("b.png").exists()
    # nothing is asked for from here on
    assert len(rendered(padviz.uneven("resnet18", 64)._shown.draw())) > 1000


def test_thumbnails_show_fair_shares_up_to_2_and_are_as_small_as_asked(tmp_path: Path) -> None:
    cover = coverages(padviz.load("vgg11"), 64, layers=["features.0"])[0]
    one_unit = padviz.usage("vgg11", 64, unit=(0, 0))
    maps = [(padviz.usage("resnet18", size), "PuOr", 2) for size in (32, (300, 500))]
    path = tmp_path / "map.png"
    for counts, cmap, most in [*maps, (cover, "plasma", 1), (one_unit, "plasma", 1)]:
        values = counts.relative() if counts is one_unit else counts.share()
        write_map_thumbnail(counts, path, 1000)
        assert (
            np.asarray(opened(path)) == colormaps[cmap](values / most, bytes=True)[..., :3]
        ).all()
    write_map_thumbnail(padviz.usage("vgg11", (90, 301)), path, 200)
    assert opened(path).size == (151, 45)
    write_thumbnail(path, tmp_path / "thumb.png", 100)
    assert opened(tmp_path / "thumb.png").size == (100, 30)
