"""`padviz detect`: where a trained network sees something, and where it is blind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.progress import progress, told_where_interrupted
from padviz.cli.value_types import PathType
from padviz.errors import OptionError, printable

if TYPE_CHECKING:
    from padviz.trained.detecting.detectability import Detectability, PositionMap

SCHEMA_VERSION = 1


@click.command(name="detect", short_help="Where in the image a trained network sees something: its blind spots.")
@options.trained
@options.size
@options.schemes((options.AS_TRAINED,))
@click.option(
    "--stimulus",
    metavar="text:WORD|FILE|sample",
    help="What is moved over a neutral background; by default sample, a pattern of rings.",
)
@click.option("--height", type=click.IntRange(2), help="Of the stimulus, in pixels; one that is seen by default.")
@click.option("--contrast", type=click.FloatRange(0, 1, min_open=True), help="Of the stimulus; 1 is as it is.")
@click.option("--step", type=click.IntRange(1), help="Pixels to the next position; by default 400 positions at most.")
@click.option("--output", "seen", metavar="NAME", help="The output to look at, or a tensor or module inside.")
@click.option("--class", "class_", type=click.IntRange(0), help="The class to look for; the one that is seen best.")
@click.option("--threshold", is_flag=True, help="Map the contrast needed in place of the score.")
@click.option("--image", metavar="FILE", help="A picture that is shifted under the frame, in place of a stimulus.")
@click.option(
    "--shift", type=click.IntRange(1), help="How far, in pixels, up to the image's larger side; 32 by default."
)
@options.mean
@options.std
@click.option("--bgr", is_flag=True, help="Feed blue, green, red; --mean and --std stay red, green, blue.")
@options.format_of("table", "json", "csv")
@click.option(
    "-o",
    "picture",
    type=PathType(),
    metavar="FILE",
    help="Picture (.png .svg .pdf). Default: MODEL-SIZE-detect.png.",
)
@click.option("--resume", is_flag=True, help="Go on with a sweep that was interrupted.")
@options.overwrite
def command(
    model: str,
    size: tuple[int, int] | None,
    weights: str | None,
    padding: list[str],
    stimulus: str | None,
    height: int | None,
    contrast: float | None,
    step: int | None,
    seen: str | None,
    class_: int | None,
    threshold: bool,
    image: str | None,
    shift: int | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    bgr: bool,
    format_: str,
    picture: Path | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Move a stimulus over the image, and map how well MODEL, a trained network, sees it at each position.

    A detector scores by the peak of its map within half the stimulus's height of it, a classifier by how its class
    compares with the best other one; from .5 on, it is seen. A map is an output whose rows and columns fit the image;
    detect refuses other outputs, and lists maps inside to ask for. Contrast, height and class are chosen for a median
    score of .5 on the network as trained. Blind spots, below half the median, are outlined. Saturated scores are below
    .01 or above .99.

    Where no contrast brings the median between .2 and .8, where more than half of the scores are saturated, or where
    the background alone is seen, detect maps the contrast needed, as --threshold does, and says why. It refuses to map
    what does not react.

    The picture of --image is scaled (bicubic) to cover the frame and the shift, cut to its middle, and shifted right
    and down.

    Ctrl-C, or a picture that cannot be written, leaves the scores next to the picture; --resume continues from them.

    \b
    Example:
      padviz detect model.onnx --stimulus text:padding --padding trained,symmetric,circular
      padviz detect model.onnx --step 32 --format csv
    """
    from padviz.api.trained import detectability
    from padviz.figures.canvas import PICTURE_SUFFIXES

    if picture is not None:
        options.checked_output(picture, PICTURE_SUFFIXES, overwrite)
    trained = options.read_trained(model, size, weights)
    path = picture or options.default_picture(trained.network, trained.size, None, "detect")
    kept = options.kept_beside(path, resume, overwrite)
    with told_where_interrupted(), progress("positions") as told:
        found = detectability(
            trained,
            stimulus,
            size,
            padding,
            height=height,
            contrast=contrast,
            step=step,
            output=seen,
            class_=class_,
            threshold=threshold,
            image=image,
            shift=shift,
            mean=mean,
            std=std,
            bgr=bgr,
            unfinished=kept,
            resume=resume,
            on_progress=told,
        )
    _draw(found, path, kept)
    for note in found.notes:
        options.say(note)
    click.echo(_text(found, format_, path))
    kept.unlink(missing_ok=True)  # all that is made of it is there


def _draw(found: Detectability, path: Path, kept: Path) -> None:
    """Draw the maps; where they cannot be written, say what is kept of the sweep."""
    from padviz.figures.canvas import save
    from padviz.figures.trained import detection

    try:
        save(detection.positions(found), path)
    except OptionError as error:
        hint = f"make room there, and add `resume`: {kept.name} has all scores" if kept.exists() else error.hint
        raise OptionError(error.what, where=error.where, hint=hint) from None


def _text(found: Detectability, format_: str, path: Path) -> str:
    from padviz.reports import documents, tables

    if format_ == "json":
        maps = [{**_facts(each), "values": _finite(each)} for each in found.maps]
        about = {**_about(found), "maps": maps, "files": [str(path)]}
        return documents.to_json({"schema_version": SCHEMA_VERSION, **about})
    if format_ == "csv":
        rows = [
            (options.named(each.padding), top, left, value)
            for each in found.maps
            for top, line in zip(found.tops, _finite(each), strict=True)
            for left, value in zip(found.lefts, line, strict=True)
        ]
        return documents.to_csv(("padding", "top", "left", "contrast" if _threshold(found) else "score"), rows)
    what = "contrast needed" if _threshold(found) else "score"
    facts: list[tuple[str, Any]] = [
        ("network", f"{found.title}, {found.size[0]} x {found.size[1]} pixels"),
        ("shown", _shown(found)),
        ("output", printable(found.output)),
        *(() if found.class_ is None else [("class", found.class_)]),
    ]
    if found.maps[0].below:
        facts.append(("looked for", "the contrast at which this class, the background's, is no longer seen"))
    table = tables.to_table(("", *(options.named(each.padding) for each in found.maps)), _rows(found, what))
    return "\n\n".join([tables.to_facts(facts), table, tables.to_facts([("file", str(path))])])


def _rows(found: Detectability, what: str) -> list[list[Any]]:
    """The figures of all maps, a column for each padding."""
    of = " where enough" if any(map(_unseen, found.maps)) else ""
    lines: list[tuple[str, Any]] = [
        (f"{what}, min{of}", lambda each: each.least),
        (f"{what}, max{of}", lambda each: each.most),
        (f"{what}, median{of}", lambda each: each.median),
        ("score without a stimulus", lambda each: each.without),
        ("no contrast tried is enough", _unseen),
        ("NaN", lambda each: f"{each.lost:.1%}" if each.lost else None),
        ("sd", lambda each: each.sd),
        ("blind spots", lambda each: "-" if each.blind is None else f"{each.blind:.1%}"),
        *(
            (f"{side} minus inside", lambda each, side=side: getattr(each.edges, side))
            for side in found.maps[0].edges._fields
        ),
        (f"explained by position mod {_by(found.maps[0].phase.stride)}", lambda each: each.phase.explained),
        ("the same, by chance", lambda each: each.phase.chance),
        ("neighbours that decide alike", lambda each: each.consistency),
        ("saturated scores", lambda each: f"{each.saturated:.1%}" if each.saturated > 0 else None),
    ]
    rows = [[name, *map(figure, found.maps)] for name, figure in lines]
    return [row for row in rows if any(cell is not None for cell in row[1:])]


def _unseen(each: PositionMap) -> str | None:
    """The share of the positions at which no contrast that was tried is enough."""
    import numpy as np

    share = float(np.isinf(each.values).mean())
    return f"{share:.1%}" if share else None


def _about(found: Detectability) -> dict[str, Any]:
    """What was shown to what."""
    return {
        "network": found.network,
        "size": list(found.size),
        "stimulus": found.stimulus,
        "shape": list(found.shape),
        "contrast": None if _threshold(found) else found.contrast,
        "output": found.output,
        "class": found.class_,
        "tops": list(found.tops),
        "lefts": list(found.lefts),
        "notes": list(found.notes),
    }


def _facts(each: PositionMap) -> dict[str, Any]:
    """The figures of one map, as JSON has them."""
    phase = {
        "stride": list(each.phase.stride or ()) or None,
        "explained": each.phase.explained,
        "chance": each.phase.chance,
    }
    return {
        "padding": each.padding,
        "threshold": each.threshold,
        "below": each.below,
        "min": each.least,
        "max": each.most,
        "median": each.median,
        "sd": each.sd,
        "without": each.without,
        "nan": each.lost,
        "blind": each.blind,
        "edges": each.edges._asdict(),
        "phase": phase,
        "consistency": each.consistency,
        "saturated": each.saturated,
    }


def _finite(each: PositionMap) -> list[list[float | None]]:
    """The values, row by row; None where no contrast is enough, or where the network makes NaN."""
    from math import isfinite

    return [[value if isfinite(value) else None for value in row] for row in each.values.tolist()]


def _shown(found: Detectability) -> str:
    if found.shifted:
        return f"{found.stimulus}, shifted under the frame by up to {found.tops[-1]} px"
    contrast = "" if _threshold(found) else f", at a contrast of {found.contrast:.3g}"
    return f"{found.stimulus}{contrast}, at {len(found.tops)} x {len(found.lefts)} positions"


def _threshold(found: Detectability) -> bool:
    return found.maps[0].threshold


def _by(size: tuple[int, int] | None) -> str:
    if size is None:
        return "the total stride"
    return f"{size[0]}" if size[0] == size[1] else f"{size[0]} x {size[1]}"
