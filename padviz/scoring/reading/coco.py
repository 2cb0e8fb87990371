"""COCO's two files: objects of a set of images, and detections in them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from padviz.errors import DescriptionError, OptionError
from padviz.files.opened import opened, read_file
from padviz.scoring.matching import MOST_SIDE, Boxes, Scenes, boxes
from padviz.scoring.reading.tables import refuse

MOST_BYTES = 1 << 30
INSTANCES, RESULTS = "COCO's instances, as JSON", "COCO's results, as JSON"
Id = int | str
Corners = tuple[float, float, float, float]
FARTHEST = 2 * MOST_SIDE  # px, of a box: sums and products of larger ones overflow
BOM = b"\xef\xbb\xbf"
NAN = re.compile(rb"\b(NaN|Infinity)\b")


class Picture(Struct):
    id: Id
    width: int
    height: int


class Category(Struct):
    id: Id
    name: str = ""


class Annotation(Struct):
    image_id: Id
    category_id: Id
    bbox: Corners
    id: Id = ""
    iscrowd: int | bool = 0
    area: float | None = None


class Instances(Struct):
    """The file of objects; that of detections is a list."""

    images: list[Picture]
    annotations: list[Annotation]
    categories: list[Category]


class Detection(Struct):
    image_id: Id
    category_id: Id
    bbox: Corners
    score: float


Read = TypeVar("Read", Instances, list[Detection])


def read_coco(objects: str | Path, detections: str | Path) -> Scenes:
    if _first_byte(objects, INSTANCES) == b"[" and _first_byte(detections, RESULTS) == b"{":
        what = f"`gt` and `pred` look swapped: {objects} is a list, as results are"
        raise OptionError(what, option="gt", hint="swap them")
    instances = _decode(objects, INSTANCES, Instances)
    results = _decode(detections, RESULTS, list[Detection])
    if not instances.images:
        raise DescriptionError("has no images", where=str(objects), hint=f"give the path of {INSTANCES}")
    pictures = sorted(instances.images, key=lambda picture: (isinstance(picture.id, str), picture.id))
    for picture in pictures:
        if min(picture.width, picture.height) < 1:
            refuse(objects, f"image {picture.id} has no pixels")
        if max(picture.width, picture.height) > MOST_SIDE:
            refuse(objects, f"image {picture.id} is wider or higher than {MOST_SIDE:,} px")
    sizes = np.array([(picture.height, picture.width) for picture in pictures])
    for kind, rows in (("images", instances.images), ("categories", instances.categories)):
        ((id_, times),) = Counter(row.id for row in rows).most_common(1) or [("", 1)]
        if times > 1:
            refuse(objects, f"{times:,} {kind} have the id {id_!r}")
    images = {picture.id: k for k, picture in enumerate(pictures)}
    categories = {category.id: k for k, category in enumerate(instances.categories)}
    names = tuple(category.name or str(category.id) for category in instances.categories)
    crowd = [bool(row.iscrowd) for row in instances.annotations]
    area = [row.bbox[2] * row.bbox[3] if row.area is None else row.area for row in instances.annotations]
    there = _boxes(instances.annotations, images, categories, objects, crowd=crowd, area=area)
    found = _boxes(results, images, categories, detections, score=[row.score for row in results])
    return Scenes(sizes, names, there, found)


def _decode(path: str | Path, kind: str, type_: type[Read]) -> Read:
    data = read_file(path, kind, MOST_BYTES).removeprefix(BOM)
    try:
        return msgspec.json.decode(data, type=type_, strict=False)  # pandas writes an id as 64.0
    except RecursionError:
        what = f"is not {kind}"
    except msgspec.DecodeError as error:
        _refuse_nan(data, path)
        what = f"is not {kind} ({str(error).replace('Object missing', 'misses').replace('`', '')})"
    except UnicodeDecodeError:
        what = "is not UTF-8"
    raise DescriptionError(what, where=str(path), hint=f"give the path of {kind}")


def _first_byte(path: str | Path, kind: str) -> bytes:
    """Read what a file of JSON begins with: a list "[", an object "{"."""
    with opened(path, kind) as file:
        return file.read(1 << 10).removeprefix(BOM).lstrip()[:1]


def _refuse_nan(data: bytes, path: str | Path) -> None:
    """Reject NaN, naming its row: Python writes it, and JSON has none."""
    if not NAN.search(data):
        return
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return
    kind, rows = ("detection", content) if isinstance(content, list) else ("annotation", content.get("annotations"))
    for k, row in enumerate(rows if isinstance(rows, list) else ()):
        for name, value in row.items() if isinstance(row, dict) else ():
            if NAN.search(json.dumps(value).encode()):
                refuse(path, f"{kind} {k}, of image {row.get('image_id')}, has a {name} that is not a number")


IdIndex = Mapping[Id, int]


def _boxes(
    rows: Sequence[Annotation] | Sequence[Detection], images: IdIndex, categories: IdIndex, path: str | Path,
    **columns: list[Any],
) -> Boxes:  # fmt: skip
    """Convert rows to boxes; reject those of images or categories that the file of objects does not list."""
    of_image = [images.get(row.image_id, -1) for row in rows]
    of_category = [categories.get(row.category_id, -1) for row in rows]
    for name, at, known in (("image_id", of_image, images), ("category_id", of_category, categories)):
        if unknown := [getattr(row, name) for row, place in zip(rows, at, strict=True) if place < 0]:
            others = f", like those of {len(unknown) - 1:,} more rows," if len(unknown) > 1 else ""
            as_ = f", which are as {next(iter(known))!r}" if known else ""
            refuse(path, f"{name} {unknown[0]!r}{others} is not among those of the objects{as_}")
    found = boxes(of_image, of_category, [row.bbox for row in rows], **columns)
    for wrong, what in (
        (~(abs(found.box) <= FARTHEST).all(axis=1), "has a box beyond any image"),
        (~np.isfinite(found.score), "has a score that is not a number"),
    ):
        if wrong.any():
            k = int(np.argmax(wrong))
            row = rows[k]
            kind = f"annotation {row.id}" if isinstance(row, Annotation) else f"detection {k}"
            refuse(path, f"{kind}, of image {row.image_id}, {what}")
    return found
