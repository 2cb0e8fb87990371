"""Objects and detections, in whichever files they are."""

from __future__ import annotations

from pathlib import Path

from padviz.errors import OptionError
from padviz.scoring.scenes import Scenes


def read(objects: str | Path, detections: str | Path, images: str | Path | None = None) -> Scenes:
    """Read COCO's two files, or YOLO's two folders and the sizes of the images.

    Raises
    ------
    OptionError
        For a folder beside a file, or without images.
    """
    folders = Path(objects).is_dir(), Path(detections).is_dir()
    if not any(folders):
        from padviz.scoring.reading.coco import read_coco

        if images is not None:
            raise OptionError("is for folders of labels", option="images", hint="leave it out: COCO's file has sizes")
        return read_coco(objects, detections)
    if not all(folders):
        raise OptionError("one is a folder, the other is not", option="pred", hint="give two files, or two folders")
    if images is None:
        hint = "name the folder of images, which have them"
        raise OptionError("labels do not say how large images are", option="images", hint=hint)
    from padviz.scoring.reading.yolo import read_yolo

    return read_yolo(objects, detections, images)
