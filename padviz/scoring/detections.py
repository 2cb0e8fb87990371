"""A detector's recall and average precision in each ring of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from padviz.counting.count import coverage, usage
from padviz.errors import OptionError, check_integer
from padviz.intervals import Measured, half_samples, interval_of_halves
from padviz.network.network import Network, Size
from padviz.network.targets import head_weighting
from padviz.scoring import matching
from padviz.scoring.matching import Boxes, Flags, Floats, Ints, Scenes, Scored, select
from padviz.scoring.rings import (
    ComparedNetwork,
    Part,
    Ring,
    RingPart,
    Rings,
    cells_of,
    merge_small,
    nearest_side,
    ring_ends,
    scored_rings,
)

COCO = tuple(np.linspace(matching.FOUND, 0.95, 10).round(2).tolist())  # over which AP is the mean
SMALL, LARGE = 32**2, 96**2  # px, of COCO's size classes
TOUCHING = 1  # px between an image and a box that its border cuts, at most


def margins(low: Floats, high: Floats, sizes: Ints) -> Floats:
    """Measure how far corners (n, 2) are from the left, top, right and bottom of their images, (4,
    n), in px.
    """
    return np.concatenate([low, sizes[:, ::-1] - high], axis=1).T


def edges(boxes: Boxes, sizes: Ints) -> Floats:
    """Measure how far the outermost edge of each box is from the border, in px; negative beyond."""
    low, high = boxes.box[:, :2], boxes.box[:, :2] + boxes.box[:, 2:]
    nearest: Floats = margins(low, high, sizes[boxes.image]).min(axis=0)
    return nearest


def at_border(scenes: Scenes) -> str:
    """Return how many objects touch the border, whether the detections that find them do, and which
    boxes reach beyond.
    """
    objects = select(scenes.objects, ~scenes.objects.crowd)
    matches = matching.match(objects, scenes.detections, [matching.FOUND])
    near, other = edges(objects, scenes.sizes), edges(scenes.detections, scenes.sizes)
    (hits,) = matches.found
    cut = (hits != matching.FREE) & (near[hits] <= TOUCHING)
    reached = other[matches.detections[cut]] <= TOUCHING
    beyond = (near < -TOUCHING).sum(), (other < -TOUCHING).sum()
    said = (
        f"{(near <= TOUCHING).sum():,} of {len(near):,} objects touch the border (within "
        f"{TOUCHING} px); of the {len(reached):,} found among them, the detections of "
        f"{reached.sum():,} do. {beyond[0]:,} objects and {beyond[1]:,} detections reach beyond it"
    )
    if any(beyond) and not all(beyond):
        said += ": only one file is cropped to the images; crop both before comparing"
    return f"{said}."


def depths(boxes: Boxes, sizes: Ints, share: bool) -> Floats:
    """Measure how far centres are from the nearest border, as a share of half the shorter side, or
    in px.
    """
    size = sizes[boxes.image]
    depth: Floats = np.maximum(margins(boxes.centre, boxes.centre, size).min(axis=0), 0)
    if share:
        depth = depth / (size.min(axis=1) / 2)
    return depth


def rings_of_boxes(
    scenes: Scenes,
    rings: int = 4,
    pixels: Sequence[float] = (),
    ious: Sequence[float] = (0.5, 0.75),
    seed: int = 0,
    network: Network | None = None,
    size: Size | None = None,
) -> Rings:
    """Score the detections of each ring by its own objects: other rings' are ignored, neither found
    nor false.

    Each ring is half as deep as the next, and one of fewer than 20 objects is merged with its
    neighbour; ends in pixels stay as they are. A detection is of the ring of the object that it
    finds, or else of the one that it lies in. Detections find objects once, in all rings together,
    so none takes an object for one of another ring.
    """
    check_integer(seed, 0, "seed")
    for iou in ious:
        if not 0 < iou <= 1:
            raise OptionError(
                f"{iou:g}: must be above 0, at most 1", option="iou", hint="use .2,.5,.75"
            )
    share, ends = not pixels, ring_ends(rings, pixels)
    if share:
        ends = merge_small(ends, depths(scenes.objects, scenes.sizes, share)[~scenes.objects.crowd])
    scored, of_all = _score(scenes, ends, share, ious, seed)
    if network is None:
        return of_all
    return _with_network(of_all, scored, network.at(size), network.pixels(size))


def by_class(
    whole: Rings, scenes: Scenes, ious: Sequence[float] = (0.5, 0.75), seed: int = 0
) -> dict[str, tuple[Ring, ...]]:
    """Score the rings of each class that has objects, by its name."""
    ends = [ring.first for ring in whole.rings[1:]]
    classes = {}
    for k, name in enumerate(scenes.categories):
        objects = select(scenes.objects, scenes.objects.category == k)
        detections = select(scenes.detections, scenes.detections.category == k)
        if len(objects):
            of_class = replace(scenes, objects=objects, detections=detections)
            classes[name] = _score(of_class, ends, whole.of == "share", ious, seed)[1].rings
    return classes


def _score(
    scenes: Scenes, ends: Sequence[float], share: bool, ious: Sequence[float], seed: int
) -> tuple[Scored, Rings]:
    thresholds = sorted({*ious, *COCO})
    matches = matching.match(scenes.objects, scenes.detections, thresholds)
    rings = np.searchsorted(ends, depths(scenes.objects, scenes.sizes, share), side="right")
    of_detections = np.searchsorted(
        ends, depths(scenes.detections, scenes.sizes, share), side="right"
    )
    weights = half_samples(len(scenes.sizes), seed)
    scored = Scored(scenes, thresholds, matches, rings, of_detections, weights)
    parts = [_measure(scored, k, ious) for k in range(len(ends) + 1)]

    centre = scenes.objects.centre
    nearest = nearest_side(margins(centre, centre, scenes.sizes[scenes.objects.image]))

    def recall_at(ring: int, sides: Sequence[int]) -> tuple[int, Measured]:
        which = (rings == ring) & np.isin(nearest, sides)
        return scored.count(which), scored.share(which)

    of_all = scored_rings("objects", len(scenes.sizes), ends, share, parts, recall_at)
    return scored, replace(of_all, detections=len(scenes.detections))


def _measure(scored: Scored, k: int, ious: Sequence[float]) -> RingPart:
    """Measure the recall of a ring, and its average precision over all of COCO's thresholds and at
    each one.
    """
    values = {iou: scored.precision(k, n) for n, iou in enumerate(scored.thresholds)}
    precisions = {"AP": np.mean([values[iou] for iou in COCO], axis=0)}
    for iou in ious:
        precisions[f"AP{100 * iou:g}"] = values[iou]
    inside = scored.rings == k
    images = matching.images_for_interval(scored.by_image(inside & scored.real))
    figures = {"recall": scored.share(inside)}
    for name, of_halves in precisions.items():
        figures[name] = interval_of_halves(of_halves, images, "share")

    # Objects that a border cuts are harder to find anywhere; those it does not cut show what
    # position does.
    objects = scored.scenes.objects
    uncut = inside & (edges(objects, scored.scenes.sizes) > TOUCHING)
    small, large = objects.area < SMALL, objects.area > LARGE
    sizes = {
        "all": uncut,
        "small": uncut & small,
        "medium": uncut & ~small & ~large,
        "large": uncut & large,
    }
    recalls = {
        name: Part(scored.count(of_size), scored.share(of_size).figure)
        for name, of_size in sizes.items()
    }
    return RingPart(scored.count(inside), figures, recalls)


def _relative_centres(scenes: Scenes) -> Floats:
    """Divide the centres of objects by the width and height of their images, (2, n)."""
    return (scenes.objects.centre / scenes.sizes[scenes.objects.image][:, ::-1]).T


def _with_network(rings: Rings, scored: Scored, network: Network, size: Size) -> Rings:
    """Look up a network's fair shares and its coverage where objects are, in images scaled to
    `size`.
    """
    centres = _relative_centres(scored.scenes)
    fair = usage(network, size, heads=head_weighting(None, None, network)).share()
    covered = coverage(network, size, layer=network.targets[-1]).share()
    shares = fair.ravel()[cells_of(centres, fair.shape)]
    padding = 1 - covered.ravel()[cells_of(centres, covered.shape)]

    def mean_in(k: int, values: Floats) -> float | None:
        known = values[(scored.rings == k) & scored.real & ~np.isnan(values)]
        if len(known):
            return float(known.mean())
        return None

    extended = []
    for k, ring in enumerate(rings.rings):
        extended.append(
            replace(ring, fair_share=mean_in(k, shares), from_padding=mean_in(k, padding))
        )

    # Spearman's is Pearson's of ranks; sums by image make those of all halves one product.
    of: Flags = scored.real & ~np.isnan(shares)
    image = scored.scenes.objects.image[of]
    _, place, count = np.unique(shares[of], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - count / 2)[place]  # the same in all halves
    hits = scored.found[of].astype(float)
    columns = (np.ones(len(image)), ranks, hits, ranks**2, hits**2, ranks * hits)
    by_image = np.stack(
        [np.bincount(image, column, len(scored.scenes.sizes)) for column in columns], 1
    )
    n, x, y, xx, yy, xy = (scored.weights @ by_image).T
    with np.errstate(invalid="ignore", divide="ignore"):
        together = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
    images = matching.images_for_interval(by_image[:, 0])
    spearman = interval_of_halves(together, images, "correlation").figure
    compared = ComparedNetwork(network.name, [*size], spearman)
    return replace(rings, rings=tuple(extended), network=compared)
