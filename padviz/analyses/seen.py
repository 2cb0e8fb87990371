"""What a trained network sees: how much its output changes if a patch hides a place of
photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, TypedDict

from padviz.analyses.asked import TrainedSource
from padviz.analyses.result import Result
from padviz.analyses.trial import inputs_in_words
from padviz.files.unfinished import ResumeOptions
from padviz.network.network import Size
from padviz.options import (
    GRID,
    IMAGES,
    MEAN,
    NOISE,
    PATCH,
    RESUME,
    RUN_MODEL,
    SEED,
    SIZE,
    STD,
    WEIGHTS,
    Command,
    N,
)
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Heading, Lines, Report, grid
from padviz.reports.rows import about, rows_of
from padviz.trained.images import to_crop
from padviz.trained.networks.reading import as_trained
from padviz.trained.trying.seen import Seen, see
from padviz.trained.trying.wording import explained, with_ends


class SeenResult(Result[Seen], Seen):
    """Where a network sees: `.values` and `.usage` by place, `.by_usage` and `.by_distance`."""


def seen(
    network: Annotated[TrainedSource, RUN_MODEL],
    images: Annotated[str | Path | None, IMAGES] = None,
    patch: Annotated[int, PATCH] = 24,
    grid: Annotated[int, GRID] = 11,
    n: Annotated[int, N] = 16,
    *,
    size: Annotated[int | Size | None, SIZE] = None,
    weights: Annotated[str | Path | None, WEIGHTS] = None,
    noise: Annotated[bool, NOISE] = False,
    seed: Annotated[int, SEED] = 0,
    mean: Annotated[Sequence[float] | None, MEAN] = None,
    std: Annotated[Sequence[float] | None, STD] = None,
    unfinished: Path | None = None,
    resume: Annotated[bool, RESUME] = False,
    on_progress: Progress | None = None,
) -> SeenResult:
    """Measure how much the output of a trained network changes if a patch covers each place of a
    grid.

    The map is compared with usage at the same places by rank correlation, and, as the baseline,
    with the distance to the border.

    Parameters
    ----------
    network, size, weights
        As for `filters`.
    images : str or Path
        A folder of photographs like those of the training.
    patch : int
        Side of the patch of mean pixels, in pixels.
    grid : int
        Places of the patch along each side, from border to border.
    n : int
        The number of crops.
    noise, seed, mean, std, on_progress
        As for `trial`.
    unfinished, resume
        As for `detect`.

    Returns
    -------
    SeenResult
        With `.values` and `.usage` by place, `.by_usage` and `.by_distance`, and `.plot()`.

    Raises
    ------
    PadvizError
        For a network, folder, patch or grid that cannot be used.

    Notes
    -----
    Intervals are of 95 %, by random halves of the pictures; below 10 there are none. Those of
    correlations are
    corrected for the noise that few pictures have. The output is that of the first classes, or the
    first map.

    Examples
    --------
    >>> import padviz, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 3,
    ...     padding=1))
    >>> padviz.seen(net, noise=True, patch=4, grid=5, n=2, size=16).values.shape
    (5, 5)
    """
    from padviz.figures.trained import position_maps

    inputs = to_crop(images, n, noise, seed, mean, std)
    trained = as_trained(network, size, weights)
    resuming = ResumeOptions(unfinished, resume)
    seen_map = see(trained, patch, grid, inputs, resuming, on_progress)
    draw = partial(position_maps.seen, seen_map)
    return SeenResult.made_of(
        seen_map,
        (seen_map,),
        partial(report_of, seen_map),
        draw,
        pictured=True,
        notes=seen_map.notes,
    )


class SeenRow(TypedDict):
    """The change of the output (`seen`) by a patch at a place, with usage and the distance to the
    border there.
    """

    top: int
    left: int
    seen: float
    usage: float
    distance: float


def report_of(seen_map: Seen) -> Report:
    sentence = explained(seen_map)
    rows: list[list[object]] = [
        ["Spearman with usage", with_ends(seen_map.by_usage), None],
        ["Spearman with distance to the border", with_ends(seen_map.by_distance), None],
        ["usage minus distance", with_ends(seen_map.gain), None],
        ["edge over inside", with_ends(seen_map.edge), f"{seen_map.edge_usage:.2f}"],
    ]
    what = f"a patch of {seen_map.patch} px at {len(seen_map.tops)} x {len(seen_map.lefts)} places"
    heading = Heading(inputs_in_words(seen_map, f"{what}; {seen_map.count} crops"))
    planes = seen_map.values, seen_map.usage, seen_map.distance
    figures = zip(*(plane.ravel().tolist() for plane in planes), strict=True)
    places = []
    for (top, left), (change, usage, distance) in zip(
        product(seen_map.tops, seen_map.lefts), figures, strict=True
    ):
        place = {"top": top, "left": left}
        places.append({**place, "seen": change, "usage": usage, "distance": distance})
    keys = "images count pictures output patch by_usage by_distance gain edge edge_usage notes"
    facts = {**about(seen_map.network, seen_map.size), "verdict": sentence}
    screen = [Lines([sentence]), heading, grid(["", "seen", "usage"], rows)]
    return Report("seen", facts | picked(seen_map, keys), [screen], rows_of(places, SeenRow))


COMMAND = Command(
    seen,
    """Measure what MODEL, a trained network, sees at each place of photographs, by hiding it.

    A patch hides one place after another. What the network sees at a place is measured by how much
    the output changes when it is hidden (root mean square).

    Two rank correlations (Spearman) of this change are compared: with usage, the number of paths
    from the pixels under the patch, and with the distance to the border. 95 % intervals over images
    need at least 10.

    \b
    Example:
      padviz seen model.onnx --images photos --patch 32 --grid 7
    """,
    always=True,
    counting="positions",
)
