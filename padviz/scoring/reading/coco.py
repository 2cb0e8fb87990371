"""COCO's two files: the objects of a set of images, and what a detector found in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from padviz.errors import DescriptionError
from padviz.files.opened import read_file
from padviz.scoring.scenes import Boxes, Scenes, boxes

MOST_BYTES = 1 << 30
INSTANCES, RESULTS = "COCO's instances, as JSON", "COCO's results, as JSON"
Id = int | str
Corners = tuple[float, float, float, float]


class Picture(Struct):
    """An image of a set."""

    id: Id
    width: int
    height: int


class Category(Struct):
    """What objects may be."""

    id: Id
    name: str = ""


class Annotation(Struct):
    """An object in an image."""

    image_id: Id
    category_id: Id
    bbox: Corners
    id: Id = ""
    iscrowd: int = 0
    area: float | None = None


class Instances(Struct):
    """The file of objects."""

    images: list[Picture]
    annotations: list[Annotation]
    categories: list[Category]


class Detection(Struct):
    """A detection; the other file is a list of them."""

    image_id: Id
    category_id: Id
    bbox: Corners
    score: float


Read = TypeVar("Read", Instances, list[Detection])


def read_coco(objects: str | Path, detections: str | Path) -> Scenes:
    """Read COCO's two files.

    Raises
    ------
    DescriptionError
        Naming the file, and what in it is not as it should be.
    """
    instances = _decoded(objects, INSTANCES, Instances)
    results = _decoded(detections, RESULTS, list[Detection])
    if not instances.images:
        raise DescriptionError("has no images", where=str(objects), hint=f"give the path of {INSTANCES}")
    pictures = sorted(instances.images, key=lambda picture: (isinstance(picture.id, str), picture.id))
    sizes = np.array([(picture.height, picture.width) for picture in pictures])
    if (sizes < 1).any():
        _refuse(objects, f"image {pictures[int(np.argmax((sizes < 1).any(axis=1)))].id} has no pixels")
    images = {picture.id: k for k, picture in enumerate(pictures)}
    categories = {category.id: k for k, category in enumerate(instances.categories)}
    names = tuple(category.name or str(category.id) for category in instances.categories)
    there = _objects(instances.annotations, images, categories, objects)
    _check_objects(there, sizes, instances.annotations, objects)
    found = _found(results, images, categories, detections)
    return Scenes(sizes, names, there, found)


def _decoded(path: str | Path, kind: str, type_: type[Read]) -> Read:
    """Read a file of JSON, and say where it is not of its kind."""
    try:
        return msgspec.json.decode(read_file(path, kind, MOST_BYTES), type=type_)
    except msgspec.DecodeError as error:
        what = str(error).replace("Object missing", "misses").replace("`", "")
        raise DescriptionError(f"is not {kind} ({what})", where=str(path), hint=f"give the path of {kind}") from None
    except UnicodeDecodeError:
        raise DescriptionError("is not UTF-8", where=str(path), hint=f"give the path of {kind}") from None


def _objects(rows: Sequence[Annotation], images: Any, categories: Any, path: str | Path) -> Boxes:
    corners = [row.bbox for row in rows]
    areas = [row.bbox[2] * row.bbox[3] if row.area is None else row.area for row in rows]
    crowd = [bool(row.iscrowd) for row in rows]
    return boxes(*_places(rows, images, categories, path), corners, 0.0, crowd, areas)


def _found(rows: Sequence[Detection], images: Any, categories: Any, path: str | Path) -> Boxes:
    found = boxes(*_places(rows, images, categories, path), [row.bbox for row in rows], [row.score for row in rows])
    for wrong, what in (
        (~np.isfinite(found.box).all(axis=1), "has a box that is no number"),
        ((found.box[:, 2:] < 0).any(axis=1), "has a box of negative size"),
        (~np.isfinite(found.score), "has a score that is no number"),
    ):
        if wrong.any():
            k = int(np.argmax(wrong))
            _refuse(path, f"detection {k}, of image {rows[k].image_id}, {what}")
    return found


def _places(rows: Sequence[Any], images: Any, categories: Any, path: str | Path) -> tuple[list[int], list[int]]:
    """Find the image and the category of each row; refuse those that are not among them."""
    at = [(images.get(row.image_id, -1), categories.get(row.category_id, -1)) for row in rows]
    for row, (image, category) in zip(rows, at, strict=True):
        if image < 0 or category < 0:
            name, value = ("image_id", row.image_id) if image < 0 else ("category_id", row.category_id)
            _refuse(path, f"{name} {value!r} is not among those of the objects")
    return [image for image, _ in at], [category for _, category in at]


def _check_objects(there: Boxes, sizes: Any, rows: Sequence[Annotation], path: str | Path) -> None:
    """Refuse an object without area, or outside of its image."""
    size = sizes[there.image][:, ::-1]
    for wrong, what in (
        (~np.isfinite(there.box).all(axis=1), "has a box that is no number"),
        ((there.box[:, 2:] <= 0).any(axis=1), "has a box without area"),
        (((there.box[:, :2] >= size) | (there.box[:, :2] + there.box[:, 2:] <= 0)).any(axis=1), "lies outside"),
    ):
        if wrong.any():
            row = rows[int(np.argmax(wrong))]
            _refuse(path, f"annotation {row.id} of image {row.image_id} {what}: {[*row.bbox]}")


def _refuse(path: str | Path, what: str) -> NoReturn:
    raise DescriptionError(what, where=str(path), hint="correct it, or leave it out")
