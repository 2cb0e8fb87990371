"""What a tile of a size keeps of an image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from padviz.analyses.asked import Pixels, Source, asked_up_to
from padviz.analyses.result import Result
from padviz.cutting.context import barrier_of, contexts_of
from padviz.cutting.plan import Kept, kept_of
from padviz.network.network import Network, Size, in_words
from padviz.options import LAYERS, MODEL, PADDING, SAME, SIZE, TILE, Command
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.reports.rows import about


def keeps(
    network: Annotated[Source, MODEL],
    size: Annotated[Pixels, SIZE],
    tile: Annotated[Pixels, TILE],
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
) -> Result[Kept]:
    """List what a tile of a size keeps of an image: exactly, and with most of the paths of each
    unit.

    Parameters
    ----------
    network, layer, padding, same
        As for `tiles`.
    size : int or (height, width)
        Size of the image in pixels.
    tile : int or (height, width)
        Size of the tile.

    Returns
    -------
    Result
        By layer, axis and share of the paths (1 is exact): the units that a tile inside an image
        keeps, the pixels that they stand for, and those that it reads `before` and `after` them.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Examples
    --------
    >>> kept = keeps("unet_padded", 1024, 256)
    >>> kept[0].level, kept[0].pixels
    (1, 68.0)
    """
    with asked_up_to(layer, network, size, padding, same) as (kept, image):
        rows = kept_of(kept, image, kept.pixels(tile))
        return Result.made_of(None, rows, partial(report_of, kept, image, kept.pixels(tile), rows))


def report_of(network: Network, image: Size, tile: Size, rows: Sequence[Kept]) -> Report:
    barrier, sides = barrier_of(network, contexts_of(network, image)), dict[float, list[str]]()
    for row in rows:
        if row.layer == rows[0].layer:
            sides.setdefault(row.level, []).append(f"{row.pixels:g}")
    exact = f"{in_words(sides.pop(1))} {network.px} exactly"
    exact = f"nothing exactly: {barrier.layer} ({barrier.why})" if barrier else exact
    shares = " and ".join(
        f"{in_words(pixels)} with {100 * level:g} %" for level, pixels in sides.items()
    )
    less = f"; {shares} of the paths of each unit, not exact" if shares else ""
    inside = "Inside an image, a tile"
    if len(image) == 1:
        inside = "Inside a signal, a chunk"
    said = f"{inside} of {in_words(tile)} keeps {exact}{less}."
    share = Column("level", "", lambda level: f"{100 * level:g} %")
    shown = Table((*columns("layer axis"), share, *columns("units pixels before after")), rows)
    legend = f"before, after: {network.px} that it reads on either side of those that it keeps."
    facts = about(network.name, image, network.padding) | {"tile": tile, "barrier": barrier}
    screen = [Heading(network.title), Lines([said]), shown, Lines([legend])]
    sheet = Table(columns("layer axis level units pixels before after"), rows)
    return Report("keeps", facts, [screen], sheet)


COMMAND = Command(
    keeps,
    """List what a tile of MODEL keeps of an image: exactly, and with 99.9 % and 99 % of the paths
    of each unit.

    An output unit is kept exactly if it sees the same pixels and padding as in the whole image.
    Shares below 100 % keep more of a tile, and are not exact.

    \b
    Example:
      padviz keeps unet_padded --size 1024 --tile 256
    """,
    files=(),
)
