"""The formats of files of other tools, detected by content, and advice for those that padviz does
not read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

from padviz.errors import DescriptionError
from padviz.files.opened import opened

Format = Literal[
    "keras",
    "program",
    "torchscript",
    "ultralytics",
    "torch",
    "safetensors",
    "weights.h5",
    "hdf5",
    "tflite",
    "savedmodel",
    "coreml",
    "",
]
WAYS = "name the code that makes the module, as package.module:attribute, or export it to .onnx"
SUFFIXES: dict[str, Format] = {
    ".keras": "keras",
    ".pt2": "program",
    ".pt": "torch",
    ".pth": "torch",
    ".ckpt": "torch",
    ".safetensors": "safetensors",
    ".weights.h5": "weights.h5",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".tflite": "tflite",
    ".mlmodel": "coreml",
    ".mlpackage": "coreml",
}
HEADS: dict[bytes, Format] = {
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19": "torch",
}
MOST_PICKLED = 1 << 22  # bytes to search for a name
REFUSALS: dict[Format, tuple[str, str]] = {  # the error and the hint; FILE stands for the path
    "torchscript": (
        "is TorchScript, whose code cannot be followed",
        f"{WAYS} or by torch.export.save to .pt2",
    ),
    "ultralytics": (
        "is a checkpoint of Ultralytics, pickled code that padviz does not run",
        "export it: yolo export model=FILE format=onnx",
    ),
    "torch": ("holds weights, or pickled code that padviz does not run", WAYS),
    "safetensors": ("holds weights without the network", WAYS),
    "weights.h5": (
        "holds weights without the network",
        'save the model as a whole: model.save("x.keras")',
    ),
    "hdf5": (
        "is HDF5, in which Keras kept models before .keras",
        'save it again: keras.models.load_model("FILE").save("x.keras")',
    ),
    "tflite": ("is TFLite", "convert it: python -m tf2onnx.convert --tflite FILE --output x.onnx"),
    "savedmodel": (
        "is a SavedModel",
        "convert it: python -m tf2onnx.convert --saved-model FILE --output x.onnx",
    ),
    "coreml": ("is CoreML", "export the model that it was made of to .onnx"),
}


def format_of(path: str | Path) -> Format:
    """Return the format of a file or a folder by its content, or else by its name; "" for any
    other.
    """
    named: Format = next(
        (kind for suffix, kind in SUFFIXES.items() if str(path).lower().endswith(suffix)), ""
    )
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, "saved_model.pb")):
            return "savedmodel"
        return named
    with suppress(DescriptionError):  # reported by its reader
        with opened(path, "a network") as file:
            head = file.read(16)
        if head.startswith(b"PK"):
            return _format_of_archive(path) or named
        if head[4:8] == b"TFL3":
            return "tflite"
        if head[8:10] in (b'{"', b"{ ") and int.from_bytes(head[:8], "little") < 1 << 30:
            return "safetensors"
        format_ = next((kind for start, kind in HEADS.items() if head.startswith(start)), named)
        if format_ == "hdf5" and named == "weights.h5":
            return named
        return format_
    return named


def _format_of_archive(path: str | Path) -> Format:
    from padviz.files.archives import BROKEN, member, unpacked

    with unpacked(path, "a network") as archive:
        names = archive.namelist()
        inner = {name.partition("/")[2] for name in names}
        if "config.json" in names and "metadata.json" in names:
            return "keras"
        if any("models/" in name and name.endswith(".json") for name in names) or (
            "serialized_exported_program.json" in names
        ):
            return "program"
        if "data.pkl" in inner:
            if any(name.startswith("code/") for name in inner):
                return "torchscript"
            with suppress(*BROKEN):  # nothing is unpickled, only searched for the module's name
                pickled = next(name for name in names if name.endswith("/data.pkl"))
                if b"ultralytics" in member(archive, pickled, MOST_PICKLED):
                    return "ultralytics"
            return "torch"
    return ""


def refusal(kind: Format, path: str | Path) -> DescriptionError:
    what, hint = REFUSALS[kind]
    return DescriptionError(what, where=str(path), hint=hint.replace("FILE", str(path)))
