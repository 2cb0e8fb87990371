"""Chunks of a signal that is not there as a whole: what each reads, and what is exact of what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from padviz.cutting.plan import Span, exact_contexts, longest_run
from padviz.cutting.right_units import Cut, right_units
from padviz.errors import OptionError, SizeError
from padviz.geometry.receptive_fields import around_units
from padviz.network.network import LARGEST, Network
from padviz.network.rewrites import check_signal


class Kept(NamedTuple):
    """Units of a layer's map of a chunk: so many at its start are dropped, then so many are exact, then dropped."""

    layer: str
    drop_first: int
    units: int
    drop_last: int


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks of which each brings `new` input samples, and reads the last `again` input samples before them again.

    A unit of the output comes `look_ahead` input samples after those that it stands for. Of the first chunk no units
    are dropped in front, and of the last none behind.

    >>> from torch import nn
    >>> import padviz
    >>> chunks_of(padviz.load(nn.Conv1d(1, 1, 5, padding=2)), 64)
    Chunks(new=64, again=4, look_ahead=2, heads=(Kept(layer='conv', drop_first=2, units=64, drop_last=2),))
    """

    new: int
    again: int
    look_ahead: int
    heads: tuple[Kept, ...]

    @property
    def read(self) -> int:
        """The input samples that a chunk reads."""
        return self.again + self.new


def chunks_of(network: Network, new: int, without: frozenset[str] = frozenset()) -> Chunks:
    """Find what chunks of so many new input samples read again, so that what they keep is as in the whole signal.

    Raises
    ------
    OptionError
        For input samples that are no whole number of steps of the lattice, or where a layer lets nothing be exact.
    """
    check_signal(network)
    contexts = [context for (context,) in exact_contexts(network, network.size, without)]
    step = contexts[0].lattice
    if new % step:
        what = f"{new} input samples are no whole number of steps of {step}, after which all strides are in phase again"
        raise OptionError(what, option="chunk", hint=f"use `chunk` {max(1, round(new / step)) * step}")
    wanted = [int(new / context.stride) for context in contexts]

    def enough(read: int) -> bool:
        spans = _right(network, read, step, without)
        return all(last - first >= n for (first, last, _), n in zip(spans, wanted, strict=True))

    read = _least(enough, new, step, network.name)
    spans = zip(network.targets, _right(network, read, step, without), wanted, strict=True)
    heads = tuple(Kept(name, last - n, n, m - last) for name, (_, last, m), n in spans)
    around = around_units(network, 0, network.size)
    ahead = [around[network.index[context.layer]] or (0, context.after) for context in contexts]
    return Chunks(new, read - new, max(0, *(after for _, after in ahead)), heads)


def _least(enough: Callable[[int], bool], new: int, step: int, where: str) -> int:
    """Find the least input samples to read, a step at a time, and then within the last step."""
    high = -(-new // step) * step
    while not enough(high):
        high += step
        if high > LARGEST:
            raise SizeError("no chunk is right: it needs more context than a signal has", where=where)
    low = max(new, high - step)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def _right(network: Network, read: int, step: int, without: frozenset[str]) -> list[tuple[int, int, int]]:
    """Find the units (first, last + 1) of each target that are right far from the ends, and how many there are."""
    before = -(-read // step) * step
    cut = Cut(network.size[0] % step + 3 * before, before, read)
    try:
        units = right_units(network, 0, cut, without)
    except SizeError:
        return [(0, 0, 0)] * len(network.targets)
    flags = [units[network.index[name]].right for name in network.targets]
    spans: list[Span] = [longest_run(right) for right in flags]
    return [(*span, len(right)) for span, right in zip(spans, flags, strict=True)]
