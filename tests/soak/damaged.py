"""Files of every kind that a command reads, each damaged in one way, and a right command line that reads it."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from tests.scoring.made import as_coco, scenes
from tests.soak import beside
from tests.soak.mutants import damaged_archive, damaged_bytes, damaged_text

HUGE = [
    "0",
    "-1",
    "1e160",
    "1e999",
    "nan",
    "9" * 19,
    "9" * 400,
    "1" + "0" * 30,
    "-9223372036854775808",
    "4294967296",
]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
TYPES = [
    "<f8",
    "<f4",
    "|O",
    "<U9",
    "<c16",
    "|V0",
    "<M8[s]",
    ">f2",
    "float16",
    "[('a','<f4')]",
    "F64",
    "BF16",
    "I64",
    "F8_E4M3",
]
ARCHIVES = (".npz", ".pth", ".keras", ".pt2")
TEXTS = (".toml", ".json", ".csv", ".txt")
LINES = {
    "net.toml": ["usage {} --size 12", "audit {} --size 12", "check {} --size 12", "tiles {} --size 64 --tile 48"],
    "net.onnx": ["usage {} --size 12", "filters {} --size 16", "repad {} --padding reflect --size 16 -o b.onnx",
                 "responses {} --size 16 -n 2",
                 "detect {} --size 16 --step 8 --height 8 --contrast .5 --no-picture"],
    "net.keras": ["usage {} --no-picture", "audit {}"],
    "net.pt2": ["layers {}", "uneven {}"],
    "whole.npy": ["seams {} tiled.npy", "seams tiled.npy {} --period 8"],
    "whole.npz": ["seams {} tiled.npy"],
    "whole.png": ["seams {} tiled.png", "detect net.onnx --size 16 --image {} --shift 4 --step 4 --no-picture",
                  "detect net.onnx --size 16 --stimulus {} --height 8 --step 8 --no-picture"],
    "gt.json": ["rings --gt {} --pred pred.json", "rings net.onnx --gt {} --pred pred.json --by-class --size 16"],
    "pred.json": ["rings --gt gt.json --pred {} --px 4,8"],
    "objects.csv": ["rings --gt {} --pred classes.csv"],
    "classes.csv": ["rings --gt objects.csv --pred {}"],
    "labels/0.txt": ["rings --gt labels --pred found --image-sizes sizes.csv"],
    "sizes.csv": ["rings --gt labels --pred found --image-sizes {}"],
    "masks/a.png": ["rings --gt masks --pred masks2"],
    "weights.pth": ["filters small_net:Net --weights {}"],
    "weights.safetensors": ["filters small_net:Net --weights {}"],
    "manifest.toml": ["export {} -o out --jobs 1"],
    "pyproject.toml": ["check"],
    "baseline.json": ["check net.toml --size 12 --baseline {}"],
    "a.png.unfinished.npz": ["seen net.onnx --size 16 --noise -n 2 --patch 4 --grid 5 --resume -o a.png"],
}  # fmt: skip
CODE = """from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2, padding=1))
"""
MANIFEST = """title = "maps"
[[maps]]
models = ["net.toml"]
sizes = [12, "8x12"]
paddings = ["zero"]
what = ["usage"]
[[kernel]]
name = "corner"
kernel = 3
"""
BASELINE = [
    {
        "model": "net.toml",
        "size": [12, 12],
        "rule": "even",
        "layer": "a",
        "axis": "height",
        "figure": 1,
    }
]
PROJECT = """[tool.padviz]
[[tool.padviz.check]]
model = "net.toml"
size = 12
even = true
rim = 4
"""


class Damaged(NamedTuple):
    """A file, its content, and the arguments of a command that reads it."""

    path: str
    content: bytes
    args: list[str]


def damaged_file(rng: Random) -> Damaged:
    path = rng.choice([*LINES])
    args = rng.choice(LINES[path]).replace("{}", path).split(" ")
    return Damaged(path, _damaged(path, files()[path], rng), args)


def _damaged(path: str, content: bytes, rng: Random) -> bytes:
    ways: list[Callable[[], bytes]] = [
        lambda: damaged_bytes(content, rng),
        lambda: _cut(content, rng),
    ]
    if path.endswith(TEXTS):
        text = content.decode()
        ways += 3 * [
            lambda: damaged_text(text, rng).encode("utf-8", "surrogatepass"),
            lambda: _huge(text, rng).encode(),
        ]
    if path.endswith((".npy", ".png", ".safetensors")):
        ways += 3 * [lambda: _head_damaged(content, rng)]
    if path.endswith(ARCHIVES):
        ways += 3 * [lambda: _member_damaged(content, rng)]
    if path.endswith((".keras", ".pt2")):
        ways += 3 * [lambda: damaged_archive(content, rng)]
    return rng.choice(ways)()


def _cut(content: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return rng.choice((content[:at], content[at:], content[:at] * 2, content + content[at:]))


def _huge(text: str, rng: Random) -> str:
    """Replace a number, or all that are alike."""
    numbers = [match.span() for match in NUMBER.finditer(text)] or [(0, 0)]
    start, stop = rng.choice(numbers)
    number = rng.choice(HUGE)
    if rng.random() < 0.3 and text[start:stop]:
        return text.replace(text[start:stop], number)
    return text[:start] + number + text[stop:]


def _head_damaged(content: bytes, rng: Random) -> bytes:
    """Change a character, a number or a word within the first bytes, where shapes and types are."""
    head, rest = content[:160].decode("latin-1"), content[160:]
    way = rng.randrange(3)
    if way == 0:
        at = rng.randrange(len(head))
        head = (
            head[:at]
            + rng.choice(["(", ")", "[", "{", "'", ",", "\0", "", "O", "\xff"])
            + head[at + 1 :]
        )
    elif way == 1:
        head = _huge(head, rng)
    else:
        head = re.sub("<f4|F32", lambda _: rng.choice(TYPES), head, count=1)
    return head.encode("latin-1") + rest


def _member_damaged(content: bytes, rng: Random) -> bytes:
    members = beside.members(content)
    name = rng.choice([*members])
    ways = (damaged_bytes, _cut, _head_damaged)
    members[name] = rng.choice(ways)(members[name] or b"\0", rng)
    return beside.packed(members, rng.random() < 0.5)


def lay_out() -> None:
    sys.dont_write_bytecode = True  # a command that is refused leaves no file
    for folder in ("labels", "found", "masks", "masks2"):
        Path(folder).mkdir(exist_ok=True)
    for name, content in files().items():
        Path(name).write_bytes(content)


@cache
def files() -> dict[str, bytes]:
    made = {
        "net.toml": beside.NET.encode(),
        "net.onnx": beside.network(),
        "net.keras": beside.keras()[-1],
    }
    made["net.pt2"] = beside.programs()[0]
    rng = np.random.default_rng(0)
    whole = rng.random((3, 40, 48), dtype=np.float32)
    tiled = whole.copy()
    tiled[:, :, 24:] += 0.1
    made |= {"whole.npy": _saved(np.save, whole), "tiled.npy": _saved(np.save, tiled)}
    made["whole.npz"] = _saved(np.savez, whole)
    made |= {
        "whole.png": _png(whole),
        "tiled.png": _png(tiled.clip(0, 1)),
        "b.png": beside.picture(),
    }
    for name, content in zip(("gt.json", "pred.json"), as_coco(scenes(0, images=4)), strict=True):
        made[name] = json.dumps(content).encode()
    rows = [f"i{k},{k % 3},{5 * k + 1},{3 * k + 2},100,80" for k in range(12)]
    made["objects.csv"] = "\n".join(["image,label,x,y,image_width,image_height", *rows]).encode()
    made["classes.csv"] = "\n".join(["image,label", *(f"i{k},{k % 2}" for k in range(12))]).encode()
    made["sizes.csv"] = b"image,width,height\n0.png,100,80\n1.png,64,64\n"
    for k in range(2):
        made[f"labels/{k}.txt"] = b"0 .5 .5 .2 .2\n1 .1 .1 .1 .1\n0 .9 .8 .1 .2\n"
        made[f"found/{k}.txt"] = b"0 .5 .5 .2 .2 .9\n1 .1 .1 .1 .1 .8\n"
    for k in range(3):
        label = rng.integers(0, 3, (20, 30)).astype(np.uint8)
        made[f"masks/{'abc'[k]}.png"] = made[f"masks2/{'abc'[k]}.png"] = _png(label)
    made |= {
        "small_net.py": CODE.encode(),
        "manifest.toml": MANIFEST.encode(),
        "pyproject.toml": PROJECT.encode(),
    }
    made |= _weights()
    made["baseline.json"] = json.dumps(BASELINE).encode()
    question = np.zeros(4, "<i8")
    made["a.png.unfinished.npz"] = _saved(np.savez, values=np.zeros(50), question=question)
    return made


def _saved(save: Callable[..., None], *arrays: object, **named: object) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


def _png(values: np.ndarray) -> bytes:
    from PIL import Image

    pixels = (
        values if values.dtype == np.uint8 else (values.transpose(1, 2, 0) * 255).astype(np.uint8)
    )
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def _weights() -> dict[str, bytes]:
    import torch
    from safetensors.torch import save

    state = {f"{k}.{part}": torch.ones(shape) for k, part, shape in (
        (0, "weight", (4, 3, 3, 3)), (0, "bias", (4,)), (2, "weight", (2, 4, 3, 3)), (2, "bias", (2,)),
    )}  # fmt: skip
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return {"weights.pth": buffer.getvalue(), "weights.safetensors": save(state)}
