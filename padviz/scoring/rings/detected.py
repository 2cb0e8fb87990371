"""How well a detector does by the distance to the border: recall and average precision of each ring of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.intervals import Estimate, Measured, apart, mirrored, resampled
from padviz.network.network import Network, Size
from padviz.scoring.matching import match
from padviz.scoring.rings.beside import Beside, beside
from padviz.scoring.rings.ends import ends_of, joined, spans
from padviz.scoring.rings.parts import Places, Standout, places_of, sides_of, sizes_of
from padviz.scoring.scenes import Boxes, Scenes, chosen
from padviz.scoring.scored import Part, Scored, enough

COCO = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())  # over which AP is the mean
FOUND = 0.5  # of the union, from which an object counts as found


@dataclass(frozen=True)
class Ring:
    """What lies `first` to `last` from the nearest border: a share of half the shorter side, or pixels.

    `recall` is the share of the objects that a detection overlaps by half, and `ap` the average precision at each
    threshold, .5 as "50", and over .5 to .95 as "mean". `uncut` are objects that touch no border, and `sizes` has them
    by COCO's classes: small below 32 x 32 px, large above 96 x 96.
    """

    first: float
    last: float | None
    objects: int
    recall: Estimate
    ap: dict[str, Estimate]
    uncut: Part
    sizes: dict[str, Part]


@dataclass(frozen=True)
class Rings:
    """The rings of a set of images from the outermost inwards, and how far the outermost is from the innermost.

    `of` says what a ring's ends are measured in: "share" of half the shorter side, or "px". `sides` has the objects of
    the outermost ring by the side that is nearest, and `sides_apart` the recall on the left minus that on the right,
    and at the top minus that at the bottom; `standout` names sides where it is unlike that at all others. `places` has
    the recall by where in the image centres are, `beside` what the geometry of a network says there, and `classes` the
    rings of each class, where they were asked for. `doubts` are questions about files of which hardly a box matches,
    and `notes` say which boxes were left out.
    """

    of: str
    images: int
    objects: int
    detections: int
    ious: tuple[float, ...]
    rings: tuple[Ring, ...]
    recall_apart: Estimate
    ap_apart: dict[str, Estimate]
    sides: dict[str, Part]
    sides_apart: dict[str, Estimate]
    standout: Standout | None
    places: Places
    beside: Beside | None
    classes: dict[str, tuple[Ring, ...]] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def depths(boxes: Boxes, sizes: NDArray[Any], share: bool) -> NDArray[Any]:
    """Measure how far the centres of boxes are from the nearest border, as a share of half the shorter side, or in px.

    >>> from padviz.scoring.scenes import boxes
    >>> depths(boxes([0], [0], [[10, 20, 4, 4]]), np.array([[48, 100]]), share=True)
    array([0.5])
    """
    size, centre = sizes[boxes.image], boxes.box[:, :2] + boxes.box[:, 2:] / 2
    left, top = centre[:, 0], centre[:, 1]
    nearest = np.minimum.reduce([left, top, size[:, 1] - left, size[:, 0] - top])
    depth: NDArray[Any] = np.maximum(nearest, 0) / (size.min(axis=1) / 2 if share else 1)
    return depth


def rings_of(
    scenes: Scenes, rings: int = 4, pixels: Sequence[float] = (), ious: Sequence[float] = (0.5, 0.75), seed: int = 0,
    network: Network | None = None, size: Size | None = None,
) -> Rings:  # fmt: skip
    """Score the detections of each ring by its own objects: what another ring has is ignored, neither found nor false.

    Each ring is half as deep as the next, and one of fewer than 20 objects is joined with its neighbour; ends in pixels
    stay as they are. A detection is of the ring of the object that it finds, or else of the one that it lies in.
    Detections find objects once, in all rings together, so none takes an object for one of another ring.
    """
    if wrong := [t for t in ious if not 0 < t <= 1]:
        raise OptionError(f"{wrong[0]:g} is no overlap", option="iou", hint="use .2,.5,.75")
    share, ends, deep = not pixels, ends_of(rings, pixels), depths(scenes.objects, scenes.sizes, not pixels)
    if share:
        ends = joined(ends, deep[~scenes.objects.crowd])
    scored = _scored(scenes, ends, share, ious, seed)
    each = [_measured(scored, k, ious) for k in range(len(ends) + 1)]
    apart_of = {name: apart(each[0][name], each[-1][name]) for name in each[0]}
    recall_apart = apart_of.pop("recall")
    found = tuple(_ring(scored, k, *span, each[k]) for k, span in enumerate(spans(ends, share)))
    of_all = len(scenes.sizes), int(scored.real.sum()), len(scenes.detections), tuple(ious)
    sides = sides_of(scored, abs(recall_apart.value or 0))
    geometry = beside(scored, len(found), network.at(size), network.pixels(size)) if network else None
    unit, places = "share" if share else "px", places_of(scored)
    return Rings(unit, *of_all, found, recall_apart, apart_of, *sides, places, geometry)


def by_class(whole: Rings, scenes: Scenes, seed: int = 0) -> dict[str, tuple[Ring, ...]]:
    """Score the rings of each class that has objects, by its name."""
    ends, share, classes = [ring.first for ring in whole.rings[1:]], whole.of == "share", {}
    for k, name in enumerate(scenes.categories):
        objects, detections = (chosen(boxes, boxes.category == k) for boxes in (scenes.objects, scenes.detections))
        if len(objects):
            of_one = Scenes(scenes.sizes, scenes.categories, objects, detections)
            scored = _scored(of_one, ends, share, whole.ious, seed)
            rings = enumerate(spans(ends, share))
            classes[name] = tuple(_ring(scored, n, *span, _measured(scored, n, whole.ious)) for n, span in rings)
    return classes


def _scored(scenes: Scenes, ends: Sequence[float], share: bool, ious: Sequence[float], seed: int) -> Scored:
    thresholds = sorted({*ious, *COCO})
    return Scored(
        scenes,
        match(scenes.objects, scenes.detections, thresholds),
        np.searchsorted(ends, depths(scenes.objects, scenes.sizes, share), side="right"),
        np.searchsorted(ends, depths(scenes.detections, scenes.sizes, share), side="right"),
        resampled(len(scenes.sizes), seed),
        thresholds.index(FOUND),
    )


def _measured(scored: Scored, k: int, ious: Sequence[float]) -> dict[str, Measured]:
    """Measure the recall of a ring, and its average precision at each threshold and over all of COCO's."""
    values = {t: scored.precision(k, n) for n, t in enumerate(sorted({*ious, *COCO}))}
    figures = {f"{100 * t:g}".replace(".", "_"): values[t] for t in ious}
    figures["mean"] = np.mean([values[t] for t in COCO], axis=0)
    images = enough(scored.by_image((scored.rings == k) & scored.real))
    aps = {name: mirrored(each, images, "share") for name, each in figures.items()}
    return {"recall": scored.share(scored.rings == k), **aps}


def _ring(scored: Scored, k: int, first: float, last: float | None, measured: dict[str, Measured]) -> Ring:
    inside = scored.rings == k
    aps = {name: each.figure for name, each in measured.items() if name != "recall"}
    return Ring(
        first, last, int((inside & scored.real).sum()), measured["recall"].figure, aps, *sizes_of(scored, inside)
    )
