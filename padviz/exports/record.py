"""The record of each item of an export, NAME.json next to its files; records by others are ignored."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from padviz.counting.shares.summary import PerAxis, Summary
from padviz.errors import PadvizError
from padviz.exports.items import Item
from padviz.exports.manifest import DECLARED, Side
from padviz.files.opened import read_file
from padviz.geometry.ledger import Ledger
from padviz.network.network import AXES, Network
from padviz.reports.documents import plain
from padviz.version import SCHEMAS

THUMBS = "thumbs"
NAME = re.compile(r"(?!\.)[\w.+=,@~-]+")  # of an item: nothing that a path or a terminal interprets
MOST_BYTES = 1 << 26
DEEPEST = 6  # lists within lists


class Record(Struct, frozen=True):
    """The figures of an item, and the fingerprint of what made it.

    `lengths` are the bytes of each file: one that was cut off since is made again.
    """

    schema_version: int
    name: str
    what: str
    networks: list[str]
    sizes: list[Annotated[list[Side], Meta(min_length=2, max_length=2)]]
    paddings: Annotated[list[str], Meta(min_length=1)]
    fingerprint: str
    files: list[str]
    lengths: list[int]
    figures: dict[str, Any]


class Coverage(Summary, frozen=True):
    full: int | float
    least_share: float


class TapGrid(Struct):
    """How often each tap of a layer reads a real pixel."""

    layer: str
    units: int
    grid: list[list[int]]
    imbalance: PerAxis

    @property
    def worst(self) -> float:
        return max(abs(self.imbalance.height), abs(self.imbalance.width))


class TapGrids(Struct):
    layers: Annotated[list[TapGrid], Meta(min_length=1)]


class Skew(Struct):
    strided: bool
    axes: Annotated[int, Meta(ge=1)]
    skew: float


class Skews(Struct):
    groups: list[Skew]


class Energy(Struct):
    padding: str | None
    energy: float | None


class Energies(Struct):
    means: Annotated[list[Energy], Meta(min_length=1)]


class ComparedFigures(Struct):
    varies: str
    values: list[str]


class KernelFigures(Struct):
    uses: dict[str, object]


ItemFigures = Summary | Ledger | TapGrids | Skews | Energies | ComparedFigures | KernelFigures
SHAPES: dict[str, type[ItemFigures]] = {  # what the index and the gallery read
    "usage": Summary, "coverage": Coverage, "uneven": Ledger, "taps": TapGrids, "filters": Skews,
    "responses": Energies, "compare": ComparedFigures, "kernel": KernelFigures,
}  # fmt: skip
_Scalar: Any = bool | int | float | str | None
_Value: Any = _Scalar
for _ in range(DEEPEST):  # deeper ones could not be written again
    _Value = _Scalar | list[_Value] | dict[str, _Value]


def facts_of(item: Item) -> dict[str, Any]:
    """Return what an item is of, as its record lists it."""
    names = [net.name for net in item.networks if isinstance(net, Network)] or item.models
    if item.kernel:
        sizes, paddings = [[item.kernel.size] * 2], [*item.kernel.paddings] or ["zero"]
    else:
        sizes = [[*(size or item.network.size)] for size in item.sizes] if item.networks else []
        paddings = [padding or DECLARED for padding in item.paddings]
    about = {"name": item.name, "what": item.what, "networks": [*dict.fromkeys(names)]}
    return {**about, "sizes": sizes, "paddings": paddings}


def record_of(item: Item, fingerprint: str, lengths: Mapping[str, int], figures: Mapping[str, object]) -> bytes:
    """Return the record of an item as JSON; `lengths` are the bytes of each file."""
    files: dict[str, Any] = {"fingerprint": fingerprint, "files": [*lengths], "lengths": [*lengths.values()]}
    record = Record(schema_version=SCHEMAS["export"], **facts_of(item), **files, figures=plain(figures))
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def records(folder: Path) -> list[Record]:
    """List the records in a folder whose files are all there, by name."""
    candidates = (read_record(folder, path.stem) for path in sorted(folder.glob("*.json")))
    return [record for record in candidates if record and is_whole(record, folder)]


def read_record(folder: Path, name: str) -> Record | None:
    """Read the record of an item, or None if padviz cannot have written it: it must list its own files and figures."""
    path = folder / f"{name}.json"
    try:
        if path.is_symlink():
            return None
        record = msgspec.json.decode(read_file(path, "a record", MOST_BYTES), type=Record)
        msgspec.convert(record.figures, dict[str, _Value])
        figures = figures_of(record)
    except (PadvizError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, SystemError):
        return None  # older versions of msgspec answer an integer that no float holds with a SystemError
    named = record.name == name and NAME.fullmatch(name)
    allowed = {f"{name}.npz", f"{name}.png", f"{THUMBS}/{name}.png"}
    files = {*record.files}
    own = len(files) == len(record.files) == len(record.lengths) and files <= allowed
    return record if named and own and (not isinstance(figures, Summary) or _is_sound(figures)) else None


def figures_of(record: Record) -> ItemFigures:
    """Convert the figures of a record to their type."""
    figures = record.figures
    if record.what == "uneven":
        layers = msgspec.convert(figures["layers"], list[dict[str, Any]])
        figures = figures | {"layers": [layer | {"axes": _axes_of(layer)} for layer in layers]}
    return msgspec.convert(figures, SHAPES[record.what])


def _axes_of(layer: Mapping[str, object]) -> dict[str, object]:
    axes = {key: value for key, value in layer.items() if any(key in names for names in AXES.values())}
    if not axes:
        raise KeyError("axes")
    return axes


def is_whole(record: Record, folder: Path) -> bool:
    """Return whether its files are there, at the lengths that they had."""
    try:
        stats = [(folder / name).lstat() for name in record.files]
    except OSError:
        return False
    regular = all(stat.S_ISREG(status.st_mode) for status in stats)
    return regular and [status.st_size for status in stats] == record.lengths


def _is_sound(figures: Summary) -> bool:
    """Return whether the counts are of one type and within their bounds, so that they can be divided."""
    corners = figures.corners
    counts = figures.min, corners.top_left, corners.top_right, corners.bottom_left, corners.bottom_right
    return all(type(n) is type(figures.max) and 0 <= n <= figures.max for n in counts)
