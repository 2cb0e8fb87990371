"""The explorer in a real notebook: run, turned into HTML, and opened in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import padviz
from tests.pages.browser import expect, opened

CODE = "import padviz\npadviz.explore('vgg11', [64], padding=['zero', 'reflect'])"


def test_a_notebook_shows_a_page_that_works(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    from nbconvert.preprocessors import ExecutePreprocessor

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    ExecutePreprocessor(timeout=120, kernel_name="python3").preprocess(book, {"metadata": {"path": str(tmp_path)}})
    (tmp_path / "book.html").write_text(nbconvert.HTMLExporter().from_notebook_node(book)[0], encoding="utf-8")
    page = opened(browser, tmp_path / "book.html", waiting=False)
    frame = page.frame_locator("iframe[title='padviz explorer']")
    counts = padviz.usage("vgg11", 64)
    frame.locator("#panel-a .paths").filter(has_text="paths").wait_for(timeout=20_000)
    frame.locator("#panel-a [data-part=over]").press("Home")
    frame.locator("#panel-a [data-part=over]").press("PageUp")
    frame.locator("#panel-a .where").filter(has_text="row 0, column 0").wait_for()
    expect(frame.locator("#panel-a [data-part=read]")).to_contain_text(
        f"{counts.at(0, 0):,} paths", use_inner_text=True
    )
    frame.locator("#tab-kernel").click()
    expect(frame.locator("#part-kernel [data-part=uses] button")).to_have_count(49)
    page.close()
