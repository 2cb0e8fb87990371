"""Occlusion maps: the change of a trained network's output when a patch covers a place, compared to
usage.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.errors import DescriptionError, OptionError
from padviz.files.unfinished import ResumeOptions, Unfinished, digest_of, saved_on_exit
from padviz.intervals import CHANGED, Estimate, half_samples, interval_of_map
from padviz.network.network import Size
from padviz.progress import Progress, counter
from padviz.trained.images import Crops, Frame, Inputs, Pixels, few_pictures
from padviz.trained.networks.reading import runner_of
from padviz.trained.networks.running import Floats, Images, batches, middle, outputs_of
from padviz.trained.networks.trained_network import Trained
from padviz.trained.trying.comparing import check_finite, run_crops

LEAST_GRID = 5  # places on a side: an outermost ring, and something inside
LEAST_EDGE = 1e-12  # of the inside, whose logarithm is taken
COUNTED = 1e-12  # of the largest: counts that differ by less tie
MEASURED = 1e-5  # of the largest: changes of float32 outputs that differ by less tie


@dataclass(frozen=True, eq=False)
class Seen:
    """The change of a trained network's output by the place of a patch, and the usage of these
    places.

    `values` is the root mean square change of `output` over crops. `usage` is the mean count of
    paths under the patch over the largest of all pixels, and `distance` the patch's distance to the
    border in pixels; all are (tops, lefts). `by_usage` and `by_distance` are the rank correlations
    of `values` with the two, and `gain` the first minus the second. `edge` is the mean of the
    outermost ring over that of the inside, the middle half; `edge_usage` that of the counts.
    Intervals are of 95 %, over pictures.
    """

    network: str
    title: str
    size: Size
    images: str
    count: int
    pictures: int
    output: str
    patch: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    values: Floats
    usage: Floats
    distance: Floats
    by_usage: Estimate
    by_distance: Estimate
    gain: Estimate
    edge: Estimate
    edge_usage: float
    notes: tuple[str, ...] = ()


def see(
    trained: Trained,
    patch: int,
    grid: int,
    inputs: Inputs,
    resume: ResumeOptions,
    on_progress: Progress | None,
) -> Seen:
    """Cover each place of a grid by a patch, in crops of pictures, and compare the change of the
    output to usage.
    """
    tops, lefts = places_of(trained.size, patch, grid)
    counts = usage(trained.network, trained.size, heads="share")
    runner, n = runner_of(trained), inputs.n
    crops = Crops(inputs, trained.size, Frame(0, 0, *trained.size), runner.channels)
    question = ""
    if resume.path:
        contents = digest_of(runner.contents(), crops.paths)
        question = (
            f"seen {contents} {trained.size} {n} {patch} {grid} {inputs.seed} {inputs.mean} "
            f"{inputs.std}"
        )
    kept = Unfinished(resume.path, question, n * grid**2, resume.resume)
    # A view: mean square changes of the output, by crop and place.
    squares = kept.values.reshape(n, grid**2)
    places = np.array([*product(tops, lefts)])
    output, pictures = "", list[int]()
    advance = counter(n * grid**2, on_progress)
    with saved_on_exit(kept):
        for batch in run_crops(runner, crops):
            output = batch.output.name
            for crop, image, before in zip(batch.crops, batch.scenes, batch.before, strict=True):
                values = squares[len(pictures)]
                missing = np.flatnonzero(np.isnan(values))
                advance(len(values) - len(missing))
                for part in batches(runner, len(missing)):
                    at = missing[part]
                    covered = _cover(image, places[at], patch)
                    after = outputs_of(runner, covered)[output].astype(np.float64)
                    check_finite(after, runner.where)
                    values[at] = ((after - before) ** 2).reshape(len(at), -1).mean(1)
                    kept.save()
                    advance(len(at))
                pictures.append(crop.picture)
    squares = squares[: len(pictures)]
    if not squares.mean(0).reshape(grid, grid)[middle(grid), middle(grid)].any():
        what = "does not react: a patch anywhere inside leaves its output as it is"
        raise DescriptionError(
            what, where=trained.where, hint="use trained weights, or a larger `patch`"
        )
    by_place = _geometry(counts, patch, tops, lefts)
    values, by_usage, by_distance, gain, edge = estimates(squares, np.array(pictures), *by_place)
    few = few_pictures(pictures)
    if not few and by_usage.low is None:
        few = (f"no intervals, since fewer than {CHANGED} photographs change the output",)
    notes, edge_usage = (*trained.notes, *crops.notes, *few), edge_of(by_place[0])
    about = (
        trained.network.name,
        trained.network.title,
        trained.size,
        crops.name,
        len(pictures),
        len({*pictures}),
    )
    grid_of = output, patch, tops, lefts
    return Seen(
        *about, *grid_of, values, *by_place, by_usage, by_distance, gain, edge, edge_usage, notes
    )


def _cover(image: Pixels, places: NDArray[np.int64], patch: int) -> Images:
    """Copy an image for each place (top, left), and cover a patch there."""
    images = np.repeat(image[None], len(places), axis=0)
    for covered, (top, left) in zip(images, places, strict=True):
        # The mean pixel, once it is normalised.
        covered[:, top : top + patch, left : left + patch] = 0
    return images


def places_of(size: Size, patch: int, grid: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tops and lefts, in pixels, of patches on a grid from border to border.

    >>> places_of((32, 48), 8, 5)
    ((0, 6, 12, 18, 24), (0, 10, 20, 30, 40))
    """
    room = min(size) - patch
    if patch < 1 or room < LEAST_GRID - 1:
        most = min(size) - LEAST_GRID + 1
        hint = f"use 1 to {most}" if most > 0 else "use a larger `size`"
        what = f"{patch} px do not fit into {size[0]} x {size[1]} at {LEAST_GRID} places a side"
        raise OptionError(what, option="patch", hint=hint)
    if not LEAST_GRID <= grid <= room + 1:
        extreme = "few" if grid < LEAST_GRID else "many"
        what = f"{grid} places a side are too {extreme}"
        raise OptionError(what, option="grid", hint=f"use {LEAST_GRID} to {room + 1}")
    tops, lefts = (
        tuple(np.rint(np.linspace(0, n - patch, grid)).astype(int).tolist()) for n in size
    )
    return tops, lefts


def _geometry(
    counts: CountMap, patch: int, tops: tuple[int, ...], lefts: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Average the counts under a patch at each place, over the largest, and measure its distance to
    the border.
    """
    sums = np.pad(counts.relative().cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, left = np.array(tops)[:, None], np.array(lefts)[None, :]
    bottom, right = top + patch, left + patch
    means: Floats = (
        sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    ) / patch**2
    height, width = counts.shape
    nearest = np.minimum(np.minimum(top, height - bottom), np.minimum(left, width - right))
    return means, nearest.astype(np.float64)


def edge_of(values: Floats) -> float:
    """Divide the mean of the outermost ring by that of the middle half."""
    ring = np.ones(values.shape, bool)
    ring[1:-1, 1:-1] = False
    inside = values[middle(values.shape[0]), middle(values.shape[1])].mean()
    if not inside:
        return float("nan")
    return float(values[ring].mean() / inside)


def unit_ranks(values: Floats, tie: float = COUNTED) -> Floats:
    """Rank values about 0, with a norm of 1: the product of two such lists is Spearman's
    correlation.

    Values tie if each is within `tie`, a share of the largest, of the next; they share the mean of
    their ranks.
    """
    flat = values.ravel()
    order = np.argsort(flat, kind="stable")
    # Rounding would part equal values that lie on two sides of a step.
    at = np.empty(flat.size, int)
    at[order] = np.cumsum(np.diff(flat[order], prepend=flat[order[0]]) > tie * np.abs(flat).max())
    counts = np.bincount(at)
    ranked = (np.cumsum(counts) - counts / 2)[at] - values.size / 2
    norm = float(np.linalg.norm(ranked)) or 1.0  # all tie
    scaled: Floats = ranked / norm
    return scaled


def estimates(
    squares: Floats, pictures: NDArray[np.int64], usage: Floats, distance: Floats
) -> tuple[Floats, Estimate, Estimate, Estimate, Estimate]:
    """Average changes (crops, places) to a map, and compute `by_usage`, `by_distance`, `gain` and
    `edge` of it.
    """
    _, at = np.unique(pictures, return_inverse=True)
    count = int(at.max()) + 1
    sums = np.zeros((count, squares.shape[1]))
    np.add.at(sums, at, squares)

    def maps(drawn: Floats) -> Floats:
        means: Floats = np.sqrt(drawn @ sums / np.maximum(drawn @ np.bincount(at), 1)[:, None])
        return means

    drawn = half_samples(count).astype(float)
    if np.count_nonzero(sums.any(axis=1)) < CHANGED:
        count = 0  # so that there are no intervals
    of_all, halves = maps(drawn)[0], (maps(drawn[1:]), maps(1 - drawn[1:]))
    ranked = np.stack([np.apply_along_axis(unit_ranks, 1, half, MEASURED) for half in halves])
    agreement = float((ranked[0] * ranked[1]).sum(1).mean())
    whole, by_usage, by_distance = (
        unit_ranks(of_all, MEASURED),
        unit_ranks(usage),
        unit_ranks(distance),
    )

    def correlation(other: Floats, fisher: bool) -> Estimate:
        return interval_of_map(float(whole @ other), ranked @ other, count, agreement, fisher)

    def edge_over_inside(flat: Floats) -> float:
        return edge_of(flat.reshape(usage.shape))

    value = edge_over_inside(of_all)
    edges = np.stack([np.apply_along_axis(edge_over_inside, 1, half) for half in halves])
    edge = interval_of_map(
        float(np.log(max(value, LEAST_EDGE))), np.log(np.maximum(edges, LEAST_EDGE)), count
    )
    if edge.low is not None and edge.high is not None:
        edge = Estimate(value, float(np.exp(edge.low)), float(np.exp(edge.high)))
    else:
        edge = Estimate(value, None, None)
    correlations = correlation(by_usage, True), correlation(by_distance, True)
    return (
        of_all.reshape(usage.shape),
        *correlations,
        correlation(by_usage - by_distance, False),
        edge,
    )
