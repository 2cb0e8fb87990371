"""Check a plan by running the network on an image whole and tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.cutting.plan import Plan, smallest_plan
from padviz.cutting.running import tiled
from padviz.errors import DescriptionError, OptionError
from padviz.network.network import ENDS, Network, Size, in_words

Run = Callable[[NDArray[Any]], list[Any]]  # of an image (1, channels, height, width), the map of each head
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
MOST_PIXELS = 2048 * 2048


@dataclass(frozen=True, slots=True)
class Verified:
    """The largest difference between the output of an image and that stitched from its tiles, over its largest value.

    `one_less` is by side the difference of units that have one unit less of context than they need. Sides that need no
    context are left out.

    >>> import padviz
    >>> from torch import nn
    >>> verified = padviz.verify_tiles(nn.Sequential(nn.Conv2d(3, 4, 5, padding=2)), 64)
    >>> verified.image, verified.tile, verified.tiles, verified.holds
    ((7, 7), (5, 5), 9, True)
    """

    image: Size
    tile: Size
    tiles: int
    precision: str
    difference: float
    one_less: dict[str, float]

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains."""
        return TOLERANCES[self.precision]

    @property
    def holds(self) -> bool:
        """Whether the tiles are exact."""
        return self.difference <= self.tolerance


def verify(run: Run, network: Network, size: Size, channels: int, without: frozenset[str], seed: int) -> Verified:
    """Run a network on noise, whole and tiled, at the smallest image with three tiles a side.

    Raises OptionError if nothing is exact, or the smallest such image takes too long. Raises DescriptionError for a
    network whose output is constant, which shows nothing.
    """
    plan = smallest_plan(network, size, without)
    if prod(plan.image) > MOST_PIXELS:
        what = f"runs the network on {in_words(plan.image)} {network.px}, which takes too long"
        raise OptionError(what, option="verify", hint="name an earlier `layer`")
    noise = np.random.default_rng(seed).random((1, channels, *plan.image))
    whole, together = run(noise), tiled(run, noise, plan)
    for name, head in zip(plan.heads, whole, strict=True):
        if not np.ptp(head):
            what = "is the same everywhere for noise, so nothing can be seen in it"
            raise DescriptionError(what, where=f"{network.name}, {name}", hint="run it with its trained `weights`")
    precision = "float64" if all(head.dtype == np.float64 for head in whole) else "float32"
    pairs = zip(whole, together if isinstance(together, list) else [together], strict=True)
    difference = float(np.max([_relative(a, b, a) for a, b in pairs]))
    one_less = _one_less(run, noise, plan, whole)
    return Verified(plan.image, plan.tile, len(plan), precision, difference, one_less)


def _one_less(run: Run, noise: Any, plan: Plan, whole: Sequence[Any]) -> dict[str, float]:
    """Return by side how much the units of the middle tile differ that have one unit less of context."""
    tile = plan[len(plan) // 2]
    differences: dict[str, float] = {}
    parts = zip(run(noise[(..., *tile.read)]), whole, plan.contexts, tile.heads.values(), strict=True)
    for part, head, contexts, (keep, take) in parts:
        offsets = [kept.start - taken.start for kept, taken in zip(keep, take, strict=True)]
        shape = part.shape[-len(plan.image) :]
        exact = [slice(c.units[0], m - c.units[1]) for c, m in zip(contexts, shape, strict=True)]
        for axis, sides in enumerate(ENDS[name] for name in plan.network.axes):
            for side, unit in zip(sides, (exact[axis].start - 1, exact[axis].stop), strict=True):
                at = list(exact)
                at[axis] = slice(unit, unit + 1)
                if 0 <= unit < shape[axis]:
                    there = [slice(s.start + k, s.stop + k) for s, k in zip(at, offsets, strict=True)]
                    found = _relative(part[(..., *at)], head[(..., *there)], head)
                    differences[side] = max(differences.get(side, 0.0), found)
    return differences


def _relative(one: NDArray[Any], other: NDArray[Any], scale: NDArray[Any]) -> float:
    return float(np.abs(one - other).max() / np.abs(scale).max())
