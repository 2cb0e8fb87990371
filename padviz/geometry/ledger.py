"""The padding ledger: the padding that each window reads, the reads of its taps, and windows that
differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, reduce
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.network.layer import CONVOLUTIONS, WINDOWS, Kind, Layer
from padviz.network.network import Network, Size
from padviz.network.operations import CACHED, Window, place
from padviz.network.padding_modes import SCHEMES
from padviz.network.reads import reads
from padviz.network.rewrites import circular_axes, padded_windows
from padviz.network.sizes import AlongAxes, sizes_of_each
from padviz.phrases import some_names

EndPads = tuple[int, int]


class PlacedWindow(NamedTuple):
    """A window over the rows of one axis, which may be padded circularly."""

    window: Window
    rows: int
    circular: bool = False


@dataclass(frozen=True, slots=True)
class AxisPadding:
    """One window on one axis: the padding that it declares and reads, and the rows that it misses.

    `used` counts the padded rows (before, after) that some tap of some unit reads. `remainder`
    counts real rows at the far edge that no tap reads, `skipped` the unread real rows before them,
    `overhang` the rows beyond the declared padding that ceil rounding reads.

    On a `circular` axis padding is the far side, and no side reads more of it than the other.

    >>> import padviz
    >>> first = padviz.uneven("resnet18", 224).layers[0].height
    >>> first.pads, first.used, first.uneven
    ((3, 3), (3, 2), True)
    """

    input: int
    output: int
    kernel: int
    stride: int
    dilation: int
    pads: EndPads
    used: EndPads
    remainder: int
    skipped: int
    overhang: int
    circular: bool = False

    @property
    def reads(self) -> EndPads:
        """The padded rows (before, after) that it reads, including the overhang, which is after."""
        return self.used[0], self.used[1] + self.overhang

    @property
    def uneven(self) -> bool:
        """Whether one side's padding is read more than the other's."""
        return not self.circular and self.reads[0] != self.reads[1]

    @property
    def timely_pads(self) -> EndPads:
        """Pads with which each unit reads up to the end of its own stride, and no further.

        >>> import padviz
        >>> padviz.uneven("resnet18", 224).layers[0].height.timely_pads
        (5, 1)
        """
        return self.dilation * (self.kernel - 1) + 1 - self.stride, self.stride - 1

    @property
    def late(self) -> bool:
        """Whether padding in front makes each unit end before its own stride does."""
        return 0 <= self.timely_pads[0] < self.pads[0]

    @property
    def jumps(self) -> bool:
        """Whether the last unit of a circular axis is more or less than a stride away from the
        first.
        """
        return self.circular and self.output * self.stride != self.input


@dataclass(frozen=True, slots=True)
class LayerPadding(AlongAxes[AxisPadding]):
    """One window on each axis.

    >>> import padviz
    >>> first = padviz.uneven("resnet18", (224, 225)).layers[0]
    >>> first.height.uneven, first.width.uneven, first.uneven
    (True, False, True)
    >>> [(row.kind, row.convolution) for row in padviz.uneven("resnet18", 224).layers[:2]]
    [('conv', True), ('maxpool', False)]
    """

    layer: str
    kind: Kind
    axes: Mapping[str, AxisPadding] = field(hash=False)

    @property
    def convolution(self) -> bool:
        """Whether it has weights, which can be skewed; a pool has none."""
        return self.kind in CONVOLUTIONS

    @property
    def uneven(self) -> bool:
        """Whether it is uneven on an axis."""
        return any(row.uneven for row in self.axes.values())

    @property
    def has_remainder(self) -> bool:
        """Whether rows or columns at the far edge stay unread."""
        return any(row.remainder > 0 for row in self.axes.values())

    @property
    def jumps(self) -> bool:
        """Whether its units jump in phase where the ends of a circular axis meet."""
        return any(row.jumps for row in self.axes.values())


@dataclass(frozen=True)
class Ledger:
    """Every window of a network at a size that has padding or a stride above 1, in network order.

    >>> import padviz
    >>> rows = padviz.uneven("resnet18", 225)
    >>> rows.balanced, rows.remainders
    (True, ())
    >>> rows = padviz.uneven("resnet18", 224)
    >>> len(rows.uneven_convolutions), [row.layer for row in rows.uneven_pools]
    (4, ['maxpool'])
    """

    network: str
    size: Size
    layers: tuple[LayerPadding, ...]

    @cached_property
    def uneven(self) -> tuple[LayerPadding, ...]:
        """The uneven layers."""
        return tuple(layer for layer in self.layers if layer.uneven)

    @property
    def uneven_convolutions(self) -> tuple[LayerPadding, ...]:
        """The uneven layers with weights, whose filters can be skewed."""
        return tuple(layer for layer in self.uneven if layer.convolution)

    @property
    def uneven_pools(self) -> tuple[LayerPadding, ...]:
        """The uneven layers without weights: pools."""
        return tuple(layer for layer in self.uneven if not layer.convolution)

    @property
    def balanced(self) -> bool:
        """Whether no layer is uneven."""
        return not self.uneven

    @cached_property
    def remainders(self) -> tuple[LayerPadding, ...]:
        """The layers that leave rows or columns unread; a balanced network may have some."""
        return tuple(layer for layer in self.layers if layer.has_remainder)

    @property
    def jumps(self) -> tuple[LayerPadding, ...]:
        """The layers whose units jump in phase on a circular axis, since its size is not a multiple
        of the strides.
        """
        return tuple(layer for layer in self.layers if layer.jumps)


def ledger(network: Network, size: Size, around: tuple[bool, ...] | None = None) -> Ledger:
    """Count the padding that every window reads at a size: `padviz.uneven`, of a loaded network.

    `around` says which axes are circular, where these are not the network's own.
    """
    rows, names = [], network.axes
    known: dict[tuple[PlacedWindow, ...], dict[str, AxisPadding]] = {}
    for layer, windows in windows_of(network, size, around):
        if (key := tuple(windows)) not in known:
            listed = any(
                placed.window.stride > 1 or any(place(placed.window, placed.rows)[:2])
                for placed in windows
            )
            known[key] = {
                name: axis_padding(*placed)
                for name, placed in zip(names, windows, strict=True)
                if listed
            }
        if known[key]:
            rows.append(LayerPadding(layer.name, layer.kind, known[key]))
    return Ledger(network.name, size, tuple(rows))


def timely_in_words(layer: LayerPadding) -> str:
    """Write the pads with which units end where their strides do, and today's.

    >>> import padviz
    >>> timely_in_words(padviz.uneven("resnet18", (224, 224)).layers[0])
    'conv1 5+1 instead of 3+3'
    """
    row = next(iter(layer.axes.values()))
    return "{} {}+{} instead of {}+{}".format(layer.layer, *row.timely_pads, *row.pads)


def padded_before(network: Network) -> str:
    """Return a note on windows whose padding in the ledger is, in part, that of pads before them,
    or "".
    """
    joined = zip(
        padded_windows(network),
        (layer for layer in network.layers if layer.kind in WINDOWS),
        strict=True,
    )
    names = [layer.name for layer, declared in joined if layer.ops != declared.ops]
    if not names:
        return ""
    whose = "its"
    if len(names) > 1:
        whose = "their"
    return f"rows that are padded before {some_names(names, 1)} are counted as {whose} padding"


@lru_cache(CACHED)
def axis_padding(window: Window, n: int, circular: bool = False) -> AxisPadding:
    """Count the rows that the taps of one window over `n` rows read.

    On a circular axis of whole strides, rows behind the last tap count as skipped, like those
    between other taps.
    """
    before, after, m = place(window, n)
    rows = reads(window, n, m, np.arange(m))[0] + before
    read = np.zeros(max(before + n + after, rows.max() + 1), dtype=bool)
    read[rows] = True
    real = read[before : before + n]
    missed = int(n - np.count_nonzero(real))
    if circular and m * window.stride == n:
        remainder = 0
    elif real.any():
        remainder = int(np.argmax(real[::-1]))
    else:
        remainder = n
    used = int(read[:before].sum()), int(read[before + n : before + n + after].sum())
    overhang = int(read[before + n + after :].sum())
    shape = n, m, window.kernel, window.stride, window.dilation
    return AxisPadding(
        *shape, (before, after), used, remainder, missed - remainder, overhang, circular
    )


def windows_of(
    network: Network, size: Size, around: tuple[bool, ...] | None = None
) -> list[tuple[Layer, list[PlacedWindow]]]:
    """Return the convolutions and pools, each with its window on every axis."""
    sizes, around = sizes_of_each(network, size), around or circular_axes(network)
    layer_windows = []
    for layer in padded_windows(network):
        entering = [along[layer.inputs[0]] for along in sizes]
        # one tap, where it has one axis
        ops = [op if isinstance(op, Window) else Window(1) for op in layer.ops]
        layer_windows.append((layer, list(map(PlacedWindow, ops, entering, around))))
    return layer_windows


@dataclass(frozen=True, slots=True, eq=False)
class TapExposure:
    """The number of units that read a real pixel, not padding, with each tap: `grid`, of the
    kernel's shape.

    `imbalance` is, per axis, the reads of the second half of the taps minus those of the first,
    over both; the middle tap is left out. `units` is the number of units of the layer.

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
        reads = [np.array(tap_reads(*placed)) for placed in windows]
        rows = [axis_padding(*placed) for placed in windows]
        units, uneven = prod(row.output for row in rows), any(row.uneven for row in rows)
        imbalance = dict(zip(network.axes, map(_imbalance, reads), strict=True))
        grid = reduce(np.multiply.outer, reads)
        exposures.append(TapExposure(layer.name, layer.kind, uneven, units, grid, imbalance))
    return tuple(exposures)


def tap_reads(window: Window, n: int, circular: bool = False) -> list[int]:
    """Count the units that read a real row with each tap; on a circular axis, padding counts as
    real.
    """
    m = place(window, n).n_out
    if circular and SCHEMES[window.mode].wraps:
        return [m] * window.kernel
    rows, _ = reads(window, n, m, np.arange(m))
    counts: list[int] = ((rows >= 0) & (rows < n)).sum(axis=1).tolist()
    return counts


def _imbalance(reads: NDArray[np.int64]) -> float:
    half = len(reads) // 2
    first, second = int(reads[:half].sum()), int(reads[len(reads) - half :].sum())
    if first + second:
        return (second - first) / (first + second)
    return 0.0
