"""Where a trained network sees, beside what its geometry says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path

from padviz.analyses.asked import TrainedSource
from padviz.analyses.result import Result
from padviz.analyses.trial import about
from padviz.network.network import Size
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Column, Heading, Lines, Report, Table, columns
from padviz.trained.networks.reading import as_trained
from padviz.trained.trying.seen import Seen
from padviz.trained.trying.wording import explained, with_ends


class SeenResult(Result[Seen], Seen):
    """Where a network sees: `.values` and `.usage` by place, `.by_usage` and `.by_distance`."""


def seen(
    network: TrainedSource,
    images: str | Path | None = None,
    patch: int = 24,
    grid: int = 11,
    n: int = 16,
    *,
    size: int | Size | None = None,
    weights: str | Path | None = None,
    noise: bool = False,
    seed: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    unfinished: Path | None = None,
    resume: bool = False,
    on_progress: Progress | None = None,
) -> SeenResult:
    """Measure where a trained network sees: how much its output changes when a patch is laid at each place of a grid.

    The map stands beside that of usage at the same places, with the rank correlation between them; and, as the
    baseline, with that of the plain distance to the border.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Trained
        The path of an ONNX file, a module with its weights, the name of what makes one, or what was read of it.
    images : str or Path
        A folder of photographs like those of the training.
    patch : int
        Side of the patch in pixels; it is the mean pixel all over.
    grid : int
        Places of the patch along each side, from border to border.
    n : int
        The number of crops, shared out among the pictures.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    weights, noise, seed, mean, std, on_progress
        As for `padviz.trial`.
    unfinished : Path, optional
        A file that keeps what is done, to the last value: remove it once what is made of it is stored.
    resume : bool
        Go on where an earlier call with the same options was interrupted, with what `unfinished` keeps.

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
    Intervals are of 95 %, by random halves of the pictures; below 10 there are none. Those of correlations are
    corrected for the noise that few pictures have. The output is that of the first classes, or the first map.

    Examples
    --------
    >>> import padviz, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 3, padding=1))
    >>> padviz.seen(net, noise=True, patch=4, grid=5, n=2, size=16).values.shape
    (5, 5)
    """
    from padviz.figures.trained import position_maps
    from padviz.files.unfinished import ResumeOptions
    from padviz.trained.trying.crops import CropOptions
    from padviz.trained.trying.seen import see

    options = CropOptions(images, n, noise, seed, mean, std)
    trained = as_trained(network, size, weights)
    resuming = ResumeOptions(unfinished, resume, f"{trained.where} {weights}")
    found = see(trained, patch, grid, options, resuming, on_progress)
    draw, axes = partial(position_maps.seen, found), partial(position_maps.plot_seen, found)
    return SeenResult.made_of(found, (found,), partial(report_of, found), draw, axes, pictured=True, notes=found.notes)


SEEN = (Column(""), *columns("seen usage"))


def report_of(seen_map: Seen) -> Report:
    """Report where a network sees, beside what its geometry says."""
    sentence = explained(seen_map)
    rows = [
        {"": "Spearman with usage", "seen": with_ends(seen_map.by_usage)},
        {"": "Spearman with distance to the border", "seen": with_ends(seen_map.by_distance)},
        {"": "usage's minus distance's", "seen": with_ends(seen_map.gain)},
        {"": "edge over inside", "seen": with_ends(seen_map.edge), "usage": f"{seen_map.edge_usage:.2f}"},
    ]
    what = f"a patch of {seen_map.patch} px at {len(seen_map.tops)} x {len(seen_map.lefts)} places"
    screen = [Lines([sentence]), Heading(about(seen_map, f"{what}; {seen_map.count} crops")), Table(SEEN, rows)]
    keys = ["top", "left", "seen", "usage", "distance"]
    grids = (grid.ravel().tolist() for grid in (seen_map.values, seen_map.usage, seen_map.distance))
    places = zip(product(seen_map.tops, seen_map.lefts), *grids, strict=True)
    sheet = [dict(zip(keys, (*place, *figures), strict=True)) for place, *figures in places]
    facts = {"answer": sentence, **picked(seen_map, "network size images count pictures output patch tops lefts")}
    edge = {"seen": seen_map.edge, "usage": seen_map.edge_usage}
    facts |= {**picked(seen_map, "by_usage by_distance gain"), "edge": edge}
    facts |= picked(seen_map, "values usage distance notes")
    return Report("seen", facts, [screen], Table([*map(Column, keys)], sheet))
