"""Receptive fields: size, effective stride and effective padding of every layer, exactly, branches and all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from padviz.errors import SizeError
from padviz.geometry.reaching.periods import by_periods
from padviz.geometry.reaching.positions import by_positions
from padviz.geometry.reaching.reach import Interval, Reach
from padviz.network.network import Network, Size
from padviz.network.sizes import is_square, resolve, resolve_both


@dataclass(frozen=True, slots=True)
class AxisField:
    """The receptive field of a layer on one axis, in input rows.

    `size` is the most rows that a unit of the layer's map sees, padding included. `padding` is how far the
    first unit's field starts before the first row, `centre` the input row at its middle; both are None where
    the branches, or the phases of upsampled units, are not centred alike. `stride` is None where the branches
    advance at different rates. A layer that sees the whole input has the input's size and neither stride nor
    padding.

    `offset` is the grid offset: the mean centre of all units' fields minus the image's centre, in input pixels.
    In a controlled experiment the filters of strided convolutions were skewed where it is not 0, to the other side.

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
class ReceptiveField:
    """The field of a layer on both axes; `parts_at` is the layer from which on its centres disagree.

    Examples
    --------
    >>> import padviz
    >>> padviz.fields("vgg11", 64)[0].width.size
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


def receptive_fields(network: Network, size: int | Sequence[int] | None = None) -> tuple[ReceptiveField, ...]:
    """Find the receptive field of every layer: `padviz.fields`, of a loaded network.

    >>> import padviz
    >>> receptive_fields(padviz.load("vgg16"), 224)[-1].height.size
    212
    """
    pixels = network.at(size)
    heights, widths = (reaches_of(network, axis, pixels) for axis in (0, 1))
    rows = _fields(heights, network, 0, pixels)
    cols = rows if widths is heights else _fields(widths, network, 1, pixels)
    return tuple(
        ReceptiveField(
            layer.name,
            layer.kind,
            rows[i],
            cols[i],
            min(filter(None, (heights[i].parts_at, widths[i].parts_at)), key=network.index.__getitem__, default=None),
        )
        for i, layer in enumerate(network.layers)
        if i
    )


def grid_offsets(network: Network, size: Size) -> dict[str, tuple[float | None, float | None]]:
    """Find the grid offset of every layer on both axes, in input pixels; nothing where fields cannot be followed.

    >>> import padviz
    >>> grid_offsets(padviz.load("resnet50"), (224, 225))["layer4.2"]
    (-15.5, 0.0)
    """
    try:
        return {row.layer: row.offsets for row in receptive_fields(network, size)}
    except SizeError:
        return {}


def grid_in_words(row: ReceptiveField) -> str:
    """Say the grid offset of a layer in a few words, or why it has none.

    >>> import padviz
    >>> grid_in_words(padviz.fields("resnet50", (224, 225))[-1])
    'height -15.5 px, width 0 px'
    """
    if row.parts_at:
        return f"not defined: branches have different centres, first at {row.parts_at}"
    pairs = zip(("height", "width"), row.offsets, strict=True)
    words = [f"{axis} {offset:+g} px" for axis, offset in pairs if offset is not None]
    return ", ".join(words).replace("+0 px", "0 px") or "none: each unit sees the whole image"


def fields_of_units(network: Network, size: Size, layer: str) -> dict[str, tuple[Interval, Interval]]:
    """Find rows and columns (first, last) that the centre and the corner units of a layer see, padding included.

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
    return {name: (rows.of(row), cols.of(col)) for name, (row, col) in units.items()}


@lru_cache(8)  # networks and sizes that are asked about one after the other
def reaches_of(network: Network, axis: int, size: tuple[int, int]) -> tuple[Reach, ...]:
    """Find the reach of every layer on one axis: a period of it, or where no map has one, all units.

    >>> import padviz
    >>> reaches_of(padviz.load("vgg11"), 0, (64, 64))[1].seen
    [(-1, 1)]
    """
    if axis and size[0] == size[1] and is_square(network):
        return reaches_of(network, 0, size)
    sizes = resolve(network, axis, size[axis]).sizes
    return by_periods(network, axis, sizes) or by_positions(network, axis, sizes)


def _fields(reaches: Sequence[Reach], network: Network, axis: int, size: Size) -> list[AxisField]:
    n, sizes = size[axis], resolve(network, axis, size[axis]).sizes
    return [_field(reach, n, units) for reach, units in zip(reaches, sizes, strict=True)]


def _field(reach: Reach, n: int, units: int) -> AxisField:
    if reach.whole:
        return AxisField(n, None, None, None, whole=True)
    stride = None if reach.uneven_strides else reach.stride
    low, high = reach.of(0)
    if reach.parts_at is not None or stride is None:
        return AxisField(reach.size, stride, None, None)
    centre = Fraction(low + high, 2)
    return AxisField(reach.size, stride, -low, centre, centre + stride * (units - 1) / 2 - Fraction(n - 1, 2))
