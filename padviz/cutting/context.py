"""Context: the pixels around what a tile keeps that it must read, and those from which nearly all paths come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np

from padviz.counting.count import usage
from padviz.cutting.right_units import Cut, Units, longest_run, right_units
from padviz.errors import SizeError
from padviz.geometry.reaching.lattice import Lattice, barrier_elsewhere, in_pixels, lattice_on, pixels_around
from padviz.geometry.reaching.near_padding import Barrier, BeforeAfter
from padviz.network.network import LARGEST, Network, Size
from padviz.network.sizes import sizes_of

MOST_PHASES = 16  # units of one period of the lattice that are looked at


@dataclass(frozen=True, slots=True)
class Context:
    """What a tile must read on one axis so that all units of a layer that it keeps are right.

    `before` and `after` are input pixels beyond those that the kept units stand for, and `units` how many units at
    either end of a tile's own map are not right. Tiles start on multiples of `lattice` pixels, and are as long as the
    image is, modulo the lattice. A unit of the layer stands for `stride` pixels. Where nothing is exact, `barrier` says
    which layer makes that so, and why; the context is then that without it.

    >>> import padviz
    >>> context_on(padviz.load("unet"), 0, 572)[-1].before
    92
    """

    layer: str
    before: int
    after: int
    units: BeforeAfter
    lattice: int
    stride: Fraction
    barrier: Barrier | None = None


def context_on(network: Network, axis: int, n: int, without: frozenset[str] = frozenset()) -> list[Context]:
    """Find the context of every target of a network on one axis, for images of `n` rows.

    It is measured on an inner tile, of which at least half is right: what is wrong then lies at its ends. The layers in
    `without` count as if each position were by itself there. What else lets nothing be exact is named as the barrier,
    and left out. Tiles are as long as the image modulo the lattice.

    >>> import padviz
    >>> [(head.before, head.after, head.lattice) for head in context_on(padviz.load("unet_padded"), 0, 512)]
    [(94, 94, 16)]
    """
    lattice, targets = lattice_on(network, axis, n), [network.index[name] for name in network.targets]
    barriers: dict[int, Barrier] = {}
    refused: SizeError | None = None
    for length in _lengths(network, axis, n, lattice):
        try:
            units = right_units(network, axis, Cut(n, None, length), without)
        except SizeError as error:
            refused = error
            continue
        while ahead := _ahead(units, targets, without):
            barriers = ahead | barriers
            without |= {barrier.layer for barrier in ahead.values()} | _whole(network, axis)
            units = right_units(network, axis, Cut(n, None, length), without)
        if barrier := next((units[i].barrier for i in targets if units[i].barrier), None):
            what = f"no tiles are exact: {barrier.layer} ({barrier.why})"  # which cannot be left out
            raise SizeError(what, where=network.name, hint="name an earlier `layer`")
        runs = [longest_run(units[i].right) for i in targets]
        if all(2 * (last - first) >= len(units[i].right) for (first, last), i in zip(runs, targets, strict=True)):
            found = zip(targets, runs, strict=True)
            return [_context(network, i, run, units[i], length, lattice, barriers.get(i)) for i, run in found]
    if refused:
        raise SizeError(f"no tile is known to be right: {refused.what}", where=refused.where, hint=refused.hint)
    what = f"no tile of up to {LARGEST} {network.px} is right: it needs more context"
    raise SizeError(what, where=network.name, hint="name an earlier `layer`")


def contexts_of(network: Network, size: Size, without: frozenset[str]) -> tuple[tuple[Context, ...], ...]:
    """Find the context of every target on each axis."""
    found = zip(*(context_on(network, axis, n, without) for axis, n in enumerate(size)), strict=True)
    barrier = barrier_elsewhere(network, size)
    return tuple(tuple(replace(each, barrier=each.barrier or barrier) for each in own) for own in found)


def _lengths(network: Network, axis: int, n: int, lattice: Lattice) -> Iterator[int]:
    """List lengths of tiles that may be half right, each about twice the one before, and that of the image itself."""
    pixels = max(before + after for before, after in pixels_around(network, axis, n, lattice))
    periods = max(1, min(2 * pixels // lattice.step + 1, LARGEST // lattice.step - 1))
    while (length := periods * lattice.step + n % lattice.step) <= LARGEST:
        yield length
        periods *= 2
    yield n  # which a network takes that takes no other


def _ahead(units: Sequence[Units], targets: Sequence[int], without: frozenset[str]) -> dict[int, Barrier]:
    """Find the first barrier on the way to each target, as far as it is not left out."""
    barriers = {i: units[i].barrier for i in targets}
    return {i: barrier for i, barrier in barriers.items() if barrier and barrier.layer not in without}


def barrier_of(network: Network, contexts: Iterable[Context]) -> Barrier | None:
    """Find the first barrier in the order of layers, whichever axis it is on."""
    found = [context.barrier for context in contexts if context.barrier]
    return min(found, key=lambda barrier: (network.index.get(barrier.layer, 0), barrier.why), default=None)


def _whole(network: Network, axis: int) -> frozenset[str]:
    return frozenset(layer.name for layer in network.layers if layer.whole(axis))


def _context(
    network: Network, i: int, run: BeforeAfter, units: Units, length: int, lattice: Lattice, barrier: Barrier | None
) -> Context:
    """Count the units at the ends of a tile's map that are not right, and the pixels that they stand for."""
    m, stride = len(units.right), lattice.strides[i]
    ends = run[0], m - run[1]
    before, after = (in_pixels(end, stride, length, m) for end in ends)
    return Context(network.layers[i].name, before, after, ends, lattice.step, stride, barrier)


def graded_on(network: Network, axis: int, n: int, context: Context, level: float) -> BeforeAfter:
    """Return the least context from within which every unit draws a share of its paths, the `level`.

    Each side is looked at alone. It is not exact: paths count alike in it, whatever trained weights make of them.

    >>> import padviz
    >>> from padviz.cutting.context import context_on
    >>> net = padviz.load("unet_padded")
    >>> [graded_on(net, 0, 512, context_on(net, 0, 512)[0], level) for level in (0.9, 0.99)]
    [(32, 32), (56, 56)]
    """
    step, stride = context.lattice, context.stride
    margin = ceil((context.before + context.after + step) / step) * step
    size = (2 * margin + n % step,) * len(network.axes)
    first = int(margin / stride)
    phases = range(0, max(1, int(step / stride)), max(1, int(step / stride) // MOST_PHASES))
    least = 0, 0
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
        near = int(np.searchsorted(before, 1 - level, "right"))  # rows in front of it hold less than the rest
        far = int(np.flatnonzero(after > 1 - level)[-1]) + 1
        least = max(least[0], ceil(low - near)), max(least[1], ceil(far - high))
    return least


def all_graded(network: Network, size: Size, contexts: Sequence[Context], level: float) -> list[BeforeAfter] | None:
    """Find the graded context of a head on each axis; None where one unit sees more than padviz counts, or a volume."""
    if len(size) > 2:
        return None
    try:
        return [graded_on(network, axis, size[axis], contexts[axis], level) for axis in range(len(size))]
    except SizeError:
        return None
