"""The figures of a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from padviz.phrases import by_side, listed


class Corners(msgspec.Struct, frozen=True):
    """The four corner pixels; None for a fair share that is not defined."""

    top_left: int | float | None
    top_right: int | float | None
    bottom_left: int | float | None
    bottom_right: int | float | None

    @property
    def first(self) -> int | float | None:
        """The first sample of a signal."""
        return self.top_left

    @property
    def last(self) -> int | float | None:
        """The last sample of a signal."""
        return self.top_right


class PerAxis(msgspec.Struct, frozen=True):
    """One figure for each axis."""

    height: float
    width: float

    @property
    def length(self) -> float:
        """The figure of a signal, which is counted as a map of one row."""
        return self.width


class FairShare(msgspec.Struct, frozen=True):
    """The figures of the fair share f: usage over that of an interior pixel at the same stride
    phase.

    `starved` and `overused` are the shares of pixels with f below 1/2 and above 3/2, compared
    exactly; `unused` that of pixels that even the interior never reads, which have no f. `min` and
    `max` are the extremes of f; `skew` is the second half minus the first over the sum.
    `rings` are means of f over rings of one period, from the border inwards, 16 at most; `ripple`
    is the largest over the smallest of the interior's counts, zeros left out; `period` is its rows
    and columns.

    >>> import padviz
    >>> round(padviz.usage("resnet50", 225).summary().share.starved, 3)
    0.281
    """

    starved: float
    overused: float
    unused: float
    min: float
    max: float
    corners: Corners
    skew: PerAxis
    rings: list[float]
    ripple: float
    period: list[int]


class Fairness(msgspec.Struct, frozen=True):
    """What has fair shares, or None: their first figures."""

    share: FairShare | None

    @property
    def starved(self) -> float | None:
        """The share of the pixels that are starved."""
        if self.share is None:
            return None
        return self.share.starved

    @property
    def overused(self) -> float | None:
        """The share of the pixels that are overused."""
        if self.share is None:
            return None
        return self.share.overused

    @property
    def unused(self) -> float | None:
        """The share of the pixels that no window reads."""
        if self.share is None:
            return None
        return self.share.unused


class Rim(msgspec.Struct, frozen=True):
    """The depth of the band along each side, in pixels: [top, bottom] and [left, right].

    >>> import padviz
    >>> padviz.usage("resnet50", 224).summary().rim
    Rim(height=[14, 34], width=[14, 34])
    """

    height: list[int]
    width: list[int]

    @property
    def depths(self) -> tuple[int, ...]:
        """All four sides: top, bottom, left, right."""
        return *self.height, *self.width

    @property
    def top(self) -> int:
        return self.height[0]

    @property
    def bottom(self) -> int:
        return self.height[1]

    @property
    def left(self) -> int:
        return self.width[0]

    @property
    def right(self) -> int:
        return self.width[1]

    # of a signal
    before, after = left, right

    @property
    def short(self) -> str:
        """The depths as short as a table cell.

        >>> Rim([14, 34], [14, 34]).short, Rim([9, 9], [9, 9]).short, Rim([0, 3], [2, 2]).short
        ('14, 34', '9', '0, 3 / 2')
        """
        texts = [
            str(near) if near == far else f"{near}, {far}"
            for near, far in (self.height, self.width)
        ]
        return " / ".join(dict.fromkeys(texts))

    @property
    def words(self) -> str:
        """The depths in words.

        >>> print(Rim([14, 34], [14, 34]).words)
        the outer 14 px above and left and 34 px below and right
        >>> Rim([9, 9], [9, 9]).words, Rim([0, 3], [0, 0]).words
        ('the outer 9 px on all sides', 'the outer 3 px below')
        """
        if not any(self.depths):
            return "none"
        if len({*self.depths}) == 1:
            return f"the outer {self.height[0]} px on all sides"
        return f"the outer {listed(by_side(self.depths, 'px'))}"


class Target(msgspec.Struct, frozen=True):
    """The target layer and its shape; lists where there are several."""

    layer: str | list[str]
    shape: list[Any]

    @property
    def names(self) -> list[str]:
        """The names of the target layers."""
        if isinstance(self.layer, str):
            return [self.layer]
        return self.layer


def rim_in(rim: Rim | None, starved: float | None) -> str | None:
    """Return the depths of a rim as short as a table cell, if the image is not all rim.

    >>> rim_in(Rim([14, 34], [14, 34]), 0.45), rim_in(Rim([14, 34], [14, 34]), 1.0)
    ('14, 34', 'none: all is rim')
    """
    if rim is None:
        return None
    if starved == 1:
        return "none: all is rim"
    return rim.short


class Summary(Fairness, frozen=True):
    """The figures of a map. Exact counts are ints; mean, shares and rational counts are floats.

    `marginalised` is the share of pixels with less than half of the maximum; it mixes the pattern
    of strides with the border, which `share` does not. `asymmetry` is the largest difference
    between a pixel and its mirror image over the maximum; `skew` the second half minus the first
    over the sum. `method` is "tiled" if only a core was counted and "dense" if every position was.
    `share` has the figures of the fair share, None if the map has none, for the reason in
    `share_reason`. `rim` and `overused_rim` are the depths of the bands that are starved and
    overused, on an image large enough that the sides are apart. `heads` is "share" if each of
    several targets has the same weight, "sum" if each path has. `notes` are caveats, as for an
    exported file that is counted at another size than its own.
    """

    network: str
    size: list[int]
    padding: str | None
    pooling: str
    target: Target
    heads: str
    unit: list[int] | list[list[int]] | None
    min: int | float
    max: int | float
    mean: float
    centre: int | float
    corners: Corners
    marginalised: float
    asymmetry: PerAxis
    skew: PerAxis
    share_reason: str | None
    rim: Rim | None
    overused_rim: Rim | None
    gates_left_out: int
    method: str
    notes: list[str]


def unit_text(unit: Sequence[int | list[int] | slice]) -> str:
    """Write a unit or a box of units as on the command line.

    >>> unit_text([3, 4]), unit_text([[0, 3], [2, 5]]), unit_text((3, slice(None, 2)))
    ('3,4', '0:3,2:5', '3,:2')
    """
    texts = []
    for part in unit:
        if isinstance(part, slice):
            ends = [part.start, part.stop]
        elif isinstance(part, list):
            ends = [*part]
        else:
            ends = [part]
        texts.append(":".join("" if end is None else str(end) for end in ends))
    return ",".join(texts)


def percent(share: float, digits: int = 1, sign: str = "") -> str:
    """Format a share in percent; with `sign` "+", a difference.

    >>> percent(0.4512), percent(0.4512, 0), percent(0.0769, 2, "+")
    ('45.1 %', '45 %', '+7.69 %')
    """
    return f"{100 * share:{sign}.{digits}f} %"
