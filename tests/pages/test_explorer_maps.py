"""The explorer's maps and views in a real browser: what the engine counts, each control, links, who can use it."""

import io
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

import padviz
from padviz.analyses.audit import SENTENCES
from padviz.counting.count import coverages
from padviz.errors import PadvizError
from padviz.geometry.one_layer import illustrate
from padviz.network.padding_modes import SCHEMES
from padviz.pages.planes import Shelf
from padviz.sources.toml.load import parse
from tests.pages.browser import (
    PADDINGS,
    SIZES,
    after,
    begins,
    choose,
    click,
    drawn,
    expect,
    opened,
    point,
    press,
    rests_at,
    says,
    show,
)
from tests.sweeps import SLOW

CONV = {"op": "conv", "kernel": 3, "padding": 1}
DEEP = parse({"layers": [{**CONV, "name": f"c{i}"} for i in range(60)]}, "deep")
LAST = "row 1, column 223"


def rational(count: float) -> str:
    """Write a count that is no integer, to twelve digits, as pages do."""
    if count < 1e15:
        return f"{float(f'{count:.12g}'):,.12f}".rstrip("0").rstrip(".")
    digits, power = f"{count:.11e}".split("e+")
    raised = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in power)
    return f"{digits.rstrip('0').rstrip('.')} × 10{raised}"


@pytest.mark.parametrize(
    ("size", "padding"), [((224, 224), "zero"), ((120, 160), "reflect"), ((224, 224), "partial")]
)
def test_the_read_out_is_the_exact_count_and_the_share(
    page: Any, size: tuple[int, int], padding: str
) -> None:
    choose(page, "#panel-a [data-part=size]", f"{size[0]} x {size[1]}")
    choose(page, "#panel-a [data-part=padding]", padding)
    counts = padviz.usage("resnet18", size, padding)
    shares = counts.share()
    for row, col in ((0, 0), (0, size[1] - 1), (size[0] - 1, 100), (77, 3)):
        point(page, row, col, size)
        paths = page.inner_text("#panel-a .paths").removesuffix(" paths").replace(",", "")
        if padding == "partial":
            assert paths == rational(counts.at(row, col)).replace(",", "")
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
def test_every_pixel_of_the_picture_has_the_colour_that_matplotlib_gives_the_value_there(
    page: Any, shown: str
) -> None:
    after(page, lambda: page.check(f"input[name=show][value={shown}]"))
    picture = np.array(drawn(page))
    width = picture.shape[1]
    counts = padviz.usage("resnet18", 224, "zero")
    most = padviz.usage("resnet18", 224, "reflect").max  # of both maps
    values = counts.share() / 2 if shown == "share" else counts.relative() * (counts.max / most)
    edges = (np.arange(width + 1) * 224 / width).astype(int)
    for y, x in ((0, 0), (width // 3, width // 2), (width - 1, width - 2)):
        rows, cols = (
            slice(edges[at], max(edges[at + 1], edges[at] + 1))
            if width < 224
            else int((at + 0.5) * 224 / width)
            for at in (y, x)
        )
        value = values[rows, cols].mean()
        colour = colormaps["PuOr" if shown == "share" else "plasma"](min(value, 1.0), bytes=True)
        assert np.abs(picture[y, x, :3].astype(int) - np.array(colour[:3])).max() <= 6


def test_two_maps_share_one_cursor_and_zoom(page: Any) -> None:
    choose(page, "#panel-b [data-part=size]", "96 x 96")
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
    page.wait_for_function(
        "said => document.getElementById('live').textContent.includes(said)", arg=LAST
    )
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


FOCUSED = (
    "() => document.activeElement.closest('[data-part]')?.dataset.part || document.activeElement.id"
)
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


MARKED = """() => {
    const { width, height } = document.querySelector("#panel-a [data-part=over]");
    const over = document.querySelector("#panel-a [data-part=over]").getContext("2d");
    return over.getImageData(0, 0, width, height).data.filter(Boolean).length;
}"""  # beside the rim, which is always drawn


def test_a_cross_hair_appears_once_a_person_points_or_pins(browser: Any, file: Path) -> None:
    page = opened(browser, file)
    rims = page.evaluate(MARKED)
    point(page, 60, 70, (224, 224))
    assert page.evaluate(MARKED) > rims
    page.mouse.move(5, 5)
    rests_at(page, 112, 112)
    assert page.evaluate(MARKED) == rims
    page.focus(OVER)
    press(page, "ArrowUp")
    assert page.evaluate(MARKED) > rims
    page.close()
    linked = opened(browser, file, "#at=0.2,0.3")
    assert linked.evaluate(MARKED) > rims
    linked.close()


def test_the_map_is_on_the_first_screen_of_a_phone(browser: Any, file: Path) -> None:
    page = opened(browser, file, viewport={"width": 390, "height": 844})
    box = page.locator(OVER).bounding_box()
    assert box["y"] + box["height"] < 700
    expect(page.locator("#verdict .first")).to_be_visible()
    assert page.locator("#verdict .first").bounding_box()["y"] < box["y"]
    below = page.locator("#verdict [data-part=all]").bounding_box()
    assert below["y"] > box["y"] + box["height"]
    page.close()


REACHED = """() => {
    const canvas = document.querySelector("[data-layer='1'] canvas"), { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    return data.filter((_, at) => at % 4 === 3 && data[at]).length / width / height;
}"""


def test_layers_colour_only_what_is_reached(page: Any) -> None:
    show(page, "part=layers&at=0.5,0.5")
    assert 0 < page.evaluate(REACHED) < 0.1


def settle(page: Any, act: Any) -> None:
    """Does something, and waits until the address has it."""
    before = page.evaluate("history.length"), page.url
    after(page, act)
    page.wait_for_function(
        "([length, url]) => history.length !== length || location.href !== url", arg=[*before]
    )


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
            expect(page.locator(f"[data-layer='{layer}']")).to_have_attribute(
                "aria-selected", "true"
            )
    expect(where).to_have_text(pinned)
    after(page, page.go_back)
    rests_at(page, 112, 112)
    after(page, page.go_forward)
    expect(where).to_have_text(pinned)
    steps = page.evaluate("history.length")
    page.focus(OVER)
    # keys and zoom are no steps of their own
    settle(page, lambda: page.keyboard.press("ArrowDown"))
    settle(page, lambda: page.keyboard.press("+"))
    assert page.evaluate("history.length") == steps
    assert page.said == []
    page.close()


def test_a_shared_link_opens_the_same_view(browser: Any, file: Path) -> None:
    page = opened(browser, file, viewport={"width": 1440, "height": 900})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, "#panel-a [data-part=size]", "120 x 160")
    after(page, lambda: page.check("input[name=show][value=counts]"))
    point(page, 40, 50, (120, 160))
    pin(page)
    page.mouse.move(5, 5)
    click(page, "#copy")
    expect(page.locator("#copy")).to_have_text("copied")
    link = page.evaluate("navigator.clipboard.readText()")
    other = opened(
        browser, file, "#" + link.partition("#")[2], viewport={"width": 1440, "height": 900}
    )
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
    assert download.value.suggested_filename == "ResNet-18-224-x-224-zero-224-x-224-reflect.png"
    image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    maps = [drawn(page, key) for key in "ab"]
    assert image.width == sum(each.width for each in maps) + 3 * 24
    assert image.getpixel((24, 74))[:3] == maps[0].getpixel((0, 0))[:3]


REST = ((1440, "light"), (1024, "dark"), (1024, "light"), (1440, "dark"), (390, "light"))
COLUMNS = {
    "remedies": ["uneven", "starved", "overused", "needs"],
    "padding ledger": ["k/s/d", "used", "verdict"],
}


@pytest.mark.parametrize(
    ("width", "scheme"), [(390, "dark"), *(pytest.param(*each, marks=SLOW) for each in REST)]
)
def test_every_part_fits_the_screen_and_axe_finds_no_serious_violation(
    browser: Any, file: Path, width: int, scheme: Any
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    look = {"color_scheme": scheme, "bypass_csp": True, "viewport": {"width": width, "height": 844}}
    page = opened(browser, file, reduced_motion="reduce", **look)
    for part in ("maps", "layers", "audit", "kernel"):
        click(page, f"#tab-{part}")
        found = axe.Axe().run(page).response["violations"]
        serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
        assert serious == [], (
            part,
            [node["html"][:200] for each in found for node in each["nodes"]][:5],
        )
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, part
        style = page.evaluate(
            "() => [getComputedStyle(document.body)].map(each => [each.color, each.backgroundColor])[0]"
        )
        ink, paper = (sum(map(int, re.findall(r"\d+", colour))) for colour in style)
        assert (ink > paper) == (scheme == "dark")
        for name, kept in COLUMNS.items() if (part, width) == ("audit", 390) else ():
            # a narrow screen keeps the columns that decide
            region = page.get_by_role("region", name=name)
            assert region.evaluate("each => each.scrollWidth <= each.clientWidth"), name
            shown = region.locator("thead th:visible").all_inner_texts()
            assert [each.strip() for each in shown[1:]] == kept
    expect(page.locator("[data-part=play]")).not_to_be_visible()  # since less motion is asked for
    expect(page.locator("[data-part=next]")).to_be_visible()
    assert (page.said, page.asked) == ([], [file.as_uri()])
    page.close()


WALK = [  # a part, where Tab comes to in it, keys that are pressed there, and what then says what
    ("maps", "over", ["Enter"], "#tab-layers[aria-selected=true]", "Layers"),
    ("layers", "row", ["5"], "[data-part=reach]", "Pixel 5, 112 has"),
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
    refused = page.evaluate(
        "() => fetch('https://example.invalid/').then(() => 'sent', error => error.name)"
    )
    assert refused == "TypeError"
    assert all("Content Security Policy" in each for each in page.said)
    page.said.clear()


AUDIT, KERNEL = "#part-audit", "#part-kernel"


def test_what_a_unit_sees_is_as_the_engine_counts(page: Any) -> None:
    size, padding = (120, 160), "circular"
    at, scheme = SIZES.index(size), PADDINGS.index(padding)
    show(page, f"part=layers&lsize={at}&lpadding={scheme}&layer=9&unit=0.01,0.99&at=0.01,0.01")
    net = padviz.load("resnet18")
    name = net.layers[9].name
    counts = padviz.coverage(net, size, padding, name)
    share = f"{counts.share()[0, -1]:.1%}".replace("%", " %")
    expect(page.locator("[data-part=covered]")).to_have_text(begins(share), use_inner_text=True)
    seen = padviz.usage(net, size, padding, name, unit=(0, -1)).counts > 0
    for what, axis in (("rows", 1), ("columns", 0)):
        says(page, "[data-part=field]", f"{what} {_runs(np.flatnonzero(seen.any(axis)))}")
    says(page, "[data-part=reach]", f"{padviz.usage(net, size, padding).at(1, 1):,} paths")


def _runs(numbers: Any) -> str:
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return " and ".join(
        f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts
    )


def test_a_layer_shows_its_ledger_and_taps(page: Any) -> None:
    click(page, "#tab-layers")
    click(page, "[data-layer='1']")
    row = padviz.uneven("resnet18", 224).layers[0]
    used = "+".join(map(str, row.height.used))
    says(page, f"{LAYERS} [data-part=ledger]", "7/2/1", used, "It reads its padding unevenly")
    grid = [f"{each:,}" for each in padviz.taps("resnet18", 224)[0].grid.ravel()]
    expect(page.locator(f"{LAYERS} [data-part=taps] td")).to_have_text(grid, use_inner_text=True)
    expect(page.locator("[data-layer='1']")).to_have_class(re.compile("uneven"))
    page.focus("[data-layer='1']")
    press(page, "ArrowRight")
    expect(page.locator("[data-layer='2']")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("size", SIZES)
def test_the_audit_of_every_size_says_what_the_command_says(page: Any, size: Any) -> None:
    click(page, "#tab-audit")
    after(page, lambda: page.select_option(f"{AUDIT} [data-part=size]", str(SIZES.index(size))))
    found = padviz.audit("resnet18", size)
    at = " x ".join(map(str, found.size))
    expect(page.locator("#finding")).to_have_text(f"at {at} px: {found.verdict}")
    for name in (*SENTENCES, "symmetry", "padding"):
        expect(page.locator(f"#verdict [data-part={name}]")).to_have_text(getattr(found, name))
    names = ["today", *(remedy.what for remedy in found.remedies)]
    expect(page.locator("[data-part=remedies] th")).to_have_text(names, use_inner_text=True)
    after(page, lambda: page.check("input[name=remedy][value='3']"))
    says(page, "[data-part=edit]", found.remedies[3].edit[0])


@pytest.mark.parametrize("size", SIZES)
def test_a_line_ends_each_rim_that_fits(page: Any, size: Any) -> None:
    counts = padviz.usage("resnet18", size)
    choose(page, "#panel-a [data-part=size]", " x ".join(map(str, counts.size)))
    rims, summary, n = counts.rims, counts.summary(), counts.size[0]
    assert rims
    near, far = rims[0].height
    drawn = page.eval_on_selector(
        "#panel-a canvas[data-part=over]",
        """(canvas, places) => places.map(place => {
            const y = Math.round(place * canvas.height);
            const copy = new OffscreenCanvas(canvas.width, 3).getContext("2d");
            copy.drawImage(canvas, 0, 1 - y);
            const { data } = copy.getImageData(0, 0, canvas.width, 3);
            return data.filter((alpha, i) => i % 4 === 3 && alpha).length > canvas.width / 3;
        })""",
        [near / n, (n - far) / n],
    )
    assert drawn == [summary.starved != 1] * 2


def test_a_button_shows_the_map_of_each_remedy_that_the_sentences_name(page: Any) -> None:
    found = padviz.audit("resnet18", 224)
    named = [remedy for remedy in found.remedies if remedy.what in (found.to_try, *found.alike)]
    offered = page.locator("#verdict li strong").all_inner_texts()
    assert sorted(offered) == sorted(remedy.what for remedy in named)
    assert len(named) > 1
    for remedy in named:
        button = f"#verdict button[aria-label='show {remedy.what}']"
        click(page, button)
        expect(page.locator("#panel-b [data-part=remedy] option:checked")).to_have_text(remedy.what)
        expect(page.locator(button)).to_have_text("shown")
        if remedy.kind in ("size", "larger", "padding", "both"):
            size = tuple(remedy.outcome.size)
            said = "{:,}".format if remedy.padding != "partial" else rational
            count = padviz.usage("resnet18", size, remedy.padding).at(10, 20)
            point(page, 10, 20, size, "b")
            says(page, "#panel-b [data-part=read]", f"{said(count)} paths")


def test_the_page_opens_with_the_remedy_that_the_audit_names(browser: Any, file: Path) -> None:
    page = opened(browser, file, viewport={"width": 1440, "height": 900})
    chosen = page.locator("#panel-b [data-part=remedy] option:checked")
    found = padviz.audit("resnet18", 224)
    names = [remedy.what for remedy in found.remedies]
    (named, *_) = [what for what in (found.best, found.to_try) if what in names]
    expect(chosen).to_have_text(named)
    expect(page.locator("#verdict li button").first).to_have_text("shown")
    page.close()


def test_the_ledger_leads_to_the_layers(page: Any) -> None:
    click(page, "#tab-audit")
    ledger = f"{AUDIT} [data-part=ledger]"
    rows = padviz.uneven("resnet18", 224)
    layers = [row.layer for row in rows.layers]
    expect(page.locator(f"{ledger} tbody th")).to_have_text(layers, use_inner_text=True)
    marked = page.locator(f"{ledger} tr.uneven th").all_inner_texts()
    assert sorted(marked) == sorted(row.layer for row in rows.uneven_convolutions)
    click(page, f"{ledger} button:text-is('{layers[3]}')")
    expect(page.locator(f"{LAYERS} [data-part=name]")).to_have_text(
        begins(layers[3]), use_inner_text=True
    )


def test_one_layer_is_what_the_engine_says_for_every_combination_offered(page: Any) -> None:
    offered = [
        page.eval_on_selector_all(
            f"select[name={name}] option", "all => all.map(each => each.value)"
        )
        for name in ("kernel", "stride", "dilation", "kscheme")
    ]
    assert sorted(offered[3]) == sorted(SCHEMES)
    asked = [
        (*map(int, numbers), scheme, i % 7, i // 7 % 7)
        for i, (*numbers, scheme) in enumerate(itertools.product(*offered))
    ]
    found = page.evaluate(
        "all => all.map(each => document.getElementById('part-kernel').illustrated(...each))", asked
    )
    assert len(found) == len(asked) == 54 * len(SCHEMES)
    for (kernel, stride, dilation, scheme, *pixel), shown in zip(asked, found, strict=True):
        if "error" in shown:
            with pytest.raises(PadvizError) as refused:
                illustrate(kernel, stride, dilation, (7, 7), scheme)
            assert shown == {"error": f"{refused.value.where}: {refused.value.what}"}
            continue
        engine = illustrate(kernel, stride, dilation, (7, 7), scheme)
        for name, grid in (
            ("padded", engine.padded),
            ("uses", engine.uses),
            ("taps", engine.taps(*pixel)),
        ):
            assert shown[name] == [[str(cell) for cell in row] for row in grid], (
                kernel,
                stride,
                dilation,
                scheme,
            )


def test_the_windows_of_a_pixel_play(page: Any) -> None:
    def window(text: str | re.Pattern[str]) -> None:
        pattern = begins(text) if isinstance(text, str) else text
        expect(page.locator("[data-part=window]")).to_have_text(
            pattern, timeout=15_000, use_inner_text=True
        )

    show(page, "part=kernel&kscheme=symmetric")
    click(page, f"{KERNEL} [data-part=uses] button >> nth=8")
    says(page, "[data-part=picked]", "Pixel 1, 1 is used 9 times.")
    window("Window 1 of 9")
    click(page, "[data-part=next]")
    window("Window 2 of 9: unit 0, 1")
    expect(page.locator(f"{KERNEL} [data-part=padded] td.in")).to_have_count(9)
    page.click("[data-part=play]")
    window(re.compile("^Window [3-9]"))  # a busy machine may not see each
    click(page, "[data-part=play]")
    says(page, "[data-part=play]", "play")
    for name, value in (("kernel", "7"), ("dilation", "3")):
        after(
            page, lambda name=name, value=value: page.select_option(f"select[name={name}]", value)
        )
    says(page, f"{KERNEL} [data-part=cannot]", "too few for symmetric padding of 9")


FOLLOWED = """() => {
    const book = new padviz.maps.Book(JSON.parse(document.getElementById("payload").textContent));
    const graph = new padviz.graph.Graph(book.facts(0, 0), book), last = graph.targets[0];
    const sum = ({ values }) => values.reduce((a, b) => a + b, 0), seen = graph.seen(last, 1, 0);
    return {
        covered: graph.shown.slice(1).map((i) => [graph.layers[i].name, [...graph.coverage(i)]]),
        paths: sum(graph.reached(5, 9)[last]), seen: [seen.rows, seen.cols, [...seen.values]],
    };
}"""


@pytest.mark.parametrize(
    ("network", "size", "padding"),
    [
        pytest.param("inception_v3", 107, "circular", marks=SLOW),
        ("unet_padded", 48, "reflect"),
        ("mobilenet_v3_large", 64, "partial"),
    ],
)
def test_the_page_counts_through_every_layer_as_the_engine_does(
    browser: Any, tmp_path: Path, network: str, size: int, padding: str
) -> None:
    html = padviz.explore(network, [size], padding=[padding]).html
    end = "</script>\n</body>"
    (tmp_path / "open.html").write_text(
        html.replace(end, f"\nglobalThis.padviz = modules;{end}"), encoding="utf-8"
    )
    page = opened(browser, tmp_path / "open.html", bypass_csp=True)
    found = page.evaluate(FOLLOWED)
    names = [name for name, _ in found["covered"]]
    maps = coverages(padviz.load(network), size, padding, names)
    for counts, (_, shares) in zip(maps, found["covered"], strict=True):
        np.testing.assert_allclose(np.reshape(shares, counts.shape), counts.share(), rtol=1e-12)
    assert found["paths"] == pytest.approx(padviz.usage(network, size, padding).at(5, 9), rel=1e-12)
    rows, cols, values = found["seen"]
    unit = padviz.usage(network, size, padding, unit=(1, 0))
    there = unit.counts[np.ix_(rows, cols)].astype(float)
    np.testing.assert_allclose(np.reshape(values, there.shape), there, rtol=1e-12)
    assert sum(map(float, values)) == pytest.approx(float(unit.total), rel=1e-12)
    assert page.said == []
    page.close()
