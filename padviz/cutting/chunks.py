"""Chunks of a signal that is not there as a whole: what each reads, and what is exact of what is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from padviz.cutting.plan import exact_contexts
from padviz.cutting.right_units import Cut, longest_run, right_units
from padviz.errors import OptionError, SizeError
from padviz.geometry.receptive_fields import around_units
from padviz.network.network import Network
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
    refused: list[SizeError] = []

    def spans(read: int) -> list[tuple[int, int, int]]:
        """Find the units (first, last + 1) of each head that are right in an inner chunk, and how many there are."""
        try:
            units = right_units(network, 0, Cut(network.size[0], None, read), without)
        except SizeError as error:
            refused.append(error)
            return [(0, 0, 0)] * len(contexts)
        flags = [units[network.index[context.layer]].right for context in contexts]
        return [(*longest_run(right), len(right)) for right in flags]

    def enough(read: int) -> bool:
        return all(last - first >= n for (first, last, _), n in zip(spans(read), wanted, strict=True))

    around = max(context.before + context.after for context in contexts)
    read = next((n for n in range(new, new + 2 * (around + 2 * step), step) if enough(n)), None)
    if read is None:
        what = f"no chunk is known to be right: {refused[0].what if refused else 'strides jump in phase'}"
        raise SizeError(what, where=network.name, hint="name an earlier `layer`")
    read = next(n for n in range(max(new, read - step + 1), read + 1) if enough(n))
    heads = tuple(
        Kept(context.layer, last - n, n, m - last)
        for context, (_, last, m), n in zip(contexts, spans(read), wanted, strict=True)
    )
    centred = around_units(network, 0, network.size)
    ahead = [centred[network.index[context.layer]] or (0, context.after) for context in contexts]
    return Chunks(new, read - new, max(0, *(after for _, after in ahead)), heads)
