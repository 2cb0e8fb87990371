"""Seams: the layers that tell where the ends of an axis meet, although it wraps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from padviz.axis.operations import Adaptive, Blocks, Op, Window
from padviz.axis.receptive_interval import rate_of
from padviz.engine.apply import apply
from padviz.engine.axis_map import AxisMap
from padviz.geometry.reaching.lattice import lattice_on
from padviz.network.network import Network, Size
from padviz.network.rewrites import with_pads_joined, wrapped
from padviz.network.sizes import resolve

PRIMES = 1_000_003, 2_147_483_629  # of numbers that no two rows have in common


class Seam(NamedTuple):
    """An axis that wraps: the layers whose units jump in phase where its ends meet, and those that still end there."""

    axis: str
    jumps: tuple[str, ...]
    ends: tuple[str, ...]


def seams(network: Network, size: Size) -> list[Seam]:
    """Find, on each axis that wraps, the layers that do not turn with an image that is turned by whole strides.

    Where there are none, every unit treats the two ends as it treats any two rows.

    >>> import padviz
    >>> from padviz.network.rewrites import with_padding
    >>> seams(with_padding(padviz.load("resnet18"), "zero/circular"), (224, 224))
    [Seam(axis='width', jumps=(), ends=('maxpool',))]
    """
    network, found = with_pads_joined(network), []
    for axis, wraps in enumerate(wrapped(network)):
        if wraps:
            seen = [*_seen(network, axis, size[axis])]
            jumps, ends = (tuple(name for name, jumping in seen if jumping == wanted) for wanted in (True, False))
            found.append(Seam(network.axes[axis], jumps, ends))
    return found


def _seen(network: Network, axis: int, n: int) -> Iterator[tuple[str, bool]]:
    """Yield each layer that sees where the ends meet, and whether its units jump there; none where pads stay alone."""
    sizes, maps = resolve(network, axis, n)
    rows = [op for layer in network.layers if layer.kind == "pad" and isinstance(op := layer.ops[axis], Window)]
    if any(op.padding != (0, 0) for op in rows):
        return
    for i, layer in enumerate(network.layers):
        op, axis_map = layer.ops[axis], maps[i]
        if op is None or axis_map is None or isinstance(op, Adaptive):
            continue
        entering = sizes[layer.inputs[0]]
        if not turns(op, axis_map):
            yield layer.name, isinstance(op, Window) and sizes[i] * op.stride != entering


def turns(op: Op, axis_map: AxisMap) -> bool:
    """Tell whether what an operation makes turns with its input, by all of whole strides.

    >>> from padviz.axis.build import axis_map
    >>> window = Window(3, stride=2, padding=(1, 1), mode="circular")
    >>> [turns(window, axis_map(window, n)) for n in (8, 9)]
    [True, False]
    """
    n, m = axis_map.n_in, axis_map.n_out
    rate = rate_of(op, n, m)
    turn = op.size if isinstance(op, Blocks) and op.is_local else 1
    rows, units = rate.numerator * turn, rate.denominator * turn
    if n % rows or m % units or n // rows != m // units:
        return False
    image = (np.arange(1, n + 1) * PRIMES[0] ** 2 % PRIMES[1])[None, :, None]
    one, other = (apply(axis_map, np.roll(image, by, axis=1), 1) for by in (0, rows))
    return np.array_equal(np.roll(one, units, axis=1), other)


def seams_in_words(network: Network, size: Size) -> list[str]:
    """Say which axes wrap, and where it shows; axes that are alike together.

    >>> import padviz
    >>> from padviz.network.rewrites import with_padding
    >>> seams_in_words(with_padding(padviz.load("resnet18"), "circular"), (224, 224))
    ['height and width wrap; where the ends meet, maxpool keeps a border of its own']
    """
    said: dict[str, list[str]] = {}
    for seam in seams(network, size):
        said.setdefault(_shows(network, size, seam), []).append(seam.axis)
    return [f"{_wrap(axes)}{shows}" for shows, axes in said.items()]


def _wrap(names: list[str]) -> str:
    """Say that axes wrap.

    >>> _wrap(["width"]), _wrap(["height", "width"])
    ('the width wraps', 'height and width wrap')
    """
    return f"the {names[0]} wraps" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} wrap"


def _shows(network: Network, size: Size, seam: Seam) -> str:
    """Say where it shows that an axis wraps."""
    axis = network.axes.index(seam.axis)
    parts = []
    if seam.ends:
        keep = "keeps a border of its own" if len(seam.ends) == 1 else "keep borders of their own"
        parts.append(f"{_named(seam.ends)} {keep}")
    if seam.jumps:
        step = lattice_on(network, axis, size[axis]).step
        why = f", as {size[axis]} is no multiple of {step}" if size[axis] % step else ""
        parts.append(f"{_named(seam.jumps)} jump{'s' if len(seam.jumps) == 1 else ''} in phase{why}")
    return f"; where the ends meet, {', and '.join(parts)}" if parts else ""


def _named(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
