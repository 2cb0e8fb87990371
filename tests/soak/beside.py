"""What lies beside a mutant: small networks, a picture, and what weights may point to."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

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
LOCATIONS = ["data", "data", "pipe", "link", "folder", "vast", "net.onnx", "mutant.onnx", "missing", "../data"]
LOCATIONS += ["./data", "", ".", "..", "/etc/passwd", "/dev/zero", "folder/data", "\x1b[31m", "\u202edata", "data\n"]
LOCATIONS += ["d" * 5000]
NUMBERS = ["", "0", "4", "36", "-1", "1e3", "64", "9" * 18, "9" * 40, "x", " 4", "\u0664"]


@cache
def network() -> bytes:
    """A network with weights and a map of scores, of any size."""
    from onnx import numpy_helper, parser

    head = '<ir_version: 8, opset_import: ["" : 13]> g (float[N, 3, H, W] x) => (float[N, 1, P, Q] y)'
    model = parser.parse_model(f"{head} {{ {NODES} }}")
    for node in model.graph.node:
        node.name = node.output[0]
    rng = np.random.default_rng(0)
    for name, shape in (("wa", (4, 3, 3, 3)), ("wb", (1, 4, 3, 3))):
        model.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    low = numpy_helper.from_array(np.full(1, -1, np.float32), "bias")  # of the empty background: nothing is seen there
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
    elif not os.path.lexists("pipe"):
        Path("data").write_bytes(np.ones(16, np.float32).tobytes())
        Path("folder").mkdir()
        Path("link").symlink_to("/etc/passwd")
        os.mkfifo("pipe")
        with open("vast", "wb") as file:
            file.truncate(6 << 30)  # without a block of the disk


def displaced(model: Any, rng: Random) -> Any:
    """A model whose weights, some or all, should lie in other files."""
    for tensor in model.graph.initializer:
        if rng.random() < 0.8:
            tensor.ClearField("raw_data")
            tensor.data_location = tensor.EXTERNAL
            for key, values in (("location", LOCATIONS), ("offset", NUMBERS), ("length", NUMBERS)):
                if key == "location" or rng.random() < 0.4:
                    tensor.external_data.add(key=key, value=rng.choice(values))
    return model
