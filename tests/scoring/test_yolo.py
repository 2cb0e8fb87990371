"""YOLO's folders of labels have the rings that COCO's files of the same boxes have."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import padviz
from padviz.errors import DescriptionError
from padviz.scoring.reading.yolo import size_of
from tests.cli.test_cli import run, told
from tests.scoring.made import coco_files, scenes

pytestmark = pytest.mark.usefixtures("elsewhere")
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
            for box, score in zip(boxes.box[boxes.image == k], boxes.score[boxes.image == k], strict=True):
                shares = (box[:2] + box[2:] / 2) / (width, height), box[2:] / (width, height)
                numbers = [*shares[0], *shares[1], *([score] if name == "pred" else [])]
                lines.append(" ".join(["0", *(repr(float(n)) for n in numbers)]))
            if lines:
                Path(f"{name}/{k:03}.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("turned", [False, True])
def test_labels_have_the_rings_of_cocos_files(turned: bool) -> None:
    folders(turned)
    coco_files(MADE)
    ours, theirs = padviz.rings("gt", "pred", image_sizes="images"), padviz.rings("gt.json", "pred.json")
    for one, other in zip(ours, theirs, strict=True):
        assert one.objects == other.objects
        assert one.uncut == other.uncut
        for name, figure in one.ap.items():
            assert figure.value == pytest.approx(other.ap[name].value, abs=1e-9)


@pytest.mark.parametrize("name", ["{:03}.jpg", "{:03}", "val/images/{:03}.PNG"])
def test_sizes_may_be_listed(name: str) -> None:
    folders()
    rows = [f"{name.format(k)},x,{width},{height}" for k, (height, width) in enumerate(MADE.sizes.tolist())]
    Path("sizes.csv").write_text("\n".join(["image,split,width,height", *rows]))
    ours, theirs = (padviz.rings("gt", "pred", image_sizes=images) for images in ("sizes.csv", "images"))
    assert ours == theirs
    assert run(*ASKED[:-1], "sizes.csv").stdout == run(*ASKED).stdout


SIZES = "image,width,height"
MISTAKES = [
    ("sizes.csv", "image,width\n000,1", "sizes.csv: has no column height; give the path of CSV with the columns image"),
    ("sizes.csv", f"{SIZES}\n000,128,nan", "sizes.csv: row 2, of 000, has no size in pixels; correct it"),
    ("sizes.csv", f"{SIZES}\n000,9,9\na/000.png,9,9", "sizes.csv: has an image twice; leave one out"),
    ("sizes.csv", f"{SIZES}\n000,128,96", "gt/001.txt: matches no image of sizes.csv, like 7 more of 9; labels are"),
    ("gt/000.txt", "0 .5 .5 .1", "gt/000.txt: line 1 has 4 numbers, not 5; lines are YOLO's labels"),
    ("gt/000.txt", "0 50 50 10 10", "gt/000.txt: line 1 is not a box in shares of the image"),
    ("gt/000.txt", "cat .5 .5 .1 .1", "gt/000.txt: line 1 is not numbers"),
    ("pred/000.txt", "0 .5 .5 .1 .1", "pred/000.txt: line 1 has 5 numbers, not 6: a score behind each box, too"),
    ("gt/000.txt", "0 .5 .5 .1 .1 .9", "gt/000.txt: line 1 has 6 numbers, not 5: with a score, as detections are; are"),
    ("pred/none.txt", "", "pred/none.txt: matches no image"),
    ("images/000.png", "", "images: 000.jpg and 000.png have the same labels; leave one out"),
    ("images/000.jpg", "no picture", "images/000.jpg: cannot be read as a picture; leave it out"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "line"), MISTAKES)
def test_a_mistake_is_one_line(path: str, text: str, line: str) -> None:
    folders()
    Path(path).write_text(text)
    sizes = "sizes.csv" if path == "sizes.csv" else "images"
    assert told(*ASKED[:-1], sizes, "-o", "rings.png").startswith(f"padviz: {line}")


@pytest.mark.parametrize(("exif", "size"), [(b"Exif\0\0no TIFF", None), (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", (8, 6))])
def test_damaged_exif_is_an_error_or_no_orientation(exif: bytes, size: tuple[int, int] | None) -> None:
    Image.new("L", (6, 8)).save("a.png", exif=exif)
    if size is None:
        with pytest.raises(DescriptionError, match=r"a\.png: cannot be read as a picture; leave it out"):
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
