"""How often each tap of a window reads the image, and not padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NotRequired, TypedDict

from padviz.analyses.asked import Layers, Pixels, Source, asked, names
from padviz.analyses.result import Result
from padviz.analyses.uneven import POOL, kind_of
from padviz.counting.shares.summary import percent
from padviz.errors import OptionError
from padviz.geometry.ledger import TapExposure, tap_exposure
from padviz.network.network import Network, Size, in_words
from padviz.options import MODEL, PADDING, SAME, SHOWN_LAYERS, SIZE, Command
from padviz.reports.documents import picked
from padviz.reports.report import Column, Heading, Report, Table
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import once


def taps(
    network: Annotated[Source, MODEL],
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    layer: Annotated[Layers, SHOWN_LAYERS] = None,
) -> Result[TapExposure]:
    """Count, for each tap of each window, the units that read a real pixel with it.

    An even layer has a grid that mirrors; an uneven one does not, and skewed filters go with it.

    Parameters
    ----------
    network, size, padding, same
        As for `uneven`.
    layer : str or iterable of str, optional
        Only these layers; by default all windows with several taps.

    Returns
    -------
    Result
        One for each convolution and pool; grids of shape (kernel height, width), in units.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    A grid sums to the layer's reads of real pixels, which is what usage counts of that layer alone.
    Source: Alsallakh et al., ICLR 2021: the geometric side of its mean filters.

    Examples
    --------
    >>> taps("resnet18", 224, layer="layer4.0.conv1")[0].grid
    array([[36, 42, 42],
           [42, 49, 49],
           [42, 49, 49]])
    """
    from padviz.figures.maps import panels

    with asked(network, size, padding, same, layer) as (wanted, pixels):
        only = {wanted.find(name).name for name in names(layer)}
        rows = tap_exposure(wanted, pixels)
        if only:
            rows = tuple(row for row in rows if row.layer in only)
        else:
            rows = tuple(row for row in rows if row.grid.size > 1)
        if not rows:
            what = f"{', '.join(only)} has no taps" if only else "has no window with several taps"
            raise OptionError(
                what,
                where=wanted.name,
                hint="convolutions and pools have; padviz layers MODEL lists them",
            )
        title = f"{wanted.title}, {in_words(pixels)}"
        return Result.made_of(
            None, rows, partial(report_of, rows, wanted, pixels), partial(panels.taps, rows, title)
        )


class TapRow(TypedDict):
    """The taps of a layer: `grid` counts the units that read a real pixel with each.

    `imbalance` is, on each axis, the second half of the taps minus the first, over their sum.
    """

    layer: str
    kind: str
    convolution: bool
    uneven: bool
    kernel: list[int]
    units: int
    min: int
    max: int
    imbalance_length: NotRequired[float]
    imbalance_depth: NotRequired[float]
    imbalance_height: NotRequired[float]
    imbalance_width: NotRequired[float]
    grid: list[Any]


TAPS = (
    Column("kernel", of=lambda row: in_words(row.grid.shape)),
    Column("units", spare=2),
    Column("min", of=lambda row: row.grid.min()),
    Column("max", of=lambda row: row.grid.max(), spare=1),
)


def report_of(rows: Sequence[TapExposure], network: Network, size: Size) -> Report:
    pools = POOL
    if all(row.convolution for row in rows):
        pools = ""
    shown = (Column("layer"), Column("kind", of=kind_of), *TAPS, Column("imbalance", of=_imbalance))
    table = Table(shown, rows, pools, marked=lambda row: row.uneven)
    heading = Heading(f"{network.title}, {in_words(size)}: units whose tap reads a real pixel")
    figures = [picked(row, "layer kind convolution uneven units grid") for row in rows]
    for row, named in zip(rows, figures, strict=True):
        named |= {"kernel": row.grid.shape, "min": row.grid.min(), "max": row.grid.max()}
        named |= {f"imbalance_{axis}": share for axis, share in row.imbalance.items()}
    facts = about(network.name, size, network.padding)
    return Report("taps", facts, [[heading, table]], rows_of(figures, TapRow))


def _imbalance(row: TapExposure) -> str:
    both = once(percent(share, 2, "+") for share in row.imbalance.values())
    if row.uneven:
        return f"{both} uneven"
    if any(row.imbalance.values()):
        return both
    return "0"


COMMAND = Command(
    taps,
    """Count, for each kernel position (tap) of MODEL, the output positions at which it reads the
    image, not padding.

    Imbalance (height x width) is the bottom (right) half of the kernel minus the top (left) half,
    in percent of their sum. It is not 0 where a window reads more padding on one side than on the
    other: see padviz uneven.

    \b
    Example:
      padviz taps resnet18 --size 224 --layer conv1
      padviz taps resnet18 --size 224 -o taps.png
    """,
)
