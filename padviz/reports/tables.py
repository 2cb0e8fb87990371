"""Rows, facts, sizes and names as people read them; on a terminal, folded to its width."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Literal

from padviz.errors import printable

UNLIMITED = 10_000  # columns of a pipe or a file
GAP = 2  # blanks between columns
FOLDED = 24  # characters from which every cell may fold
PHRASE = 12  # and from which words do, between words
FIGURE = re.compile(r"[-+]?\.?\d(?!.*, )")  # which begins with a digit; lists are phrases
DIGITS = 21  # integers longer than this are rounded in terminal tables; json has them whole


def to_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], width: int = UNLIMITED
) -> str:
    """Format a table without colours; names and sentences fold to the width, figures never."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    widths = _widths(columns, rows, width)
    # Without a color_system rich writes no ANSI codes: a terminal and a file get the same text.
    console = Console(width=sum(widths) + GAP * len(widths), color_system=None, highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    for i, column in enumerate(columns):
        numeric = all(isinstance(row[i], int | float | None) for row in rows)
        justify: Literal["right", "left"] = "right" if numeric else "left"
        table.add_column(column, justify=justify, overflow="fold", width=widths[i])
    for row in rows:
        table.add_row(*(Text(readable(value)) for value in row))
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().strip("\n").split("\n")]
    # old rich's rule is a column wider
    longest = max((len(line) for line in lines if line.strip(" ─")), default=0)
    return "\n".join(line[:longest] for line in lines if line)


def least_widths(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[int]:
    """Return how narrow each column can be.

    A heading folds between words, and so do longer phrases; figures only where they are long.

    >>> least_widths(["first remedy", "px"], [["no change was shown to help", "-34.0 to +10.5"]])
    [12, 14]
    """
    widths = []
    for i, heading in enumerate(columns):
        least = _longest_word(heading)
        for row in rows:
            text = readable(row[i])
            if FIGURE.match(text):
                least = max(least, _length(text))
            else:
                least = max(least, _longest_word(text), min(_length(text), PHRASE))
        widths.append(min(least, FOLDED))
    return widths


def _longest_word(text: str) -> int:
    return max(map(_length, text.split()), default=0)


def _length(text: str) -> int:
    """Count the columns of a terminal that a text takes: letters of some scripts take two."""
    from rich.cells import cell_len

    return cell_len(text)


def total_width(widths: Sequence[int]) -> int:
    """Return how wide a table with columns of these widths is, which starts with a blank."""
    return sum(widths) + GAP * len(widths) - 1


def _widths(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> list[int]:
    """Share the width among columns: those that fold least get all that they want first."""
    widths = least_widths(columns, rows)
    wanted = [
        max(_length(text) for text in (heading, *(readable(row[i]) for row in rows)))
        for i, heading in enumerate(columns)
    ]
    spare = max(0, width - total_width(widths))
    order = sorted(range(len(widths)), key=lambda i: wanted[i] - widths[i])
    for left, i in zip(range(len(order), 0, -1), order, strict=True):
        more = min(wanted[i] - widths[i], spare // left)
        widths[i] += more
        spare -= more
    return widths


def terminal_width() -> int:
    """Count the columns of the terminal; in a pipe, no limit."""
    import shutil

    piped = not (sys.stdout and sys.stdout.isatty()) and "COLUMNS" not in os.environ
    if piped:
        return UNLIMITED
    return shutil.get_terminal_size().columns


def wrapped(text: str, width: int = UNLIMITED, indent: int = 0) -> str:
    """Fold a sentence; lines after the first start with `indent` blanks."""
    return textwrap.fill(
        printable(text), width, subsequent_indent=" " * indent, break_on_hyphens=False
    )


def beside(texts: Sequence[str], width: int = UNLIMITED) -> str:
    """Set texts side by side, or below each other where there is no room for that.

    >>> print(beside(["1 2\\n3 4", "5"]))
    1 2    5
    3 4
    """
    blocks = [text.split("\n") for text in texts]
    widths = [max(map(len, block)) for block in blocks]
    if sum(widths) + 4 * (len(widths) - 1) > width:
        return "\n\n".join(texts)
    return "\n".join(
        "    ".join(f"{line:{n}}" for line, n in zip(row, widths, strict=True)).rstrip()
        for row in zip_longest(*blocks, fillvalue="")
    )


def to_facts(facts: Sequence[tuple[str, object]], width: int = UNLIMITED) -> str:
    indent = max(len(name) for name, _ in facts)
    return "\n".join(
        wrapped(f"{name:{indent}}  {readable(value)}", width, indent + 2) for name, value in facts
    )


def readable(value: object) -> str:
    """Write one cell as a person reads it.

    >>> readable(6998130578404), readable(0.118804), readable(9**40)
    ('6,998,130,578,404', '0.1188', '1.478e+38')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if len(str(value)) <= DIGITS:
            return f"{value:,}"
        return rounded(value)
    if isinstance(value, float):
        if 1000 <= abs(value) < 10**DIGITS:
            return f"{value:,.1f}"
        return f"{value:.4g}"
    return printable(value)


def rounded(value: int) -> str:
    """Round an integer of any length to four digits."""
    power = len(str(abs(value))) - 1
    return f"{value / 10**power:.3f}e+{power}"


def pixels(size: Sequence[int] | Sequence[str]) -> str:
    """Write a size as options have it."""
    return "x".join(map(str, size if len({*size}) > 1 else size[:1]))


def once(texts: Iterable[str], between: str = " x ") -> str:
    """Join what is said of each axis; say it once where it is the same.

    >>> once(["3", "3"]), once(["3", "5"])
    ('3', '3 x 5')
    """
    said = [*texts]
    return between.join(said if len({*said}) > 1 else said[:1])


def by_axis(moves: Iterable[float | None]) -> str:
    """Write how far a grid moves on each axis.

    >>> by_axis([-8.0, -8.0]), by_axis([-0.5, None])
    ('-8', '-0.5 / ?')
    """
    return once(["?" if n is None else f"{n:+.3g}" for n in moves], " / ")


def named(padding: str | None) -> str:
    return padding or "trained"
