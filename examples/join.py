"""Join the JSON of several commands by the keys that they share, and print one line for each.

padviz usage resnet50 --size 224 --no-picture --format json > usage.json
padviz layers resnet50 --size 224 --format json > layers.json
python join.py usage.json layers.json layer
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SHARED = ("network", "size", "padding")
Record = dict[str, Any]


def records(facts: Record) -> list[Record]:
    """Return the rows of a command's JSON, each with the head: what a row says overrides that."""
    head = {key: value for key, value in facts.items() if key not in ("rows", "files")}
    return [{**head, **row} for row in facts["rows"]]


def joined(commands: Iterable[Record], *more: str) -> dict[tuple[str, ...], Record]:
    """Merge rows that agree on network, size and padding, and on `more` keys where they have them.

    The figures of each command stand under its name.
    """
    table: dict[tuple[str, ...], Record] = {}
    for facts in commands:
        for record in records(facts):
            key = tuple(json.dumps(record.get(name)) for name in (*SHARED, *more))
            table.setdefault(key, {}).setdefault(record["command"], []).append(record)
    return table


def main(paths: Sequence[str], keys: Sequence[str]) -> None:
    found = joined([json.loads(Path(path).read_text()) for path in paths], *keys)
    for key, by_command in found.items():
        counts = ", ".join(f"{name} {len(rows)}" for name, rows in by_command.items())
        print(" ".join(key), counts, sep=": ")


if __name__ == "__main__":
    given = sys.argv[1:]
    main([word for word in given if word.endswith(".json")], [w for w in given if "." not in w])
