"""Scores that an interrupted sweep kept: read back, or refused in one line before anything is expanded."""

from __future__ import annotations

import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padviz.errors import DescriptionError, OptionError
from padviz.files.unfinished import Unfinished
from tests.files.test_hostile_counts import npy

COUNT = 5
VALUES, QUESTION = npy(np.zeros(COUNT)), npy(np.zeros(4, np.int64))


def npz(values: bytes = VALUES, question: bytes = QUESTION, *others: tuple[str, bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (("values.npy", values), ("question.npy", question), *others):
                archive.writestr(name, data)

    return write


def damaged(path: Path) -> None:
    Unfinished(path, "question", COUNT).write()
    path.write_bytes(path.read_bytes().replace(np.full(1, np.nan).tobytes(), b"damaged!", 1))


def pickled(path: Path) -> None:
    np.savez(path, values=np.array([print] * COUNT, object), question=np.zeros(4, np.int64))


def resumed(path: Path) -> Unfinished:
    return Unfinished(path, "question", COUNT, resume=True)


UNREADABLE: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_bytes(b"PK\3\4 not an archive"),
    "an array alone": lambda path: path.write_bytes(VALUES),
    "a member is missing": lambda path: np.savez(path, values=np.zeros(COUNT)),
    "a member more": npz(VALUES, QUESTION, ("more.npy", VALUES)),
    "a member that is text": npz(b"hello"),
    "objects": pickled,
    "damaged data": damaged,
    "a header that is a program": npz(VALUES.replace(b"False", b"1/0==")),
    "fewer values than it says": npz(npy(np.zeros(2), shape=(COUNT,))),
    "more values than it says": npz(npy(np.zeros(1 << 20), shape=(COUNT,))),
}
OTHER = {
    "another question": npz(),
    "more values": npz(npy(np.zeros(COUNT + 1))),
    "integers": npz(npy(np.zeros(COUNT, np.int64))),
    "two axes": npz(npy(np.zeros((COUNT, 1)))),
    "a longer question": npz(VALUES, npy(np.zeros(5, np.int64))),
}


def test_what_is_kept_is_read_back_exactly(tmp_path: Path) -> None:
    one = Unfinished(tmp_path / "kept.npz", "question", COUNT)
    one.values[1:4] = 0.1, np.inf, 1 / 3
    one.write()
    back = resumed(tmp_path / "kept.npz")
    assert np.array_equal(back.values, one.values, equal_nan=True)
    back.values[0] = 1  # and can be filled in
    assert np.isnan(resumed(tmp_path / "none.npz").values).all()


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_is_one_error(what: str, tmp_path: Path) -> None:
    UNREADABLE[what](path := tmp_path / "kept.npz")
    with pytest.raises(DescriptionError, match=r"kept\.npz: is no unfinished sweep that can be read \(\w+\); leave ou"):
        resumed(path)


@pytest.mark.parametrize("what", OTHER)
def test_what_is_of_another_sweep_is_not_taken_up(what: str, tmp_path: Path) -> None:
    OTHER[what](path := tmp_path / "kept.npz")
    with pytest.raises(OptionError, match=r"kept\.npz: was begun with other options, or another network; leave out"):
        resumed(path)


def test_nothing_larger_than_the_sweep_is_expanded(tmp_path: Path) -> None:
    vast = npy(np.zeros(1 << 23))
    for i, write in enumerate((npz(vast), npz(VALUES, vast), npz(vast.replace(b"(8388608,)", b"(5,)      ")))):
        write(path := tmp_path / f"{i}.npz")
        assert path.stat().st_size < 1 << 18
        tracemalloc.start()
        with pytest.raises((DescriptionError, OptionError)):
            resumed(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kept.npz")
    with pytest.raises(DescriptionError, match=r"kept\.npz: is not a file; give the path of an unfinished sweep"):
        resumed(tmp_path / "kept.npz")
