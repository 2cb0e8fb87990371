"""The picture of the explorer that the README shows: `python -m tests.pages.screenshot PAGE.html PICTURE.png`."""

import sys
from pathlib import Path

from tests.pages.browser import after, browsing, opened

if __name__ == "__main__":
    page, picture = map(Path, sys.argv[1:])
    with browsing() as browser:  # as a person may have left the page
        look = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}
        shown = opened(browser, page.resolve(), "#at=0.85,0.85", **look)
        after(shown, lambda: None)
        shown.screenshot(path=picture)
