"""A browser for all tests of pages, and an explorer to open in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import padviz
from tests.pages.browser import CHROMIUM, PADDINGS, SIZES, browsing, opened, show


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


@pytest.fixture(scope="session")
def explorer(browser: Any, file: Path) -> Any:
    return opened(browser, file, "#remedy=-1")


@pytest.fixture
def page(explorer: Any, file: Path) -> Iterator[Any]:
    """The explorer as it opens, with another map beside the first: one page for all tests, in each shown anew."""
    explorer.mouse.move(5, 5)
    show(explorer, "remedy=-1")
    yield explorer
    assert explorer.said == []
    assert explorer.asked == [file.as_uri()]
