"""Context: the pixels that a tile must read beyond those it keeps, exactly or for
nearly all paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from math import ceil, lcm

import numpy as np

from padviz.counting.count import usage
from padviz.cutting.exact_units import (
    Cut,
    barriers_on,
    exact_units,
    hardest,
    longest_run,
    pools_sums,
)
from padviz.errors import OptionError, PadvizError, SizeError, typed
from padviz.geometry.reaching.near_padding import Barrier, BeforeAfter
from padviz.geometry.reaching.reach import reaches_of
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.network import LARGEST, Network, Size
from padviz.network.sizes import another_at, on_each, sizes_of
from padviz.phrases import some_names

ALIKE = 64  # pixels; networks pad images to multiples of its divisors
BY_LAYER = "try `norms` shared, which runs a module layer by layer on all tiles"
MOST_PHASES = 16  # units of one period of the alignment that are looked at


@dataclass(frozen=True, slots=True)
class Context:
    """What a tile must read on one axis so that all units of a layer that it keeps are exact.

    `before` and `after` are input pixels beyond those that the kept units stand for, `units` how
    many units at either end of a tile's own map are not exact. Tiles start on multiples of
    `alignment` pixels, and are as long as the image modulo that. A unit of the layer stands for
    `stride` pixels. Where nothing is exact, `barrier` names the layer that prevents it, and why;
    the context is then that without this layer.
    """

    layer: str
    before: int
    after: int
    units: BeforeAfter
    alignment: int
    stride: Fraction
    barrier: Barrier | None = None

    def lost(self, length: int, m: int) -> BeforeAfter:
        """Return how many of the `m` units of a tile lie closer to either border than its context,
        none of them exact.
        """
        outside = (length - m * self.stride) / 2  # pixels without a unit, on each side
        first, last = (
            min(units, max(0, ceil((side - outside) / self.stride)))
            for side, units in zip((self.before, self.after), self.units, strict=True)
        )
        return first, last


def context_on(
    network: Network, axis: int, n: int, ignore_norms: bool = False
) -> tuple[Context, ...]:
    """Measure the context of every target on one axis, for images of `n` rows.

    It is measured on an inner tile of which at least half is exact, so that what is not lies at its
    ends. Layers that let nothing be exact count as local, and are named as the barrier; with
    `ignore_norms` they are not.
    """
    alignment = alignment_on(network, axis, n)
    targets = [network.index[name] for name in network.targets]
    barriers = barriers_on(network, axis, n, ignore_norms)
    what = f"no tile of up to {LARGEST} {network.px} is exact: it needs more context"
    refused = SizeError(what, where=network.name, hint="name an earlier `layer`")
    for length in _lengths(network, axis, n, alignment.step):
        try:
            units = exact_units(network, axis, Cut(n, None, length))
        except SizeError as error:
            what = f"no tile is known to be exact: {error.what}"
            refused = SizeError(what, where=error.where, hint=error.hint)
            continue
        if any(units[i].barrier for i in targets):
            met = [*(units[i].barrier for i in targets), *(barriers[i] for i in targets)]
            check_passable(network, hardest(met))
        contexts = []
        for i in targets:
            m, stride = len(units[i].exact), alignment.strides[i]
            first, last = longest_run(units[i].exact)
            if 2 * (last - first) < m:
                break
            lost = first, m - last
            outside = (length - m * stride) / 2  # pixels without a unit, on each side
            before, after = (max(0, ceil(n_units * stride + outside)) for n_units in lost)
            name = network.layers[i].name
            contexts.append(Context(name, before, after, lost, alignment.step, stride, barriers[i]))
        else:
            return tuple(contexts)
    raise refused


def check_passable(network: Network, barrier: Barrier | None) -> None:
    """Refuse a network in which a barrier lets no tiles be exact."""
    if barrier:
        what = f"no tiles are exact: {barrier.layer} ({barrier.why})"
        raise OptionError(what, where=network.name, hint=way_out(barrier))


def _lengths(network: Network, axis: int, n: int, step: int) -> Iterator[int]:
    """Yield lengths of tiles that may be half exact, each about twice the one before, and that of
    the image itself.

    The first is about twice what a unit sees.
    """
    pixels = max(reach.size for reach in reaches_of(network, axis, n) if not reach.whole)
    periods = max(1, min(2 * pixels // step + 1, LARGEST // step - 1))
    while (length := periods * step + n % step) <= LARGEST:
        yield length
        periods *= 2
    yield n  # which a network takes that takes no other


@lru_cache(64)
def contexts_of(
    network: Network, size: Size, ignore_norms: bool = False
) -> tuple[tuple[Context, ...], ...]:
    """Return the context of every target on each axis."""
    by_axis = on_each(partial(context_on, ignore_norms=ignore_norms), network, size)
    barrier = None
    if network.again:  # a module or a file may differ in a larger image
        larger = tuple(
            n + lcm(contexts[0].alignment, ALIKE) for n, contexts in zip(size, by_axis, strict=True)
        )
        if why := another_at(network, larger):
            barrier = Barrier(*why)
    return _blocked(tuple(zip(*by_axis, strict=True)), barrier)


def output_contexts(
    network: Network, size: Size, ignore_norms: bool = False
) -> tuple[tuple[Context, ...], ...]:
    """Return the contexts as `contexts_of` does, with what a network returns in place of its last
    maps as the barrier.
    """
    contexts = contexts_of(network, size, ignore_norms)
    if ignore_norms or not network.behind:
        return contexts
    return _blocked(contexts, Barrier(*network.behind[0]))


def _blocked(
    contexts: tuple[tuple[Context, ...], ...], barrier: Barrier | None
) -> tuple[tuple[Context, ...], ...]:
    """Return contexts with a barrier where they have none."""
    return tuple(
        tuple(replace(context, barrier=context.barrier or barrier) for context in head)
        for head in contexts
    )


def exact_contexts(
    network: Network, image: Size, ignore_norms: bool = False
) -> tuple[tuple[Context, ...], ...]:
    """Return the contexts of a network's targets; refuse a layer that lets none be exact, naming
    it.
    """
    contexts = contexts_of(network, image, ignore_norms)
    check_passable(network, barrier_of(network, contexts))
    return contexts


def barrier_of(network: Network, contexts: Sequence[Sequence[Context]]) -> Barrier | None:
    """Return the barrier of any head on any axis that is hardest to pass, and of
    several the first.
    """
    barriers = [context.barrier for head in contexts for context in head if context.barrier]
    barriers.sort(key=lambda barrier: (network.index.get(barrier.layer, 0), barrier.why))
    return hardest(barriers)


def check_returned(network: Network) -> None:
    """Refuse tiles of what a module or a file returns, if that is not its last maps."""
    if network.behind:
        name, why = network.behind[0]
        kept = f"name `layer` {typed(network.targets[0])}, and run what returns it"
        if len(network.targets) > 1:
            kept = f"name {some_names(network.targets)} by `layer`, and run what returns them"
        hint = f"{BY_LAYER}; or {kept}"
        raise OptionError(f"no tiles are exact: {name} ({why})", where=network.name, hint=hint)


def way_out(barrier: Barrier) -> str:
    """Return a hint for what no context of a tile passes."""
    if pools_sums(barrier.why):
        return BY_LAYER
    return "try `norms` shared, which puts what it reads together, or name an earlier `layer`"


def pixels_around(network: Network, size: Size) -> tuple[BeforeAfter, ...] | None:
    """Return the context of a tile on each axis, enough for all targets; None if nothing is exact.

    >>> import padviz
    >>> (pixels_around(padviz.load("resnet50"), (224, 224)),
    ...  pixels_around(padviz.load("efficientnet_b0"), (224, 224)))
    (((224, 192), (224, 192)), None)
    """
    try:
        contexts = exact_contexts(network, size)
    except PadvizError:
        return None
    by_axis = zip(*contexts, strict=True)
    return tuple(
        (max(context.before for context in heads), max(context.after for context in heads))
        for heads in by_axis
    )


def graded_contexts(
    network: Network, image: Size, exact: tuple[Context, ...], level: float
) -> tuple[Context, ...]:
    """Return the contexts of a head from within which units draw the share `level` of their paths,
    on each axis.
    """
    if not 1e-6 <= level < 1:  # of less, rounding leaves nothing
        raise OptionError(
            f"{level:g} is no share of the paths", option="level", hint="use .99 or .999"
        )
    try:
        if len(image) > 2:
            raise SizeError("volumes are not counted")
        sides = on_each(
            lambda network, axis, n: graded_on(network, axis, n, exact[axis], level), network, image
        )
    except SizeError:
        what = f"a unit of {exact[0].layer} sees more than padviz counts at once"
        raise OptionError(what, option="level", hint="leave it out for the exact context") from None
    return tuple(
        replace(context, before=before, after=after)
        for context, (before, after) in zip(exact, sides, strict=True)
    )


def graded_on(network: Network, axis: int, n: int, context: Context, level: float) -> BeforeAfter:
    """Return the least context from within which every unit draws the share `level` of its paths.

    Each side is measured alone, and is no smaller than what valid convolutions cut off. It is not
    exact: all paths count the same, whatever trained weights make of them.
    """
    step, stride = context.alignment, context.stride
    margin = ceil((context.before + context.after + step) / step) * step
    size = (2 * margin + n % step,) * len(network.axes)
    layer = network.index[context.layer]
    first = [
        int(margin / alignment_on(network, other, n).strides[layer]) for other, n in enumerate(size)
    ]
    phases = range(0, max(1, int(step / stride)), max(1, int(step / stride) // MOST_PHASES))
    m = sizes_of(network, axis, size[axis])[layer]
    outside = (size[axis] - m * stride) / 2  # pixels without a unit, on each side
    least = (max(0, ceil(outside)),) * 2
    for phase in phases:
        at = first.copy()
        at[axis] += phase
        counts = usage(network, size, None, context.layer, unit=tuple(at))
        blocks = (1, *(1 if i == axis else rows for i, rows in enumerate(size)))[-2:]
        paths = counts.relative(blocks).ravel()
        if not paths.any():
            continue  # a unit that reads nothing, as between the taps of a transposed convolution
        before, after = np.cumsum(paths) / paths.sum(), np.cumsum(paths[::-1])[::-1] / paths.sum()
        low, high = at[axis] * stride + outside, (at[axis] + 1) * stride + outside
        # rows in front of it hold less than the rest
        near = int(np.searchsorted(before, 1 - level, "right"))
        far = int(np.flatnonzero(after > 1 - level)[-1]) + 1
        least = max(least[0], ceil(low - near)), max(least[1], ceil(far - high))
    return least
