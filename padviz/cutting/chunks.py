"""Chunks of a signal that is not there as a whole: what each reads, and what is exact of what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from padviz.cutting.context import Context
from padviz.cutting.plan import exact_contexts
from padviz.cutting.right_units import Cut, longest_run, read_at_tile, right_units, run_at
from padviz.errors import OptionError, SizeError
from padviz.geometry.receptive_fields import around_units
from padviz.network.network import Network
from padviz.network.rewrites import check_signal
from padviz.network.sizes import sizes_of


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

    What is kept is checked in the first chunk, in those inside, and in the shortest that may be the last.

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
    refused: list[SizeError] = []

    def enough(read: int) -> bool:
        try:
            return _kept(network, contexts, new, read, without) is not None
        except SizeError as error:
            refused.append(error)
            return False

    around = max(context.before + context.after for context in contexts)
    read = next((n for n in range(new, new + 3 * (around + 3 * step), step) if enough(n)), None)
    if read is None:
        what = refused[0].what if refused else "padding at the signal's ends reads further than a chunk does"
        raise SizeError(f"no chunk is known to be right: {what}", where=network.name, hint="name an earlier `layer`")
    read = next(n for n in range(max(new, read - step + 1), read + 1) if enough(n))
    heads = _kept(network, contexts, new, read, without)
    assert heads
    read_at_tile(network, (read,), (network.size[0],))
    centred = around_units(network, network.size)
    ahead = [centred[network.index[context.layer]] or (0, context.after) for context in contexts]
    return Chunks(new, read - new, max(0, *(after for _, after in ahead)), heads)


def _kept(
    network: Network, contexts: Sequence[Context], new: int, read: int, without: frozenset[str]
) -> tuple[Kept, ...] | None:
    """Find the units that chunks keep: right in the first, in inner ones and in the last, however short."""
    size, step, heads = network.size[0], contexts[0].lattice, []
    long, last = size + -(-2 * read // step) * step, read - new + 1
    last += (size - last) % step
    inner, first = (right_units(network, 0, Cut(long, start, read), without) for start in (None, 0))
    for context in contexts:
        i, n = network.index[context.layer], int(new / context.stride)
        begin, end = longest_run(inner[i].from_(0))
        if end - begin < n or run_at(first[i].from_(0), 0)[1] < end:
            return None
        heads.append(Kept(context.layer, end - n, n, len(inner[i].right) - end))
        start = (long - last) / context.stride
        left = sizes_of(network, 0, long)[i] - int(start) - (end - n)  # units that the last chunk keeps
        cut = Cut(long, long - last, last)
        if left > 0 and not right_units(network, 0, cut, without)[i].from_(start)[-left:].all():
            return None
    return tuple(heads)
