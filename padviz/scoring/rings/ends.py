"""Where rings end, and whether the outermost and the innermost have anything to compare."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from padviz.errors import OptionError


def ends_of(rings: int, pixels: Sequence[float]) -> tuple[list[float], list[tuple[float, float | None]]]:
    """List the inner ends of rings, and the first and last of each.

    >>> ends_of(2, []), ends_of(0, [16])
    (([0.5], [(0.0, 0.5), (0.5, 1.0)]), ([16.0], [(0.0, 16.0), (16.0, None)]))
    """
    if rings < 1 and not pixels:
        raise OptionError(f"{rings} rings are none", option="rings", hint="use 4")
    if wrong := [end for end in pixels if not 0 < end < np.inf]:
        raise OptionError(f"{wrong[0]:g} px is no end of a ring", option="px", hint="use 16,32,64")
    if any(a >= b for a, b in pairwise(pixels)):
        raise OptionError("the ends of rings do not grow", option="px", hint="use 16,32,64")
    ends = [*map(float, pixels)] if pixels else [k / rings for k in range(1, rings)]
    return ends, [*zip([0.0, *ends], [*ends, None if pixels else 1.0], strict=True)]


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
