"""How often each pixel is used: the map, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from padviz.analyses.asked import Pixels, Source, asked
from padviz.analyses.result import Result
from padviz.counting.count import usage as counted
from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import FairShare, PerAxis, Summary, percent, rim_in, unit_text
from padviz.network.network import in_words
from padviz.network.rewrites import padding_in_words
from padviz.options import (
    CMAP,
    HEADS,
    LAYERS,
    MODEL,
    PADDING,
    POOLING,
    SAME,
    SCALE,
    SIZE,
    UNIT,
    Command,
)
from padviz.reports.report import ABOUT, COUNTS, PICTURES, Column, Facts, Getter, Report, Show
from padviz.reports.rows import flat, table_of
from padviz.reports.tables import readable

Unit = tuple[int | slice, int | slice]


class UsageResult(Result[CountMap], CountMap):
    """A usage map, with `.counts` of shape (height, width)."""


def usage(
    network: Annotated[Source, MODEL],
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | None, PADDING] = None,
    layer: Annotated[str | Sequence[str] | None, LAYERS] = None,
    pooling: Annotated[str, POOLING] = "count",
    unit: Annotated[Unit | None, UNIT] = None,
    *,
    same: Annotated[bool, SAME] = False,
    heads: Annotated[str | None, HEADS] = None,
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
        A scheme for every convolution, as `padviz --help` lists them: "reflect"; or one for each
        axis, height/width: "zero/circular". By default each pads as declared.
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
        Of several target layers, add up all paths; or give each layer the same weight: a path to it
        counts as many as the layer with the most paths has, over those that it has (then counts are
        floats). Where none is named, all last maps share.
    engine : "auto", "numpy" or "numba"
        Which kernels count; "auto" picks by the amount of work. numpy counts where numba is not
        installed.

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
    Where every mode folds its padding, the counts sum to taps x outputs: nothing is lost. Where n
    heads share, they sum
    to n times the paths of the head with the most.
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> int(usage("resnet50", 224).counts[0, 0])
    59303702250160
    """
    with asked(network, size, same=same) as (wanted, pixels):
        counts = counted(wanted, pixels, padding, layer, pooling, unit, heads=heads, engine=engine)
        draw, axes, png = (partial(_drawn, how, counts) for how in ("heatmap", "plot", "png"))
        report = partial(report_of, counts)
        return UsageResult.made_of(counts, (counts,), report, draw, axes, pictured=True, png=png)


def _drawn(how: str, counts: CountMap, *ax: object, **look: object) -> Any:
    from padviz.figures.maps import heatmap

    return getattr(heatmap, how)(counts, *ax, **look)


MANY = 10**6  # paths from here on are rounded in cells


def row_of(counts: CountMap) -> dict[str, object]:
    """Return the figures of a usage map by their keys; a signal is counted as a map of one row, and
    has those of its length.
    """
    signal = len(counts.network.axes) == 1
    row = {**dict.fromkeys(ABOUT), **flat(Summary, counts.summary(), signal)}
    if signal:
        row |= {key: _along(row[key]) for key in ("size", "share_period", "target_shape", "unit")}
    return row


def _along(pair: Any) -> Any:
    """Return what a size, a unit, or each of several shapes has along a signal.

    >>> _along([1, 9]), _along([[1, 9], [1, 5]]), _along([[0, 1], [3, 5]])
    ([9], [[9], [5]], [[3, 5]])
    """
    if not pair:
        return pair
    if isinstance(pair[0], list) and pair[0][0] == 1:
        return [shape[1:] for shape in pair]
    return pair[1:]


def report_of(counts: CountMap) -> Report:
    """Report the figures of a usage map."""
    row = row_of(counts)
    facts = {key: row[key] for key in ("network", "size", "padding", "notes")}
    screen = [Facts(_facts(counts, counts.summary()))]
    return Report("usage", facts, [screen], table_of([row], [row]))


def _facts(counts: CountMap, summary: Summary) -> Iterator[tuple[str, object]]:
    signal = len(counts.network.axes) == 1
    corners = summary.corners

    def along(figures: PerAxis, form: str) -> str:
        if signal:
            return f"{figures.width:{form}}"
        return f"height {figures.height:{form}}, width {figures.width:{form}}"

    if signal:
        yield "network", f"{summary.network}, {summary.size[-1]} samples"
    else:
        yield "network", f"{summary.network}, {in_words(summary.size)} pixels"
    yield "padding", padding_in_words(summary.padding)
    yield "target", _target(summary, signal)
    if counts.weights is not None:
        weights = ", ".join(f"{weight:.6g}" for weight in counts.weights)
        yield "heads", f"each of the same weight: a path to them counts {weights}"
    if summary.share is None:
        yield "fair share", f"none: {summary.share_reason}"
    else:
        starved = "starved" if counts.walked.pads else "context"
        yield from _rims(summary, summary.share, starved, signal)
        yield from _shares(summary.share, starved, signal)
        yield "skew of shares", along(summary.share.skew, "+.4g")
        if summary.share.unused:
            one = "sample" if signal else "pixel"
            yield "unused", f"{percent(summary.share.unused)} of the {one}s, which no window reads"
    for name in ("max", "min", "mean", "centre"):
        yield f"paths, {name}", getattr(summary, name)
    if signal:
        yield "paths, first", corners.top_left
        yield "paths, last", corners.top_right
    else:
        yield "corners", f"{readable(corners.top_left)}  {readable(corners.top_right)}"
        yield "", f"{readable(corners.bottom_left)}  {readable(corners.bottom_right)}"
    yield "asymmetry", along(summary.asymmetry, ".4g")
    yield "skew of usage", along(summary.skew, "+.4g")
    yield "counted", f"{_counted(counts, signal)} ({summary.method})"
    if summary.gates_left_out:
        yield "left out", f"the global vectors of {summary.gates_left_out} gates"


def _rims(
    summary: Summary, share: FairShare, starved: str, signal: bool
) -> Iterator[tuple[str, str]]:
    """Yield how deep the rims are, on this input, or on a large one where all of this
    is starved.
    """
    rims = ("rim", summary.rim, starved), ("overused rim", summary.overused_rim, "overused")
    for name, rim, word in rims:
        if rim is None or not any(rim.depths):
            continue
        depths = rim.words
        if signal:
            sides = zip(("first", "last"), rim.width, strict=True)
            ends = [f"the {end} {depth}" for end, depth in sides if depth]
            depths = f"{' and '.join(ends)} samples"
        if share.starved == 1:
            yield name, f"on a large input {depths} would be {word}"
        else:
            yield name, f"{depths} are {word}"


def _shares(share: FairShare, starved: str, signal: bool) -> Iterator[tuple[str, str]]:
    """Yield how many pixels or samples have too few or too many paths, and the shares
    at the ends.
    """
    one = "sample" if signal else "pixel"
    yield starved, f"{percent(share.starved)} get less than half the paths of an interior {one}"
    yield "overused", f"{percent(share.overused)} get more than 3/2 of it"
    first, last = share.corners.top_left, share.corners.bottom_right
    if signal:
        last = share.corners.top_right
    ends = ["none" if end is None else readable(float(end)) for end in (first, last)]
    where = f"first {ends[0]}, last {ends[1]}" if signal else f"corners {ends[0]} and {ends[1]}"
    yield "fair shares", f"{share.min:.4g} to {share.max:.4g}; {where}"


def _counted(counts: CountMap, signal: bool) -> str:
    rows, cols = counts.rows, counts.cols
    if not counts.tiled:
        return "at every position"
    if signal:
        return f"in a core of {cols.kept} samples with a repeating period of {cols.period}"
    every = f"{rows.period}-row" if rows.copies else f"{cols.period}-column"
    if rows.copies and cols.copies:
        every = f"{rows.period} x {cols.period}"
    return f"in a {rows.kept} x {cols.kept} core with a repeating {every} period"


def _target(summary: Summary, signal: bool) -> str:
    layers, shapes, first = summary.target.layer, summary.target.shape, int(signal)
    if isinstance(layers, str):
        units = f", unit {unit_text(summary.unit[first:])}" if summary.unit else ""
        return f"{layers}, {in_words(shapes[first:])} units{units}"
    return ", ".join(
        f"{layer} {in_words(shape[first:])}" for layer, shape in zip(layers, shapes, strict=True)
    )


def fairness(of: Getter) -> tuple[Column, Column, Column]:
    """Return the columns of the rim and of starved and overused pixels; `of` returns the outcome of
    a row.
    """

    def figure(key: str, show: Show = None) -> Column:
        return Column(key, "", show, lambda row: of(row) and getattr(of(row), key))

    def rim(row: object) -> str | None:
        outcome: Any = of(row)
        return outcome and rim_in(outcome.rim, outcome.starved)

    return Column("rim", of=rim), figure("starved", percent), figure("overused", percent)


def _check_counts(asked: Mapping[str, object]) -> None:
    """Reject a file of more counts than are written one by one."""
    path, size = asked["o"], asked.get("size")
    if isinstance(path, Path) and isinstance(size, tuple) and path.suffix.lower() in COUNTS:
        from padviz.reports.counts import check_number

        check_number(path, size)


COMMAND = Command(
    usage,
    """Count the paths from every input pixel of MODEL to its last feature map, exactly, and draw
    its fair share.

    \b
    Example:
      padviz usage vgg19 --size 512
      padviz usage resnet50 --size 224 --scale counts
      padviz usage resnet50 --size 300x400 --padding reflect -o counts.npz
      padviz usage ssd300_vgg16 --heads share
    """,
    files=(*PICTURES, *COUNTS),
    always=True,
    check_file=_check_counts,
    look=(SCALE, CMAP),
)
