"""The law of repadding: usage of the result is that of the planned network, exactly, in every pixel."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.counting.walking.tiling import Tiling
from padviz.errors import PadvizError
from padviz.network.network import LARGEST, Network, Size
from padviz.network.sizes import sizes_of
from padviz.repadding.plan import RepadPlan

ROWS = 256  # to compare at a time
NEAR = 64  # sizes to try, one after the other


def check_law(plan: RepadPlan, network: Network) -> list[CountMap]:
    """Compare the network of a repadded file with the plan, and return usage by its last maps.

    Raise `PadvizError`, naming the last map, if usage by it differs anywhere.

    >>> import padviz
    >>> from padviz.network.rewrites import with_padding
    >>> from padviz.repadding.plan import plan
    >>> net = padviz.load("vgg11")
    >>> check_law(plan(net, "reflect", 64), with_padding(net, "reflect"))[0].shape
    (64, 64)
    """
    maps = []
    for name in plan.targets:
        counts = usage(network, plan.size, layer=name) if name in network.index else None
        if counts is None or not same_counts(usage(plan.after, plan.size, layer=name), counts):
            what = f"usage by {name} is not what was planned, so nothing was written"
            raise PadvizError(what, where=plan.before.name, hint="please report it, with the file if you can")
        maps.append(counts)
    return maps


def open_axes(network: Network) -> tuple[int, ...]:
    """List the axes, 0 for height and 1 for width, whose size is declared by neither a file nor a description."""
    return tuple(axis for axis in (0, 1) if not any(network.declared[axis : axis + 1]) and axis not in network.fixed)


def at_larger_size(plan: RepadPlan) -> RepadPlan | None:
    """Return the plan at a larger size, to verify there too; None if no axis is open, or strides become pools."""
    larger = None if any(change.pooled for change in plan.changes) else larger_size(plan)
    with suppress(PadvizError):
        return plan.at(larger) if larger else None
    return None


def larger_size(plan: RepadPlan) -> Size | None:
    """Return a second size to verify at: half as large again along open axes, or the next at which the network runs.

    >>> import padviz
    >>> from padviz.repadding.plan import plan
    >>> larger_size(plan(padviz.load("vgg11"), "reflect", (64, 75)))
    (96, 112)
    """
    axes = open_axes(plan.before)
    height, width = (_next(plan, axis, n * 3 // 2) if axis in axes else n for axis, n in enumerate(plan.size))
    return (height, width) if axes and height and width else None


def _next(plan: RepadPlan, axis: int, start: int) -> int:
    """Return the next number of rows or columns at which both networks of a plan run; 0 if none is near."""
    for n in range(start, min(start + NEAR, LARGEST + 1)):
        with suppress(PadvizError):
            sizes_of(plan.before, axis, n)
            sizes_of(plan.after, axis, n)
            return n
    return 0


def same_counts(one: CountMap, other: CountMap) -> bool:
    """Return whether two maps have the same counts, to the last bit; repeated rows are compared once."""
    if one.shape != other.shape:
        return False
    down, across = _distinct(one.rows, other.rows), _distinct(one.cols, other.cols)
    for start in range(0, len(down), ROWS):
        rows = down[start : start + ROWS]
        if not np.array_equal(one.counts_at(rows, across), other.counts_at(rows, across)):
            return False
    return True


def _distinct(one: Tiling, other: Tiling) -> NDArray[np.int64]:
    """Return rows that represent all others, which repeat one of them in both tilings.

    >>> _distinct(Tiling(12, start=2, period=3, copies=2), Tiling(12, start=4, period=3, copies=1)).tolist()
    [0, 1, 2, 3, 4, 5, 6, 10, 11]
    """
    rows: NDArray[np.int64] = np.unique(one.index * other.kept + other.index, return_index=True)[1]
    return np.sort(rows)
