"""A pipe, a device or a folder in the place of a file: refused at once with one line, and never waited for."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import padviz
from padviz.errors import DescriptionError
from padviz.exports.manifest import read_manifest
from padviz.files.opened import read_file
from tests.cli.test_cli import told

KIND = "a TOML description"


@pytest.fixture(autouse=True)
def _elsewhere_in_time(elsewhere: None) -> Iterator[None]:
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits for a pipe"))
    signal.alarm(20)
    yield
    signal.alarm(0)


READERS = {
    "description": (["usage"], ".toml"),
    "onnx": (["uneven"], ".onnx"),
    "manifest": (["export", "-o", "out"], ".toml"),
}


@pytest.mark.parametrize("reader", READERS)
def test_only_files_are_read(reader: str) -> None:
    (command, *more), suffix = READERS[reader]
    os.mkfifo("pipe" + suffix)
    Path("device" + suffix).symlink_to("/dev/zero")
    for path in ("pipe" + suffix, "device" + suffix):
        assert told(command, *more, path).startswith(f"padviz: {path}: is not a file; give the path of a")


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
    assert read_file("pipe", KIND, 100) == b""
    assert read_file("/proc/self/pagemap", KIND, 5) == b""  # 256 GB, of which it says 0


def test_a_manifest_has_a_largest_size() -> None:
    Path("big.toml").write_text("maps = 1\n" + "#" * (5 << 20))
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
    assert len(told("usage", "long.toml")) < 1100
