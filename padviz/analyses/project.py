"""What `padviz check` reads beside models: the expectations in pyproject.toml, and the baseline
file.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from padviz.analyses.check import EXPECTATIONS, Checked, expected
from padviz.analyses.rules import Judged
from padviz.errors import DescriptionError, OptionError, nearest, shortly
from padviz.files.atomic import atomic_path
from padviz.files.opened import read_file
from padviz.network.network import Size, sizes_in
from padviz.reports.tables import pixels
from padviz.sources.toml.load import MOST_BYTES, read_toml

FILE = "pyproject.toml"
TABLE = f"{FILE}, [tool.padviz]"


class Entry(NamedTuple):
    """A model of pyproject.toml, its sizes, and what is expected of it."""

    model: str
    sizes: Sequence[Size | None]
    wanted: Mapping[str, object]


def entries() -> tuple[list[Entry], str | None]:
    """Read [tool.padviz] in this folder: the models with their expectations, and the name of the
    baseline.

    Raises OptionError for a file, a key or a value that cannot be used.
    """
    if not os.path.lexists(FILE):
        raise OptionError(
            "is missing", where="MODEL", hint=f"name one, or write {FILE} with [tool.padviz]"
        )
    try:
        tools = read_toml(FILE, "a project's settings").get("tool")
    except DescriptionError as error:
        raise OptionError(f"cannot be read: {error.what}", where=FILE) from None
    table = None
    if isinstance(tools, dict):
        table = tools.get("padviz")
    hint = '[[tool.padviz.check]] with model = "resnet50" and what is expected'
    if not isinstance(table, dict) or not table.get("check"):
        raise OptionError("lists no models", where=TABLE, hint=f"write {hint}")
    _check_keys(table, ["baseline", "check"], TABLE)
    baseline, checks = table.get("baseline"), table["check"]
    if not isinstance(baseline, str | None):
        raise OptionError(
            f"{shortly(baseline)} is not the name of a file", where=f"{TABLE}, baseline"
        )
    if not isinstance(checks, list) or not all(isinstance(entry, dict) for entry in checks):
        raise OptionError("is not a list of tables", where=f"{TABLE}, check", hint=f"write {hint}")
    return [
        _entry(entry, f"{TABLE}, check {number}") for number, entry in enumerate(checks, 1)
    ], baseline


def _entry(table: Mapping[str, object], where: str) -> Entry:
    _check_keys(table, ["model", "size", *EXPECTATIONS], where)
    wanted = {name: value for name, value in table.items() if name in EXPECTATIONS}
    model, size = table.get("model"), table.get("size")
    if not isinstance(model, str):
        raise OptionError(
            "model is missing" if model is None else "model must be a name", where=where
        )
    for name in ("same_as", "any_size"):
        if not isinstance(wanted.get(name, ""), str):
            raise OptionError(f"{shortly(wanted[name])}: must be a text", where=f"{where}, {name}")
    try:
        return Entry(model, (None,) if size is None else sizes_in(str(size)), expected(**wanted))
    except OptionError as error:
        raise OptionError(error.what, where=f"{where}, {error.option}", hint=error.hint) from None


def _check_keys(table: Iterable[str], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            hint = nearest(key, known, 1) or f"use {', '.join(known)}"
            raise OptionError(f"has no key {key!r}", where=where, hint=hint)


Identity = tuple[str, str, str, str, str]  # model, size, axis, layer, rule
KEYS = ("model", "size", "axis", "layer", "rule")
Baseline = dict[Identity, float]  # with the figures, of which larger ones are worse


def findings_of(parts: Sequence[Checked]) -> Baseline:
    """Return what failed, by its identity; several findings of one identity add up."""
    figures: Counter[Identity] = Counter()
    for part in parts:
        for row in part.rows:
            if row.state == "fails":
                figures[_identity(part, row)] += row.figure  # type: ignore[assignment]
    return dict(figures)


def _identity(part: Checked, row: Judged) -> Identity:
    return part.model, pixels(part.size), row.axis, row.layer, row.expectation


def compared(parts: Sequence[Checked], known: Baseline, every: bool) -> list[Checked]:
    """Mark what a baseline holds as known, unless it is worse; what is gone from it fails.

    With `every`, the baseline has no models beside those that were checked.
    """
    now, marked = findings_of(parts), []
    for part in parts:
        rows = [_marked(row, known, now, _identity(part, row)) for row in part.rows]
        marked.append(replace(part, rows=tuple(rows)))
    judged, unjudged = {(part.model, pixels(part.size)) for part in parts}, _unjudged(parts)
    gone = [key for key in known if key not in now and key[0] not in unjudged]
    if not every:
        gone = [key for key in gone if key[:2] in judged]
    for (model, size), keys in groupby(sorted(gone), lambda key: key[:2]):
        marked.append(Checked(model, sizes_in(size)[0] if size else (), tuple(map(_gone, keys))))
    return marked


def _marked(row: Judged, known: Baseline, now: Baseline, key: Identity) -> Judged:
    """Return a row as known if it fails and the baseline holds it, unless it is worse now."""
    if row.state != "fails" or key not in known:
        return row
    if now[key] <= known[key]:
        return replace(row, state="known")
    worse = f"{row.found} (worse than the baseline: {now[key]:g}, was {known[key]:g})"
    return replace(row, found=worse)


def _unjudged(parts: Sequence[Checked]) -> set[str]:
    return {part.model for part in parts if part.count("not judged")}


def _gone(key: Identity) -> Judged:
    return Judged(
        key[4],
        "fails",
        key[3],
        key[2],
        "in the baseline",
        "no longer found",
        "--prune-baseline removes it",
    )


def pruned(parts: Sequence[Checked], known: Baseline) -> Baseline:
    """Return a baseline without what is gone, and with the figures that have improved; nothing is
    added.
    """
    now, open_ = findings_of(parts), _unjudged(parts)
    left = [key for key in known if key in now or key[0] in open_]
    return {key: min(known[key], now.get(key, known[key])) for key in left}


def read_baseline(path: Path) -> Baseline:
    """Read a baseline file. Raises OptionError for what is not one."""
    if not path.exists():
        raise OptionError("no such file", where=str(path), hint="write one with --write-baseline")
    try:
        listed = json.loads(read_file(path, "a baseline", MOST_BYTES))
        known: Baseline = {}
        for finding in listed:
            model, size, axis, layer, rule = (str(finding[key]) for key in KEYS)
            known[model, size, axis, layer, rule] = float(finding["figure"])
        return known
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = f"is not a baseline ({type(error).__name__}: {error})"
        raise OptionError(what, where=str(path), hint="write one with --write-baseline") from None


def write_baseline(path: Path, baseline: Baseline) -> None:
    entries = [
        {**dict(zip(KEYS, key, strict=True)), "figure": figure}
        for key, figure in sorted(baseline.items())
    ]
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
