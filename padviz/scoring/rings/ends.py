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
    if any(not 0 < a < b for a, b in pairwise([*pixels, np.inf])):
        raise OptionError("the ends of rings do not grow", option="px", hint="use 16,32,64")
    ends = [*map(float, pixels)] if pixels else [k / rings for k in range(1, rings)]
    return ends, [*zip([0.0, *ends], [*ends, None if pixels else 1.0], strict=True)]
