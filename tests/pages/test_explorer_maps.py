"""The maps of the explorer in a real browser, from disk: they show what the engine counts, and each control works."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps

import padviz
from padviz.pages.planes import Shelf
from padviz.sources.toml.build import parse
from tests.pages.browser import after, choose, click, drawn, expect, opened, point, press, rests_at, says, show

CONV = {"op": "conv", "kernel": 3, "padding": 1}
DEEP = parse({"layers": [{**CONV, "name": f"c{i}"} for i in range(60)]}, "deep")
LAST = "row 1, column 223"


@pytest.mark.parametrize(("size", "padding"), [((224, 224), "zero"), ((120, 160), "reflect"), ((224, 224), "partial")])
def test_the_read_out_is_the_exact_count_and_the_share(page: Any, size: tuple[int, int], padding: str) -> None:
    choose(page, "#panel-a [data-part=size]", f"{size[0]} × {size[1]}")
    choose(page, "#panel-a [data-part=padding]", padding)
    counts = padviz.usage("resnet18", size, padding)
    shares = counts.share()
    for row, col in ((0, 0), (0, size[1] - 1), (size[0] - 1, 100), (77, 3)):
        point(page, row, col, size)
        paths = page.inner_text("#panel-a .paths").removesuffix(" paths").replace(",", "")
        if padding == "partial":  # twelve digits of what is no integer
            assert float(paths) == pytest.approx(counts.at(row, col), rel=1e-11)
        else:
            assert paths == str(counts.at(row, col))
        share = page.inner_text("#panel-a .share").removeprefix("fair share ")
        assert float(share) == pytest.approx(shares[row, col], rel=1e-3)


@pytest.mark.parametrize(
    ("network", "size", "padding", "kept"),
    [
        (DEEP, (64, 64), "zero", "in many limbs"),
        ("resnet18", (65536, 65536), "symmetric", "what repeats once"),
        ("vgg11", (96, 96), "zero", "an eighth"),
        ("vgg11", (64, 96), "reflect", "a quarter"),
    ],
)
def test_counts_are_exact_however_they_are_kept(
    browser: Any, tmp_path: Path, network: Any, size: tuple[int, int], padding: str, kept: str
) -> None:
    counts, shelf = padviz.usage(network, size, padding), Shelf()
    folds = shelf.planes[shelf.core(counts.core)["plane"]]["folds"]
    facts = {"in many limbs": int(counts.max).bit_length() > 128, "what repeats once": counts.tiled}
    assert {**facts, "an eighth": folds == "rct", "a quarter": folds == "rc"}[kept]
    padviz.explore(network, [size], padding=[padding]).save(tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html", "#two=0")
    for down, across in ((0.0, 0.0), (0.5, 0.31), (0.9999, 0.02), (0.2, 0.99)):
        show(page, f"at={down},{across}&two=0")
        row, col = (int(share * n) for share, n in zip((down, across), size, strict=True))
        rests_at(page, row, col)
        says(page, "#panel-a [data-part=read]", f"{counts.at(row, col):,} paths")
    assert page.said == []
    page.close()


@pytest.mark.parametrize("shown", ["share", "counts"])
def test_every_pixel_of_the_picture_has_the_colour_that_matplotlib_gives_the_value_there(page: Any, shown: str) -> None:
    after(page, lambda: page.check(f"input[name=show][value={shown}]"))
    picture = np.array(drawn(page))
    width = picture.shape[1]
    counts = padviz.usage("resnet18", 224, "zero")
    most = padviz.usage("resnet18", 224, "reflect").max  # of both maps
    values = counts.share() / 2 if shown == "share" else counts.relative() * (counts.max / most)
    edges = (np.arange(width + 1) * 224 / width).astype(int)
    for y, x in ((0, 0), (width // 3, width // 2), (width - 1, width - 2)):
        rows, cols = (
            slice(edges[at], max(edges[at + 1], edges[at] + 1)) if width < 224 else int((at + 0.5) * 224 / width)
            for at in (y, x)
        )
        value = values[rows, cols].mean()
        colour = colormaps["PuOr" if shown == "share" else "plasma"](min(value, 1.0), bytes=True)
        assert np.abs(picture[y, x, :3].astype(int) - np.array(colour[:3])).max() <= 6


def test_two_maps_share_one_cursor_and_zoom(page: Any) -> None:
    choose(page, "#panel-b [data-part=size]", "96 × 96")
    point(page, 112, 70, (224, 224))
    rests_at(page, 48, 30, "b")
    before = drawn(page, "b")
    after(page, lambda: page.mouse.wheel(0, -400))
    assert drawn(page, "b") != before
    after(page, lambda: page.uncheck("input[data-state=two]"))
    expect(page.locator("#panel-b")).not_to_be_visible()


def test_keys_move_zoom_and_follow(page: Any) -> None:
    page.focus("#panel-a [data-part=over]")
    press(page, "Home", "PageUp")
    rests_at(page, 0, 0)
    press(page, "ArrowDown", "ArrowRight", "Shift+ArrowRight")
    rests_at(page, 1, 11)
    whole = drawn(page)
    press(page, "+")
    assert drawn(page) != whole
    press(page, "End")
    rests_at(page, 1, 223)
    press(page, "0")
    assert drawn(page) == whole
    page.wait_for_function("said => document.getElementById('live').textContent.includes(said)", arg=LAST)
    press(page, "Enter")
    expect(page.locator("#part-layers [data-part=col]")).to_have_value("223")


def test_what_cannot_run_says_why(page: Any) -> None:
    choose(page, "#panel-a [data-part=padding]", "valid (cannot run)")
    says(page, "#panel-a .why", "its branches disagree")
    expect(page.locator("#panel-a .plot")).not_to_be_visible()


def test_an_address_that_makes_no_sense_does_no_harm(browser: Any, file: Path) -> None:
    page = opened(browser, file, "#part=none&asize=99&apadding=-1")
    for fragment in (
        "zoom=nan,1&at=a,b&kernel=6&show=%3Cb%3E",
        "at=1e9,-5&zoom=1e9,3,3",
        "layer=1e9&remedy=77&two=5&part=audit",
    ):
        for part in ("layers", "audit", "kernel", "maps"):
            click(page, f"#tab-{part}")
        show(page, fragment)
    assert page.said == []
    page.close()
