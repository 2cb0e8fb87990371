"""Parts of sentences: a number with its noun, and lists that say how many more there are."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, which gets an s unless there is one of it.

    >>> counted(1, "row"), counted(0, "row"), counted(12000, "row")
    ('1 row', '0 rows', '12,000 rows')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}s"


def some_names(names: Iterable[str], most: int = 3) -> str:
    """List the first of some names, and say how many more there are.

    >>> some_names("abcde"), some_names([])
    ('a, b, c and 2 more', 'none')
    """
    listed = [*names]
    if not listed:
        return "none"
    text = ", ".join(listed[:most])
    if len(listed) > most:
        text += f" and {len(listed) - most} more"
    return text
