"""Notebooks, run cell by cell, turned into HTML, and looked at in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import padviz
from tests.pages.browser import expect, opened

BOOK = Path(__file__).parents[2] / "examples" / "padding.ipynb"
TALLEST = 1050  # pixels of what a cell shows: the audit with all its remedies
LINES = 10  # of a text


def test_what_the_notebook_shows_fits_a_screen(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "ipykernel", "nbconvert"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import ExecutePreprocessor

    monkeypatch.delenv("MPLBACKEND", raising=False)  # as a person has it
    book = nbformat.read(BOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)
    assert len(book.cells) >= 20
    ExecutePreprocessor(timeout=240, kernel_name="python3").preprocess(book, {"metadata": {"path": str(tmp_path)}})
    shown = [_shown(cell) for cell in book.cells if cell.cell_type == "code"]
    assert all(shown)
    assert sum("image/png" in kinds for kinds in shown) == 2  # of plot()
    (tmp_path / "book.html").write_text(HTMLExporter(template_name="lab").from_notebook_node(book)[0], encoding="utf-8")
    page = opened(browser, tmp_path / "book.html", waiting=False)
    heights = page.evaluate("[...document.querySelectorAll('.jp-Cell-outputWrapper')].map(cell => cell.offsetHeight)")
    page.screenshot(path=tmp_path / "book.png", full_page=True)
    page.close()
    assert len(heights) >= len(shown)
    assert max(heights) <= TALLEST


def _shown(cell: Any) -> set[str]:
    """List what kinds of output a cell has; texts that stand alone are short."""
    kinds: set[str] = set()
    for output in cell.outputs:
        assert output.output_type in ("execute_result", "display_data"), output
        kinds |= output.data.keys()
        if "text/html" not in output.data:
            text = output.data["text/plain"]
            assert len(text.splitlines()) <= LINES, text
    return kinds


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
