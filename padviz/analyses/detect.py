"""Where a trained network sees something, and where it is blind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from padviz.analyses.asked import TrainedSource, runners_of
from padviz.analyses.door import Door
from padviz.analyses.result import Result
from padviz.analyses.seen import seen
from padviz.counting.shares.summary import percent
from padviz.errors import printable
from padviz.network.network import in_words
from padviz.progress import Progress
from padviz.reports.documents import picked, plain
from padviz.reports.report import Column, Facts, Report, Table, columns
from padviz.reports.tables import named, once
from padviz.trained.detecting.detectability import Detectability, PositionMap
from padviz.trained.networks.reading import as_trained


class DetectResult(Result[PositionMap], Detectability):
    """Scores by position: `.maps`, one for each padding."""


def detect(
    network: TrainedSource,
    stimulus: str | None = None,
    size: int | Sequence[int] | None = None,
    padding: str | Sequence[str] | None = None,
    *,
    weights: str | Path | None = None,
    height: int | None = None,
    contrast: float | None = None,
    step: int | None = None,
    layer: str | None = None,
    class_: int | None = None,
    threshold: bool = False,
    image: str | Path | None = None,
    shift: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bgr: bool = False,
    unfinished: Path | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
) -> DetectResult:
    """Move a stimulus over a neutral background, and score how well a trained network sees it at each position.

    A detector's score is the peak of its map within half the stimulus's height of it; a classifier's is p / (p + q),
    with the probability p of the class and q of the best other one. From .5 on, something is seen. Unless they are
    given, height, class and contrast are chosen such that the median score of the network as it is comes near .5. The
    background alone is scored, too: where no score is more than .01 from that, nothing reacts, and that is an error.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was read of it.
    stimulus : str, optional
        "text:WORD", "sample", which is a pattern of rings, or the path of a picture; "sample" by default.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str or sequence of str, optional
        Schemes to replace the padding of every convolution by, besides the padding that it has.
    weights : str or Path, optional
        A file of weights for a module, or the name of weights that a factory takes.
    height : int, optional
        Of the stimulus, in pixels.
    contrast : float, optional
        Of the stimulus: 1 is as it is, and 0 the background.
    step : int, optional
        Pixels from one position to the next; the least one, from 8 on, that makes at most 400 positions by default.
    layer : str, optional
        The output to look at, or a tensor or module inside; the first that is a map or class scores by default.
    class_ : int, optional
        The class to look for.
    threshold : bool
        Find the least contrast at each position with a score of .5, in place of the score. Without it that is done
        where scores tell positions apart at no contrast, and `.notes` say why.
    image : str or Path, optional
        A picture, larger than the frame by `shift`, that moves under it in place of a stimulus.
    shift : int, optional
        How far the picture moves, in pixels, up to the image's larger side; 32 by default.
    mean, std : sequence of float, optional
        What pixels from 0 to 1 are normalised by, ImageNet's by default; the background is the mean.
    bgr : bool
        Feed blue, green, red; `mean` and `std` stay in the order red, green, blue.
    unfinished : Path, optional
        A file that keeps the scores, to the last one: remove it once what is made of them is stored.
    resume : bool
        Go on where an earlier call with the same options was interrupted, with what `unfinished` keeps.
    on_progress : callable, optional
        Told of the positions that are done, and of how many there are.

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
    from padviz.files.unfinished import ResumeOptions
    from padviz.trained.detecting.detection import DetectOptions, score_positions

    options = DetectOptions(stimulus, height, contrast, step, layer, class_, threshold, image, shift, mean, std, bgr)
    trained = as_trained(network, size, weights)
    options.check(trained.size)
    resuming = ResumeOptions(unfinished, resume, f"{trained.where} {weights}")
    scores = score_positions(trained, *runners_of(trained, padding), options, resuming, on_progress)
    draw, axes = partial(position_maps.detected, scores), partial(position_maps.plot_detected, scores)
    return DetectResult.made_of(
        scores, scores.maps, partial(report_of, scores), draw, axes, pictured=True, notes=scores.notes
    )


KEYS = {  # of a map, in JSON: by its attributes
    "padding": "padding", "threshold": "threshold", "below": "below", "min": "least", "max": "most",
    "median": "median", "sd": "sd", "without": "without", "nan": "lost", "blind": "blind", "edges": "edges",
    "phase": "phase", "consistency": "consistency", "saturated": "saturated",
}  # fmt: skip


def report_of(scores: Detectability) -> Report:
    """Report the scores, or thresholds, by position under each padding."""
    threshold = scores.maps[0].threshold
    contrast = {"contrast": None if threshold else scores.contrast}
    about = {**picked(scores, "network size stimulus shape"), **contrast}
    about |= {"output": scores.output, "class": scores.class_}
    maps = [{**_facts(score_map), "values": _finite(score_map)} for score_map in scores.maps]
    sheet = [
        {"padding": named(score_map.padding), "top": top, "left": left, "value": value}
        for score_map in scores.maps
        for top, line in zip(scores.tops, _finite(score_map), strict=True)
        for left, value in zip(scores.lefts, line, strict=True)
    ]
    value = Column("contrast" if threshold else "score", of=lambda row: row["value"])
    return Report(
        "detect",
        {**about, **picked(scores, "tops lefts notes"), "maps": maps},
        [[Facts(_stimulus_facts(scores)), figures(scores)]],
        Table((*columns("padding top left"), value), sheet),
    )


def _facts(score_map: PositionMap) -> dict[str, object]:
    """Pick the figures of one map for JSON."""
    return {key: plain(getattr(score_map, name)) for key, name in KEYS.items()}


def _finite(score_map: PositionMap) -> list[list[float | None]]:
    """List the values row by row; None where no contrast is enough, or where the network returns NaN."""
    return [[value if isfinite(value) else None for value in row] for row in score_map.values.tolist()]


def _stimulus_facts(scores: Detectability) -> list[tuple[str, object]]:
    """Say what was shown to what."""
    contrast = "" if scores.maps[0].threshold else f", at a contrast of {scores.contrast:.3g}"
    stimulus = f"{scores.stimulus}{contrast}, at {len(scores.tops)} x {len(scores.lefts)} positions"
    if scores.shifted:
        stimulus = f"{scores.stimulus}, shifted under the frame by up to {scores.tops[-1]} px"
    below = "the contrast at which this class, the background's, is no longer seen"
    return [
        ("network", f"{scores.title}, {in_words(scores.size)} pixels"),
        ("shown", stimulus),
        ("output", printable(scores.output)),
        *(() if scores.class_ is None else [("class", scores.class_)]),
        *([("looked for", below)] if scores.maps[0].below else []),
    ]


def figures(scores: Detectability) -> Table:
    """Tabulate the figures of all maps, a column for each padding."""
    what = "contrast needed" if scores.maps[0].threshold else "score"
    of = " where enough" if any(map(_unseen, scores.maps)) else ""
    stride = scores.maps[0].phase.stride
    every = once(map(str, stride)) if stride else "the total stride"
    lines: dict[str, Callable[[PositionMap], Any]] = {
        f"{what}, min{of}": lambda score_map: score_map.least,
        f"{what}, max{of}": lambda score_map: score_map.most,
        f"{what}, median{of}": lambda score_map: score_map.median,
        "score without a stimulus": lambda score_map: score_map.without,
        "no contrast tried is enough": _unseen,
        "NaN": lambda score_map: _share(score_map.lost),
        "sd": lambda score_map: score_map.sd,
        "blind spots": lambda score_map: "-" if score_map.blind is None else percent(score_map.blind),
        **{f"{side} minus inside": partial(_edge, side) for side in scores.maps[0].edges._fields},
        f"explained by position mod {every}": lambda score_map: score_map.phase.explained,
        "the same, by chance": lambda score_map: score_map.phase.chance,
        "neighbours that decide alike": lambda score_map: score_map.consistency,
        "saturated scores": lambda score_map: _share(score_map.saturated),
    }
    rows = [[name, *map(figure, scores.maps)] for name, figure in lines.items()]
    heads = ["", *(named(score_map.padding) for score_map in scores.maps)]
    maps = [Column(head, of=partial(_at, i)) for i, head in enumerate(heads)]
    return Table(maps, [row for row in rows if any(cell is not None for cell in row[1:])])


def _at(i: int, row: Sequence[Any]) -> Any:
    return row[i]


def _edge(side: str, score_map: PositionMap) -> float | None:
    figure: float | None = getattr(score_map.edges, side)
    return figure


def _share(share: float) -> str | None:
    return percent(share) if share else None


def _unseen(score_map: PositionMap) -> str | None:
    """Write the share of the positions at which no contrast that was tried is enough."""
    return _share(float(np.isinf(score_map.values).mean()))


DOOR = Door(
    detect,
    """Move a stimulus over the image, and map how well MODEL, a trained network, sees it at each position.

    A detector scores by the peak of its map within half the stimulus's height of it, a classifier by how its class
    compares with the best other one; from .5 on, it is seen. A map is an output whose rows and columns fit the image;
    detect refuses other outputs, and raw heads whose channels may be boxes, and lists maps inside to ask for. Contrast,
    height and class are chosen for a median score of .5 on the network as trained. Blind spots, below half the median,
    are outlined. Saturated scores are below .01 or above .99.

    Where no contrast brings the median between .2 and .8, where more than half of the scores are saturated, or where
    the background alone is seen, detect maps the contrast needed, as --threshold does, and says why. It refuses to map
    what does not react.

    The picture of --image is scaled (bicubic) to cover the frame and the shift, cut to its middle, and shifted right
    and down.

    --cover lays a patch of the mean pixel over crops of photographs instead, place by place, and compares the change
    of the output to usage under the patch. Seen is the root mean square change over crops. Spearman's rank correlation
    sets it against usage and, as the baseline, against the distance to the border. Intervals are of 95 %, over images;
    below 10 images there are none.

    Ctrl-C, or a picture that cannot be written, leaves the scores next to the picture; --resume continues from them.

    \b
    Example:
      padviz detect model.onnx --stimulus text:padding --padding trained,symmetric,circular
      padviz detect model.onnx --step 32 --format csv
      padviz detect model.onnx --cover --images photos --patch 32 --grid 7
    """,
    "size paddings layer stimulus height contrast step class threshold image shift mean std bgr resume "
    "cover images n patch grid seed noise",
    picture="always",
    model="trained",
    counting="positions",
    instead={"cover": seen},
)
