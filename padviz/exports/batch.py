"""Many pictures in one go: what is finished is skipped, the rest is made in processes, whole files only.

Every item is made aside and moved into place file by file, its record (`NAME.json`) last. A record whose
fingerprint fits and whose files are there says that the item is finished.
"""

from __future__ import annotations

import hashlib
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, NamedTuple

from padviz.errors import OptionError, PadvizError
from padviz.exports.items import Item
from padviz.exports.record import THUMBS, is_whole, read_record, record_of
from padviz.exports.render import Rendered, rendered
from padviz.figures.canvas import DEFAULT, DrawingOptions, drawing_options, save, write_thumbnail
from padviz.figures.colours import CMAP, colour_map
from padviz.figures.maps.scales import scale_of, write_map_thumbnail
from padviz.files.atomic import PREFIX, locked, remove_abandoned, temporary_folder
from padviz.network.network import Network
from padviz.reports.counts import write_counts
from padviz.version import __version__

FORMATS = ("png", "npz", "json")
THUMB = 200  # screen pixels of the longer side
KILLED = "its process was killed; it may need more memory than there is"
WORDED = ("uneven", "taps")  # of whose pictures nothing could be read so small: the gallery writes their lines out


class Outcome(NamedTuple):
    """What became of an item: "made", "kept" from an earlier run, or "failed" and why."""

    name: str
    state: str
    error: str = ""


class Look(NamedTuple):
    """How pictures are made: which files, matplotlib's name of the colours, how large, which theme."""

    formats: tuple[str, ...] = ("png",)
    cmap: str | None = None
    asked: DrawingOptions = DEFAULT


def run(
    items: Sequence[Item],
    folder: Path,
    look: Look,
    jobs: int | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[Outcome]:
    """Make what is not finished, in `jobs` processes of joblib (-1: one for each core), or as joblib is set to.

    Items that are finished come first. An item that fails does not stop the others.

    Raises
    ------
    OptionError
        If the folder cannot be written to, or an option is not known.
    """
    _checked(look)
    _prepare(folder)
    todo = {}
    for item in items:
        of = fingerprint(item, look)
        if _is_finished(item.name, of, folder):
            yield Outcome(item.name, "kept")
        else:
            todo[item.name] = item, of

    def made(some: Sequence[tuple[Item, str]], jobs: int | None) -> Iterator[Outcome]:
        batch = 1 if len(some) < 50 else "auto"
        with _ctrl_c_held():
            outcomes = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=batch)(
                delayed(make)(item, of, folder.absolute(), look) for item, of in some
            )
        for outcome in outcomes:
            del todo[outcome.name]
            yield outcome

    try:
        if todo:
            with warnings.catch_warnings(record=True) as caught:  # with paths of joblib's, as where a disk is full
                warnings.simplefilter("always")
                from joblib import Parallel, cpu_count, delayed
            if caught and on_note:
                why = " ".join(str(caught[0].message).split()).partition(". ")[0]
                on_note(f"pictures are made one after another, since no processes can be started ({why})")
            jobs = jobs and min(cpu_count() if jobs < 0 else jobs, len(todo))
            try:
                yield from made([*todo.values()], jobs)
            except BrokenExecutor:  # a process was killed: alone, each item shows whether it was the reason
                for item, of in [*todo.values()]:
                    try:
                        yield from made([(item, of)], 2)
                    except BrokenExecutor:
                        yield Outcome(item.name, "failed", KILLED)
    finally:
        remove_abandoned(folder)  # the workers may have been ended


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Hold SIGINT back: processes that are started here inherit that, and leave Ctrl-C to the exporter."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # else joblib starts it, and Python 3.11 lets SIGINT through after that
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def make(item: Item, of: str, folder: Path, look: Look) -> Outcome:
    """Make one item, of that fingerprint, in `folder`; what goes wrong is its outcome."""
    try:
        with temporary_folder(folder) as stage, drawing_options(*look.asked):
            rendering = rendered(item)
            files = _write(item, rendering, stage, look)
            lengths = {name: (stage / name).stat().st_size for name in files}
            (stage / f"{item.name}.json").write_bytes(record_of(item, of, lengths, _figures_of(rendering, look)))
            with locked(folder):
                _place(item.name, files, stage, folder)
    except PadvizError as error:
        hidden = error.where.startswith(str(folder / PREFIX))  # nobody has heard of that folder
        return Outcome(item.name, "failed", error.what if hidden else str(error))
    except MemoryError:
        return Outcome(item.name, "failed", "there is not enough memory for a map of this size")
    except OSError as error:
        return Outcome(item.name, "failed", f"cannot be written ({error.strerror or error})")
    except Exception as error:  # one item must not end the others
        return Outcome(item.name, "failed", "unexpected " + " ".join(f"{type(error).__name__}: {error}".split()))
    return Outcome(item.name, "made")


def fingerprint(item: Item, look: Look) -> str:
    """Hash what an item's files depend on: the resolved network, the options, and the version of padviz.

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
    lists = item.sizes, item.paddings, item.layers, item.scale, item.illustrated, item.trained
    whole = repr((__version__, item.what, networks, lists, tuple(look)))
    return hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _is_finished(name: str, of: str, folder: Path) -> bool:
    """Tell whether the item was made before, from the same, and its files are still there."""
    record = read_record(folder, name)
    return record is not None and record.fingerprint == of and is_whole(record, folder)


def _prepare(folder: Path) -> None:
    """Make the folder, and remove what killed processes left there.

    Raises
    ------
    OptionError
        If it cannot be written to, or pictures would leave it through a link.
    """
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


def _place(name: str, files: Sequence[str], stage: Path, folder: Path) -> None:
    """Move an item's files into place, its record last; an earlier one's are removed, its record first."""
    record = f"{name}.json"
    earlier = read_record(folder, name)
    if earlier:
        (folder / record).unlink()
    for file in [*files, record]:
        os.replace(stage / file, folder / file)
    for file in {*(earlier.files if earlier else ())} - {*files}:  # they would tell of another network
        (folder / file).unlink(missing_ok=True)


def _checked(look: Look) -> None:
    for name in look.formats:
        if name not in FORMATS:
            raise OptionError(f"{name!r} is not a format", option="format", hint=f"use {', '.join(FORMATS)}")
    colour_map(look.cmap or CMAP)


def _figures_of(rendering: Rendered, look: Look) -> Mapping[str, Any]:
    """Take the figures of an item, and of a map the colours of its thumbnail."""
    if rendering.counts is None:
        return rendering.figures
    return {**rendering.figures, "cmap": look.cmap or scale_of(rendering.counts).own}


def _write(item: Item, rendering: Rendered, stage: Path, look: Look) -> list[str]:
    """Write the files asked for into `stage`; their names, thumbnail last."""
    files = []
    if "npz" in look.formats and rendering.counts is not None:
        files.append(f"{item.name}.npz")
        write_counts(rendering.counts, stage / files[-1])
    if "png" in look.formats:
        counts, picture = rendering.counts, f"{item.name}.png"
        files.append(picture)
        save(rendering.draw(cmap=look.cmap), stage / picture)
        if item.what in WORDED:
            return files
        (stage / THUMBS).mkdir(exist_ok=True)
        files.append(f"{THUMBS}/{picture}")
        if counts is not None:
            write_map_thumbnail(counts, stage / files[-1], THUMB, look.cmap)
        else:
            write_thumbnail(stage / picture, stage / files[-1], THUMB)
    return files
