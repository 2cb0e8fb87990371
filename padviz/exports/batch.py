"""Export the unfinished items in processes; only whole files appear in its folder.

Every item is made in a temporary folder and moved into place file by file, its record (`NAME.json`) last. An item is
finished if its record has the right fingerprint and its files are there.
"""

from __future__ import annotations

import hashlib
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from itertools import chain, groupby
from multiprocessing import resource_tracker
from pathlib import Path
from typing import NamedTuple

from padviz.errors import OptionError, PadvizError
from padviz.exports.items import Item
from padviz.exports.record import THUMBS, is_whole, read_record, record_of
from padviz.exports.render import Rendered, render
from padviz.figures.canvas import DEFAULT, DrawingOptions, drawing_options, ignore_local_settings, write_thumbnail
from padviz.figures.colours import scale_of, write_map_thumbnail
from padviz.files.atomic import PREFIX, locked, remove_abandoned, replace_file, temporary_folder
from padviz.network.network import Network
from padviz.reports.counts import write_counts
from padviz.version import __version__

FORMATS = ("png", "npz", "json")
THUMB = 200  # screen pixels, longer side
KILLED = "its process was killed, perhaps for lack of memory"
MANY, GROUP = 50, 12  # items from which on processes make groups, and of a group at most
WITHOUT_THUMBNAIL = ("uneven", "taps")  # unreadable at that size: the gallery lists their figures


class ItemOutcome(NamedTuple):
    """What became of an item: "made", "kept" from an earlier run, or "failed" with an error."""

    name: str
    state: str
    error: str = ""


class Look(NamedTuple):
    """File formats, matplotlib's name of the colour map, and the size and theme of pictures."""

    formats: tuple[str, ...] = ("png",)
    cmap: str | None = None
    drawing: DrawingOptions = DEFAULT


def run(
    items: Sequence[Item], folder: Path, look: Look, jobs: int | None, on_note: Callable[[str], None] | None
) -> Iterator[ItemOutcome]:
    """Export the items that are not finished, in `jobs` processes (-1: one per core; None: as joblib is set to).

    Finished items come first. An item that fails does not stop the others.
    """
    for name in look.formats:
        if name not in FORMATS:
            raise OptionError(f"{name!r} is not a format", option="format", hint=f"use {', '.join(FORMATS)}")
    _prepare(folder)
    todo = {}
    for item in items:
        expected = fingerprint(item, look)
        record = read_record(folder, item.name)
        if record and record.fingerprint == expected and is_whole(record, folder):
            yield ItemOutcome(item.name, "kept")
        else:
            todo[item.name] = item, expected
    if not todo:
        return
    with warnings.catch_warnings(record=True) as caught:  # joblib warns, with its paths, where a disk is full
        warnings.simplefilter("always")
        from joblib import Parallel, cpu_count, delayed
    if caught and on_note:
        why = " ".join(str(caught[0].message).split()).partition(". ")[0]
        on_note(f"pictures are made one after another, since no processes can be started ({why})")

    def in_processes(some: Sequence[tuple[Item, str]], jobs: int | None) -> Iterator[ItemOutcome]:
        with _ctrl_c_blocked():
            made = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(
                delayed(_make_all)(group, folder.absolute(), look, os.getpid()) for group in groups(some)
            )
        for outcome in chain.from_iterable(made):
            del todo[outcome.name]
            yield outcome

    try:
        jobs = jobs and min(cpu_count() if jobs < 0 else jobs, len(todo))
        with _current_folder_hidden():
            try:
                yield from in_processes([*todo.values()], jobs)
            except BrokenExecutor:  # a process was killed: run each item alone to see which one is the reason
                for item, expected in [*todo.values()]:
                    try:
                        yield from in_processes([(item, expected)], 2)
                    except BrokenExecutor:
                        yield ItemOutcome(item.name, "failed", KILLED)
    finally:
        remove_abandoned(folder)  # the workers may have been ended


def groups(items: Sequence[tuple[Item, str]]) -> Iterator[Sequence[tuple[Item, str]]]:
    """Yield items that one process makes: if there are many, maps of one size, whose pictures share their frame."""
    grouped = len(items) >= MANY and not any(item.trained for item, _ in items)
    by_size = sorted(items, key=lambda each: str(each[0].sizes)) if grouped else items
    for _, same in groupby(by_size, key=lambda each: each[0].sizes):
        group = [*same]
        most = GROUP if grouped else 1
        yield from (group[at : at + most] for at in range(0, len(group), most))


def _make_all(group: Sequence[tuple[Item, str]], folder: Path, look: Look, caller: int) -> list[ItemOutcome]:
    if os.getpid() != caller:  # a process of its own, which has not run the command's main
        ignore_local_settings()
    return [make(*each, folder, look) for each in group]


@contextmanager
def _current_folder_hidden() -> Iterator[None]:
    """Keep Python processes that start here from importing anything from the current folder.

    joblib starts them with -m and -c, for which Python searches that folder first: its random.py would run.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Block SIGINT: processes started here inherit that, and leave Ctrl-C to the exporter."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # else joblib starts it, and Python 3.11 lets SIGINT through after that
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def make(item: Item, expected: str, folder: Path, look: Look) -> ItemOutcome:
    """Export one item into `folder`, with the fingerprint `expected`; errors become its outcome."""
    try:
        with temporary_folder(folder) as stage, drawing_options(*look.drawing):
            rendering = render(item)
            figures, counts = rendering.figures, rendering.counts
            if counts is not None:
                figures = {**figures, "cmap": look.cmap or scale_of(counts).own}
            files = _write(item, rendering, stage, look)
            lengths = {name: (stage / name).stat().st_size for name in files}
            (stage / f"{item.name}.json").write_bytes(record_of(item, expected, lengths, figures))
            with locked(folder):
                _place(item.name, files, stage, folder)
    except PadvizError as error:
        hidden = error.where.startswith(str(folder / PREFIX))  # users never see that folder
        reason = error.what if hidden else str(error)
    except MemoryError:
        reason = "there is not enough memory for a map of this size"
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
    except Exception as error:  # one item must not end the others
        reason = "unexpected " + " ".join(f"{type(error).__name__}: {error}".split())
    else:
        return ItemOutcome(item.name, "made")
    return ItemOutcome(item.name, "failed", reason)


def fingerprint(item: Item, look: Look) -> str:
    """Hash everything an item's files depend on: resolved network, options, version of padviz.

    >>> from padviz.exports.items import expand
    >>> from padviz.exports.manifest import Manifest, Maps
    >>> one, other = expand(Manifest(maps=[Maps(["vgg11"], [64, 65])]))
    >>> fingerprint(one, Look()) == fingerprint(one, Look()) != fingerprint(other, Look())
    True
    """
    networks = [
        (net.name, net.title, net.size, net.layers, net.targets) if isinstance(net, Network) else net.line
        for net in item.networks
    ]
    lists = item.sizes, item.paddings, item.layers, item.scale, item.kernel, item.trained
    whole = repr((__version__, item.what, networks, lists, tuple(look)))
    return hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _prepare(folder: Path) -> None:
    """Create the folder, and remove leftovers of killed processes."""
    thumbs = folder / THUMBS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if thumbs.is_symlink():
            raise OptionError("is a link", where=str(thumbs), hint="remove it, or name another folder")
        thumbs.mkdir(exist_ok=True)
    except OSError as error:
        where = str(error.filename or folder)
        raise OptionError(f"cannot be written ({error.strerror})", where=where, hint="name another folder") from None
    remove_abandoned(folder)


def _write(item: Item, rendering: Rendered, stage: Path, look: Look) -> list[str]:
    """Write the requested files into `stage`; return their names, thumbnail last."""
    files, counts = [], rendering.counts
    if "npz" in look.formats and counts is not None:
        files.append(f"{item.name}.npz")
        write_counts(counts, stage / files[-1])
    if "png" in look.formats:
        picture = f"{item.name}.png"
        files.append(picture)
        (stage / picture).write_bytes(rendering.png(cmap=look.cmap))
        if item.what in WITHOUT_THUMBNAIL:
            return files
        (stage / THUMBS).mkdir(exist_ok=True)
        files.append(f"{THUMBS}/{picture}")
        if counts is not None:
            write_map_thumbnail(counts, stage / files[-1], THUMB, look.cmap)
        else:
            write_thumbnail(stage / picture, stage / files[-1], THUMB)
    return files


def _place(name: str, files: Sequence[str], stage: Path, folder: Path) -> None:
    """Move an item's files into place, its record last; an earlier item's are removed, its record first."""
    record = f"{name}.json"
    earlier = read_record(folder, name)
    if earlier:
        (folder / record).unlink()
    for file in [*files, record]:
        replace_file(folder / file, stage / file)
    for file in {*(earlier.files if earlier else ())} - {*files}:  # they may show another network
        (folder / file).unlink(missing_ok=True)
