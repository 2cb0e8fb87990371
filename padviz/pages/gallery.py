"""The gallery: a page that opens from disk and fetches nothing but the pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from padviz.version import __version__


def gallery(title: str, cards: Sequence[Mapping[str, Any]], failed: Mapping[str, str] | None = None) -> str:
    """The gallery as HTML: cards as `padviz.exports.cards` makes them, and of what failed the name and the error.

    >>> "<h1>Maps</h1>" in gallery("Maps", [])
    True
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("padviz.pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    filters = {
        key: sorted({value for card in cards for value in card[key] if value}, key=natural)
        for key in ("what", "network", "size", "padding")
    }
    page = environment.get_template("gallery.html.j2")
    return page.render(title=title, cards=cards, filters=filters, failed=failed or {}, version=__version__)


def natural(text: str) -> list[tuple[int, str]]:
    """Numbers in a text, however long, sort as numbers.

    >>> sorted(["a-100", "a-64"], key=natural)
    ['a-64', 'a-100']
    """
    parts = ((part, part.lstrip("0")) for part in re.split(r"(\d+)", text))
    return [(len(digits), digits) if part.isdecimal() else (-1, part) for part, digits in parts]
