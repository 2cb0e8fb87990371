"""Counts while they are walked: limbs, and the bound that proves how many of them there must be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from padviz.engine.apply import LIMB_BITS, Array, apply, carry
from padviz.engine.axis_map import AxisMap
from padviz.engine.limbs import HOLDS

CARRIED = (1 << LIMB_BITS) - 1  # what no carried limb passes
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
            a, b = (replace(each, limbs=extended(each.limbs, longest)) for each in (a, b))
        return Tally(a.limbs + b.limbs, a.limb + b.limb, a.most + b.most)

    def ready(self, gain: int) -> Tally:
        """The same counts with room to grow by `gain`: carried, into more limbs where they need them."""
        if self.limb * gain < HOLDS or self.limbs.dtype.kind == "f":
            return self
        return self.carried()

    def carried(self) -> Tally:
        """The same counts in limbs of `LIMB_BITS`, as many as the largest may need."""
        limbs = extended(self.limbs, limbs_for(self.most))
        if self.limb >> LIMB_BITS:
            carry(limbs)
        return Tally(limbs, CARRIED, self.most)

    def settled(self) -> Tally:
        """The same counts, carried where int64 might not hold one."""
        return self if self.most < HOLDS or self.limbs.dtype.kind == "f" else self.carried()

    def through(self, made: AxisMap | None, axis: int, engine: str, passing: bool = False) -> Tally:
        """The counts that a map makes of these along an axis."""
        if made is None:
            return self
        if made.gain > MOST_GAIN and self.limb * made.gain >= HOLDS and self.limbs.dtype.kind != "f":
            first, *others = (self.through(part, axis, engine) for part in made.parts(MOST_GAIN))
            return sum(others, start=first)
        ready = self.ready(made.gain)
        limbs = apply(made, ready.limbs, axis, engine=engine, passing=passing)
        return Tally(limbs, ready.limb * made.gain, ready.most * made.gain)


def limbs_for(most: int) -> int:
    """How many limbs hold carried counts up to `most`."""
    return -(-most.bit_length() // LIMB_BITS)


def extended(limbs: Array, n: int) -> Array:
    """The same counts in at least `n` limbs."""
    if len(limbs) >= n:
        return limbs
    longer = np.zeros((n, *limbs.shape[1:]), dtype=limbs.dtype)
    longer[: len(limbs)] = limbs
    return longer
