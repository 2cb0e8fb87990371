"""Compare networks of other libraries with their gradients: `python -m tests.zoo [-o PAGE] [--library NAME ...]`.

Each network is judged in a process of its own, which gets two minutes of a core.
"""

import argparse
import multiprocessing
import os
import resource
import signal
import statistics
import sys
import warnings
from collections import Counter
from importlib import metadata
from multiprocessing.connection import Connection
from multiprocessing.pool import ThreadPool
from pathlib import Path

import torch

from tests.zoo.building import Entry, build, entries, library_of, load_library
from tests.zoo.judging import Judgement, judge

LIMIT = 120  # seconds of a core for all of a network: building, reading, and the oracles
PATIENCE = 20 * LIMIT  # seconds to wait for them
MEMORY = 10 * 2**30  # bytes
VERDICTS = ("counts", "support", "refused", "not judged", "wrong")


def _judged(entry: Entry, pipe: Connection) -> None:
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # an oracle that is too large gives up
    warnings.simplefilter("ignore")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # of libraries that greet
    try:
        pipe.send(judge(lambda: build(entry), entry.sizes))
    except Exception as error:
        pipe.send(
            Judgement(
                "not judged", f"{type(error).__name__}: {error}"[:300].replace("\n", " "), 0.0
            )
        )


def judged_apart(entry: Entry) -> Judgement:
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_judged, args=(entry, send), daemon=True
    )
    process.start()
    send.close()
    try:
        if receive.poll(PATIENCE):
            return receive.recv()
    except EOFError:
        process.join()
        if process.exitcode != -signal.SIGXCPU:
            return Judgement("not judged", "the process died", 0.0)
    finally:
        process.kill()
        process.join()
    return Judgement("not judged", f"longer than {LIMIT} s", LIMIT)


HEAD = """# Tested networks

**The tables compare what padviz reads of each network with the network's own gradients.** `make test-zoo` builds the
networks with random weights and reads each as a module.

- *counts*: usage equals the gradient of the module with all weights 1, in every pixel at every size.
- *support*: each unit reads exactly the pixels that have a gradient (four choices of units of each last map).
- *refused*: padviz names the layer that it cannot read, and gives no result.
- *not judged*: padviz gives a result that neither test can check.
- *wrong*: padviz gives a result that the gradient contradicts.

"""


def page(judged: dict[Entry, Judgement]) -> str:
    """Markdown: what is held and how, the libraries' versions, how long reading took, and the tables."""
    distributions = {"smp": "segmentation-models-pytorch"}
    names = dict.fromkeys(library_of(each) for each in judged)
    versions = ", ".join(
        f"{name} {metadata.version(distributions.get(name, name))}" for name in names
    )
    times = [
        one.seconds for one in judged.values() if one.verdict not in ("refused", "not judged")
    ] or [0.0]
    spent = (
        f"Reading took {statistics.median(times):.2f} s in the median, {max(times):.1f} s at most."
    )
    return f"{HEAD}{versions}. {spent}\n\n{table(judged)}"


def table(judged: dict[Entry, Judgement]) -> str:
    """Markdown: a row a library, then a row for each network that is not held."""
    libraries = list(dict.fromkeys(each.library for each in judged))
    lines = [
        f"| library | networks | {' | '.join(VERDICTS)} |",
        "|---|" + "---|" * (len(VERDICTS) + 1),
    ]
    for library in [*libraries, "all"]:
        counts = Counter(
            one.verdict for each, one in judged.items() if library in ("all", each.library)
        )
        lines.append(
            f"| {library} | {counts.total()} | "
            + " | ".join(str(counts[v]) for v in VERDICTS)
            + " |"
        )
    lines += ["", "| network | verdict | why |", "|---|---|---|"]
    for each, one in judged.items():
        if one.verdict not in ("counts", "support"):
            words = one.words.replace("|", "\\|").replace("\n", " ")
            lines.append(f"| {each.library} {each.name} | {one.verdict} | {words} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", type=Path)
    parser.add_argument("--library", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    chosen = [each for each in entries() if not options.library or each.library in options.library]
    for entry in {each.library: each for each in chosen}.values():
        load_library(entry)  # once, for all its networks
    judged: dict[Entry, Judgement] = {}
    with ThreadPool(options.jobs) as pool:
        for entry, one in zip(chosen, pool.imap(judged_apart, chosen), strict=True):
            judged[entry] = one
            print(entry.library, entry.name, *one, file=sys.stderr, flush=True)
    print(page(judged))
    if options.o:
        options.o.write_text(page(judged))
    return any(one.verdict == "wrong" for one in judged.values())


if __name__ == "__main__":
    sys.exit(main())
