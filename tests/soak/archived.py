"""Small networks as archives: .keras files, and programs of torch.export."""

from __future__ import annotations

import io
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

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


SAME = {"padding": "same"}
CHAINED: list[tuple[str, dict[str, Any]]] = [
    ("Rescaling", {"scale": 0.5}),
    ("ZeroPadding2D", {"padding": [[0, 1], [2, 1]]}),
    ("Conv2D", {"filters": 4, "kernel_size": [3, 2], "strides": [2, 1], "activation": "relu", **SAME}),
    ("Cropping2D", {"cropping": [[1, 0], [0, 1]]}),
    ("SeparableConv2D", {"filters": 8, "kernel_size": [3, 3], "depth_multiplier": 1, **SAME}),
    ("LayerNormalization", {"axis": -1}),
    ("AveragePooling2D", {"pool_size": [2, 2], "strides": None, **SAME}),
    ("UpSampling2D", {"size": [2, 2], "interpolation": "bilinear"}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": [3, 3], "strides": [2, 2], **SAME}),
    ("Resizing", {"height": 9, "width": 8}),
    ("Flatten", {}),
    ("Dense", {"units": 5, "activation": "softmax"}),
]


@cache
def keras() -> list[bytes]:
    """Models with one layer of each kind, branches, a gate and a model inside."""
    chained = [image(24, 20, 3), *(layer(kind, kind.lower(), **config) for kind, config in CHAINED)]
    inner = sequential([image(), layer("Conv2D", "c", filters=3, kernel_size=[3, 3], **SAME)], "inner")
    inner |= {"inbound_nodes": layer("", "", "image", "inner#0")["inbound_nodes"]}
    gated = [
        image(),
        inner,
        layer("GlobalAveragePooling2D", "g", "inner#1", keepdims=True),
        layer("Multiply", "m", ["inner#1", "g"]),
        layer("Concatenate", "k", ["m", "inner#1"], axis=-1),
        layer("DepthwiseConv2D", "w", "k", kernel_size=[3, 3], depth_multiplier=2, dilation_rate=[2, 1]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        models = sequential(chained), functional(gated, "w")
        return [written(Path(folder, "net.keras"), model).read_bytes() for model in models]


@cache
def programs() -> list[bytes]:
    """A program of fixed and of open size, with windows, slices, joins and resizes."""
    from tests.sources.test_programs import saved
    from tests.sources.test_torch_exported import Joining

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [saved(Joining(), Path(folder, "net.pt2"), (32, 48), open_).read_bytes() for open_ in (False, True)]
