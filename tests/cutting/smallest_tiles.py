"""Runs a network whole and in the smallest tiles, and with one unit less of context than padviz says it needs."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from padviz.cutting.plan import Plan, plan_tiles, tile_sizes
from padviz.cutting.running import tiled
from padviz.network.network import ENDS, Network, Size
from padviz.network.targets import up_to_outputs
from padviz.trained.networks.reading import as_trained, head_maps

Map = NDArray[Any]
Run = Callable[[Map], list[Map]]


@dataclass(frozen=True)
class Smallest:
    """How far outputs differ, over the largest value, in the smallest image of three tiles a side.

    `one_less` is by side the difference of units that have one unit less of context than they need.
    """

    plan: Plan
    precision: str
    difference: float
    one_less: dict[str, float]

    @property
    def holds(self) -> bool:
        return self.difference <= {"float64": 1e-12, "float32": 1e-5}[self.precision]


def smallest_plan(network: Network, size: Size, ignore_norms: bool) -> Plan:
    """Plan the smallest tiles, three along each axis, of an image as long as `size` modulo the alignment."""
    least = tile_sizes(network, size, ignore_norms)[0]
    image = tuple(n + 2 * step for n, step in zip(least.tile, least.keeps, strict=True))
    return plan_tiles(network, image, least.tile, ignore_norms=ignore_norms)


def in_smallest_tiles(
    model: nn.Module | Path,
    size: int | tuple[int, ...] | None = None,
    layer: str | None = None,
    *,
    per_tile: bool = False,
) -> Smallest:
    """Run a module in float64, or a file, on noise."""
    trained = as_trained(model, size, None)
    network = up_to_outputs(layer, trained.network)
    plan = smallest_plan(network, trained.size, per_tile)
    if isinstance(model, nn.Module):
        trained = replace(trained, model=deepcopy(trained.model).double())
    run = head_maps(trained, network)
    noise = np.random.default_rng(0).random((1, trained.channels, *plan.image))
    whole, parts = run(noise), tiled(run, noise, plan)
    pairs = zip(whole, parts if isinstance(parts, list) else [parts], strict=True)
    difference = max(_relative(one, other, one) for one, other in pairs)
    return Smallest(plan, str(whole[0].dtype), difference, _one_less(run, noise, plan, whole))


def _one_less(run: Run, noise: Any, plan: Plan, whole: Sequence[Any]) -> dict[str, float]:
    """Return by side how much the units of the middle tile differ that have one unit less of
    context.
    """
    tile = plan[len(plan) // 2]
    differences: dict[str, float] = {}
    parts = zip(
        run(noise[(..., *tile.read)]), whole, plan.contexts, tile.heads.values(), strict=True
    )
    for part, head, contexts, (keep, take) in parts:
        offsets = [kept.start - taken.start for kept, taken in zip(keep, take, strict=True)]
        shape = part.shape[-len(plan.image) :]
        exact = [slice(c.units[0], m - c.units[1]) for c, m in zip(contexts, shape, strict=True)]
        for axis, sides in enumerate(ENDS[name] for name in plan.network.axes):
            for side, unit in zip(sides, (exact[axis].start - 1, exact[axis].stop), strict=True):
                at = list(exact)
                at[axis] = slice(unit, unit + 1)
                if 0 <= unit < shape[axis]:
                    there = [
                        slice(s.start + k, s.stop + k) for s, k in zip(at, offsets, strict=True)
                    ]
                    difference = _relative(part[(..., *at)], head[(..., *there)], head)
                    differences[side] = max(differences.get(side, 0.0), difference)
    return differences


def _relative(one: Map, other: Map, scale: Map) -> float:
    return float(np.abs(one - other).max() / np.abs(scale).max())
