"""The page of the atlas, docs/atlas.html: a table that is searched and sorted without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader

import padviz.advice
from padviz.advice.atlas import AtlasRow, atlas
from padviz.advice.evidence import is_lopsided
from padviz.errors import typed
from padviz.pages.html import static
from padviz.version import __version__

HERE = Path(__file__).parent
FILE = Path(padviz.advice.__file__).with_name("atlas.json")
# What makes a network without arguments; those of other libraries need some.
MODULES = {"padviz": "{}", "timm": "timm.models:{}", "torchvision": "torchvision.models:{}"}


class Column(NamedTuple):
    name: str
    words: str


COLUMNS = (
    Column("network", "one name, and how many more networks have this geometry"),
    Column(
        "rim",
        "px above or left, and px below or right, in which a pixel has less than half the paths of"
        " one far from every border",
    ),
    Column("starved", "share of the image in the rim"),
    Column("overused", "share of the image with more than 3/2 of these paths"),
    Column("uneven", "convolutions + pools that read more padding on one side"),
    Column("stride", "px from one unit of the output to the next; of several outputs, all"),
    Column("grid offset", "px from the image's centre to that of the output's units"),
    Column("receptive field", "px that a unit of the output sees, in height and in width"),
    Column(
        "context",
        "px that a tile must have above or left, and below or right, or why no tile is exact",
    ),
    Column("size", "side of the image in px, by default"),
)


def cells(row: AtlasRow) -> list[tuple[str, float | str | None]]:
    """Return what each column shows, and what it sorts by; None where it is not known."""
    others = sum(map(len, row.names.values())) - 1
    strides = ["not known" if stride is None else f"{stride:g}" for stride in row.strides]
    return [
        (f"{row.name} and {others} more" if others else row.name, row.name.lower()),
        pair(row.rim),
        percent(row.starved),
        percent(row.overused),
        (f"{row.uneven} + {row.uneven_pools}", row.uneven + row.uneven_pools),
        (", ".join(strides), row.strides[0] if row.strides else None),
        number(row.offset),
        number(row.field),
        pair(row.context, row.no_context or "not known"),
        number(row.size),
    ]


def number(value: float | None) -> tuple[str, float | None]:
    return ("not known" if value is None else f"{value:,g}", value)


def pair(depths: list[int] | None, reason: str = "not known") -> tuple[str, float | None]:
    """Return both depths, which sort by the larger one."""
    if depths is None:
        return (reason, None)
    return (", ".join(map(str, depths)), max(depths))


def percent(share: float | None) -> tuple[str, float | None]:
    return ("not known" if share is None else f"{share:.1%}".replace("%", " %"), share)


def point(row: AtlasRow) -> tuple[float, float] | None:
    """Return the stride and the mean rim of a network with one output; None where they are not known."""
    if row.rim is None or len(row.strides) != 1 or not row.strides[0]:
        return None
    return (row.strides[0], row.mean)


def more(row: AtlasRow) -> list[tuple[str, str]]:
    """Return what a row shows when it is opened: its names, its sizes, and what to type."""
    lines = [(f"{library}: {', '.join(names)}", "") for library, names in row.names.items()]
    if row.accepted:
        lines.append((f"accepts {row.accepted}; balanced: {row.balanced or 'not known'}", ""))
    model = MODULES.get(row.library)
    if model:
        lines.append(
            (
                "",
                f"padviz audit {typed(model.format(row.name))} --size {row.size}",
            )
        )
    else:
        lines.append(("built by experiments/atlas_networks.py", ""))
    return lines


def page() -> str:
    libraries = json.loads(FILE.read_text())["libraries"]
    rows: list[dict[str, Any]] = []
    # Built-in networks come first: people know them.
    for row in sorted(atlas(), key=lambda row: "padviz" not in row.names):
        words = [row.family, *(word for part in row.names.items() for word in (part[0], *part[1]))]
        rows.append(
            {
                "cells": cells(row),
                "more": more(row),
                "libraries": [*row.names],
                "search": " ".join(words).lower(),
                "point": point(row),
                "lopsided": row.depths is not None and is_lopsided(row.depths),
            }
        )
    facts = {
        "rows": rows,
        "columns": COLUMNS,
        "named": sum(len(names) for row in atlas() for names in row.names.values()),
        "libraries": [*libraries],
        "data": json.dumps(rows, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"),
        "look": static("look.css"),
        "script": (HERE / "atlas.js").read_text(),
        "refused": said(libraries),
        "version": __version__,
    }
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True)
    return environment.get_template("atlas.html.j2").render(facts)


def said(libraries: dict[str, dict[str, Any]]) -> str:
    """Say how many networks of each library have no row."""
    parts = [
        f"{name} {counts['version']}: {counts['read']} read, {counts['refused']} refused,"
        f" {counts['stopped']} stopped, {counts['patches']} with patches alone"
        for name, counts in libraries.items()
    ]
    return "; ".join(parts) + "."


if __name__ == "__main__":
    (HERE / "atlas.html").write_text(page())
