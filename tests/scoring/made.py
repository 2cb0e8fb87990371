"""Made images, objects and detections: a detector that misses what lies near the border as often as it is told to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from padviz.scoring.matching import Boxes, Scenes, boxes


def scenes(
    seed: int, images: int = 60, categories: int = 2, each: int = 8, false: float = 1.0, noise: float = 2.0,
    seen: Callable[[Any], Any] = lambda depth: 0.8 + 0 * depth, crowd: float = 0.0,
) -> Scenes:  # fmt: skip
    """Objects with centres anywhere, found with the chance `seen` by their depth, and false detections anywhere."""
    rng = np.random.default_rng(seed)
    size, n = np.array([96, 128]), images * each
    box = np.empty((n, 4))
    box[:, 2:] = rng.uniform(8, 40, (n, 2))
    box[:, :2] = rng.uniform(0, size[::-1], (n, 2)) - box[:, 2:] / 2
    objects = boxes(
        rng.integers(images, size=n),
        rng.integers(categories, size=n),
        box,
        0.0,
        rng.random(n) < crowd,
    )
    centre = box[:, :2] + box[:, 2:] / 2
    depth = np.minimum(centre, size[::-1] - centre).min(axis=1) / 48
    hit = rng.random(n) < seen(depth)
    near = box[hit] + rng.normal(0, noise, (hit.sum(), 4)) if noise else box[hit]
    near[:, 2:] = np.maximum(near[:, 2:], 1)
    m = int(false * n)
    wrong = np.column_stack([rng.uniform(-10, 100, (m, 2)), rng.uniform(8, 40, (m, 2))])
    found = np.concatenate([near, wrong])
    # not outside of the image
    found[:, :2] = np.clip(found[:, :2], 0.5 - found[:, 2:], size[::-1] - 0.5)
    detections = boxes(
        np.r_[objects.image[hit], rng.integers(images, size=m)],
        np.r_[objects.category[hit], rng.integers(categories, size=m)],
        found,
        np.round(np.r_[0.3 + 0.7 * rng.random(hit.sum()), 0.6 * rng.random(m)], 2),
    )
    return Scenes(
        np.tile(size, (images, 1)), tuple(f"c{k}" for k in range(categories)), objects, detections
    )


def perfect(of: Scenes) -> Scenes:
    there = of.objects
    found = Boxes(
        there.image,
        there.category,
        there.box,
        np.ones(len(there)),
        np.zeros(len(there), bool),
        there.area,
    )
    return Scenes(of.sizes, of.categories, there, found)


def as_coco(of: Scenes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What COCO's two files hold of scenes, with flags that count for nothing."""
    images = [{"id": k, "width": int(w), "height": int(h)} for k, (h, w) in enumerate(of.sizes)]
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(of.categories)]
    rows = [_row(of.objects, n) | {"id": n + 1} for n in range(len(of.objects))]
    annotations = [
        row
        | {"area": float(of.objects.area[n]), "iscrowd": int(of.objects.crowd[n]), "ignore": n % 2}
        for n, row in enumerate(rows)
    ]
    results = [
        _row(of.detections, n) | {"score": float(of.detections.score[n])}
        for n in range(len(of.detections))
    ]
    return {"images": images, "categories": categories, "annotations": annotations}, results


def _row(boxes: Boxes, n: int) -> dict[str, Any]:
    place = {"image_id": int(boxes.image[n]), "category_id": int(boxes.category[n]) + 1}
    return {**place, "bbox": boxes.box[n].tolist()}


def coco_files(
    of: Scenes, folder: Path = Path(), names: tuple[str, str] = ("gt.json", "pred.json")
) -> None:
    for name, content in zip(names, as_coco(of), strict=True):
        (folder / name).write_text(json.dumps(content))


def mistakes(part: int) -> list[list[str]]:
    """What mistakes.txt does to files, and how the line begins that is said then."""
    lines = Path(__file__).with_name("mistakes.txt").read_text().split("---\n")[part].splitlines()
    return [line.replace("\\n", "\n").split(" -> ") for line in lines if not line.startswith("#")]
