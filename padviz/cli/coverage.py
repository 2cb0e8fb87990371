"""`padviz coverage`: what share of each unit's paths starts at real pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.counting.count_map import CountMap
    from padviz.geometry.reaching.border_margins import Barrier, Margin


@click.command(name="coverage", short_help="What share of each unit's paths starts at real pixels, not padding.")
@options.model
@options.size
@options.padding
@options.pooling
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Layers to look at; the last map by default.")
@click.option("--margin", is_flag=True, help="Instead: how many units next to each border padding touches.")
@options.output(
    "Picture (.png .svg .pdf) or exact counts (.npy .npz .csv). Default: MODEL-SIZE[-MODE]-coverage.png. "
    "With --margin, a table (.txt .json .csv)."
)
@options.format_of("table", "json", "csv")
@options.cmap
@options.overwrite
def command(
    model: str,
    size: tuple[int, int] | None,
    padding: str | None,
    pooling: str,
    layers: tuple[str, ...],
    margin: bool,
    output: Path | None,
    format_: str,
    cmap: str | None,
    overwrite: bool,
) -> None:
    """Count the paths that reach each unit of a layer of MODEL from real pixels, exactly, and draw their share.

    Where padding reads nothing, units near the border miss paths: the lines that padding draws into feature maps.
    With several layers, the picture is a strip through the network. --margin tells a person who cuts images into
    tiles how many pixels a tile needs around it.

    \b
    Example:
      padviz coverage vgg19 --size 224 --layer features.9 --layer features.36
      padviz coverage vgg19 --size 224 --margin
    """
    format_ = options.format_for(output, format_, overwrite) if margin else format_
    network = options.load_as(model, size)
    pixels = size or network.size
    if margin:
        from padviz.geometry.reaching.border_margins import margins
        from padviz.network.rewrites import with_padding

        wanted = options.known_layers(network, layers)
        followed = with_padding(options.cut(network, layers), padding)
        rows = [row for row in margins(followed, pixels) if row.layer in wanted]
        options.put(_margins(rows, network.name, pixels, format_), output, overwrite)
        return
    from padviz.counting.coverage import coverages
    from padviz.figures.canvas import PICTURE_SUFFIXES
    from padviz.network.targets import names_of
    from padviz.reports.counts import COUNT_SUFFIXES

    targets = names_of(layers or None, network)
    if output is not None:
        if len(targets) > 1 and output.suffix.lower() in COUNT_SUFFIXES:
            raise OptionError(f"{str(output)!r} holds the counts of one layer", where="-o", hint="name one --layer")
        suffixes = PICTURE_SUFFIXES + COUNT_SUFFIXES
        options.checked_output(output, suffixes, overwrite)
    found = coverages(network, pixels, padding, targets, pooling)
    path = output or options.default_picture(network, pixels, padding, "coverage")
    _write(found, path, cmap)
    options.put(_shares(found, path, format_), None, overwrite)


def _write(found: tuple[CountMap, ...], path: Path, cmap: str | None) -> None:
    from padviz.figures import panels
    from padviz.figures.canvas import save
    from padviz.figures.heatmap import heatmap
    from padviz.reports.counts import COUNT_SUFFIXES, write_counts

    if path.suffix.lower() in COUNT_SUFFIXES and len(found) == 1:
        write_counts(found[0], path)
    else:
        save(heatmap(found[0], cmap) if len(found) == 1 else panels.strip(found, cmap), path)


def _shares(found: tuple[CountMap, ...], path: Path, format_: str) -> str:
    """The figures of coverage maps: counts are exact, shares are floats."""
    from padviz.reports import documents, tables

    columns = ("layer", "height", "width", "full", "max", "min", "share mean", "share centre", "share corner")
    rows = []
    for each in found:
        (height, width), full = each.shape, each.full or 1
        shares = each.total / full / (height * width), each.at(height // 2, width // 2) / full, each.at(0, 0) / full
        rows.append((each.target.layer, height, width, full, each.max, each.min, *shares))
    if format_ == "csv":
        return documents.to_csv(columns, rows)
    network, size = found[0].network, found[0].size
    if format_ == "json":
        listed = [dict(zip([column.replace(" ", "_") for column in columns], row, strict=True)) for row in rows]
        head: dict[str, Any] = {"schema_version": 1, "network": network.name, "size": list(size)}
        head |= {"padding": found[0].padding, "pooling": found[0].pooling, "layers": listed, "files": [str(path)]}
        return documents.to_json(head)
    cells = [(row[0], f"{row[1]} x {row[2]}", _rounded(row[3]), row[5] / (row[3] or 1), *row[6:]) for row in rows]
    title = f"{network.title}, {size[0]} x {size[1]}: share of each unit's paths that starts at real pixels"
    table = tables.to_table(("layer", "units", "paths", "least", "mean", "centre", "corner"), cells, title)
    return f"{table}\n\n{tables.to_facts([('file', str(path))])}"


def _rounded(value: int | float) -> str:
    from padviz.reports import tables

    return tables.rounded(int(value)) if value >= 10**6 else f"{value:,.4g}" if value % 1 else f"{int(value):,}"


def _margins(rows: list[Margin], network: str, size: tuple[int, int], format_: str) -> str:
    """Units and pixels at the top, bottom, left and right; behind what makes all positions depend on all, no pixels."""
    from padviz.reports import documents, tables

    sides = ("top", "bottom", "left", "right")
    none = (None, None)
    cells = [(r.layer, r.kind, *r.height, *r.width, *(r.halo_height or none), *(r.halo_width or none)) for r in rows]
    if format_ == "csv":
        columns = ("layer", "kind", *(f"units {side}" for side in sides), *(f"pixels {side}" for side in sides))
        columns += ("none height", "none width")
        stops = [[_barrier(stop) for stop in (row.barrier_height, row.barrier_width)] for row in rows]
        return documents.to_csv(columns, [(*cell, *stop) for cell, stop in zip(cells, stops, strict=True)])
    if format_ == "json":
        listed = [
            {"layer": row[0], "kind": row[1]}
            | {"units": dict(zip(sides, row[2:6], strict=True)), "pixels": dict(zip(sides, row[6:], strict=True))}
            | {"none": {"height": _fact(each.barrier_height), "width": _fact(each.barrier_width)}}
            for row, each in zip(cells, rows, strict=True)
        ]
        return documents.to_json({"schema_version": 1, "network": network, "size": list(size), "layers": listed})
    pairs = []
    for row in rows:
        said = ("", "", _barrier(row.barrier_height), _barrier(row.barrier_width))
        figures = zip((row.height, row.width, row.halo_height, row.halo_width), said, strict=True)
        pairs.append((row.layer, row.kind, *("+".join(map(str, pair)) if pair else stop for pair, stop in figures)))
    title = f"{network}, {size[0]} x {size[1]}: rows (top+bottom), columns (left+right) near padding"
    return tables.to_table(("layer", "kind", "unit rows", "columns", "pixel rows", "columns"), pairs, title)


def _barrier(stop: Barrier | None) -> str:
    return f"none: {stop[0]} ({stop[1]})" if stop else ""


def _fact(stop: Barrier | None) -> dict[str, str] | None:
    return dict(zip(("layer", "why"), stop, strict=True)) if stop else None
