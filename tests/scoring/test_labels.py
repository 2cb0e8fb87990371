"""Classifiers by where the object is, segmenters by where the pixel is, and detections in YOLO's folders."""

import csv
import json
import tracemalloc
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import padviz
from padviz.errors import OptionError
from padviz.scoring.reading.masks import read_masks
from padviz.scoring.reading.yolo import size_of
from tests.cli.test_cli import run, told
from tests.scoring.made import coco_files, mistakes, scenes

pytestmark = pytest.mark.usefixtures("elsewhere")


def classified(wrong_outside: bool = True, n: int = 400) -> None:
    """Write a classifier's files: outside the middle it is right half of the time, inside 9 times of 10."""
    rng, objects, labels = (
        np.random.default_rng(0),
        ["image,label,x,y,image_width,image_height"],
        ["image,label"],
    )
    for k in range(n):
        x, y = rng.uniform(0, [128, 96])
        outer = min(x, y, 128 - x, 96 - y) < 24
        right = rng.random() < (0.5 if outer and wrong_outside else 0.9)
        objects.append(f"{k}.png,cat,{x},{y},128,96")
        labels.append(f"{k}.png,{'cat' if right else 'dog'}")
    Path("gt.csv").write_text("\n".join(objects))
    Path("pred.csv").write_text("\n".join(labels))


def test_a_classifier_that_is_wrong_outside_is_less_accurate_there() -> None:
    classified()
    found = padviz.rings("gt.csv", "pred.csv", rings=2)
    outer, inner = found
    assert outer.count + inner.count == 400
    assert outer.figures["accuracy"].high < inner.figures["accuracy"].low
    apart = found.differences[0].difference
    assert apart.low < -0.4 < apart.high
    assert (
        "Accuracy is lower in the outermost ring ("
        in run("rings", "--gt", "gt.csv", "--pred", "pred.csv").stdout
    )
    classified(wrong_outside=False)
    assert (
        "does not differ measurably" in run("rings", "--gt", "gt.csv", "--pred", "pred.csv").stdout
    )


def masks(shape: tuple[int, int] = (40, 60), n: int = 30, wrong: int = 6) -> None:
    """Write label maps of two classes and a void, and those of a segmenter that is wrong in the outer `wrong` px."""
    rng = np.random.default_rng(1)
    for name in ("gt", "pred"):
        Path(name).mkdir(exist_ok=True)
    for k in range(n):
        true = rng.integers(0, 2, shape).astype(np.uint8)
        made = true.copy()
        outer = np.ones(shape, bool)
        outer[wrong : shape[0] - wrong, wrong : shape[1] - wrong] = False
        made[outer] = 1 - true[outer]
        true[5:9, 5:9] = 255
        made[0, 0] = 255
        for name, labels in (("gt", true), ("pred", made)):
            Image.fromarray(labels).save(f"{name}/{k}.png")


def test_a_segmenter_that_is_wrong_in_the_outer_pixels_has_no_iou_there() -> None:
    masks()
    found = padviz.rings("gt", "pred", px=[6])
    assert [{name: figure.value for name, figure in ring.figures.items()} for ring in found] == [
        {"IoU": 0},
        {"IoU": 1},
    ]
    assert found.count == sum(ring.count for ring in found) == 30 * (40 * 60 - 16)
    facts = json.loads(
        run("rings", "--gt", "gt", "--pred", "pred", "--px", "6", "--format", "json").stdout
    )
    rings = [row for row in facts["rows"] if row["part"] == "ring"]
    assert [(ring["first"], ring["last"]) for ring in rings] == [(0, 6), (6, None)]
    (first, *_) = (row for row in facts["rows"] if row["part"] == "difference")
    assert first["value"] == -1


def test_label_maps_are_counted_in_strips_of_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    masks((700, 800), n=1, wrong=99)
    tracemalloc.start()
    whole = read_masks("gt", "pred", (8, 16), False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 9 * 700 * 800 + 150 * 2**18, peak / 700 / 800
    monkeypatch.setattr(padviz.scoring.reading.masks, "STRIP", 3001)
    assert (whole.pixels == read_masks("gt", "pred", (8, 16), False).pixels).all()


SIDES = ("left", "top", "right", "bottom")


def check_sides(
    found: Any, placed: list[tuple[float, float, Any]], size: tuple[int, int], px: int, figure: Any
) -> None:
    """Compare the sides of both rings with those of things at (y, x), counted one by one."""
    height, width = size
    sides: dict[tuple[int, str], list[Any]] = {}
    for y, x, thing in placed:
        away = dict(zip(SIDES, (x, y, width - x, height - y), strict=True))
        nearest = [side for side, each in away.items() if each == min(away.values())]
        if len(nearest) == 1:  # of two that are as near, it is of none
            ring = int(min(away.values()) >= px)
            sides.setdefault((ring, nearest[0]), []).append(thing)
    for ring, name in product((0, 1), SIDES):
        side, things = found.rings[ring].sides[name], sides.get((ring, name), [])
        assert side.count == len(things)
        assert side.figure.value == (pytest.approx(figure(things)) if things else None)


def test_a_classifier_is_counted_by_side_one_by_one() -> None:
    classified(n=300)
    objects, made = (
        [*csv.DictReader(Path(path).read_text().splitlines())] for path in ("gt.csv", "pred.csv")
    )
    label_of = {row["image"]: row["label"] for row in made}
    placed = [
        (float(row["y"]), float(row["x"]), label_of[row["image"]] == row["label"])
        for row in objects
    ]
    check_sides(padviz.rings("gt.csv", "pred.csv", px=[20]), placed, (96, 128), 20, np.mean)


def test_a_segmenter_is_counted_by_side_pixel_by_pixel() -> None:
    masks((7, 12), n=3, wrong=2)
    placed = []
    for k in range(3):
        true, made = (np.asarray(Image.open(f"{name}/{k}.png")) for name in ("gt", "pred"))
        placed += [
            (y + 0.5, x + 0.5, (true[y, x], made[y, x])) for y, x in np.argwhere(true != 255)
        ]

    def overlap(pairs: list[Any]) -> float:
        true, made = np.array(pairs).T
        classes = np.setdiff1d([*true, *made], [255])
        return float(np.mean([np.mean((true == made)[(true == c) | (made == c)]) for c in classes]))

    check_sides(padviz.rings("gt", "pred", px=[3]), placed, (7, 12), 3, overlap)


def test_masks_turned_have_turned_sides() -> None:
    masks((14, 23), n=4, wrong=2)
    pred = np.asarray(Image.open("pred/0.png")).copy()
    pred[:, :4] = 1
    Image.fromarray(pred).save("pred/0.png")
    one = padviz.rings("gt", "pred", px=[4])
    for name in ("gt", "pred"):
        Path(f"turned-{name}").mkdir()
        for k in range(4):
            Image.fromarray(np.asarray(Image.open(f"{name}/{k}.png")).T.copy()).save(
                f"turned-{name}/{k}.png"
            )
    other = padviz.rings("turned-gt", "turned-pred", px=[4])
    for ring, across in zip(one.rings, other.rings, strict=True):
        assert replace(ring, sides={}) == replace(across, sides={})
    for side, turned in (
        ("left", "top"),
        ("top", "left"),
        ("right", "bottom"),
        ("bottom", "right"),
    ):
        for ring, across in zip(one.rings, other.rings, strict=True):
            assert ring.sides[side] == across.sides[turned]
    left_right, top_bottom = ("left border", "right border"), ("top border", "bottom border")
    apart, turned_apart = (
        {
            row[1:3]: row.difference
            for row in scored.differences
            if row[1:3] in (left_right, top_bottom)
        }
        for scored in (one, other)
    )
    assert apart[left_right] == turned_apart[top_bottom]
    assert apart[top_bottom] == turned_apart[left_right]


def test_one_image_has_figures_without_intervals() -> None:
    classified(n=60)
    head, *rows = Path("gt.csv").read_text().splitlines()
    Path("gt.csv").write_text("\n".join([head, *(f"0.png,{row.split(',', 1)[1]}" for row in rows)]))
    Path("pred.csv").write_text("image,label\n0.png,cat")
    masks(n=1)
    for gt, pred in (("gt.csv", "pred.csv"), ("gt", "pred")):
        found = padviz.rings(gt, pred, rings=2)
        (name,) = found.rings[0].figures
        rings, apart = [ring.figures[name] for ring in found.rings], found.differences[0].difference
        for figure in (*rings, apart, found.rings[0].sides["left"].figure):
            assert figure.value is not None
            assert (figure.low, figure.high) == (None, None)
        printed = run("rings", "--gt", gt, "--pred", pred, "--rings", "2").stdout
        assert "none below 20 objects or 10 images." in printed
        assert printed.count("no interval") == 2 + 4 + 1 + 2


MISTAKES: list[list[Any]] = [
    *([*asked.split(" | "), line] for asked, line in mistakes(1)),
    ["pred/1.png", None, "pred/1.png: no such file; give the path of a label map"],
    [
        "pred/1.png",
        Image.new("RGB", (60, 40)),
        "pred/1.png: has colours (RGB), not numbers of classes",
    ],
    [
        "pred/0.png",
        Image.new("L", (60, 41)),
        "pred/0.png: is 41 x 60, and 0.png of the true ones is 40",
    ],
    [
        "gt",
        255,
        "gt: has no class but 0; 255 counts for nothing; number classes 0, 1, 2, ... in both",
    ],
    ["pred", 7, "pred: has hardly a class in common with gt, which has 0, 1; number classes"],
]


def spoil(path: str, content: Any) -> None:
    """Write something else; in a folder of masks, another number in place of class 1."""
    if content is None:
        Path(path).unlink()
    elif isinstance(content, int):
        for each in Path(path).iterdir():
            Image.fromarray(np.uint8(content) * (np.asarray(Image.open(each)) == 1)).save(each)
    elif isinstance(content, str):
        Path(path).write_text(content)
    else:
        content.save(path)


@pytest.mark.parametrize(("path", "content", "line"), MISTAKES, ids=[line for *_, line in MISTAKES])
def test_a_mistake_is_one_line(path: str, content: Any, line: str) -> None:
    classified(n=5)
    masks(n=2)
    spoil(path, content)
    gt, pred = ("gt.csv", "pred.csv") if ".csv" in path else ("gt", "pred")
    assert told("rings", "--gt", gt, "--pred", pred).startswith(f"padviz: {line}")


def test_what_is_for_boxes_is_refused_and_so_are_swapped_files() -> None:
    classified(n=5)
    for option in (["--iou", ".5"], ["--by-class"], ["vgg11"]):
        assert "for boxes; leave it out" in told(
            "rings", *option, "--gt", "gt.csv", "--pred", "pred.csv"
        )
    swapped = "padviz: --gt: --gt and --pred look swapped: gt.csv has the places of objects"
    assert told("rings", "--gt", "pred.csv", "--pred", "gt.csv").startswith(swapped)


def test_a_side_that_is_wrong_stands_out_of_masks() -> None:
    masks(n=12, wrong=0)
    for k in range(12):
        pred = np.asarray(Image.open(f"pred/{k}.png")).copy()
        pred[-4:] = 0
        Image.fromarray(pred).save(f"pred/{k}.png")
    words = run("rings", "--gt", "gt", "--pred", "pred").stdout.splitlines()
    assert words[2].startswith("IoU is lower near the bottom border (")
    rows = [
        line.split()[0]
        for line in words
        if line.startswith(" ") and line.split()[1:2] != ["border,"]
    ]
    assert [*SIDES] == [name for name in rows if name in SIDES]


MADE = scenes(0, images=9, categories=1)
ASKED = ["rings", "--gt", "gt", "--pred", "pred", "--image-sizes", "images"]
FILES = ["rings", "--gt", "gt.json", "--pred"]


def folders(turned: bool = False) -> None:
    for name in ("images", "gt", "pred"):
        Path(name).mkdir()
    for k, (height, width) in enumerate(MADE.sizes.tolist()):
        exif = Image.Exif()
        if turned:
            exif[274] = 6
        size = (height, width) if turned else (width, height)
        Image.fromarray(np.zeros((*size[::-1], 3), np.uint8)).save(f"images/{k:03}.jpg", exif=exif)
        for name, boxes in (("gt", MADE.objects), ("pred", MADE.detections)):
            lines = []
            for box, score in zip(
                boxes.box[boxes.image == k], boxes.score[boxes.image == k], strict=True
            ):
                shares = (box[:2] + box[2:] / 2) / (width, height), box[2:] / (width, height)
                numbers = [*shares[0], *shares[1], *([score] if name == "pred" else [])]
                lines.append(" ".join(["0", *(repr(float(n)) for n in numbers)]))
            if lines:
                Path(f"{name}/{k:03}.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("turned", [False, True])
def test_labels_have_the_rings_of_cocos_files(turned: bool) -> None:
    folders(turned)
    coco_files(MADE)
    ours, theirs = (
        padviz.rings("gt", "pred", image_sizes="images"),
        padviz.rings("gt.json", "pred.json"),
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one.count == other.count
        assert one.uncut == other.uncut
        for name, figure in one.figures.items():
            assert figure.value == pytest.approx(other.figures[name].value, abs=1e-9)


@pytest.mark.parametrize("name", ["{:03}.jpg", "{:03}", "val/images/{:03}.PNG"])
def test_sizes_may_be_listed(name: str) -> None:
    folders()
    rows = [
        f"{name.format(k)},x,{width},{height}"
        for k, (height, width) in enumerate(MADE.sizes.tolist())
    ]
    Path("sizes.csv").write_text("\n".join(["image,split,width,height", *rows]))
    ours, theirs = (
        padviz.rings("gt", "pred", image_sizes=images) for images in ("sizes.csv", "images")
    )
    assert ours == theirs
    assert run(*ASKED[:-1], "sizes.csv").stdout == run(*ASKED).stdout


@pytest.mark.parametrize(("asked", "line"), mistakes(2))
def test_a_mistake_in_labels_is_one_line(asked: str, line: str) -> None:
    asked = asked.replace("NINES", "9" * 5000)
    path, text = asked.split(" | ")
    folders()
    Path(path).write_text(text)
    sizes = "sizes.csv" if path == "sizes.csv" else "images"
    assert told(*ASKED[:-1], sizes, "-o", "rings.png").startswith(f"padviz: {line}")


@pytest.mark.parametrize(
    ("exif", "size"), [(b"Exif\0\0no TIFF", None), (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", (8, 6))]
)
def test_damaged_exif_is_an_error_or_no_orientation(
    exif: bytes, size: tuple[int, int] | None
) -> None:
    Image.new("L", (6, 8)).save("a.png", exif=exif)
    if size is None:
        with pytest.raises(OptionError, match=r"a\.png: cannot be read as a picture; leave it out"):
            size_of(Path("a.png"))
    else:
        assert size_of(Path("a.png")) == size


@pytest.mark.parametrize(("asked", "line"), [
    (ASKED[:-2], "--image-sizes: labels need the sizes of the images; name the folder of"),
    ([*FILES, "pred.json", *ASKED[-2:]], "--image-sizes: is for folders of labels; leave it out: COCO's file has"),
    ([*FILES, "pred"], "--pred: one is a folder, the other is not; give two files, or two folders"),
])  # fmt: skip
def test_folders_ask_for_images_and_files_do_not(asked: list[str], line: str) -> None:
    folders()
    coco_files(MADE)
    assert told(*asked).startswith(f"padviz: {line}")
