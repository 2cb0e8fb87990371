"""The report of `kernel`: one layer on a small image, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from padviz.geometry.one_layer import Illustration
from padviz.network.rewrites import padding_in_words
from padviz.reports.report import Heading, Report, Table, Verbatim, columns

Pixel = tuple[int, int]
Grid = Sequence[Sequence[Any]]


def report_of(illustrations: Sequence[Illustration], pixel: Pixel | None, files: Sequence[str]) -> Report:
    """Report the grids of a window under some padding schemes."""
    layers = [_facts(layer, pixel) for layer in illustrations]
    screen = [block for layer in illustrations for block in (Heading(_title(layer)), Verbatim(_beside(layer, pixel)))]
    sheet = Table(columns("padding grid row column value"), [row for facts in layers for row in _cells(facts)])
    return Report("kernel", {"layers": layers}, [screen], sheet, files=files)


def _title(layer: Illustration) -> str:
    window = layer.windows[0]
    side = f"{window.kernel} x {window.kernel}"
    return f"{padding_in_words(layer.scheme)}: {side} kernel, stride {window.stride}, dilation {window.dilation}"


def _facts(layer: Illustration, pixel: Pixel | None) -> dict[str, Any]:
    """Lay out a layer for JSON; fractions are texts."""
    window = layer.windows[0]
    head = {"padding": layer.scheme, "kernel": window.kernel, "stride": window.stride, "dilation": window.dilation}
    grids: dict[str, Grid] = {
        "padded": layer.padded,
        "uses": layer.uses,
        **({"taps": layer.taps(*pixel)} if pixel else {}),
    }
    exact = {key: [[n if isinstance(n, int) else str(n) for n in row] for row in grid] for key, grid in grids.items()}
    return {**head, "size": [*layer.size], "pixel": pixel, **exact}


def _cells(facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("padded", "uses", "taps"):
        for i, row in enumerate(facts.get(name, ())):
            for j, value in enumerate(row):
                yield {"padding": facts["padding"], "grid": name, "row": i, "column": j, "value": value}


def _beside(layer: Illustration, pixel: Pixel | None) -> str:
    """Lay the grids out side by side."""
    grids: dict[str, Grid] = {"padded image": layer.padded, "uses of each pixel": layer.uses}
    if pixel:
        grids[f"reads of pixel {pixel[0]},{pixel[1]} by each tap"] = layer.taps(*pixel)
    blocks = [_lines(name, grid) for name, grid in grids.items()]
    widths = [max(map(len, block)) for block in blocks]
    rows = zip_longest(*blocks, fillvalue="")
    lines = ["    ".join(f"{line:{n}}" for line, n in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(map(str.rstrip, lines))


def _lines(name: str, grid: Grid) -> list[str]:
    width = max(len(str(cell)) for row in grid for cell in row)
    return [name, *(" ".join(f"{cell!s:>{width}}" for cell in row) for row in grid)]
