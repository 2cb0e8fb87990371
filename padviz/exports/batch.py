"""Save the unfinished items in processes; only whole files appear in the folder.

Every item is made in a temporary folder and moved into place file by file, its JSON last.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from itertools import groupby
from multiprocessing import resource_tracker
from pathlib import Path

from padviz.errors import OptionError
from padviz.exports.items import Item
from padviz.exports.manifest import TRAINED
from padviz.exports.saving import ItemOutcome, save_item
from padviz.exports.sidecars import THUMBS, Look, digest_item, read_sidecar
from padviz.figures.canvas import ignore_local_settings
from padviz.files.atomic import remove_abandoned

KILLED = "its process was killed, perhaps for lack of memory"
MANY, GROUP = 50, 12  # items from which on processes make groups, and of a group at most
Job = tuple[Item, str]  # an item and its digest


def run(
    items: Sequence[Item],
    folder: Path,
    look: Look,
    jobs: int | None,
    on_note: Callable[[str], None] | None,
) -> Iterator[ItemOutcome]:
    """Save the items that are not finished, in `jobs` processes.

    A number of -1 is one per core, None what joblib is set to. Finished items come first. An item
    that fails does not stop the others.
    """
    _prepare(folder)
    todo: dict[str, Job] = {}
    for item in items:
        digest, earlier = digest_item(item, look), read_sidecar(folder, item.name)
        if earlier and earlier.about.digest == digest and earlier.about.is_whole(folder):
            yield ItemOutcome(item.name, "kept")
        else:
            todo[item.name] = item, digest
    if not todo:
        return
    _check_processes(on_note)
    try:
        with _current_folder_hidden():
            yield from _save_all(todo, folder, look, jobs)
    finally:
        remove_abandoned(folder)  # the workers may have been ended


def _save_all(
    todo: Mapping[str, Job], folder: Path, look: Look, jobs: int | None
) -> Iterator[ItemOutcome]:
    from joblib import cpu_count

    if jobs:
        jobs = min(cpu_count() if jobs < 0 else jobs, len(todo))
    left = dict(todo)
    try:
        for outcome in _in_processes([*left.values()], folder, look, jobs):
            del left[outcome.name]
            yield outcome
    # a process was killed: run each item alone to see which one is the reason
    except BrokenExecutor:
        for name, job in left.items():
            try:
                yield from _in_processes([job], folder, look, 2)
            except BrokenExecutor:
                yield ItemOutcome(name, "failed", KILLED)


def _in_processes(
    some: Sequence[Job], folder: Path, look: Look, jobs: int | None
) -> Iterator[ItemOutcome]:
    from joblib import Parallel, delayed

    with _ctrl_c_blocked():
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        tasks = [
            delayed(_make_all)(group, folder.absolute(), look, os.getpid())
            for group in groups(some)
        ]
        outcomes = parallel(tasks)
    for group_outcomes in outcomes:
        yield from group_outcomes


def _check_processes(on_note: Callable[[str], None] | None) -> None:
    """Import joblib, which warns, with its paths, where a disk is full; say so in one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import joblib  # noqa: F401
    if caught and on_note:
        why = " ".join(str(caught[0].message).split()).partition(". ")[0]
        on_note(f"pictures are made one after another, since no processes can be started ({why})")


def groups(jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
    """Yield items for one process: of many, those of one size, whose pictures share a frame."""
    if len(jobs) < MANY or any(item.analysis in TRAINED for item, _ in jobs):
        yield from ([job] for job in jobs)
        return
    for _, same in groupby(sorted(jobs, key=_sizes_of), key=_sizes_of):
        group = [*same]
        yield from (group[at : at + GROUP] for at in range(0, len(group), GROUP))


def _sizes_of(job: Job) -> str:
    return str(job[0].about["sizes"])


def _make_all(group: Sequence[Job], folder: Path, look: Look, caller: int) -> list[ItemOutcome]:
    if os.getpid() != caller:  # a process of its own, which has not run the command's main
        ignore_local_settings()
    return [save_item(item, digest, folder, look) for item, digest in group]


@contextmanager
def _current_folder_hidden() -> Iterator[None]:
    """Keep Python processes that start here from importing anything from the current folder.

    joblib starts them with -m and -c, for which Python searches that folder first: its random.py
    would run.
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
    # If joblib starts it, Python 3.11 lets SIGINT through after that.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(folder: Path) -> None:
    """Create the folder, and remove leftovers of killed processes."""
    thumbs = folder / THUMBS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if thumbs.is_symlink():
            raise OptionError(
                "is a link", where=str(thumbs), hint="remove it, or name another folder"
            )
        thumbs.mkdir(exist_ok=True)
    except OSError as error:
        where = str(error.filename or folder)
        raise OptionError(
            f"cannot be written ({error.strerror})", where=where, hint="name another folder"
        ) from None
    remove_abandoned(folder)
