"""What is built and looked at in a browser: the example's notebook, run cell by cell."""

from pathlib import Path
from typing import Any

import pytest

import padviz
from tests.pages.browser import expect, opened

ROOT = Path(__file__).parents[2]
TALLEST = 1050  # pixels of what a cell shows: the audit with all its remedies
LINES = 10  # of a text


@pytest.mark.slow
def test_what_the_notebook_shows_fits_a_screen_and_its_page_works(
    browser: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    for name in ("torch", "ipykernel", "nbconvert"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import ExecutePreprocessor

    monkeypatch.delenv("MPLBACKEND", raising=False)  # as a person has it
    book = nbformat.read(ROOT / "examples" / "padding.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)
    assert len(book.cells) >= 20
    ExecutePreprocessor(timeout=240, kernel_name="python3").preprocess(book, {"metadata": {"path": str(tmp_path)}})
    shown = [_shown(cell) for cell in book.cells if cell.cell_type == "code"]
    assert all(shown)
    assert sum("image/png" in kinds for kinds in shown) == 2  # of plot()
    (tmp_path / "book.html").write_text(HTMLExporter(template_name="lab").from_notebook_node(book)[0], encoding="utf-8")
    page = opened(browser, tmp_path / "book.html", waiting=False)
    heights = page.evaluate("[...document.querySelectorAll('.jp-Cell-outputWrapper')].map(cell => cell.offsetHeight)")
    assert len(heights) >= len(shown)
    assert max(heights) <= TALLEST
    frame = page.frame_locator("iframe[title='padviz explorer']")
    frame.locator("#panel-a .paths").filter(has_text="paths").wait_for(timeout=20_000)
    for key in ("Home", "PageUp"):
        frame.locator("#panel-a [data-part=over]").press(key)
    frame.locator("#panel-a .where").filter(has_text="row 0, column 0").wait_for()
    paths = f"{padviz.usage('vgg11', 64).at(0, 0):,} paths"
    expect(frame.locator("#panel-a [data-part=read]")).to_contain_text(paths, use_inner_text=True)
    frame.locator("#tab-kernel").click()
    expect(frame.locator("#part-kernel [data-part=uses] button")).to_have_count(49)
    page.close()


def _shown(cell: Any) -> set[str]:
    """List what kinds of output a cell has; texts that stand alone are short."""
    kinds: set[str] = set()
    for output in cell.outputs:
        assert output.output_type in ("execute_result", "display_data"), output
        kinds |= output.data.keys()
        if "text/html" not in output.data:
            assert len(output.data["text/plain"].splitlines()) <= LINES, output
    return kinds
