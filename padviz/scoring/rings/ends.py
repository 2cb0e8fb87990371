"""Where rings end, and whether the outermost and the innermost have anything to compare."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import OptionError
from padviz.intervals import FEW

MOST = 12  # rings, of which the outermost is a thousandth as wide as the innermost


def ends_of(rings: int, pixels: Sequence[float]) -> list[float]:
    """List the inner ends of rings: as given in pixels, or each half as deep as the next, as shares of half a side.

    >>> ends_of(4, []), ends_of(0, [16])
    ([0.125, 0.25, 0.5], [16.0])
    """
    if not 1 <= rings <= MOST and not pixels:
        raise OptionError(f"{rings}: must be 1 to {MOST}", option="rings", hint="use 4")
    if wrong := [end for end in pixels if not 0 < end < np.inf]:
        raise OptionError(f"{wrong[0]:g} px is no end of a ring", option="px", hint="use 16,32,64")
    if any(a >= b for a, b in pairwise(pixels)):
        raise OptionError("the ends of rings do not grow", option="px", hint="use 16,32,64")
    return [*map(float, pixels)] if pixels else [0.5**k for k in range(rings - 1, 0, -1)]


def spans(ends: Sequence[float], share: bool) -> list[tuple[float, float | None]]:
    """List where each ring begins and ends.

    >>> spans([0.5], True), spans([16.0], False)
    ([(0.0, 0.5), (0.5, 1.0)], [(0.0, 16.0), (16.0, None)])
    """
    return [*zip([0.0, *ends], [*ends, 1.0 if share else None], strict=True)]


def joined(ends: Sequence[float], depths: NDArray[Any]) -> list[float]:
    """Join a ring of fewer than 20 objects with the next one inwards, and the innermost with the one around it.

    >>> joined([0.25, 0.5, 0.75], np.repeat([0.1, 0.4, 0.6, 0.9], [19, 1, 70, 19]))
    [0.5]
    """
    kept: list[float] = []
    for end in ends:
        if np.count_nonzero((depths >= (kept or [0])[-1]) & (depths < end)) >= FEW:
            kept.append(end)
    while kept and np.count_nonzero(depths >= kept[-1]) < FEW:
        kept.pop()
    return kept


def check_filled(counts: Sequence[int], pixels: Sequence[float], what: str) -> None:
    """Refuse rings of which the outermost or the innermost is empty, and name ends with which neither is.

    >>> check_filled([0, 0, 9, 9, 9, 0], [], "object")
    Traceback (most recent call last):
    padviz.errors.OptionError: rings: no object is in the outermost of 6 rings; use 2
    >>> check_filled([7, 7, 0, 0], [8, 16, 5000], "object")
    Traceback (most recent call last):
    padviz.errors.OptionError: px: no object is in the innermost of 4 rings, from 5000 px; use 8
    """
    filled = [k for k, count in enumerate(counts) if count]
    if not filled or (filled[0] == 0 and filled[-1] == len(counts) - 1):
        return
    first, last = filled[0], filled[-1]
    ring = "outermost" if first else "innermost"
    words = f"no {what} is in the {ring} of {len(counts)} rings"
    if not pixels:
        fewer = min(len(counts) // (first + 1), len(counts) // (len(counts) - last))
        raise OptionError(words, option="rings", hint=f"use {fewer}")
    words += f", up to {pixels[0]:g} px" if first else f", from {pixels[-1]:g} px"
    left = ",".join(f"{end:g}" for end in pixels[first:last])
    raise OptionError(
        words, option="px", hint=f"use {left}" if left else f"use {'larger' if first else 'smaller'} ends"
    )
