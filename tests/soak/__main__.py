"""`make soak`: everything once over, on two cores, within half an hour. SEED repeats a run, SOAK scales it."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

from padviz.reports.tables import to_table
from tests.soak import processes

MINUTES, CORES = 30, 2
FUZZED = {
    "TOML descriptions": 50_000,
    "ONNX files": 20_000,
    "Keras files": 5_000,
    "programs": 5_000,
    "command lines": 3_000,
    "damaged files": 5_000,
}
CHUNK = 1000  # mutants of one process
DISTURBED = {"kills": 100, "signals": 300}


def fuzzed(kind: str, seed: str, first: int, count: int) -> dict[str, Any]:
    """The tally of some mutants, from a process of their own, which may break."""
    command = [sys.executable, "-m", "tests.soak.fuzz", kind, seed, str(first), str(count)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return dict(json.loads(run.stdout.splitlines()[-1]))
    words = " ".join(run.stderr.split())[-300:]
    return {
        "tally": {"failed": count},
        "failures": [f"{kind} from {first} on: exit {run.returncode}: {words}"],
    }


def disturbed(kind: str, seed: str, number: int) -> dict[str, Any]:
    said = processes.WAYS[kind](Random(f"{seed}/{kind}/{number}"))
    failed = said not in ("fine", "refused")
    return {
        "tally": {"failed" if failed else said: 1},
        "failures": [f"{kind} {number}: {said}"] * failed,
    }


def main() -> int:
    """Run all parts, print the table and what failed; 1 if anything did, or if the time was too short."""
    seed, scale = (
        os.environ.get("SEED") or str(time.time_ns() % 10**6),
        float(os.environ.get("SOAK") or 1),
    )
    print(f"SEED={seed} SOAK={scale:g}", flush=True)
    end = time.monotonic() + 60 * MINUTES
    planned = {kind: max(1, int(n * scale)) for kind, n in {**DISTURBED, **FUZZED}.items()}
    jobs = [
        (kind, at)
        for kind, n in planned.items()
        for at in range(0, n, CHUNK if kind in FUZZED else 1)
    ]
    tallies = {kind: Counter[str]() for kind in planned}
    failures: list[str] = []

    def work(job: tuple[str, int]) -> None:
        kind, first = job
        if time.monotonic() < end:
            left = min(CHUNK, planned[kind] - first)
            found = (
                fuzzed(kind, seed, first, left) if kind in FUZZED else disturbed(kind, seed, first)
            )
            tallies[kind].update(found["tally"])
            failures.extend(found["failures"])

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(work, jobs))
    rows = [
        (kind, tally.total(), tally["refused"], tally["fine"], tally["failed"])
        for kind, tally in tallies.items()
    ]
    failures += [
        f"{kind}: only {row[0]} of {planned[kind]}" for kind, *row in rows if row[0] < planned[kind]
    ]
    print(
        to_table(("what", "tried", "refused cleanly", "fine", "failed"), rows), *failures, sep="\n"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
