"""Objects and what was made of them, in whichever files they are, scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from padviz.errors import OptionError
from padviz.scoring.rings.bands import Bands, labelled_bands, masked_bands
from padviz.scoring.rings.ends import ends_of
from padviz.scoring.scenes import Scenes

Kind = Literal["coco", "yolo", "labels", "masks"]


def kind_of(objects: str | Path, made: str | Path) -> Kind:
    """Tell what files are: COCO's two of JSON, YOLO's two folders of labels, two of CSV, two folders of label maps.

    Raises
    ------
    OptionError
        For a folder beside a file.
    """
    folders = Path(objects).is_dir(), Path(made).is_dir()
    if folders[0] != folders[1]:
        raise OptionError("one is a folder, the other is not", option="pred", hint="give two files, or two folders")
    if not folders[0]:
        return "labels" if Path(objects).suffix.lower() == ".csv" else "coco"
    from padviz.scoring.reading.masks import masks_in

    return "masks" if masks_in(objects) else "yolo"


def read_scenes(objects: str | Path, detections: str | Path, images: str | Path | None, kind: Kind) -> Scenes:
    """Read COCO's two files, or YOLO's two folders and the sizes of the images.

    Raises
    ------
    OptionError
        For folders of labels without images, and for images without these.
    """
    if kind == "coco":
        from padviz.scoring.reading.coco import read_coco

        if images is not None:
            raise OptionError(
                "is for folders of labels", option="image_sizes", hint="leave it out: COCO's file has sizes"
            )
        return read_coco(objects, detections)
    if images is None:
        hint = "name the folder of images, or a CSV of their sizes"
        raise OptionError("labels do not say how large images are", option="image_sizes", hint=hint)
    from padviz.scoring.reading.yolo import read_yolo

    return read_yolo(objects, detections, images)


def read_bands(
    objects: str | Path, made: str | Path, kind: Kind, rings: int, pixels: Sequence[float], seed: int
) -> Bands:
    """Read a classifier's files or a segmenter's folders, and score their rings."""
    if kind == "labels":
        from padviz.scoring.reading.labels import read_labels

        return labelled_bands(read_labels(objects, made), rings, pixels)
    from padviz.scoring.reading.masks import read_masks

    masks = read_masks(objects, made, ends_of(rings, pixels), share=not pixels)
    return masked_bands(masks, rings, pixels, seed)
