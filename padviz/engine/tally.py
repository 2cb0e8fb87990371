"""Counts while they are walked: limbs, and the bound that proves how many of them there must be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from padviz.engine.apply import LIMB_BITS, Array, apply, carry
from padviz.engine.axis_map import AxisMap
from padviz.engine.limbs import HOLDS

CARRIED = (1 << LIMB_BITS) - 1  # what no carried limb passes
Maps = tuple[AxisMap | None, AxisMap | None]  # of a layer: along height and width
MOST_GAIN = (HOLDS - 1) >> LIMB_BITS  # of a map, for carried limbs to have room


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts as limbs, and what is proven of them: no limb passes `limb`, and no count passes `most`.

    Several limbs are there just where int64 might not hold a count.
    """

    limbs: Array
    limb: int
    most: int

    def __add__(self, other: Tally) -> Tally:
        a, b = self, other
        if a.limb + b.limb >= HOLDS:
            a, b = a.ready(2), b.ready(2)
        if len(a.limbs) != len(b.limbs):
            longest = max(len(a.limbs), len(b.limbs))
            a, b = (replace(tally, limbs=extended(tally.limbs, longest)) for tally in (a, b))
        return Tally(a.limbs + b.limbs, a.limb + b.limb, a.most + b.most)

    def ready(self, gain: int) -> Tally:
        """Make room to grow by `gain`: the same counts carried, into more limbs where they need them."""
        if self.limb * gain < HOLDS or self.limbs.dtype.kind == "f":
            return self
        return self.carried()

    def carried(self) -> Tally:
        """Carry the counts into limbs of `LIMB_BITS`, as many as the largest may need."""
        limbs = extended(self.limbs, limbs_for(self.most))
        if self.limb >> LIMB_BITS:
            carry(limbs)
        return Tally(limbs, CARRIED, self.most)

    def settled(self) -> Tally:
        """Carry the counts where int64 might not hold one."""
        return self if self.most < HOLDS or self.limbs.dtype.kind == "f" else self.carried()

    def pulled(self, maps: Maps, engine: str) -> Tally:
        """Take the counts through a map along height and one along width: widths first, while there are fewer rows."""
        down, across = maps
        return self._through(across, 2, engine, passing=down is not None)._through(down, 1, engine)

    def pushed(self, maps: Maps, engine: str) -> Tally:
        """Take the counts through a map along height and one along width: heights first, which leaves fewer rows."""
        down, across = maps
        return self._through(down, 1, engine, passing=across is not None)._through(across, 2, engine)

    def _through(self, axis_map: AxisMap | None, axis: int, engine: str, passing: bool = False) -> Tally:
        """Take the counts through a map along an axis."""
        if axis_map is None:
            return self
        if axis_map.gain > MOST_GAIN and self.limb * axis_map.gain >= HOLDS and self.limbs.dtype.kind != "f":
            first, *others = (self._through(part, axis, engine) for part in axis_map.parts(MOST_GAIN))
            return sum(others, start=first)
        ready = self.ready(axis_map.gain)
        limbs = apply(axis_map, ready.limbs, axis, engine=engine, passing=passing)
        return Tally(limbs, ready.limb * axis_map.gain, ready.most * axis_map.gain)


def limbs_for(most: int) -> int:
    """Count the limbs that hold carried counts up to `most`.

    >>> limbs_for((1 << 56) - 1), limbs_for(1 << 56)
    (1, 2)
    """
    return -(-most.bit_length() // LIMB_BITS)


def limbs_in(most: int, exact: bool) -> int:
    """Count the limbs of settled counts up to `most`: one as long as int64 holds them, and one of floats.

    >>> limbs_in((1 << 63) - 1, exact=True), limbs_in(1 << 63, exact=True), limbs_in(1 << 63, exact=False)
    (1, 2, 1)
    """
    return limbs_for(most) if exact and most >= HOLDS else 1


def extended(limbs: Array, n: int) -> Array:
    """Lay the same counts in at least `n` limbs."""
    if len(limbs) >= n:
        return limbs
    longer = np.zeros((n, *limbs.shape[1:]), dtype=limbs.dtype)
    longer[: len(limbs)] = limbs
    return longer
