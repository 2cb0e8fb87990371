"""An export where no processes can be started, as on a full disk: one line, and one picture after another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
import _multiprocessing
class Full(_multiprocessing.SemLock):
    def __new__(cls, *args, **kwargs):
        raise OSError(28, "No space left on device")
_multiprocessing.SemLock = Full
from padviz.__main__ import main
sys.argv[1:] = ["export", "vgg11", "--size", "32", "-o", "maps"]
main()
"""


def test_where_no_process_can_be_started_one_line_says_so(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr.startswith("padviz: pictures are made one after another, since no processes can be started (")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "maps" / "vgg11-32-usage.png").exists()
