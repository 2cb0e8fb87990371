"""The index of an export's folder: JSON and CSV for scripts, and a gallery that opens from disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from math import prod
from pathlib import Path

import msgspec

from padviz.errors import OptionError, PadvizError
from padviz.exports.items import Item
from padviz.exports.manifest import MAPS, WHATS
from padviz.exports.saving import ItemOutcome
from padviz.exports.sidecars import Sidecar, read_sidecar, sidecars, without_thumb
from padviz.figures.colours import hex_stops
from padviz.files.atomic import atomic_path, locked
from padviz.files.opened import opened
from padviz.files.output import made_by_padviz
from padviz.pages.html import gallery, natural
from padviz.reports.documents import to_csv, to_json
from padviz.version import SCHEMA_VERSION, __version__

SUFFIXES = ("json", "csv", "html")
HEAD = ("name", "what", "networks", "sizes", "paddings")  # the first columns of index.csv


class _Index(msgspec.Struct):
    schema_version: int
    padviz: str
    items: list[dict[str, object]]
    failed: list[dict[str, object]]


def check_folder(folder: Path, items: Sequence[Item]) -> None:
    """Reject a folder whose index, or whose files of these items, somebody else wrote.

    In a folder with an index of padviz, the files of items are padviz's.
    """
    try:
        with opened(folder / "index.json", "an index") as file:
            msgspec.json.decode(file.read(), type=_Index)
            return
    except (PadvizError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        paths = [folder / f"index.{suffix}" for suffix in SUFFIXES]
    for item in items:
        # An export that was killed leaves finished items, and pictures of others.
        if not read_sidecar(folder, item.name):
            files = (folder / f"{item.name}.{suffix}" for suffix in ("json", "png", "npz"))
            paths += [path for path in files if not made_by_padviz(path)]
    for path in paths:
        if os.path.lexists(path):
            what = "exists, and padviz did not make it"
            raise OptionError(what, where=str(path), hint="name another folder")


def write_index(
    folder: Path, title: str, outcomes: Sequence[ItemOutcome], items: Sequence[Item]
) -> None:
    """Write index.json, index.csv and index.html: all items in `folder`, and those that failed."""
    named = {item.name: item for item in items}
    errors = {outcome.name: outcome.error for outcome in outcomes if outcome.state == "failed"}
    errors = {name: errors[name] for name in sorted(errors, key=natural)}
    failed = [{**named[name].about, "error": error} for name, error in errors.items()]
    with locked(folder):  # of several exports at once, the last lists the items of all
        listed = sorted(sidecars(folder), key=lambda sidecar: natural(sidecar.about.name))
        facts = {
            "schema_version": SCHEMA_VERSION,
            "padviz": __version__,
            "title": title,
            "failed": failed,
        }
        facts["items"] = [sidecar.facts for sidecar in listed]
        page = gallery(title, [*map(_card, listed)], errors)
        texts = to_json(facts), _sheet(listed, failed), page
        for suffix, text in zip(SUFFIXES, texts, strict=True):
            with atomic_path(folder / f"index.{suffix}") as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")


def _sheet(listed: Sequence[Sidecar], failed: Sequence[dict[str, object]]) -> str:
    """Write the single figures of all items as CSV, with the files of each, or its error."""
    rows: list[dict[str, object]] = []
    for sidecar in listed:
        about = {name: getattr(sidecar.about, name) for name in HEAD}
        rows.append({**about, **sidecar.cells, "files": " ".join(sidecar.about.lengths)})
    rows += failed
    columns = dict.fromkeys(chain(HEAD, *rows))
    return to_csv([*columns], [[row.get(name) for name in columns] for row in rows])


def _card(sidecar: Sidecar) -> dict[str, object]:
    """Return what the gallery shows of an item, and what it filters and sorts by."""
    about, card = sidecar.about, sidecar.card
    files = without_thumb(about.lengths)
    title = about.name
    if len(about.networks) == 1 and about.what in WHATS:
        title = about.networks[0]
    return {
        "name": about.name,
        "title": title,
        "what": [about.what],
        "network": about.networks,
        "size": [size.replace("x", "×") for size in about.sizes],
        "padding": about.paddings,
        "is_map": about.what in MAPS,
        "thumb": "".join({*about.lengths} - {*files}),
        "picture": "".join(name for name in files if name.endswith(".png")),
        "files": [(name, name.rpartition(".")[2]) for name in (*files, f"{about.name}.json")],
        "bar": card.bar and {"colours": hex_stops(about.cmap or card.cmap), "labels": card.bar},
        "ledger": card.ledger,
        "taps": card.taps,
        "figures": sidecar.figures,
        "rank": {**card.rank, "pixels": max(map(_pixels, about.sizes), default=0)},
    }


def _pixels(size: str) -> int:
    return prod(map(int, size.split("x")))
