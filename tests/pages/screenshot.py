"""The picture of the explorer that the README shows: `python -m tests.pages.screenshot PAGE.html PICTURE.png`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.pages.browser import after, browsing, opened

VIEW = "#asize=2&apadding=0&bsize=3&bpadding=2&at=0.85,0.85"


def main(page: Path, picture: Path) -> None:
    """Opens the page as a person may have left it, and keeps what is seen of it."""
    with browsing() as browser:
        shown = opened(browser, page.resolve(), VIEW, viewport={"width": 1280, "height": 850}, color_scheme="light")
        after(shown, lambda: None)
        shown.screenshot(path=picture)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
