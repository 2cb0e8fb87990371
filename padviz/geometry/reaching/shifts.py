"""Shifts of the image that a network follows: the alignment of its strides, and axes whose ends meet.

Along an axis that wraps, the network's output shifts with a circularly shifted image.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import NamedTuple

import numpy as np

from padviz.engine.apply import apply
from padviz.errors import SizeError
from padviz.network.network import Network, Size
from padviz.network.operations import Blocks
from padviz.network.receptive_interval import rate_of
from padviz.network.resize import Resize
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import resolve, sizes_of

MOST_ALIGNMENT = 1 << 16
PRIME = 2_147_483_629  # numbers below it, and products of two, fit into int64
FACTORS = 1_000_003, 998_244_353


RECURRENT = ("lstm", "gru", "rnn")  # layers over positions whose result depends on their order


class Break(NamedTuple):
    """The layer that keeps an axis from wrapping, and what it does."""

    layer: str
    what: str


class Alignment(NamedTuple):
    """Tiles start at multiples of `step` pixels; a unit of layer i stands for `strides[i]` pixels."""

    step: int
    strides: tuple[Fraction, ...]


@lru_cache(64)
def alignment_on(network: Network, axis: int, n: int) -> Alignment:
    """Return the alignment that keeps the phase of every stride as in the whole image of `n` rows."""
    sizes, strides = sizes_of(network, axis, n), [Fraction(1)]
    for i, layer in enumerate(network.layers[1:], start=1):
        entering = max(map(strides.__getitem__, layer.inputs))
        op, n_in, n_out = layer.ops[axis], sizes[layer.inputs[0]], sizes[i]
        rate = Fraction(1) if op is None else rate_of(op, n_in, n_out)
        if isinstance(op, Resize) and (op.scale is None or op.layout == "align_corners"):  # as at a near whole scale
            rate = Fraction(1, max(1, round(n_out / n_in))) if n_out >= n_in else Fraction(max(1, round(n_in / n_out)))
        if layer.like is not None and n_in == 1:  # a single row has no stride; its copies lie on the layer they follow
            entering, rate = strides[layer.like], Fraction(1)
        strides.append(entering * rate)
    turns = [op.size if isinstance(op := layer.ops[axis], Blocks) and op.is_local else 1 for layer in network.layers]
    step = lcm(*((stride * turn).numerator for stride, turn in zip(strides, turns, strict=True)))
    if step > MOST_ALIGNMENT:
        what = f"its strides repeat their phase only every {step} pixels"
        raise SizeError(what, where=network.name, hint="name an earlier `layer`")
    return Alignment(step, tuple(strides))


def wrapping_axes(network: Network, size: Size) -> tuple[bool, ...]:
    """Return which axes wrap at a size: they are padded circularly, and every target shifts with the image.

    Usage is periodic along such an axis, by the total stride.
    """
    circular = enumerate(zip(circular_axes(network), size, strict=True))
    return tuple(around and breaking_layer(network, axis, n) is None for axis, (around, n) in circular)


@lru_cache(64)
def breaking_layer(network: Network, axis: int, n: int) -> Break | None:
    """Return the layer that breaks the circle of an axis of `n` rows; None if every target shifts with the image.

    An image of arbitrary numbers, and the same one shifted by a total stride, pass through all layers; branches are
    added with different factors, so that their errors cannot cancel. Layers between, such as pads and crops, need not
    shift. But a norm or a gate between must read the same rows of both images, each equally often.
    """
    maps = resolve(network, axis, n).maps
    try:
        alignment = alignment_on(network, axis, n)
    except SizeError:  # it comes to the same phase too late to check
        return Break(network.targets[-1], "does not")
    image = np.arange(1, n + 1) * FACTORS[0] % PRIME
    image = image * image % PRIME
    outputs = [np.stack([image, np.roll(image, alignment.step)], 1)[None]]
    shifts = [True]
    wholes = list[Break]()
    for i, layer in enumerate(network.layers[1:], start=1):
        axis_map, branches = maps[i], [outputs[j] for j in layer.inputs]
        if axis_map is not None:
            both = apply(axis_map, branches[0], 1) % PRIME
        else:
            both = (
                np.add.reduce([branch * pow(FACTORS[1], k, PRIME) % PRIME for k, branch in enumerate(branches)]) % PRIME
            )
        if layer.like is not None and network.layers[layer.inputs[0]].everywhere:
            # Attention: a unit depends on all rows alike, and on its own one.
            both = (both + outputs[layer.like] * FACTORS[1]) % PRIME
        outputs.append(both)
        units = alignment.step / alignment.strides[i]
        shifts.append(units.denominator == 1 and np.array_equal(np.roll(both[0, :, 0], int(units)), both[0, :, 1]))
        if whole := layer.whole(axis):
            one, other = np.sort(branches[0][0], axis=0).T
            if whole.lower().startswith(RECURRENT):
                wholes.append(Break(layer.name, f"its {whole} depends on their order"))
            elif not np.array_equal(one, other):
                wholes.append(Break(layer.name, f"its {whole} reads some rows more often than others"))
    at = next((i for name in network.targets if not shifts[i := network.index[name]]), None)
    while at is not None and (before := [j for j in network.layers[at].inputs if not shifts[j]]):
        at = before[0]
    if at is not None:
        return Break(network.layers[at].name, "does not")
    return next(iter(wholes), None)


def seams_in_words(network: Network, size: Size) -> list[str]:
    """Return words on the axes that wrap, and on the layers that break the circle of others; similar axes together.

    >>> import padviz
    >>> from padviz.network.rewrites import with_padding
    >>> seams_in_words(with_padding(padviz.load("resnet18"), "circular"), (224, 224))
    ['height and width are padded circularly, but maxpool breaks the circle']
    """
    axes: dict[str, list[str]] = {}
    for axis, (around, n) in enumerate(zip(circular_axes(network), size, strict=True)):
        if around:
            broken = ""
            if found := breaking_layer(network, axis, n):
                broken = f"{found.layer} breaks the circle"
                with suppress(SizeError):
                    step = alignment_on(network, axis, n).step
                    broken += f", because {n} is not a multiple of {step}" if n % step else ""
            axes.setdefault(broken, []).append(network.axes[axis])
    words = []
    for broken, names in axes.items():
        subject, are, wrap = f"the {names[0]}", "is", "wraps"
        if len(names) > 1:
            subject, are, wrap = f"{', '.join(names[:-1])} and {names[-1]}", "are", "wrap"
        words.append(f"{subject} {are} padded circularly, but {broken}" if broken else f"{subject} {wrap}")
    return words
