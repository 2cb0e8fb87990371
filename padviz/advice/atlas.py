"""The atlas: what padviz reads of a thousand published networks, each at its default size.

`make atlas` reads the networks and writes the file. Looking one up needs none of their libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import msgspec

from padviz.counting.shares.summary import Rim

FINE = 4  # input pixels from one unit of an output to the next, up to which it is called fine


class AtlasRow(msgspec.Struct, frozen=True, array_like=True):
    """The networks of one geometry, whose outputs read the same layers at three sizes.

    All are square, and alike on both axes. `names` has their names by library, `size` the side of
    the image in pixels. `rim` is its depth above or left, and below or right; it is None where fair
    shares are not defined. `uneven` and `uneven_pools` count convolutions and pools that read more
    padding on one side. `strides` are those of the outputs. `offset` and `field` are those of the
    output that sees most: None where branches have different centres, or where it sees the whole
    image. `context` has the pixels that tiles need before and after; it is None where no tile is
    exact, for the reason in `no_context`.

    `accepted` and `balanced` are rules of sizes, for one network of each family, whose layers were
    read at eight sizes. A row in the file ends before its last nulls.
    """

    names: dict[str, list[str]]
    family: str
    size: int
    rim: list[int] | None = None
    starved: float | None = None
    overused: float | None = None
    uneven: int = 0
    uneven_pools: int = 0
    strides: list[float | None] = []
    offset: float | None = None
    field: int | None = None
    context: list[int] | None = None
    no_context: str | None = None
    accepted: str | None = None
    balanced: str | None = None

    @property
    def library(self) -> str:
        """The first of the libraries."""
        return next(iter(self.names))

    @property
    def name(self) -> str:
        """The first of its names there."""
        return self.names[self.library][0]

    @property
    def depths(self) -> Rim | None:
        """The depths of the four sides."""
        if self.rim is None:
            return None
        return Rim(self.rim, self.rim)

    @property
    def mean(self) -> float:
        """The mean rim of the four sides, which must be known."""
        return sum(self.rim or []) / 2

    @property
    def kind(self) -> str | None:
        """The kind of networks that it is compared with."""
        return kind_of(self.strides)


class Atlas(msgspec.Struct, frozen=True):
    """What is read of the file."""

    rows: list[AtlasRow]


def kind_of(strides: Sequence[Fraction | float | None]) -> str | None:
    """Return what a network's output has in common with those that it is compared with; None where
    its stride is not known.

    >>> kind_of([32]), kind_of([8, 16, 32]), kind_of([1]), kind_of([Fraction(1, 8)])
    ('an output stride of 32', 'several outputs', 'an output stride of 1 to 4', \
'an output finer than the image')
    """
    if len(strides) > 1:
        return "several outputs"
    stride = next(iter(strides), None)
    if stride is None:
        return None
    if stride < 1:
        return "an output finer than the image"
    if stride <= FINE:
        return f"an output stride of 1 to {FINE}"
    return f"an output stride of {float(stride):g}"


@lru_cache(1)
def atlas() -> list[AtlasRow]:
    """Return all rows, the narrowest rim first; those without a rim come last."""
    text = Path(__file__).with_name("atlas.json").read_bytes()
    return msgspec.json.decode(text, type=Atlas).rows


def with_rims(kind: str | None) -> list[AtlasRow]:
    """Return the rows of a kind that have a rim; none where the kind is not known."""
    if kind is None:
        return []
    return [row for row in atlas() if row.rim is not None and row.kind == kind]


def nearest(rim: Rim, kind: str | None) -> list[AtlasRow]:
    """Return the networks of a kind, those first whose four sides differ least from a rim."""

    def distance(row: AtlasRow) -> int:
        sides = zip((row.rim or []) * 2, rim.depths, strict=True)
        return sum(abs(a - b) for a, b in sides)

    return sorted(with_rims(kind), key=distance)


def find(name: str) -> AtlasRow | None:
    """Return the row of a network by its name, or by its library and name; None if it is not there.

    A built-in network comes before one of another library that has the same name.
    """
    matches = []
    for row in atlas():
        for library, names in row.names.items():
            if name.removeprefix(f"{library} ") in names:
                matches.append(row)
    return min(matches, key=lambda row: "padviz" not in row.names, default=None)
