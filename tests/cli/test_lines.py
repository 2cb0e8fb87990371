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

from tests.cli.test_cli import FILES, lay, run, told
from tests.cli.test_cli_foreign import conv, plain, saved
from tests.repadding.test_onnx_file import SIZE, chain
from tests.scoring.made import coco_files, scenes
from tests.snippets import seeing_file
from tests.trained.test_trying import folder


def lines_of(name: str) -> list[str]:
    lines = (Path(__file__).parent / name).read_text().splitlines()
    return [line.replace("\\n", "\n") for line in lines if line and not line.startswith("#")]


def lay_out() -> None:
    lay(*FILES)
    for name in ("empty", "folder.onnx"):
        Path(name).mkdir()
    pads = [1, 1, 1, 1]
    plain("net.onnx")
    seeing_file("seeing.onnx")
    chain(Path("built.onnx"), size=SIZE)
    saved([conv("c", "image", pads=pads, strides=[4, 4])], ["c"], "odd.onnx", (224, 224))
    saved(
        [conv("a", "image"), helper.make_node("Relu", ["a"], ["r"], name="r")],
        ["r"],
        "fixed.onnx",
        (32, 32),
    )
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
