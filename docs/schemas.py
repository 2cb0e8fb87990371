"""Write a JSON Schema of the rows of each command, from their types: `make schemas`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from padviz.advice.remedies import Outcome
from padviz.analyses import (
    audit,
    check,
    coverage,
    detect,
    filters,
    kernel,
    layers,
    networks,
    repad,
    responses,
    rings,
    rules,
    run_tiles,
    seen,
    shards,
    sizes,
    stream,
    taps,
    tiles,
    trial,
    uneven,
    verify,
)
from padviz.counting.shares.summary import Summary
from padviz.cutting.plan import Kept
from padviz.cutting.seams import Seams
from padviz.geometry.comparing.differences import Difference
from padviz.reports.rows import PARTS, flat_key, record_in
from padviz.version import SCHEMA_VERSION

FOLDER = Path(__file__).parent / "reference" / "schemas"
Schema = dict[str, Any]
ROWS: dict[str, tuple[type, ...]] = {
    "audit": (audit.AuditRow, Outcome),
    "check": (check.CheckRow,),
    "compare": (Summary, audit.Failed),
    "coverage": (coverage.CoverageRow,),
    "detect": (detect.DetectRow,),
    "diff": (Difference,),
    "filters": (filters.FilterRow,),
    "keeps": (Kept,),
    "kernel": (kernel.KernelRow,),
    "layers": (layers.LayerFacts,),
    "networks": (networks.ListedNetwork,),
    "repad": (repad.RepadRow,),
    "responses": (responses.ResponseRow,),
    "rings": (rings.RingRow,),
    "rules": (rules.Explained,),
    "run-tiles": (run_tiles.RunRow,),
    "seams": (Seams,),
    "seen": (seen.SeenRow,),
    "shards": (shards.ShardedLayer,),
    "sizes": (sizes.SizeRow,),
    "stream": (stream.StreamRow,),
    "taps": (taps.TapRow,),
    "tiles": (tiles.TileRow,),
    "trial": (trial.TrialResultRow,),
    "uneven": (uneven.UnevenRow,),
    "usage": (Summary,),
    "verify": (verify.Answer,),
}
# Keys of classes that no row has, and what compare has in place of the class of a failure.
LEFT_OUT = {"shards": {"parts"}, "compare": {"title", "scheme"}}
SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", Fraction: "number"}
TEXT, TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}


def of_type(hint: Any) -> Schema:
    """Return the schema of a value.

    >>> of_type(list[int] | None)
    {'anyOf': [{'type': 'array', 'items': {'type': 'integer'}}, {'type': 'null'}]}
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return {"anyOf": [of_type(argument) for argument in arguments]}
    if origin is Literal:
        return {"enum": [*arguments]}
    if hint is NoneType:
        return {"type": "null"}
    if hint in SCALARS:
        return {"type": SCALARS[hint]}
    if origin in (list, tuple):
        return {"type": "array", "items": of_type(arguments[0])}
    return {}


def keys_of(kind: type) -> Iterator[tuple[str, Schema, bool]]:
    """Yield the keys of a row, the schema of each, and whether all rows have it."""
    total = getattr(kind, "__total__", True)
    for name, wrapped in get_type_hints(kind, include_extras=True).items():
        required, hint = total, wrapped
        if get_origin(wrapped) in (NotRequired, Required):
            required, (hint,) = get_origin(wrapped) is Required, get_args(wrapped)
        record = record_in(hint)
        if record is None:
            yield name, of_type(hint), required
        elif record.__name__ in PARTS:
            variants = PARTS[record.__name__]
            for part in " ".join(variants).split():
                # An image has some of them, a signal others.
                figure = of_type(float | None)
                yield flat_key(name, part), figure, required and len(variants) == 1
        else:
            for key, schema, always in keys_of(record):
                nullable = {"anyOf": [schema, {"type": "null"}]}
                yield flat_key(name, key), nullable, required and always


def schema_of(command: str) -> Schema:
    """Return the JSON Schema of a command's JSON; its figures beside the rows are not described."""
    properties, required = {}, []
    for kind in ROWS[command]:
        for key, schema, always in keys_of(kind):
            if key in LEFT_OUT.get(command, ()):
                continue
            # A row that lacks an optional key which others have says null.
            properties[key] = schema if always else {"anyOf": [schema, {"type": "null"}]}
            if always:
                required.append(key)
    if command in ("audit", "compare"):  # a network that cannot run has no figures
        properties = {key: {"anyOf": [each, {"type": "null"}]} for key, each in properties.items()}
    row = {"type": "object", "properties": properties, "required": sorted({*required})}
    head: Schema = {
        "schema_version": {"const": SCHEMA_VERSION},
        "padviz": TEXT,
        "command": {"const": command},
        "network": of_type(str | None),
        "size": of_type(list[int] | None),
        "padding": of_type(str | None),
        "notes": TEXTS,
        "rows": {"type": "array", "items": {**row, "additionalProperties": False}},
        "files": TEXTS,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"padviz {command} --format json",
        "type": "object",
        "properties": head,
        "required": [*head],
    }


def text_of(command: str) -> str:
    return json.dumps(schema_of(command), indent=1) + "\n"


def main(check: bool) -> int:
    """Write the files, or with `check` name those that are not current."""
    stale = 0
    FOLDER.mkdir(exist_ok=True)
    for name in ROWS:
        path = FOLDER / f"{name}.json"
        if not check:
            path.write_text(text_of(name))
        elif not path.exists() or path.read_text() != text_of(name):
            print(f"{path}: not current; run make schemas")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
