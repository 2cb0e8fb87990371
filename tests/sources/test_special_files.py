"""A pipe, a device or a folder in the place of a file: refused at once with one line, and never waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import padviz
from padviz.errors import DescriptionError
from padviz.exports.manifest import read_manifest
from padviz.files.opened import opened, read_file

pytestmark = pytest.mark.usefixtures("elsewhere")


READERS = {
    "description": (["usage"], ".toml"),
    "onnx": (["uneven"], ".onnx"),
    "manifest": (["export", "-o", "out"], ".toml"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("special", ["pipe", "device", "folder"])
def test_only_files_are_read(reader: str, special: str) -> None:
    command, suffix = READERS[reader]
    path = Path("special" + suffix)
    if special == "pipe":
        os.mkfifo(path)
    elif special == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    run = subprocess.run(
        [sys.executable, "-m", "padviz", *command, str(path)], capture_output=True, text=True, timeout=20, check=False
    )
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    folder = special == "folder" and reader != "onnx"
    why = "is a folder, not a network; name a" if folder else "is not a file; give the path of a"
    assert run.stderr.startswith(f"padviz: {path}: {why}")
    assert os.listdir() == [str(path)]


def test_counts_are_read_from_files_only() -> None:
    os.mkfifo("pipe.npz")
    Path("folder.npy").mkdir()
    for path in ("pipe.npz", "folder.npy", "/dev/zero", "missing.npz", "a\0b.npz", "x" * 300 + ".npz"):
        with pytest.raises(DescriptionError) as refused:
            padviz.read_counts(path)
        assert str(refused.value).isprintable()


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe")
    Path("file").write_bytes(b"hello")
    before = os.stat("file")
    monkeypatch.setattr("padviz.files.opened.os.stat", lambda path: before)  # looked at before it was replaced
    assert read_file("pipe", "a TOML description", 100) == b""


def test_no_more_is_read_than_a_file_said_it_has() -> None:
    Path("file").write_bytes(b"hello")
    assert read_file("file", "a TOML description", 5) == b"hello"
    with pytest.raises(DescriptionError, match="has more than 4 bytes"):
        read_file("file", "a TOML description", 4)
    with opened("file", "a TOML description") as file:
        assert file.read() == b"hello"
    assert len(read_file("/proc/self/pagemap", "a TOML description", 5)) == 0  # 256 GB, of which it says 0


@pytest.mark.parametrize("text", ["maps = 1\n" + "#" * (5 << 20), "#" * (5 << 20)])
def test_a_manifest_has_a_largest_size(text: str) -> None:
    Path("big.toml").write_text(text)
    with pytest.raises(DescriptionError, match=r"big\.toml: has more than 4194304 bytes"):
        padviz.export("big.toml", "out")
    assert os.listdir() == ["big.toml"]


@pytest.mark.parametrize(
    "text", ["a." * 1_000_000 + "b = 1", "[" + '"a" . ' * 600_000 + "b]", "a = {" + "'a'. " * 600_000 + "b = 1}"]
)
def test_a_key_of_a_million_parts_is_refused_at_once(text: str) -> None:
    Path("deep.toml").write_text(text)
    start = time.monotonic()
    for read in (padviz.load, read_manifest):
        with pytest.raises(DescriptionError, match=r"deep\.toml: is nested too deeply; give each key a few parts"):
            read("deep.toml")
    assert time.monotonic() - start < 5


def test_an_error_is_no_longer_than_a_person_reads() -> None:
    Path("long.toml").write_text("k" * 100_000 + " = 1")
    with pytest.raises(DescriptionError, match=r"long\.toml: .*k…$") as refused:
        padviz.load("long.toml")
    assert len(str(refused.value)) < 1100
