"""Exact figures of counts, whether one int64 or several limbs hold them.

A tally is an array (limbs, height, width). One limb is int64 counts, or float64 for rational modes.
More limbs are base 2**LIMB_BITS, least significant first, carried so that only the last may be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.engine.apply import HOLDS, LIMB_BITS, Array, Number, carry


def to_ints(tally: Array) -> Array:
    """Return counts as numbers, shape (height, width): int64 or float64 as they are, limbs as Python ints.

    >>> to_ints(np.array([[[5]], [[1]]]))
    array([[72057594037927941]], dtype=object)
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
    parts = [np.ascontiguousarray(limb, dtype="<i8").view(np.uint8) for limb in tally]
    height, width = tally.shape[1:]
    digits = [part.reshape(height, width, 8) for part in parts]
    return np.concatenate([*(part[..., : LIMB_BITS // 8] for part in digits[:-1]), digits[-1]], axis=2)


def from_bytes(digits: NDArray[np.uint8]) -> Array:
    """Return Python ints from the result of `to_bytes`.

    >>> from_bytes(to_bytes(np.array([[[5]], [[1]]])))
    array([[72057594037927941]], dtype=object)
    """
    height, width, _ = digits.shape
    values = np.empty((height, width), dtype=object)
    for row in range(height):
        values[row] = [int.from_bytes(cell.tobytes(), "little") for cell in digits[row]]
    return values


def totals(tally: Array, rows: Array, cols: Array) -> list[list[Number]]:
    """Sum all positions with integer weights of rows, (ways, height), and of columns, (ways, width): exact for counts.

    >>> totals(np.array([[[1, 2]]]), np.array([[3], [1]]), np.array([[1, 10]]))
    [[63], [21]]
    """
    if tally.dtype.kind == "f":
        sums: list[list[Number]] = (rows @ tally[0] @ cols.T).tolist()
        return sums
    sums_by_way: list[list[Number]] = [[0] * len(cols) for _ in rows]
    bits = 53 - int(rows.sum(axis=1).max()).bit_length()  # of a count at a time, so that floats stay exact
    weights, columns = rows.astype(np.float64), cols.tolist()
    for i, limb in enumerate(tally):
        for shift in range(0, 63, bits):
            part = (limb >> shift) & ((1 << bits) - 1)
            for way, sums_below in zip(sums_by_way, (weights @ part).astype(np.int64).tolist(), strict=True):
                for j, times in enumerate(columns):
                    way[j] += sum(map(mul, sums_below, times)) << (LIMB_BITS * i + shift)
    return sums_by_way


def largest(tally: Array) -> Number:
    return _extreme(tally, np.max)


def smallest(tally: Array) -> Number:
    return _extreme(tally, np.min)


def count_below_half(tally: Array, peak: Number, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> int:
    """Count positions below half of `peak`, each row and column taken as often as its weight says.

    >>> count_below_half(np.array([[[1, 2, 4]]]), 4, np.array([1]), np.array([10, 1, 1]))
    10
    """
    if tally.dtype.kind == "f":
        below = 2 * tally[0] < peak
    else:
        half = (int(peak) + 1) // 2  # 2 v < peak exactly when v < half
        below = less(tally, to_limbs(np.array([[half]], dtype=object), len(tally)))
    return int(rows @ (below @ cols))


def less(tally: Array, other: Iterable[Array]) -> NDArray[np.bool_]:
    """Return where carried counts are less than others in as many limbs.

    >>> less(np.array([[[5, 7]], [[1, 1]]]), np.array([[[6, 6]], [[1, 1]]]))
    array([[ True, False]])
    """
    below = np.zeros(tally.shape[1:], dtype=bool)
    level = np.ones(tally.shape[1:], dtype=bool)
    for limb, digit in reversed(list(zip(tally, other, strict=True))):
        below |= level & (limb < digit)
        level &= limb == digit
        if not level.any():
            break
    return below


def to_limbs(values: Array, limbs: int) -> Array:
    """Convert counts, (height, width), to carried limbs; counts too large for them become the largest that fits.

    >>> to_limbs(np.array([[5, 1 << 56]]), 2).tolist()
    [[[5, 0]], [[0, 1]]]
    """
    if limbs == 1 and values.dtype == np.int64:
        return values[None]
    rest, digits = np.minimum(values.astype(object), (HOLDS << LIMB_BITS * (limbs - 1)) - 1), []
    for _ in range(limbs - 1):
        digits.append(rest & ((1 << LIMB_BITS) - 1))
        rest = rest >> LIMB_BITS
    return np.stack([*digits, rest]).astype(np.int64)


def outer(tall: Array, wide: Array, limbs: int) -> Array:
    """Multiply a column of counts, (limbs, height, 1), by a row of them, into so many carried limbs.

    Each product of two values is computed once: most maps mirror, and repeat inside.

    >>> outer(np.array([[[2], [3], [2]]]), np.array([[[5, 7]]]), 1).tolist()
    [[[10, 14], [15, 21], [10, 14]]]
    """
    rows, cols = to_ints(tall)[:, 0].tolist(), to_ints(wide)[0].tolist()
    down, across = ({value: i for i, value in enumerate(dict.fromkeys(values))} for values in (rows, cols))
    limb_bytes = LIMB_BITS // 8
    product_bytes = np.zeros((limbs, len(down), len(across), 8), dtype=np.uint8)
    for value, i in down.items():
        digits = b"".join([(value * other).to_bytes(limb_bytes * limbs, "little") for other in across])
        product_bytes[:, i, :, :limb_bytes] = (
            np.frombuffer(digits, np.uint8).reshape(-1, limbs, limb_bytes).swapaxes(0, 1)
        )
    products = product_bytes.view("<i8")[..., 0].astype(np.int64, copy=False)
    spread: Array = products[:, np.array([down[row] for row in rows])[:, None], [across[col] for col in cols]]
    return spread


def largest_difference(here: Array, there: Array) -> Number:
    """Return the largest absolute difference between two tallies of one shape.

    >>> largest_difference(np.array([[[1, 9]]]), np.array([[[4, 7]]]))
    3
    """
    difference = here - there
    carry(difference)
    return max(largest(difference), -smallest(difference))


def shares(tally: Array, peak: Number) -> NDArray[np.float64]:
    """Divide every count by `peak`, as float64, however large the counts are.

    >>> shares(np.array([[[1, 2]]]), 2).tolist()
    [[0.5, 1.0]]
    """
    if not peak:
        return np.zeros(tally.shape[1:])
    if len(tally) == 1:
        return np.asarray(tally[0] / peak, dtype=np.float64)
    bits = int(peak).bit_length()
    scaled = sum(_times_power(limb, LIMB_BITS * i - bits) for i, limb in enumerate(tally))
    return np.asarray(scaled / (int(peak) / (1 << bits)))


def _times_power(limb: Array, exponent: int) -> NDArray[np.float64]:
    """Multiply a limb by 2 to a power; limbs above what a float holds are empty, and ldexp keeps them 0."""
    scaled: NDArray[np.float64] = limb * 2.0**exponent if exponent < 1000 else np.ldexp(limb, exponent)
    return scaled


def _extreme(tally: Array, pick: Callable[[Array], Any]) -> Number:
    """Compare limb by limb from the most significant, keeping the positions still level."""
    level: Array = tally.reshape(len(tally), -1)
    digits = []
    for i in reversed(range(len(tally))):
        digit = pick(level[i])
        digits.append(digit.item())
        if i:
            level = level[:, level[i] == digit]
    value: Number = digits[0]
    for digit in digits[1:]:
        value = (int(value) << LIMB_BITS) + digit
    return value
