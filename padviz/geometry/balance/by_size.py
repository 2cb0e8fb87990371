"""What the windows of a network read at many sizes of one axis, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Op, Window, placement, sized
from padviz.axis.padding_modes import fits as padding_fits
from padviz.errors import PadvizError
from padviz.geometry.ledger import axis_padding
from padviz.network.network import Network, Size
from padviz.network.rewrites import circular_axes, padded_windows, with_pads_joined, with_same
from padviz.network.sizes import check_known

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Verdict(NamedTuple):
    """Flags of each size: the network takes it; no layer is uneven; none has a remainder, or jumps where an axis wraps.

    `odd` has the sizes at which a layer reads an odd number of padded rows; layers that are alike stand there once.
    """

    runs: Flags
    even: Flags
    whole: Flags
    odd: dict[str, Flags]


def expected(network: Network) -> Network:
    """Guess what a network that was read at one size does at others: to be confirmed by reading it there.

    Strided windows that pad one side more than the other pad as SAME does.
    """
    ops = [op for layer in padded_windows(network) for op in layer.ops if isinstance(op, Window) and op.stride > 1]
    lopsided = any(not isinstance(op.padding, str) and op.padding[0] != op.padding[1] for op in ops)
    return with_same(with_pads_joined(network)) if network.again and lopsided else network


def confirmed(network: Network, size: Size, axes: Sequence[int]) -> Network | None:
    """Read a network at a size, if it takes that and no layer is uneven there on those axes."""
    try:
        there = network.at(size)
        verdicts = [verdict_on(there, axis, np.array([size[axis]])) for axis in axes]
    except PadvizError:
        return None
    return there if all(verdict.runs[0] and verdict.even[0] for verdict in verdicts) else None


class _Reading(NamedTuple):
    """Flags of each size of one window's input: it reads evenly; it leaves no remainder; its pads read are odd."""

    even: Flags
    whole: Flags
    odd: Flags


def verdict_on(network: Network, axis: int, sizes: Rows) -> Verdict:
    """Judge a network at each of an array of sizes, shape (n,), of one axis.

    >>> import padviz
    >>> verdict_on(padviz.load("resnet18"), 0, np.arange(224, 227)).even.tolist()
    [False, True, False]
    """
    arrays, rows, runs = _rows_of(network, axis, sizes)
    readings: dict[tuple[Window, int], tuple[str, _Reading]] = {}
    wraps = circular_axes(network)[axis]
    for layer in padded_windows(network):
        window, n = layer.ops[axis], rows[layer.inputs[0]]
        if isinstance(window, Window) and (window, n) not in readings:
            readings[window, n] = layer.name, _reading(window, arrays[n], wraps)
    all_of = [np.ones(sizes.shape, dtype=bool)]
    even = np.logical_and.reduce(all_of + [reading.even for _, reading in readings.values()])
    whole = np.logical_and.reduce(all_of + [reading.whole for _, reading in readings.values()])
    return Verdict(runs, even, whole, {name: reading.odd for name, reading in readings.values()})


def _rows_of(network: Network, axis: int, sizes: Rows) -> tuple[list[Rows], list[int], Flags]:
    """Count every layer's rows at each size, and tell which sizes the network takes.

    Many layers have the same rows: each array is there once, and a layer has its number.
    """
    arrays, numbers, rows = [sizes], {sizes.tobytes(): 0}, [0]
    runs = sizes == network.size[axis] if axis in network.fixed else np.ones(sizes.shape, dtype=bool)
    known: dict[tuple[Op, int, int | None], tuple[int, Flags]] = {}
    for layer in network.layers[1:]:
        check_known(network, layer)
        entering, *others = (rows[j] for j in layer.inputs)
        for other in others:
            if other != entering:
                runs = runs & (arrays[other] == arrays[entering])
        op = layer.ops[axis]
        if op is None:
            rows.append(entering)
            continue
        like = None if layer.like is None else rows[layer.like]
        if (op, entering, like) not in known:
            leaving, fits = _leaving(op, arrays[entering], None if like is None else arrays[like])
            number = numbers.setdefault(leaving.tobytes(), len(arrays))
            arrays += [leaving] if number == len(arrays) else []
            known[op, entering, like] = number, fits
        number, fits = known[op, entering, like]
        runs = runs & fits
        rows.append(number)
    return arrays, rows, runs


def _leaving(op: Op, n: NDArray[np.int64], like: Any) -> tuple[NDArray[np.int64], Flags]:
    """Find output sizes, and whether the operation takes each input; impossible ones are set to 1."""
    leaving = np.broadcast_to(sized(op, n, like), n.shape)
    fits = leaving >= 1
    if isinstance(op, Window):
        before, after, _ = placement(op, n)
        fits = fits & padding_fits(op.mode, n, np.maximum(before, after))
    return np.where(fits, leaving, 1), fits


def _reading(window: Window, n: Rows, wraps: bool) -> _Reading:
    """Look at one window at each size of its input.

    Evenness and remainders depend only on the padding, on the rows left over, and, for few units, on their number: one
    size of each such class is looked at. Sizes that leave no unit are called even and whole.
    """
    even, whole, odd = np.ones(n.shape, bool), np.ones(n.shape, bool), reads_odd(window, n)
    taken = np.flatnonzero(placement(window, n).n_out >= 1)
    if not taken.size:
        return _Reading(even, whole, odd)
    n = n[taken]
    before, after, m = placement(window, n)
    left_over = n + before + after - window.extent - (m - 1) * window.stride
    near_units = np.minimum(m, 4 + 3 * window.extent // window.stride + np.max(before) + np.max(after))
    classes = np.zeros(n.shape, dtype=np.int64)  # one number for each combination
    for part in (before, after, left_over, near_units):
        low = np.min(part)
        classes = classes * (np.max(part) - low + 1) + part - low
    _, first, kind = np.unique(classes, return_index=True, return_inverse=True)
    rows = [axis_padding(window, int(n[i]), wraps) for i in first]
    even[taken] = np.array([not row.uneven for row in rows])[kind]
    whole[taken] = np.array([not (row.remainder or row.jumps) for row in rows])[kind]
    return _Reading(even, whole, odd)


def reads_odd(window: Window, n: Rows) -> Flags:
    """Tell at which sizes a window without gaps reads an odd number of padded rows in all.

    >>> from padviz.axis.operations import Window
    >>> reads_odd(Window(3, 2, padding=(1, 1)), np.array([224, 225])).tolist()
    [True, False]
    """
    if window.dilation > 1 or window.stride > window.kernel:
        return np.zeros(n.shape, dtype=bool)
    rows = (placement(window, n).n_out - 1) * window.stride + window.extent - n
    odd: Flags = (rows > 0) & (rows % 2 == 1)
    return odd
