"""Ground truth and predictions in any of four formats: detecting the format, reading it, and
doubting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from padviz.counting.shares.summary import percent
from padviz.errors import DescriptionError, OptionError
from padviz.phrases import counted
from padviz.scoring.labels import rings_of_labels, rings_of_masks
from padviz.scoring.matching import FREE, Boxes, Ints, Scenes, match, select
from padviz.scoring.reading.coco import read_coco
from padviz.scoring.reading.masks import masks_in, read_masks
from padviz.scoring.reading.tables import read_labels
from padviz.scoring.reading.yolo import read_yolo
from padviz.scoring.rings import Rings, ring_ends

FileKind = Literal["coco", "yolo", "labels", "masks"]
TOUCHED, HALF = 0.1, 0.5  # IoU of any detection and any object
FEW = 0.1  # of the objects, overlapped by half, that are doubted
ALIKE = 0.1  # of the detections that overlap an object by half, of its class
MOST_CLASSES = 5000
ASKED = "are boxes x, y, width, height in pixels?"


def kind_of(objects: str | Path, predicted: str | Path) -> FileKind:
    """Return the format: COCO's two files of JSON, YOLO's two folders of labels, two of CSV, two of
    label maps.
    """
    if Path(objects).is_dir() != Path(predicted).is_dir():
        raise OptionError(
            "one is a folder, the other is not",
            option="pred",
            hint="give two files, or two folders",
        )
    if Path(objects).is_dir():
        if masks_in(objects):
            return "masks"
        return "yolo"
    if Path(objects).suffix.lower() == ".csv":
        return "labels"
    return "coco"


def read_scenes(
    objects: str | Path, detections: str | Path, images: str | Path | None, kind: FileKind
) -> Scenes:
    """Read COCO's two files, or YOLO's two folders and the sizes of the images.

    Boxes without area or outside of their image are left out, with notes that count them by file.
    """
    if kind == "coco" and images is not None:
        hint = "leave it out: COCO's file has sizes"
        raise OptionError("is for folders of labels", option="image_sizes", hint=hint)
    if kind == "coco":
        scenes = read_coco(objects, detections)
    elif images is None:
        hint = "name the folder of images, or a CSV of their sizes"
        raise OptionError("labels need the sizes of the images", option="image_sizes", hint=hint)
    else:
        scenes = read_yolo(objects, detections, images)
    objects_inside, of_objects = _inside(scenes.objects, scenes.sizes, objects, "object")
    detections_inside, of_detections = _inside(
        scenes.detections, scenes.sizes, detections, "detection"
    )
    return replace(
        scenes,
        objects=objects_inside,
        detections=detections_inside,
        notes=(*of_objects, *of_detections),
    )


def _inside(boxes: Boxes, sizes: Ints, path: str | Path, what: str) -> tuple[Boxes, list[str]]:
    """Return the boxes with area that touch their images, and a note on any others; reject a file
    without any.
    """
    low, extent, size = boxes.box[:, :2], boxes.box[:, 2:], sizes[boxes.image][:, ::-1]
    inside = np.array(((extent > 0) & (low < size) & (low + extent > 0)).all(axis=1))
    left_out = int((~inside).sum())
    if (boxes.crowd | ~inside).all():
        if left_out:
            raise DescriptionError(f"has no {what}s inside of images", where=str(path), hint=ASKED)
        raise DescriptionError(f"has no {what}s", where=str(path), hint="give a file that has some")
    notes = []
    if left_out:
        notes.append(
            f"{path}: {counted(left_out, what)} left out: a box without area, or outside of its "
            "image"
        )
    return select(boxes, inside), notes


def read_rings(
    objects: str | Path,
    predicted: str | Path,
    kind: FileKind,
    rings: int,
    pixels: Sequence[float],
    seed: int,
) -> Rings:
    if kind == "labels":
        return rings_of_labels(read_labels(objects, predicted), rings, pixels)
    masks = read_masks(objects, predicted, ring_ends(rings, pixels), share=not pixels)
    return rings_of_masks(masks, rings, pixels, seed)


def doubts_of(scenes: Scenes, objects: str | Path, detections: str | Path) -> tuple[str, ...]:
    """Ask about files where hardly a detection overlaps an object, or is of its class; reject those
    where none does.
    """
    classes = len(np.unique(scenes.objects.category))
    if classes > MOST_CLASSES:
        what = f"has objects of {classes:,} classes, and {MOST_CLASSES:,} can be scored"
        raise DescriptionError(what, where=str(objects), hint="merge some")
    true, predicted = scenes.objects.category, scenes.detections.category
    objects_alone = replace(scenes.objects, category=np.zeros_like(true))
    detections_alone = replace(scenes.detections, category=np.zeros_like(predicted))
    matches = match(objects_alone, detections_alone, [TOUCHED, HALF])
    touched, overlapped = matches.found
    if (touched == FREE).all():
        raise DescriptionError("no detection overlaps an object", where=str(detections), hint=ASKED)
    hits = overlapped != FREE
    share = float(np.mean(np.isin(np.arange(len(true)), overlapped)))
    if share < FEW:
        return (
            f"{detections}: detections overlap {percent(share)} of the objects by half: {ASKED}",
        )
    alike = float(np.mean(predicted[matches.detections[hits]] == true[overlapped[hits]]))
    if alike >= ALIKE:
        return ()
    words = f"{percent(alike)} of the detections that overlap an object are of its class"
    return (f"{detections}: {words}: are classes counted as those of {objects}?",)
