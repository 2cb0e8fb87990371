"""What lies beside a mutant: small networks, a picture, and boxes."""

import io
from functools import cache
from pathlib import Path

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
