"""The page of the atlas, docs/atlas.html: a table that is searched and sorted without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader

import padviz.advice
from padviz.advice.atlas import AtlasRow, atlas
from padviz.errors import typed
from padviz.pages.html import static
from padviz.version import __version__

HERE = Path(__file__).parent
FILE = Path(padviz.advice.__file__).with_name("atlas.json")
# What makes a network without arguments; those of other libraries need some.
MODULES = {"padviz": "{}", "timm": "timm.models:{}", "torchvision": "torchvision.models:{}"}
REASONS = {"gate": "a gate reads all positions"}


class Column(NamedTuple):
    name: str
    words: str


COLUMNS = (
    Column("network", "one name, and how many more networks have this geometry"),
    Column(
        "rim",
        "px above, below, left and right in which a pixel has less than half the paths of one"
        " far from every border",
    ),
    Column("starved", "share of the image in the rim"),
    Column("overused", "share of the image with more than 3/2 of these paths"),
    Column("uneven", "convolutions + pools that read more padding on one side"),
    Column("stride", "px from one unit of the output to the next; of several outputs, all"),
    Column("grid offset", "px from the image's centre to that of the output's units"),
    Column("receptive field", "px that a unit of the output sees, height x width"),
    Column("context", "px that a tile must have around it, or why no tile is exact"),
    Column("size", "height x width in pixels, by default"),
)


def cells(row: AtlasRow) -> list[tuple[str, float | str | None]]:
    """Return what each column shows, and what it sorts by; None where it is not known."""
    others = sum(map(len, row.names.values())) - 1
    rim = None if row.rim is None else max(row.rim)
    offset = (
        None
        if row.offset is None
        else max((abs(side) for side in row.offset if side is not None), default=None)
    )
    context = row.context and "{}, {}, {}, {}".format(*row.context)
    return [
        (f"{row.name} and {others} more" if others else row.name, row.name.lower()),
        ("not known" if row.rim is None else ", ".join(map(str, row.rim)), rim),
        percent(row.starved),
        percent(row.overused),
        (f"{row.uneven} + {row.uneven_pools}", row.uneven + row.uneven_pools),
        (
            ", ".join("?" if stride is None else f"{stride:g}" for stride in row.strides),
            row.strides[0],
        ),
        ("not known" if offset is None else f"{offset:g}", offset),
        ("not known" if row.field is None else by(row.field), row.field and row.field[0]),
        (
            context or REASONS.get(row.no_context or "", row.no_context or ""),
            row.context and max(row.context),
        ),
        (by(row.size), row.size[0] * row.size[1]),
    ]


def percent(share: float | None) -> tuple[str, float | None]:
    return ("not known" if share is None else f"{share:.1%}".replace("%", " %"), share)


def by(sides: list[int]) -> str:
    return " x ".join(map(str, sides))


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
                f"padviz audit {typed(model.format(row.name))} --size {'x'.join(map(str, row.size))}",
            )
        )
    else:
        lines.append(("built by experiments/atlas_networks.py", ""))
    return lines


def lopsided(row: AtlasRow) -> bool:
    return row.rim is not None and (row.rim[0] != row.rim[1] or row.rim[2] != row.rim[3])


def page() -> str:
    libraries = json.loads(FILE.read_text())["libraries"]
    rows: list[dict[str, Any]] = []
    for row in atlas():
        words = [row.family, *(word for part in row.names.items() for word in (part[0], *part[1]))]
        rows.append(
            {
                "cells": cells(row),
                "more": more(row),
                "libraries": [*row.names],
                "search": " ".join(words).lower(),
                "lopsided": lopsided(row),
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
