"""Balanced sizes: where no window reads its padding unevenly, over whole ranges at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from padviz.errors import OptionError, SizeError
from padviz.geometry.balance.by_size import Flags, verdict_on
from padviz.network.network import LARGEST, Network
from padviz.network.sizes import is_square

MOST_RESIDUES = 4  # a rule with more alternatives is no rule that a person would use


@dataclass(frozen=True, slots=True)
class BalancedSizes:
    """The balanced sizes in lo .. hi: all, those without stride remainders, and the rule they follow if there is one.

    On an axis that wraps every size is balanced; at those without remainders its ends meet without a jump in phase.

    Examples
    --------
    >>> import padviz
    >>> padviz.sizes("resnet18", "200:230").balanced
    (225,)
    """

    network: str
    range: tuple[int, int]
    axis: str
    balanced: tuple[int, ...]
    balanced_without_remainder: tuple[int, ...]
    rule: str | None
    rule_without_remainder: str | None


def balanced_sizes(network: Network, lo: int = 64, hi: int = 1024, axis: str = "both") -> BalancedSizes:
    """Find every size in lo .. hi at which no layer is uneven: `padviz.sizes`, of a loaded network.

    >>> import padviz
    >>> balanced_sizes(padviz.load("resnet50"), 200, 300).balanced
    (225, 257, 289)
    """
    if not 1 <= lo <= hi <= LARGEST:
        raise OptionError(f"{lo}:{hi} is not a range of sizes", option="range", hint=f"use LO:HI within 1:{LARGEST}")
    if axis not in (choices := ("both", *network.axes)):
        raise OptionError(f"axis {axis!r} is not known", option="axis", hint=f"use {', '.join(choices)}")
    sizes = np.arange(lo, hi + 1)
    wanted = range(len(network.axes)) if axis == "both" else [network.axes.index(axis)]
    verdicts = [verdict_on(network, at, sizes) for at in wanted[: 1 if is_square(network) else None]]
    runs, even, whole = (
        np.logical_and.reduce(flags) for flags in zip(*(verdict[:3] for verdict in verdicts), strict=True)
    )
    if not runs.any():
        raise SizeError(f"takes no size from {lo} to {hi}", where=network.name, hint="try another range")
    balanced = (runs & even, runs & even & whole)
    first = int(np.argmax(runs))  # a rule starts where the network does
    since = f", from {lo + first}" if first else ""
    every, without_remainder = (tuple(sizes[flags].tolist()) for flags in balanced)
    rule, strict_rule = (rule_of(flags[first:], lo + first) for flags in balanced)
    return BalancedSizes(
        network.name,
        (lo, hi),
        axis,
        every,
        without_remainder,
        rule and rule + since,
        strict_rule and strict_rule + since,
    )


def only_of(sizes: BalancedSizes, wanted: Iterable[int]) -> BalancedSizes:
    """Keep those balanced sizes that are wanted; the rules are of all.

    >>> import padviz
    >>> only_of(balanced_sizes(padviz.load("resnet18"), 190, 230), [193, 200]).balanced
    (193,)
    """
    known = {*wanted}
    even, strict = (tuple(n for n in each if n in known) for each in (sizes.balanced, sizes.balanced_without_remainder))
    return replace(sizes, balanced=even, balanced_without_remainder=strict)


def rule_of(even: Flags, lo: int) -> str | None:
    """Find the shortest period that the flags of sizes lo, lo + 1, ... keep throughout, twice at the least.

    >>> rule_of(np.array([True, False, False] * 4), 64)
    '3*i + 1'
    """
    for period in range(1, len(even) // 2 + 1):
        if (even[period:] == even[:-period]).all():
            break
    else:
        return None
    residues = sorted((lo + int(i)) % period for i in np.flatnonzero(even[:period]))
    if period == 1:
        return "every size" if residues else None
    if not 1 <= len(residues) <= MOST_RESIDUES:
        return None
    return " or ".join(f"{period}*i + {residue}" if residue else f"{period}*i" for residue in residues)
