"""The figures that sum a map up."""

from __future__ import annotations

from typing import Any

import msgspec

SCHEMA_VERSION = 1


class Corners(msgspec.Struct, frozen=True):
    """The four corner pixels.

    >>> import padviz
    >>> padviz.usage("vgg11", 64).summary().corners.top_left
    414736
    """

    top_left: int | float
    top_right: int | float
    bottom_left: int | float
    bottom_right: int | float


class PerAxis(msgspec.Struct, frozen=True):
    """One figure for each axis.

    >>> PerAxis(0.25, 0.0).height
    0.25
    """

    height: float
    width: float


class Target(msgspec.Struct, frozen=True):
    """The target layer and its shape; lists where several layers add up.

    >>> Target("conv1", [112, 112]).shape
    [112, 112]
    """

    layer: str | list[str]
    shape: list[Any]


class Summary(msgspec.Struct, frozen=True):
    """The figures of a map. Exact counts are ints; mean, shares and rational counts are floats.

    `marginalised` is the share of pixels used less than half as much as the maximum; `asymmetry`
    the largest difference between a pixel and its mirror image, over the maximum; `skew` how much
    more the second half is used than the first, over the sum. `method` is "tiled" where only a core
    was counted, of which the map is made, and "dense" where every position was. `notes` are sentences on what else
    to know, as where an exported file is counted at another size than its own.

    Examples
    --------
    >>> import padviz
    >>> padviz.usage("vgg19", 512).summary().corners.top_left
    6998130578404
    """

    schema_version: int
    network: str
    size: list[int]
    padding: str | None
    pooling: str
    target: Target
    unit: list[list[int]] | list[int] | None
    min: int | float
    max: int | float
    mean: float
    centre: int | float
    corners: Corners
    marginalised: float
    asymmetry: PerAxis
    skew: PerAxis
    gates_left_out: int
    method: str
    notes: list[str]


def unit_text(unit: list[int] | list[list[int]]) -> str:
    """A unit or a box of units as people write it.

    >>> unit_text([3, 4]), unit_text([[0, 3], [2, 5]])
    ('3,4', '0:3,2:5')
    """
    return ",".join(str(each) if isinstance(each, int) else f"{each[0]}:{each[1]}" for each in unit)
