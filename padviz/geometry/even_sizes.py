"""Even sizes: where no window reads its padding unevenly, over whole ranges at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Op, Window, placement, sized
from padviz.axis.padding_modes import most_padding
from padviz.errors import OptionError, SizeError
from padviz.geometry.costs import costs
from padviz.geometry.ledger import axis_padding
from padviz.network.layer import WINDOWS
from padviz.network.network import LARGEST, Network, Size, as_size
from padviz.network.rewrites import with_pads_before
from padviz.network.sizes import check_known, is_square, resolve_both

AXES = ("both", "height", "width")
MOST_RESIDUES = 4  # a rule with more alternatives is no rule that a person would use
REACH = 1024  # how far from the size asked about an even one is looked for
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EvenSizes:
    """The even sizes in lo .. hi: all, those at which no row is dropped, and the rule they follow if there is one.

    Examples
    --------
    >>> import padviz
    >>> padviz.even_sizes("resnet18", 200, 230).even
    (225,)
    """

    network: str
    range: tuple[int, int]
    axis: str
    even: tuple[int, ...]
    even_without_drops: tuple[int, ...]
    rule: str | None
    rule_without_drops: str | None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An even size near the one asked about, its multiply-adds, and what they are relative to that.

    Where channels are not known, they are None; `work`, window positions summed over layers and relative, always is.

    `drops` says whether a layer drops rows or columns at it.

    >>> import padviz
    >>> above = nearest_even(padviz.load("resnet50"), (224, 224))[1]
    >>> above.size, above.macs, round(above.macs_ratio, 3), round(above.work, 3)
    ((225, 225), 4624665792, 1.132, 1.047)
    """

    size: Size
    work: float
    drops: bool = False
    macs: int | None = None
    macs_ratio: float | None = None


class _Verdict(NamedTuple):
    """Of each size: the network takes it; no layer is uneven; none drops rows."""

    runs: Flags
    even: Flags
    whole: Flags


def even_sizes(network: Network, lo: int = 64, hi: int = 1024, axis: str = "both") -> EvenSizes:
    """Every size in lo .. hi at which no layer is uneven: `padviz.even_sizes`, of a network that is loaded.

    Parameters
    ----------
    network : Network
    lo, hi, axis
        As for `padviz.even_sizes`.

    Raises
    ------
    PadvizError
        For a size or option that cannot be used.

    Examples
    --------
    >>> import padviz
    >>> even_sizes(padviz.load("resnet50"), 200, 300).even
    (225, 257, 289)
    """
    if not 1 <= lo <= hi <= LARGEST:
        raise OptionError(f"{lo}:{hi} is not a range of sizes", option="range", hint=f"use LO:HI within 1:{LARGEST}")
    if axis not in AXES:
        raise OptionError(f"axis {axis!r} is not known", option="axis", hint=f"use {', '.join(AXES)}")
    sizes = np.arange(lo, hi + 1)
    wanted = {"both": (0, 1), "height": (0,), "width": (1,)}[axis]
    verdicts = [_verdict(network, each, sizes) for each in wanted[: 1 if is_square(network) else 2]]
    runs, even, whole = (np.logical_and.reduce(flags) for flags in zip(*verdicts, strict=True))
    if not runs.any():
        raise SizeError(f"takes no size from {lo} to {hi}", where=network.name, hint="try another range")
    found = (runs & even, runs & even & whole)
    first = int(np.argmax(runs))  # a rule starts where the network does
    since = f", from {lo + first}" if first else ""
    all_even, without_drops = (tuple(sizes[flags].tolist()) for flags in found)
    rule, strict_rule = (rule_of(flags[first:], lo + first) for flags in found)
    return EvenSizes(
        network.name,
        (lo, hi),
        axis,
        all_even,
        without_drops,
        rule and rule + since,
        strict_rule and strict_rule + since,
    )


@lru_cache(8)  # asked for as a remedy, and for whether there is one
def nearest_even(network: Network, size: Size) -> tuple[Suggestion | None, Suggestion | None]:
    """The even sizes next below and above `size`; a side that needs no change stays as it is, unless neither does.

    Sizes that drop no row come first. None is below half of the size or above twice, unless nothing between is even.

    >>> import padviz
    >>> below, above = nearest_even(padviz.load("resnet50"), (224, 224))
    >>> below.size, above.size
    ((193, 193), (225, 225))
    >>> [found and found.size for found in nearest_even(padviz.load("resnet50"), (32, 32))]
    [None, (33, 33)]
    """
    height = _side(network, 0, size[0])
    alike = size[0] == size[1] and is_square(network)
    sides = [height, height if alike else _side(network, 1, size[1])]
    move = all(side.stays for side in sides)
    found: list[Suggestion | None] = []
    for below in (True, False):
        pair = [side.here if side.stays and not move else side.below if below else side.above for side in sides]
        chosen = [each for each in pair if each]
        if len(chosen) == 2:
            there = as_size([each.n for each in chosen])
            drops = any(each.drops for each in chosen)
            found.append(_suggested(network, there, size, drops))
        else:
            found.append(None)
    return found[0], found[1]


def odd_window(network: Network, size: Size) -> str | None:
    """Where no size near is even: a window that reads an odd number of padded rows at each, which no pads can halve.

    A window of m units reads (m - 1) s + e - n rows of padding in all, as long as it has no gaps.

    >>> from padviz.sources.toml.build import parse
    >>> steps = [{"op": "conv", "name": "c", "kernel": 2, "padding": [[1, 0], [1, 0]]}]
    >>> odd_window(parse({"layers": steps}, "never"), (9, 9))
    'c'
    """
    found: list[str] = []
    for axis, n in enumerate(size):
        odd: dict[str, Flags] = {}
        runs, even, _ = _verdict(network, axis, _around(n), odd)
        if runs.any() and not (runs & even).any():
            found += [name for name, flags in odd.items() if flags[runs].all()]
    return min(found, key=network.index.__getitem__, default=None)


class _Option(NamedTuple):
    """A size of one side, and whether rows are dropped at it."""

    n: int
    drops: bool


class _Side(NamedTuple):
    """What one side may be: as it is, smaller, larger."""

    here: _Option
    stays: bool
    below: _Option | None
    above: _Option | None


def _side(network: Network, axis: int, n: int) -> _Side:
    """The options of one side."""
    sizes = _around(n)
    verdict = _verdict(network, axis, sizes)
    even = verdict.runs & verdict.even
    near, others = (2 * sizes >= n) & (sizes <= 2 * n), sizes != n
    if (even & near & others).any():
        even &= near
    best = (even & verdict.whole, even)

    def nearest(where: Flags) -> _Option | None:
        for flags in best:
            if (flags & where).any():
                there = int(min(sizes[flags & where], key=lambda each: abs(each - n)))
                return _Option(there, not verdict.whole[there - sizes[0]])
        return None

    here = n - int(sizes[0])
    stays = best[0][here] or (best[1][here] and not best[0].any())
    below, above = nearest(sizes < n), nearest(sizes > n)
    return _Side(_Option(n, not verdict.whole[here]), bool(stays), below, above)


def _around(n: int) -> NDArray[np.int64]:
    return np.arange(max(1, n - REACH), min(n + REACH, LARGEST) + 1)


def rule_of(even: Flags, lo: int) -> str | None:
    """The shortest period that the flags of sizes lo, lo + 1, ... keep throughout, twice at the least.

    >>> rule_of(np.array([True, False, False] * 4), 64)
    '3*i + 1'
    """
    for period in range(1, len(even) // 2 + 1):
        if (even[period:] == even[:-period]).all():
            break
    else:
        return None
    residues = sorted((lo + int(i)) % period for i in np.flatnonzero(even[:period]))
    if period == 1:
        return "every size" if residues else None
    if not 1 <= len(residues) <= MOST_RESIDUES:
        return None
    return " or ".join(f"{period}*i + {residue}" if residue else f"{period}*i" for residue in residues)


def _verdict(network: Network, axis: int, sizes: NDArray[np.int64], odd: dict[str, Flags] | None = None) -> _Verdict:
    """Walk all sizes through the network at once; layers alike in window and input are looked at once.

    In `odd` it notes at which sizes each of them reads an odd number of padded rows.
    """
    at: list[NDArray[np.int64]] = [sizes]
    same = {sizes.tobytes(): sizes}  # equal arrays are one array, so that looking at one is enough
    runs, even, whole = (np.ones(sizes.shape, dtype=bool) for _ in range(3))
    if axis in network.fixed:
        runs &= sizes == network.size[axis]
    known: dict[tuple[Any, ...], NDArray[np.int64]] = {}
    for layer in network.layers[1:]:
        check_known(network, layer)
        entering = at[layer.inputs[0]]
        for other in layer.inputs[1:]:
            if at[other] is not entering:
                runs &= at[other] == entering
        op = layer.ops[axis]
        like = None if layer.like is None else at[layer.like]
        judged = with_pads_before(network, layer) if layer.kind in WINDOWS else layer
        key = (op, id(entering), id(like), judged.ops[axis], id(at[judged.inputs[0]]))
        if op is not None and key not in known:
            leaving, fits = _leaving(op, entering, like)
            runs &= fits
            window = judged.ops[axis]
            if isinstance(window, Window) and layer.kind in WINDOWS:
                _judge(window, at[judged.inputs[0]], even, whole)
                if odd is not None:
                    odd[layer.name] = _reads_odd(window, at[judged.inputs[0]])
            known[key] = same.setdefault(leaving.tobytes(), leaving)
        at.append(entering if op is None else known[key])
    return _Verdict(runs, even, whole)


def _leaving(op: Op, n: NDArray[np.int64], like: Any) -> tuple[NDArray[np.int64], Flags]:
    """Output sizes, and whether the operation takes each input; impossible ones are set to 1."""
    leaving = np.broadcast_to(sized(op, n, like), n.shape)
    fits = leaving >= 1
    if isinstance(op, Window):
        before, after, _ = placement(op, n)
        if op.mode in ("reflect", "symmetric", "circular"):
            fits = fits & (np.maximum(before, after) <= most_padding(op.mode, n))
    return np.where(fits, leaving, 1), fits


def _reads_odd(window: Window, n: NDArray[np.int64]) -> Flags:
    """At which sizes a window without gaps reads an odd number of padded rows in all."""
    if window.dilation > 1 or window.stride > window.kernel:
        return np.zeros(n.shape, dtype=bool)
    rows = (placement(window, n).n_out - 1) * window.stride + window.extent - n
    found: Flags = (rows > 0) & (rows % 2 == 1)
    return found


def _judge(window: Window, n: NDArray[np.int64], even: Flags, whole: Flags) -> None:
    """Clear the flags of sizes at which `window` is uneven, or drops rows.

    Both depend only on the padding, on the rows left over, and, for few units, on their number:
    one size of each such class is looked at.
    """
    taken = np.flatnonzero(placement(window, n).n_out >= 1)  # the flags of the other sizes do not matter
    if not taken.size:
        return
    n = n[taken]
    before, after, m = placement(window, n)
    left_over = n + before + after - window.extent - (m - 1) * window.stride
    few = np.minimum(m, 4 + 3 * window.extent // window.stride + np.max(before) + np.max(after))
    classes = np.zeros(n.shape, dtype=np.int64)  # one number for each combination
    for part in (before, after, left_over, few):
        low = np.min(part)
        classes = classes * (np.max(part) - low + 1) + part - low
    _, first, kind = np.unique(classes, return_index=True, return_inverse=True)
    rows = [axis_padding(window, int(n[i])) for i in first]
    even[taken] &= np.array([not row.uneven for row in rows])[kind]
    whole[taken] &= np.array([not row.dropped for row in rows])[kind]


def _suggested(network: Network, pixels: Size, asked: Size, drops: bool) -> Suggestion:
    work = _positions(network, pixels) / (_positions(network, asked) or 1)
    macs, before = (costs(network, each).macs for each in (pixels, asked))
    return Suggestion(pixels, work, drops, macs, macs / before if macs and before else None)


def _positions(network: Network, size: Size) -> int:
    """Window positions, summed over layers: the work, as far as it is known without channels."""
    rows, cols = resolve_both(network, size)
    windows = [i for i, layer in enumerate(network.layers) if layer.kind in WINDOWS]
    return sum(rows.sizes[i] * cols.sizes[i] for i in windows)
