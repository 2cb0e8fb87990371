"""A detector's recall and average precision by the distance to the border: in each ring of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count import coverage, usage
from padviz.errors import OptionError, check_integer
from padviz.intervals import FEW, Estimate, Measured, difference_of, excludes_zero, half_samples, interval_of_halves
from padviz.network.network import Network, Size
from padviz.network.targets import head_weighting
from padviz.scoring import matching
from padviz.scoring.matching import Boxes, Flags, Floats, Ints, Scenes, Scored, Subset, ratio, select

MOST = 12  # rings, of which the outermost is a thousandth as wide as the innermost
GRID = 6  # cells a side
SIDES = ("left", "top", "right", "bottom")
OPPOSITE = (("left", "right"), ("top", "bottom"))
Cells = list[list[float | None]]  # rows and columns of a grid over all images
COCO = tuple(np.linspace(matching.FOUND, 0.95, 10).round(2).tolist())  # over which AP is the mean
SMALL, LARGE = 32**2, 96**2  # px, of COCO's size classes
TOUCHING = 1  # px between an image and a box that its border cuts, at most


class Standout(NamedTuple):
    """Sides at which the outermost ring has another figure than at all others, and the former's minus theirs."""

    sides: tuple[str, ...]
    apart: Estimate


@dataclass(frozen=True)
class Ring:
    """The ring from `first` to `last` off the nearest border: a share of half the shorter side, or pixels.

    `recall` is the share of the objects that a detection overlaps by half. `ap` has the average precision at each
    threshold, that at .5 as "50", and the mean over .5 to .95 as "mean". `uncut` are objects that touch no border, and
    `sizes` has them by COCO's classes: small below 32 x 32 px, large above 96 x 96.
    """

    first: float
    last: float | None
    objects: int
    recall: Estimate
    ap: dict[str, Estimate]
    uncut: Subset
    sizes: dict[str, Subset]


class RecallGrid(NamedTuple):
    """Objects by where in the image their centres are, and the share of them that is found: (rows, columns) each.

    `aspect` is the mean width of the images over their mean height.
    """

    objects: list[list[int]]
    recall: Cells
    aspect: float


class UnderObjects(NamedTuple):
    """A network's figures under the centres of objects: the means of each ring, from the outermost inwards.

    `fair_share` is that of the pixel, `padding` the share of the paths of the unit there that start at padding; None in
    a ring without objects. `correlation` is Spearman's, of fair share and being found, over all objects.
    """

    network: str
    size: list[int]
    fair_share: list[float | None]
    padding: list[float | None]
    correlation: Estimate


@dataclass(frozen=True)
class Rings:
    """The rings of a set of images from the outermost inwards, and how far the outermost is from the innermost.

    `of` is the unit of the rings' ends: "share" of half the shorter side, or "px". `sides` has the objects of the
    outermost ring by the nearest side. `sides_apart` has the recall on the left minus that on the right, and at the top
    minus that at the bottom, and `standout` the sides whose recall differs from that at all others. `places` has the
    recall by place in the image, `beside` the figures of a network there, and `classes` the rings of each class, if
    they were asked for. `doubts` are questions about files whose boxes hardly match; `notes` count boxes left out.
    """

    of: str
    images: int
    objects: int
    detections: int
    ious: tuple[float, ...]
    rings: tuple[Ring, ...]
    recall_apart: Estimate
    ap_apart: dict[str, Estimate]
    sides: dict[str, Subset]
    sides_apart: dict[str, Estimate]
    standout: Standout | None
    places: RecallGrid
    beside: UnderObjects | None
    classes: dict[str, tuple[Ring, ...]] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def ring_ends(rings: int, pixels: Sequence[float]) -> list[float]:
    """List the inner ends of rings: as given in pixels, or each half as deep as the next, as shares of half a side.

    >>> ring_ends(4, []), ring_ends(0, [16])
    ([0.125, 0.25, 0.5], [16.0])
    """
    if not pixels:
        check_integer(rings, 1, "rings", MOST)
    if wrong := [end for end in pixels if not 0 < end < np.inf]:
        raise OptionError(f"{wrong[0]:g} px: must be above 0", option="px", hint="use 16,32,64")
    if any(a >= b for a, b in pairwise(pixels)):
        raise OptionError("ring ends must increase", option="px", hint="use 16,32,64")
    return [*map(float, pixels)] if pixels else [0.5**k for k in range(rings - 1, 0, -1)]


def spans(ends: Sequence[float], share: bool) -> list[tuple[float, float | None]]:
    return [*zip([0.0, *ends], [*ends, 1.0 if share else None], strict=True)]


def merge_small(ends: Sequence[float], depths: Floats) -> list[float]:
    """Merge a ring of fewer than 20 objects with the next one inwards, and the innermost with the one around it."""
    merged: list[float] = []
    for end in ends:
        if np.count_nonzero((depths >= (merged or [0])[-1]) & (depths < end)) >= FEW:
            merged.append(end)
    while merged and np.count_nonzero(depths >= merged[-1]) < FEW:
        merged.pop()
    return merged


def check_filled(counts: Sequence[int], pixels: Sequence[float], what: str) -> None:
    """Reject rings whose outermost or innermost is empty, and name ends with which neither is.

    >>> check_filled([0, 0, 9, 9, 9, 0], [], "object")
    Traceback (most recent call last):
    padviz.errors.OptionError: rings: no object is in the outermost of 6 rings; use 2
    >>> check_filled([7, 7, 0, 0], [8, 16, 5000], "object")
    Traceback (most recent call last):
    padviz.errors.OptionError: px: no object is in the innermost of 4 rings, from 5000 px; use 8
    """
    filled = [k for k, count in enumerate(counts) if count]
    if not filled or (filled[0] == 0 and filled[-1] == len(counts) - 1):
        return
    first, last = filled[0], filled[-1]
    words = f"no {what} is in the {'outermost' if first else 'innermost'} of {len(counts)} rings"
    if not pixels:
        fewer = min(len(counts) // (first + 1), len(counts) // (len(counts) - last))
        raise OptionError(words, option="rings", hint=f"use {fewer}")
    words += f", up to {pixels[0]:g} px" if first else f", from {pixels[-1]:g} px"
    left = ",".join(f"{end:g}" for end in pixels[first:last])
    raise OptionError(words, option="px", hint=f"use {left or ('larger ends' if first else 'smaller ends')}")


def cells_of(part: Floats, grid: tuple[int, ...] = (GRID, GRID)) -> Ints:
    """Return the cells of a grid, counted row by row, in which shares (2, n) of the width and the height lie."""
    row, column = (np.clip(part[1 - i] * n, 0, n - 1).astype(np.int64) for i, n in enumerate(grid))
    cells: Ints = row * grid[1] + column
    return cells


def grid_of(figures: Floats) -> Cells:
    """Arrange the figures of cells, (cells,), in rows and columns; None for NaN."""
    return [[None if np.isnan(each) else float(each) for each in row] for row in figures.reshape(GRID, GRID)]


def nearest_side(margins: NDArray[np.floating]) -> Ints:
    """Return the nearest side, of distances from all four, (sides, n); 4 where two are equally near."""
    alone = (margins == margins.min(axis=0)).sum(axis=0) == 1
    return np.where(alone, np.argmin(margins, axis=0), len(SIDES))


def compare_sides(of: Callable[[Sequence[int]], Measured], least: float) -> tuple[dict[str, Estimate], Standout | None]:
    """Subtract the right side from the left one and the bottom from the top; find sides that stand out.

    `of` measures some sides together. One or two sides stand out if they differ from all others by more than `least`.
    Each must also differ measurably from each of the others, so that no side is named by chance.
    """
    figures = [of([k]) for k in range(len(SIDES))]
    apart = {f"{a}_{b}": difference_of(figures[SIDES.index(a)], figures[SIDES.index(b)]) for a, b in OPPOSITE}
    values = [each.figure.value for each in figures if each.figure.value is not None]
    if len(values) < len(SIDES):
        return apart, None
    order = np.argsort(values, kind="stable")
    cut = int(np.argmax(np.diff(np.array(values)[order]))) + 1
    odd, others = sorted((sorted(order[:cut].tolist()), sorted(order[cut:].tolist())), key=len)
    sure = all(excludes_zero(difference_of(figures[a], figures[b])) for a, b in product(odd, others))
    difference = difference_of(of(odd), of(others))
    if not sure or abs(difference.value or 0) <= least:
        return apart, None
    return apart, Standout(tuple(SIDES[k] for k in odd), difference)


def margins(low: Floats, high: Floats, sizes: Ints) -> Floats:
    """Measure how far corners (n, 2) are from the left, top, right and bottom of their images, (4, n), in px."""
    return np.concatenate([low, sizes[:, ::-1] - high], axis=1).T


def depths(boxes: Boxes, sizes: Ints, share: bool) -> Floats:
    """Measure how far centres are from the nearest border, as a share of half the shorter side, or in px."""
    size = sizes[boxes.image]
    nearest = margins(boxes.centre, boxes.centre, size).min(axis=0)
    depth: Floats = np.maximum(nearest, 0) / (size.min(axis=1) / 2 if share else 1)
    return depth


def rings_of(
    scenes: Scenes, rings: int = 4, pixels: Sequence[float] = (), ious: Sequence[float] = (0.5, 0.75), seed: int = 0,
    network: Network | None = None, size: Size | None = None,
) -> Rings:  # fmt: skip
    """Score the detections of each ring by its own objects: other rings' are ignored, neither found nor false.

    Each ring is half as deep as the next, and one of fewer than 20 objects is merged with its neighbour; ends in pixels
    stay as they are. A detection is of the ring of the object that it finds, or else of the one that it lies in.
    Detections find objects once, in all rings together, so none takes an object for one of another ring.
    """
    check_integer(seed, 0, "seed")
    if wrong := [t for t in ious if not 0 < t <= 1]:
        raise OptionError(f"{wrong[0]:g}: must be above 0, at most 1", option="iou", hint="use .2,.5,.75")
    share, ends = not pixels, ring_ends(rings, pixels)
    if share:
        ends = merge_small(ends, depths(scenes.objects, scenes.sizes, share)[~scenes.objects.crowd])
    scored, bounds = _score(scenes, ends, share, ious, seed), spans(ends, share)
    measured = [_measure(scored, k, ious) for k in range(len(bounds))]
    differences = {name: difference_of(measured[0][name], measured[-1][name]) for name in measured[0]}
    recall_apart = differences.pop("recall")
    # Padding on one side would show in the outermost ring.
    outermost = scored.rings == 0
    centre = scenes.objects.centre
    nearest = nearest_side(margins(centre, centre, scenes.sizes[scenes.objects.image]))

    def recall(sides: Sequence[int]) -> Measured:
        return scored.share(outermost & np.isin(nearest, sides))

    cells = cells_of(_relative_centres(scored))
    there, found = (np.bincount(cells[of & scored.real], minlength=GRID**2) for of in (scored.real, scored.found))
    height, width = scenes.sizes.mean(axis=0).tolist()
    sides_apart, odd = compare_sides(recall, abs(recall_apart.value or 0))
    return Rings(
        of="share" if share else "px",
        images=len(scenes.sizes),
        objects=int(scored.real.sum()),
        detections=len(scenes.detections),
        ious=tuple(ious),
        rings=tuple(_ring(scored, k, *span, measured[k]) for k, span in enumerate(bounds)),
        recall_apart=recall_apart,
        ap_apart=differences,
        sides={name: scored.subset(outermost & (nearest == k)) for k, name in enumerate(SIDES)},
        sides_apart=sides_apart,
        standout=odd,
        places=RecallGrid(there.reshape(GRID, GRID).tolist(), grid_of(ratio(found, there)), width / height),
        beside=_under_objects(scored, len(bounds), network.at(size), network.pixels(size)) if network else None,
    )


def by_class(whole: Rings, scenes: Scenes, seed: int = 0) -> dict[str, tuple[Ring, ...]]:
    """Score the rings of each class that has objects, by its name."""
    ends, share, classes = [ring.first for ring in whole.rings[1:]], whole.of == "share", {}
    for k, name in enumerate(scenes.categories):
        objects, detections = (select(of, of.category == k) for of in (scenes.objects, scenes.detections))
        if len(objects):
            of_one = Scenes(scenes.sizes, scenes.categories, objects, detections)
            scored = _score(of_one, ends, share, whole.ious, seed)
            bounds = enumerate(spans(ends, share))
            classes[name] = tuple(_ring(scored, n, *span, _measure(scored, n, whole.ious)) for n, span in bounds)
    return classes


def _score(scenes: Scenes, ends: Sequence[float], share: bool, ious: Sequence[float], seed: int) -> Scored:
    thresholds = sorted({*ious, *COCO})
    matches = matching.match(scenes.objects, scenes.detections, thresholds)
    rings, detection_rings = (
        np.searchsorted(ends, depths(boxes, scenes.sizes, share), side="right")
        for boxes in (scenes.objects, scenes.detections)
    )
    return Scored(scenes, thresholds, matches, rings, detection_rings, half_samples(len(scenes.sizes), seed))


def _measure(scored: Scored, k: int, ious: Sequence[float]) -> dict[str, Measured]:
    """Measure the recall of a ring, and its average precision at each threshold and over all of COCO's."""
    values = {t: scored.precision(k, n) for n, t in enumerate(scored.thresholds)}
    figures = {f"{100 * t:g}".replace(".", "_"): values[t] for t in ious}
    figures["mean"] = np.mean([values[t] for t in COCO], axis=0)
    images = matching.images_for_interval(scored.by_image((scored.rings == k) & scored.real))
    aps = {name: interval_of_halves(each, images, "share") for name, each in figures.items()}
    return {"recall": scored.share(scored.rings == k), **aps}


def _ring(scored: Scored, k: int, first: float, last: float | None, measured: dict[str, Measured]) -> Ring:
    inside, objects = scored.rings == k, scored.scenes.objects
    low, high = objects.box[:, :2], objects.box[:, :2] + objects.box[:, 2:]
    uncut = inside & (margins(low, high, scored.scenes.sizes[objects.image]).min(axis=0) > TOUCHING)
    small, large = objects.area < SMALL, objects.area > LARGE
    sizes = {"small": small, "medium": ~small & ~large, "large": large}
    return Ring(
        first,
        last,
        objects=int((inside & scored.real).sum()),
        recall=measured["recall"].figure,
        ap={name: each.figure for name, each in measured.items() if name != "recall"},
        uncut=scored.subset(uncut),
        sizes={name: scored.subset(uncut & of) for name, of in sizes.items()},
    )


def _relative_centres(scored: Scored) -> Floats:
    """Divide the centres of objects by the width and height of their images, (2, n)."""
    objects = scored.scenes.objects
    return (objects.centre / scored.scenes.sizes[objects.image][:, ::-1]).T


def _under_objects(scored: Scored, rings: int, network: Network, size: Size) -> UnderObjects:
    """Look up a network's fair shares and its coverage where objects are, in images scaled to `size`."""
    fair = usage(network, size, heads=head_weighting(None, None, network)).share()
    covered = coverage(network, size, layer=network.targets[-1]).share()
    shares, inside = (of.ravel()[cells_of(_relative_centres(scored), of.shape)] for of in (fair, covered))

    def means(values: Floats) -> list[float | None]:
        known = [values[(scored.rings == k) & scored.real & ~np.isnan(values)] for k in range(rings)]
        return [float(each.mean()) if len(each) else None for each in known]

    of: Flags = scored.real & ~np.isnan(shares)
    image = scored.scenes.objects.image[of]
    _, place, count = np.unique(shares[of], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - count / 2)[place]  # the same in all resamples
    found = scored.found[of].astype(float)
    columns = (np.ones(len(image)), ranks, found, ranks**2, found**2, ranks * found)
    by_image = np.stack([np.bincount(image, column, len(scored.scenes.sizes)) for column in columns], 1)
    n, x, y, xx, yy, xy = (scored.weights @ by_image).T
    with np.errstate(invalid="ignore", divide="ignore"):
        together = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
    spearman = interval_of_halves(together, matching.images_for_interval(by_image[:, 0]), "correlation").figure
    return UnderObjects(network.name, [*size], means(shares), means(1 - inside), spearman)
