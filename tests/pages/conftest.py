"""A browser for all tests of pages, and an explorer to open in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import padviz
from tests.pages.browser import CHROMIUM, PADDINGS, SIZES, browsing, opened


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "resnet18.html"
    padviz.explore("resnet18", [224, *SIZES], padding=PADDINGS).save(path)
    return path


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    page = opened(browser, file, "#remedy=-1")
    yield page
    assert page.said == []
    assert page.asked == [page.url.partition("#")[0]]
    page.close()
