"""Receptive fields: size, effective stride and effective padding of every layer, exactly, branches
and all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import ceil, floor, lcm

from padviz.errors import SizeError
from padviz.geometry.reaching.near_padding import BeforeAfter
from padviz.geometry.reaching.reach import Interval, Reach, reaches_of
from padviz.network.network import ENDS, Network, Size
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import AlongAxes, on_each, sizes_of, sizes_of_each

NO_OFFSET = 0.05  # input pixels below which a grid counts as centred


@dataclass(frozen=True, slots=True)
class AxisField:
    """The receptive field of a layer on one axis, in input rows.

    `size` is the most rows that a unit of the layer's map sees, padding included. `padding` is how
    far the first unit's field starts before the first row, `centre` the input row at its middle;
    both are None if the branches, or the phases of upsampled units, have different centres.
    `stride` is None if the branches advance at different rates. A layer that sees the whole input
    has the input's size and neither stride nor padding.

    `offset` is the grid offset: the mean centre of all units' fields minus the image's centre, in
    input pixels. In a controlled experiment the filters of strided convolutions were skewed to the
    opposite side where it was not 0. A circular axis has no centre, and so no offset.

    >>> import padviz
    >>> field = padviz.fields("resnet18", 224)[0].height
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
class ReceptiveField(AlongAxes[AxisField]):
    """The field of a layer on each axis; `parts_at` is the merge whose branches have different
    centres.

    The branches of a U-Net agree: the units of an upsampled one are off to both sides in turn, and
    on average not.

    >>> import padviz
    >>> padviz.fields("vgg11", 64)[0].width.size
    3
    """

    layer: str
    kind: str
    axes: Mapping[str, AxisField] = field(hash=False)
    parts_at: str | None

    @property
    def offsets(self) -> tuple[float | None, ...]:
        """The grid offset on each axis, in input pixels."""
        return tuple(
            None if axis.offset is None else float(axis.offset) for axis in self.axes.values()
        )


@lru_cache(8)  # several analyses of one network follow each other
def receptive_fields(network: Network, size: Size) -> tuple[ReceptiveField, ...]:
    """Compute the receptive field of every layer: `padviz.fields`, of a loaded network."""
    names, rows = network.axes, []
    along = zip(*on_each(_fields_on, network, size), strict=True)
    for layer, of_layer in zip(network.layers[1:], along, strict=True):
        parts_at = min((at for _, at in of_layer if at is not None), default=None)
        where = None
        if parts_at is not None:
            where = network.layers[parts_at].name
        axes = dict(zip(names, [field for field, _ in of_layer], strict=True))
        rows.append(ReceptiveField(layer.name, layer.kind, axes, where))
    return tuple(rows)


def _fields_on(network: Network, axis: int, n: int) -> list[tuple[AxisField, int | None]]:
    """Return the field of every layer on an axis, and the first merge whose branches have different
    centres.
    """
    reaches, sizes, circular = (
        reaches_of(network, axis, n),
        sizes_of(network, axis, n),
        circular_axes(network)[axis],
    )
    fields: list[AxisField] = []
    parts: list[int | None] = [None]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering = [reaches[j] for j in layer.inputs]
        apart = (
            len(entering) > 1
            and not reaches[i].whole
            and len({reach.line for reach in entering}) > 1
        )
        before = [at for j in layer.inputs if (at := parts[j]) is not None]
        parts.append(min(before, default=i if apart else None))
        field = _field(reaches[i], n, sizes[i], parts[i])
        fields.append(replace(field, offset=None) if circular else field)
    return [*zip(fields, parts[1:], strict=True)]


def around_units(network: Network, size: Size) -> list[BeforeAfter | None]:
    """Return the numbers of samples that units of each layer of a signal see before and after their
    own; None for all.

    Unit k stands for a stride of samples, from k strides on. A causal unit sees none after.
    """
    around: list[BeforeAfter | None] = []
    for reach in reaches_of(network, 0, size[0]):
        if reach.whole or reach.uneven_strides:
            around.append(None)
            continue
        units = 1
        if reach.stride:  # then what units see, and where their strides begin, repeats together
            units = lcm(reach.stride.denominator, max(1, len(reach.seen)))
        ends = []
        for unit in range(units):
            low, high = reach.interval(unit)
            ends.append(
                (floor(unit * reach.stride) - low, high - ceil((unit + 1) * reach.stride) + 1)
            )
        before, after = zip(*ends, strict=True)
        around.append((max(before), max(after)))
    return around


def grid_offsets(network: Network, size: Size) -> dict[str, tuple[float | None, ...]]:
    """Return the grid offset of every layer on each axis, in input pixels; empty where fields
    cannot be followed.
    """
    try:
        return {row.layer: row.offsets for row in receptive_fields(network, size)}
    except SizeError:
        return {}


def grid_moves(
    network: Network, size: Size
) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    """Return the grid offset of every layer and axis, and how much the layer adds to that of its
    first input.

    >>> import padviz
    >>> grid_moves(padviz.load("resnet50"), (224, 224))["layer4.0.conv2", "height"]
    (-15.5, -8.0)
    """
    offsets = {network.layers[0].name: (0.0,) * len(network.axes)} | grid_offsets(network, size)
    moves = {}
    for layer in network.layers:
        if not layer.inputs or layer.name not in offsets:
            continue
        source = network.layers[layer.inputs[0]]
        pairs = zip(offsets[layer.name], offsets[source.name], strict=True)
        for axis, (offset, before) in zip(network.axes, pairs, strict=True):
            added = None
            if offset is not None and before is not None:
                added = offset - before
            moves[layer.name, axis] = offset, added
    return moves


def rounded_offset(offset: float) -> float:
    """Round a grid offset to be read; one that only rounding to whole rows makes, as of nearest
    resizes, is 0.

    >>> rounded_offset(-15.5), rounded_offset(1 / 3), rounded_offset(-1 / 82)
    (-15.5, 0.333, 0.0)
    """
    if abs(offset) >= NO_OFFSET:
        return float(f"{offset:.3g}")
    return 0.0


def grid_in_words(row: ReceptiveField) -> str:
    """Format the grid offset of a layer, or the reason why it has none."""
    if row.parts_at:
        return f"not defined: branches have different centres, first at {row.parts_at}"
    pairs = zip(row.axes, row.offsets, strict=True)
    px = "px"
    if len(row.axes) == 1:
        px = "samples"
    words = [
        f"{axis} {rounded_offset(offset):+g} {px}" for axis, offset in pairs if offset is not None
    ]
    whole = any(axis.whole for axis in row.axes.values())
    none = (
        "none: each unit sees the whole image" if whole else "none: circular padding has no centre"
    )
    return ", ".join(words).replace(f"+0 {px}", f"0 {px}") or none


def fields_of_units(network: Network, size: Size, layer: str) -> dict[str, tuple[Interval, ...]]:
    """Return the rows (first, last) on each axis that the centre and the corner units of a layer
    see, with padding.
    """
    at = network.index[network.find(layer).name]
    reaches = [along[at] for along in on_each(reaches_of, network, size)]
    units = [along[at] for along in sizes_of_each(network, size)]
    ends = [
        list(zip(ENDS[name], (0, n - 1), strict=True))
        for name, n in zip(network.axes, units, strict=True)
    ]
    places = {"centre": [n // 2 for n in units]}
    places |= {
        " ".join(end for end, _ in corner): [n for _, n in corner] for corner in product(*ends)
    }
    pairs = ((name, zip(reaches, place, strict=True)) for name, place in places.items())
    return {name: tuple(reach.interval(n) for reach, n in both) for name, both in pairs}


def _field(reach: Reach, n: int, units: int, parts_at: int | None) -> AxisField:
    if reach.whole:
        return AxisField(n, None, None, None, whole=True)
    stride = None if reach.uneven_strides else reach.stride
    if parts_at is not None or stride is None:
        return AxisField(reach.size, stride, None, None)
    offset = reach.mean_centre(units) - Fraction(n - 1, 2)
    low, high = reach.interval(0)
    if reach.on_the_line(units):
        padding, centre = (-low, Fraction(low + high, 2))
    else:
        padding, centre = (None, None)
    return AxisField(reach.size, stride, padding, centre, offset)
