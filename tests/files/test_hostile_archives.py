"""Archives and names from elsewhere: one error, sizes checked first, nothing that steers a terminal or a sheet."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padviz
from padviz.errors import DescriptionError, OptionError, PadvizError, printable
from padviz.files.unfinished import Unfinished
from padviz.reports.documents import marked, to_csv, to_json
from padviz.reports.rendering import escaped
from padviz.reports.tables import to_facts, to_table, wrapped
from tests.cli.test_cli import run

WIDE = np.dtype([("little_endian_digits", "u1", (15,))])


def npy(array: Any, **lies: Any) -> bytes:
    """An .npy file, whose header may say something else than is there."""
    head = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    } | lies
    text = repr(head).replace("}", ", }").encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + array.tobytes()


ONE, ZERO = np.ones((1, 1), dtype=np.int64), np.zeros(1, dtype=np.int32)
CORE, ROWS = npy(ONE), npy(ZERO)


def zipped(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # of the name that is there twice
        for name, data in members:
            archive.writestr(name, data, compresslevel=1)


def npz(
    core: bytes = CORE,
    rows: bytes = ROWS,
    cols: bytes = ROWS,
    *others: tuple[str, bytes],
    method: int = 8,
) -> Callable[[Path], Any]:
    return lambda path: zipped(
        path, ("core.npy", core), ("rows.npy", rows), ("cols.npy", cols), *others, method=method
    )


def cut(path: Path) -> None:
    npz()(path)
    path.write_bytes(path.read_bytes()[:-30])


def damaged(path: Path) -> None:
    npz(method=zipfile.ZIP_STORED)(path)
    path.write_bytes(path.read_bytes().replace(ONE.tobytes(), (9 * ONE).tobytes()))


def plain(data: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(data)


HOSTILE: dict[str, Callable[[Path], Any]] = {
    "a column beyond the core": npz(
        npy(np.ones((2, 1), dtype=np.int64)), npy(np.arange(2)), npy(np.array([1]))
    ),
    "empty": plain(b""),
    "another version": plain(CORE.replace(b"\x01\x00", b"\x03\x00", 1)),
    "cut data": plain(CORE[:-1]),
    "longer than it says": plain(CORE + b"\0"),
    "more rows than there are": plain(npy(ONE, shape=(2, 1))),
    "huge shape": plain(npy(ONE, shape=(10**9, 10**9))),
    "negative shape": plain(npy(ONE, shape=(-1, -1))),
    "shape of texts": plain(npy(ONE, shape=("1", "1"))),
    "no shape": plain(CORE.replace(b"'shape'", b"'shame'")),
    "header that is a program": plain(CORE.replace(b"False", b"1/0==")),
    "nested header": plain(b"\x93NUMPY\x01\x00\x10\x27" + b"[" * 10_000),
    "objects": plain(npy(ONE, descr="|O")),
    "columns first": plain(npy(ONE, fortran_order=True)),
    "three axes": plain(npy(np.ones((1, 1, 1), dtype=np.int64))),
    "no counts": plain(npy(np.ones((0, 1), dtype=np.int64))),
    "negative counts": plain(npy(-ONE)),
    "negative digits": plain(npy(np.full((1, 1, 15), 255, dtype=np.uint8).view(WIDE)[..., 0])),
    "a member is missing": lambda path: np.savez(path, core=ONE, rows=ZERO),
    "a member more": npz(CORE, ROWS, ROWS, ("more.npy", CORE)),
    "a member twice": npz(CORE, ROWS, ROWS, ("core.npy", CORE)),
    "unknown compression": npz(method=zipfile.ZIP_LZMA),
    "damaged data": damaged,
    "cut archive": cut,
    "rows out of range": npz(CORE, npy(ZERO + 1)),
    "rows without end": npz(CORE, npy(np.zeros(1 << 23, dtype=np.int32))),
    "a core that no row shows": npz(npy(np.ones((2, 1), dtype=np.int64))),
    "a core shorter than it says": npz(
        npy(ONE, shape=(1, 2)), ROWS, npy(np.zeros(2, dtype=np.int32))
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_padviz_did_not_write_is_one_error(what: str, tmp_path: Path) -> None:
    HOSTILE[what](tmp_path / "counts.npz")
    for ask in ((), ([0], [0])):
        with pytest.raises(
            DescriptionError,
            match=r"counts\.npz: holds no counts that padviz wrote; give its .npy or .npz",
        ):
            padviz.read_counts(tmp_path / "counts.npz", *ask)


def test_the_archive_that_the_hostile_ones_are_made_of_is_read(tmp_path: Path) -> None:
    npz()(tmp_path / "good.npz")
    (tmp_path / "good.npy").write_bytes(CORE)
    assert (
        padviz.read_counts(tmp_path / "good.npz").tolist()
        == padviz.read_counts(tmp_path / "good.npy").tolist()
    )


def test_a_small_file_may_tell_of_a_map_that_fits_nowhere(tmp_path: Path) -> None:
    side = npy(np.zeros(1_000_000, dtype=np.int32))
    npz(CORE, side, side)(tmp_path / "vast.npz")
    with pytest.raises(
        DescriptionError,
        match=r"vast.npz: its 1000000 x 1000000 counts do not fit into memory; read p",
    ):
        padviz.read_counts(tmp_path / "vast.npz")
    assert padviz.read_counts(tmp_path / "vast.npz", -1, [0, 5]).tolist() == [[1, 1]]


PEAK = """
import re
import padviz
try:
    padviz.read_counts("bomb.npz")
except padviz.PadvizError:
    pass
else:
    raise SystemExit("read")
assert padviz.read_counts("large.npz", [0, -1], [0, -1]).tolist() == [[0, 0]] * 2
assert padviz.read_counts("large.npy", -1, -1).tolist() == [[0]]
print(re.search("VmHWM:(.*)kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells how much memory a process had"
)
def test_memory_follows_what_is_asked_and_nothing_larger_than_its_map_is_expanded(
    tmp_path: Path,
) -> None:
    side = 5_000
    core = npy(np.zeros((0, 0), dtype=np.int64), shape=(side, side)) + bytes(8 * side**2)
    index = npy(np.arange(side, dtype=np.int32))
    npz(core)(tmp_path / "bomb.npz")  # the map is 1 x 1
    npz(core, index, index)(tmp_path / "large.npz")
    with (tmp_path / "large.npy").open("wb") as file:
        file.write(npy(np.zeros((0, 0), dtype=np.int64), shape=(40_000, 40_000)))
        file.truncate(128 + 8 * 40_000**2)
    run = subprocess.run(
        [sys.executable, "-c", PEAK], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(run.stdout) * 1024 < 150e6 < 8 * side**2


COUNT = 5
VALUES, QUESTION = npy(np.zeros(COUNT)), npy(np.zeros(4, np.int64))


def kept(values: bytes = VALUES, question: bytes = QUESTION) -> Callable[[Path], Any]:
    return lambda path: zipped(path, ("values.npy", values), ("question.npy", question))


def damaged_sweep(path: Path) -> None:
    Unfinished(path, "question", COUNT).write()
    path.write_bytes(path.read_bytes().replace(np.full(1, np.nan).tobytes(), b"damaged!", 1))


def resumed(path: Path) -> Unfinished:
    return Unfinished(path, "question", COUNT, resume=True)


READABLE, OTHER = (
    "is not a readable unfinished sweep",
    "was started with other options, or another network",
)
SWEEPS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (plain(b""), READABLE),
    "a member more": (npz(), READABLE),
    "damaged data": (damaged_sweep, READABLE),
    "a header that is a program": (kept(VALUES.replace(b"False", b"1/0==")), READABLE),
    "another question": (kept(), OTHER),
    "a longer question": (kept(VALUES, npy(np.zeros(1 << 20, np.int64))), OTHER),
}


@pytest.mark.parametrize("what", SWEEPS)
def test_a_sweep_that_cannot_be_taken_up_is_one_error_before_anything_is_expanded(
    what: str, tmp_path: Path
) -> None:
    write, says = SWEEPS[what]
    write(tmp_path / "kept.npz")
    tracemalloc.start()
    with pytest.raises(
        (DescriptionError, OptionError), match=rf"kept\.npz: {says}.*; leave out `resume`"
    ):
        resumed(tmp_path / "kept.npz")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_what_is_kept_of_a_sweep_is_read_back_exactly(tmp_path: Path) -> None:
    one = Unfinished(tmp_path / "kept.npz", "question", COUNT)
    one.values[1:4] = 0.1, np.inf, 1 / 3
    one.write()
    back = resumed(tmp_path / "kept.npz")
    assert np.array_equal(back.values, one.values, equal_nan=True)
    back.values[0] = 1  # and can be filled in
    assert np.isnan(resumed(tmp_path / "none.npz").values).all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kept.npz")
    with pytest.raises(
        DescriptionError, match=r"kept\.npz: is not a file; give the path of an unfinished sweep"
    ):
        resumed(tmp_path / "kept.npz")


STEERING = [
    "\x1b",
    "\x07",
    "\x9b",
    "\x7f",
    "\0",
    "\r",
    "\n",
    "\t",
    *map(chr, range(0x202A, 0x202F)),
]
STEERING += [
    *map(chr, range(0x2066, 0x206A)),
    "\u200b",
    "\u200e",
    "\u200f",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\udcff",
]

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize("c", STEERING, ids=ascii)
def test_every_writer_writes_out_what_steers(c: str) -> None:
    assert printable(c) == repr(c)[1:-1] == printable(printable(c))
    name = f"a{c}b"
    texts = str(PadvizError(name, where=name, hint=name)), to_csv(["n"], [[name]]), marked(name)
    texts += to_table(["n"], [[name]]), to_facts([("n", name)]), wrapped(name), escaped(name)
    for text in texts:
        assert text.replace("\n", "").isprintable()
        assert repr(name)[1:-1] in text or (text == escaped(name) and c in "\r\n")
    assert json.loads(to_json({"n": name})) == {"n": name}
    assert all(line.isprintable() for line in to_json({"n": name}).split("\n"))


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "-a", "+", "=", "-1 x 2", "-1e", "+1-2"]
)
def test_no_cell_starts_a_formula(cell: str) -> None:
    assert [*csv.reader([to_csv(["n"], [[cell]]).split("\n")[1]])] == [["'" + cell]]
    assert to_csv(["n"], [["\t" + cell]]).split("\n")[1] == repr("\t" + cell)[1:-1]


@pytest.mark.parametrize(
    "cell", [-1, -0.5, -1e300, 9**99, "-1", "-0.5", "+3", "-1e-07", "conv", "a=b", "/conv", ""]
)
def test_numbers_and_names_stay_as_they_are(cell: Any) -> None:
    assert [*csv.reader([to_csv(["n", "m"], [[cell, 0]]).split("\n")[1]])] == [[str(cell), "0"]]


def starts_a_formula(cell: str) -> bool:
    return cell.startswith(("=", "+", "-", "@")) and not re.fullmatch(r"-[\d.]+", cell)


def steered() -> str:
    """A network that has all of them in its names, which leans, whose size is fixed, and its file's name."""
    safe = "".join(c for c in STEERING if c not in "\0\udcff")
    layer, title = (json.dumps(name + safe).replace("\x7f", "\\u007f") for name in ("=c", "=t"))
    file = "=f" + safe.replace("\n", "") + "\udcff.toml"
    lines = f'title = {title}\nsize = 16\nfixed = ["width"]\n'
    step = f'{{op = "conv", name = {layer}, kernel = 3, stride = 2, padding = 1}}, {{op = "maxpool", kernel = 2}}'
    Path(file).write_text(lines + f"layers = [{step}]\n", encoding="utf-8")
    return file


COMMANDS = [
    ["usage"], ["usage", "--format", "json"], ["uneven", "--all"], ["uneven", "--size", "17"],
    *(["uneven", "--format", each] for each in ("csv", "markdown", "json")),
    ["sizes"], ["sizes", "--size", "16:16"], ["taps"], ["taps", "--format", "csv"],
    ["coverage"], ["coverage", "--format", "csv"], ["tiles"], ["layers"], ["layers", "--format", "json"],
    ["diff", "--same"], ["diff", "x\x1b"], ["compare", "--padding", "zero,reflect"], ["convert"],
    ["uneven", "--no\x1b[31m\u202e"], ["usage", "--layer", "\x1b[31m\u202e"], ["usage", "-o", "\x1b.\x07"],
    *(["usage", option, "\x9b"] for option in ("--padding", "--format", "--size", "--unit", "--cmap")),
    ["layers", "-o", "no\x1b/x.png"], ["export", "--what", "\x1b", "-o", "out"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_no_command_says_what_steers(command: list[str]) -> None:
    result = run(*command[:1], steered(), *command[1:])
    assert result.exit_code in (0, 2, 3)
    assert result.exit_code == 0 or not {"json", "csv"} & {*command}
    for line in (result.stdout + result.stderr).split("\n"):
        assert line.isprintable()
    if "json" in command:
        json.loads(result.stdout)
    if "csv" in command:
        cells = [cell for row in csv.reader(io.StringIO(result.stdout)) for cell in row]
        assert cells
        assert not any(map(starts_a_formula, cells))


def test_click_says_nothing_that_steers() -> None:
    for args in (
        ["\x1b[31m"],
        ["--\x9b"],
        ["kernel", "--stride", "\x1b"],
        ["usage", "vgg11", "more\u202e"],
    ):
        result = run(*args)
        assert result.exit_code == 2
        assert result.stderr.removesuffix("\n").isprintable()
