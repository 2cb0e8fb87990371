"""What an export keeps of each item beside its files, as NAME.json; what padviz cannot have written is passed over."""

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
NAME = re.compile(r"(?!\.)[\w.+=,@~-]+")  # of an item: what it may hold besides letters steers nothing
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
    """The figures of a coverage map."""

    full: int | float
    least_share: float


class _Uneven(Struct):
    layers: list[dict[str, Any]]


class Taps(Struct):
    """The tap exposure of a layer."""

    layer: str
    units: int
    grid: list[list[int]]
    imbalance: PerAxis


class _Taps(Struct):
    layers: Annotated[list[Taps], Meta(min_length=1)]


class Group(Struct):
    """Axes of convolutions that are alike, and their mean skew."""

    strided: bool
    axes: Annotated[int, Meta(ge=1)]
    skew: float


class _Filters(Struct):
    groups: list[Group]


class Mean(Struct):
    """The mean border energy under a padding."""

    padding: str | None
    energy: float | None


class _Responses(Struct):
    means: Annotated[list[Mean], Meta(min_length=1)]


class _Compared(Struct):
    varies: str
    values: list[str]


class _Kernel(Struct):
    uses: dict[str, Any]


SHAPES: dict[str, Any] = {  # the figures that the index and the gallery read
    "usage": Summary, "coverage": Coverage, "uneven": Ledger, "taps": _Taps, "filters": _Filters,
    "responses": _Responses, "compare": _Compared, "kernel": _Kernel,
}  # fmt: skip
_Plain: Any = bool | int | float | str | None
_Figure: Any = _Plain
for _ in range(DEEPEST):  # deeper ones could not be written again
    _Figure = _Plain | list[_Figure] | dict[str, _Figure]


def facts_of(item: Item) -> tuple[list[str], list[list[int]], list[str]]:
    """List the networks, the sizes and the paddings of an item, for its record and for filters."""
    networks = [*dict.fromkeys(net.name for net in item.networks if isinstance(net, Network))]
    if item.illustrated:
        side = item.illustrated.size
        return networks, [[side, side]], [*item.illustrated.paddings] or ["zero"]
    at = [size or item.network.size for size in item.sizes] if item.networks else []
    return networks, [[*size] for size in at], [padding or DECLARED for padding in item.paddings]


def record_of(item: Item, of: str, lengths: Mapping[str, int], figures: Mapping[str, Any]) -> bytes:
    """Write the record of an item with that fingerprint, whose files have these lengths, as JSON."""
    facts = SCHEMAS["export"], item.name, item.what, *facts_of(item)
    record = Record(*facts, of, [*lengths], [*lengths.values()], plain(figures))
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def records(folder: Path) -> list[Record]:
    """List the records in a folder whose files are all there, by name."""
    candidates = (read_record(folder, path.stem) for path in sorted(folder.glob("*.json")))
    return [record for record in candidates if record and is_whole(record, folder)]


def read_record(folder: Path, name: str) -> Record | None:
    """Read the record of an item, if padviz can have written it: of its own files, with all its figures."""
    path = folder / f"{name}.json"
    try:
        if path.is_symlink():
            return None
        record = msgspec.json.decode(read_file(path, "a record", MOST_BYTES), type=Record)
        msgspec.convert(record.figures, dict[str, _Figure])
        figures = result_of(record)
    except (PadvizError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, SystemError):
        return None  # older versions of msgspec answer an integer that no float holds with a SystemError
    named = record.name == name and NAME.fullmatch(name)
    own = len({*record.files}) == len(record.files) == len(record.lengths) and {*record.files} <= {*files_of(name)}
    return record if named and own and (not isinstance(figures, Summary) or _is_sound(figures)) else None


def result_of(record: Record) -> Any:
    """Read the figures of a record as the result that they are of, as far as the index and the gallery need it."""
    figures = record.figures
    if record.what == "uneven":
        layers = msgspec.convert(figures, _Uneven).layers
        figures = figures | {"layers": [layer | {"axes": _axes_of(layer)} for layer in layers]}
    return msgspec.convert(figures, SHAPES[record.what])


def _axes_of(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what a layer of a ledger has on each axis."""
    axes = {key: value for key, value in layer.items() if any(key in names for names in AXES.values())}
    if not axes:
        raise KeyError("axes")
    return axes


def files_of(name: str) -> tuple[str, ...]:
    """List all files that an item may have beside its record."""
    return f"{name}.npz", f"{name}.png", f"{THUMBS}/{name}.png"


def is_whole(record: Record, folder: Path) -> bool:
    """Tell whether its files are there, as long as they were."""
    try:
        stats = [(folder / name).lstat() for name in record.files]
    except OSError:
        return False
    return (
        all(stat.S_ISREG(status.st_mode) for status in stats) and [status.st_size for status in stats] == record.lengths
    )


def _is_sound(figures: Summary) -> bool:
    """Tell whether the counts are of one kind and within their bounds, so that they can be divided."""
    corners = figures.corners
    counts = figures.min, corners.top_left, corners.top_right, corners.bottom_left, corners.bottom_right
    return all(type(n) is type(figures.max) and 0 <= n <= figures.max for n in counts)
