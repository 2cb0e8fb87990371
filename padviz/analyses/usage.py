"""How often each pixel is used: the map, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padviz.analyses.asked import asked
from padviz.analyses.door import Door
from padviz.analyses.result import Result
from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Summary, percent, unit_text
from padviz.errors import OptionError
from padviz.network.network import AXES, Network, in_words
from padviz.network.rewrites import padding_in_words
from padviz.reports import signal
from padviz.reports.documents import plain
from padviz.reports.fair_shares import Said, fair_shares, heads, left_out
from padviz.reports.report import Column, Facts, Report, Table
from padviz.reports.tables import readable

if TYPE_CHECKING:
    from torch import nn

Unit = tuple[int | slice, int | slice]


class UsageResult(Result[CountMap], CountMap):
    """A usage map, with `.counts` of shape (height, width)."""


def usage(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | Sequence[str] | None = None,
    pooling: str = "count",
    unit: Unit | None = None,
    *,
    same: bool = False,
    heads: str | None = None,
    engine: str = "auto",
) -> UsageResult:
    """Count the paths from every input pixel to the units of the target layer.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str, optional
        A scheme for every convolution, as `padviz --help` lists them: "reflect"; or one for each axis, height/width:
        "zero/circular". By default each pads as declared.
    layer : str or sequence of str, optional
        Target layers, whose counts add up; by default the last feature map.
    pooling : "count" or "mean"
        Count once what a pool or a resize reads, or weigh it: 1 / taps in a pool, the share of
        its interpolation in a resize. Then counts are floats.
    unit : (row, column), optional
        One unit of the target, or slices for a box of units; all units by default.
    same : bool
        Whether to pad as TensorFlow's and Keras's SAME: the odd row on the far side.
    heads : "sum" or "share", optional
        Of several target layers, add up all paths; or give each layer the same weight: a path to it counts as many as
        the layer with the most paths has, over those that it has (then counts are floats). Where none is named, all
        last maps share.
    engine : "auto", "numpy" or "numba"
        Which kernels count; "auto" picks by the amount of work. numpy counts where numba is not installed.

    Returns
    -------
    UsageResult, a `CountMap`
        With `.counts` of shape (height, width).

    Raises
    ------
    PadvizError
        For a name, size or option that cannot be used.

    Notes
    -----
    Where every mode folds its padding, the counts sum to taps x outputs: nothing is lost. Where n heads share, they sum
    to n times the paths of the head with the most.
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> int(usage("resnet50", 224).counts[0, 0])
    59303702250160
    """
    from padviz.counting.count import usage as counted
    from padviz.figures.maps import heatmap

    wanted, pixels = asked(network, size, same=same)
    counts = counted(wanted, pixels, padding, layer, pooling, unit, heads=heads, engine=engine)
    draw, axes = partial(heatmap.heatmap, counts), partial(heatmap.plot, counts)
    return UsageResult.made_of(counts, (counts,), partial(report_of, counts), draw, axes, pictured=True)


MANY = 10**6  # paths from here on are rounded in cells


def _figure(path: str, key: str = "") -> Column:
    """Make the column of a figure that a path of names leads to; nothing where one of them is None."""
    names = path.split(".")
    return Column(key or "_".join(names), of=lambda row: reduce(_attribute, names, row))


def _attribute(value: object, name: str) -> Any:
    return None if value is None else getattr(value, name)


def _depth(side: int) -> Callable[[Summary], int | None]:
    return lambda summary: summary.rim.depths[side] if summary.rim else None


ASKED = (
    Column("network"),
    Column("height", of=lambda summary: summary.size[0]),
    Column("width", of=lambda summary: summary.size[1]),
    Column("padding"),
    Column("pooling"),
)
FIGURES = (  # of a map, for CSV and for the index of an export
    Column("target", of=lambda summary: " ".join(summary.target.names)),
    *map(_figure, ("min", "max", "mean", "marginalised")),
    *(_figure(f"{name}.{axis}") for name in ("asymmetry", "skew") for axis in AXES[2]),
    *(_figure(f"share.{name}", name) for name in ("starved", "overused", "unused")),
    *(_figure(f"share.{name}", f"{name}_share") for name in ("least", "most")),
    *(_figure(f"share.skew.{axis}") for axis in AXES[2]),
    *(Column(f"rim_{side}", of=_depth(i)) for i, side in enumerate(("top", "bottom", "left", "right"))),
)


def report_of(counts: CountMap) -> Report:
    """Report the figures of a usage map."""
    if len(counts.network.axes) == 1:
        return signal.usage(counts, (*ASKED, *FIGURES))
    summary, screen = counts.summary(), [Facts(_facts(counts))]
    return Report("usage", plain(summary), [screen], Table((*ASKED, *FIGURES), [summary]))


def _facts(counts: CountMap) -> Iterator[tuple[str, object]]:
    summary = counts.summary()
    yield "network", f"{summary.network}, {in_words(summary.size)} pixels"
    yield "padding", padding_in_words(summary.padding)
    yield "target", _target(summary)
    yield from heads(counts)
    for name in ("max", "min", "mean", "centre"):
        yield f"paths, {name}", getattr(summary, name)
    corners = [readable(corner) for corner in plain(summary.corners).values()]
    yield "corners", f"{corners[0]}  {corners[1]}"
    yield "", f"{corners[2]}  {corners[3]}"
    yield from fair_shares(summary, counts.walked.pads, SAID)
    yield "asymmetry", _along(summary.asymmetry, ".4g")
    yield "skew of usage", _along(summary.skew, "+.4g")
    yield "counted", f"{_counted(counts)} ({summary.method})"
    yield from left_out(summary)


def _corners(corners: Any) -> str:
    return f"corners {readable(corners.top_left)} and {readable(corners.bottom_right)}"


def _along(figures: Any, form: str) -> str:
    return f"height {figures.height:{form}}, width {figures.width:{form}}"


SAID = Said("pixel", lambda rim: rim.words, _corners, _along)


def _counted(counts: CountMap) -> str:
    rows, cols = counts.rows, counts.cols
    if not counts.tiled:
        return "at every position"
    every = f"{rows.period} rows" if rows.copies else f"{cols.period} columns"
    if rows.copies and cols.copies:
        every = f"{rows.period} x {cols.period}"
    return f"in a core of {rows.kept} x {cols.kept}, whose middle repeats by {every}"


def _target(summary: Summary) -> str:
    layers, shapes = summary.target.layer, summary.target.shape
    if isinstance(layers, str):
        units = "" if summary.unit is None else f", unit {unit_text(summary.unit)}"
        return f"{layers}, {in_words(shapes)} units{units}"
    return ", ".join(f"{layer} {in_words(shape)}" for layer, shape in zip(layers, shapes, strict=True))


def fairness(of: Callable[[Any], Any]) -> tuple[Column, Column, Column]:
    """Make the columns of the rim and of the starved and overused pixels of a map, which `of` finds in a row."""

    def shared(row: Any) -> Any:
        return share if (summary := of(row)) and (share := summary.share) else None

    return (
        Column("rim", of=lambda row: of(row).rim.short if shared(row) and of(row).rim else None),
        Column("starved", show=percent, of=lambda row: share.starved if (share := shared(row)) else None),
        Column("overused", show=percent, of=lambda row: share.overused if (share := shared(row)) else None),
    )


def _refuse(asked: Mapping[str, object]) -> None:
    if asked.get("scale") == "each":
        raise OptionError("each is of several maps", option="scale", hint="use counts or share, or leave it out")


DOOR = Door(
    usage,
    """Count the paths from every input pixel of MODEL to its last feature map, exactly, and draw its fair share.

    \b
    Example:
      padviz usage vgg19 --size 512
      padviz usage resnet50 --size 224 --scale counts
      padviz usage resnet50 --size 300x400 --padding reflect -o counts.npz
      padviz usage ssd300_vgg16 --heads share
    """,
    "size padding same layers heads unit pooling scale cmap",
    picture="always",
    counts=True,
    refuse=_refuse,
)
