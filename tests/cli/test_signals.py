"""Ctrl-C and SIGTERM end padviz while other people's code runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import contents
from tests.sweeps import SLOW

pytestmark = SLOW
SELF = "import os, signal, sys\nfrom torch import nn\ndef end(): os.kill(os.getpid(), signal.{})\n"
MOMENTS = {
    "import": "end()\nnet = nn.Conv2d(3, 4, 3)",
    "factory": "def net():\n    end()\n    return nn.Conv2d(3, 4, 3)",
    "forward": "class net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 4, 3)\n"
    "    def forward(self, x):\n        end()\n        return super().forward(x)",
}
FOREIGN = {
    "exits": ("def net(): raise SystemExit(0)", "cannot be made: SystemExit: 0"),
    "exits at import": ("sys.exit(3)", "cannot be imported: SystemExit: 3"),
    "asks": ("def net(): return input('weights? ')", "cannot be made: EOFError: EOF when reading a line"),
}
ENDS = [("SIGTERM", 143, ""), ("SIGINT", 130, "padviz: interrupted\n")]


@pytest.fixture(autouse=True)
def _folder(elsewhere: None) -> None:
    """Others write into a folder of their own."""


def command(text: str) -> list[str]:
    Path("foreign.py").write_text(text)
    return [sys.executable, "-m", "padviz", "usage", "foreign:net", "--size", "32", "-o", "map.npz"]


def ended(asked: list[str]) -> tuple[int, str, str]:
    run = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60, input="yes\n")
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize(("name", "code", "words"), ENDS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_other_peoples_code(moment: str, name: str, code: int, words: str) -> None:
    assert ended(command(SELF.format(name) + MOMENTS[moment])) == (code, "", words)
    assert contents().keys() == {"foreign.py"}


@pytest.mark.parametrize("what", FOREIGN)
def test_other_peoples_code_neither_ends_padviz_nor_asks(what: str) -> None:
    text, line = FOREIGN[what]
    code, out, words = ended(command(SELF.format("SIGTERM") + text))
    assert (code, out, words.count("\n")) == (2, "", 1)
    assert words.startswith(f"padviz: foreign:net: {line}")


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    asked = command(SELF.format("SIGINT") + "def net():\n    end()\n    return nn.Conv2d(3, 4, 3)")
    text = "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    code, _, words = ended([sys.executable, "-c", f"{text}; sys.exit(subprocess.call({asked}))"])
    assert (code, words) == (0, "")
    assert Path("map.npz").exists()
