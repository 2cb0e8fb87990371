"""What the units of a layer see of the input on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The input rows, first and last, that a layer's units see, followed on an endless axis.

    They are `seen` by units 0 .. period - 1, and unit j + period sees those `stride` x period further on; where units
    are followed one by one, by all units of the map. `size` is the most rows that a unit of the map sees.
    `wavy` is set where a unit may see less far to one side than the unit before it, as cubic interpolation does where
    it looks at a row itself.

    >>> Reach([(-1, 1)], Fraction(2), 3).of(3)
    (5, 7)
    """

    seen: Sequence[Any] | NDArray[Any]
    stride: Fraction
    size: int
    whole: bool = False
    uneven_strides: bool = False
    wavy: bool = False

    def of(self, unit: int) -> Interval:
        """Find the rows that a unit sees."""
        turns, phase = divmod(unit, len(self.seen))
        low, high = (int(row) for row in self.seen[phase])
        advance = int(turns * len(self.seen) * self.stride)
        return low + advance, high + advance

    def mean_centre(self, m: int) -> Fraction:
        """Return the mean centre of the first `m` units.

        >>> Reach([(0, 1), (0, 1)], Fraction(1), 2).mean_centre(5)  # .5, .5, 2.5, 2.5, 4.5
        Fraction(21, 10)
        """
        turns, rest = divmod(m, len(self.seen))
        ends = int(np.sum(self.seen[:rest])) + (turns and turns * int(np.sum(self.seen)))
        further = turns * (turns - 1) * len(self.seen) + 2 * turns * rest
        return (ends + further * len(self.seen) * self.stride) / Fraction(2 * m)

    @property
    def line(self) -> tuple[Fraction, Fraction]:
        """The straight line that the centres follow: rows for each unit, and where it is at unit 0."""
        period = len(self.seen)
        return self.stride, self.mean_centre(period) - self.stride * (period - 1) / 2

    def on_the_line(self, m: int) -> bool:
        """Tell whether the centres of the first `m` units are evenly apart, as those of upsampled ones are not."""
        ends = np.sum(self.seen[:m], axis=1).astype(object)
        rows, units = self.stride.as_integer_ratio()
        return bool(((ends - ends[0]) * units == 2 * np.arange(len(ends)) * rows).all())


def whole(reaches: Sequence[Reach], n: int, image: int) -> Reach:
    """Unite the reaches of units of which each sees all that layers of `n` units see of an image of so many rows.

    >>> whole([Reach([(-1, 1)], Fraction(2), 3)], 4, 8).seen
    [(-1, 7)]
    """
    low = min(reach.of(unit)[0] for reach in reaches for unit in range(min(n, len(reach.seen))))
    high = max(reach.of(n - 1 - unit)[1] for reach in reaches for unit in range(min(n, len(reach.seen))))
    return Reach([(low, high)], Fraction(0), image, whole=True)
