"""`padviz taps`: how often each tap of a window reads a real pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.geometry.tap_exposure import TapExposure
    from padviz.network.network import Network, Size


@click.command(name="taps", short_help="How often each tap of a window reads a real pixel instead of padding.")
@options.model
@options.size
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Only this layer; may be given several times.")
@options.same
@options.format_of("table", "json", "csv")
@options.output("Draw the grids to a picture (.png .svg .pdf).")
@options.overwrite
def command(
    model: str,
    size: tuple[int, int] | None,
    layers: tuple[str, ...],
    same: bool,
    format_: str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Count, for each tap of each window of MODEL, the units that read a real pixel with it.

    An uneven layer has a grid that leans. Imbalance, height x width, says how much more the bottom (right) half of the
    taps reads than the top (left) half, in percent of both. A learned window has weights that can lean too, a rigid
    one (*) has none.

    \b
    Example:
      padviz taps resnet50 --size 224
    """
    from padviz.figures.canvas import PICTURE_SUFFIXES
    from padviz.geometry.tap_exposure import tap_exposure

    if output is not None:
        options.checked_output(output, PICTURE_SUFFIXES, overwrite)
    network = options.load_as(model, size, same)
    pixels = size or network.size
    wanted = options.known_layers(network, layers)
    followed = options.cut(network, layers)
    rows = [row for row in tap_exposure(followed, pixels) if row.layer in wanted and (layers or row.grid.size > 1)]
    if not rows:
        what = f"{', '.join(layers)} has no taps" if layers else "has no window with several taps"
        raise OptionError(what, where=network.name, hint="convolutions and pools have; padviz layers MODEL lists them")
    if output is not None:
        from padviz.figures import panels
        from padviz.figures.canvas import save

        save(panels.taps(rows, f"{network.title}, {pixels[0]} × {pixels[1]}"), output)
    click.echo(_text(rows, network, pixels, format_, output))


def _text(rows: list[TapExposure], network: Network, size: Size, format_: str, output: Path | None) -> str:
    from padviz.geometry.tap_exposure import tap_facts
    from padviz.reports import documents, tables

    if format_ == "json":
        head = {"schema_version": 1, "network": network.name, "size": list(size)}
        files = [str(output)] if output else []
        return documents.to_json({**head, "layers": [tap_facts(row) for row in rows], "files": files})
    if format_ == "csv":
        keys = ("layer", "kind", "taps", "units", "least", "most", "left_right", "top_bottom", "uneven", "learned")
        return documents.to_csv(keys, [(row.layer, row.kind, *_cells(row), int(row.learned)) for row in rows])
    columns = ("layer", "kind", "taps", "units", "least", "most", "imbalance")
    cells = []
    for row in rows:
        *counts, wide, tall, uneven = _cells(row)
        both = f"{tall:+.2%}" if wide == tall else f"{tall:+.2%} x {wide:+.2%}"
        kind = row.kind if row.learned else row.kind + options.RIGID
        cells.append((row.layer, kind, *counts, (f"{both} uneven" if uneven else both) if wide or tall else "0"))
    title = f"{network.title}, {size[0]} x {size[1]}: units whose tap reads a real pixel"
    table = tables.to_table(columns, cells, title)
    return table if all(row.learned for row in rows) else f"{table}\n\n{options.RIGID_NOTE}"


def _cells(row: TapExposure) -> tuple[Any, ...]:
    tall, wide = row.imbalance
    taps = f"{row.grid.shape[0]} x {row.grid.shape[1]}"
    return taps, row.units, int(row.grid.min()), int(row.grid.max()), wide, tall, int(row.uneven)
