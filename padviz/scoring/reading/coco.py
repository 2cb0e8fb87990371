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
from numpy.typing import NDArray

from padviz.errors import DescriptionError, OptionError
from padviz.files.opened import opened, read_file
from padviz.scoring.matching import MOST_SIDE, Boxes, Scenes, boxes
from padviz.scoring.reading.tables import refuse

MOST_BYTES = 1 << 30
INSTANCES, RESULTS = "COCO's instances, as JSON", "COCO's results, as JSON"
Id = int | str
IdIndex = Mapping[Id, int]
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
        raise DescriptionError(
            "has no images", where=str(objects), hint=f"give the path of {INSTANCES}"
        )
    pictures = sorted(
        instances.images, key=lambda picture: (isinstance(picture.id, str), picture.id)
    )
    sizes = [_size_of(picture, objects) for picture in pictures]
    images = _by_id("images", [picture.id for picture in pictures], objects)
    categories = _by_id("categories", [category.id for category in instances.categories], objects)
    names = tuple([category.name or str(category.id) for category in instances.categories])
    crowd, area = [], []
    for row in instances.annotations:
        crowd.append(bool(row.iscrowd))
        width, height = row.bbox[2:]
        area.append(width * height if row.area is None else row.area)
    scores = [row.score for row in results]
    object_boxes = _boxes(
        instances.annotations, images, categories, objects, crowd=crowd, area=area
    )
    return Scenes(
        np.array(sizes),
        names,
        object_boxes,
        _boxes(results, images, categories, detections, score=scores),
    )


def _size_of(picture: Picture, path: str | Path) -> tuple[int, int]:
    """Return the height and the width of a picture; reject those that no picture has."""
    if min(picture.width, picture.height) < 1:
        refuse(path, f"image {picture.id} has no pixels")
    if max(picture.width, picture.height) > MOST_SIDE:
        refuse(path, f"image {picture.id} is wider or higher than {MOST_SIDE:,} px")
    return picture.height, picture.width


def _by_id(kind: str, ids: Sequence[Id], path: str | Path) -> IdIndex:
    """Return the position of each id, which no other row may have."""
    for id_, count in Counter(ids).most_common(1):
        if count > 1:
            refuse(path, f"{count:,} {kind} have the id {id_!r}")
    return {id_: position for position, id_ in enumerate(ids)}


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
    kind, rows = "detection", content
    if isinstance(content, dict):
        kind, rows = "annotation", content.get("annotations")
    if not isinstance(rows, list):
        return
    for k, row in enumerate(rows):
        if not isinstance(row, dict):
            continue
        for name, value in row.items():
            if NAN.search(json.dumps(value).encode()):
                refuse(
                    path,
                    f"{kind} {k}, of image {row.get('image_id')}, has a {name} that is not a "
                    "number",
                )


def _boxes(
    rows: Sequence[Annotation] | Sequence[Detection],
    images: IdIndex,
    categories: IdIndex,
    path: str | Path,
    **columns: list[Any],
) -> Boxes:
    """Convert rows to boxes; reject those of images or categories that the file of objects does not
    list.
    """
    image_ids, category_ids = [row.image_id for row in rows], [row.category_id for row in rows]
    of_image = _positions("image_id", image_ids, images, path)
    of_category = _positions("category_id", category_ids, categories, path)
    read = boxes(of_image, of_category, [row.bbox for row in rows], **columns)
    _refuse_first(
        np.any(~(abs(read.box) <= FARTHEST), axis=1), rows, path, "has a box beyond any image"
    )
    _refuse_first(~np.isfinite(read.score), rows, path, "has a score that is not a number")
    return read


def _positions(name: str, ids: Sequence[Id], known: IdIndex, path: str | Path) -> list[int]:
    unknown = [id_ for id_ in ids if id_ not in known]
    if unknown:
        words = f"{name} {unknown[0]!r}"
        if len(unknown) > 1:
            words += f", like those of {len(unknown) - 1:,} more rows,"
        words += " is not among those of the objects"
        if known:
            words += f", which are as {next(iter(known))!r}"
        refuse(path, words)
    return [known[id_] for id_ in ids]


def _refuse_first(
    wrong: NDArray[np.bool_],
    rows: Sequence[Annotation] | Sequence[Detection],
    path: str | Path,
    what: str,
) -> None:
    """Reject a file if a row is wrong, naming the first one."""
    if not wrong.any():
        return
    k = int(np.argmax(wrong))
    row, kind = rows[k], f"detection {k}"
    if isinstance(row, Annotation):
        kind = f"annotation {row.id}"
    refuse(path, f"{kind}, of image {row.image_id}, {what}")
