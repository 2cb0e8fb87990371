"""What stands in a page: commands with what they print, and Python; and the files that they speak of."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper, parser
from PIL import Image

from tests.cli.test_cli_foreign import plain as plain_file
from tests.figures import made_up
from tests.keras_files import image, layer, sequential, written
from tests.scoring.made import coco_files, scenes
from tests.trained.test_trying import folder

UNTRAINED = re.compile(
    "the file does not fix its input size|the background is seen|the output hardly depends|that it is kept says little"
    "|mapped is the contrast|use more photographs|no interval where fewer than"
)  # as the stand-ins are


class Shown(NamedTuple):
    """A command, and what a page shows of what it prints, if anything: "..." stands for any lines."""

    command: str
    output: str | None


def fenced(page: str, language: str) -> list[str]:
    """The blocks of a language, without the lines around them."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def shown(page: str) -> Iterator[Shown]:
    """The commands of padviz in blocks of a console, each behind a "$", and in indented blocks, with a "$" or alone."""
    for command in re.findall(r"^    padviz (.*?)(?: +#.*)?$", page, re.MULTILINE):
        yield Shown(command, None)
    indented = re.findall(r"^    \$ .*\n(?:    .*\n|\n(?=    ))*", page, re.MULTILINE)
    for block in (
        *(re.sub(r" \\\n +", " ", each) for each in fenced(page, "console")),
        *map(dedent, indented),
    ):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("padviz "):
                yield Shown(command.removeprefix("padviz "), output.strip("\n"))


def agrees(printed: str, output: str) -> bool:
    pattern = "".join(
        "(?:.*\n)*" if line == "..." else f"{re.escape(line)}\n" for line in output.split("\n")
    )
    return bool(
        re.fullmatch(
            pattern, "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").split("\n"))
        )
    )


def prepare(command: str) -> None:
    if "model.onnx" in command:
        shows_maps = command.startswith(("detect", "run-tiles"))
        (seeing_file if shows_maps else plain_file)("model.onnx")
    if "exported.onnx" in command:
        plain_file("exported.onnx")
    if "photo.png" in command:
        levels = np.random.default_rng(0).integers(0, 256, (1000, 1500, 3), np.uint8)
        Image.fromarray(levels).save("photo.png")
    if command.startswith("rings"):
        coco_files(scenes(0, images=8), names=("instances.json", "results.json"))
    if "model.keras" in command:
        conv = layer("Conv2D", "c", filters=2, kernel_size=[3, 3], padding="same")
        written(Path("model.keras"), sequential([image(33, 33, 3), conv]))
    if "whole.npy" in command:
        made_up.seam_files()
    if "--images photos" in command:
        folder(Path("photos"), 10, 260, 280)


def said(stderr: str) -> list[str]:
    """What a command says, but for what it says of stand-ins."""
    return [line for line in stderr.splitlines() if not UNTRAINED.search(line)]


def seeing_file(path: str) -> None:
    """Write a detector of what is dark: nothing is drawn of a network that does not react."""
    head = '<ir_version: 8, opset_import: ["" : 17]> net (float[n, 3, h, w] image) => (float[n, 1, h, w] y)'
    model = parser.parse_model(
        f"{head} {{ c = Conv <pads = [1, 1, 1, 1]> (image, w, b) y = Sigmoid (c) }}"
    )
    for node in model.graph.node:
        node.name = node.output[0]
    for name, value in (
        ("w", np.full((1, 3, 3, 3), -0.2, np.float32)),
        ("b", np.full(1, -2, np.float32)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    onnx.save(model, path)
