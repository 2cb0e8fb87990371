"""The reports of `usage` and `compare`: the figures of maps of counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import FairShare, Summary, percent, unit_text
from padviz.errors import PadvizError
from padviz.network.rewrites import padding_in_words
from padviz.reports.documents import plain
from padviz.reports.maps import signal
from padviz.reports.maps.fair_shares import Said, fair_shares, heads, left_out
from padviz.reports.report import Column, Facts, Report, Show, Table
from padviz.reports.tables import by, readable, rounded

MANY = 10**6  # paths from here on are rounded in cells
Item = tuple[str, CountMap | PadvizError]  # a map, or why there is none


def _figure(path: str, key: str = "") -> Column:
    """Make the column of a figure that a path of names leads to; nothing where one of them is None."""
    names = path.split(".")
    return Column(key or "_".join(names), of=lambda row: reduce(_attribute, names, row))


def _attribute(value: Any, name: str) -> Any:
    return None if value is None else getattr(value, name)


def _depth(side: int) -> Callable[[Summary], int | None]:
    return lambda summary: summary.rim.depths[side] if summary.rim else None


AXES = ("height", "width")
ASKED = (
    Column("network"),
    Column("height", of=lambda summary: summary.size[0]),
    Column("width", of=lambda summary: summary.size[1]),
    Column("padding"),
    Column("pooling"),
)
FIGURES = (  # of a map, for CSV and for the index of an export
    Column("target", of=lambda summary: " ".join(summary.target.names)),
    *map(_figure, ("min", "max", "mean", "marginalised")),
    *(_figure(f"{name}.{axis}") for name in ("asymmetry", "skew") for axis in AXES),
    *(_figure(f"share.{name}", name) for name in ("starved", "overused", "unused")),
    *(_figure(f"share.{name}", f"{name}_share") for name in ("least", "most")),
    *(_figure(f"share.skew.{axis}") for axis in AXES),
    *(Column(f"rim_{side}", of=_depth(i)) for i, side in enumerate(("top", "bottom", "left", "right"))),
)


def usage(counts: CountMap, files: Sequence[str] = ()) -> Report:
    """Report the figures of a usage map."""
    if len(counts.network.axes) == 1:
        return signal.usage(counts, (*ASKED, *FIGURES), files)
    summary, screen = counts.summary(), [Facts(_facts(counts))]
    return Report("usage", plain(summary), [screen], Table((*ASKED, *FIGURES), [summary]), files=files)


def _facts(counts: CountMap) -> Iterator[tuple[str, Any]]:
    summary = counts.summary()
    yield "network", f"{summary.network}, {by(summary.size)} pixels"
    yield "padding", padding_in_words(summary.padding)
    yield "target", _target(summary)
    yield from heads(counts)
    for name in ("max", "min", "mean", "centre"):
        yield f"paths, {name}", getattr(summary, name)
    corners = [readable(corner) for corner in plain(summary.corners).values()]
    yield "corners", f"{corners[0]}  {corners[1]}"
    yield "", f"{corners[2]}  {corners[3]}"
    yield from fair_shares(summary, counts.walked.pads, SAID)
    yield "asymmetry", _along(summary.asymmetry, ".4g")
    yield "skew of usage", _along(summary.skew, "+.4g")
    yield "counted", f"{_counted(counts)} ({summary.method})"
    yield from left_out(summary)


def _corners(corners: Any) -> str:
    return f"corners {readable(corners.top_left)} and {readable(corners.bottom_right)}"


def _along(figures: Any, form: str) -> str:
    return f"height {figures.height:{form}}, width {figures.width:{form}}"


SAID = Said("pixel", lambda rim: rim.words, _corners, _along)


def _counted(counts: CountMap) -> str:
    rows, cols = counts.rows, counts.cols
    if not counts.tiled:
        return "at every position"
    every = f"{rows.period} rows" if rows.copies else f"{cols.period} columns"
    if rows.copies and cols.copies:
        every = f"{rows.period} x {cols.period}"
    return f"in a core of {rows.kept} x {cols.kept}, whose middle repeats by {every}"


def _target(summary: Summary) -> str:
    layers, shapes = summary.target.layer, summary.target.shape
    if isinstance(layers, str):
        units = "" if summary.unit is None else f", unit {unit_text(summary.unit)}"
        return f"{layers}, {by(shapes)} units{units}"
    return ", ".join(f"{layer} {by(shape)}" for layer, shape in zip(layers, shapes, strict=True))


class Compared(NamedTuple):
    """One of several maps by what it differs in; where there is none, `note` says why."""

    label: str
    summary: Summary | None
    note: str | None


def _map(key: str, of: Callable[[Summary], Any], show: Show = None, spare: int = 0, heading: str = "") -> Column:
    """Make the column of a figure of a map."""
    return Column(key, heading, show, of=lambda row: row.summary and of(row.summary), spare=spare)


def _share(key: str, of: Callable[[FairShare], Any], spare: int = 0, heading: str = "") -> Column:
    """Make the column of a figure of fair shares, as far as a map has them."""
    return _map(key, lambda summary: of(summary.share) if summary.share else None, spare=spare, heading=heading)


def fairness(of: Callable[[Any], Any]) -> tuple[Column, Column, Column]:
    """Make the columns of the rim and of the starved and overused pixels of a map, which `of` finds in a row."""

    def shared(row: Any) -> Any:
        return share if (summary := of(row)) and (share := summary.share) else None

    return (
        Column("rim", of=lambda row: of(row).rim.short if shared(row) and of(row).rim else None),
        Column("starved", show=percent, of=lambda row: share.starved if (share := shared(row)) else None),
        Column("overused", show=percent, of=lambda row: share.overused if (share := shared(row)) else None),
    )


COMPARED = (
    _map("max", lambda summary: summary.max, lambda most: rounded(int(most)) if most >= MANY else most),
    *fairness(lambda row: row.summary),
    _share("least", lambda share: share.least),
    _share("most", lambda share: share.most, 1),
    _share("corner", lambda share: share.corners.top_left, 2),
    _map("asymmetry", lambda summary: max(summary.asymmetry.height, summary.asymmetry.width), spare=3),
    _share("share_skew", lambda share: max(share.skew.height, share.skew.width, key=abs), heading="skew"),
    Column("note"),
)


def compare(
    items: Sequence[Item], varies: str, files: Sequence[str] = (), spelled: Callable[[str], str] = str
) -> Report:
    """Report maps side by side; what cannot run says why, with options as `spelled` writes them."""
    rows = [Compared(label, *_or_note(counts, spelled)) for label, counts in items]
    table = Table((Column(varies, of=lambda row: row.label), *COMPARED), rows)
    results = [
        {varies: label, "error": str(counts)} if isinstance(counts, PadvizError) else _figures(counts)
        for label, counts in items
    ]
    facts = {"varies": varies, "values": [label for label, _ in items], "results": results}
    return Report("compare", facts, [[table]], files=files)


def _figures(counts: CountMap) -> Any:
    """Pick the figures of a map for JSON: those of a signal are of its length alone."""
    figures = plain(counts.summary())
    return signal.along_length(figures) if len(counts.network.axes) == 1 else figures


def _or_note(counts: CountMap | PadvizError, spelled: Callable[[str], str]) -> tuple[Summary | None, str | None]:
    if isinstance(counts, PadvizError):
        return None, spelled(f"cannot run: {counts.where}: {counts.what}")
    summary = counts.summary()
    return summary, None if summary.share else f"no fair share: {summary.share_reason}"
