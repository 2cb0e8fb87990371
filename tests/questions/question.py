"""What stands in the file of a question, and how it is answered."""

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from padviz.cli.group import cli
from tests.cli.test_cli import APART

# A file's text, or what writes the file to a path.
Content = str | Callable[[Path], object]
GROUPS = (
    "Sizes",
    "Seams of tiles",
    "Latent decoders",
    "Audio",
    "Ports and exports",
    "Images that wrap",
    "Receptive field and grid",
    "Accuracy at the border",
    "Several devices",
    "Checkerboards",
)


@dataclass(frozen=True)
class Question:
    """A question of a public thread, and the one command that answers it.

    The network is rebuilt from the facts of the thread, with its cause in `files` and without it in `control`.
    """

    number: int
    group: str
    asked: str  # in a sentence, in our words
    threads: tuple[str, ...]  # "owner/name#number"
    ended: str  # what the thread ended with, in a sentence, or that it names no cause
    files: Mapping[str, Content]
    control: Mapping[str, Content]  # those of `files` that differ where the cause is mended
    commands: tuple[str, ...]  # one, or two where one is not enough
    answer: tuple[str, ...]  # lines of what they print, two or three
    cause: tuple[str, ...]  # the parts of these lines that the control must not print
    do: str  # what to change, in a sentence
    # Parts of the answer that something other than padviz calculates from the files in a folder; none where the
    # thread itself gives the number.
    truth: Callable[[Path], list[str]] | None = None


@dataclass(frozen=True)
class NotAnswered:
    """A question that geometry cannot answer, and why."""

    number: int
    group: str
    asked: str
    threads: tuple[str, ...]
    reason: str


def printed(
    question: Question, folder: Path, mended: bool = False, commands: Sequence[str] = ()
) -> str:
    """Write the files into a folder and return what the commands print there, on both streams; those of the question
    by default.
    """
    files = {**question.files, **(question.control if mended else {})}
    for name, content in files.items():
        path = folder / name
        if isinstance(content, str):
            path.write_text(content)
        else:
            content(path)
    modules = {Path(name).stem for name in files if name.endswith(".py")}
    output = ""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Another question may have a module of the same name, and the control has.
        for module in modules:
            patch.delitem(sys.modules, module, raising=False)
        for command in commands or question.commands:
            arguments = shlex.split(command)[1:]
            result = CliRunner(**APART, env={"COLUMNS": "80"}).invoke(
                cli, arguments, prog_name="padviz"
            )
            assert result.exit_code != 70, result.stderr
            output += result.stdout + result.stderr
        for module in modules:
            sys.modules.pop(module, None)
    return output


def unwrapped(text: str) -> str:
    """Return a text as one line, with single spaces."""
    return re.sub(r"\s+", " ", text).strip()
