"""What is typed wrong is told in one line that says what to type; and words that are only said where they are true.

A line of mistakes.txt is a command, a TOML description that `usage` reads, or a manifest that `export` reads, " -> ",
and the line that it ends with.
A line of says.txt is a command that succeeds, and " -> " with words of its output, " 2> " with a whole line of
stderr, or " !> " with words that it does not say; or one that fails a check, and " =1= " with what stderr says.
"..." stands for any text. Nothing is written by any of them.
"""

import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from click.testing import Result
from onnx import helper
from torch import nn

from tests.cli.test_cli import ONE, run, told
from tests.cli.test_cli_foreign import NET as FOREIGN
from tests.cli.test_cli_foreign import conv, plain, saved
from tests.cli.test_cli_trained import FILTERED, JUDGE, LOST
from tests.cli.test_cli_trained import NET as RUN
from tests.repadding.test_onnx_file import SIZE, chain
from tests.scoring.made import coco_files, scenes
from tests.snippets import seeing_file
from tests.trained.test_trying import folder


def lines_of(name: str) -> list[str]:
    lines = (Path(__file__).parent / name).read_text().splitlines()
    return [line.replace("\\n", "\n") for line in lines if line and not line.startswith("#")]


STEP = '{op = "conv", name = "a", kernel = 3, padding = 1, stride = 2'
BROAD = 'layers = [{{op = "conv", name = "c", kernel = [{}, {}]}}]'
ODD = 'layers = [{{op = "conv", name = "c", kernel = {}, padding = [[{n}, 0], [{n}, 0]]}}]\nsize = 9'
PAIR = """size = 32
target = []
layers = [{{op = "conv", name = "a", kernel = 3, padding = 1, stride = {}, from = "input"}},
          {{op = "conv", name = "b", kernel = 3, padding = 1, stride = {}, from = "input"}}]"""
GATED = """
from torch import nn

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(3, 3, 3, padding=1)

    def forward(self, x):
        y = self.a(x)
        return y * y.mean(2, keepdim=True)
"""
FAILING = """
import torch
from torch import nn

net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2))

def fails():
    raise ValueError("two\\nlines")

def unweighed(pretrained=True, weights="many"):
    assert not pretrained and weights is None
    return nn.Conv2d(3, 64, 5)
"""
TEXTS = {
    "failing_net.py": FAILING,
    "filtered_net.py": FILTERED,
    "made_net.py": "import filtered_net\n\nnet = filtered_net.net()\n",
    "foreign_net.py": FOREIGN,
    "run_net.py": RUN,
    "lost_net.py": RUN + LOST,
    "judge_net.py": JUDGE,
    "gated_signal_net.py": GATED,
    "broken_net.py": "1 / 0",
    "mynet.py": "import torch\n\nclass Small(torch.nn.Module):\n    pass\n",
    "text.onnx": "no model",
    "bad.pth": "hello",
    "there.md": "kept",
    "a/one.toml": ONE,
    "one.toml": ONE,
    "empty.toml": 'title = "x"',
    "good.toml": '[[maps]]\nmodels = ["vgg11"]',
    "silent.toml": f"size = 12\nlayers = [{STEP}}}]",
    "told.toml": f"size = 12\nlayers = [{STEP}, out = 8}}]",
    "pools.toml": 'size = 12\nlayers = [{op = "maxpool", kernel = 3, stride = 2, padding = 1}]',
    "pool.toml": 'layers = [{op = "maxpool", name = "p", kernel = 3, stride = 2, padding = 1}]',
    "global.toml": f'size = 32\nlayers = [{STEP}}}, {{op = "adaptive", name = "b", output = 3}}]',
    "whole.toml": 'layers = [{op = "conv", name = "c", kernel = [3, 5]}, {op = "global", name = "g"}]',
    "less.toml": BROAD.format(999, 1001),
    "million.toml": BROAD.format(1000, 1000),
    "odd.toml": ODD.format(2, n=1),
    "never.toml": ODD.format(3, n=2),
    "on.toml": PAIR.format(2, 1),
    "off.toml": PAIR.format(1, 2),
    "marked.toml": f"""title = "[/x] [red]A[/red]"\nlayers = [{STEP.replace('"a"', '"a*`<b|"')}}}]""",
    "a,b.toml": f"""title = "t: u, v"\nlayers = [{STEP.replace('"a"', '"x%::error::y"')}}}]""",
}


def lay_out() -> None:
    for name in ("a", "empty", "folder.onnx"):
        Path(name).mkdir()
    for name, text in TEXTS.items():
        Path(name).write_text(text)
    pads = [1, 1, 1, 1]
    plain("net.onnx")
    seeing_file("seeing.onnx")
    chain(Path("built.onnx"), size=SIZE)
    saved([conv("c", "image", pads=pads, strides=[4, 4])], ["c"], "odd.onnx", (224, 224))
    saved([conv("a", "image"), helper.make_node("Relu", ["a"], ["r"], name="r")], ["r"], "fixed.onnx", (32, 32))
    wide = {"pads": [3, 3, 3, 3], "dilations": [3, 3]}
    saved([conv("a", "image", pads=pads), conv("b", "a", **wide)], ["b"], "wide.onnx", (3, 3))
    torch.save({"weight": torch.zeros(1)}, "other.pth")
    torch.save(nn.Conv2d(3, 8, 3), "code.pth")
    folder(Path("photos"), 12)
    folder(Path("two"), 2)
    coco_files(scenes(0, images=4))
    os.mkfifo("pipe.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path_factory.mktemp("lines"))
        lay_out()
        yield Path.cwd()


def pattern(words: str) -> str:
    return ".*".join(map(re.escape, words.split("...")))


@pytest.mark.parametrize("line", lines_of("mistakes.txt"))
def test_a_mistake_is_one_line(line: str, place: Path) -> None:
    asked, _, says = line.rpartition(" -> ")
    if asked.split()[1:2] == ["="]:
        Path("described.toml").write_text(asked)
        command = ["usage", "described.toml"]
    elif asked.startswith("[["):
        Path("manifest.toml").write_text(asked)
        command = ["export", "manifest.toml", "--allow-modules", "-o", "out"]
    else:
        command = shlex.split(asked)
    assert re.fullmatch(pattern(says), told(*command).removeprefix("padviz: ").removesuffix("\n"))


@cache
def said(command: str) -> Result:
    """What a command says, which runs once for all lines that begin with it, and leaves no file."""
    there = os.listdir()
    result = run(*shlex.split(command))
    assert os.listdir() == there
    return result


@pytest.mark.parametrize("line", lines_of("says.txt"))
def test_words_are_said_where_they_are_true(line: str, place: Path) -> None:
    found = re.fullmatch("(.*) (->|2>|!>|=1=) ?(.*)", line)
    assert found
    command, way, words = found.groups()
    result = said(command)
    assert result.exit_code == (way == "=1="), result.stderr
    if way in ("2>", "=1="):
        lines = result.stderr.splitlines()
        assert [each for each in lines if re.fullmatch(pattern(f"padviz: {words}"), each)], lines
        assert way == "2>" or len(lines) == 1
    else:
        text = " ".join(result.stdout.split())
        assert bool(re.search(pattern(words), text)) == (way == "->"), text
