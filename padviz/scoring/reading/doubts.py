"""Detections that match nothing: refused where none overlaps an object, and doubted where hardly one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from padviz.counting.shares.summary import percent
from padviz.errors import DescriptionError
from padviz.scoring.matching import FREE, match
from padviz.scoring.scenes import Boxes, Scenes

TOUCHED, HALF = 0.1, 0.5  # overlaps of any detection and any object
FEW = 0.1  # of the objects, overlapped by half, that are doubted
ALIKE = 0.1  # of the detections that overlap an object by half, of its class
MOST_CLASSES = 5000
ASKED = "are boxes x, y, width, height in pixels?"


def doubts_of(scenes: Scenes, objects: str | Path, detections: str | Path) -> tuple[str, ...]:
    """Ask whether files are what they should be, where hardly a detection overlaps an object.

    Raises
    ------
    DescriptionError
        Where there is no object, no detection, or none that overlaps any object.
    """
    classes = len(np.unique(scenes.objects.category))
    if classes > MOST_CLASSES:
        what = f"has objects of {classes:,} classes, and {MOST_CLASSES:,} can be scored"
        raise DescriptionError(what, where=str(objects), hint="merge some")
    for none, what, where in (
        (scenes.objects.crowd.all(), "objects", objects),
        (not len(scenes.detections), "detections", detections),
    ):
        if none:
            left = any(note.startswith(f"{where}:") for note in scenes.notes)
            hint = ASKED if left else "give a file that has some"
            raise DescriptionError(f"has no {what}{' inside of images' * left}", where=str(where), hint=hint)
    matches = match(_of_one(scenes.objects), _of_one(scenes.detections), [TOUCHED, HALF])
    touched, found = matches.found
    if (touched == FREE).all():
        raise DescriptionError("no detection overlaps an object", where=str(detections), hint=ASKED)
    share, hits = float(np.mean(np.isin(np.arange(len(scenes.objects)), found))), found != FREE
    if share < FEW:
        return (f"{detections}: detections overlap {percent(share)} of the objects by half: {ASKED}",)
    made, true = scenes.detections.category[matches.detections[hits]], scenes.objects.category[found[hits]]
    alike = float(np.mean(made == true))
    if alike >= ALIKE:
        return ()
    words = f"{percent(alike)} of the detections that overlap an object are of its class"
    return (f"{detections}: {words}: are classes counted as those of {objects}?",)


def _of_one(boxes: Boxes) -> Boxes:
    """Take boxes of all categories for ones of the same."""
    return replace(boxes, category=np.zeros(len(boxes), np.int64))
