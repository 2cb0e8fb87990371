"""`padviz filters`: what training made of the filters, and whether they lean to one side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.errors import DescriptionError

if TYPE_CHECKING:
    from padviz.trained.mean_filters import AxisSkew, Group, MeanFilter, MeanFilters

SCHEMA_VERSION = 1
NAMED = 3  # layers of a line
STRIDED, STRIDED_NOTE = "*", "* of a stride above 1."
LEGEND = (
    "height, width: D; above 0, the bottom or the right half has larger weights; p: of sign flips. "
    "a: the part of the mean filter that its mirror image does not share. "
    "offset: of the grid from the image's centre, in input pixels; used: padding that is read before and after."
)
ONE_SIDE = "all offsets lie on one side: nothing is tested"
COLUMNS = ("layer", "k/s", "out", "height", "p", "width", "p", "a", "offset", "used")
FLAT = (
    "layer", "kind", "kernel_height", "kernel_width", "channels", "dead", "norm", "uses", "axis", "stride",
    "skew", "z", "p", "asymmetry", "asymmetry_p", "offset", "consumed_before", "consumed_after",
)  # fmt: skip


@click.command(name="filters", short_help="Mean filters of a trained network, and whether they lean to one side.")
@options.trained
@options.size
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Only this layer; may be given several times.")
@options.format_of("table", "json", "csv")
@options.output("Draw the mean filters (.png .svg .pdf).")
@options.overwrite
def command(
    model: str,
    weights: str | None,
    size: tuple[int, int] | None,
    layers: tuple[str, ...],
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Average the filters of every convolution of MODEL, a trained network, and measure how they lean.

    MODEL is an ONNX file, or a PyTorch module as package.module:attribute: one that is trained, or one whose --weights
    are given. D is the mean over output channels of how much larger the absolute weights of a filter's second half are
    than those of its first, over the sum of all; 0 is even. In networks that were trained to test it, the sign of D
    went with the offset of the sampling grid from the image's centre. A network tests that only where offsets of both
    signs occur.

    \b
    Example:
      padviz filters model.onnx -o filters.png
      padviz filters model.onnx --format json
    """
    from padviz.figures.canvas import PICTURE_SUFFIXES
    from padviz.trained.mean_filters import filters_of

    if output is not None:
        options.checked_output(output, PICTURE_SUFFIXES, overwrite)
    trained = options.read_trained(model, size, weights)
    found = filters_of(trained, layers)
    _check_measured(found, trained.where)
    for note in trained.notes:
        options.say(note)
    if output is not None:
        from padviz.figures.canvas import save
        from padviz.figures.trained.mean_filters import filters

        save(filters(found), output)
    text = {"table": _table, "json": _json, "csv": _csv}[format_]
    click.echo(text(found, [str(output)] if output else []))


def _check_measured(found: MeanFilters, where: str) -> None:
    """Refuse a network of which no convolution can be measured."""
    if all(row.why for row in found.rows):
        more = f", and {len(found.rows) - 1} more like it" if len(found.rows) > 1 else ""
        what = f"nothing can be measured: {found.rows[0].layer}: its {found.rows[0].why}{more}"
        raise DescriptionError(what, where=where, hint="use the weights of a network that was trained")


def _table(found: MeanFilters, files: list[str]) -> str:
    from padviz.reports import tables

    title = f"{found.title}, {found.size[0]} x {found.size[1]}: mean filters"
    parts = [tables.to_table(COLUMNS, map(_row, found.rows), title)]
    notes = [*([STRIDED_NOTE] if any(row.strided for row in found.rows) else []), LEGEND, *_notes(found)]
    parts.append("\n".join(map(tables.wrapped, notes)))
    columns = ("convolutions", "grid", "padding", "axes", "mean D", "D above 0")
    parts.append(tables.to_table(columns, map(_group, found.groups)) if found.groups else "")
    parts.append("\n".join(map(tables.wrapped, _summary(found))))
    return "\n\n".join(part for part in parts if part)


def _row(row: MeanFilter) -> tuple[Any, ...]:
    k = row.kernel
    shape = f"{k[0]}/" if k[0] == k[1] else f"{k[0]}x{k[1]}/"
    shape += "x".join(map(str, dict.fromkeys(row.strides)))
    axes = [cell for axis in (row.height, row.width) for cell in _skew(axis)]
    asymmetry = max((axis.asymmetry for axis in row.axes), default=None)
    offsets = [None if axis.offset is None else f"{axis.offset:+g}".replace("+0", "0") for axis in row.axes]
    pads = [None if axis.consumed is None else "+".join(map(str, axis.consumed)) for axis in row.axes]
    name = f"{row.layer}{STRIDED if row.strided else ''}"
    return name, shape, row.channels, *axes, asymmetry and f"{asymmetry:.2f}", _both(offsets), _both(pads)


def _skew(axis: AxisSkew | None) -> tuple[str | None, str | None]:
    return (None, None) if axis is None else (f"{axis.skew:+z.3f}", f"{axis.p:.3f}")


def _both(cells: list[str | None]) -> str:
    return " x ".join(dict.fromkeys(cell or "?" for cell in cells)).replace("?", "")


def _group(group: Group) -> tuple[Any, ...]:
    grid = {-1: "before the centre", 0: "centred", 1: "behind the centre", None: "undefined"}[group.grid]
    padding = {-1: "more behind", 0: "even", 1: "more before"}[group.padding]
    kind = "strided" if group.strided else "stride 1"
    return kind, grid, padding, group.axes, f"{group.skew:+z.3f}", f"{group.positive} of {group.axes}"


def _summary(found: MeanFilters) -> list[str]:
    """Strided convolutions against the others, and how often D went with the grid offset."""
    said = []
    for name, axes in (("Strided", found.strided), ("Stride 1", found.others)):
        if axes:
            mean = sum(axis.skew for axis in axes) / len(axes)
            positive = sum(axis.skew > 0 for axis in axes)
            said.append(f"{name}: D {mean:+z.3f}, above 0 on {positive} of {len(axes)} axes.")
    if off := len(found.off_centre):
        right = found.went_with
        went = (
            ONE_SIDE
            if right is None
            else f"D's sign went with the offset, larger weights away from it, on {right} of {off} axes"
        )
        said.append(f"Off-centre grids: {went}.")
    return said


def _notes(found: MeanFilters) -> list[str]:
    """What was left out, and what is folded."""
    said = []
    normed = sum(row.norm for row in found.rows)
    if normed:
        many = "" if normed == len(found.rows) else f" of {normed} of the {len(found.rows)} convolutions"
        said.append(f"Batch normalisation{many} is not folded into the weights; D is the same either way.")
    else:
        said.append("No batch normalisation follows: it was folded into the weights, or there is none; D is the same.")
    if dead := sum(row.dead for row in found.rows):
        layers = [row.layer for row in found.rows if row.dead]
        said.append(f"Left out: {dead} channels with weights below 1e-4 of the median channel's, of {_few(layers)}.")
    broken: dict[str, list[str]] = {}
    for row in found.rows:
        if row.why:
            broken.setdefault(row.why, []).append(row.layer)
    said += [f"Nothing can be measured of {_few(layers)}: {why}." for why, layers in broken.items()]
    if shared := [row.layer for row in found.rows if row.uses > 1]:
        said.append(f"Used by several layers, and counted once: {_few(shared)}.")
    if found.unread:
        name, why = next(iter(found.unread.items()))
        more = f", and {len(found.unread) - 1} more" if len(found.unread) > 1 else ""
        said.append(f"Not read: {name}, {why}{more}.")
    return said


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _json(found: MeanFilters, files: list[str]) -> str:
    from padviz.reports import documents
    from padviz.trained.mean_filters import filter_facts

    return documents.to_json({"schema_version": SCHEMA_VERSION, **filter_facts(found), "files": files})


def _csv(found: MeanFilters, files: list[str]) -> str:
    from padviz.reports import documents

    rows = []
    for row in found.rows:
        head = row.layer, row.kind, *row.kernel, row.channels, row.dead, int(row.norm), row.uses
        for name, axis in (("height", row.height), ("width", row.width)):
            if axis is not None:
                figures = axis.skew, axis.z, axis.p, axis.asymmetry, axis.asymmetry_p, axis.offset
                rows.append((*head, name, axis.stride, *figures, *(axis.consumed or (None, None))))
    return documents.to_csv(FLAT, rows)
