"""The padding ledger: what each window reads of its padding, and which rows it misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.axis import CACHED, Window, place
from padviz.network import WINDOWS, Kind, Layer, Network, Size, resolve_both
from padviz.schemes import with_pads_before
from padviz.sources import load_at

Pads = tuple[int, int]


@dataclass(frozen=True, slots=True)
class AxisPadding:
    """One window on one axis: what it declares, what it reads, what it misses; all in rows.

    `consumed` counts the padded rows (before, after) that some tap of some unit reads. `dropped` are
    real rows at the far edge that no tap reads, `skipped` real rows before them that none reads,
    `overhang` rows beyond the declared padding that ceil rounding reads.
    """

    input: int
    output: int
    kernel: int
    stride: int
    dilation: int
    declared: Pads
    consumed: Pads
    dropped: int
    skipped: int
    overhang: int

    @property
    def uneven(self) -> bool:
        """Whether one side's padding is read more than the other's; overhang is read after."""
        return self.consumed[0] != self.consumed[1] + self.overhang


@dataclass(frozen=True, slots=True)
class LayerPadding:
    """One window on both axes."""

    layer: str
    kind: Kind
    height: AxisPadding
    width: AxisPadding

    @property
    def uneven(self) -> bool:
        """Whether it is uneven on an axis."""
        return self.height.uneven or self.width.uneven

    @property
    def drops(self) -> bool:
        """Whether it drops rows or columns."""
        return self.height.dropped > 0 or self.width.dropped > 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every window of a network at a size that has padding or a stride above 1, in network order."""

    network: str
    size: Size
    layers: tuple[LayerPadding, ...]

    @property
    def uneven(self) -> tuple[LayerPadding, ...]:
        """The uneven layers."""
        return tuple(layer for layer in self.layers if layer.uneven)

    @property
    def even(self) -> bool:
        """Whether no layer is uneven."""
        return not self.uneven

    @property
    def drops(self) -> bool:
        """Whether a layer drops rows or columns, which evenness does not say."""
        return any(layer.drops for layer in self.layers)


@dataclass(frozen=True, slots=True, eq=False)
class TapExposure:
    """How many units read a real pixel, not padding, with each tap: `grid` of shape (kernel height, width).

    `imbalance` is, per axis (height, width), the reads of the second half of the taps minus those of
    the first, over both; the middle tap is left out. `units` is the number of units of the layer.
    """

    layer: str
    kind: Kind
    uneven: bool
    units: int
    grid: NDArray[np.int64]
    imbalance: tuple[float, float]


def ledger(network: str | Path | Network, size: int | Sequence[int] | None = None) -> Ledger:
    """Account for the padding of every window at a size.

    Parameters
    ----------
    network : str, Path or Network
        A name of the zoo, a TOML file, or a loaded network.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.

    Raises
    ------
    PadvizError
        For a name or size that cannot be used.

    Notes
    -----
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> [row.layer for row in ledger("resnet18", 224).uneven]
    ['conv1', 'maxpool', 'layer2.0.conv1', 'layer3.0.conv1', 'layer4.0.conv1']
    >>> ledger("resnet18", 225).even
    True
    """
    net, pixels = load_at(network, size)
    rows = [
        LayerPadding(layer.name, layer.kind, *(axis_padding(op, n) for op, n in windows))
        for layer, windows in windows_of(net, pixels)
        if any(op.stride > 1 or any(place(op, n)[:2]) for op, n in windows)
    ]
    return Ledger(net.name, pixels, tuple(rows))


def tap_exposure(network: str | Path | Network, size: int | Sequence[int] | None = None) -> tuple[TapExposure, ...]:
    """Count, for each tap of each window, the units that read a real pixel with it.

    An even layer has a grid that mirrors; an uneven one does not, and training skews its filters.

    Parameters
    ----------
    network : str, Path or Network
    size : int or (height, width), optional

    Notes
    -----
    A grid sums to the layer's reads of real pixels, which is what usage counts of that layer alone.
    Source: Alsallakh et al., ICLR 2021: the geometric side of its mean filters.

    Examples
    --------
    >>> tap_exposure("resnet18", 224)[-5].grid
    array([[36, 42, 42],
           [42, 49, 49],
           [42, 49, 49]])
    """
    net, pixels = load_at(network, size)
    found = []
    for layer, windows in windows_of(net, pixels):
        height, width = (tap_reads(op, n) for op, n in windows)
        rows, cols = (axis_padding(op, n) for op, n in windows)
        units, uneven = rows.output * cols.output, rows.uneven or cols.uneven
        imbalance = _imbalance(height), _imbalance(width)
        found.append(TapExposure(layer.name, layer.kind, uneven, units, np.outer(height, width), imbalance))
    return tuple(found)


def ledger_facts(found: Ledger) -> dict[str, Any]:
    """A ledger as plain lists and numbers, for JSON.

    >>> ledger_facts(ledger("resnet18", 224))["layers"][0]["uneven"]
    True
    """
    layers = []
    for layer in found.layers:
        fields = asdict(layer)
        layers.append({"layer": fields.pop("layer"), "kind": fields.pop("kind"), "uneven": layer.uneven, **fields})
    head = {"network": found.network, "size": [*found.size], "even": found.even, "drops": found.drops}
    return {**head, "layers": layers}


def tap_facts(row: TapExposure) -> dict[str, Any]:
    """The taps of one layer as plain lists and numbers, for JSON.

    >>> tap_facts(tap_exposure("resnet18", 224)[-5])["grid"][0]
    [36, 42, 42]
    """
    imbalance = dict(zip(("height", "width"), row.imbalance, strict=True))
    head = {"layer": row.layer, "kind": row.kind, "uneven": row.uneven, "units": row.units}
    return {**head, "grid": row.grid.tolist(), "imbalance": imbalance}


@lru_cache(CACHED)
def axis_padding(window: Window, n: int) -> AxisPadding:
    """The ledger of one window over `n` rows: marks the rows that its taps read, and counts.

    >>> axis_padding(Window(3, stride=2, padding=(1, 1)), 8).consumed
    (1, 0)
    """
    before, after, m = place(window, n)
    end = (m - 1) * window.stride + window.extent
    read = np.zeros(max(before + n + after, end), dtype=bool)
    for tap in range(window.kernel):
        first = tap * window.dilation
        read[first : first + (m - 1) * window.stride + 1 : window.stride] = True
    real = read[before : before + n]
    missed = int(n - np.count_nonzero(real))
    dropped = int(np.argmax(real[::-1])) if real.any() else n
    consumed = int(read[:before].sum()), int(read[before + n : before + n + after].sum())
    overhang = int(read[before + n + after :].sum())
    shape = n, m, window.kernel, window.stride, window.dilation
    return AxisPadding(*shape, (before, after), consumed, dropped, missed - dropped, overhang)


def tap_reads(window: Window, n: int) -> list[int]:
    """How many units read a real row with each tap.

    >>> tap_reads(Window(3, stride=2, padding=(1, 1)), 8)
    [3, 4, 4]
    """
    before, _, m = place(window, n)
    reads = []
    for tap in range(window.kernel):
        first = tap * window.dilation - before
        enter, leave = -(first // window.stride), -((first - n) // window.stride)
        reads.append(max(min(leave, m) - max(enter, 0), 0))
    return reads


def windows_of(network: Network, size: Size) -> list[tuple[Layer, list[tuple[Window, int]]]]:
    """The convolutions and pools, each with its window and input rows on both axes."""
    axes = resolve_both(network, size)
    found = []
    for declared in network.layers:
        if declared.kind in WINDOWS:
            layer = with_pads_before(network, declared)
            entering = [axis.sizes[layer.inputs[0]] for axis in axes]
            ops = [op for op in layer.ops if isinstance(op, Window)]
            found.append((layer, list(zip(ops, entering, strict=True))))
    return found


def _imbalance(reads: list[int]) -> float:
    half = len(reads) // 2
    first, second = sum(reads[:half]), sum(reads[len(reads) - half :])
    return (second - first) / (first + second) if first + second else 0.0
