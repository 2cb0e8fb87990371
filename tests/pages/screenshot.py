"""The picture of the explorer that the README shows: `python -m tests.pages.screenshot PAGE.html PICTURE.png`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.pages.browser import after, browsing, opened

VIEW = "#at=0.85,0.85"


def main(page: Path, picture: Path) -> None:
    """Opens the page as a person may have left it, and keeps what is seen of it."""
    with browsing() as browser:
        shown = opened(browser, page.resolve(), VIEW, viewport={"width": 1440, "height": 900}, color_scheme="light")
        after(shown, lambda: None)
        shown.screenshot(path=picture)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
