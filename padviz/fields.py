"""Receptive fields: size, effective stride and effective padding of every layer, exactly, branches and all.

What unit j of a layer sees, on one axis, is an interval of input rows. In every layer those intervals
repeat: unit j + period sees the same as unit j, `advance` rows further. `Reach` keeps one period.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, gcd, lcm
from pathlib import Path

from padviz.axis import Adaptive, Op, Resize, rows_read
from padviz.errors import SizeError
from padviz.network import Network, Size, resolve, resolve_both
from padviz.resize import ratio_of
from padviz.sources import load_at

Interval = tuple[int, int]
MOST_PERIOD = 1 << 16  # units of a layer that are followed one by one
MOST_KEPT = 1 << 20  # of all layers together
Barrier = tuple[str, str]  # a layer behind which each position depends on all, and why


@dataclass(frozen=True, slots=True)
class AxisField:
    """The receptive field of a layer on one axis, in input rows.

    `padding` is how far the first unit's field starts before the first row, `centre` the input row at
    its middle; both are None where the branches, or the phases of upsampled units, are not centred
    alike. `stride` is None where the branches advance at different rates. A layer that sees the
    whole input has the input's size and neither stride nor padding.
    """

    size: int
    stride: Fraction | None
    padding: int | None
    centre: Fraction | None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The field of a layer on both axes; `parts_at` is the layer from which on its centres disagree."""

    layer: str
    kind: str
    height: AxisField
    width: AxisField
    parts_at: str | None


@dataclass(frozen=True, slots=True)
class Reach:
    """The input rows, first and last, that units 0 .. period - 1 see; unit j + period sees `advance` further on."""

    seen: tuple[Interval, ...]
    advance: int
    parts_at: str | None = None
    whole: bool = False
    uneven_strides: bool = False

    def of(self, first: int, last: int) -> Interval:
        """The rows that units first .. last see together."""
        ends = []
        for unit in (first, last):
            turns, phase = divmod(unit, len(self.seen))
            low, high = self.seen[phase]
            ends.append((low + turns * self.advance, high + turns * self.advance))
        return ends[0][0], ends[1][1]


def receptive_fields(
    network: str | Path | Network, size: int | Sequence[int] | None = None
) -> tuple[ReceptiveField, ...]:
    """Work out the receptive field of every layer.

    Parameters
    ----------
    network : str, Path or Network
    size : int or (height, width), optional
        Where padding depends on the input size (SAME), and for layers that see all of it.

    Notes
    -----
    A size is the union over all branches: the extent of `usage` from a single inner unit.
    Source: Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.

    Examples
    --------
    >>> last = receptive_fields("vgg16", 224)[-1]
    >>> last.height.size, int(last.height.stride), last.height.padding
    (212, 32, 90)
    """
    net, pixels = load_at(network, size)
    heights, widths = (_reaches(net, axis, pixels) for axis in (0, 1))
    return tuple(
        ReceptiveField(
            layer.name,
            layer.kind,
            _field(heights[i], pixels[0]),
            _field(widths[i], pixels[1]),
            heights[i].parts_at or widths[i].parts_at,
        )
        for i, layer in enumerate(net.layers)
        if i
    )


@dataclass(frozen=True, slots=True)
class Margin:
    """Units next to each border of a layer that padding touches, and the input pixels that they stand for.

    Pairs are (before, after) the image. An image cut into tiles keeps a layer's values if each tile
    has `halo` more pixels on each side, and their units are cut off after. The halo does not depend
    on the size, though a small map may have fewer units. No halo is exact behind what makes each position depend on
    all: it is None there, and `barrier_height` says the layer and why.
    """

    layer: str
    kind: str
    height: Interval
    width: Interval
    halo_height: Interval | None
    halo_width: Interval | None
    barrier_height: Barrier | None = None
    barrier_width: Barrier | None = None


def margins(network: str | Path | Network, size: int | Sequence[int] | None = None) -> tuple[Margin, ...]:
    """Find how far padding reaches into every layer: its units that see past the image's border.

    >>> last = margins("vgg16", 512)[-1]
    >>> last.height, last.halo_height
    ((3, 3), (96, 96))
    """
    net, pixels = load_at(network, size)
    axes = resolve_both(net, pixels)
    touched = []
    for axis, n in enumerate(pixels):
        reaches = _reaches(net, axis, pixels)
        touched.append([_margin(reach, m, n) for reach, m in zip(reaches, axes[axis].sizes, strict=True)])
    found = []
    for layer, high, wide, *stops in list(
        zip(net.layers, *touched, *(_barriers(net, axis) for axis in (0, 1)), strict=True)
    )[1:]:
        halos = [None if stop else halo for stop, (_, halo) in zip(stops, (high, wide), strict=True)]
        found.append(Margin(layer.name, layer.kind, high[0], wide[0], *halos, *stops))
    return tuple(found)


def _barriers(network: Network, axis: int) -> list[Barrier | None]:
    """Of every layer, the first before it, or itself, that makes each position depend on all."""
    found: list[Barrier | None] = [None]
    for layer in network.layers[1:]:
        why = layer.whole(axis)
        before = next((found[j] for j in layer.inputs if found[j]), None)
        found.append(before or ((layer.name, why) if why else None))
    return found


def _margin(reach: Reach, m: int, n: int) -> tuple[Interval, Interval | None]:
    """Of `m` units over `n` rows: how many see past either end, and the rows that so many stand for on a long axis."""
    if reach.whole:
        low, high = reach.seen[0]
        return ((m, m) if low < 0 or high >= n else (0, 0)), None
    before = _touched(lambda unit: reach.of(unit, unit)[0] < 0, len(reach.seen))
    after = _touched(lambda unit: reach.of(m - 1 - unit, m - 1 - unit)[1] >= n, len(reach.seen))
    stride = Fraction(reach.advance, len(reach.seen))
    return (min(before, m), min(after, m)), (ceil(before * stride), ceil(after * stride))


def _touched(sees_past: Callable[[int], bool], period: int) -> int:
    """How many units, counted from a border, lie up to the last that sees past it."""
    count = unit = 0
    while unit < count + period:
        unit += 1
        if sees_past(unit - 1):
            count = unit
    return count


def fields_of_units(network: Network, size: Size, layer: str) -> dict[str, tuple[Interval, Interval]]:
    """Rows and columns (first, last) that the centre and the corner units of a layer see, padding included.

    >>> import padviz
    >>> fields_of_units(padviz.load("vgg16"), (224, 224), "features.2")["top left"]
    ((-2, 2), (-2, 2))
    """
    at = network.index[network.find(layer).name]
    axes = resolve_both(network, size)
    reaches = [_reaches(network, axis, size)[at] for axis in (0, 1)]
    (rows, cols), (m, w) = reaches, (axes[0].sizes[at], axes[1].sizes[at])
    units = {
        "centre": (m // 2, w // 2),
        "top left": (0, 0),
        "top right": (0, w - 1),
        "bottom left": (m - 1, 0),
        "bottom right": (m - 1, w - 1),
    }
    return {name: (rows.of(row, row), cols.of(col, col)) for name, (row, col) in units.items()}


def _reaches(network: Network, axis: int, size: tuple[int, int]) -> list[Reach]:
    """The reach of every layer on one axis."""
    sizes = resolve(network, axis, size[axis]).sizes
    found, kept = [Reach(((0, 0),), 1)], 0
    for i, layer in enumerate(network.layers[1:], start=1):
        entering, op = [found[j] for j in layer.inputs], layer.ops[axis]
        try:
            if len(entering) > 1:
                found.append(_merged(entering, layer.name))
            else:
                n = sizes[layer.inputs[0]]
                found.append(entering[0] if op is None else _through(op, entering[0], n, sizes[i], layer.name))
            kept += len(found[-1].seen)
            _check_period(len(found[-1].seen) if kept <= MOST_KEPT else kept)
        except SizeError as error:
            raise SizeError(error.what, where=f"{network.name}, {layer.name}", hint=error.hint) from None
    return found


def _through(op: Op, entering: Reach, n: int, n_out: int, name: str) -> Reach:
    """The reach of the units of `op`, from that of the layer it reads, of `n` rows."""
    if entering.whole or isinstance(op, Adaptive):
        return Reach((entering.of(0, n - 1),), 0, entering.parts_at, whole=True)
    _check_period(ratio_of(op, n, n_out).denominator if isinstance(op, Resize) else 1)
    rows, step = rows_read(op, n, n_out)
    _check_period(len(rows) * len(entering.seen) // gcd(step, len(entering.seen)))
    period = len(rows) * len(entering.seen) // gcd(step, len(entering.seen))
    seen = []
    for unit in range(period):
        turns, phase = divmod(unit, len(rows))
        first, last = rows[phase]
        seen.append(entering.of(first + turns * step, last + turns * step))
    advance = period // len(rows) * step * entering.advance // len(entering.seen)
    reach = Reach(tuple(seen), advance, entering.parts_at, uneven_strides=entering.uneven_strides)
    if reach.parts_at is None and not _centred_alike(reach):
        return Reach(reach.seen, advance, name, uneven_strides=entering.uneven_strides)
    return reach


def _check_period(period: int) -> None:
    """Refuse a layer whose units are too many to be followed one by one, before they are."""
    if period > MOST_PERIOD:
        what = f"only every {period} units its receptive fields repeat, too many to follow"
        raise SizeError(what, hint="use a scale of small numbers, such as 4/3, or name earlier layers")


def _merged(reaches: Sequence[Reach], name: str) -> Reach:
    """The union of branches."""
    parted = next((reach.parts_at for reach in reaches if reach.parts_at), None)
    if any(reach.whole for reach in reaches):
        lows, highs = zip(*(reach.seen[0] for reach in reaches), strict=True)
        return Reach(((min(lows), max(highs)),), 0, parted, whole=True)
    period = lcm(*(len(reach.seen) for reach in reaches))
    _check_period(period)
    advances = {reach.advance * period // len(reach.seen) for reach in reaches}
    both = [[reach.of(unit, unit) for reach in reaches] for unit in range(period)]
    seen = tuple((min(low for low, _ in each), max(high for _, high in each)) for each in both)
    uneven = len(advances) > 1 or any(reach.uneven_strides for reach in reaches)
    centred = all(len({low + high for low, high in each}) == 1 for each in both)
    return Reach(seen, max(advances), parted or (None if centred and not uneven else name), uneven_strides=uneven)


def _centred_alike(reach: Reach) -> bool:
    """Whether the centres of one period's units are evenly apart."""
    period = len(reach.seen)
    centres = [low + high for low, high in reach.seen]
    return all((centre - centres[0]) * period == 2 * unit * reach.advance for unit, centre in enumerate(centres))


def _field(reach: Reach, n: int) -> AxisField:
    if reach.whole:
        return AxisField(n, None, None, None, whole=True)
    size = max(high - low + 1 for low, high in reach.seen)
    stride = None if reach.uneven_strides else Fraction(reach.advance, len(reach.seen))
    low, high = reach.seen[0]
    centred = reach.parts_at is None
    return AxisField(size, stride, -low if centred else None, Fraction(low + high, 2) if centred else None)
