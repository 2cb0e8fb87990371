"""The explorer's maps and views in a real browser: what the engine counts, each control, links, who can use it."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

import padviz
from padviz.pages.planes import Shelf
from padviz.sources.toml.build import parse
from tests.pages.browser import after, choose, click, drawn, expect, opened, point, press, rests_at, says, show
from tests.sweeps import SLOW

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


FOCUSED = "() => document.activeElement.closest('[data-part]')?.dataset.part || document.activeElement.id"
OVER, LAYERS = "#panel-a [data-part=over]", "#part-layers"


def pin(page: Any) -> None:
    page.mouse.down()
    page.mouse.up()


def test_a_click_pins_a_pixel_and_the_pointer_shows_others(page: Any) -> None:
    counts = padviz.usage("resnet18", 224)
    point(page, 60, 70, (224, 224))
    says(page, "#panel-a .tip", "row 60, column 70")
    expect(page.locator("#panel-b .tip")).to_be_visible()
    pin(page)
    point(page, 5, 6, (224, 224))
    says(page, "#panel-a [data-part=read]", f"{counts.at(5, 6):,} paths")
    page.mouse.move(5, 5)
    rests_at(page, 60, 70)
    expect(page.locator("#panel-a .tip")).not_to_be_visible()
    says(page, "#panel-a [data-part=read]", f"{counts.at(60, 70):,} paths")
    click(page, "#panel-a [data-part=go]")
    expect(page.locator(f"{LAYERS} [data-part=row]")).to_have_value("60")
    expect(page.locator(f"{LAYERS} [data-part=col]")).to_have_value("70")
    says(page, "[data-part=reach]", f"{counts.at(60, 70):,} paths")


def settle(page: Any, act: Any) -> None:
    """Does something, and waits until the address has it."""
    before = page.evaluate("history.length"), page.url
    after(page, act)
    page.wait_for_function("([length, url]) => history.length !== length || location.href !== url", arg=[*before])


def test_back_and_forward_walk_the_views(browser: Any, file: Path) -> None:
    page = opened(browser, file)
    where = page.locator("#panel-a .where")
    point(page, 60, 70, (224, 224))
    settle(page, lambda: page.mouse.click(400, 400))
    pinned = where.inner_text()
    page.mouse.move(5, 5)
    for what in ("#tab-layers", "[data-layer='5']", "#tab-audit"):
        settle(page, lambda what=what: page.click(what))
    for part, layer in (("layers", "5"), ("layers", "1"), ("maps", None)):
        after(page, page.go_back)
        expect(page.locator(f"#part-{part}")).to_be_visible()
        if layer:
            expect(page.locator(f"[data-layer='{layer}']")).to_have_attribute("aria-selected", "true")
    expect(where).to_have_text(pinned)
    after(page, page.go_back)
    rests_at(page, 22, 22)
    after(page, page.go_forward)
    expect(where).to_have_text(pinned)
    steps = page.evaluate("history.length")
    page.focus(OVER)
    settle(page, lambda: page.keyboard.press("ArrowDown"))  # keys and zoom are no steps of their own
    settle(page, lambda: page.keyboard.press("+"))
    assert page.evaluate("history.length") == steps
    assert page.said == []
    page.close()


def test_a_shared_link_opens_the_same_view(browser: Any, file: Path) -> None:
    page = opened(browser, file, viewport={"width": 1440, "height": 900})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, "#panel-a [data-part=size]", "120 × 160")
    after(page, lambda: page.check("input[name=show][value=counts]"))
    point(page, 40, 50, (120, 160))
    pin(page)
    page.mouse.move(5, 5)
    click(page, "#copy")
    expect(page.locator("#copy")).to_have_text("copied")
    link = page.evaluate("navigator.clipboard.readText()")
    other = opened(browser, file, "#" + link.partition("#")[2], viewport={"width": 1440, "height": 900})
    rests_at(other, 40, 50)
    for panel in "ab":
        assert other.inner_text(f"#panel-{panel} .read") == page.inner_text(f"#panel-{panel} .read")
        assert drawn(other, panel) == drawn(page, panel)
    assert other.inner_text("#finding") == page.inner_text("#finding")
    page.close()
    other.close()


def test_what_is_shown_can_be_saved_as_a_picture(page: Any) -> None:
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "ResNet-18-224-×-224-zero-224-×-224-reflect.png"
    image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    maps = [drawn(page, key) for key in "ab"]
    assert image.width == sum(each.width for each in maps) + 3 * 24
    assert image.getpixel((24, 74))[:3] == maps[0].getpixel((0, 0))[:3]


REST = ((1440, "light"), (1024, "dark"), (1024, "light"), (1440, "dark"), (390, "light"))
COLUMNS = {"remedies": ["uneven", "starved", "overused", "needs"], "padding ledger": ["k/s/d", "used", "verdict"]}


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), *(pytest.param(*each, marks=SLOW) for each in REST)])
def test_every_part_fits_the_screen_and_axe_finds_no_serious_violation(
    browser: Any, file: Path, width: int, scheme: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    look = {"color_scheme": scheme, "bypass_csp": True, "viewport": {"width": width, "height": 844}}
    page = opened(browser, file, reduced_motion="reduce", **look)
    for part in ("maps", "layers", "audit", "kernel"):
        click(page, f"#tab-{part}")
        found = axe.Axe().run(page).response["violations"]
        serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
        assert serious == [], (part, [node["html"][:200] for each in found for node in each["nodes"]][:5])
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, part
        style = page.evaluate(
            "() => [getComputedStyle(document.body)].map(each => [each.color, each.backgroundColor])[0]"
        )
        ink, paper = (sum(map(int, re.findall(r"\d+", colour))) for colour in style)
        assert (ink > paper) == (scheme == "dark")
        for name, kept in COLUMNS.items() if (part, width) == ("audit", 390) else ():
            region = page.get_by_role("region", name=name)  # a narrow screen keeps the columns that decide
            assert region.evaluate("each => each.scrollWidth <= each.clientWidth"), name
            shown = region.locator("thead th:visible").all_inner_texts()
            assert [each.strip() for each in shown[1:]] == kept
    expect(page.locator("[data-part=play]")).not_to_be_visible()  # since less motion is asked for
    expect(page.locator("[data-part=next]")).to_be_visible()
    assert (page.said, page.asked) == ([], [file.as_uri()])
    page.close()


WALK = [  # a part, where Tab comes to in it, keys that are pressed there, and what then says what
    ("maps", "over", ["Enter"], "#tab-layers[aria-selected=true]", "Layers"),
    ("layers", "row", ["5"], "[data-part=reach]", "Pixel 5, 22 has"),
    ("layers", "strip", ["End"], f"{LAYERS} [data-part=name]", "layer4.1, add"),
    ("layers", "coverage", ["ArrowDown"], "[data-part=covered]", "unit 1, 0"),
    ("layers", "tab-layers", ["ArrowRight"], "#tab-audit[aria-selected=true]", "Audit"),
    ("audit", "remedies", ["Space", "ArrowDown"], "[data-part=edit]", "How “225 x 225 px” is made"),
    ("kernel", "uses", ["ArrowRight"], "[data-part=picked]", "Pixel 0, 1 is used 6 times."),
    ("kernel", "next", ["Enter"], "[data-part=window]", "Window 2 of 4"),
]


@pytest.mark.parametrize(("part", "stop", "keys", "where", "says_so"), WALK)
def test_everything_is_reached_by_keyboard_alone(
    page: Any, part: str, stop: str, keys: list[str], where: str, says_so: str
) -> None:
    show(page, f"part={part}&remedy=-1")
    page.focus(f"#tab-{part}")
    page.keyboard.press("Shift+Tab")
    for _ in range(40):
        page.keyboard.press("Tab")
        if stop == page.evaluate(FOCUSED):
            break
    else:
        raise AssertionError(stop)
    press(page, *keys)
    says(page, where, says_so)


def test_no_request_could_leave_the_page(page: Any) -> None:
    refused = page.evaluate("() => fetch('https://example.invalid/').then(() => 'sent', error => error.name)")
    assert refused == "TypeError"
    assert all("Content Security Policy" in each for each in page.said)
    page.said.clear()
