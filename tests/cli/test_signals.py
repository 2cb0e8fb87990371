"""Ctrl-C and SIGTERM end padviz while other people's code runs, whatever that code does about it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import contents
from tests.sweeps import SLOW

pytestmark = SLOW
SELF = "import os, signal, sys\nfrom torch import nn\ndef end(): os.kill(os.getpid(), signal.{})\n"
MOMENTS = {
    "import": "end()\nnet = nn.Conv2d(3, 4, 3)",
    "import that fails of it": "try: end()\nexcept BaseException: raise ImportError('numpy')",
    "factory": "def net():\n    end()\n    return nn.Conv2d(3, 4, 3)",
    "forward": "class net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 4, 3)\n"
    "    def forward(self, x):\n        end()\n        return super().forward(x)",
    "swallowed": "def net():\n    try: end()\n    except BaseException: pass\n    return nn.Conv2d(3, 4, 3)",
    "swallowed for ever": "def net():\n    end_once = [end]\n    while True:\n        try:\n"
    "            end_once and end_once.pop()()\n        except BaseException:\n            pass",
}  # fmt: skip
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


@pytest.mark.parametrize(("name", "code", "words"), ENDS)
def test_what_swallows_a_signal_for_ever_ends_two_seconds_after_it(name: str, code: int, words: str) -> None:
    deaf = "import time\ndef net():\n    open('deaf', 'w').close()\n    while True:\n        try:\n"
    deaf += "            time.sleep(1)\n        except BaseException:\n            pass\n"
    with subprocess.Popen(command(deaf), stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not Path("deaf").exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.Signals[name])
        sent = time.monotonic()
        assert (process.communicate(timeout=30)[1], process.returncode) == (words, code)
        assert time.monotonic() - sent < 2


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


LOADING = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {library!r}:
            try:
                print("loading", flush=True)
                time.sleep(60)
            except BaseException as error:
                raise {raised}
sys.meta_path.insert(0, Slow())
{before}
from padviz.__main__ import main
sys.argv[1:] = {asked!r}
main()
"""
NUMBA = "import padviz.engine.apply; padviz.engine.apply.NUMBA_FROM = 0"  # as for the largest maps
PICTURE, GALLERY = ["usage", "vgg11", "-o", "map.png"], ["export", "vgg11", "--size", "32", "-o", "maps"]
LIBRARIES = {
    **dict.fromkeys(["click", "padviz.cli.group", "numpy", "msgspec", "matplotlib", "PIL"], (PICTURE, "")),
    "numba": (PICTURE, NUMBA),
    "onnx": (["layers", "small.onnx"], ""),
    "torch": (["layers", "foreign:net"], ""),
    **dict.fromkeys(["joblib", "jinja2"], (GALLERY, "")),
}
ITEM = {"vgg11-32-usage.png", "vgg11-32-usage.json", "thumbs/vgg11-32-usage.png"}
INDEX = {"index.html", "index.json", "index.csv"}
KEPT = [set(), {"", "thumbs"}, {"", "thumbs"} | INDEX, {"", "thumbs"} | ITEM]  # of an export: what is whole
TROUBLES = {"lets it through": "error", "takes it for its own": "ImportError('numpy') from None"}


@pytest.mark.parametrize(("name", "code", "words"), ENDS)
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_signal_while_libraries_load_is_no_error_of_theirs(
    library: str, trouble: str, name: str, code: int, words: str
) -> None:
    Path("foreign.py").write_text("from torch import nn\nnet = nn.Conv2d(3, 4, 3)\n")
    Path("small.onnx").touch()
    files = contents()
    asked, before = LIBRARIES[library]
    text = LOADING.format(library=library, raised=TROUBLES[trouble], before=before, asked=asked)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", text], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.Signals[name])
        assert (*process.communicate(timeout=30), process.returncode) == ("", words, code)
    made = {name: state for name, state in contents().items() if name not in files}
    assert contents() == {**files, **made}
    assert {name.removeprefix("maps").lstrip("/") for name in made} in KEPT


COMPILED = """
import os, signal, sys
def hook(event, args):
    if event == "import" and args[0] == "numpy.exceptions" and not sent:  # which a compiled module of NumPy's imports
        sent.append(event)
        try:
            os.kill(os.getpid(), signal.{name})
            sum(range(10))
        except BaseException:
            os.write(1, b"raised")
            raise
sent = []
sys.addaudithook(hook)
from padviz.__main__ import main
sys.argv[1:] = ["usage", "vgg11", "--size", "32", "-o", "map.npy"]
main()
"""


@pytest.mark.parametrize(("name", "code", "words"), ENDS)
def test_no_exception_is_raised_while_a_compiled_module_loads(name: str, code: int, words: str) -> None:
    assert ended([sys.executable, "-c", COMPILED.format(name=name)]) == (code, "", words)
    assert contents() == {}
