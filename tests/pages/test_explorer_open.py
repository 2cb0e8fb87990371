"""Who can use the explorer: narrow screens, both colour schemes, the keyboard alone, screen readers, less motion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.pages.browser import after, begins, expect, opened, reading
from tests.sweeps import SLOW

PARTS = ("maps", "layers", "audit", "kernel")
REST = ((1024, "dark"), (1024, "light"), (1440, "dark"), (390, "light"))


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(1440, "light"), (390, "dark"), *(pytest.param(*each, marks=SLOW) for each in REST)],
)
def test_every_part_fits_the_screen_and_axe_finds_no_serious_violation(
    browser: Any, file: Path, width: int, scheme: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = opened(browser, file, color_scheme=scheme, bypass_csp=True, viewport={"width": width, "height": 844})
    for part in PARTS:
        after(page, lambda part=part: page.click(f"#tab-{part}"))
        found = axe.Axe().run(page).response["violations"]
        serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
        assert serious == [], (part, [node["html"][:200] for each in found for node in each["nodes"]][:5])
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, part
        style = page.evaluate(
            "() => [getComputedStyle(document.body)].map(each => [each.color, each.backgroundColor])[0]"
        )
        ink, paper = (sum(map(int, re.findall(r"\d+", colour))) for colour in style)
        assert (ink > paper) == (scheme == "dark")
    expect(page.locator("#panel-b")).to_have_count(1)
    assert (page.said, page.asked) == ([], [file.as_uri()])
    page.close()


def test_a_walk_through_all_parts_by_keyboard_alone(page: Any) -> None:
    def focused() -> str:
        return str(page.evaluate("() => document.activeElement.dataset.part || document.activeElement.id"))

    def tab_to(what: str, most: int = 40) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if focused() == what:
                return
        raise AssertionError(what)

    tab_to("tab-maps")
    tab_to("over")
    after(page, lambda: page.keyboard.press("End"))
    expect(reading(page)).to_contain_text("column 223", use_inner_text=True)
    after(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("#part-layers")).to_be_visible()
    page.focus("#tab-layers")
    tab_to("row")
    after(page, lambda: page.keyboard.type("5"))
    tab_to("search")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    after(page, lambda: page.keyboard.press("Home"))
    assert page.evaluate("() => document.activeElement.dataset.layer") == "1"
    tab_to("coverage")
    after(page, lambda: page.keyboard.press("ArrowDown"))
    expect(page.locator("[data-part=covered]")).to_contain_text("unit 1, 0", use_inner_text=True)
    page.focus("#tab-layers")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    expect(page.locator("#part-audit")).to_be_visible()
    for _ in range(3):
        page.keyboard.press("Tab")
    after(page, lambda: page.keyboard.press("Space"))
    before = page.locator("[data-part=edit]").inner_text()
    after(page, lambda: page.keyboard.press("ArrowDown"))
    expect(page.locator("[data-part=edit]")).not_to_have_text(before, use_inner_text=True)
    page.focus("#tab-audit")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    expect(page.locator("#part-kernel")).to_be_visible()
    for _ in range(6):
        page.keyboard.press("Tab")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    expect(page.locator("[data-part=picked]")).to_have_text("Pixel 0, 1 is used 6 times.", use_inner_text=True)
    tab_to("next")
    after(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("[data-part=window]")).to_have_text(begins("Window 2 of 6"), use_inner_text=True)


def test_who_asks_for_less_motion_is_not_offered_to_play(browser: Any, file: Path) -> None:
    page = opened(browser, file, "#part=kernel", reduced_motion="reduce")
    expect(page.locator("[data-part=play]")).not_to_be_visible()
    expect(page.locator("[data-part=next]")).to_be_visible()
    page.close()


def test_no_request_could_leave_the_page(browser: Any, file: Path) -> None:
    page = opened(browser, file)
    refused = page.evaluate("() => fetch('https://example.invalid/').then(() => 'sent', error => error.name)")
    assert refused == "TypeError"
    assert page.asked == [file.as_uri()]
    page.close()
