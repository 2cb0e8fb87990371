"""The sizes next to one that a network accepts without stretching an output, and how to get there
and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from padviz.errors import DescriptionError, PadvizError, SizeError, typed
from padviz.geometry.reaching.reach import reaches_of
from padviz.geometry.reaching.shifts import alignment_on
from padviz.geometry.sizing.at_size import AtSize, at_size, exported_for_another, grids_of
from padviz.network.network import FILES, LARGEST, Network, Size, in_words, on_axes
from padviz.network.sizes import resolve, sizes_of_each
from padviz.network.targets import output_layers

PERIODS = 2  # of the strides, within which a size is searched on each side
FARTHEST = 64  # px: searched at least, for modules with checks of their own


@dataclass(frozen=True, slots=True)
class Padded:
    """An output of a padded image: the layer, the units to keep on each axis, and how many of them
    see the padding.
    """

    layer: str
    units: Size
    kept: Size
    saw_fill: Size


@dataclass(frozen=True, slots=True)
class NearSizes:
    """Whether a network runs at a size, and the nearest sizes at which it runs and stretches
    nothing.

    `axes` says what it makes of each side. `below` is reached by a crop, `above` by padding at the
    far ends; each is None where there is none, and the size itself where it needs no change.
    `outputs` are those of the image padded to `above`.
    """

    size: Size
    axes: tuple[AtSize, ...]
    below: Size | None
    above: Size | None
    outputs: tuple[Padded, ...] = ()

    @property
    def refusal(self) -> PadvizError | None:
        """Why the network does not take the size."""
        return self.axes[0].refusal


def near_sizes(network: Network, size: Size) -> NearSizes:
    """Read a network, which was read at a size of its own, at another size, and search sizes around
    it.
    """
    axes = at_size(network, size)
    if exported_for_another(network, size):
        return NearSizes(size, axes, None, None)
    below, above = _next(network, size, -1), _next(network, size, 1)
    if above is not None:
        outputs = _padded(network.at(above), size, above)
    else:
        outputs = ()
    return NearSizes(size, axes, below, above, outputs)


def _next(network: Network, size: Size, sign: int) -> Size | None:
    """Return the nearest size in one direction, where no output is stretched if there is such a
    size.

    Each side is searched by itself, and then both are read together. A network that takes squares
    only has no such sides: then squares are searched.
    """
    every = range(len(size))
    sides = [_next_side(network, (axis,), size[axis], sign) for axis in every]
    near = tuple(side for side in sides if side is not None)
    if (
        len(near) < len(size)
        or near == network.size != size
        or not at_size(network, near)[0].accepted
    ):
        square = _next_side(network, every, max(size) if sign > 0 else min(size), sign)
        if square is not None:
            near = (square,) * len(size)
    if len(near) < len(size):
        return None
    there = at_size(network, near)
    stays = near == size and not all(side.unstretched for side in there)
    if there[0].accepted and not stays:
        return near
    return None


def _next_side(network: Network, axes: Sequence[int], n: int, sign: int) -> int | None:
    """Return the nearest side of some axes that is unstretched, or else accepted; other axes keep
    their own size.
    """
    step = max(alignment_on(network, axis, network.size[axis]).step for axis in axes)
    accepted = None
    for side in range(n, n + sign * (max(PERIODS * step, FARTHEST) + 1), sign):
        if not 1 <= side <= LARGEST:
            break
        size = tuple(side if axis in axes else kept for axis, kept in enumerate(network.size))
        there = at_size(network, size)
        if all(there[axis].unstretched for axis in axes):
            return side
        if accepted is None and there[0].accepted:
            accepted = side
    return accepted


def _padded(network: Network, image: Size, padded: Size) -> tuple[Padded, ...]:
    """Return which units of each output stand for the image, and how many of them see what was
    padded.
    """
    units, outputs = sizes_of_each(network, padded), []
    for name in output_layers(None, network):
        i = network.index[name]
        kept, saw_fill = [], []
        for axis, (n, m) in enumerate(zip(image, (along[i] for along in units), strict=True)):
            grid = grids_of(network, axis, resolve(network, axis, padded[axis]))[i]
            if grid is None:
                kept.append(m)
                saw_fill.append(m)
                continue
            cell = grid.first + Fraction(1, 2) - grid.step / 2
            if m == padded[axis]:
                keep = n
            elif grid.step == 0:
                # All units lie at one row, as those of a resize from a single row.
                keep = m
            else:
                keep = min(m, ceil((n - cell) / grid.step))
            reach = reaches_of(network, axis, padded[axis])[i]
            sees = [unit for unit in range(keep) if reach.interval(unit)[1] >= n]
            kept.append(keep)
            saw_fill.append(len(sees) if padded[axis] > n else 0)
        outputs.append(
            Padded(name, tuple(along[i] for along in units), tuple(kept), tuple(saw_fill))
        )
    return tuple(outputs)


def _as_named(network: Network) -> str:
    """Return what a person types for a network: a file, package.module:attribute, or a name of the
    zoo.
    """
    if ":" in network.source or network.source.lower().endswith(FILES):
        return network.source
    if network.again is None:
        return network.name
    return "MODEL"


class _Named(SizeError):
    """A refusal that names sizes already."""


@contextmanager
def near_sizes_named(load: Callable[[], Network], size: Size | None) -> Iterator[None]:
    """Where a network refuses a size, name some that it takes; `load` reads it at a size of its
    own.

    Raises SizeError in place of an error raised within, which is quoted, if another size is the
    cure.
    """
    try:
        yield
    except _Named:
        # a network that was loaded before has named them
        raise
    except (SizeError, DescriptionError) as error:
        near = None
        with suppress(PadvizError):
            if size is not None:
                network = load()
                near = _near_refused(network, on_axes(size, network.axes))
        if near is None or near.refusal is None:
            raise
        refusal = near.refusal
        ways = []
        if near.above:
            ways.append(f"pad the image to {in_words(near.above)}")
        if near.below:
            ways.append(f"crop it to {in_words(near.below)}")
        side = "x".join(map(str, near.size))
        more = f"padviz sizes {typed(_as_named(network))} --size {side} shows how, and other sizes"
        if refusal.what == error.what:
            its_words = ""
        else:
            its_words = f" ({error.what})"
        raise _Named(
            f"does not take {in_words(near.size)}: {refusal.what}{its_words}",
            where=refusal.where,
            hint=f"{' or '.join(ways) or refusal.hint or 'no size near it runs'}: {more}",
        ) from None


def _near_refused(network: Network, size: Size) -> NearSizes | None:
    """Return sizes near one that a network refuses; None where it may take it."""
    if network.again is None:
        # errors of a description name sizes themselves, and those at the padding that was asked for
        return None
    axes = at_size(network, size)
    if axes[0].accepted or axes[0].unknown:
        return None
    if exported_for_another(network, size):
        return NearSizes(size, axes, None, None)
    return NearSizes(size, axes, _likely(network, size, -1), _likely(network, size, 1))


def _likely(network: Network, size: Size, sign: int) -> Size | None:
    """Return the first of a few sizes in one direction at which a network runs.

    Each try may take as long as reading the network, so they are few; `near_sizes` searches on.
    """
    strides = np.array([alignment_on(network, axis, n).step for axis, n in enumerate(network.size)])
    image, own = np.array(size), network.size
    # the last is its own size, if that lies in this direction
    multiples = (strides, 0), (strides, own), (2 * strides, 0), (LARGEST, own)
    tried = [image + sign * (sign * (rest - image) % step) for step, rest in multiples]
    for near in dict.fromkeys(map(tuple, np.stack(tried).tolist())):
        # a size beyond the largest is not accepted
        if near != size and min(near) > 0 and at_size(network, near)[0].accepted:
            return near
    return None
