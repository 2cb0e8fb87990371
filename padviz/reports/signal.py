"""The report of `usage` of a signal, which is counted as a map of one row: the figures of its one axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Rim, Summary, unit_text
from padviz.network.rewrites import padding_in_words
from padviz.reports.documents import plain
from padviz.reports.fair_shares import Said, fair_shares, heads, left_out
from padviz.reports.report import Column, Facts, Report, Table

LISTS = ("size", "shape", "period", "unit")  # of which the first is of the row
NAMES = {"width": "length", "top_left": "first", "top_right": "last", "rim_left": "rim_first", "rim_right": "rim_last"}


def usage(counts: CountMap, columns: Sequence[Column]) -> Report:
    """Report the figures of a signal's usage, under those of the columns that are not of the row."""
    summary = counts.summary()
    screen = Facts(_facts(counts, summary))
    sheet = [
        replace(column, key=_renamed(column.key), of=column.of or column.value)
        for column in columns
        if "height" not in column.key and column.key not in ("rim_top", "rim_bottom")
    ]
    return Report("usage", along_length(plain(summary)), [[screen]], Table(sheet, [summary]))


def _renamed(key: str) -> str:
    return NAMES.get(key, key.replace("width", "length"))


def along_length(facts: Any) -> Any:
    """Leave of the figures of a map of one row those along it.

    >>> along_length({"size": [1, 9], "rim": {"height": [0, 0], "width": [2, 3]}})
    {'size': [9], 'rim': {'length': [2, 3]}}
    """
    if not isinstance(facts, dict):
        return facts
    own = {key: item for key, item in facts.items() if key not in ("height", "bottom_left", "bottom_right")}
    return {_renamed(key): _last(item) if key in LISTS else along_length(item) for key, item in own.items()}


def _last(shape: Any) -> Any:
    """Leave of the shape of a map, or of those of several, what is of its columns."""
    several = shape and all(isinstance(each, list) and len(each) == 2 for each in shape) and len(shape) != 2
    return [each[1:] for each in shape] if several else shape and shape[1:]


def _facts(counts: CountMap, summary: Summary) -> Iterator[tuple[str, object]]:
    yield "network", f"{summary.network}, {summary.size[-1]} samples"
    yield "padding", padding_in_words(summary.padding)
    layer, shape = summary.target.layer, summary.target.shape
    units = f", {shape[-1]} units" if isinstance(layer, str) else ""
    unit = f", unit {unit_text(summary.unit[-1:])}" if summary.unit else ""
    yield "target", f"{', '.join(summary.target.names)}{units}{unit}"
    yield from heads(counts)
    for name in ("max", "min", "mean", "centre"):
        yield f"paths, {name}", getattr(summary, name)
    yield "paths, first", summary.corners.top_left
    yield "paths, last", summary.corners.top_right
    yield from fair_shares(summary, counts.walked.pads, SAID)
    yield "asymmetry", _along(summary.asymmetry, ".4g")
    yield "skew of usage", _along(summary.skew, "+.4g")
    tiled = f"in a core of {counts.cols.kept}, whose middle repeats by {counts.cols.period} samples"
    yield "counted", f"{tiled if counts.tiled else 'at every position'} ({summary.method})"
    yield from left_out(summary)


def _ends(corners: Any) -> str:
    first, last = (f"{end:.4g}" if end is not None else "none" for end in (corners.top_left, corners.top_right))
    return f"first {first}, last {last}"


def _along(figures: Any, form: str) -> str:
    return f"{figures.width:{form}}"


def ends_in_words(rim: Rim) -> str:
    """Say the depths at both ends.

    >>> ends_in_words(Rim([0, 0], [14, 34])), ends_in_words(Rim([0, 0], [0, 9]))
    ('the first 14 and the last 34 samples', 'the last 9 samples')
    """
    ends = [f"the {end} {depth}" for end, depth in zip(("first", "last"), rim.width, strict=True) if depth]
    return f"{' and '.join(ends)} samples"


SAID = Said("sample", ends_in_words, _ends, _along)
