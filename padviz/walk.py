"""The walk from a target layer back to the input: how many paths lead from each pixel to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np

from padviz.axis import AxisMap
from padviz.counts import CountMap, Target
from padviz.errors import OptionError, PadvizError, SizeError
from padviz.kernels import LIMB_BITS, Array, apply, carry
from padviz.network import (
    Network,
    Resolved,
    Size,
    as_size,
    names_of,
    resolve_both,
    upto,
)
from padviz.schemes import with_mean_pooling, with_padding
from padviz.sources import load
from padviz.wide import HOLDS, limbs_for

Box = tuple[slice, slice]
MOST_NUMBERS = 1 << 28  # in one layer's array: 2 GiB


class _Adds(Protocol):
    def __add__(self, other: Self, /) -> Self: ...


T = TypeVar("T", bound=_Adds)


def usage(
    network: str | Path | Network,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    layer: str | Sequence[str] | None = None,
    pooling: str = "count",
    unit: tuple[int | slice, int | slice] | None = None,
    *,
    engine: str = "auto",
) -> CountMap:
    """Count the paths from every input pixel to the units of the target layer.

    Parameters
    ----------
    network : str, Path or Network
        A name of the zoo, a TOML file, or a loaded network.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str, optional
        A scheme for every convolution: zero, replicate, reflect, symmetric, circular, partial,
        valid or full. By default each pads as declared.
    layer : str or sequence of str, optional
        Target layers, whose counts add up; by default the last feature map.
    pooling : "count" or "mean"
        Count each pooling tap once, or weigh it by 1 / taps (then counts are floats).
    unit : (row, column), optional
        One unit of the target, or slices for a box of units; all units by default.
    engine : "auto", "numpy" or "numba"
        Which kernels count; "auto" picks by the amount of work.

    Returns
    -------
    CountMap
        With `.counts` of shape (height, width).

    Raises
    ------
    PadvizError
        For a name, size or option that cannot be used.

    Notes
    -----
    Where every mode folds its padding, the counts sum to taps x outputs: nothing is lost.
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> import padviz
    >>> padviz.usage("resnet50", 224).counts[0, 0]
    np.int64(59303702250160)
    """
    net = load(network)
    pixels = as_size(net.size if size is None else size)
    if engine not in ("auto", "numpy", "numba"):
        raise OptionError(f"engine {engine!r} is not known", where="engine", hint="use auto, numpy or numba")
    if pooling not in ("count", "mean"):
        raise OptionError(f"pooling {pooling!r} is not known", where="--pooling", hint="use count or mean")
    targets = names_of(layer, net)
    pruned = upto(net, targets)
    walked = with_padding(pruned, padding)
    if pooling == "mean":
        walked = with_mean_pooling(walked)
    rows, cols = resolve_both(walked, pixels)
    at = [walked.index[name] for name in targets]
    shapes = {name: (rows.sizes[i], cols.sizes[i]) for name, i in zip(targets, at, strict=True)}
    picked, box = _box(unit, shapes)
    tally = _tally(walked, rows, cols, at, box, engine)
    return CountMap(pruned, pixels, padding, pooling, _target(shapes), picked, tally)


def backward(network: Network, seeds: Mapping[int, T], pull: Callable[[int, T], T]) -> T | None:
    """Walk from the seeded layers to the input: each layer hands its value, pulled through it, to all it reads.

    The same walk serves arrays, and the plain ints that prove how wide the arrays must be.
    Returns None where no seed reaches the input.
    """
    value: list[T | None] = [seeds.get(i) for i in range(len(network.layers))]
    for i in range(len(value) - 1, 0, -1):
        here, value[i] = value[i], None
        if here is None:
            continue
        layer = network.layers[i]
        pulled = here if layer.height is None and layer.width is None else pull(i, here)
        for j in layer.inputs:
            there = value[j]
            value[j] = pulled if there is None else pulled + there
    return value[0]


@dataclass(frozen=True, slots=True)
class _Tally:
    """Limbs, and a bound on every limb, so that carries happen only when the next step could overflow."""

    limbs: Array
    bound: int

    def __add__(self, other: _Tally) -> _Tally:
        a, b = self.ready(2), other.ready(2)
        return _Tally(a.limbs + b.limbs, a.bound + b.bound)

    def ready(self, gain: int) -> _Tally:
        """The same value, with room to grow by `gain`."""
        if len(self.limbs) == 1 or self.bound * gain < HOLDS:
            return self
        carry(self.limbs)
        return _Tally(self.limbs, 1 << LIMB_BITS)

    def pulled(self, back: AxisMap | None, axis: int, engine: str, passing: bool) -> _Tally:
        if back is None:
            return self
        ready = self.ready(back.gain)
        limbs = apply(back.strips, ready.limbs, back.n_out, axis, engine=engine, passing=passing)
        return _Tally(limbs, ready.bound * back.gain)


def _tally(network: Network, rows: Resolved, cols: Resolved, targets: Sequence[int], box: Box, engine: str) -> Array:
    """Counts at the input, (limbs, height, width), carried."""
    exact = all(m is None or m.exact for m in (*rows.maps, *cols.maps))
    bound = backward(network, dict.fromkeys(targets, 1), lambda i, v: v * _gain(rows, i) * _gain(cols, i)) or 0
    if not exact and bound.bit_length() > 1000:
        raise PadvizError("counts pass what a float holds", where=network.name, hint="name an earlier --layer")
    limbs = limbs_for(bound) if exact else 1
    for layer, height, width in zip(network.layers, rows.sizes, cols.sizes, strict=True):
        if height * width * limbs > MOST_NUMBERS:
            what = f"its map of {height} x {width} is larger than padviz counts"
            raise SizeError(what, where=f"{network.name}, {layer.name}", hint="use a smaller --size")
    kind = np.int64 if exact else np.float64

    def counted(rows: Resolved, cols: Resolved, box: Box) -> Array:
        seeds = {i: _seed((limbs, rows.sizes[i], cols.sizes[i]), box, kind) for i in targets}
        result = backward(network, seeds, lambda i, v: _pull(rows.maps[i], cols.maps[i], v, engine))
        if result is None:
            return np.zeros((limbs, rows.sizes[0], cols.sizes[0]), kind)
        carry(result.limbs)
        return result.limbs

    if limbs == 1 and len(targets) == 1 and is_chain(network):  # nothing adds up: an outer product of two vectors
        flat = Resolved((1,) * len(network.layers), (None,) * len(network.layers))
        whole = slice(None)
        return counted(rows, flat, (box[0], whole)) * counted(flat, cols, (whole, box[1]))
    return counted(rows, cols, box)


def is_chain(network: Network) -> bool:
    """Whether each layer reads just the one before it."""
    return all(layer.inputs == (i,) for i, layer in enumerate(network.layers[1:]))


def _pull(rows: AxisMap | None, cols: AxisMap | None, value: _Tally, engine: str) -> _Tally:
    """Through both axes, transposed; widths first, while there are fewer rows."""
    across = value.pulled(cols and cols.transposed, 2, engine, passing=rows is not None)
    return across.pulled(rows and rows.transposed, 1, engine, passing=False)


def _gain(axis: Resolved, i: int) -> int:
    back = axis.maps[i]
    return 1 if back is None else back.transposed.gain


def _seed(shape: tuple[int, int, int], box: Box, kind: type) -> _Tally:
    """One path at each unit of the box: the unit itself."""
    limbs: Array = np.zeros(shape, dtype=kind)
    limbs[0][box] = 1
    return _Tally(limbs, 1)


def _target(shapes: Mapping[str, Size]) -> Target:
    if len(shapes) == 1:
        ((name, shape),) = shapes.items()
        return Target(name, [*shape])
    return Target([*shapes], [[*shape] for shape in shapes.values()])


def _box(
    unit: tuple[int | slice, int | slice] | None, shapes: Mapping[str, Size]
) -> tuple[list[int] | list[list[int]] | None, Box]:
    """The unit, or box of units, that was asked for: as it is reported, and as slices of the target."""
    if unit is None:
        return None, (slice(None), slice(None))
    if len(shapes) > 1:
        raise OptionError("a unit needs one target layer", where="--unit", hint="name one --layer")
    ((name, shape),) = shapes.items()
    rows, cols = (_range(each, n) for each, n in zip(unit, shape, strict=True))
    if not rows or not cols:
        what = f"is outside layer {name}, which has {shape[0]} x {shape[1]} units"
        raise OptionError(f"unit {_plain(unit)} {what}", where="--unit", hint="rows and columns count from 0")
    single = not any(isinstance(each, slice) for each in unit)
    report = [rows[0], cols[0]] if single else [[rows[0], rows[-1] + 1], [cols[0], cols[-1] + 1]]
    return report, (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))


def _range(which: int | slice, n: int) -> range:
    """The positions meant, empty when they are outside; a negative one counts from the end."""
    if isinstance(which, slice):
        return range(*slice(which.start, which.stop).indices(n))
    at = index(which)
    at += n if at < 0 else 0
    return range(at, at + 1) if 0 <= at < n else range(0)


def _plain(unit: tuple[int | slice, int | slice]) -> str:
    def text(each: int | slice) -> str:
        if not isinstance(each, slice):
            return str(each)
        return ":".join("" if end is None else str(end) for end in (each.start, each.stop))

    return ",".join(text(each) for each in unit)
