"""The page of the atlas in a real browser, from disk."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from padviz.advice.atlas import atlas
from tests.pages.browser import expect, opened

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        from atlas_page import page

        made = tmp_path_factory.mktemp("atlas") / "atlas.html"
        made.write_text(page(), encoding="utf-8")
        sys.modules.pop("atlas_page")
    return made


@pytest.fixture(params=[1440, 390])
def page(browser: Any, path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    view = {"width": request.param, "height": 900}
    shown = opened(browser, path, waiting=False, viewport=view)
    yield shown
    assert shown.said == []
    assert shown.asked[1:] == []
    # the table alone scrolls sideways
    assert shown.evaluate("document.documentElement.scrollWidth") <= request.param
    shown.close()


def column(page: Any, place: int) -> list[str]:
    cells = page.locator(f"tbody tr td:nth-child({place})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_a_network_is_found_with_its_figures_and_command(page: Any) -> None:
    page.fill("#search", "vgg19 padviz")
    expect(page.locator("#count")).to_have_text(f"1 of {len(atlas())} rows")
    assert column(page, 2) == ["15, 15"]
    page.click("summary")
    expect(page.locator("tbody code")).to_have_text("padviz audit vgg19 --size 224")
    page.fill("#search", "no such network")
    assert column(page, 1) == []


def test_a_network_of_the_plot_is_told_and_found(page: Any) -> None:
    assert column(page, 1)[0].startswith("vgg11 ")
    points = [row for row in atlas() if row.rim and len(row.strides) == 1 and row.strides[0]]
    expect(page.locator("#plot circle")).to_have_count(len(points))
    point = page.locator("#plot circle").first
    point.dispatch_event("pointerenter")
    expect(page.locator("#pointed")).to_have_text(re.compile("vgg11 .*: rim 9, 9 px, stride 32"))
    point.dispatch_event("click")
    assert column(page, 1)[0].startswith("vgg11 ")
    assert len(column(page, 1)) < len(points)


def test_columns_sort_both_ways_and_what_is_not_known_comes_last(page: Any) -> None:
    page.select_option("#library", "padviz")
    for order in ("descending", "ascending"):
        page.click("th:nth-child(3) button")
        expect(page.locator("th:nth-child(3)")).to_have_attribute("aria-sort", order)
        known = [float(text.rstrip(" %")) for text in column(page, 3) if text != "not known"]
        assert len(known) > 10
        assert known == sorted(known, reverse=order == "descending")
        assert "not known" not in column(page, 3)[: len(known)]


def test_only_lopsided_rims_are_left(page: Any) -> None:
    page.check("#lopsided")
    rims = [text.split(", ") for text in column(page, 2)]
    assert len(rims) > 10
    assert all(before != after for before, after in rims)


def test_axe_finds_no_violation(page: Any) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    page.click("summary >> nth=0")
    assert [found["id"] for found in axe.Axe().run(page).response["violations"]] == []
