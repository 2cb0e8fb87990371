"""`padviz sizes`: the input sizes at which no padding is read unevenly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.value_types import SizeType
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.network.network import Network


@click.command(name="sizes", short_help="Input sizes at which no padding is read unevenly, and their rule.")
@options.model
@click.option("--size", type=SizeType(), help="Size at which an ONNX file or a module is read, if it asks.")
@click.option("--range", "range_", default="64:1024", metavar="LO:HI", show_default=True, help="Sizes to look at.")
@click.option("--axis", type=click.Choice(["both", "height", "width"]), default="both", help="Squares, or one side.")
@options.upto
@options.same
@options.format_of("table", "json", "csv")
@options.output("Write the result to a file (.txt .json .csv) instead of the terminal.")
@options.overwrite
def command(
    model: str,
    size: tuple[int, int] | None,
    range_: str,
    axis: str,
    layers: tuple[str, ...],
    same: bool,
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """List the even sizes of MODEL: all, those that drop no row, the rules they follow, and multiply-adds (macs).

    \b
    Example:
      padviz sizes resnet50 --range 64:1024
    """
    from padviz.geometry.balance.even_sizes import even_sizes
    from padviz.geometry.costs import macs_of_squares
    from padviz.network.baked import declared
    from padviz.reports import documents, tables

    lo, hi = _range(range_)
    format_ = options.format_for(output, format_, overwrite)
    network = options.cut(options.load_as(model, size, same), layers)
    options.warn_if_baked(network)
    if network.fixed:
        axes = " and ".join(("height", "width")[i] for i in network.fixed)
        options.say(f"{network.name}: its {axes} cannot vary, so only {options.pixels(network.size)} fits")
    if said := declared(network):
        options.say(f"{network.name}: {said}")
    found = even_sizes(network, lo, hi, axis)
    without = set(found.even_without_drops)
    macs = macs_of_squares(network, found.even) if axis == "both" else None
    if format_ == "json":
        keys = ("network", "range", "axis", "even", "even_without_drops", "rule", "rule_without_drops")
        text = documents.to_json({"schema_version": 1, **{key: getattr(found, key) for key in keys}, "macs": macs})
    elif format_ == "csv":
        prices: Sequence[int | None] = macs or [None] * len(found.even)
        priced = zip(found.even, prices, strict=True)
        text = documents.to_csv(("size", "drops", "macs"), [(n, int(n not in without), each) for n, each in priced])
    else:
        facts: list[tuple[str, Any]] = [
            ("network", f"{network.title}, sizes {lo} to {hi}" + ("" if axis == "both" else f", {axis} alone")),
            ("even", f"{len(found.even)} of {hi - lo + 1} sizes"),
            ("rule", found.rule or "none that holds in the whole range"),
            ("sizes", _runs(found.even)),
            *(_why_none(network, lo, hi) if not found.even else []),
            *_priced(found.even, macs),
            ("no row dropped", f"{len(without)} of {hi - lo + 1} sizes"),
            ("rule", found.rule_without_drops or "none that holds in the whole range"),
            ("sizes", _runs(found.even_without_drops)),
        ]
        text = tables.to_facts(facts)
    options.put(text, output, overwrite)


def _why_none(network: Network, lo: int, hi: int) -> list[tuple[str, str]]:
    """Which window stands in the way of every even size, if one does."""
    from padviz.geometry.balance.nearest import odd_window

    middle = (lo + hi) // 2
    odd = odd_window(network, (middle, middle))
    return [("why none", f"{odd} reads an odd number of padded rows at each, which no pads can halve")] if odd else []


def _priced(even: Sequence[int], macs: Sequence[int] | None) -> list[tuple[str, str]]:
    """The multiply-adds at the first even size and at the last one.

    >>> _priced([225, 257], [4624665792, 5967894016])
    [('macs', '4,624,665,792 at 225, 5,967,894,016 at 257')]
    """
    ends = list(dict(zip(even, macs or [], strict=False)).items())
    shown = ", ".join(f"{each:,} at {n}" for n, each in dict(ends[:1] + ends[-1:]).items())
    return [("macs", shown)] if shown else []


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text, re.ASCII)
    if not match:
        raise OptionError(f"{text!r} is not a range", where="--range", hint="use LO:HI within 1:1000000, as 64:1024")
    return int(match[1]), int(match[2])


def _runs(sizes: Sequence[int]) -> str:
    """Sizes with runs of neighbours drawn together.

    >>> _runs([5, 6, 7, 9])
    '5-7 9'
    """
    parts: list[list[int]] = []
    for n in sizes:
        if parts and n == parts[-1][-1] + 1:
            parts[-1][1:] = [n]
        else:
            parts.append([n])
    return " ".join("-".join(map(str, part)) for part in parts) or "none"
