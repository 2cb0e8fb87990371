"""`padviz diff`: where two descriptions of a network part in size or padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from padviz.cli import options
from padviz.errors import OptionError


@click.command(name="diff", short_help="Layers where two descriptions of a network part in size or padding.")
@click.argument("model_a")
@click.argument("model_b", required=False)
@options.neutral
@options.size
@options.same
@options.format_of("table", "json", "csv")
@click.option("--check", is_flag=True, help="Exit with 1 if they part anywhere, for CI.")
@options.output("Write the result to a file (.txt .json .csv) instead of the terminal.")
@options.overwrite
def command(
    model_a: str,
    model_b: str | None,
    size: tuple[int, int] | None,
    same: bool,
    format_: str,
    check: bool,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Compare the windows of MODEL_A and MODEL_B at one size; with --same, MODEL_B is read in SAME's convention.

    Without MODEL_B, MODEL_A is compared with itself under --same: what moves when its weights are ported.

    \b
    Example:
      padviz diff mobilenet_v1 --size 224 --same
      padviz diff vgg16 vgg19 --size 224
    """
    from padviz.geometry.differences import differences
    from padviz.reports import documents, tables

    if model_b is None and not same:
        raise OptionError("there is nothing to compare with", where="MODEL_B", hint="name one, or add --same")
    format_ = options.format_for(output, format_, overwrite)
    first, second = options.load_as(model_a, size), options.load_as(model_b or model_a, size, same)
    pixels = size or first.size
    found = differences(first, second, pixels)
    columns = ("layer", "layer of B", "axis", "what", "A", "B")
    rows: list[tuple[Any, ...]] = [(row.a, row.b, row.axis, row.what, row.in_a, row.in_b) for row in found]
    if format_ == "json":
        keys = ("layer_a", "layer_b", "axis", "what", "a", "b")
        listed = [dict(zip(keys, row, strict=True)) for row in rows]
        head = {"schema_version": 1, "networks": [first.name, second.name], "same": same, "size": list(pixels)}
        text = documents.to_json({**head, "differences": listed})
    elif format_ == "csv":
        text = documents.to_csv(columns, rows)
    else:
        names = f"{first.title} and {second.title}{' under SAME' if same else ''}, {pixels[0]} x {pixels[1]}"
        text = (
            tables.to_table(columns, rows, names)
            if rows
            else tables.wrapped(f"{names}: no difference in size or padding")
        )
    options.put(text, output, overwrite)
    if check and rows:
        raise SystemExit(1)
