"""SIGTERM ends padviz while other people's code runs, whatever that code does about it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SELF = "import os, signal\nfrom torch import nn\ndef end(): os.kill(os.getpid(), signal.SIGTERM)\n"
CODE = {
    "import": SELF + "end()\nnet = nn.Conv2d(3, 4, 3)",
    "factory": SELF + "def net():\n    end()\n    return nn.Conv2d(3, 4, 3)",
    "forward": SELF + "class net(nn.Conv2d):\n    def __init__(self): super().__init__(3, 4, 3)\n"
    "    def forward(self, x):\n        end()\n        return super().forward(x)",
    "swallowed": SELF + "def net():\n    end_once = [end]\n    while True:\n        try:\n"
    "            end_once and end_once.pop()()\n        except BaseException:\n            pass",
}  # fmt: skip


@pytest.mark.parametrize("moment", CODE)
def test_sigterm_ends_other_peoples_code(moment: str, tmp_path: Path) -> None:
    (tmp_path / "foreign.py").write_text(CODE[moment])
    command = [sys.executable, "-m", "padviz", "usage", "foreign:net", "--size", "32", "-o", "map.npz"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (143, "", "")
    assert not list(tmp_path.glob("*.npz"))
