"""`padviz usage`: the map of how often each pixel is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.errors import OptionError

if TYPE_CHECKING:
    from padviz.counting.count_map import CountMap
    from padviz.counting.shares.summary import Summary


@click.command(name="usage", short_help="How often each input pixel is used: a heat map and its figures.")
@options.model
@options.size
@options.padding
@options.pooling
@options.layers
@options.heads
@options.unit
@options.output("Picture (.png .svg .pdf) or exact counts (.npy .npz .csv). Default: MODEL-SIZE[-MODE]-usage.png.")
@options.format_of("table", "json")
@click.option("--scale", type=click.Choice(["counts", "share"]), default="counts", help="What the picture shows.")
@options.cmap
@options.overwrite
def command(
    model: str,
    size: tuple[int, int] | None,
    padding: str | None,
    pooling: str,
    layers: tuple[str, ...],
    heads: str,
    unit: Any,
    output: Path | None,
    format_: str,
    scale: str,
    cmap: str | None,
    overwrite: bool,
) -> None:
    """Count the paths from every input pixel of MODEL to its last feature map, exactly, and draw them.

    \b
    Example:
      padviz usage vgg19 --size 512
      padviz usage resnet50 --size 224 --scale share
      padviz usage resnet50 --size 300x400 --padding reflect -o counts.npz
      padviz usage ssd300_vgg16 --heads share
    """
    from padviz.counting.usage import usage
    from padviz.figures.canvas import PICTURE_SUFFIXES
    from padviz.reports.counts import COUNT_SUFFIXES

    if output is not None:
        options.checked_output(output, PICTURE_SUFFIXES + COUNT_SUFFIXES, overwrite)
    network = options.load_as(model, size)
    counts = usage(network, size, padding, layers or None, pooling, unit, heads=heads)
    if scale == "share" and counts.share_reason:
        raise OptionError(counts.share_reason, option="scale", hint="draw counts, with `scale` counts")
    path = output or options.default_picture(counts.network, counts.size, padding, "usage")
    _write(counts, path, cmap, scale)
    _show(counts, path, format_)


def _show(counts: CountMap, path: Path, format_: str) -> None:
    """Print the figures of a map and the file they were drawn to."""
    from msgspec import to_builtins

    from padviz.network.rewrites import padding_in_words
    from padviz.reports import documents, tables

    summary = counts.summary()
    if format_ == "json":
        click.echo(documents.to_json({**to_builtins(summary), "files": [str(path)]}))
        return
    corners = summary.corners
    facts: list[tuple[str, Any]] = [
        ("network", f"{summary.network}, {summary.size[0]} x {summary.size[1]} pixels"),
        ("padding", padding_in_words(summary.padding)),
        ("target", _target(summary)),
        *_shared(counts),
        ("paths, max", summary.max),
        ("paths, min", summary.min),
        ("paths, mean", summary.mean),
        ("paths, centre", summary.centre),
        ("corners", f"{tables.readable(corners.top_left)}  {tables.readable(corners.top_right)}"),
        ("", f"{tables.readable(corners.bottom_left)}  {tables.readable(corners.bottom_right)}"),
        *_fair(summary, counts.walked.pads),
        ("asymmetry", f"height {summary.asymmetry.height:.4g}, width {summary.asymmetry.width:.4g}"),
        ("skew", f"height {summary.skew.height:+.4g}, width {summary.skew.width:+.4g}"),
    ]
    facts.append(("counted", f"{_counted(counts)} ({summary.method})"))
    if summary.gates_left_out:
        facts.append(("left out", f"the global vectors of {summary.gates_left_out} gates"))
    click.echo(tables.to_facts([*facts, ("file", str(path))]))


def _fair(summary: Summary, pads: bool) -> list[tuple[str, Any]]:
    """What pixels get of the weight of an interior one."""
    from padviz.counting.shares.summary import percent
    from padviz.reports.tables import readable

    share = summary.share
    if share is None:
        return [("fair share", f"none: {summary.share_reason}")]
    what = "starved" if pads else "context"
    corners = [readable(each) for each in (share.corners.top_left, share.corners.bottom_right)]
    facts: list[tuple[str, Any]] = [
        *_rims(summary, what),
        (what, f"{percent(share.starved)} get less than half the weight of an interior pixel"),
        ("overused", f"{percent(share.overused)} get more than 3/2 of it"),
        ("fair shares", f"{share.least:.4g} to {share.most:.4g}; corners {corners[0]} and {corners[1]}"),
        ("lean", f"height {share.lean.height:+.4g}, width {share.lean.width:+.4g}"),
    ]
    return (
        [*facts, ("unused", f"{percent(share.unused)} of the pixels, which no window reads")] if share.unused else facts
    )


def _rims(summary: Summary, what: str) -> list[tuple[str, Any]]:
    """How deep the bands next to the sides are, whatever the size of the image."""
    rims = {"rim": (summary.rim, what), "overused rim": (summary.overused_rim, "overused")}
    return [(name, f"{rim.words} are {word}") for name, (rim, word) in rims.items() if rim and any(rim.depths)]


def _counted(counts: CountMap) -> str:
    rows, cols = counts.rows, counts.cols
    if not counts.tiled:
        return "at every position"
    if rows.copies and cols.copies:
        every = f"{rows.period} x {cols.period}"
    else:
        every = f"{rows.period} rows" if rows.copies else f"{cols.period} columns"
    return f"in a core of {rows.kept} x {cols.kept}, whose middle repeats by {every}"


def _shared(counts: CountMap) -> list[tuple[str, Any]]:
    """How much a path to each target counts, where heads share."""
    if counts.weights is None:
        return []
    weights = ", ".join(f"{weight:.6g}" for weight in counts.weights)
    return [("heads", f"each of the same weight: a path to them counts {weights}")]


def _target(summary: Summary) -> str:
    from padviz.counting.shares.summary import unit_text

    layers, shapes = summary.target.layer, summary.target.shape
    if isinstance(layers, str):
        units = "" if summary.unit is None else f", unit {unit_text(summary.unit)}"
        return f"{layers}, {shapes[0]} x {shapes[1]} units{units}"
    return ", ".join(f"{layer} {shape[0]} x {shape[1]}" for layer, shape in zip(layers, shapes, strict=True))


def _write(counts: CountMap, path: Path, cmap: str | None, scale: str) -> None:
    from padviz.figures.canvas import save
    from padviz.figures.heatmap import heatmap
    from padviz.reports.counts import COUNT_SUFFIXES, write_counts

    if path.suffix.lower() in COUNT_SUFFIXES:
        write_counts(counts, path)
    else:
        save(heatmap(counts, cmap, scale), path)
