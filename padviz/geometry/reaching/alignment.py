"""The alignment of tiles: on which multiples they may start; and the context that they need."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, lcm
from typing import NamedTuple

from padviz.errors import SizeError
from padviz.geometry.reaching.near_padding import Barrier, BeforeAfter, touched_on
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.operations import Adaptive, Blocks, Transposed, Window, place
from padviz.network.padding_modes import SCHEMES
from padviz.network.receptive_interval import rate_of
from padviz.network.resize import Resize
from padviz.network.sizes import another_at, on_each, sizes_of

MOST_ALIGNMENT = 1 << 16
ALIKE = 64  # pixels; networks pad images to multiples of its divisors


class Alignment(NamedTuple):
    """Tiles start at multiples of `step` pixels; a unit of layer i stands for `strides[i]` pixels."""

    step: int
    strides: tuple[Fraction, ...]


def alignment_on(network: Network, axis: int, n: int) -> Alignment:
    """Return the alignment that keeps the phase of every stride as in the whole image of `n` rows."""
    sizes, strides = sizes_of(network, axis, n), [Fraction(1)]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering = max(strides[j] for j in layer.inputs)
        op, n_in, n_out = layer.ops[axis], sizes[layer.inputs[0]], sizes[i]
        rate = Fraction(1) if op is None else rate_of(op, n_in, n_out)
        if isinstance(op, Resize) and _follows_size(op):  # as at the nearest whole scale
            rate = Fraction(1, max(1, round(n_out / n_in))) if n_out >= n_in else Fraction(max(1, round(n_in / n_out)))
        strides.append(entering * rate)
    turns = [op.size if isinstance(op := layer.ops[axis], Blocks) and op.is_local else 1 for layer in network.layers]
    step = lcm(*((stride * turn).numerator for stride, turn in zip(strides, turns, strict=True)))
    if step > MOST_ALIGNMENT:
        what = f"its strides repeat their phase only every {step} pixels"
        raise SizeError(what, where=network.name, hint="name an earlier `layer`")
    return Alignment(step, tuple(strides))


def pixels_around(network: Network, axis: int, n: int, alignment: Alignment) -> list[BeforeAfter]:
    """Return the context of a tile for each target: the pixels whose units padding at the tile's ends would touch.

    This assumes that the units of a tile are the same at every aligned start.
    """
    sizes, found = sizes_of(network, axis, n), []
    touched = touched_on(network, axis, sizes)
    for i in (network.index[name] for name in network.targets):
        stride = alignment.strides[i]
        before, after, _ = touched[i]
        found.append((in_pixels(len(before), stride, n, sizes[i]), in_pixels(len(after), stride, n, sizes[i])))
    return found


def in_pixels(units: int, stride: Fraction, n: int, m: int) -> int:
    """Return the pixels of a number of units at an end, including those without a unit in a map of `m`."""
    return max(0, ceil(units * stride + (n - m * stride) / 2))


def context_of(network: Network, size: Size) -> tuple[BeforeAfter, ...] | None:
    """Return the context of a tile on each axis, for all targets.

    None if nothing is exact, or if only an examination of every unit can tell.

    >>> import padviz
    >>> context_of(padviz.load("resnet50"), (224, 224)), context_of(padviz.load("efficientnet_b0"), (224, 224))
    (((224, 192), (224, 192)), None)
    """
    try:
        contexts = on_each(_context_on, network, size)
        known = tuple(context for context in contexts if context)
        return known if len(known) == len(size) and not barrier_elsewhere(network, size) else None
    except SizeError:
        return None


def barrier_elsewhere(network: Network, size: Size) -> Barrier | None:
    """Return the first layer of a module or a file that differs in a larger image, if any."""
    if network.again is None:
        return None
    larger = tuple(n + lcm(alignment_on(network, axis, n).step, ALIKE) for axis, n in enumerate(size))
    why = another_at(network, larger)
    return Barrier(*why) if why else None


def _context_on(network: Network, axis: int, n: int) -> BeforeAfter | None:
    """Return the larger context on each side; None unless all maps are local, and grow with the image."""
    alignment, sizes = alignment_on(network, axis, n), sizes_of(network, axis, n)
    if not all(_local(layer, axis, sizes[layer.inputs[0]]) for layer in network.layers[1:]):
        return None
    longer = sizes_of(network, axis, n + alignment.step)
    if any((m - k) * s != alignment.step for m, k, s in zip(longer, sizes, alignment.strides, strict=True)):
        return None
    before, after = zip(*pixels_around(network, axis, n, alignment), strict=True)
    return max(before), max(after)


def _local(layer: Layer, axis: int, n: int) -> bool:
    """Whether a layer reads no further than its window, wherever that is."""
    op = layer.ops[axis]
    if layer.whole(axis) or isinstance(op, Adaptive) or (isinstance(op, Window) and reads_far_side(op, n)):
        return False
    if isinstance(op, Transposed) and len({tap * op.dilation % op.stride for tap in range(op.kernel)}) < op.stride:
        return False  # some units read nothing: only an examination of each shows which ones reach farthest
    return not (isinstance(op, Resize) and _follows_size(op))


def _follows_size(op: Resize) -> bool:
    return op.scale is None or op.layout == "align_corners"


def reads_far_side(op: Window, n: int) -> bool:
    """Whether a window pads with rows of the far side."""
    return SCHEMES[op.mode].wraps and max(place(op, n)[:2]) > 0
