"""The maps that counting gives, and the figures that sum them up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from padviz import wide
from padviz.errors import OptionError
from padviz.kernels import Array
from padviz.network import Network, Size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1


class Corners(msgspec.Struct, frozen=True):
    """The four corner pixels."""

    top_left: int | float
    top_right: int | float
    bottom_left: int | float
    bottom_right: int | float


class PerAxis(msgspec.Struct, frozen=True):
    """One figure for each axis."""

    height: float
    width: float


class Target(msgspec.Struct, frozen=True):
    """The target layer and its shape; lists where several layers add up."""

    layer: str | list[str]
    shape: list[Any]


class Summary(msgspec.Struct, frozen=True):
    """The figures of a map. Exact counts are ints; mean, shares and rational counts are floats.

    `marginalised` is the share of pixels used less than half as much as the maximum; `asymmetry`
    the largest difference between a pixel and its mirror image, over the maximum; `skew` how much
    more the second half is used than the first, over the sum.
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


@dataclass(frozen=True, eq=False, repr=False)
class CountMap:
    """Paths counted at each position: exact integers, or floats in rational modes.

    In a usage map the positions are input pixels, and the paths lead from each to the target. In a
    coverage map they are the target's units, the paths reach each from the input, and `full` is the
    number that a unit far from all padding has. `tally` holds the counts as (limbs, height, width);
    see `padviz.wide`. Read `counts` instead.

    Examples
    --------
    >>> import padviz
    >>> padviz.usage("vgg19", 512).max == 9**16
    True
    """

    network: Network
    size: Size
    padding: str | None
    pooling: str
    target: Target
    unit: list[list[int]] | list[int] | None
    tally: Array
    full: int | float | None = None

    @cached_property
    def counts(self) -> NDArray[Any]:
        """Shape (height, width): int64, or Python ints where int64 cannot hold them, or float64."""
        return wide.to_ints(self.tally)

    @property
    def shape(self) -> Size:
        """(height, width) of the map: pixels, or units for coverage."""
        return self.tally.shape[1], self.tally.shape[2]

    @cached_property
    def max(self) -> int | float:
        """The largest count, a Python int."""
        return wide.largest(self.tally)

    @cached_property
    def min(self) -> int | float:
        """The smallest count, a Python int."""
        return wide.smallest(self.tally)

    @cached_property
    def total(self) -> int | float:
        """The sum over all positions, a Python int."""
        return wide.total(self.tally)

    @property
    def share(self) -> NDArray[np.float64]:
        """Counts over `full`: of a unit's paths, the share that starts at real pixels (coverage maps)."""
        if self.full is None:
            raise OptionError("a usage map has no share; only coverage has", where=self.network.name)
        return wide.shares(self.tally) * (self.max / self.full)

    def at(self, row: int, col: int) -> int | float:
        """The count at one position, a Python number."""
        return wide.value_at(self.tally, row, col)

    def summary(self) -> Summary:
        """The figures that describe the map; see `Summary`."""
        height, width = self.shape
        at = self.at
        return Summary(
            schema_version=SCHEMA_VERSION,
            network=self.network.name,
            size=[*self.size],
            padding=self.padding,
            pooling=self.pooling,
            target=self.target,
            unit=self.unit,
            min=self.min,
            max=self.max,
            mean=_mean(self.total, height * width),
            centre=at(height // 2, width // 2),
            corners=Corners(at(0, 0), at(0, -1), at(-1, 0), at(-1, -1)),
            marginalised=wide.count_below_half(self.tally, self.max) / (height * width),
            asymmetry=PerAxis(self._asymmetry(1), self._asymmetry(2)),
            skew=PerAxis(self._skew(1), self._skew(2)),
            gates_left_out=len(self.network.gates),
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the heat map into `ax`, or into a new figure; see `padviz.draw.heatmap`."""
        from padviz import draw

        return draw.plot(self, ax, **options)

    def _repr_png_(self) -> bytes:
        from padviz import draw

        return draw.png(draw.heatmap(self))

    def __repr__(self) -> str:
        height, width = self.shape
        return f"<CountMap {self.network.name} {height}x{width} {self.min}..{self.max} paths>"

    def _asymmetry(self, axis: int) -> float:
        if not self.max:
            return 0.0
        return wide.largest_difference(self.tally, np.flip(self.tally, axis)) / self.max

    def _skew(self, axis: int) -> float:
        n = self.tally.shape[axis]
        first = wide.total(self.tally.take(range(n // 2), axis))
        second = wide.total(self.tally.take(range(n - n // 2, n), axis))
        return (second - first) / self.total if self.total else 0.0


def _mean(total: int | float, n: int) -> float:
    try:
        return total / n
    except OverflowError:  # beyond what a float holds: the whole number, which loses nothing a person could see
        return total // n


def unit_text(unit: list[int] | list[list[int]]) -> str:
    """A unit or a box of units as people write it.

    >>> unit_text([3, 4]), unit_text([[0, 3], [2, 5]])
    ('3,4', '0:3,2:5')
    """
    return ",".join(str(each) if isinstance(each, int) else f"{each[0]}:{each[1]}" for each in unit)
