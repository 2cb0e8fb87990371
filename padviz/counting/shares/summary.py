"""The figures that sum a map up."""

from __future__ import annotations

from typing import Any

import msgspec


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


class CornerShares(msgspec.Struct, frozen=True):
    """The fair shares of the four corner pixels; None where they have none.

    >>> import padviz
    >>> round(padviz.usage("vgg11", 64).summary().share.corners.top_left, 4)
    0.0096
    """

    top_left: float | None
    top_right: float | None
    bottom_left: float | None
    bottom_right: float | None


class FairShare(msgspec.Struct, frozen=True):
    """The figures of the fair share f of each pixel: its usage over the interior's at its place in the pattern.

    `starved` and `overused` are the shares of the pixels with f below 1/2 and above 3/2, compared exactly; `unused` of
    those that even the interior never reads, which have no f. `least` and `most` are the extremes of f, `skew` how much
    more of it the second half has than the first, over the sum. `rings` are the means of f over rings of one period,
    from the border inwards, 16 at most; `ripple` is the largest over the smallest of the interior's counts, zeros left
    out, and `period` its rows and columns.

    >>> import padviz
    >>> round(padviz.usage("resnet50", 225).summary().share.starved, 3)
    0.281
    """

    period: list[int]
    starved: float
    overused: float
    unused: float
    least: float
    most: float
    corners: CornerShares
    skew: PerAxis
    rings: list[float]
    ripple: float


class Rim(msgspec.Struct, frozen=True):
    """How deep the band next to each side is, in pixels: [top, bottom] and [left, right].

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
    def short(self) -> str:
        """The sides in a cell.

        >>> Rim([14, 34], [14, 34]).short, Rim([9, 9], [9, 9]).short, Rim([0, 3], [2, 2]).short
        ('14, 34', '9', '0, 3 / 2')
        """
        texts = [str(near) if near == far else f"{near}, {far}" for near, far in (self.height, self.width)]
        return " / ".join(dict.fromkeys(texts))

    @property
    def words(self) -> str:
        """The sides in words.

        >>> print(Rim([14, 34], [14, 34]).words)
        the outer 14 px above and left and 34 px below and right
        >>> Rim([9, 9], [9, 9]).words, Rim([0, 3], [0, 0]).words
        ('the outer 9 px on all sides', 'the outer 3 px below')
        """
        sides: dict[int, list[str]] = {}
        for side, depth in zip(("above", "below", "left", "right"), self.depths, strict=True):
            sides.setdefault(depth, []).append(side)
        sides.pop(0, None)
        if len(sides.get(self.height[0], [])) == 4:
            return f"the outer {self.height[0]} px on all sides"
        parts = [f"{depth} px {' and '.join(where)}" for depth, where in sides.items()]
        return f"the outer {', '.join(parts[:-1])}{' and ' * (len(parts) > 1)}{parts[-1]}" if parts else "none"


class Target(msgspec.Struct, frozen=True):
    """The target layer and its shape; lists where several layers add up.

    >>> Target("conv1", [112, 112]).shape
    [112, 112]
    """

    layer: str | list[str]
    shape: list[Any]

    @property
    def names(self) -> list[str]:
        """The layers, however many they are."""
        return [self.layer] if isinstance(self.layer, str) else self.layer


class Summary(msgspec.Struct, frozen=True):
    """The figures of a map. Exact counts are ints; mean, shares and rational counts are floats.

    `marginalised` is the share of pixels used less than half as much as the maximum; `asymmetry`
    the largest difference between a pixel and its mirror image, over the maximum; `skew` how much
    more the second half is used than the first, over the sum. `method` is "tiled" where only a core
    was counted, of which the map is made, and "dense" where every position was. `share` has the figures of the fair
    share, or is None where the map follows no pattern, for the reason in `share_reason`. `rim` is the depth of the
    band that gets less than half of an interior pixel's weight, on an image large enough that the sides are apart, and
    `overused_rim` of the one that gets more than 3/2; None where there is no share. `heads` is "share" where
    each of several targets has the same weight, and "sum" where each path has. `marginalised` mixes the
    pattern of strides with the border, which `share` does not. `notes` are sentences on what else
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
    heads: str
    unit: list[Any] | None
    min: int | float
    max: int | float
    mean: float
    centre: int | float
    corners: Corners
    marginalised: float
    asymmetry: PerAxis
    skew: PerAxis
    share: FairShare | None
    share_reason: str | None
    rim: Rim | None
    overused_rim: Rim | None
    gates_left_out: int
    method: str
    notes: list[str]


def unit_text(unit: list[int] | list[list[int]]) -> str:
    """Write a unit or a box of units as people do.

    >>> unit_text([3, 4]), unit_text([[0, 3], [2, 5]])
    ('3,4', '0:3,2:5')
    """
    return ",".join(str(span) if isinstance(span, int) else f"{span[0]}:{span[1]}" for span in unit)


def percent(share: float, digits: int = 1, sign: str = "") -> str:
    """Write a share in percent; with `sign` "+", a difference.

    >>> percent(0.4512), percent(0.4512, 0), percent(0.0769, 2, "+")
    ('45.1 %', '45 %', '+7.69 %')
    """
    return f"{100 * share:{sign}.{digits}f} %"
