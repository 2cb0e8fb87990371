"""Seams of a stitched output, and what explains the error of its tiles.

Seams are lines where the error steps further than before and after, at more pixels than anywhere.
Evidence for a line is how many of its pixels do, in standard deviations (a deviance residual). That
of lines at equal distances adds up.

A tile is compared with what simple faults would make of it: the one that leaves least of the error
explains it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Output = NDArray[Any]  # (channels, height, width); a signal has a height of 1
Area = tuple[tuple[int, int], ...]  # of each axis
Known = int | list[int] | None  # a period, or lines
AT_ONCE = 1 << 19  # values that are converted to float64 at a time
# A step is compared with so many before and after it, and exceeds their mean so many times.
AROUND, FURTHER = 4, 4
# The least evidence for lines at equal distances, for lines at known ones, and for a single line.
SURE, KNOWN, ALONE = 6.25, 5.0, 18.0
# What counts of a line's evidence, so that no one makes a period; lines that propose one.
COUNTED, STRONGEST = 4.0, 64
# Lines that step at least half as clearly as the clearest may be where tiles meet, too.
CLEAR = np.log(2)
# What is left of the squared error, if explained or exact; of whole's variance, in a constant.
LEFT, EXACT, FLAT = 0.04, 1e-9, 1e-4
# Of a tile's mean squared error, in its middle.
FADED = 0.1
# Pixels of a shift, and of what is copied from elsewhere.
REACH, NEAR = 8, 1
# Pixels that are compared: at most on each axis, at least in all.
SAMPLES, LEAST = 64, 32
# Most tiles that are compared with models, and that one may show instead.
WORST, OTHERS = 32, 256
# A border is at most this part of a side.
BORDER = 8


class Seams(NamedTuple):
    """Lines between tiles, in front of rows or columns `at`: `period` px apart, or None.

    `ratio` is the error's mean step there, over that elsewhere; `step` is the largest.
    """

    axis: str
    period: int | None
    ratio: float
    step: float
    at: tuple[int, ...]


class Fit(NamedTuple):
    """What explains a tile, the `area`: "constant", "gain", "shift", "swapped", or "".

    It has the values of whole at `shows`, from these `channels`, `turned`, moved by `shift` px,
    times `gain`, plus `offset`.
    """

    area: Area
    kind: str = ""
    shift: tuple[int, ...] = (0, 0)
    gain: float = 1.0
    offset: float = 0.0
    channels: tuple[int, ...] = ()
    turned: str = ""
    shows: Area = ()


class Errors(NamedTuple):
    """How far tiled is from whole: its rms over channels as a `map`, which pixels differ, and
    figures of all.
    """

    map: Values
    differs: NDArray[np.bool_]
    rms: float
    largest: float
    sd: float  # of whole

    @property
    def box(self) -> Area:
        """The rows and columns from the first to the last pixel that differs."""
        places = [np.flatnonzero(self.differs.any(axis=axis)) for axis in (1, 0)]
        return tuple((int(at[0]), int(at[-1]) + 1) for at in places)


def pieces(whole: Output, tiled: Output, cut: int) -> Iterator[tuple[slice, Values, Values]]:
    """Cut both along an axis of the arrays, so that float64 takes little memory; yield where, whole
    and the error.
    """
    n = whole.shape[cut]
    side = max(1, AT_ONCE * n // whole.size)
    for first in range(0, n, side):
        at = slice(first, min(first + side, n))
        index = (slice(None),) * cut + (at,)
        right = whole[index].astype(np.float64)
        yield at, right, tiled[index] - right


def measure(whole: Output, tiled: Output, rounding: float) -> Errors:
    """Measure the error; pixels differ by more than `rounding`."""
    errors = np.empty(whole.shape[1:], np.result_type(np.float32, whole, tiled))
    differs = np.empty(whole.shape[1:], np.bool_)
    mean, variance, squares, largest = whole.mean(dtype=np.float64), 0.0, 0.0, 0.0
    for rows, right, error in pieces(whole, tiled, 1):
        apart = np.abs(error).max(axis=0)
        differs[rows] = apart > rounding
        errors[rows] = np.sqrt(np.square(error).mean(axis=0))
        largest = max(largest, float(apart.max()))
        squares += float(np.square(error).sum())
        variance += float(np.square(right - mean).sum())
    return Errors(errors, differs, sqrt(squares / whole.size), largest, sqrt(variance / whole.size))


def find_seams(whole: Output, tiled: Output, axis: int, known: Known, least: float) -> list[Seams]:
    """Return seams along an axis; `known` is a period, a list of lines, or None. Steps of at most
    `least` are none.
    """
    n = whole.shape[axis + 1]
    if n < 6 * AROUND:
        return []
    mean, most, hits = np.zeros(n - 1), np.zeros(n - 1), np.zeros(n)
    for _, right, error in pieces(whole, tiled, 2 - axis):
        steps = _steps(error, axis)
        mean += steps.sum(axis=1) / (whole.size // n)
        most = np.maximum(most, steps.max(axis=1))
        hits[AROUND + 1 : -AROUND] += _hits(steps, _steps(right, axis), least)
    groups = _groups(
        _evidence(hits, whole.size // n), known, np.log(np.pad(mean, (1, 0)) * (hits + 1) + 1e-300)
    )
    if not groups:
        return []
    elsewhere = np.delete(mean, np.concatenate([at for _, at in groups]) - 1)
    rest = float(elsewhere.mean()) or 1.0
    seams = []
    for period, at in groups:
        ratio, step = float(mean[at - 1].mean()) / rest, float(most[at - 1].max())
        seams.append(Seams(axis_name(whole.shape[1:], axis), period, ratio, step, (*at.tolist(),)))
    return seams


def _groups(
    evidence: Values, known: Known, clear: Values
) -> list[tuple[int | None, NDArray[np.intp]]]:
    """Return lines at equal distances, with their period, and single ones, the strongest first.

    `clear` is how much each line steps, at how many pixels.
    """
    groups: list[tuple[int | None, NDArray[np.intp]]] = []
    n, evidence = len(evidence), evidence.copy()
    while True:
        at = lines = _strongest(evidence, known, SURE if groups else ALONE)
        if not len(lines):
            return groups
        period = None
        if not isinstance(known, list):
            half = AROUND
            if len(lines) > 1:
                period = int(lines[1] - lines[0])
                half = period // 2
            # Errors may begin beside the lines where tiles meet: take those near by that step most
            # clearly.
            moved = lines + np.arange(-half, half + 1)[:, None]
            clearest = clear.take(moved, mode="clip").sum(axis=1)
            at = moved[clearest.argmax()]
            # A band of errors steps where it begins and where it ends: tiles that start at 0 meet
            # in it.
            band = np.flatnonzero(clearest >= clearest.max() - CLEAR * len(lines))
            for between in moved[band[0] : band[-1] + 1]:
                if period and between[0] % period == 0:
                    at = between
            at = at[(at > 0) & (at < n)]
        # What is beside these lines is no evidence for others.
        distance = np.abs(np.arange(n)[:, None] - np.concatenate([lines, at]))
        evidence[(distance <= 2 * AROUND).any(axis=1)] = 0
        if period is None or period not in [known_period for known_period, _ in groups]:
            groups.append((period, at))


def axis_name(size: Sequence[int], axis: int) -> str:
    if axis == 0:
        return "height"
    if size[0] > 1:
        return "width"
    return "length"


def _steps(values: Values, axis: int) -> Values:
    """Return how far each row is from the next, (rows - 1, pixels); that in front of row k is at k
    - 1.
    """
    return np.abs(
        np.diff(np.moveaxis(values, axis + 1, 0).reshape(values.shape[axis + 1], -1), axis=0)
    )


def _hits(error: Values, whole: Values, least: float) -> Values:
    """Count the pixels where the error steps further than before and after, and whole itself does
    not.
    """
    of_whole, further = _further(whole, least), _further(error, least)
    hits = further & ~of_whole
    hits[1:] &= ~of_whole[:-1]
    hits[:-1] &= ~of_whole[1:]
    counts: Values = hits.sum(axis=1).astype(np.float64)
    return counts


def _further(steps: Values, least: float) -> NDArray[np.bool_]:
    """Return, (steps, pixels), which steps exceed those before and after them."""
    n, here = len(steps) - 2 * AROUND, steps[AROUND:-AROUND]
    before, after = (
        sum(steps[k : k + n] for k in range(first, first + AROUND)) for first in (0, AROUND + 1)
    )
    further: NDArray[np.bool_] = (here > least) & (
        (AROUND * here) ** 2 > FURTHER**2 * before * after
    )
    return further


def _evidence(counts: Values, pixels: int) -> Values:
    """Return the evidence that a seam is in front of each row, 0 near the image's border."""
    inner = counts[AROUND + 1 : -AROUND]
    hits = (inner / pixels).clip(1e-12, 1 - 1e-12)
    usual = hits.mean().clip(1 / (pixels * len(hits)), 1 - 1 / (pixels * len(hits)))
    deviance = hits * np.log(hits / usual) + (1 - hits) * np.log((1 - hits) / (1 - usual))
    evidence = np.sign(hits - usual) * np.sqrt(2 * pixels * deviance.clip(0))
    # above 1, since neighbours are alike; 1 where most rows have no error at all
    scale = max(float(np.quantile(np.abs(evidence - np.median(evidence)), 0.8)), 1.0)
    return np.pad(evidence / scale, (AROUND + 1, AROUND))


def _strongest(evidence: Values, known: Known, alone: float) -> NDArray[np.intp]:
    """Return the lines with most evidence: at equal distances, at known ones, or one; or none."""
    best, strongest, least = 0.0, np.array([], np.intp), SURE
    if known:
        least = KNOWN
    # a line that does not stand out is against the others
    counted = np.where(evidence > 2, evidence.clip(max=COUNTED), -COUNTED) + evidence / 100
    for lines in _candidates(evidence, known):
        scores = counted[lines].cumsum() / np.sqrt(np.arange(len(lines)) + 1)
        if not known:  # at least three that cover half of the image
            scores[: max(2, len(evidence) // (lines[1] - lines[0]) // 2 - 1)] = 0
        if scores.max() > best:
            best, strongest = float(scores.max()), lines[: int(scores.argmax()) + 1]
    if best >= least:
        return strongest
    if not known and evidence.max() >= alone:
        return np.array([evidence.argmax()])
    return strongest[:0]


def _candidates(evidence: Values, known: Known) -> Iterator[NDArray[np.intp]]:
    """Yield lines at known places, or at equal distances: the known one, or that of any two lines
    that stand out.
    """
    n = len(evidence)
    if not known:
        top = np.sort(np.argsort(-evidence, kind="stable")[:STRONGEST])
        for one, other in combinations(top[evidence[top] > 2], 2):
            if other - one >= AROUND:
                yield np.arange(one, n, other - one)
    elif isinstance(known, list):
        yield np.array(known)
    else:
        for first in range(1, min(known, n - 1) + 1):
            yield np.arange(first, n, known)


def explain(whole: Output, tiled: Output, area: Area, others: Sequence[Area], least: float) -> Fit:
    """Return the model of a tile that leaves least of its error, at most 4 % of the squares, or one
    without a kind.

    `others` are tiles that it may show instead. Errors of at most `least` are none.
    """
    tile, right = _cut(tiled, area), _cut(whole, area)
    here, same = _middle(tile), _middle(right)
    error = float(np.square(here - same).sum())
    # of a tile that is flat, most models leave little
    contrast = float(np.square(here - here.mean(axis=1, keepdims=True)).sum())
    squares = max(min(error, contrast), EXACT * error)
    if not error or here.shape[1] < LEAST or np.abs(here - same).max() <= least:
        return Fit(area)
    best, least_left = Fit(area), LEFT
    for fit, values in _models(whole, right, here, area, others):
        left = max(float(np.square(here - values).sum()) / squares, EXACT)
        # the first of those that are exact is the simplest
        if left < least_left:
            best, least_left = fit, left
        if left == EXACT:
            break
    return best


def _middle(values: Output, shift: Sequence[int] = (0, 0)) -> Values:
    """Return the pixels in the middle half of a tile, (channels, pixels), of values that are moved
    by a shift: missing context is wrong near a tile's edges.
    """
    at = [slice(None)]
    for n, moved in zip(values.shape[1:], shift, strict=True):
        # At most `SAMPLES`, and odd steps, since patterns of networks repeat at even distances.
        at.append(slice(n // 4 - moved, n - n // 4 - moved, -(-n // 2 // SAMPLES) | 1))
    return values[tuple(at)].reshape(len(values), -1).astype(np.float64)


def _moved(here: Values, values: Output, most: int) -> tuple[tuple[int, ...], Values]:
    """Return the shift of a tile's values that is most like the pixels `here`, and the pixels it
    makes.
    """
    few = slice(None, None, -(-len(here) // 16))
    reaches = [min(most, n // 4) for n in values.shape[1:]]
    shift = min(
        product(*(range(-reach, reach + 1) for reach in reaches)),
        key=lambda shift: float(np.square(_middle(values[few], shift) - here[few]).sum()),
    )
    return shift, _middle(values, shift)


def _cut(values: Output, area: Area) -> Output:
    return values[(slice(None), *(slice(*ends) for ends in area))]


def _models(
    whole: Output,
    right: Output,
    here: Values,
    area: Area,
    others: Sequence[Area],
) -> Iterator[tuple[Fit, Values]]:
    """Yield what a tile may be, the simplest first, and the values that it would have."""
    same = _middle(right)
    mean, same_mean = here.mean(axis=1, keepdims=True), same.mean(axis=1, keepdims=True)
    if here.var(axis=1).sum() < FLAT * same.var(axis=1).sum():
        yield Fit(area, "constant", gain=0.0, offset=float(mean.mean())), mean
    contrast = same - same_mean
    gain = (contrast * here).sum(axis=1, keepdims=True) / np.square(contrast).sum(
        axis=1, keepdims=True
    ).clip(1e-300)
    offset = mean - gain * same_mean
    yield (
        Fit(area, "gain", gain=float(gain.mean()), offset=float(offset.mean())),
        gain * same + offset,
    )
    shift, values = _moved(here, right, REACH)
    yield Fit(area, "shift", shift), values
    apart = np.square(here).sum(axis=1)[:, None] - 2 * here @ same.T + np.square(same).sum(axis=1)
    channels = apart.argmin(axis=1)
    yield Fit(area, "swapped", channels=(*channels.tolist(),)), same[channels]
    for turned, shows, values in _elsewhere(whole, area, others):
        if values.shape == right.shape:
            shift, pixels = _moved(here, values, NEAR)
            yield Fit(area, "swapped", shift, turned=turned, shows=shows), pixels


def _elsewhere(
    whole: Output, area: Area, others: Sequence[Area]
) -> Iterator[tuple[str, Area, Output]]:
    """Yield what a tile may show in place of itself: how it is turned, the tile, and its values."""
    for turned, values in _turned(_cut(whole, area)):
        yield turned, area, values
    for other in others:
        if other != area:
            yield "", other, _cut(whole, other)


def _turned(values: Output) -> Iterator[tuple[str, Output]]:
    """Yield a tile flipped, transposed, both, and with its halves swapped: neighbours, with no seam
    to see between.
    """
    for axes in ((), (1,), (2,), (1, 2)):
        flips = [f"flipped along the {axis_name(values.shape[1:], axis - 1)}" for axis in axes]
        flipped = np.flip(values, axes)
        if flips:
            yield " and ".join(flips), flipped
        yield " and ".join(["transposed", *flips]), flipped.swapaxes(1, 2)
    for axis in (1, 2):
        words = f"its halves swapped along the {axis_name(values.shape[1:], axis - 1)}"
        yield words, np.roll(values, values.shape[axis] // 2, axis)


def explain_tiles(
    whole: Output, tiled: Output, areas: Sequence[Area], errors: Values, least: float
) -> tuple[str, list[Fit], float]:
    """Explain the tiles with most error, at most 32.

    Return the kind that explains most of it, all fits, the worst tile first, and how even the error
    is: the medians of its squares over their means.
    """
    rows, columns = (sorted({area[axis][0] for area in areas}) for axis in (0, 1))
    by_row = np.add.reduceat(np.square(errors, dtype=np.float64), rows, axis=0)
    squares = np.add.reduceat(by_row, columns, axis=1).ravel()
    order = np.argsort(-squares, kind="stable")[:WORST]
    others = areas
    if len(areas) > OTHERS:
        others = [areas[k] for k in order]
    fits, explained, even = list[Fit](), defaultdict[str, float](float), 0.0
    for k, all_of_it in zip(order, squares[order].tolist(), strict=True):
        fit = explain(whole, tiled, areas[k], others, least)
        tile = _cut(errors[None], areas[k])
        # where the error fades towards the middle, what explains it there does not explain the tile
        middle = float(np.square(_middle(tile)).mean() * tile.size)
        kind = ""
        if middle > FADED * all_of_it:
            kind = fit.kind
        explained[kind] += all_of_it
        # of every n-th pixel, since a median needs a copy
        few = tile[0, :: 1 + tile.shape[1] // 256, :: 1 + tile.shape[2] // 256]
        even += float(np.median(few)) ** 2 * tile.size
        fits.append(fit)
    return (
        max(explained, key=lambda kind: explained[kind]),
        fits,
        even / (sum(explained.values()) or 1.0),
    )


def border_depth(differs: NDArray[np.bool_]) -> int:
    """Return how far from the border the pixels lie that differ, in px; 0 if that is more than an
    eighth of a side.
    """
    differs = np.squeeze(differs)  # a signal has one axis
    depth = 0
    # What differs inside of a depth differs inside of each smaller one.
    for smaller in range(min(differs.shape, default=0) // BORDER, 0, -1):
        if differs[(slice(smaller, -smaller),) * differs.ndim].any():
            break
        depth = smaller
    return depth
