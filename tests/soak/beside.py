"""What lies beside a mutant: small networks, a picture, and boxes."""

import io
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.keras_files import functional, image, layer, sequential, written
from tests.scoring.made import coco_files, scenes

NET = """size = 12
layers = [
    {op = "conv", name = "a", kernel = 3, padding = 1, stride = 2, out = 3, groups = "depthwise"},
    {op = "resize", name = "b", scale = 2},
    {op = "add", name = "c", from = ["b", "input"]},
]
"""
NODES = """
    a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, wa)
    r = Relu (a)
    b = Conv <pads = [1, 1, 1, 1]> (r, wb, bias)
    y = Sigmoid (b)
"""


@cache
def network() -> bytes:
    """A network with weights and a map of scores, of any size."""
    from onnx import numpy_helper, parser

    head = (
        '<ir_version: 8, opset_import: ["" : 13]> g (float[N, 3, H, W] x) => (float[N, 1, P, Q] y)'
    )
    model = parser.parse_model(f"{head} {{ {NODES} }}")
    for node in model.graph.node:
        node.name = node.output[0]
    rng = np.random.default_rng(0)
    for name, shape in (("wa", (4, 3, 3, 3)), ("wb", (1, 4, 3, 3))):
        model.graph.initializer.append(
            numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        )
    # of the empty background: nothing is seen there
    low = numpy_helper.from_array(np.full(1, -1, np.float32), "bias")
    model.graph.initializer.append(low)
    return bytes(model.SerializeToString())


@cache
def picture() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.effect_noise((32, 24), 60).save(file, "png")
    return file.getvalue()


def lay_out(whole: bool) -> None:
    """Put the networks here; the whole of it where a command may ask for it."""
    Path("net.toml").write_text(NET)
    Path("net.onnx").write_bytes(network())
    if whole:
        Path("b.png").write_bytes(picture())
        coco_files(scenes(0, images=4))


Members = dict[str, bytes]


def members(content: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Members, compressed: bool) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    ) as archive:
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
    models = [
        *(sequential([image(24, 20, 3), keras, LAST]) for keras, _ in CASES),
        *[functional(gated, "k")] * 9,
    ]
    with tempfile.TemporaryDirectory() as folder:
        return [written(Path(folder, "net.keras"), model).read_bytes() for model in models]


@cache
def programs() -> list[bytes]:
    """A program of fixed and of open size, with windows, slices, joins and resizes."""
    from tests.sources.test_programs import Joining, saved

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            saved(Joining(), Path(folder, "net.pt2"), (32, 48), open_).read_bytes()
            for open_ in (False, True)
        ]
