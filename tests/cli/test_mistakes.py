"""What is typed wrong is told in one line that says what to type, and nothing is written.

A line of mistakes.txt is a command, " -> ", and what it says; "..." stands for any text.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from onnx import helper
from torch import nn

from tests.cli.test_cli import ONE, told
from tests.cli.test_cli_filters import NET as FILTERED
from tests.cli.test_cli_foreign import NET as FOREIGN
from tests.cli.test_cli_foreign import conv, plain, saved
from tests.cli.test_cli_running import NET as RUN
from tests.cli.test_cli_trying import JUDGE, LOST
from tests.repadding.test_onnx_file import SIZE, chain
from tests.scoring.made import coco_files, scenes
from tests.trained.test_trying import folder

LINES = [
    line.replace("\\n", "\n")
    for line in (Path(__file__).parent / "mistakes.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
TEXTS = {
    "filtered_net.py": FILTERED,
    "foreign_net.py": FOREIGN,
    "run_net.py": RUN,
    "lost_net.py": RUN + LOST,
    "judge_net.py": JUDGE,
    "broken_net.py": "1 / 0",
    "mynet.py": "import torch\n\nclass Small(torch.nn.Module):\n    pass\n",
    "text.onnx": "no model",
    "bad.pth": "hello",
    "there.md": "kept",
    "a/one.toml": ONE,
    "one.toml": ONE,
    "empty.toml": 'title = "x"',
    "typo.toml": '[[maps]]\nmodel = "vgg11"',
    "bad.toml": "[[maps",
    "many.toml": '[[compare]]\nname = "c"\nmodels = ["vgg11"]',
    "lost.toml": '[[maps]]\nmodels = ["nope"]',
    "good.toml": '[[maps]]\nmodels = ["vgg11"]',
}


def lay_out() -> None:
    """Write what the commands name."""
    for name in ("a", "empty", "folder.onnx"):
        Path(name).mkdir()
    for name, text in TEXTS.items():
        Path(name).write_text(text)
    pads = [1, 1, 1, 1]
    plain("net.onnx")
    chain(Path("built.onnx"), size=SIZE)
    saved([conv("c", "image", pads=pads, strides=[4, 4])], ["c"], "odd.onnx", (224, 224))
    saved([conv("a", "image"), helper.make_node("Relu", ["a"], ["r"], name="r")], ["r"], "fixed.onnx", (32, 32))
    torch.save({"weight": torch.zeros(1)}, "other.pth")
    torch.save(nn.Conv2d(3, 8, 3), "code.pth")
    folder(Path("photos"), 12)
    coco_files(scenes(0, images=4))
    os.mkfifo("pipe.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for all: no mistake changes anything in it."""
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path_factory.mktemp("mistakes"))
        lay_out()
        yield Path.cwd()


@pytest.mark.parametrize("line", LINES)
def test_a_mistake_is_one_line(line: str, place: Path) -> None:
    command, _, says = line.partition(" -> ")
    pattern = ".*".join(map(re.escape, says.split("...")))
    assert re.fullmatch(pattern, told(*shlex.split(command)).removeprefix("padviz: ").removesuffix("\n"))
