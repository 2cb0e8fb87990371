"""padviz runs where a system lacks what Linux has: locks of files, masks of signals, flags of `open`, fork."""

import subprocess
import sys
from pathlib import Path

LACKING = """
import os, signal, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "grp", "pwd", "resource", "termios"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules.pop(name, None)
del signal.pthread_sigmask, signal.SIGPIPE, signal.SIGALRM
flags = os.O_NOFOLLOW, os.O_NONBLOCK
del os.O_NOFOLLOW, os.O_NONBLOCK
import padviz.files.atomic, padviz.files.opened
os.O_NOFOLLOW, os.O_NONBLOCK = flags  # which Python's own modules ask for on Linux
from padviz.__main__ import main
sys.argv[0] = "padviz"
main()
"""


def run(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LACKING, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_maps_and_exports_are_written_without_what_linux_has(tmp_path: Path) -> None:
    run(tmp_path, "usage", "vgg11", "--size", "64", "-o", "map.png")
    run(tmp_path, "-q", "export", "vgg11", "--size", "64", "-o", "maps", "--jobs", "1")
    assert (tmp_path / "map.png").exists()
    assert (tmp_path / "maps" / "index.csv").exists()
