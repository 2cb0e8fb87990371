"""Many pictures in one go: what is finished is skipped, the rest is made in processes, whole files only.

Every item is made in a folder of its own under `.partial` and moved into place file by file, its record
(`NAME.json`) last. A record whose fingerprint fits and whose files are there says that the item is finished.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from padviz import __version__, draw
from padviz.errors import OptionError, PadvizError
from padviz.manifest import DECLARED, Item
from padviz.render import Rendered, rendered
from padviz.store import write_counts

FORMATS = ("png", "npz", "json")
SCHEMA_VERSION = 1
PARTIAL, THUMBS = ".partial", "thumbs"
THUMB = 200  # screen pixels of the longer side


class Record(msgspec.Struct, frozen=True):
    """What is kept of an item beside its files, as NAME.json: its figures, and the fingerprint of what made it.

    `lengths` are the bytes of each file: one that was cut off since is made again.
    """

    schema_version: int
    name: str
    what: str
    networks: list[str]
    sizes: list[list[int]]
    paddings: list[str]
    fingerprint: str
    files: list[str]
    lengths: list[int]
    figures: dict[str, Any]


class Outcome(NamedTuple):
    """What became of an item: "made", "kept" from an earlier run, or "failed" and why."""

    name: str
    state: str
    error: str = ""


class Look(NamedTuple):
    """How pictures are made: which files, whether bare, and matplotlib's name of the colours."""

    formats: tuple[str, ...] = ("png",)
    bare: bool = False
    cmap: str = "plasma"


def run(items: Sequence[Item], folder: Path, look: Look, jobs: int | None = None) -> Iterator[Outcome]:
    """Make what is not finished, in `jobs` processes of joblib (-1: one for each core), or as joblib is set to.

    Items that are finished come first. An item that fails does not stop the others.

    Raises
    ------
    OptionError
        If the folder cannot be written to, or an option is not known.
    """
    _checked(look)
    try:
        (folder / PARTIAL).mkdir(parents=True, exist_ok=True)
        (folder / THUMBS).mkdir(exist_ok=True)
        _sweep(folder / PARTIAL)
    except OSError as error:
        where = str(error.filename or folder)
        raise OptionError(f"cannot be written ({error.strerror})", where=where, hint="name another folder") from None
    todo = []
    for item in items:
        of = fingerprint(item, look)
        if is_finished(item.name, of, folder):
            yield Outcome(item.name, "kept")
        else:
            todo.append((item, of))
    if todo:
        from joblib import Parallel, cpu_count, delayed

        jobs = jobs and min(cpu_count() if jobs < 0 else jobs, len(todo))
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1 if len(todo) < 50 else "auto")
        yield from parallel(delayed(make)(item, of, folder.absolute(), look) for item, of in todo)
    with suppress(OSError):
        (folder / PARTIAL).rmdir()


def make(item: Item, of: str, folder: Path, look: Look) -> Outcome:
    """Make one item, of that fingerprint, in `folder`; what goes wrong is its outcome."""
    try:
        with _staged(folder) as stage:
            made = rendered(item)
            files = _write(item, made, stage, look)
            lengths = [(stage / name).stat().st_size for name in files]
            (stage / f"{item.name}.json").write_bytes(_record(item, made, of, files, lengths))
            earlier = _read(folder / f"{item.name}.json")
            for name in [*files, f"{item.name}.json"]:
                os.replace(stage / name, folder / name)
            for name in {*(earlier.files if earlier else ())} - {*files}:  # they would tell of another network
                (folder / name).unlink(missing_ok=True)
    except PadvizError as error:
        aside = Path(error.where).is_relative_to(folder / PARTIAL)  # nobody has heard of that folder
        return Outcome(item.name, "failed", error.what if aside else str(error))
    except MemoryError:
        return Outcome(item.name, "failed", "there is not enough memory for a map of this size")
    except OSError as error:
        return Outcome(item.name, "failed", f"cannot be written ({error.strerror or error})")
    except Exception as error:  # one item must not end the others
        return Outcome(item.name, "failed", "unexpected " + " ".join(f"{type(error).__name__}: {error}".split()))
    return Outcome(item.name, "made")


def fingerprint(item: Item, look: Look) -> str:
    """What an item's files depend on: the resolved network, the options, and the version of padviz.

    >>> from padviz.manifest import Manifest, Maps, expand
    >>> one, other = expand(Manifest(maps=[Maps(["vgg11"], [64, 65])]))
    >>> fingerprint(one, Look()) == fingerprint(one, Look()) != fingerprint(other, Look())
    True
    """
    networks = [(net.name, net.title, net.size, net.layers, net.targets) for net in item.networks]
    lists = item.sizes, item.paddings, item.layers, item.scale, item.illustrated
    whole = repr((__version__, item.what, networks, lists, tuple(look)))
    return hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def records(folder: Path) -> list[Record]:
    """The records in a folder whose files are all there, by name; files that are no records are passed over."""
    found = []
    for path in sorted(folder.glob("*.json")):
        record = _read(path)
        if record and record.name == path.stem and _is_whole(record, folder):
            found.append(record)
    return found


def facts_of(item: Item) -> tuple[list[str], list[list[int]], list[str]]:
    """The networks, the sizes and the paddings of an item, for its record and for filters."""
    networks = [net.name for net in item.networks]
    if item.illustrated:
        side = item.illustrated.size
        return networks, [[side, side]], [*item.illustrated.paddings] or ["zero"]
    at = [size or net.size for net in item.networks[:1] for size in item.sizes]
    return networks, [[*size] for size in at], [padding or DECLARED for padding in item.paddings]


def is_finished(name: str, of: str, folder: Path) -> bool:
    """Whether the item was made before, from the same, and its files are still there."""
    record = _read(folder / f"{name}.json")
    return record is not None and record.fingerprint == of and _is_whole(record, folder)


def _is_whole(record: Record, folder: Path) -> bool:
    """Whether its files are there, as long as they were."""
    try:
        return [(folder / name).stat().st_size for name in record.files] == record.lengths
    except OSError:
        return False


def _read(path: Path) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None


def _checked(look: Look) -> None:
    for name in look.formats:
        if name not in FORMATS:
            raise OptionError(f"{name!r} is not a format", where="--format", hint=f"use {', '.join(FORMATS)}")
    draw.colour_map(look.cmap)


def _record(item: Item, made: Rendered, of: str, files: list[str], lengths: list[int]) -> bytes:
    facts = SCHEMA_VERSION, item.name, item.what, *facts_of(item)
    record = Record(*facts, of, files, lengths, made.figures)
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def _write(item: Item, made: Rendered, stage: Path, look: Look) -> list[str]:
    """Write the files asked for into `stage`; their names, thumbnail last."""
    files = []
    if "npz" in look.formats and made.counts is not None:
        files.append(f"{item.name}.npz")
        write_counts(made.counts, stage / files[-1])
    if "png" in look.formats:
        (stage / THUMBS).mkdir(exist_ok=True)
        files += [f"{item.name}.png", f"{THUMBS}/{item.name}.png"]
        counts = made.counts
        if counts is not None and look.bare:
            draw.write_bare(counts, stage / files[-2], look.cmap)
        else:
            draw.save(made.picture(look.cmap), stage / files[-2])
        if counts is not None:
            draw.write_bare(counts, stage / files[-1], look.cmap, THUMB)
        else:
            draw.write_thumbnail(stage / files[-2], stage / files[-1], THUMB)
    return files


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder for one item's files while they are written, locked as long as its process lives."""
    stage = Path(tempfile.mkdtemp(dir=folder / PARTIAL))
    try:
        with _locked(stage):
            yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _sweep(partial: Path) -> None:
    """Remove what processes that were killed left behind."""
    for stage in partial.iterdir():
        with suppress(BlockingIOError), _locked(stage):
            shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, where the system has such locks.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
