"""The maps of the explorer in a real browser, from disk: they show what the engine counts, and each control works."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import padviz
from padviz.pages.planes import Shelf
from tests.pages.browser import after, drawn, expect, opened, point, read, reading, rests_at
from tests.sweeps import SLOW


@pytest.mark.parametrize(("size", "padding"), [((224, 224), "zero"), ((120, 160), "reflect")])
def test_the_read_out_is_the_exact_count_and_the_share(page: Any, size: tuple[int, int], padding: str) -> None:
    after(page, lambda: page.select_option("#panel-a [data-part=size]", label=f"{size[0]} × {size[1]}"))
    after(page, lambda: page.select_option("#panel-a [data-part=padding]", label=padding))
    counts = padviz.usage("resnet18", size, padding)
    shares = counts.share()
    for row, col in ((0, 0), (0, size[1] - 1), (size[0] - 1, 100), (77, 3)):
        point(page, row, col, size)
        expect(reading(page)).to_contain_text(f"{counts.at(row, col):,} paths", use_inner_text=True)
        share = page.locator("#panel-a .share").inner_text().removeprefix("fair share ")
        assert float(share) == pytest.approx(shares[row, col], rel=1e-3)


def test_rational_counts_are_right_to_twelve_digits(page: Any) -> None:
    after(page, lambda: page.select_option("#panel-a [data-part=padding]", label="partial"))
    counts = padviz.usage("resnet18", 224, "partial")
    for row, col in ((0, 0), (223, 5), (100, 101)):
        point(page, row, col, (224, 224))
        shown = read(page).partition(" paths")[0].splitlines()[-1].replace(",", "")
        assert float(shown) == pytest.approx(counts.at(row, col), rel=1e-11)


@pytest.mark.parametrize(
    ("network", "size", "padding", "kept"),
    [
        ("resnet152", (224, 224), "zero", "165 bits"),
        ("resnet18", (65536, 65536), "symmetric", "what repeats once"),
        ("vgg11", (96, 96), "zero", "an eighth"),
        ("vgg11", (64, 96), "reflect", "a quarter"),
    ],
)
def test_counts_are_exact_however_they_are_kept(
    browser: Any, tmp_path: Path, network: str, size: tuple[int, int], padding: str, kept: str
) -> None:
    counts, shelf = padviz.usage(network, size, padding), Shelf()
    folds = shelf.planes[shelf.core(counts.core)["plane"]]["folds"]
    facts = {"165 bits": int(counts.max).bit_length() == 165, "what repeats once": counts.tiled}
    assert {**facts, "an eighth": folds == "rct", "a quarter": folds == "rc"}[kept]
    padviz.explore(network, [size], padding=[padding]).save(tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html", "#two=0")
    for down, across in ((0.0, 0.0), (0.5, 0.31), (0.9999, 0.02), (0.2, 0.99)):
        page.evaluate("at => { location.hash = at; }", f"at={down},{across}&two=0")
        row, col = (int(share * n) for share, n in zip((down, across), size, strict=True))
        rests_at(page, row, col)
        expect(reading(page)).to_contain_text(f"{counts.at(row, col):,} paths", use_inner_text=True)
    assert page.said == []
    page.close()


@pytest.mark.parametrize("show", ["share", "counts"])
def test_the_picture_is_the_map(page: Any, show: str) -> None:
    """Every pixel of the picture has the colour that matplotlib gives the value there."""
    from matplotlib import colormaps

    after(page, lambda: page.check(f"input[name=show][value={show}]"))
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(drawn(page).partition(",")[2]))))
    width = picture.shape[1]
    counts = padviz.usage("resnet18", 224, "zero")
    values = (
        counts.share() / 2
        if show == "share"
        else counts.relative() * (counts.max / padviz.usage("resnet18", 224, "reflect").max)
    )
    edges = (np.arange(width + 1) * 224 / width).astype(int)
    for y, x in ((0, 0), (width // 3, width // 2), (width - 1, width - 2)):
        rows, cols = (
            range(edges[at], max(edges[at + 1], edges[at] + 1)) if width < 224 else [int((at + 0.5) * 224 / width)]
            for at in (y, x)
        )
        value = values[np.ix_(list(rows), list(cols))].mean()
        colour = colormaps["PuOr" if show == "share" else "plasma"](min(value, 1.0), bytes=True)
        assert np.abs(picture[y, x, :3].astype(int) - np.array(colour[:3])).max() <= 6


def test_two_maps_share_one_cursor_and_zoom(page: Any) -> None:
    after(page, lambda: page.select_option("#panel-b [data-part=size]", label="96 × 96"))
    point(page, 112, 70, (224, 224))
    rests_at(page, 48, 30, "b")
    before = drawn(page, "b")
    after(page, lambda: page.mouse.wheel(0, -400))
    assert drawn(page, "b") != before
    after(page, lambda: page.uncheck("input[data-state=two]"))
    expect(page.locator("#panel-b")).not_to_be_visible()


def test_keys_move_zoom_and_follow(page: Any) -> None:
    page.focus("#panel-a [data-part=over]")
    page.keyboard.press("Home")
    page.keyboard.press("PageUp")
    rests_at(page, 0, 0)
    for key in ("ArrowDown", "ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    rests_at(page, 1, 11)
    whole = drawn(page)
    after(page, lambda: page.keyboard.press("+"))
    assert drawn(page) != whole
    page.keyboard.press("End")
    rests_at(page, 1, 223)
    after(page, lambda: page.keyboard.press("0"))
    assert drawn(page) == whole
    page.wait_for_function("() => document.getElementById('live').textContent.includes('row 1, column 223')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#part-layers:not([hidden])")
    expect(page.locator("#part-layers [data-part=col]")).to_have_value("223")


def test_dragging_moves_and_a_click_pins(page: Any) -> None:
    point(page, 60, 60, (224, 224))
    after(page, lambda: page.mouse.wheel(0, -600))
    before = drawn(page)
    page.mouse.down()
    page.mouse.move(500, 420, steps=3)
    after(page, page.mouse.up)
    assert drawn(page) != before
    page.wait_for_function("() => location.hash.includes('at=0.1%2C0.1')")  # the address follows what is shown
    after(page, lambda: page.mouse.click(400, 400))
    page.wait_for_function("() => !location.hash.includes('at=0.1%2C0.1')")


def test_two_fingers_zoom(browser: Any, file: Path) -> None:
    page = opened(browser, file, has_touch=True, viewport={"width": 390, "height": 800})
    page.locator("#panel-a [data-part=over]").tap()
    page.wait_for_function("() => /row 11[12]/.test(document.querySelector('#panel-a .where').textContent)")
    before = drawn(page)
    script = """() => {
        const canvas = document.querySelector('#panel-a [data-part=over]'), box = canvas.getBoundingClientRect();
        canvas.setPointerCapture = () => {};
        const fire = (name, id, x, y) => canvas.dispatchEvent(new PointerEvent(name, {
            pointerId: id, pointerType: 'touch',
            clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
        for (const [id, x] of [[11, 0.4], [12, 0.6]]) fire('pointerdown', id, x, 0.5);
        for (const [id, x] of [[11, 0.2], [12, 0.8]]) fire('pointermove', id, x, 0.5);
        for (const id of [11, 12]) fire('pointerup', id, 0.5, 0.5);
    }"""
    after(page, lambda: page.evaluate(script))
    assert drawn(page) != before
    expect(page.locator("#part-maps")).to_be_visible()
    page.wait_for_function("() => /zoom=3/.test(location.hash)")
    assert page.said == []
    page.close()


def test_scales_change_the_picture_and_the_bar(page: Any) -> None:
    seen = [drawn(page)]
    page.click("summary:has-text('scales')")
    for what in (
        "[name=log][value='1']",
        "[name=own][value='1']",
        "[name=show][value=counts]",
        "[name=own][value='0']",
        "[name=log][value='0']",
    ):
        after(page, lambda what=what: page.check(f"input{what}"))
        assert drawn(page) not in seen
        seen.append(drawn(page))
    expect(page.locator("#panel-a .unit")).to_contain_text("paths × 10¹⁵", use_inner_text=True)


def test_what_cannot_run_says_why(page: Any) -> None:
    label = page.locator("#panel-a [data-part=padding] option").last.inner_text()
    assert label == "valid (cannot run)"
    after(page, lambda: page.select_option("#panel-a [data-part=padding]", label=label))
    expect(page.locator("#panel-a .why")).to_contain_text("its branches disagree", use_inner_text=True)
    expect(page.locator("#panel-a .plot")).not_to_be_visible()


@pytest.mark.parametrize(
    "fragment",
    [
        "part=none&asize=99&apadding=-1",
        pytest.param("zoom=nan,1&at=a,b&kernel=6&show=%3Cb%3E", marks=SLOW),
        pytest.param("at=1e9,-5&zoom=1e9,3,3", marks=SLOW),
        "layer=1e9&remedy=77&two=5&part=audit",
    ],
)
def test_an_address_that_makes_no_sense_does_no_harm(browser: Any, file: Path, fragment: str) -> None:
    page = opened(browser, file, f"#{fragment}")
    for part in ("layers", "audit", "kernel", "maps"):
        after(page, lambda part=part: page.click(f"#tab-{part}"))
    assert page.said == []
    page.close()
