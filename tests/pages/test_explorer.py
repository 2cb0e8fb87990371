"""The explorer in a real browser, from disk: what it shows is what the engine counts, and each control works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import padviz
from tests.pages.browser import CHROMIUM, browsing, opened

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "resnet18.html"
    padviz.explore("resnet18", 224, sizes=[96, 224, (120, 160)], padding=["zero", "reflect", "partial"]).save(path)
    return path


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    page = opened(browser, file)
    ready(page)
    yield page
    assert page.said == []
    assert page.asked == [page.url.partition("#")[0]]
    page.close()


def ready(page: Any) -> None:
    page.wait_for_function("() => document.documentElement.dataset.ready")


def read(page: Any, key: str = "a") -> str:
    return page.locator(f"#panel-{key} [data-part=read]").inner_text()


def point(page: Any, row: int, col: int, shape: tuple[int, int], key: str = "a") -> None:
    """Moves the pointer onto the middle of a pixel."""
    box = page.locator(f"#panel-{key} [data-part=over]").bounding_box()
    page.mouse.move(box["x"] + (col + 0.5) / shape[1] * box["width"], box["y"] + (row + 0.5) / shape[0] * box["height"])
    page.wait_for_function(
        f"() => document.querySelector('#panel-{key} .where').textContent === 'row {row}, column {col}'", timeout=2000
    )


@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_the_read_out_is_the_exact_count_and_the_share(page: Any, padding: str) -> None:
    page.select_option("#panel-a [data-part=padding]", label=padding)
    counts = padviz.usage("resnet18", 224, padding)
    for row, col in ((0, 0), (0, 223), (223, 100), (117, 3)):
        point(page, row, col, (224, 224))
        assert f"{counts.at(row, col):,} paths" in read(page)
        share = float(counts.share()[row, col])
        assert float(read(page).rpartition("fair share ")[2]) == pytest.approx(share, rel=1e-3)
