"""Small networks as archives: .keras files, and programs of torch.export."""

import io
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path

from tests.keras_files import functional, image, layer, sequential, written

Members = dict[str, bytes]


def members(content: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Members, compressed: bool) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@cache
def keras() -> list[bytes]:
    """Models with a layer of each kind, and one with branches, a gate and a model inside."""
    from tests.sources.test_keras import CASES, LAST, reading

    gated = [
        image(),
        reading(sequential([image(), LAST], "inner"), "image", "inner#0"),
        layer("GlobalAveragePooling2D", "g", "inner#1", keepdims=True),
        layer("Multiply", "m", ["inner#1", "g"]),
        layer("Concatenate", "k", ["m", "inner#1"], axis=-1),
    ]
    models = [*(sequential([image(24, 20, 3), keras, LAST]) for keras, _ in CASES), *[functional(gated, "k")] * 9]
    with tempfile.TemporaryDirectory() as folder:
        return [written(Path(folder, "net.keras"), model).read_bytes() for model in models]


@cache
def programs() -> list[bytes]:
    """A program of fixed and of open size, with windows, slices, joins and resizes."""
    from tests.sources.test_programs import Joining, saved

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [saved(Joining(), Path(folder, "net.pt2"), (32, 48), open_).read_bytes() for open_ in (False, True)]
