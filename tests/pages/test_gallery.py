"""The gallery of an export in a real browser, from disk: pictures load, filters work, nothing is fetched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import padviz

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with a space, a percent sign and a failure in it."""
    place = tmp_path_factory.mktemp("a gallery 100%")
    (place / "odd#net.toml").write_text('layers = [{op = "conv", name = "c%20", kernel = 3, padding = 1}]')
    source = [str(place / "odd#net.toml"), "resnet18", "vgg11"]
    lists: dict[str, Any] = {"sizes": [64, 96], "paddings": ["declared", "reflect", "valid"]}
    (place / "more.toml").write_text(
        '[[compare]]\nname = "schemes"\nmodels = ["vgg11"]\nsizes = [64]\npaddings = ["zero", "symmetric"]'
    )
    padviz.export(place / "more.toml", place / "out")
    padviz.export(source, place / "out", **lists, what=["usage", "uneven"], jobs=2, formats=["png", "npz"])
    return place / "out"


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto((folder / "index.html").as_uri())
        yield page
        browser.close()


def shown(page: Any) -> list[str]:
    return [card.get_attribute("data-name") for card in page.locator("article:visible").all()]


def reset(page: Any) -> None:
    page.click("button[type=reset]")
    page.wait_for_function("document.querySelectorAll('article[hidden]').length == 0")


def test_all_pictures_load_from_disk_and_nothing_else_is_fetched(page: Any, folder: Path) -> None:
    cards = page.locator("article").all()
    assert len(cards) == len(list(folder.glob("*.png"))) > 10
    for card in cards:
        card.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(each => each.complete)", timeout=10_000)
    assert page.evaluate("[...document.images].every(each => each.naturalWidth > 0)")
    assert page.evaluate("document.images.length") == len(cards)
    assert all(url.startswith(folder.as_uri()) or url.startswith("data:") for url in page.asked)
    assert page.said == []


def test_links_lead_to_files(page: Any, folder: Path) -> None:
    links = page.evaluate("[...document.querySelectorAll('article a, footer a')].map(each => each.href)")
    assert len(links) > 30
    for link in links:
        assert link.startswith("file://")
        assert Path(unquote(urlsplit(link).path)).is_file(), link


def test_filters_narrow_and_reset(page: Any) -> None:
    everything = shown(page)
    page.select_option("select[data-key=network]", "resnet18")
    page.select_option("select[data-key=size]", "96×96")
    page.select_option("select[data-key=padding]", "reflect")
    assert shown(page) == ["resnet18-96-reflect-usage"]
    assert page.locator("#count").inner_text() == f"1 of {len(everything)} items"
    reset(page)
    assert shown(page) == everything
    page.select_option("select[data-key=what]", "uneven")
    assert shown(page) == [name for name in everything if name.endswith("uneven")]
    page.fill("#search", "VGG11-64")
    assert shown(page) == ["vgg11-64-uneven"]
    reset(page)


def test_what_is_shown_fits_the_filters_when_a_person_comes_back(page: Any) -> None:
    again = page.context.browser.new_page()
    again.goto(page.url)
    everything = shown(again)
    again.select_option("select[data-key=what]", "uneven")
    chosen = shown(again)
    assert 0 < len(chosen) < len(everything)
    again.locator("article:visible a.picture").first.click()
    again.wait_for_url("**/*.png")
    again.go_back()
    again.wait_for_selector("article", state="attached")
    assert shown(again) == (chosen if again.input_value("select[data-key=what]") else everything)
    again.close()


def test_items_of_several_sizes_and_paddings_are_found_under_each(page: Any) -> None:
    page.select_option("select[data-key=padding]", "symmetric")
    assert shown(page) == ["schemes"]
    reset(page)


def starved(folder: Path, name: str) -> float:
    record = json.loads((folder / f"{name}.json").read_text())
    return (record["figures"].get("share") or {"starved": -1})["starved"] if record["what"] == "usage" else -1


def test_cards_sort_by_a_figure(page: Any, folder: Path) -> None:
    by_name = shown(page)
    page.select_option("#sort", "skew")
    first = page.locator("article:visible").first.get_attribute("data-name")
    assert first.startswith("resnet18")
    page.select_option("#sort", "starved")
    figures = [starved(folder, name) for name in shown(page)]
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > 0 > figures[-1]
    page.select_option("#sort", "")
    assert shown(page) == by_name


def test_what_failed_is_said(page: Any) -> None:
    text = page.locator("#failed").inner_text()
    assert "could not be made" in text
    assert page.said == []
