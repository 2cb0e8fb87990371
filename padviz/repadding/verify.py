"""The law of repadding: usage of what was repadded is usage of what was planned, exactly, in every pixel."""

from __future__ import annotations

import numpy as np

from padviz.counting.count_map import CountMap
from padviz.counting.usage import usage
from padviz.errors import PadvizError
from padviz.network.network import Network
from padviz.repadding.plan import Plan

ROWS = 256  # compared at a time


def check(plan: Plan, found: Network) -> None:
    """Compare a network that was read of what was repadded with the plan.

    Parameters
    ----------
    plan : Plan
    found : Network

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
    >>> check(plan(net, "reflect", 64), with_padding(net, "reflect"))
    """
    for name in plan.targets:
        wanted = usage(plan.after, plan.size, layer=name)
        if name not in found.index or not same(wanted, usage(found, plan.size, layer=name)):
            what = f"usage by {name} is not what was planned, so nothing was written"
            raise PadvizError(what, where=plan.before.name, hint="please report it, with the file if you can")


def same(one: CountMap, other: CountMap) -> bool:
    """Whether two maps have the same counts, to the last bit."""
    if one.shape != other.shape:
        return False
    for start in range(0, one.shape[0], ROWS):
        rows = slice(start, start + ROWS)
        if not np.array_equal(one.counts_at(rows, slice(None)), other.counts_at(rows, slice(None))):
            return False
    return True
