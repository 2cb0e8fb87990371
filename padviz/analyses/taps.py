"""How often each tap of a window reads a real pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from padviz.analyses.asked import Source, asked, names
from padviz.analyses.result import Result
from padviz.counting.shares.summary import percent
from padviz.errors import OptionError
from padviz.geometry.tap_exposure import TapExposure, tap_exposure
from padviz.network.network import ENDS, Network, Size, in_words
from padviz.reports.facts import tap_facts
from padviz.reports.report import POOL, Column, Heading, Lines, Report, Table, kind
from padviz.reports.tables import once


class TapsResult(Result[TapExposure]):
    """The tap exposure of each window; grids of shape (kernel height, width), in units."""


def taps(
    network: Source,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
) -> TapsResult:
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
    TapsResult
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

    wanted, pixels = asked(network, size, padding, same, layer)
    only = {wanted.find(name).name for name in names(layer)}
    rows = tuple(row for row in tap_exposure(wanted, pixels) if (row.layer in only if only else row.grid.size > 1))
    if not rows:
        what = f"{', '.join(only)} has no taps" if only else "has no window with several taps"
        raise OptionError(what, where=wanted.name, hint="convolutions and pools have; padviz layers MODEL lists them")
    title = f"{wanted.title}, {' × '.join(map(str, pixels))}"
    return TapsResult.made_of(None, rows, partial(report_of, rows, wanted, pixels), partial(panels.taps, rows, title))


LAYER = (Column("layer"), kind(lambda row: row))
COUNTED = (
    Column("taps", of=lambda row: in_words(row.grid.shape)),
    Column("units"),
    Column("least", of=lambda row: int(row.grid.min())),
    Column("most", of=lambda row: int(row.grid.max())),
)
ENDED = (Column("uneven"), Column("convolution"))


def _sheet(axes: Sequence[str]) -> tuple[Column, ...]:
    """List the columns of CSV: the imbalance from one end of each axis to the other, the last axis first."""
    return (Column("layer"), Column("kind"), *COUNTED, *map(_across, reversed(axes)), *ENDED)


def _across(axis: str) -> Column:
    return Column("_".join(ENDS[axis]), of=lambda row: row.imbalance[axis])


def report_of(rows: Sequence[TapExposure], network: Network, size: Size) -> Report:
    """Report the tap exposure of some layers of a network."""
    facts = {"network": network.name, "size": [*size], "layers": [*map(tap_facts, rows)]}
    table = Table((*LAYER, *COUNTED, Column("imbalance", of=_imbalance)), rows, marked=lambda row: row.uneven)
    heading = Heading(f"{network.title}, {in_words(size)}: units whose tap reads a real pixel")
    marks = () if all(row.convolution for row in rows) else (POOL,)
    return Report("taps", facts, [[heading, table, Lines((), marks=marks)]], Table(_sheet(network.axes), rows))


def _imbalance(row: TapExposure) -> str:
    both = once(percent(share, 2, "+") for share in row.imbalance.values())
    return f"{both} uneven" if row.uneven else both if any(row.imbalance.values()) else "0"
