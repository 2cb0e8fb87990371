"""The law of repadding: usage of what was repadded is usage of what was planned, exactly, in every pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.counting.usage import usage
from padviz.counting.walking.tiling import Tiling
from padviz.errors import PadvizError
from padviz.network.network import Network
from padviz.repadding.plan import Plan

ROWS = 256  # compared at a time


def check(plan: Plan, network: Network) -> list[CountMap]:
    """Compare a network that was read of what was repadded with the plan; the maps of its last maps come back.

    Raises
    ------
    PadvizError
        Naming the last map, if usage by it differs anywhere; nothing of the kind should be kept.

    Examples
    --------
    >>> import padviz
    >>> from padviz.network.rewrites import with_padding
    >>> from padviz.repadding.plan import plan
    >>> net = padviz.load("vgg11")
    >>> check(plan(net, "reflect", 64), with_padding(net, "reflect"))[0].shape
    (64, 64)
    """
    maps = []
    for name in plan.targets:
        counts = usage(network, plan.size, layer=name) if name in network.index else None
        if counts is None or not same(usage(plan.after, plan.size, layer=name), counts):
            what = f"usage by {name} is not what was planned, so nothing was written"
            raise PadvizError(what, where=plan.before.name, hint="please report it, with the file if you can")
        maps.append(counts)
    return maps


def same(one: CountMap, other: CountMap) -> bool:
    """Tell whether two maps have the same counts, to the last bit; what repeats in both is compared once."""
    if one.shape != other.shape:
        return False
    down, across = distinct(one.rows, other.rows), distinct(one.cols, other.cols)
    for start in range(0, len(down), ROWS):
        rows = down[start : start + ROWS]
        if not np.array_equal(one.counts_at(rows, across), other.counts_at(rows, across)):
            return False
    return True


def distinct(one: Tiling, other: Tiling) -> NDArray[np.int64]:
    """Choose rows that stand for all: every other one is, in both cores, the row that one of them is.

    >>> distinct(Tiling(12, start=2, period=3, copies=2), Tiling(12, start=4, period=3, copies=1)).tolist()
    [0, 1, 2, 3, 4, 5, 6, 10, 11]
    """
    rows: NDArray[np.int64] = np.unique(one.index * other.kept + other.index, return_index=True)[1]
    return np.sort(rows)
