"""Mean filters: the average weights of each convolution, and whether training skewed them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from padviz.errors import DescriptionError
from padviz.geometry.ledger import axis_padding, tap_exposure, windows_of
from padviz.geometry.receptive_fields import grid_offsets
from padviz.network.layer import Kind, Layer
from padviz.network.network import Network, Size
from padviz.network.operations import Transposed, Window
from padviz.network.rewrites import check_image
from padviz.network.targets import upto
from padviz.trained.networks.running import Floats
from padviz.trained.networks.trained_network import Kernel, Trained

FLIPS = 999  # sign flips of the permutation tests
SEED = 0
# Of the median channel's largest weight: one whose weights are all below has none to speak of.
DEAD = 1e-4
NOT_FINITE = "weights are NaN or infinite"
Pair = tuple[int, int]
Grid = tuple[int, float | None, Pair | None]  # stride, offset and used padding, on an axis


@dataclass(frozen=True, slots=True)
class AxisSkew:
    """How skewed the filters of a convolution are on one axis.

    `skew` is D: (second half - first half) / sum of the magnitudes of weights, averaged over input
    channels first and then over output channels. Above 0, the bottom, or the right, has more. `z`
    is D over its standard error, None for one channel. `asymmetry` is the antisymmetric part of the
    mean filter over its norm. `p` and `asymmetry_p` say how often as much comes of channels whose
    mirror images are as likely: 999 sign flips. `offset` is the grid offset in input pixels, None
    where it is undefined; `used` are the padded rows that the window reads before and after.
    """

    skew: float
    z: float | None
    p: float
    asymmetry: float
    asymmetry_p: float
    stride: int
    offset: float | None
    used: Pair | None

    @property
    def uneven(self) -> bool:
        return self.used is not None and self.used[0] != self.used[1]


@dataclass(frozen=True, slots=True, eq=False)
class MeanFilter:
    """The mean filter of one convolution, of shape (kernel height, width), and how skewed it is.

    `mean` is over output and input channels, `magnitude` the same of absolute weights. Both leave
    out the `dead` ones of its `channels`, whose weights are all below 1e-4 of the median channel's.
    They are None where all are dead, or weights are not finite: then `why` says so, and neither
    axis has a skew. `exposure` is the share of units whose tap reads a real pixel. An axis on which
    the kernel has one tap is None. `norm` is true where a batch normalisation follows: then none is
    folded into the weights, which changes the mean filter but not D. `uses` is how many layers
    share the weights, of which `layer` is the first.
    """

    layer: str
    kind: Kind
    kernel: Pair
    stride: Pair
    channels: int
    dead: int
    norm: bool
    uses: int
    mean: Floats | None
    magnitude: Floats | None
    exposure: Floats | None
    height: AxisSkew | None
    width: AxisSkew | None
    why: str = ""

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides of the axes that have several taps."""
        return tuple(
            stride for taps, stride in zip(self.kernel, self.stride, strict=True) if taps > 1
        )

    @property
    def axes(self) -> tuple[AxisSkew, ...]:
        return tuple(axis for axis in (self.height, self.width) if axis is not None)

    @property
    def strided(self) -> bool:
        return self.kind == "conv" and max(self.strides) > 1

    @property
    def skew(self) -> Floats | None:
        """The part of the mean magnitude that a rotation by half a turn negates, over its mean."""
        if self.magnitude is None or not self.magnitude.any():
            return None
        skew: Floats = (self.magnitude - self.magnitude[::-1, ::-1]) / 2 / self.magnitude.mean()
        return skew


class AxisGroup(NamedTuple):
    """Axes of convolutions that are alike in being strided, in their grid offset and in their
    padding.

    `grid` is -1, 0 or 1 where the units lie before the image's centre, on it, or after; None where
    it is undefined. `reads` is -1, 0 or 1 where more padding is read after, equally much on both
    sides, or more before.
    """

    strided: bool
    grid: int | None
    reads: int
    axes: int
    skew: float
    positive: int


@dataclass(frozen=True, slots=True, eq=False)
class MeanFilters:
    """The mean filters of a trained network, in network order.

    `unread` says by layer why it has none.
    """

    network: str
    title: str
    size: Size
    rows: tuple[MeanFilter, ...]
    unread: Mapping[str, str]

    @property
    def strided(self) -> tuple[AxisSkew, ...]:
        return tuple(axis for axis in self._axes_of_convolutions() if axis.stride > 1)

    @property
    def others(self) -> tuple[AxisSkew, ...]:
        return tuple(axis for axis in self._axes_of_convolutions() if axis.stride == 1)

    def _axes_of_convolutions(self) -> list[AxisSkew]:
        axes: list[AxisSkew] = []
        for row in self.rows:
            if row.kind == "conv":
                axes += row.axes
        return axes

    @property
    def groups(self) -> tuple[AxisGroup, ...]:
        """D against grid offset and used padding, strided axes first.

        Transposed convolutions are left out.
        """
        skews_of: dict[tuple[bool, int | None, int], list[float]] = {}
        for axis in (*self.strided, *self.others):
            grid = None
            if axis.offset is not None:
                grid = int(np.sign(axis.offset))
            before, after = axis.used or (0, 0)
            skews_of.setdefault((axis.stride > 1, grid, int(np.sign(before - after))), []).append(
                axis.skew
            )
        return tuple(
            AxisGroup(*key, len(skews), float(np.mean(skews)), sum(skew > 0 for skew in skews))
            for key, skews in skews_of.items()
        )

    @property
    def off_centre(self) -> tuple[AxisSkew, ...]:
        return tuple(axis for axis in (*self.strided, *self.others) if axis.offset)

    @property
    def went_with(self) -> int | None:
        """On how many off-centre axes the weights are larger on the side away from the offset.

        None unless there are offsets of both signs: a network skewed for another reason would go
        with one sign.
        """
        if len({axis.offset > 0 for axis in self.off_centre if axis.offset}) < 2:
            return None
        return sum(axis.skew * (axis.offset or 0) < 0 for axis in self.off_centre)


def filters_of(trained: Trained, layers: Sequence[str] = ()) -> MeanFilters:
    network, size = trained.network, trained.size
    check_image(network)
    wanted = {network.find(name).name for name in layers} or {*network.index}
    shared: dict[str, list[Kernel]] = {}
    for kernel in trained.kernels:
        if kernel.layer in wanted and max(kernel.weights.shape[2:]) > 1:
            shared.setdefault(kernel.key, []).append(kernel)
    unread = {name: why for name, why in trained.unread.items() if name in wanted}
    if not shared:
        raise _none_measured(trained.where, bool(layers), unread)
    asked = network
    if layers:
        asked = upto(network, tuple(wanted))
    grids = _grids(asked, size)
    taps = {row.layer: row.grid / row.units for row in tap_exposure(asked, size) if row.units}
    rows = []
    for kernels in shared.values():
        users = [asked.find(kernel.layer) for kernel in kernels]
        both = _common(grids, users, 0), _common(grids, users, 1)
        rows.append(_mean_filter(kernels, users[0], both, taps.get(users[0].name)))
    return MeanFilters(network.name, network.title, size, tuple(rows), unread)


def _none_measured(where: str, among_layers: bool, unread: Mapping[str, str]) -> DescriptionError:
    what = "has no convolution of several taps"
    if among_layers:
        what += " among those layers"
    what += " whose weights are there"
    if unread:
        name, why = next(iter(unread.items()))
        what += f": {name}: {why}"
    return DescriptionError(what, where=where, hint="padviz layers lists its convolutions")


def _grids(network: Network, size: Size) -> dict[str, list[Grid]]:
    """Return the grid of each layer, by name, on both axes."""
    offsets = grid_offsets(network, size)
    windows = {layer.name: by_axis for layer, by_axis in windows_of(network, size)}
    grids: dict[str, list[Grid]] = {}
    for layer in network.layers:
        grids[layer.name] = []
        for axis in (0, 1):
            op = layer.ops[axis]
            stride = 1
            if isinstance(op, Window | Transposed):
                stride = op.stride
            offset = offsets.get(layer.name, (None, None))[axis]
            used = None
            if layer.name in windows:
                used = axis_padding(*windows[layer.name][axis]).reads
            grids[layer.name].append((stride, offset, used))
    return grids


def _common(grids: Mapping[str, Sequence[Grid]], layers: Sequence[Layer], axis: int) -> Grid:
    """Return the grid that layers of the same weights have on an axis; None where they differ."""
    stride, offset, used = grids[layers[0].name][axis]
    for layer in layers[1:]:
        _, another, reads = grids[layer.name][axis]
        if another != offset:
            offset = None
        if reads != used:
            used = None
    return stride, offset, used


def _mean_filter(
    kernels: Sequence[Kernel], layer: Layer, grids: tuple[Grid, Grid], exposure: Floats | None
) -> MeanFilter:
    """Average the filters of one convolution, or of several that share their weights."""
    weights = kernels[0].weights
    with np.errstate(invalid="ignore", over="ignore"):  # `why` says what is not finite
        means, magnitudes = (
            weights.mean(1, dtype=np.float64),
            np.abs(weights).mean(1, dtype=np.float64),
        )
    why = ""
    if not np.isfinite(magnitudes).all():
        live = np.ones(len(magnitudes), bool)
        why = NOT_FINITE
    else:
        largest = magnitudes.max((1, 2))
        live = largest > DEAD * np.median(largest)
        if not live.any():
            why = "weights are all 0"
    means, magnitudes, (_, _, *taps) = means[live], magnitudes[live], weights.shape
    shape = (taps[0], taps[1]), (grids[0][0], grids[1][0])
    about = (
        layer.name,
        layer.kind,
        *shape,
        len(live),
        int((~live).sum()),
        kernels[0].norm,
        len(kernels),
    )
    if why:
        return MeanFilter(*about, None, None, exposure, None, None, why)
    height = width = None
    if taps[0] > 1:
        height = _skew(means, magnitudes, 0, grids[0])
    if taps[1] > 1:
        width = _skew(means, magnitudes, 1, grids[1])
    return MeanFilter(*about, means.mean(0), magnitudes.mean(0), exposure, height, width)


def _skew(means: Floats, magnitudes: Floats, axis: int, grid: Grid) -> AxisSkew:
    """Measure the skew of filters (channels, height, width) on one axis."""
    along = np.moveaxis(magnitudes, 1 + axis, 1).sum(2)
    half = along.shape[1] // 2
    skews = (along[:, -half:].sum(1) - along[:, :half].sum(1)) / along.sum(1)
    count, skew = len(skews), float(skews.mean())
    spread = 0.0
    if count > 1:
        spread = float(skews.std(ddof=1))
    odd = ((means - np.flip(means, 1 + axis)) / 2).reshape(count, -1)
    norm, odd_norm = float(np.linalg.norm(means.mean(0))), float(np.linalg.norm(odd.mean(0)))
    flips = _sign_flips(count)
    p = _p_value(np.abs(flips @ skews) / count, abs(skew))
    asymmetry = odd_norm / norm if norm else 0.0
    asymmetry_p = _p_value(np.linalg.norm(flips @ odd, axis=1) / count, odd_norm)
    z = None
    if spread:
        z = skew / (spread / count**0.5)
    return AxisSkew(skew, z, p, asymmetry, asymmetry_p, *grid)


def _p_value(flipped: Floats, unflipped: float) -> float:
    """Return the share of sign flips, the filters' own among them, that are at least as skewed."""
    return (1 + int(np.count_nonzero(flipped >= unflipped * (1 - 1e-9)))) / (1 + len(flipped))


@lru_cache(8)
def _sign_flips(channels: int) -> Floats:
    return np.random.default_rng(SEED).choice(np.array([-1.0, 1.0]), (FLIPS, channels))
