"""Parts of sentences: a number with its noun, and lists that say how many more there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SIDES = {  # by how many there are: of a signal, an image and a volume
    2: ("before", "after"),
    4: ("above", "below", "left", "right"),
    6: ("in front", "behind", "above", "below", "left", "right"),
}


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


def listed(names: Sequence[str]) -> str:
    """List names, the last after "and".

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *first, last = names
    if not first:
        return last
    return f"{', '.join(first)} and {last}"


def by_side(depths: Sequence[int], unit: str) -> list[str]:
    """Write the depth at each side, with equal ones together; a side of depth 0 is left out.

    >>> by_side([14, 34, 14, 34], "px"), by_side([0, 3, 0, 0], "px")
    (['14 px above and left', '34 px below and right'], ['3 px below'])
    """
    sides: dict[int, list[str]] = {}
    for side, depth in zip(SIDES[len(depths)], depths, strict=True):
        sides.setdefault(depth, []).append(side)
    return [f"{depth} {unit} {listed(names)}" for depth, names in sides.items() if depth]


def in_bytes(size: int) -> str:
    """Write a number of bytes.

    >>> in_bytes(1_500_000), in_bytes(200)
    ('1.5 MB', '0.2 kB')
    """
    if size >= 1e6:
        return f"{size / 1e6:,.1f} MB"
    return f"{size / 1e3:,.1f} kB"
