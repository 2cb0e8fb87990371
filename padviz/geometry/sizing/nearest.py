"""The sizes next to one that a network accepts without stretching an output, and how to get there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from math import ceil

from padviz.errors import PadvizError, SizeError, typed
from padviz.geometry.reaching.reach import reaches_of
from padviz.geometry.reaching.shifts import alignment_on
from padviz.geometry.sizing.at_size import AtSize, at_size, grids_of
from padviz.network.network import FILES, LARGEST, Network, Size, in_words, on_axes
from padviz.network.sizes import resolve, sizes_of_each
from padviz.network.targets import output_layers

PERIODS = 2  # of the strides, within which a size is searched on each side
FARTHEST = 64  # px: searched at least, for modules with checks of their own


@dataclass(frozen=True, slots=True)
class Padded:
    """An output of a padded image: the layer, the units to keep on each axis, and how many of them see the padding."""

    layer: str
    units: Size
    kept: Size
    saw_fill: Size


@dataclass(frozen=True, slots=True)
class NearSizes:
    """Whether a network runs at a size, and the nearest sizes at which it runs and stretches nothing.

    `axes` says what it makes of each side. `below` is reached by a crop, `above` by padding at the far ends; each is
    None where there is none, and the size itself where it needs no change. `outputs` are those of the image padded to
    `above`. `refused_by` names the layer that refuses, as far as it is known, and why.
    """

    size: Size
    axes: tuple[AtSize, ...]
    below: Size | None
    above: Size | None
    outputs: tuple[Padded, ...] = ()
    refused_by: tuple[str, str] | None = None


def near_sizes(network: Network, size: Size) -> NearSizes:
    """Read a network, which was read at a size of its own, at another size, and search sizes around it."""
    fixed = tuple(own or n for own, n in zip_longest(network.declared, size, fillvalue=0))
    if fixed != size:
        baked = SizeError(f"the file declares an input of {in_words(fixed)}: export it again with open axes")
        return NearSizes(size, (AtSize(baked),) * len(size), None, None, (), (network.name, baked.what))
    axes = at_size(network, size)
    below, above = _next(network, size, -1), _next(network, size, 1)
    outputs = () if above is None else _padded(network.at(above), size, above)
    refused_by = None if axes[0].refusal is None else _refusing(network, size, axes[0].refusal)
    return NearSizes(size, axes, below, above, outputs, refused_by)


def _next(network: Network, size: Size, sign: int) -> Size | None:
    """Return the nearest size in one direction, each side by itself, and then read both together.

    Where no side is unstretched, an accepted one has to do.
    """
    sides = []
    for axis, n in enumerate(size):
        step = alignment_on(network, axis, network.size[axis]).step
        accepted = []
        for side in range(n, n + sign * (max(PERIODS * step, FARTHEST) + 1), sign):
            if not 1 <= side <= LARGEST:
                break
            alone = (*network.size[:axis], side, *network.size[axis + 1 :])
            there = at_size(network, alone)[axis]
            if there.unstretched:
                accepted = [side]
                break
            accepted += [side] * there.accepted
        sides += accepted[:1]
    found = tuple(sides)
    if len(found) < len(size):
        return None
    together = at_size(network, found)
    stays = found == size and not all(along.unstretched for along in together)
    return found if together[0].accepted and not stays else None


def _padded(network: Network, image: Size, padded: Size) -> tuple[Padded, ...]:
    """Return which units of each output stand for the image, and how many of them see what was padded."""
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
            keep = n if m == padded[axis] else min(m, ceil((n - cell) / grid.step))
            reach = reaches_of(network, axis, padded[axis])[i]
            sees = [unit for unit in range(keep) if reach.interval(unit)[1] >= n]
            kept.append(keep)
            saw_fill.append(len(sees) if padded[axis] > n else 0)
        outputs.append(Padded(name, tuple(along[i] for along in units), tuple(kept), tuple(saw_fill)))
    return tuple(outputs)


def _refusing(network: Network, size: Size, refusal: PadvizError) -> tuple[str, str]:
    """Return the layer that refuses a size, and why: by the rows of the layers known from another size, if they do."""
    try:
        sizes_of_each(network, size)
    except SizeError as error:
        return error.where.removeprefix(f"{network.name}, "), error.what
    return refusal.where.removeprefix(f"{network.name}, "), refusal.what


def _as_named(network: Network) -> str:
    """Return what a person types for a network: a file, package.module:attribute, or a name of the zoo."""
    if ":" in network.source or network.source.lower().endswith(FILES):
        return network.source
    return network.name if network.again is None else "MODEL"


@contextmanager
def near_sizes_named(load: Callable[[], Network], size: Size | None) -> Iterator[None]:
    """Where a network refuses a size, name the nearest ones that it takes; `load` reads it at a size of its own.

    Raises SizeError in place of an error raised within, which is quoted, if another size is the cure.
    """
    try:
        yield
    except PadvizError as error:
        near = None
        with suppress(PadvizError):
            if size is not None:
                network = load()
                there = on_axes(size, network.axes)
                if not at_size(network, there)[0].accepted:
                    near = near_sizes(network, there)
        if near is None or near.refused_by is None or near.axes[0].unknown or not (near.above or near.below):
            raise
        layer, why = near.refused_by
        ways = [f"pad the image to {in_words(near.above)}"] if near.above else []
        ways += [f"crop it to {in_words(near.below)}"] if near.below else []
        more = (
            f"padviz sizes {typed(_as_named(network))} --size {typed('x'.join(map(str, near.size)))} prints the lines"
        )
        own_words = "" if why == error.what else f" ({error.what})"
        raise SizeError(
            f"does not take {in_words(near.size)}: {why}{own_words}",
            where=", ".join(dict.fromkeys((network.name, layer))),
            hint=f"{' or '.join(ways)}: {more}",
        ) from None
