"""Counts files from elsewhere: one error, sizes checked before anything is expanded, memory as what is asked."""

from __future__ import annotations

import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from padviz.errors import DescriptionError
from padviz.reports.counts import write_counts

WIDE = np.dtype([("little_endian_digits", "u1", (15,))])


def npy(array: Any, **lies: Any) -> bytes:
    """An .npy file, whose header may say something else than is there."""
    head = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape} | lies
    text = repr(head).replace("}", ", }").encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + array.tobytes()


ONE, ZERO = np.ones((1, 1), dtype=np.int64), np.zeros(1, dtype=np.int32)
CORE, ROWS = npy(ONE), npy(ZERO)


def npz(
    core: bytes = CORE, rows: bytes = ROWS, cols: bytes = ROWS, *others: tuple[str, bytes], method: int = 8
) -> Callable[..., None]:
    def write(path: Path) -> None:
        members = ("core.npy", core), ("rows.npy", rows), ("cols.npy", cols), *others
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
            warnings.simplefilter("ignore")  # of the name that is there twice
            for name, data in members:
                archive.writestr(name, data)

    return write


def changed(old: bytes, new: bytes, method: int = zipfile.ZIP_STORED) -> Callable[..., None]:
    """A good archive, some of whose bytes are replaced."""

    def write(path: Path) -> None:
        npz(method=method)(path)
        path.write_bytes(path.read_bytes().replace(old, new))

    return write


def plain(data: bytes) -> Callable[..., None]:
    return lambda path: path.write_bytes(data)


def encrypted(path: Path) -> None:
    npz()(path)
    with zipfile.ZipFile(path) as archive:
        starts = [each.header_offset + 6 for each in archive.infolist()]
        starts += [archive.start_dir + 8]
    data = bytearray(path.read_bytes())
    for at in starts:  # the first bit of the flags
        data[at] |= 1
    path.write_bytes(data)


HOSTILE: dict[str, Callable[..., None]] = {
    "a column beyond the core": npz(npy(np.ones((2, 1), dtype=np.int64)), npy(np.arange(2)), npy(np.array([1]))),
    "empty": plain(b""),
    "magic alone": plain(b"\x93NUMPY"),
    "another version": plain(CORE.replace(b"\x01\x00", b"\x03\x00", 1)),
    "cut data": plain(CORE[:-1]),
    "longer than it says": plain(CORE + b"\0"),
    "more rows than there are": plain(npy(ONE, shape=(2, 1))),
    "huge shape": plain(npy(ONE, shape=(10**9, 10**9))),
    "shape beyond int64": plain(npy(ONE, shape=(10**30, 1))),
    "negative shape": plain(npy(ONE, shape=(-1, -1))),
    "shape of texts": plain(npy(ONE, shape=("1", "1"))),
    "no shape": plain(CORE.replace(b"'shape'", b"'shame'")),
    "header that is a program": plain(CORE.replace(b"False", b"1/0==")),
    "nested header": plain(b"\x93NUMPY\x01\x00\x10\x27" + b"[" * 10_000),
    "header in another code": plain(CORE.replace(b"'<i8'", b"'\xff\xfe8")),
    "objects": plain(npy(ONE, descr="|O")),
    "other numbers": plain(npy(ONE, descr="<c8")),
    "columns first": plain(npy(ONE, fortran_order=True)),
    "three axes": plain(npy(np.ones((1, 1, 1), dtype=np.int64))),
    "no counts": plain(npy(np.ones((0, 1), dtype=np.int64))),
    "negative counts": plain(npy(-ONE)),
    "counts that are none": plain(npy(np.array([[np.nan]]))),
    "negative digits": plain(npy(np.full((1, 1, 15), 255, dtype=np.uint8).view(WIDE)[..., 0])),
    "digits of another width": plain(npy(np.zeros((1, 1), dtype=[("little_endian_digits", "u1", (16,))]))),
    "a member is missing": lambda path: np.savez(path, core=ONE, rows=ZERO),
    "a member more": npz(CORE, ROWS, ROWS, ("more.npy", CORE)),
    "a member twice": npz(CORE, ROWS, ROWS, ("core.npy", CORE)),
    "a member that is text": npz(b"hello"),
    "encrypted": encrypted,
    "unknown compression": npz(method=zipfile.ZIP_LZMA),
    "damaged data": changed(ONE.tobytes(), (9 * ONE).tobytes()),
    "cut archive": lambda path: (npz()(path), path.write_bytes(path.read_bytes()[:-30])),  # type: ignore[dict-item]
    "rows out of range": npz(CORE, npy(ZERO + 1)),
    "rows before the first": npz(CORE, npy(ZERO - 1)),
    "rows that are floats": npz(CORE, npy(ZERO.astype(np.float64))),
    "rows of two axes": npz(CORE, npy(ZERO[None])),
    "rows without end": npz(CORE, npy(np.zeros(1 << 23, dtype=np.int32))),
    "a core that no row shows": npz(npy(np.ones((2, 1), dtype=np.int64))),
    "a core shorter than it says": npz(npy(ONE, shape=(1, 2)), ROWS, npy(np.zeros(2, dtype=np.int32))),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("ask", [(), ([0], [0])], ids=["whole", "part"])
def test_what_padviz_did_not_write_is_one_error(what: str, ask: Any, tmp_path: Path) -> None:
    HOSTILE[what](tmp_path / "counts.npz")
    with pytest.raises(
        DescriptionError, match=r"counts\.npz: holds no counts that padviz wrote; give its .npy or .npz"
    ):
        padviz.read_counts(tmp_path / "counts.npz", *ask)


def test_the_archive_that_the_hostile_ones_are_made_of_is_read(tmp_path: Path) -> None:
    npz()(tmp_path / "good.npz")
    (tmp_path / "good.npy").write_bytes(CORE)
    assert padviz.read_counts(tmp_path / "good.npz").tolist() == padviz.read_counts(tmp_path / "good.npy").tolist()


def test_members_that_overlap_are_refused_where_zipfile_only_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    npz()(tmp_path / "map.npz")

    def warned(archive: zipfile.ZipFile, name: str) -> Any:
        warnings.warn(f"Overlapped entries: {name!r} (possible zip bomb)", stacklevel=2)
        return opened(archive, name)

    opened = zipfile.ZipFile.open
    monkeypatch.setattr(zipfile.ZipFile, "open", warned)
    with pytest.raises(DescriptionError):
        padviz.read_counts(tmp_path / "map.npz")
    assert capfd.readouterr().err == ""


def test_a_small_file_may_tell_of_a_map_that_fits_nowhere(tmp_path: Path) -> None:
    side = npy(np.zeros(1_000_000, dtype=np.int32))
    npz(CORE, side, side)(tmp_path / "vast.npz")
    with pytest.raises(
        DescriptionError, match=r"vast.npz: its 1000000 x 1000000 counts do not fit into memory; read p"
    ):
        padviz.read_counts(tmp_path / "vast.npz")
    assert padviz.read_counts(tmp_path / "vast.npz", -1, [0, 5]).tolist() == [[1, 1]]


def peak(code: str, path: Path) -> int:
    """Bytes of memory that a process had at most."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells how much memory a process had")
    tell = "\nimport re; print(re.search('VmHWM:(.*)kB', open('/proc/self/status').read())[1])"
    command = [sys.executable, "-c", f"import sys, padviz; path = sys.argv[1]\n{code}{tell}", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1]) * 1024


def zeros(path: Path, side: int, declared: int) -> None:
    """An archive of a core of `side` x `side` zeros, of a map of `declared` x `declared`."""
    index = npy(np.arange(declared, dtype=np.int32) % side)
    npz(b"", index, index)(path)
    with zipfile.ZipFile(path, "r") as archive:
        kept = {name: archive.read(name) for name in ("rows.npy", "cols.npy")}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("core.npy", "w") as member:
            member.write(npy(np.zeros((0, 0), dtype=np.int64), shape=(side, side)))
            for _ in range(side):
                member.write(bytes(8 * side))
        for name, data in kept.items():
            archive.writestr(name, data)


def test_an_archive_that_expands_to_more_than_its_map_is_refused_unexpanded(tmp_path: Path) -> None:
    zeros(tmp_path / "bomb.npz", 8_000, 1)
    code = "try: padviz.read_counts(path)\nexcept padviz.PadvizError: pass\nelse: raise SystemExit('read')"
    assert peak(code, tmp_path / "bomb.npz") < 150e6


def test_memory_follows_what_is_asked(tmp_path: Path) -> None:
    zeros(tmp_path / "large.npz", 6_000, 6_000)
    assert (
        peak("assert padviz.read_counts(path, [0, -1], [0, -1]).tolist() == [[0, 0]] * 2", tmp_path / "large.npz")
        < 150e6
    )
    with (tmp_path / "large.npy").open("wb") as file:
        file.write(npy(np.zeros((0, 0), dtype=np.int64), shape=(40_000, 40_000)))
        file.truncate(128 + 8 * 40_000**2)
    assert peak("assert padviz.read_counts(path, -1, -1).tolist() == [[0]]", tmp_path / "large.npy") < 150e6


@pytest.mark.parametrize(("name", "pooling"), [("resnet50", "count"), ("resnet152", "count"), ("vgg11", "mean")])
def test_what_padviz_writes_is_read_in_any_part(name: str, pooling: str, tmp_path: Path) -> None:
    found = padviz.usage(name, (700, 300), pooling=pooling)
    for suffix in (".npz", ".npy"):
        write_counts(found, tmp_path / f"map{suffix}")
        for ask in ((slice(None), slice(None)), ([699, 0, 0, 350], -1), (slice(None, None, -7), range(290, 20, -30))):
            assert (padviz.read_counts(tmp_path / f"map{suffix}", *ask) == found.counts_at(*ask)).all()


def test_counts_that_lie_column_by_column_are_written_row_by_row(tmp_path: Path) -> None:
    found = padviz.usage("resnet18", (40, 50))
    source = replace(found.core.source, limbs=np.asfortranarray(found.tally))
    write_counts(replace(found, core=replace(found.core, source=source, pulls=())), tmp_path / "map.npz")
    assert (padviz.read_counts(tmp_path / "map.npz") == found.counts).all()
