"""Receptive fields: size, effective stride and effective padding of every layer, exactly, branches and all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm

from padviz.axis.operations import Adaptive, Op
from padviz.axis.receptive_interval import rows_read
from padviz.axis.resize import Resize, ratio_of
from padviz.errors import SizeError
from padviz.network.network import Network, Size
from padviz.network.sizes import resolve, resolve_both

Interval = tuple[int, int]
MOST_PERIOD = 1 << 16  # units of a layer that are followed one by one
MOST_KEPT = 1 << 20  # of all layers together


@dataclass(frozen=True, slots=True)
class AxisField:
    """The receptive field of a layer on one axis, in input rows.

    `padding` is how far the first unit's field starts before the first row, `centre` the input row at
    its middle; both are None where the branches, or the phases of upsampled units, are not centred
    alike. `stride` is None where the branches advance at different rates. A layer that sees the
    whole input has the input's size and neither stride nor padding.

    `offset` is the grid offset: the mean centre of all units' fields minus the image's centre, in input pixels. It
    predicts whether the filters of strided convolutions are skewed, and to which side; not how much.

    >>> import padviz
    >>> field = padviz.receptive_fields("resnet18", 224)[0].height
    >>> field.size, field.stride, field.padding, field.centre, field.offset
    (7, Fraction(2, 1), 3, Fraction(0, 1), Fraction(-1, 2))
    """

    size: int
    stride: Fraction | None
    padding: int | None
    centre: Fraction | None
    offset: Fraction | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The field of a layer on both axes; `parts_at` is the layer from which on its centres disagree.

    Examples
    --------
    >>> import padviz
    >>> padviz.receptive_fields("vgg11", 64)[0].width.size
    3
    """

    layer: str
    kind: str
    height: AxisField
    width: AxisField
    parts_at: str | None

    @property
    def offsets(self) -> tuple[float | None, float | None]:
        """The grid offset on both axes, in input pixels."""
        rows, cols = self.height.offset, self.width.offset
        return None if rows is None else float(rows), None if cols is None else float(cols)


@dataclass(frozen=True, slots=True)
class Reach:
    """The input rows, first and last, that units 0 .. period - 1 see; unit j + period sees `advance` further on.

    >>> Reach(((-1, 1),), 2).of(0, 3)
    (-1, 7)
    """

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


def receptive_fields(network: Network, size: int | Sequence[int] | None = None) -> tuple[ReceptiveField, ...]:
    """The receptive field of every layer: `padviz.receptive_fields`, of a network that is loaded.

    Parameters
    ----------
    network : Network
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.

    Raises
    ------
    PadvizError
        For a size or option that cannot be used.

    Examples
    --------
    >>> import padviz
    >>> receptive_fields(padviz.load("vgg16"), 224)[-1].height.size
    212
    """
    pixels = network.at(size)
    heights, widths = (reaches_of(network, axis, pixels) for axis in (0, 1))
    rows, cols = resolve_both(network, pixels)
    return tuple(
        ReceptiveField(
            layer.name,
            layer.kind,
            _field(heights[i], pixels[0], rows.sizes[i]),
            _field(widths[i], pixels[1], cols.sizes[i]),
            heights[i].parts_at or widths[i].parts_at,
        )
        for i, layer in enumerate(network.layers)
        if i
    )


def grid_offsets(network: Network, size: Size) -> dict[str, tuple[float | None, float | None]]:
    """The grid offset of every layer on both axes, in input pixels; nothing where fields cannot be followed.

    >>> import padviz
    >>> grid_offsets(padviz.load("resnet50"), (224, 225))["layer4.2"]
    (-15.5, 0.0)
    """
    try:
        return {row.layer: row.offsets for row in receptive_fields(network, size)}
    except SizeError:
        return {}


def grid_in_words(row: ReceptiveField) -> str:
    """The grid offset of a layer in a few words, or why it has none.

    >>> import padviz
    >>> grid_in_words(padviz.receptive_fields("resnet50", (224, 225))[-1])
    'height -15.5 px, width 0 px'
    """
    if row.parts_at:
        return f"undefined: branches are centred differently from {row.parts_at} on"
    pairs = zip(("height", "width"), row.offsets, strict=True)
    said = [f"{axis} {offset:+g} px" for axis, offset in pairs if offset is not None]
    return ", ".join(said).replace("+0 px", "0 px") or "none: each unit sees the whole image"


def fields_of_units(network: Network, size: Size, layer: str) -> dict[str, tuple[Interval, Interval]]:
    """Rows and columns (first, last) that the centre and the corner units of a layer see, padding included.

    >>> import padviz
    >>> fields_of_units(padviz.load("vgg16"), (224, 224), "features.2")["top left"]
    ((-2, 2), (-2, 2))
    """
    at = network.index[network.find(layer).name]
    axes = resolve_both(network, size)
    reaches = [reaches_of(network, axis, size)[at] for axis in (0, 1)]
    (rows, cols), (m, w) = reaches, (axes[0].sizes[at], axes[1].sizes[at])
    units = {
        "centre": (m // 2, w // 2),
        "top left": (0, 0),
        "top right": (0, w - 1),
        "bottom left": (m - 1, 0),
        "bottom right": (m - 1, w - 1),
    }
    return {name: (rows.of(row, row), cols.of(col, col)) for name, (row, col) in units.items()}


@lru_cache(8)  # networks and sizes that are asked about one after the other
def reaches_of(network: Network, axis: int, size: tuple[int, int]) -> tuple[Reach, ...]:
    """The reach of every layer on one axis.

    >>> import padviz
    >>> reaches_of(padviz.load("vgg11"), 0, (64, 64))[1].seen
    ((-1, 1),)
    """
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
    return tuple(found)


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


def _field(reach: Reach, n: int, units: int) -> AxisField:
    if reach.whole:
        return AxisField(n, None, None, None, whole=True)
    size = max(high - low + 1 for low, high in reach.seen)
    stride = None if reach.uneven_strides else Fraction(reach.advance, len(reach.seen))
    low, high = reach.seen[0]
    if reach.parts_at is not None or stride is None:
        return AxisField(size, stride, None, None)
    centre = Fraction(low + high, 2)
    return AxisField(size, stride, -low, centre, centre + stride * (units - 1) / 2 - Fraction(n - 1, 2))
