"""Who can use the explorer: narrow screens, both colour schemes, the keyboard alone, screen readers, less motion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.pages.browser import after, opened, read

PARTS = ("maps", "layers", "audit", "kernel")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser: Any, file: Path, scheme: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = opened(browser, file, color_scheme=scheme, bypass_csp=True)
    for part in PARTS:
        after(page, lambda part=part: page.click(f"#tab-{part}"))
        found = axe.Axe().run(page).response["violations"]
        serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
        assert serious == [], (part, [node["html"][:200] for each in found for node in each["nodes"]][:5])
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1440, "dark")])
def test_nothing_is_wider_than_the_screen(browser: Any, file: Path, width: int, scheme: Any) -> None:
    page = opened(browser, file, viewport={"width": width, "height": 844}, color_scheme=scheme)
    for part in PARTS:
        after(page, lambda part=part: page.click(f"#tab-{part}"))
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, part
        style = page.evaluate(
            "() => [getComputedStyle(document.body)].map(each => [each.color, each.backgroundColor])[0]"
        )
        ink, paper = (sum(map(int, re.findall(r"\d+", colour))) for colour in style)
        assert (ink > paper) == (scheme == "dark")
    assert page.locator("#panel-b").count() == 1
    assert page.said == []
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
    assert "column 223" in read(page)
    after(page, lambda: page.keyboard.press("Enter"))
    assert page.locator("#part-layers").is_visible()
    page.focus("#tab-layers")
    tab_to("row")
    after(page, lambda: page.keyboard.type("5"))
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    after(page, lambda: page.keyboard.press("Home"))
    assert page.evaluate("() => document.activeElement.dataset.layer") == "1"
    tab_to("coverage")
    after(page, lambda: page.keyboard.press("ArrowDown"))
    assert "unit 1, 0" in page.locator("[data-part=covered]").inner_text()
    page.focus("#tab-layers")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.locator("#part-audit").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    before = page.locator("[data-part=edit]").inner_text()
    after(page, lambda: page.keyboard.press("ArrowDown"))
    assert page.locator("[data-part=edit]").inner_text() != before
    page.focus("#tab-audit")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.locator("#part-kernel").is_visible()
    for _ in range(6):
        page.keyboard.press("Tab")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.locator("[data-part=picked]").inner_text() == "Pixel 0, 1 is used 6 times."
    tab_to("next")
    after(page, lambda: page.keyboard.press("Enter"))
    assert page.locator("[data-part=window]").inner_text().startswith("Window 2 of 6")


def test_who_asks_for_less_motion_is_not_offered_to_play(browser: Any, file: Path) -> None:
    page = opened(browser, file, "#part=kernel", reduced_motion="reduce")
    assert not page.locator("[data-part=play]").is_visible()
    assert page.locator("[data-part=next]").is_visible()
    page.close()


def test_no_request_leaves_the_page_and_none_could(browser: Any, file: Path) -> None:
    page = opened(browser, file)
    for part in PARTS:
        after(page, lambda part=part: page.click(f"#tab-{part}"))
    assert page.asked == [file.as_uri()]
    refused = page.evaluate("() => fetch('https://example.invalid/').then(() => 'sent', error => error.name)")
    assert refused == "TypeError"
    assert page.asked == [file.as_uri()]
    page.close()
