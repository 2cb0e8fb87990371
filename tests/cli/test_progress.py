"""What is shown while something takes long: on a terminal alone, and nothing where it is quick."""

import contextlib
import io
import sys
import time
from collections.abc import Callable

import pytest
from torch import nn

import padviz
from padviz.cli import session
from padviz.cli.showing import progress
from padviz.progress import Progress

Steps = list[tuple[int, int]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


TERMINALS = pytest.mark.parametrize("kind", [Terminal, io.StringIO])


@TERMINALS
def test_a_network_that_takes_long_to_read_is_named_on_a_terminal(
    kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = kind()
    monkeypatch.setattr("sys.stderr", stderr)
    with session.announced("mynets:Quick"):
        pass
    monkeypatch.setattr(session, "PATIENCE", 0.01)
    with session.announced("mynets:MyNet"):
        until = time.monotonic() + 5
        while not stderr.getvalue() and stderr.isatty() and time.monotonic() < until:
            time.sleep(0.01)
    said = "padviz: reading mynets:MyNet\n" if stderr.isatty() else ""
    assert stderr.getvalue() == said


@TERMINALS
@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_a_bar_that_never_began_leaves_nothing(
    terminal: str, kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = kind()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setenv("TERM", terminal)
    with progress("tiles") as on_progress:
        assert (on_progress is None) != stderr.isatty()
    assert stderr.getvalue() == ""
    with progress("tiles") as on_progress:
        if on_progress:
            on_progress(1, 0)
            on_progress(2, 9)
    assert bool(stderr.getvalue()) == stderr.isatty()


def test_a_bar_that_begins_while_a_module_is_quiet_gives_the_streams_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stdout, stderr = Terminal(), Terminal()
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("sys.stderr", stderr)
    with progress("tiles") as on_progress:
        assert on_progress
        with contextlib.redirect_stdout(io.StringIO()):
            on_progress(1, 2)
    assert (sys.stdout, sys.stderr) == (stdout, stderr)


def norms() -> nn.Module:
    layers = (nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3, padding=1))
    return nn.Sequential(*layers).eval()


LONG: dict[str, tuple[Callable[[Progress], object], int]] = {
    "verify": (
        lambda on: padviz.verify(nn.Conv2d(3, 4, 5, padding=2), 64, on_progress=on),
        0,
    ),
    "verify of shared norms": (
        lambda on: padviz.verify(norms(), 24, tile=7, norms="shared", on_progress=on),
        0,
    ),
    "tiles of shared norms": (
        lambda on: padviz.tiles(norms(), 48, 16, norms="shared", on_progress=on),
        0,
    ),
    "shards": (lambda on: padviz.shards("vgg11", 2, 64, on_progress=on), 13),
}


@pytest.mark.parametrize("what", LONG)
def test_steps_are_counted_one_by_one(what: str) -> None:
    steps: Steps = []
    run, total = LONG[what]
    run(lambda done, of: steps.append((done, of)))
    assert steps == [(done, total) for done in range(1, len(steps) + 1)]
    assert len(steps) == (total or len(steps)) > 1
