"""What share of each unit's paths starts at real pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypedDict, overload

from padviz.analyses.asked import Pixels, Source, asked, names
from padviz.analyses.result import Result
from padviz.analyses.usage import MANY
from padviz.counting.count import coverages
from padviz.counting.count_map import CountMap
from padviz.errors import OptionError
from padviz.network.network import in_words
from padviz.network.targets import target_names
from padviz.options import CMAP, LAYERS, MODEL, PADDING, POOLING, SAME, SIZE, Command
from padviz.reports.report import COUNTS, PICTURES, Column, Heading, Report, Table
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import rounded


class CoverageResult(Result[CountMap], CountMap):
    """A coverage map, with `.counts` of the layer's shape, `.full` and `.share`."""


class StripResult(Result[CountMap]):
    """The coverage maps of several layers."""

    def save(self, path: str | Path, **options: Any) -> None:
        """Write the report or the picture; counts are of one layer."""
        if Path(path).suffix.lower() in (".npy", ".npz"):
            raise OptionError(
                "holds the counts of one layer", where=str(path), hint="name one `layer`"
            )
        super().save(path, **options)


@overload
def coverage(
    network: Source,
    size: Pixels = None,
    padding: str | None = None,
    layer: str | None = None,
    pooling: str = "count",
    *,
    same: bool = False,
    engine: str = "auto",
) -> CoverageResult: ...


@overload
def coverage(
    network: Source,
    size: Pixels = None,
    padding: str | None = None,
    layer: Sequence[str] = (),
    pooling: str = "count",
    *,
    same: bool = False,
    engine: str = "auto",
) -> CoverageResult | StripResult: ...


def coverage(
    network: Annotated[Source, MODEL],
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | None, PADDING] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    pooling: Annotated[str, POOLING] = "count",
    *,
    same: Annotated[bool, SAME] = False,
    engine: str = "auto",
) -> CoverageResult | StripResult:
    """Count the paths that reach each unit of a layer from real pixels, not padding.

    Parameters
    ----------
    network, size, padding, pooling, same, engine
        As for `usage`.
    layer : str or sequence of str, optional
        The layers whose units are looked at; the last feature map by default.

    Returns
    -------
    CoverageResult, a `CountMap`; or StripResult, of several where several layers are named
        With `.counts` of the layer's shape, `.full`, what a unit far from padding has, and
        `.share`.

    Raises
    ------
    PadvizError
        For a network, size or option that cannot be used.

    Notes
    -----
    Coverage is the adjoint of usage: over the layer it sums to what usage sums to over the image.
    Source: Alsallakh et al., ICLR 2021: the geometric side of its line artifacts in feature maps.

    Examples
    --------
    >>> counts = coverage("vgg19", 64, layer="features.2")
    >>> counts.full, int(counts.counts[0, 0]), int(counts.counts[9, 9])
    (81, 25, 81)
    """
    from padviz.figures.maps import heatmap, panels

    with asked(network, size, same=same) as (wanted, pixels):
        maps = coverages(
            wanted,
            pixels,
            padding,
            target_names(names(layer) or None, wanted),
            pooling,
            engine=engine,
        )
        report = partial(report_of, maps)
        if len(maps) > 1:
            return StripResult.made_of(
                None, maps, report, partial(panels.strip, maps), pictured=True
            )
        draw, axes, png = (
            partial(how, maps[0]) for how in (heatmap.heatmap, heatmap.plot, heatmap.png)
        )
        return CoverageResult.made_of(maps[0], maps, report, draw, axes, pictured=True, png=png)


class CoverageRow(TypedDict):
    """The paths that reach the units of a layer, and the shares of them that start in the image.

    `full` paths reach a unit far from all padding.
    """

    layer: str
    shape: list[int]
    full: float
    min: float
    max: float
    share_min: float
    share_mean: float
    share_centre: float
    share_corner: float


SCREEN = (
    Column("layer"),
    Column("shape", show=in_words),
    Column(
        "full",
        show=lambda n: rounded(int(n)) if n >= MANY else f"{n:,.4g}" if n % 1 else f"{int(n):,}",
    ),
    Column("share_min", "share min"),
    Column("share_mean", "mean"),
    Column("share_centre", "centre"),
    Column("share_corner", "corner"),
)


def report_of(maps: Sequence[CountMap]) -> Report:
    rows, first = [*map(_row, maps)], maps[0]
    size = first.size[-len(first.network.axes) :]
    heading = Heading(
        f"{first.network.title}, {in_words(size)}: share of each unit's paths that starts at real "
        "pixels"
    )
    facts = about(first.network.name, size, first.padding) | {"pooling": first.pooling}
    return Report("coverage", facts, [[heading, Table(SCREEN, rows)]], rows_of(rows, CoverageRow))


def _row(counts: CountMap) -> CoverageRow:
    (height, width), full = counts.shape, counts.full or 1
    return {
        "layer": counts.target.names[0],
        "shape": [*counts.shape[-len(counts.network.axes) :]],
        "full": full,
        "min": counts.min,
        "max": counts.max,
        "share_min": counts.min / full,
        "share_mean": counts.total / full / (height * width),
        "share_centre": counts.at(height // 2, width // 2) / full,
        "share_corner": counts.at(0, 0) / full,
    }


COMMAND = Command(
    coverage,
    """Count the paths that reach each unit of a layer of MODEL from pixels of the image, exactly,
    and draw their share.

    Where padding reads nothing, units near the border miss paths: the lines that padding draws into
    feature maps. With several layers, the picture is a strip through the network.

    \b
    Example:
      padviz coverage vgg19 --size 224 --layer features.9,features.36
    """,
    files=(*PICTURES, *COUNTS),
    always=True,
    look=(CMAP,),
)
