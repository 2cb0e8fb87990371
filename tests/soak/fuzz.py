"""Mutants judged in this process: `python -m tests.soak.fuzz KIND SEED FIRST COUNT` prints a tally as JSON.

A mutant is fine, or refused by one line that a person can read; all within ten seconds and 1 GB, what is imported
included.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import tomllib
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import padviz
from padviz.errors import PadvizError
from padviz.network.network import Network
from padviz.sources.toml.load import parse
from padviz.sources.toml.write import to_toml
from tests.soak import beside, damaged
from tests.soak.damaged import Damaged
from tests.soak.mutants import mutant

SECONDS, BYTES = 10, 1 << 30  # of calculating; six times as long by the clock, on a busy machine
WARMING = 40  # mutants that import what others need
SUFFIX = {
    "TOML descriptions": ".toml",
    "ONNX files": ".onnx",
    "Keras files": ".keras",
    "programs": ".pt2",
}
REFUSALS = (1, 2, 3)  # exit codes


class Slow(BaseException):
    """The time is over; nothing that catches errors catches it."""


def tried(kind: str, made: Any, rng: Random) -> str:
    """Whether one mutant is "fine" or "refused"; anything else is said, or raised."""
    if kind == "command lines":
        return _commanded(made)
    if isinstance(made, Damaged):
        Path(made.path).write_bytes(made.content)
        return _commanded(made.args)
    path = Path(f"mutant{SUFFIX[kind]}")
    path.write_bytes(made if isinstance(made, bytes) else made.encode())
    try:
        if kind == "ONNX files" and rng.random() < 0.2:
            padviz.filters(path, 24)
        else:
            network = padviz.load(path)
            _counted(network, rng, any_size=kind == "TOML descriptions")
    except PadvizError as error:
        return (
            "refused"
            if str(error).isprintable() and len(str(error)) < 3000
            else f"says {str(error)[:500]!r}"
        )
    return "fine"


def _counted(network: Network, rng: Random, any_size: bool) -> None:
    """Use a network, at a small size where it is of `any_size`."""
    if len(network.layers) > 12 and rng.random() < 0.95:
        return
    size = (
        (rng.randint(3, 12), rng.randint(3, 12)) if any_size and not network.fixed else network.size
    )
    padviz.usage(network, size, layer=network.targets)
    padviz.uneven(network, size)
    costs = padviz.costs(network, size)
    written = parse(tomllib.loads(to_toml(network)), network.name)
    assert padviz.costs(written, size) == costs, f"what is written costs something else at {size}"


def _commanded(args: list[str]) -> str:
    from click.testing import CliRunner

    from padviz.cli import cli
    from tests.cli.test_cli import APART

    before = _files()
    with warnings.catch_warnings():
        result = CliRunner(**APART).invoke(cli, args)
    after = _files()
    assert not (left := [name for name in after if "/.padviz-" in f"/{name}"]), f"leaves {left}"
    assert result.exit_code in (0, *REFUSALS), f"exit {result.exit_code}: {result.output[-300:]}"
    if result.exit_code == 2:
        assert result.stderr.count("\n") == 1, f"not one line: {result.stderr!r}"
        assert result.stderr[:-1].isprintable(), f"not one line: {result.stderr!r}"
        assert not result.stdout, "refused after something was printed"
        assert "stdout: cannot be written" not in result.stderr, (
            "takes an error of the input for one of stdout"
        )
        assert not (new := {*after.items()} ^ {*before.items()}), (
            f"refused, and changed {sorted(new)}"
        )
    return "fine" if result.exit_code == 0 else "refused"


def _files() -> dict[str, int]:
    """The files that are here, and when each was written, in nanoseconds."""
    return {str(path): path.lstat().st_mtime_ns for path in Path().rglob("*")}


def run(kind: str, seed: str, first: int, count: int) -> dict[str, Any]:
    """The tally of some mutants, and what failed, which is kept in the folder .soak."""
    tally: Counter[str] = Counter()
    failures = []
    kept, here = Path(".soak").absolute(), os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder, "so/far/down")  # where ../../x is
        inside.mkdir(parents=True)
        os.chdir(inside)
        try:
            for number in range(first, first + count):
                if kind == "damaged files":
                    damaged.lay_out()
                else:
                    beside.lay_out(whole=kind == "command lines")
                rng = Random(f"{seed}/{kind}/{number}")
                made = damaged.damaged_file(rng) if kind == "damaged files" else mutant(kind, rng)
                what = _judged(kind, made, rng)
                tally["failed" if what not in ("fine", "refused") else what] += 1
                if what not in ("fine", "refused"):
                    kept.mkdir(exist_ok=True)
                    file = kept / f"{kind.split()[0]}-{number}{SUFFIX.get(kind, '.txt')}"
                    text = repr(made) if isinstance(made, list | Damaged) else made
                    file.write_bytes(text if isinstance(text, bytes) else text.encode())
                    failures.append(f"{kind} {number}: {what} ({file.name})")
        finally:
            os.chdir(here)
    return {"tally": tally, "failures": failures}


def _judged(kind: str, made: Any, rng: Random) -> str:
    def over(*_: Any) -> None:
        raise Slow

    before = signal.signal(signal.SIGPROF, over), signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(6 * SECONDS)
    try:
        return tried(kind, made, rng)
    except Slow:
        return f"took more than {SECONDS} s"
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        signal.signal(signal.SIGPROF, before[0])
        signal.signal(signal.SIGALRM, before[1])


if __name__ == "__main__":
    warnings.simplefilter("error")
    kind_, seed_, first_, count_ = sys.argv[1:]
    run(kind_, "warming", 0, WARMING)
    mapped, resident = (
        int(n) * resource.getpagesize() for n in Path("/proc/self/statm").read_text().split()[:2]
    )
    resource.setrlimit(resource.RLIMIT_AS, (mapped - resident + BYTES,) * 2)
    print(json.dumps(run(kind_, seed_, int(first_), int(count_))))
