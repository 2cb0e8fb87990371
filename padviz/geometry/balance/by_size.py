"""The padding that the windows of a network read at many sizes of one axis, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from padviz.errors import PadvizError
from padviz.geometry.ledger import axis_padding
from padviz.network.network import Network, Size
from padviz.network.operations import Window, placement
from padviz.network.rewrites import circular_axes, padded_windows, with_pads_merged, with_same
from padviz.network.sizes import Flags, Sizes, at_many_sizes


class Balance(NamedTuple):
    """Flags of each size: the network takes it; no layer is uneven; none has a remainder, or jumps where an axis wraps.

    `odd` has the sizes at which a layer reads an odd number of padded rows; of equal layers, the first one is listed.
    """

    runs: Flags
    even: Flags
    whole: Flags
    odd: dict[str, Flags]


def extrapolated(network: Network) -> Network:
    """Guess a network at other sizes from the one that it was read at; each guess must be confirmed by reading it.

    Strided windows that pad one side more than the other are taken for SAME padding.
    """
    ops = [op for layer in padded_windows(network) for op in layer.ops if isinstance(op, Window) and op.stride > 1]
    lopsided = any(not isinstance(op.padding, str) and op.padding[0] != op.padding[1] for op in ops)
    return with_same(with_pads_merged(network)) if network.again and lopsided else network


def read_if_even(network: Network, size: Size, axes: Sequence[int]) -> Network | None:
    """Return the network at a size; None if it does not take that size, or a layer is uneven on one of the axes."""
    try:
        there = network.at(size)
        balances = [balance_on(there, axis, np.array([size[axis]])) for axis in axes]
    except PadvizError:
        return None
    return there if all(balance.runs[0] and balance.even[0] for balance in balances) else None


def balance_on(network: Network, axis: int, sizes: Sizes) -> Balance:
    """Examine the windows of a network at each of many sizes of one axis."""
    arrays, rows, runs = at_many_sizes(network, axis, sizes)
    wraps = circular_axes(network)[axis]
    even, whole, odd = np.ones(sizes.shape, bool), np.ones(sizes.shape, bool), {}
    examined: set[tuple[Window, int]] = set()
    for layer in padded_windows(network):
        window, entering = layer.ops[axis], rows[layer.inputs[0]]
        if isinstance(window, Window) and (window, entering) not in examined:
            examined.add((window, entering))
            evenly, wholly = _even_and_whole(window, arrays[entering], wraps)
            even, whole, odd[layer.name] = even & evenly, whole & wholly, reads_odd(window, arrays[entering])
    return Balance(runs, even, whole, odd)


def _even_and_whole(window: Window, n: Sizes, wraps: bool) -> tuple[Flags, Flags]:
    """Flag the sizes of its input at which a window reads evenly, and at which it leaves no remainder.

    Both depend only on the padding, on the rows left over, and, for few units, on their number: one size of each such
    class is examined. Sizes that leave no unit count as even and whole.
    """
    even, whole = np.ones(n.shape, bool), np.ones(n.shape, bool)
    fits = np.flatnonzero(placement(window, n).n_out >= 1)
    if not fits.size:
        return even, whole
    n = n[fits]
    before, after, m = placement(window, n)
    left_over = n + before + after - window.extent - (m - 1) * window.stride
    near_units = np.minimum(m, 4 + 3 * window.extent // window.stride + np.max(before) + np.max(after))
    classes = np.zeros(n.shape, dtype=np.int64)  # one number for each combination
    for part in (before, after, left_over, near_units):
        low = np.min(part)
        classes = classes * (np.max(part) - low + 1) + part - low
    _, first, kind = np.unique(classes, return_index=True, return_inverse=True)
    rows = [axis_padding(window, int(n[i]), wraps) for i in first]
    even[fits] = np.array([not row.uneven for row in rows])[kind]
    whole[fits] = np.array([not (row.remainder or row.jumps) for row in rows])[kind]
    return even, whole


def reads_odd(window: Window, n: Sizes) -> Flags:
    """Flag the sizes at which a window without gaps reads an odd number of padded rows in all."""
    if window.dilation > 1 or window.stride > window.kernel:
        return np.zeros(n.shape, dtype=bool)
    rows = (placement(window, n).n_out - 1) * window.stride + window.extent - n
    odd: Flags = (rows > 0) & (rows % 2 == 1)
    return odd
