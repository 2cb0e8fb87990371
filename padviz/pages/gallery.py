"""The gallery: a page that opens from disk and asks for nothing but the pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from padviz.pages.filling import filled

STYLES = ("look", "gallery")
MODULES = ("state", "gallery")  # each after those that it imports


def gallery(title: str, cards: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> str:
    """Write the gallery as HTML: cards as `padviz.exports.cards` makes them, and of what failed the name and the error.

    >>> "<h1>Maps</h1>" in gallery("Maps", [], {})
    True
    """
    filters = {
        key: sorted({value for card in cards for value in card[key] if value}, key=natural)
        for key in ("what", "network", "size", "padding")
    }
    images = "'self' file: data:"
    facts = {"title": title, "cards": cards, "filters": filters, "failed": failed, "images": images}
    return filled("gallery.html.j2", STYLES, MODULES, **facts)


def natural(text: str) -> list[tuple[int, str]]:
    """Sort numbers in a text, however long, as numbers.

    >>> sorted(["a-100", "a-64"], key=natural)
    ['a-64', 'a-100']
    """
    parts = ((part, part.lstrip("0")) for part in re.split(r"(\d+)", text))
    return [(len(digits), digits) if part.isdecimal() else (-1, part) for part, digits in parts]
