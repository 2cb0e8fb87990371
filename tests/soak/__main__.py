"""`make soak`: everything once over, on two cores, within twenty minutes. SEED repeats a run, SOAK scales it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

from padviz.tables import to_table
from tests.soak import processes

MINUTES, CORES, CHUNK = 20, 2, 500
FUZZED = {
    "TOML descriptions": 50_000,
    "ONNX files": 10_000,
    "manifests": 5_000,
    "counts files": 5_000,
    "command lines": 2_000,
}
DISTURBED: dict[str, tuple[int, Callable[[Random], str]]] = {
    "kills": (100, processes.killed), "signals": (300, processes.signalled), "pairs of exports": (40, processes.paired),
}  # fmt: skip


def fuzzed(kind: str, seed: str, first: int, count: int) -> dict[str, object]:
    """Some mutants in a process of their own, which may break."""
    command = [sys.executable, "-m", "tests.soak.fuzz", kind, seed, str(first), str(count)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        words = " ".join(run.stderr.split())[-300:]
        return {"tally": {"failed": count}, "failures": [f"{kind} from {first} on: exit {run.returncode}: {words}"]}
    found: dict[str, object] = json.loads(run.stdout.splitlines()[-1])
    return found


def disturbed(kind: str, seed: str, number: int) -> dict[str, object]:
    """One process that is disturbed."""
    said = DISTURBED[kind][1](Random(f"{seed}/{kind}/{number}"))
    if said in ("fine", "refused"):
        return {"tally": {said: 1}, "failures": []}
    return {"tally": {"failed": 1}, "failures": [f"{kind} {number}: {said}"]}


def main() -> int:
    """Run all parts, print the table and what failed; 1 if anything did, or if the time was too short."""
    seed, scale = os.environ.get("SEED") or str(time.time_ns() % 10**6), float(os.environ.get("SOAK") or 1)
    print(f"SEED={seed} SOAK={scale:g}", flush=True)
    end = time.monotonic() + 60 * MINUTES
    planned = {kind: max(1, int(n * scale)) for kind, n in FUZZED.items()}
    planned |= {kind: max(1, int(n * scale)) for kind, (n, _) in DISTURBED.items()}
    jobs: list[tuple[str, Callable[..., dict[str, object]], tuple[object, ...]]] = []
    for kind in DISTURBED:
        jobs += [(kind, disturbed, (kind, seed, number)) for number in range(planned[kind])]
    for kind in FUZZED:
        starts = range(0, planned[kind], CHUNK)
        jobs += [(kind, fuzzed, (kind, seed, at, min(CHUNK, planned[kind] - at))) for at in starts]
    tallies = {kind: Counter[str]() for kind in planned}
    failures: list[object] = []

    def work(job: tuple[str, Callable[..., dict[str, object]], tuple[object, ...]]) -> None:
        kind, run, args = job
        if time.monotonic() < end:
            found = run(*args)
            tallies[kind].update(found["tally"])  # type: ignore[call-overload]
            failures.extend(found["failures"])  # type: ignore[arg-type,call-overload]

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(work, jobs))
    rows = [(kind, tally.total(), tally["refused"], tally["fine"], tally["failed"]) for kind, tally in tallies.items()]
    print(to_table(("what", "tried", "refused cleanly", "fine", "failed"), rows), *failures, sep="\n")
    short = [
        f"{kind}: {tallies[kind].total()} of {n}, the time is over"
        for kind, n in planned.items()
        if tallies[kind].total() < n
    ]
    print(*short, sep="\n")
    return 1 if failures or short else 0


if __name__ == "__main__":
    sys.exit(main())
