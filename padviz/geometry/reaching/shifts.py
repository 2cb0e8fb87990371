"""Shifts of the image that a network follows: the alignment of its strides, and axes whose ends
meet.

Along an axis that wraps, the network's output shifts with a circularly shifted image.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.engine.apply import apply
from padviz.engine.axis_map import AxisMap
from padviz.errors import SizeError
from padviz.network.network import Network, Size
from padviz.network.operations import Blocks
from padviz.network.reads import rate_of
from padviz.network.resize import Resize
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import resolve, sizes_of

MOST_ALIGNMENT = 1 << 16
PRIME = 2_147_483_629  # numbers below it, and products of two, fit into int64
FACTOR = 998_244_353


RECURRENT = ("lstm", "gru", "rnn")  # layers over positions whose result depends on their order


class Break(NamedTuple):
    """The layer that keeps an axis from wrapping, and what it does."""

    layer: str
    what: str


class Alignment(NamedTuple):
    """Tiles start at multiples of `step` pixels; a unit of layer i stands for
    `strides[i]` pixels.
    """

    step: int
    strides: tuple[Fraction, ...]


@lru_cache(64)
def alignment_on(network: Network, axis: int, n: int) -> Alignment:
    """Return the alignment that keeps the phase of every stride as in the whole image
    of `n` rows.
    """
    sizes, strides = sizes_of(network, axis, n), [Fraction(1)]
    for i, layer in enumerate(network.layers[1:], start=1):
        op, n_in, n_out = layer.ops[axis], sizes[layer.inputs[0]], sizes[i]
        entering, rate = max(strides[j] for j in layer.inputs), Fraction(1)
        # a single row has no stride; its copies lie on the layer they follow
        if layer.like is not None and n_in == 1:
            entering = strides[layer.like]
        elif isinstance(op, Resize) and (op.scale is None or op.layout == "align_corners"):
            rate = _near_whole(n_in, n_out)
        elif op is not None:
            # a single row stands for all
            rate = rate_of(op, n_in, n_out) or Fraction(n_in)
        strides.append(entering * rate)
    step = 1
    for layer, stride in zip(network.layers, strides, strict=True):
        op = layer.ops[axis]
        if isinstance(op, Blocks) and op.is_local:
            stride *= op.size  # tiles start where blocks do
        step = lcm(step, stride.numerator)
    if step > MOST_ALIGNMENT:
        what = f"its strides repeat their phase only every {step} pixels"
        raise SizeError(what, where=network.name, hint="name an earlier `layer`")
    return Alignment(step, tuple(strides))


def _near_whole(n_in: int, n_out: int) -> Fraction:
    """Return the rate of a resize of whole scale that is near to one from `n_in` rows
    to `n_out`.
    """
    if n_out >= n_in:
        return Fraction(1, max(1, round(n_out / n_in)))
    return Fraction(max(1, round(n_in / n_out)))


def wrapping_axes(network: Network, size: Size) -> tuple[bool, ...]:
    """Return which axes wrap at a size: they are padded circularly, and every target shifts with
    the image.

    Usage is periodic along such an axis, by the total stride.
    """
    wraps = list(circular_axes(network))
    for axis, n in enumerate(size):
        if wraps[axis] and breaking_layer(network, axis, n):
            wraps[axis] = False
    return tuple(wraps)


@lru_cache(64)
def breaking_layer(network: Network, axis: int, n: int) -> Break | None:
    """Return the layer that breaks the circle of an axis of `n` rows; None if every target shifts
    with the image.

    An image of arbitrary numbers, and the same one shifted by a total stride, pass through all
    layers; branches are added with different factors, so that their errors cannot cancel. Layers
    between, such as pads and crops, need not shift. But a norm or a gate between must read the same
    rows of both images, each equally often.
    """
    maps = resolve(network, axis, n).maps
    try:
        alignment = alignment_on(network, axis, n)
    except SizeError:  # it comes to the same phase too late to check
        return Break(network.targets[-1], "does not")
    outputs = _two_images_through(network, maps, n, alignment.step)
    shifts = []
    for both, stride in zip(outputs, alignment.strides, strict=True):
        units = alignment.step / stride
        one, other = both[0].T
        shifts.append(units.denominator == 1 and np.array_equal(np.roll(one, int(units)), other))
    for name in network.targets:
        at = network.index[name]
        if not shifts[at]:
            return Break(network.layers[_first_of(at, shifts, network)].name, "does not")
    for layer in network.layers[1:]:
        whole = layer.whole(axis)
        if not whole:
            continue
        if whole.lower().startswith(RECURRENT):
            return Break(layer.name, f"its {whole} depends on their order")
        one, other = np.sort(outputs[layer.inputs[0]][0], axis=0).T
        if not np.array_equal(one, other):
            return Break(layer.name, f"its {whole} reads some rows more often than others")
    return None


def _two_images_through(
    network: Network, maps: Sequence[AxisMap | None], n: int, step: int
) -> list[NDArray[np.int64]]:
    """Return what each layer makes of an image and of the same one shifted by `step`, (1, rows, 2),
    modulo a prime.
    """
    image = np.random.default_rng(0).integers(PRIME, size=n)
    outputs = [np.stack([image, np.roll(image, step)], 1)[None]]
    for layer, axis_map in zip(network.layers[1:], maps[1:], strict=True):
        both = outputs[layer.inputs[0]]
        if axis_map is not None:
            both = apply(axis_map, both, 1) % PRIME
        else:
            # A merge, by Horner's rule, so that each branch has a factor of its own.
            for branch in layer.inputs[1:]:
                both = (both * FACTOR + outputs[branch]) % PRIME
        if layer.like is not None and network.layers[layer.inputs[0]].everywhere:
            # Attention: a unit depends on all rows alike, and on its own one.
            both = (both + outputs[layer.like] * FACTOR) % PRIME
        outputs.append(both)
    return outputs


def _first_of(at: int, shifts: Sequence[bool], network: Network) -> int:
    """Go back from a layer that does not shift to the first such one that it reads."""
    while True:
        before = [j for j in network.layers[at].inputs if not shifts[j]]
        if not before:
            return at
        at = before[0]


def seams_in_words(network: Network, size: Size) -> list[str]:
    """Return words on the axes that wrap, and on the layers that break the circle of others;
    similar axes together.

    >>> import padviz
    >>> from padviz.network.rewrites import with_padding
    >>> seams_in_words(with_padding(padviz.load("resnet18"), "circular"), (224, 224))
    ['height and width are padded circularly, but maxpool breaks the circle']
    """
    axes: dict[str, list[str]] = {}
    for axis, n in enumerate(size):
        if circular_axes(network)[axis]:
            axes.setdefault(_broken_by(network, axis, n), []).append(network.axes[axis])
    words = []
    for broken, names in axes.items():
        subject, are, wrap = f"the {names[0]}", "is", "wraps"
        if len(names) > 1:
            subject, are, wrap = f"{', '.join(names[:-1])} and {names[-1]}", "are", "wrap"
        if broken:
            words.append(f"{subject} {are} padded circularly, but {broken}")
        else:
            words.append(f"{subject} {wrap}")
    return words


def _broken_by(network: Network, axis: int, n: int) -> str:
    """Return which layer breaks the circle of an axis, and why; "" if it wraps."""
    breaking = breaking_layer(network, axis, n)
    if breaking is None:
        return ""
    words = f"{breaking.layer} breaks the circle"
    with suppress(SizeError):
        step = alignment_on(network, axis, n).step
        if n % step:
            words += f", because {n} is not a multiple of {step}"
    return words
