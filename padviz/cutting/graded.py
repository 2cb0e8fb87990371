"""Graded context: the pixels around what a tile keeps from which nearly all paths come."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from padviz.counting.usage import usage
from padviz.cutting.context import Context
from padviz.errors import SizeError
from padviz.geometry.reaching.near_padding import BeforeAfter
from padviz.network.network import Network, Size
from padviz.network.sizes import sizes_of

LEVELS = (0.99, 0.999)  # that are told
MOST_PHASES = 16  # units of one period of the lattice that are looked at


def graded_on(network: Network, axis: int, n: int, context: Context, levels: Sequence[float]) -> list[BeforeAfter]:
    """Find at each level the least context from within which every unit draws that share of its paths.

    Each side is looked at alone. It is not exact: paths count alike in it, whatever trained weights make of them.

    >>> import padviz
    >>> from padviz.cutting.context import context_on
    >>> net = padviz.load("unet_padded")
    >>> graded_on(net, 0, 512, context_on(net, 0, 512)[0], [0.9, 0.99])
    [(32, 32), (56, 56)]
    """
    step, stride = context.lattice, context.stride
    margin = ceil((context.before + context.after + step) / step) * step
    size = (2 * margin + n % step,) * len(network.axes)
    first = int(margin / stride)
    phases = range(0, max(1, int(step / stride)), max(1, int(step / stride) // MOST_PHASES))
    contexts = [(0, 0)] * len(levels)
    lost = (size[axis] - sizes_of(network, axis, size[axis])[network.index[context.layer]] * stride) / 2
    for phase in phases:
        at = [first] * len(size)
        at[axis] += phase
        counts = usage(network, size, None, context.layer, unit=tuple(at))
        blocks = (1, *(1 if i == axis else m for i, m in enumerate(size)))[-2:]
        paths = counts.relative(blocks).ravel()
        if not paths.any():
            continue  # a unit that reads nothing, as between the taps of a transposed convolution
        before, after = np.cumsum(paths) / paths.sum(), np.cumsum(paths[::-1])[::-1] / paths.sum()
        low, high = at[axis] * stride + lost, (at[axis] + 1) * stride + lost
        for k, level in enumerate(levels):
            near = int(np.searchsorted(before, 1 - level, "right"))  # rows in front of it hold less than the rest
            far = int(np.flatnonzero(after > 1 - level)[-1]) + 1
            contexts[k] = max(contexts[k][0], ceil(low - near)), max(contexts[k][1], ceil(far - high))
    return contexts


def graded_heads(
    network: Network, size: Size, contexts: Sequence[Sequence[Context]], levels: Sequence[float]
) -> dict[str, list[list[BeforeAfter]] | None]:
    """Find the graded contexts of several heads, by name."""
    return {own[0].layer: all_graded(network, size, own, levels) for own in contexts}


def all_graded(
    network: Network, size: Size, contexts: Sequence[Context], levels: Sequence[float]
) -> list[list[BeforeAfter]] | None:
    """Find the graded context of a head on each axis; None where one unit sees more than padviz counts, or a volume."""
    if len(size) > 2:
        return None
    try:
        return [graded_on(network, axis, size[axis], contexts[axis], levels) for axis in range(len(size))]
    except SizeError:
        return None
