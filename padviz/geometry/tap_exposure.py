"""Tap exposure: the number of units that read a real pixel with each tap of a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from padviz.geometry.ledger import axis_padding, windows_of
from padviz.network.layer import CONVOLUTIONS, Kind
from padviz.network.network import Network, Size
from padviz.network.operations import Window, place
from padviz.network.padding_modes import SCHEMES


@dataclass(frozen=True, slots=True, eq=False)
class TapExposure:
    """The number of units that read a real pixel, not padding, with each tap: `grid`, of the kernel's shape.

    `imbalance` is, per axis, the reads of the second half of the taps minus those of the first, over both; the middle
    tap is left out. `units` is the number of units of the layer.

    >>> import padviz
    >>> padviz.taps("resnet18", 224)[0].uneven
    True
    """

    layer: str
    kind: Kind
    uneven: bool
    units: int
    grid: NDArray[np.int64]
    imbalance: Mapping[str, float]

    @property
    def convolution(self) -> bool:
        """Whether the window has weights; a pool has none."""
        return self.kind in CONVOLUTIONS


def tap_exposure(network: Network, size: Size) -> tuple[TapExposure, ...]:
    """Count the units that read a real pixel with each tap: `padviz.taps`, of a loaded network."""
    exposures = []
    for layer, windows in windows_of(network, size):
        reads = [np.array(tap_reads(*each[:3])) for each in windows]
        rows = [axis_padding(*each) for each in windows]
        units, uneven = prod(row.output for row in rows), any(row.uneven for row in rows)
        imbalance = dict(zip(network.axes, map(_imbalance, reads), strict=True))
        grid = reduce(np.multiply.outer, reads)
        exposures.append(TapExposure(layer.name, layer.kind, uneven, units, grid, imbalance))
    return tuple(exposures)


def tap_reads(window: Window, n: int, circular: bool = False) -> list[int]:
    """Count the units that read a real row with each tap; on a circular axis, padding counts as real."""
    before, _, m = place(window, n)
    if circular and SCHEMES[window.mode].wraps:
        return [m] * window.kernel
    reads = []
    for tap in range(window.kernel):
        first = tap * window.dilation - before
        enter, leave = -(first // window.stride), -((first - n) // window.stride)
        reads.append(max(min(leave, m) - max(enter, 0), 0))
    return reads


def _imbalance(reads: NDArray[np.int64]) -> float:
    half = len(reads) // 2
    first, second = int(reads[:half].sum()), int(reads[len(reads) - half :].sum())
    return (second - first) / (first + second) if first + second else 0.0
