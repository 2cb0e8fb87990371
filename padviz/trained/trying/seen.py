"""Where a trained network sees: how its output changes when a patch is laid over an image, beside what counts say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.errors import DescriptionError, OptionError
from padviz.files.unfinished import Unfinished
from padviz.intervals import Estimate, half_samples, interval_of_map
from padviz.network.network import Size
from padviz.trained.sessions.running import Images, Runner, at_once, middle, outputs_of
from padviz.trained.trying.comparing import check_finite, output_of
from padviz.trained.trying.crops import Crop, Frame

Array = NDArray[np.float64]
Places = NDArray[np.int64]  # (places, 2): top and left of each, in pixels
LEAST_GRID = 5  # places on a side: an outermost ring, and something inside
LEAST_EDGE = 1e-12  # of the inside, whose logarithm is taken
DIGITS = 12  # to which means are told apart, so that those of equal counts tie


@dataclass(frozen=True, eq=False)
class Seen:
    """How a trained network's output changes by the place of a patch, and what its geometry says of these places.

    `values` is the root mean square change of `output` over crops, `usage` the mean count of paths under the patch over
    the largest of all pixels, and `distance` the patch's distance to the border in pixels; all are of shape (tops,
    lefts). `by_usage` and `by_distance` are the rank correlations of `values` with the two, and `gain` the first minus
    the second. `edge` is the mean of the outermost ring over that of the inside, the middle half; `edge_usage` that of
    the counts. Intervals are of 95 %, over pictures.

    Examples
    --------
    >>> flat, none = np.ones((5, 5)), Estimate(0.5, 0.4, 0.6)
    >>> about = ("net", "net", (40, 40), "photos", 16, 16, "output", 8, (0, 8, 16, 24, 32), (0, 8, 16, 24, 32))
    >>> Seen(*about, flat, flat, flat, none, none, none, none, 1.0).edge.value
    0.5
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
    values: Array
    usage: Array
    distance: Array
    by_usage: Estimate
    by_distance: Estimate
    gain: Estimate
    edge: Estimate
    edge_usage: float
    notes: tuple[str, ...] = ()


def places_of(size: Size, patch: int, grid: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Place a patch on a grid that reaches from border to border: tops and lefts, in pixels.

    Raises
    ------
    OptionError
        For a patch or a grid that does not fit.

    Examples
    --------
    >>> places_of((32, 48), 8, 5)
    ((0, 6, 12, 18, 24), (0, 10, 20, 30, 40))
    """
    room = min(size) - patch
    if patch < 1 or room < LEAST_GRID - 1:
        hint = f"use 1 to {min(size) - LEAST_GRID + 1}" if min(size) >= LEAST_GRID else "use a larger `size`"
        what = f"{patch} px do not fit into {size[0]} x {size[1]} at {LEAST_GRID} places a side"
        raise OptionError(what, option="patch", hint=hint)
    if not LEAST_GRID <= grid <= room + 1:
        what = f"{grid} places a side are too {'few' if grid < LEAST_GRID else 'many'}"
        raise OptionError(what, option="grid", hint=f"use {LEAST_GRID} to {room + 1}")
    tops, lefts = (tuple(np.rint(np.linspace(0, n - patch, grid)).astype(int).tolist()) for n in size)
    return tops, lefts


@dataclass(frozen=True, eq=False)
class Looking:
    """A network, and a patch to lay over images at places; `normal` is what pixels are normalised by.

    The patch is the mean pixel, which is 0 once it is normalised. `advance` counts the places that are done.
    """

    runner: Runner
    patch: int
    places: Places
    normal: tuple[Images, Images]
    advance: Callable[[int], None]

    def run(self, crops: Iterable[Crop], kept: Unfinished) -> tuple[str, Array, NDArray[np.int64]]:
        """Fill in what is missing of `kept`, the mean square changes of the output, crop by crop and place by place.

        Hand back the output's name, the changes, of shape (crops, places), and the pictures that the crops are of.
        """
        name, pictures, frame = "", [], Frame(0, 0, *self.runner.size)
        for at, crop in enumerate(crops):
            image: Images = (crop.scene(frame) - self.normal[0]) / self.normal[1]
            outputs = outputs_of(self.runner, image[None])
            name = name or output_of(outputs, 1, self.runner.where).name
            check_finite(outputs[name], self.runner.where)
            self._fill(kept, at * len(self.places), image, name, outputs[name].astype(np.float64))
            pictures.append(crop.picture)
        return name, kept.values.reshape(-1, len(self.places))[: len(pictures)], np.array(pictures)

    def _fill(self, kept: Unfinished, start: int, image: Images, name: str, before: Array) -> None:
        """Lay the patch over one image, at as many places at a time as fit the cache."""
        values = kept.values[start : start + len(self.places)]
        todo, most = np.flatnonzero(np.isnan(values)), at_once(self.runner)
        self.advance(len(values) - len(todo))
        for part in (todo[i : i + most] for i in range(0, len(todo), most)):
            images = np.repeat(image[None], len(part), axis=0)
            for covered, (top, left) in zip(images, self.places[part], strict=True):
                covered[:, top : top + self.patch, left : left + self.patch] = 0
            after = outputs_of(self.runner, images)[name].astype(np.float64)
            check_finite(after, self.runner.where)
            values[part] = ((after - before) ** 2).reshape(len(part), -1).mean(1)
            kept.save()
            self.advance(len(part))


def usage_at(counts: CountMap, patch: int, tops: tuple[int, ...], lefts: tuple[int, ...]) -> Array:
    """Average the count under a patch at each place, over the largest of all pixels, of shape (tops, lefts).

    >>> import padviz
    >>> bool(usage_at(padviz.usage("vgg11", 64), 8, (0, 28), (0, 28))[1, 1] > 0.5)
    True
    """
    sums = np.pad(counts.relative().cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, left = np.array(tops)[:, None], np.array(lefts)[None, :]
    bottom, right = top + patch, left + patch
    means: Array = (sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]) / patch**2
    return means


def distance_at(size: Size, patch: int, tops: tuple[int, ...], lefts: tuple[int, ...]) -> Array:
    """Measure how far a patch at each place is from the nearest border, in pixels, of shape (tops, lefts).

    >>> distance_at((32, 48), 8, (0, 6, 12), (0, 10)).tolist()
    [[0.0, 0.0], [0.0, 6.0], [0.0, 10.0]]
    """
    down, across = (np.minimum(at, n - patch - at) for at, n in ((np.array(tops), size[0]), (np.array(lefts), size[1])))
    nearest: Array = np.minimum(down[:, None], across[None, :]).astype(np.float64)
    return nearest


def edge_of(values: Array) -> float:
    """Divide the mean of the outermost ring by that of the middle half.

    >>> edge_of(np.pad(np.ones((3, 3)), 1))
    0.0
    """
    ring = np.ones(values.shape, bool)
    ring[1:-1, 1:-1] = False
    inside = values[middle(values.shape[0]), middle(values.shape[1])].mean()
    return float(values[ring].mean() / inside) if inside else float("nan")


def ranks(values: Array) -> Array:
    """Rank values, from 1 on; values that tie share the mean of their ranks.

    >>> ranks(np.array([5.0, 1.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    flat = values.ravel()
    scale = np.abs(flat).max() or 1.0
    _, at, counts = np.unique((flat / scale).round(DIGITS), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranked: Array = (last - (counts - 1) / 2)[at]
    return ranked


def _centred(values: Array) -> Array:
    """Rank values about 0, with a norm of 1: two such lists of ranks multiply to Spearman's correlation."""
    ranked = ranks(values) - (values.size + 1) / 2
    norm = np.linalg.norm(ranked)
    centred: Array = ranked / norm if norm else ranked
    return centred


def estimates(
    squares: Array, pictures: NDArray[np.int64], usage: Array, distance: Array
) -> tuple[Array, Estimate, Estimate, Estimate, Estimate]:
    """Map what is seen, correlate its ranks with usage and distance, subtract these, and divide edge by inside.

    `squares` is of shape (crops, places). Intervals are of random halves of the pictures.
    """
    _, at = np.unique(pictures, return_inverse=True)
    count = int(at.max()) + 1
    sums = np.zeros((count, squares.shape[1]))
    np.add.at(sums, at, squares)

    def maps(drawn: Array) -> Array:
        means: Array = np.sqrt(drawn @ sums / np.maximum(drawn @ np.bincount(at), 1)[:, None])
        return means

    drawn = half_samples(count).astype(float)
    own, one, other = maps(drawn), maps(drawn[1:]), maps(1 - drawn[1:])
    ranked = np.array([[_centred(seen) for seen in half] for half in (one, other)])
    agreement = float((ranked[0] * ranked[1]).sum(1).mean())
    whole, by = _centred(own[0]), [_centred(usage), _centred(distance)]
    found = [
        interval_of_map(float(whole @ each), ranked @ each, count, agreement, fisher)
        for each, fisher in ((by[0], True), (by[1], True), (by[0] - by[1], False))
    ]
    whole_edge = edge_of(own[0].reshape(usage.shape))
    edges = np.array([[edge_of(seen.reshape(usage.shape)) for seen in half] for half in (one, other)])
    of_log = interval_of_map(float(np.log(max(whole_edge, LEAST_EDGE))), np.log(np.maximum(edges, LEAST_EDGE)), count)
    edge = Estimate(whole_edge, *(None if end is None else float(np.exp(end)) for end in of_log[1:]))
    return own[0].reshape(usage.shape), found[0], found[1], found[2], edge


def check_reacts(squares: Array, grid: int, where: str) -> None:
    """Refuse a network whose output no patch inside changes: nothing is known of where it sees.

    Raises
    ------
    DescriptionError
        Naming it.
    """
    inside = squares.mean(0).reshape(grid, grid)[middle(grid), middle(grid)]
    if not inside.any():
        what = "does not react: a patch anywhere inside leaves its output as it is"
        raise DescriptionError(what, where=where, hint="use trained weights, or a larger `patch`")
