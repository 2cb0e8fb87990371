"""What is reported of a result: tables of typed rows, sentences, findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from padviz.reports.tables import beside

SUFFIXES = {"table": ".txt", "json": ".json", "csv": ".csv", "markdown": ".md", "github": ".txt"}
PICTURES = (".png", ".svg", ".pdf")
COUNTS = (".npy", ".npz", ".csv")
ROWS = ("table", "json", "csv", "markdown")  # wherever there are rows
FINDINGS = (*ROWS, "github")  # where a check may fail
# What a report is about; of several networks, the rows say it.
ABOUT = ("network", "size", "padding")
Level = Literal["error", "warning", "notice"]
Getter = Callable[[Any], object]  # of a row of any type
Show = str | Getter | None


class Column(NamedTuple):
    """A figure of every row: `key` names it in JSON and CSV, `heading` on screens and paper.

    `of` finds it in a row; by default it is the row's attribute, or item, of that key. `show`
    rounds it and gives it its unit, as a format such as "{:.2f}x" or a function. Where a terminal
    is too narrow, the column of the largest `spare` goes first, and the last one of several that
    are equal. `means` is what the legend says of it where it is shown.

    >>> Column("ratio", show="{:.2f}x").cell({"ratio": 1.128})
    '1.13x'
    """

    key: str
    heading: str = ""
    show: Show = None
    of: Getter | None = None
    spare: int = 0
    means: str = ""

    def value(self, row: object) -> object:
        """Return the exact figure in a row."""
        if self.of:
            return self.of(row)
        if isinstance(row, Mapping):
            return row.get(self.key)
        return getattr(row, self.key)

    def cell(self, row: object) -> object:
        """Round the figure of a row, and word it; None stays None."""
        value = self.value(row)
        if value is None or self.show is None:
            return value
        if isinstance(self.show, str):
            return self.show.format(value)
        return self.show(value)


def columns(keys: str) -> tuple[Column, ...]:
    return tuple(map(Column, keys.split()))


class Block:
    """What a report says at a stretch."""


@dataclass(frozen=True)
class Table(Block):
    """Rows of any type under columns, with a legend; a page marks rows that are `marked`."""

    columns: Sequence[Column]
    rows: Sequence[Any]
    legend: str = ""
    marked: Callable[[Any], bool] = lambda row: False

    @property
    def headings(self) -> list[str]:
        """What stands above the columns for people."""
        return [column.heading or column.key for column in self.columns]

    def cells(self) -> list[list[object]]:
        """Show each row as people read it."""
        return [[column.cell(row) for column in self.columns] for row in self.rows]

    def legend_of(self, shown: Sequence[int]) -> str:
        """Return what the columns that are shown mean, and the legend.

        >>> Table([Column("a", means="first"), Column("b", means="second")], []).legend_of([1])
        'b: second.'
        """
        columns = [self.columns[i] for i in shown if self.columns[i].means]
        meanings = "; ".join(
            f"{column.heading or column.key}: {column.means}" for column in columns
        )
        return " ".join(filter(None, [meanings and f"{meanings}.", self.legend]))

    @property
    def values(self) -> list[list[object]]:
        return [[column.value(row) for column in self.columns] for row in self.rows]

    @property
    def records(self) -> list[dict[str, object]]:
        """The exact figures of each row by their keys, for JSON."""
        return [{column.key: column.value(row) for column in self.columns} for row in self.rows]


def grid(headings: Sequence[str], rows: Sequence[Sequence[object]], legend: str = "") -> Table:
    """Return a table of cells, row by row."""
    return Table([Column(name, of=itemgetter(i)) for i, name in enumerate(headings)], rows, legend)


class Heading(str, Block):
    """What a part of a report is about: the network and its size."""


class Facts(tuple[tuple[str, object], ...], Block):
    """Names and values, one a line."""


@dataclass(frozen=True)
class Lines(Block):
    """Sentences, one a line."""

    texts: Sequence[str]
    indent: int = 0


@dataclass(frozen=True)
class Beside(Block):
    """Small grids of figures, side by side where there is room."""

    texts: Sequence[str]

    def __str__(self) -> str:
        return beside(self.texts)


class Verbatim(str, Block):
    """What is laid out already, such as code to paste."""


class Finding(NamedTuple):
    """What a check looks for, where it was found; `file` is a file that a person edits."""

    level: Level
    title: str
    text: str
    file: str = ""


class Report(NamedTuple):
    """A result in all formats.

    `facts` are figures beside the rows, for JSON, and its network, size and padding. `screen` has
    the parts of a terminal's table, `paper` those of Markdown and HTML where they say more. `sheet`
    has the rows of JSON and CSV; without one, they are those of the only table of the screen.
    `files` are the pictures that were drawn, for JSON. `code` is the exit code.
    """

    name: str
    facts: Mapping[str, object]
    screen: Sequence[Sequence[Block]]
    sheet: Table | None = None
    paper: Sequence[Sequence[Block]] = ()
    findings: Sequence[Finding] = ()
    files: Sequence[str] = ()
    code: int = 0
