"""The views of the explorer: what is seen first, pins, Back and Forward, links, and what is beside the title."""

from __future__ import annotations

import io
import json
import time
from base64 import b64decode
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import padviz
from tests.pages.browser import after, drawn, expect, opened, point, reading, rests_at


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_verdict_map_and_values_stand_above_the_fold(browser: Any, file: Path, scheme: Any) -> None:
    page = opened(browser, file, viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    found = padviz.audit("resnet18", 224)
    expect(page.locator("#finding")).to_have_text(f"at 224 × 224 px: {found.verdict}")
    for part in (
        "#verdict [data-part=border]",
        "#verdict li >> nth=-1",
        "#panel-a .plot",
        "#panel-a .read",
        "#panel-b .read",
    ):
        box = page.locator(part).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 900, part
    verdict, tabs, plot = (
        page.locator(each).bounding_box() for each in ("#finding", "[role=tablist]", "#panel-a .plot")
    )
    assert verdict["y"] + verdict["height"] <= tabs["y"]
    assert page.locator("#verdict").bounding_box()["x"] < plot["x"]
    assert plot["width"] > 350
    expect(page.locator("#panel-b [data-part=remedy] option:checked")).to_have_text(found.remedies[0].what)
    page.close()


def test_a_click_pins_a_pixel_and_the_pointer_shows_others(page: Any) -> None:
    counts = padviz.usage("resnet18", 224)
    point(page, 60, 70, (224, 224))
    expect(page.locator("#panel-a .tip")).to_contain_text("row 60, column 70")
    expect(page.locator("#panel-b .tip")).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    point(page, 5, 6, (224, 224))
    expect(reading(page)).to_contain_text(f"{counts.at(5, 6):,} paths", use_inner_text=True)
    page.mouse.move(5, 5)
    rests_at(page, 60, 70)
    expect(page.locator("#panel-a .tip")).not_to_be_visible()
    expect(reading(page)).to_contain_text(f"{counts.at(60, 70):,} paths", use_inner_text=True)
    expect(page.locator("#part-maps")).to_be_visible()
    after(page, lambda: page.click("#panel-a [data-part=go]"))
    expect(page.locator("#part-layers [data-part=row]")).to_have_value("60")
    expect(page.locator("#part-layers [data-part=col]")).to_have_value("70")
    expect(page.locator("[data-part=reach]")).to_contain_text(f"{counts.at(60, 70):,} paths", use_inner_text=True)


def settle(page: Any, act: Any) -> None:
    """Does something, and waits until the address has it."""
    before = page.evaluate("history.length"), page.url
    after(page, act)
    page.wait_for_function("([length, url]) => history.length !== length || location.href !== url", arg=[*before])


def test_back_and_forward_walk_the_views(browser: Any, file: Path) -> None:
    page = opened(browser, file)
    point(page, 60, 70, (224, 224))
    settle(page, lambda: page.mouse.click(*page.evaluate("() => [400, 400]")))
    pinned = page.locator("#panel-a .where").inner_text()
    page.mouse.move(5, 5)
    settle(page, lambda: page.click("#tab-layers"))
    settle(page, lambda: page.click("[data-layer='5']"))
    settle(page, lambda: page.click("#tab-audit"))
    for part, layer in (("layers", "5"), ("layers", "1"), ("maps", None)):
        after(page, page.go_back)
        expect(page.locator(f"#part-{part}")).to_be_visible()
        if layer:
            expect(page.locator(f"[data-layer='{layer}']")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel-a .where")).to_have_text(pinned)
    after(page, page.go_back)
    rests_at(page, 22, 22)
    after(page, page.go_forward)
    expect(page.locator("#panel-a .where")).to_have_text(pinned)
    after(page, page.go_forward)
    expect(page.locator("#part-layers")).to_be_visible()
    assert page.said == []
    page.close()


def test_keys_and_zoom_are_no_steps_of_their_own(browser: Any, file: Path) -> None:
    page = opened(browser, file)
    settle(page, lambda: page.click("#tab-layers"))
    settle(page, lambda: page.click("#tab-maps"))
    steps = page.evaluate("history.length")
    page.focus("#panel-a [data-part=over]")
    for key in ("ArrowDown", "ArrowRight", "+"):
        settle(page, lambda key=key: page.keyboard.press(key))
    assert page.evaluate("history.length") == steps
    page.close()


def test_a_shared_link_opens_the_same_view(browser: Any, file: Path) -> None:
    page = opened(browser, file, viewport={"width": 1440, "height": 900})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    after(page, lambda: page.select_option("#panel-a [data-part=size]", label="120 × 160"))
    after(page, lambda: page.check("input[name=show][value=counts]"))
    point(page, 40, 50, (120, 160))
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(5, 5)
    after(page, lambda: page.click("#copy"))
    expect(page.locator("#copy")).to_have_text("copied")
    link = page.evaluate("navigator.clipboard.readText()")
    other = opened(browser, file, "#" + link.partition("#")[2], viewport={"width": 1440, "height": 900})
    rests_at(other, 40, 50)
    for panel in "ab":
        assert reading(other, panel).inner_text() == reading(page, panel).inner_text()
        assert drawn(other, panel) == drawn(page, panel)
    assert other.locator("#finding").inner_text() == page.locator("#finding").inner_text()
    page.close()
    other.close()


def test_what_is_shown_can_be_saved_as_a_picture(page: Any) -> None:
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "ResNet-18-96-×-96-zero-96-×-96-reflect.png".replace("96", "224")
    image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    maps = [Image.open(io.BytesIO(b64decode(drawn(page, key).partition(",")[2]))) for key in "ab"]
    assert image.width == sum(each.width for each in maps) + 3 * 24
    corner = image.getpixel((24, 74))
    assert corner[:3] == maps[0].getpixel((0, 0))[:3]


def test_question_mark_shows_the_keys(page: Any) -> None:
    page.keyboard.press("?")
    expect(page.locator("#helping")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#helping")).not_to_be_visible()
    page.click("#help")
    expect(page.locator("#helping")).to_contain_text("pins a pixel")
    page.click("#helping button")
    after(page, lambda: page.click("#tab-layers"))
    page.focus("#part-layers [data-part=search]")
    page.keyboard.type("?")
    expect(page.locator("#helping")).not_to_be_visible()


def test_layers_open_at_their_start_and_can_be_sifted(browser: Any, file: Path) -> None:
    page = opened(browser, file, "#part=layers")
    strip, layers = page.locator("#part-layers [data-part=strip]"), page.locator("#part-layers .layer:visible")
    assert strip.evaluate("each => each.scrollTop") == 0
    expect(page.locator("[data-layer='1']")).to_have_attribute("aria-selected", "true")
    after(page, lambda: page.fill("#part-layers [data-part=search]", "DOWNSAMPLE"))
    names = [row.layer for row in padviz.uneven("resnet18", 224).layers if "downsample" in row.layer]
    expect(layers.locator(".name")).to_have_text(names)
    after(page, lambda: page.fill("#part-layers [data-part=search]", ""))
    after(page, lambda: page.check("text=uneven only"))
    ledger = padviz.uneven("resnet18", 224)
    expect(layers.locator(".name")).to_have_text([row.layer for row in ledger.layers if row.uneven])
    page.focus("#part-layers .layer:visible >> nth=0")
    after(page, lambda: page.keyboard.press("End"))
    expect(page.locator("#part-layers [data-part=name]")).to_contain_text("layer4.0.conv1")
    page.close()


def test_a_narrow_screen_keeps_the_columns_that_decide(browser: Any, file: Path) -> None:
    page = opened(browser, file, "#part=audit", viewport={"width": 390, "height": 844})
    for table, kept in (
        ("remedies", ["uneven", "starved", "overused", "needs"]),
        ("ledger", ["k/s/d", "used", "verdict"]),
    ):
        region = page.get_by_role("region", name={"remedies": "remedies", "ledger": "padding ledger"}[table])
        assert region.evaluate("each => each.scrollWidth <= each.clientWidth"), table
        shown = region.locator("thead th:visible").all_inner_texts()
        assert [each.strip() for each in shown[1:]] == kept
    page.close()


def test_pages_have_the_colours_of_the_figures() -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    from padviz.figures.colours import CMAP, POOLED, SHARES, UNEVEN

    kept = json.loads(files("padviz.pages").joinpath("static", "colours.json").read_text())
    drawn = {
        kind: [to_hex(each)[1:] for each in colormaps[name](range(256))]
        for kind, name in (("share", SHARES), ("counts", CMAP))
    }
    assert kept == drawn
    look = files("padviz.pages").joinpath("static", "look.css").read_text()
    starved, overused = (f"#{drawn['share'][at]}" for at in (48, -49))
    marks = {"uneven": UNEVEN, "pool": POOLED, "starved": starved, "overused": overused}
    assert all(f"--{name}: {colour};" in look for name, colour in marks.items())


@pytest.mark.parametrize("spelled", ["absolute", "relative"])
def test_the_file_is_named_and_the_path_is_not(tmp_path: Path, monkeypatch: Any, spelled: str) -> None:
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    maps = "abcdefghi"
    nodes = [
        onnx.helper.make_node("Conv", [before, "w"], [after], pads=[1, 1, 1, 1]) for before, after in pairwise(maps)
    ]
    weights = onnx.helper.make_tensor("w", 1, [3, 3, 3, 3], [0.0] * 81)
    ends = [[onnx.helper.make_tensor_value_info(name, 1, [1, 3, "h", "w_"])] for name in (maps[0], maps[-1])]
    graph = onnx.helper.make_graph(nodes, "g", *ends, [weights])
    onnx.save(onnx.helper.make_model(graph), folder / "net.onnx")
    monkeypatch.chdir(tmp_path)
    path = folder / "net.onnx" if spelled == "absolute" else Path("secret-folder/net.onnx")
    html = padviz.explore(path, [(48, 64)]).html
    assert "secret-folder" not in html
    assert "padviz repad net.onnx" in html


def test_the_page_of_a_detector_with_heads_is_small_and_soon_there(tmp_path: Path) -> None:
    began = time.process_time()
    page = padviz.explore("ssd300_vgg16")  # of six
    assert time.process_time() - began < 5
    assert len(page.html.encode()) < 3_000_000
