"""Where a trained network sees something, and where it is blind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from math import isfinite
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Literal, NotRequired, TypedDict

import numpy as np

from padviz.analyses.asked import Pixels, TrainedSource, runners_of
from padviz.analyses.result import Result
from padviz.counting.shares.summary import percent
from padviz.errors import printable
from padviz.files.unfinished import ResumeOptions
from padviz.network.network import in_words
from padviz.options import (
    BGR,
    CLASS,
    CONTRAST,
    HEIGHT,
    IMAGE,
    MEAN,
    PADDINGS,
    RESUME,
    RUN_MODEL,
    SCORED,
    SHIFT,
    SIZE,
    STD,
    STEP,
    STIMULUS,
    THRESHOLD,
    WEIGHTS,
    Command,
)
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Column, Facts, Report, Table, grid
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import named, once
from padviz.trained.border_responses import Sides
from padviz.trained.detecting.detectability import Detectability, PositionMap
from padviz.trained.detecting.detection import DetectOptions, score_positions
from padviz.trained.networks.reading import as_trained


class DetectResult(Result[PositionMap], Detectability):
    """Scores by position: `.maps`, one for each padding."""


def detect(
    network: Annotated[TrainedSource, RUN_MODEL],
    stimulus: Annotated[str | None, STIMULUS] = None,
    size: Annotated[Pixels, SIZE] = None,
    padding: Annotated[str | Sequence[str] | None, PADDINGS] = None,
    *,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    height: Annotated[int | None, HEIGHT] = None,
    contrast: Annotated[float | None, CONTRAST] = None,
    step: Annotated[int | None, STEP] = None,
    layer: Annotated[str | None, SCORED] = None,
    class_: Annotated[int | None, CLASS] = None,
    threshold: Annotated[bool, THRESHOLD] = False,
    image: Annotated[str | Path | None, IMAGE] = None,
    shift: Annotated[int | None, SHIFT] = None,
    mean: Annotated[Sequence[float] | None, MEAN] = None,
    std: Annotated[Sequence[float] | None, STD] = None,
    bgr: Annotated[bool, BGR] = False,
    unfinished: Path | None = None,
    resume: Annotated[bool, RESUME] = False,
    on_progress: Progress | None = None,
) -> DetectResult:
    """Move a stimulus over a neutral background, and score how well a trained network sees it at
    each position.

    A detector's score is the peak of its map within half the stimulus's height of it; a
    classifier's is p / (p + q), with the probability p of the class and q of the best other one.
    From .5 on, something is seen. The background alone is scored, too: where no score is more than
    .01 from that, nothing reacts, and that is an error.

    Parameters
    ----------
    network, size, padding, weights, mean, std
        As for `responses`; the background is the mean.
    stimulus : str, optional
        "text:WORD", "sample", which is a pattern of rings, or the path of a picture; "sample" by
        default.
    height : int, optional
        Of the stimulus, in pixels; by default an eighth of the image's shorter side.
    contrast : float, optional
        Of the stimulus: 1 is as it is, the default, and 0 the background.
    step : int, optional
        Pixels between positions; by default the least, from 8 on, with at most 400 positions.
    layer : str, optional
        The output to score, or a tensor or module inside. It must be named if several outputs are
        maps or class scores.
    class_ : int, optional
        The class, or the map's channel. It must be named if there are several.
    threshold : bool
        Map the least contrast that is seen at each position, with a score of .5. Where the
        background alone is seen, it is the least that is not.
    image : str or Path, optional
        Picture to shift under the frame instead of a stimulus.
    shift : int, optional
        Largest shift of the picture in pixels, up to the image's larger side; 32 by default.
    bgr : bool
        Feed blue, green, red; `mean` and `std` stay in the order red, green, blue.
    unfinished : Path, optional
        File that keeps the scores of an interrupted call; remove it once the result is stored.
    resume : bool
        Continue an interrupted call with the same options from `unfinished`.
    on_progress : callable, optional
        Called with the number of positions that are done, and of all.

    Returns
    -------
    DetectResult
        With `.maps`, one for each padding, of scores by position, and `.plot()`.

    Raises
    ------
    PadvizError
        For a network, stimulus, size or option that cannot be used.

    Notes
    -----
    Source: Alsallakh et al., ICLR 2021: its blind spots of a detector.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(1)
    >>> peaks = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Sigmoid())
    >>> detect(peaks, size=32, height=8).maps[0].values.shape
    (4, 4)
    """
    from padviz.figures.trained import position_maps

    options = DetectOptions(
        stimulus, height, contrast, step, layer, class_, threshold, image, shift, mean, std, bgr
    )
    trained = as_trained(network, size, weights)
    options.check(trained.size)
    resuming = ResumeOptions(unfinished, resume)
    scores = score_positions(trained, *runners_of(trained, padding), options, resuming, on_progress)
    report, draw = partial(report_of, scores), partial(position_maps.detected, scores)
    return DetectResult.made_of(
        scores, scores.maps, report, draw, pictured=True, notes=scores.notes
    )


class DetectRow(TypedDict):
    """The score at a position of the stimulus, or the contrast that it needs: None where none is
    enough, or the network returns NaN. A padding of None is as trained.
    """

    padding: str | None
    top: int
    left: int
    score: NotRequired[float | None]
    contrast: NotRequired[float | None]


KEYS = (
    "padding threshold below min max median sd without nan blind edges phase consistency saturated"
)


def report_of(scores: Detectability) -> Report:
    quantity: Literal["score", "contrast"] = "score"
    if scores.maps[0].threshold:
        quantity = "contrast"
    rows: list[DetectRow] = []
    for score_map in scores.maps:
        for (top, left), value in zip(
            product(scores.tops, scores.lefts), score_map.values.ravel().tolist(), strict=True
        ):
            row: DetectRow = {"padding": score_map.padding, "top": top, "left": left}
            row[quantity] = value if isfinite(value) else None
            rows.append(row)
    facts = about(scores.network, scores.size) | picked(scores, "stimulus shape")
    facts |= {"contrast": None if quantity == "contrast" else scores.contrast}
    facts |= {"output": scores.output, "class": scores.class_, "notes": scores.notes}
    facts["maps"] = [picked(score_map, KEYS) for score_map in scores.maps]
    screen = [Facts(_shown(scores)), _figures(scores)]
    return Report("detect", facts, [screen], rows_of(rows, DetectRow))


def _shown(scores: Detectability) -> Iterator[tuple[str, object]]:
    first = scores.maps[0]
    stimulus = scores.stimulus
    if scores.shifted:
        stimulus += f", shifted under the frame by up to {scores.tops[-1]} px"
    else:
        if not first.threshold:
            stimulus += f", at a contrast of {scores.contrast:.3g}"
        stimulus += f", at {len(scores.tops)} x {len(scores.lefts)} positions"
    yield "network", f"{scores.title}, {in_words(scores.size)} pixels"
    yield "shown", stimulus
    yield "output", printable(scores.output)
    yield "class", scores.class_
    if first.below:
        yield "looked for", "the contrast at which this class, the background's, is no longer seen"


def _figures(scores: Detectability) -> Table:
    first = scores.maps[0]
    what = "contrast needed" if first.threshold else "score"
    of = ""
    if any(map(_unseen, scores.maps)):
        of = " where enough"
    every = "the total stride"
    if first.phase.stride:
        every = once(map(str, first.phase.stride))
    lines = (
        Column("min", f"{what}, min{of}"),
        Column("max", f"{what}, max{of}"),
        Column("median", f"{what}, median{of}"),
        Column("without", "score without a stimulus"),
        Column("unseen", "no contrast tried is enough", of=_unseen),
        Column("nan", "NaN", _share),
        Column("sd", "sd"),
        Column("blind", "blind spots", of=_blind),
        *(
            Column(side, f"{side} minus inside", of=attrgetter(f"edges.{side}"))
            for side in Sides._fields
        ),
        Column("explained", f"explained by position mod {every}", of=attrgetter("phase.explained")),
        Column("chance", "explained by chance", of=attrgetter("phase.chance")),
        Column("consistency", "neighbours with the same decision"),
        Column("saturated", "saturated scores", _share),
    )
    rows = [[line.heading, *map(line.cell, scores.maps)] for line in lines]
    headings = ["", *(named(score_map.padding) for score_map in scores.maps)]
    return grid(headings, [row for row in rows if any(cell is not None for cell in row[1:])])


def _blind(score_map: PositionMap) -> str:
    if score_map.blind is None:
        return "-"
    return percent(score_map.blind)


def _share(share: float) -> str | None:
    if share:
        return percent(share)
    return None


def _unseen(score_map: PositionMap) -> str | None:
    """Write the share of the positions at which no contrast that was tried is enough."""
    return _share(float(np.isinf(score_map.values).mean()))


COMMAND = Command(
    detect,
    """Map where MODEL, a trained network, sees a stimulus on a plain background, and where it is
    blind. --image shifts a photograph under the frame instead; padviz seen hides its parts.

    \b
    Example:
      padviz detect model.onnx --stimulus text:padding --padding trained,symmetric
    """,
    always=True,
    counting="positions",
)
