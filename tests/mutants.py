"""Mutants that tests must kill: each is padviz with another comparison, constant or axis, or a branch never taken.

`python -m tests.mutants -n 20 --seed 1 [ROOM...]` runs in a copy the tests of each one's room, then the laws of all.
"""

import argparse
import ast
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
SECONDS = 900
UNREAD = (".*", "__pycache__", "dist")
LAWS = [f"tests/test_{name}.py" for name in ("laws", "cases", "formats", "turning")]
HOMES = {
    "analyses": ["tests/api", "tests/cli"],
    "reports": ["tests/cli", "tests/files"],
    "cli": ["tests/pages"],
    "nn": ["tests/repadding"],
    "network": ["tests/geometry"],
}  # of rooms with few
SWAPPED = {"<": "<=", ">": ">=", "==": "!=", "is": "is not", "in": "not in"}
OTHER = {
    "height": "width",
    "top": "left",
    "bottom": "right",
    "rows": "cols",
    "row": "col",
    "before": "after",
}
OTHER, SWAPPED = (
    {**pairs, **{there: here for here, there in pairs.items()}} for pairs in (OTHER, SWAPPED)
)


class Mutant(NamedTuple):
    path: Path
    node: ast.expr
    now: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.node.lineno}: {ast.unparse(self.node)} -> {self.now}"

    def text(self) -> str:
        lines = self.path.read_bytes().splitlines(keepends=True)  # in which ast counts columns
        first, last = self.node.lineno - 1, (self.node.end_lineno or 0) - 1
        before, after = (
            lines[first][: self.node.col_offset],
            lines[last][self.node.end_col_offset :],
        )
        return b"".join(
            [*lines[:first], before, self.now.encode(), after, *lines[last + 1 :]]
        ).decode()


def changes(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    match node:
        case ast.If(test=test) | ast.IfExp(test=test):
            yield test, "False"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            sign = ast.unparse(ast.Compare(ast.Name("a"), [op], [ast.Name("b")]))[2:-2]
            yield node, f"({ast.unparse(left)} {SWAPPED[sign]} {ast.unparse(right)})"
        case ast.Subscript(slice=ast.Constant(value=0 | 1 as at) as index) if type(at) is int:
            yield index, str(1 - at)
        case ast.Attribute(value=value, attr=name) if name in OTHER:
            yield node, f"{ast.unparse(value)}.{OTHER[name]}"
        case ast.Constant(value=bool() as value):
            yield node, str(not value)
        case ast.Constant(value=int() as value):
            yield node, f"({value + 1})"


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a module; types are not run, and f-strings have no places before Python 3.12."""
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    kept = [getattr(node, name, None) for node in nodes for name in ("annotation", "returns")]
    kept += [node for node in nodes if isinstance(node, ast.JoinedStr)]
    # asserts, no more
    kept += [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "strict"]
    aside = {id(part) for each in kept if each for part in ast.walk(each)}
    return [
        Mutant(path, where, now)
        for node in nodes
        if id(node) not in aside
        for where, now in changes(node)
        if ast.unparse(where) not in ("TYPE_CHECKING", now)
    ]


def killer(mutant: Mutant, copy: Path) -> str:
    place = mutant.path.relative_to(ROOT)
    room = place.parts[1].removesuffix(".py")
    named = (f"tests/{room}", f"tests/test_{room}.py", str(place), *HOMES.get(room, ()))
    own = [name for name in named if (ROOT / name).exists()]
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    (copy / place).write_text(mutant.text())
    try:
        for tests in (own, LAWS):
            run = [sys.executable, "-m", "pytest", "-xqrfE", "-p", "no:benchmark", *tests]
            done = subprocess.run(
                run,
                cwd=copy,
                env=environment,
                capture_output=True,
                check=False,
                preexec_fn=_within_limits,
            )
            if done.returncode < 0:  # a mutant may go on for ever, or break a compiled library
                return signal.Signals(-done.returncode).name
            if done.returncode:  # and where nothing has failed, pytest could not run
                words = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout.decode(), re.MULTILINE)
                return words[0] if words else sys.exit(done.stdout.decode() + done.stderr.decode())
        return ""
    finally:
        shutil.copy(mutant.path, copy / place)


def _within_limits() -> None:
    """Seconds of a core, since a busy machine kills no mutant."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "rooms", nargs="*", help="as cutting, or sources/onnx: all where none is named"
    )
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    folders = [ROOT / "padviz" / room for room in asked.rooms or ["."]]
    found = [
        mutant
        for each in folders
        for path in sorted(each.rglob("*.py"))
        for mutant in mutants(path)
    ]
    drawn = Random(asked.seed).sample(found, min(asked.n, len(found)))
    copies: SimpleQueue[Path] = SimpleQueue()

    def tried(mutant: Mutant) -> str:
        copy = copies.get()
        by = killer(mutant, copy)
        copies.put(copy)
        print(f"killed by {by}: {mutant}" if by else f"SURVIVES: {mutant}", flush=True)
        return "" if by else str(mutant)

    with TemporaryDirectory() as folder, ThreadPoolExecutor(asked.jobs) as pool:
        for job in range(asked.jobs):
            copies.put(Path(folder, str(job), "padviz"))
            shutil.copytree(
                ROOT,
                Path(folder, str(job), "padviz"),
                symlinks=True,
                ignore=shutil.ignore_patterns(*UNREAD),
            )
        survivors = [*filter(None, pool.map(tried, drawn))]
    sys.exit("\n".join(survivors) or 0)


if __name__ == "__main__":
    main()
