"""Atomic writes: files are complete or absent, one writer at a time, and leftovers of killed processes are removed."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from padviz.errors import OptionError
from padviz.files.atomic import (
    LOCK,
    MARK,
    MARKED,
    PREFIX,
    atomic_path,
    locked,
    remove_abandoned,
    temporary_folder,
)
from tests.sweeps import SLOW

pytest.importorskip("fcntl", reason="this system has no locks that end with their process")
pytestmark = pytest.mark.usefixtures("elsewhere")


def together(*calls: Callable[[], None]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def hidden() -> list[str]:
    return [str(path) for path in Path().rglob(".*")]


def test_only_one_thread_or_process_has_a_folder_to_itself() -> None:
    inside, most = [0], [0]

    def enter() -> None:
        for _ in range(50):
            with locked(Path()):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                inside[0] -= 1

    together(*[enter] * 4)
    assert most == [1]
    assert not Path(LOCK).exists()


def test_a_file_that_is_replaced_keeps_its_permissions() -> None:
    Path("file.txt").touch()
    for mode in (0o640, 0o600, 0o444, 0o644):
        Path("file.txt").chmod(mode)
        with atomic_path(Path("file.txt")) as temporary:
            temporary.write_text("new")
        assert Path("file.txt").stat().st_mode & 0o777 == mode


def test_writers_of_one_file_leave_one_whole_file() -> None:
    def write(letter: str) -> None:
        for _ in range(30):
            with atomic_path(Path("file.txt")) as temporary:
                temporary.write_text(letter * 10_000)

    together(*(partial(write, letter) for letter in "abcd"))
    assert Path("file.txt").read_text() in [letter * 10_000 for letter in "abcd"]
    assert os.listdir() == ["file.txt"]


@SLOW
@pytest.mark.parametrize("point", ["fcntl.flock", "os.write", "os.open"])
def test_killed_while_a_stage_is_being_marked_it_is_swept(point: str) -> None:
    code = f"""
import os, signal, fcntl, pathlib, padviz.files.atomic as staging
{point} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with staging.temporary_folder(pathlib.Path('.')): pass
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = hidden()
    assert os.listdir(left) == ([] if point == "os.open" else [MARK])
    remove_abandoned(Path())
    assert hidden() == []


@SLOW
def test_stages_are_made_while_others_sweep() -> None:
    done, kept = threading.Event(), list[str]()

    def sweeping() -> None:
        while not done.is_set():
            remove_abandoned(Path())

    def staging() -> None:
        try:
            for i in range(200):
                with temporary_folder(Path()) as stage:
                    (stage / "file").write_text(str(i))
                    time.sleep(0.0002)
                    kept.append((stage / "file").read_text())
        finally:
            done.set()

    together(sweeping, sweeping, staging)
    assert kept == [str(i) for i in range(200)]
    assert hidden() == []


def test_a_link_in_the_place_of_a_mark_is_not_followed() -> None:
    stage = Path(PREFIX + "abcdefgh")
    stage.mkdir()
    Path("mark").write_bytes(MARKED)
    (stage / MARK).symlink_to(Path("mark").absolute())
    os.mkfifo("pipe")
    other = Path(PREFIX + "pipe")
    other.mkdir()
    os.rename("pipe", other / MARK)
    remove_abandoned(Path())
    assert (stage / MARK).is_symlink()
    assert (other / MARK).exists()


@pytest.mark.parametrize("swept", [False, True])
def test_a_full_disk_leaves_nothing_hidden(swept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where somebody has swept the folder in the meantime: it is not tried again and again."""
    tried: list[int] = []

    def full(*_: Any) -> int:
        tried.append(1)
        assert len(tried) == 1
        for stage in Path().glob(f"{PREFIX}*") if swept else ():
            shutil.rmtree(stage)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with (
        pytest.raises(OptionError, match=r"^x[.]csv: cannot be written"),
        atomic_path(Path("x.csv")),
    ):
        raise AssertionError
    assert os.listdir() == []
