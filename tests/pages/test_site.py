"""The site as a phone shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.links import broken
from tests.sweeps import SLOW

# What sticks out of the text of a page where nothing that scrolls holds it.
STICKING_OUT = """() => {
  const text = document.querySelector("article");
  const right = document.querySelector(".content").getBoundingClientRect().right;
  const scrolls = (element) => getComputedStyle(element).overflowX !== "visible";
  const held = (element) => element !== text && (scrolls(element) || held(element.parentElement));
  return [...text.querySelectorAll("*")]
    .filter((element) => element.getBoundingClientRect().right > right + 1 && !held(element.parentElement))
    .map((element) => element.outerHTML.slice(0, 80));
}"""


@SLOW
def test_a_phone_scrolls_no_page_sideways(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("furo", reason="the extra padviz[docs] is not installed")
    build = Path(__file__).parent.parent.parent / "docs" / "build.py"
    subprocess.run([sys.executable, str(build), str(tmp_path)], check=True)
    site = tmp_path / "html"
    assert broken(site) == []
    page = browser.new_page(viewport={"width": 390, "height": 844})
    for path in [path for path in sorted(site.rglob("*.html")) if path.name != "resnet50.html"]:
        page.goto(path.as_uri())
        assert (path.name, page.evaluate(STICKING_OUT)) == (path.name, [])
    page.close()
