"""The file NAME.json of each item: its result's own JSON, and under "item" what it was made of.

An item is finished if this file has the right digest and the files that it lists are whole. Files
by others are ignored.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from padviz.analyses.result import Result
from padviz.errors import PadvizError
from padviz.exports.cards import Card, card_of, cells_of
from padviz.exports.items import Item
from padviz.figures.canvas import DEFAULT, DrawingOptions
from padviz.files.opened import read_file
from padviz.files.unfinished import digest_of
from padviz.network.network import Network
from padviz.reports.rendering import in_html, to_json
from padviz.reports.report import Facts
from padviz.version import __version__

THUMBS = "thumbs"
NAME = re.compile(r"(?!\.)[\w.+=,@~-]+")  # of an item: nothing that a path or a terminal interprets
MOST_BYTES = 1 << 26
DEEPEST = 9  # lists within lists
_Scalar: Any = bool | int | float | str | None
_Value: Any = _Scalar
for _ in range(DEEPEST):  # deeper ones could not be written again
    _Value = _Scalar | list[_Value] | dict[str, _Value]
DECODER = msgspec.json.Decoder(dict[str, _Value])


class Look(NamedTuple):
    """File formats, matplotlib's name of the colour map, and the size and theme of pictures."""

    formats: tuple[str, ...] = ("png",)
    cmap: str | None = None
    drawing: DrawingOptions = DEFAULT


class About(Struct, frozen=True):
    """What an item was made of, as options spell it.

    `lengths` are the bytes of each file: one that was cut off since is made again.
    """

    name: str
    what: str
    networks: list[str]
    sizes: list[Annotated[str, Meta(pattern=r"^\d{1,7}(x\d{1,7}){0,2}$")]]
    paddings: list[str]
    cmap: str | None
    digest: str
    lengths: dict[str, int]

    def is_whole(self, folder: Path) -> bool:
        """Return whether its files are there, at the lengths that they had."""
        try:
            statuses = [(folder / name).lstat() for name in self.lengths]
        except OSError:
            return False
        regular = all(stat.S_ISREG(status.st_mode) for status in statuses)
        return regular and [status.st_size for status in statuses] == [*self.lengths.values()]


class Sidecar(NamedTuple):
    """The file of an item: what it was made of, all of its JSON, and what the index shows of it.

    That is a card in the gallery, its figures in HTML, and cells of CSV.
    """

    about: About
    facts: dict[str, object]
    card: Card
    figures: str
    cells: dict[str, object]


def digest_item(item: Item, look: Look) -> str:
    """Hash all that an item depends on: networks, options, contents of weights, the version.

    >>> from padviz.exports.items import expand
    >>> from padviz.exports.manifest import Manifest, Maps
    >>> one, other = expand(Manifest(maps=[Maps(["vgg11"], [64, 65])]))
    >>> digest_item(one, Look()) == digest_item(one, Look()) != digest_item(other, Look())
    True
    """
    networks: list[object] = []
    for network, size in item.pairs:
        if isinstance(network, Network):
            networks.append(
                (size, network.name, network.title, network.size, network.layers, network.targets)
            )
        else:
            networks.append((size, network.line))
    whole = repr((__version__, item.analysis, networks, item.arguments, item.reading, look))
    try:
        return digest_of([whole.encode("utf-8", "backslashreplace")], item.files)
    except PadvizError:  # who reads the file reports it
        return ""


def sidecar_of(
    item: Item, result: Result[object], digest: str, look: Look, lengths: Mapping[str, int]
) -> str:
    """Write a result's JSON with what it was made of; `lengths` are the bytes of each file."""
    about = {**item.about, "cmap": look.cmap, "digest": digest, "lengths": lengths}
    report = result._report
    return (
        to_json(
            report._replace(facts={"item": about, **report.facts}, files=without_thumb(lengths))
        )
        + "\n"
    )


def without_thumb(files: Iterable[str]) -> list[str]:
    return [name for name in files if not name.startswith(f"{THUMBS}/")]


def read_sidecar(folder: Path, name: str) -> Sidecar | None:
    """Read the JSON of an item, or return None if padviz cannot have written it."""
    path = folder / f"{name}.json"
    allowed = {f"{name}.npz", f"{name}.png", f"{THUMBS}/{name}.png"}
    if path.is_symlink():
        return None
    try:
        facts = DECODER.decode(read_file(path, "an item", MOST_BYTES))
        about = msgspec.convert(facts["item"], About)
        card, cells = card_of(about.what, facts), cells_of(about.what, facts)
        figures = in_html(Facts(card.facts))
    except Exception:  # a file of somebody else may hold anything
        return None
    if about.name != name or not NAME.fullmatch(name) or not {*about.lengths} <= allowed:
        return None
    return Sidecar(about, facts, card, figures, cells)


def sidecars(folder: Path) -> list[Sidecar]:
    """List the finished items in a folder by name."""
    read = [read_sidecar(folder, path.stem) for path in sorted(folder.glob("*.json"))]
    return [sidecar for sidecar in read if sidecar and sidecar.about.is_whole(folder)]
