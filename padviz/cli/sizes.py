"""`padviz sizes`: the input sizes at which no padding is read unevenly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from padviz.cli import options
from padviz.errors import OptionError


@click.command(name="sizes", short_help="Input sizes at which no padding is read unevenly, and their rule.")
@options.model
@click.option("--size", type=options.SizeType(), help="Size at which an ONNX file or a module is read, if it asks.")
@click.option("--range", "range_", default="64:1024", metavar="LO:HI", show_default=True, help="Sizes to look at.")
@click.option("--axis", type=click.Choice(["both", "height", "width"]), default="both", help="Squares, or one side.")
@options.upto
@options.same
@options.format_of("table", "json", "csv")
@options.output("Write the result to a file instead of the terminal.")
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
    """List the even sizes of MODEL: all, those that drop no row, and the rules they follow.

    \b
    Example:
      padviz sizes resnet50 --range 64:1024
    """
    from padviz.audit.even_sizes import even_sizes
    from padviz.files import documents, tables

    lo, hi = _range(range_)
    if output is not None:
        options.checked_output(output, None, overwrite)
    network = options.cut(options.load_as(model, size, same), layers)
    options.warn_if_baked(network)
    if network.fixed:
        axes = " and ".join(("height", "width")[i] for i in network.fixed)
        options.say(f"{network.name}: its {axes} cannot vary, so only {options.pixels(network.size)} fits")
    found = even_sizes(network, lo, hi, axis)
    without = set(found.even_without_drops)
    if format_ == "json":
        keys = ("network", "range", "axis", "even", "even_without_drops", "rule", "rule_without_drops")
        text = documents.to_json({"schema_version": 1, **{key: getattr(found, key) for key in keys}})
    elif format_ == "csv":
        text = documents.to_csv(("size", "drops"), [(n, int(n not in without)) for n in found.even])
    else:
        facts: list[tuple[str, Any]] = [
            ("network", f"{network.title}, sizes {lo} to {hi}" + ("" if axis == "both" else f", {axis} alone")),
            ("even", f"{len(found.even)} of {hi - lo + 1} sizes"),
            ("rule", found.rule or "none that holds in the whole range"),
            ("sizes", _runs(found.even)),
            ("no row dropped", f"{len(without)} of {hi - lo + 1} sizes"),
            ("rule", found.rule_without_drops or "none that holds in the whole range"),
            ("sizes", _runs(found.even_without_drops)),
        ]
        text = tables.to_facts(facts)
    options.put(text, output, overwrite)


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
