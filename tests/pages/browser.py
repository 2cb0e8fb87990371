"""A headless Chromium for pages, which lets nothing leave them."""

import io
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
SIZES = [96, (120, 160), 224]  # of the explorer that all look at
VIEWS = count()
PADDINGS = ["zero", "reflect", "circular", "partial", "valid"]


@contextmanager
def browsing() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def opened(
    browser: Any, path: Path, fragment: str = "", *, waiting: bool = True, **options: Any
) -> Any:
    """The page of a file: `said` has what its console says, `asked` every address that it asks for."""
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.route(
        "**/*",
        lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort(),
    )
    page.goto(path.as_uri() + fragment)
    if waiting:
        page.wait_for_function("() => document.documentElement.dataset.ready")
    return page


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect

    return expect(locator)


def begins(text: str) -> re.Pattern[str]:
    return re.compile("^" + re.escape(text))


def show(page: Any, fragment: str) -> None:
    """Goes to a view: what the fragment does not name is as when the page opens."""
    views = next(VIEWS)  # with a number, so that the address changes
    after(
        page, lambda: page.evaluate("hash => { location.hash = hash; }", f"{fragment}&view={views}")
    )


def choose(page: Any, where: str, label: str) -> None:
    after(page, lambda: page.select_option(where, label=label))


def click(page: Any, what: str) -> None:
    after(page, lambda: page.click(what))


def press(page: Any, *keys: str) -> None:
    for key in keys:
        after(page, lambda key=key: page.keyboard.press(key))


def says(page: Any, where: str, *texts: str) -> None:
    """Waits until a part of a page has these texts in it."""
    for text in texts:
        expect(page.locator(where)).to_contain_text(text, use_inner_text=True)


def point(page: Any, row: int, col: int, shape: tuple[int, int], key: str = "a") -> None:
    """Moves the pointer onto the middle of a pixel."""
    box = page.locator(f"#panel-{key} [data-part=over]").bounding_box()
    page.mouse.move(
        box["x"] + (col + 0.5) / shape[1] * box["width"],
        box["y"] + (row + 0.5) / shape[0] * box["height"],
    )
    rests_at(page, row, col, key)


def rests_at(page: Any, row: int, col: int, key: str = "a") -> None:
    where = f"document.querySelector('#panel-{key} .where').textContent"
    page.wait_for_function(f"() => {where} === 'row {row}, column {col}'", timeout=15_000)


def drawn(page: Any, key: str = "a") -> Any:
    url = page.evaluate(
        "key => document.querySelector(`#panel-${key} [data-part=picture]`).toDataURL()", key
    )
    return Image.open(io.BytesIO(b64decode(url.partition(",")[2])))


def after(page: Any, act: Any) -> None:
    """Does something, and waits until the page has drawn what comes of it."""
    act()
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))))"
    )
