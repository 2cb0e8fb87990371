"""Counts as limbs: integers of any length in int64 arrays, and their exact figures.

Arrays are (limbs, height, width). One limb holds int64 counts, or float64 for rational modes. More
limbs hold wide integers in base 2**LIMB_BITS, least significant first; where they are carried only
the last may be negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from padviz.engine.apply import Array, apply
from padviz.engine.axis_map import AxisMap

Number = int | float
Maps = tuple[AxisMap | None, AxisMap | None]  # of a layer: along height and width

HOLDS = 1 << 63  # int64 holds what is below
FLOATS = 1 << 1000  # and float64, with room
LIMB_BITS = (
    40  # leaves 23 bits for any layer to grow into before the next carry: no axis has as many rows
)
LIMB_BYTES = LIMB_BITS // 8
CARRIED = (1 << LIMB_BITS) - 1  # what no carried limb passes


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts as limbs, with proven bounds: no limb exceeds `limb`, no count exceeds `most`.

    There are several limbs only where int64 might not hold a count. Floats may be scaled: their
    counts are 2**exponent as large.
    """

    limbs: Array
    limb: int
    most: int
    exponent: int = 0

    def __add__(self, other: Tally) -> Tally:
        a, b = self, other
        if a.exponent != b.exponent:
            exponent = max(a.exponent, b.exponent)
            a, b = a.scaled(exponent), b.scaled(exponent)
        if a.limb + b.limb >= HOLDS:
            a, b = a.with_room(2), b.with_room(2)
        few, many = sorted((a.limbs, b.limbs), key=len)
        if len(few) < len(many):
            longer = np.zeros_like(many)
            longer[: len(few)] = few
            few = longer
        return Tally(few + many, a.limb + b.limb, a.most + b.most, a.exponent)

    def with_room(self, gain: int) -> Tally:
        """Return the same counts, carried if they would overflow when they grow by `gain`."""
        if self.limbs.dtype.kind == "f":
            if self.limb * gain < FLOATS:
                return self
            return self.scaled()
        if self.limb * gain < HOLDS:
            return self
        return self.carried()

    def scaled(self, exponent: int | None = None) -> Tally:
        """Return the same floats times another power of two, by default that which makes them at
        most 1.
        """
        if exponent is None:
            exponent = self.exponent + math.frexp(self.limbs.max())[1]
        limbs: Array = np.ldexp(self.limbs, self.exponent - exponent)
        return Tally(limbs, math.ceil(limbs.max()), self.most, exponent)

    def carried(self) -> Tally:
        """Return the same counts in carried limbs, enough for the largest possible count."""
        limbs: Array = np.empty(
            (max(limbs_for(self.most), len(self.limbs)), *self.limbs.shape[1:]), dtype=np.int64
        )
        over: Array | int = 0
        for i, limb in enumerate(limbs):
            limb[:] = over
            if i < len(self.limbs):
                limb += self.limbs[i]
            if i + 1 < len(limbs):
                over = limb >> LIMB_BITS
                limb &= CARRIED
        return Tally(limbs, CARRIED, self.most)

    def final(self) -> Tally:
        """Return the same counts as they are kept: carried where int64 might not hold one."""
        if self.most < HOLDS or self.limbs.dtype.kind == "f":
            return self
        return self.carried()

    def pull(self, maps: Maps, engine: str) -> Tally:
        """Apply the maps of both axes: widths first, while there are fewer rows."""
        return self._apply(maps[1], 2, engine)._apply(maps[0], 1, engine)

    def push(self, maps: Maps, engine: str) -> Tally:
        """Apply the maps of both axes: heights first, which leaves fewer rows."""
        return self._apply(maps[0], 1, engine)._apply(maps[1], 2, engine)

    def _apply(self, axis_map: AxisMap | None, axis: int, engine: str) -> Tally:
        if axis_map is None:
            return self
        tally, gain = self.with_room(axis_map.gain), axis_map.gain
        assert tally.limb * gain < HOLDS or tally.limbs.dtype.kind == "f", (
            "carried limbs have room for any map"
        )
        limbs = apply(axis_map, tally.limbs, axis, engine=engine)
        return Tally(limbs, tally.limb * gain, tally.most * gain, tally.exponent)


def limbs_for(most: int) -> int:
    """Return how many carried limbs hold counts up to `most`.

    >>> limbs_for((1 << 40) - 1), limbs_for(1 << 40)
    (1, 2)
    """
    return -(-most.bit_length() // LIMB_BITS)


def limbs_in(most: int, exact: bool) -> int:
    """Count the limbs of a final tally up to `most`: one while int64 holds the counts, and one of
    floats.

    >>> (limbs_in((1 << 63) - 1, exact=True), limbs_in(1 << 63, exact=True),
    ...  limbs_in(1 << 63, exact=False))
    (1, 2, 1)
    """
    if exact and most >= HOLDS:
        return limbs_for(most)
    return 1


def to_ints(tally: Array) -> Array:
    """Return counts as numbers, shape (height, width): int64 or float64 as they are, limbs as
    Python ints.

    >>> to_ints(np.array([[[5]], [[1]]]))
    array([[1099511627781]], dtype=object)
    """
    if len(tally) == 1:
        only: Array = tally[0]
        return only
    value: Array = tally[-1].astype(object)
    for limb in tally[-2::-1]:
        value = (value << LIMB_BITS) + limb
    return value


def to_bytes(tally: Array) -> NDArray[np.uint8]:
    """Return carried limbs as little-endian bytes, shape (height, width, bytes)."""
    height, width = tally.shape[1:]
    limbs = (
        np.ascontiguousarray(np.moveaxis(tally, 0, 2), dtype="<i8")
        .view(np.uint8)
        .reshape(height, width, -1, 8)
    )
    return np.concatenate(
        [limbs[..., :-1, :LIMB_BYTES].reshape(height, width, -1), limbs[..., -1, :]], axis=2
    )


def from_bytes(digits: NDArray[np.uint8]) -> Array:
    """Return Python ints from the result of `to_bytes`.

    >>> from_bytes(to_bytes(np.array([[[5]], [[1]]])))
    array([[1099511627781]], dtype=object)
    """
    height, width, _ = digits.shape
    values = np.empty((height, width), dtype=object)
    for row in range(height):
        values[row] = [int.from_bytes(cell.tobytes(), "little") for cell in digits[row]]
    return values


def totals(tally: Array, rows: Array, cols: Array) -> list[list[Number]]:
    """Sum all positions with integer weights of rows, (ways, height), and of columns, (ways,
    width): exact for counts.

    >>> totals(np.array([[[1, 2]]]), np.array([[3], [1]]), np.array([[1, 10]]))
    [[63], [21]]
    """
    if tally.dtype.kind == "f":
        return np.asarray(rows @ tally[0] @ cols.T).tolist()  # type: ignore[no-any-return]
    down, across = rows.astype(np.float64), cols.T.astype(object)
    # of a count at a time, so that floats stay exact
    bits = 53 - int(rows.sum(axis=1).max()).bit_length()
    total: Array = np.zeros((len(rows), len(cols)), dtype=object)
    for i, limb in enumerate(tally):
        for shift in range(0, 63 if len(tally) == 1 else LIMB_BITS, bits):
            digit = limb >> shift & (1 << bits) - 1
            total += (
                (down @ digit).astype(np.int64).astype(object) @ across
            ) << LIMB_BITS * i + shift
    return total.tolist()  # type: ignore[no-any-return]


def outer(tall: Array, wide: Array, limbs: int) -> Array:
    """Multiply a column of counts, (limbs, height, 1), by a row of them, into `limbs` carried
    limbs.

    Each product of two values is computed once: most maps mirror, and repeat inside.

    >>> outer(np.array([[[2], [3], [2]]]), np.array([[[5, 7]]]), 1).tolist()
    [[[10, 14], [15, 21], [10, 14]]]
    """
    rows, cols = to_ints(tall)[:, 0].tolist(), to_ints(wide)[0].tolist()
    down, across = (
        {value: i for i, value in enumerate(dict.fromkeys(values))} for values in (rows, cols)
    )
    products = np.empty((limbs, len(down), len(across)), dtype=np.int64)
    for value, i in down.items():
        digits = b"".join(
            [(value * other).to_bytes(LIMB_BYTES * limbs, "little") for other in across]
        )
        wide_digits = np.zeros((len(across), limbs, 8), dtype=np.uint8)
        wide_digits[..., :LIMB_BYTES] = np.frombuffer(digits, np.uint8).reshape(
            -1, limbs, LIMB_BYTES
        )
        products[:, i] = wide_digits.view("<i8")[..., 0].T
    return products[
        :, np.array([down[row] for row in rows])[:, None], [across[col] for col in cols]
    ]


def largest_difference(here: Array, there: Array) -> Number:
    """Return the largest absolute difference between two tallies of one shape; 0 if they are empty.

    >>> largest_difference(np.array([[[1, 9]]]), np.array([[[4, 7]]]))
    3
    """
    difference = here - there
    for low, high in pairwise(difference):  # carried, but the last limb keeps the sign
        high += low >> LIMB_BITS
        low &= CARRIED
    if not difference.size:
        return 0
    return max(largest(difference), -smallest(difference))


def shares(tally: Array, peak: Number, exponent: int = 0) -> NDArray[np.float64]:
    """Divide every count by `peak`, as float64, however large the counts are; floats are scaled by
    the exponent.

    >>> shares(np.array([[[1, 2]]]), 2).tolist()
    [[0.5, 1.0]]
    """
    if not peak:
        return np.zeros(tally.shape[1:])
    if len(tally) == 1 and not exponent:
        return np.asarray(tally[0] / peak, dtype=np.float64)
    bits = int(peak).bit_length() - exponent
    if len(tally) == 1:
        return np.asarray(
            tally[0] * (2.0 ** min(-bits, 1000) / (int(peak) / (1 << bits + exponent)))
        )
    # above that are zeros
    scaled = sum(limb * 2.0 ** min(LIMB_BITS * i - bits, 1000) for i, limb in enumerate(tally))
    return np.asarray(scaled / (int(peak) / (1 << bits)))


def _extreme(tally: Array, pick: Callable[[Array], np.generic]) -> Number:
    """Compare limb by limb from the most significant, keeping the positions still level."""
    if len(tally) == 1:
        only: Number = pick(tally).item()
        return only
    value, level = 0, np.arange(tally[0].size)
    for limb in tally[::-1]:
        digits = limb.ravel()[level]
        digit = pick(digits).item()
        value, level = (value << LIMB_BITS) + digit, level[digits == digit]
    return value


largest, smallest = partial(_extreme, pick=np.max), partial(_extreme, pick=np.min)
