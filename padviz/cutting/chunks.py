"""Chunks of a stream: what each must read again, and which units of its output are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from padviz.cutting.context import Context, exact_contexts
from padviz.cutting.exact_units import Cut, exact_units, longest_run, run_around
from padviz.cutting.plan import read_at_tile
from padviz.errors import DescriptionError, OptionError, SizeError
from padviz.geometry.receptive_fields import around_units
from padviz.network.network import Network
from padviz.network.sizes import sizes_of


class Kept(NamedTuple):
    """The units of a layer's map of a chunk: `units` are exact, between those that are dropped first and last."""

    layer: str
    drop_first: int
    units: int
    drop_last: int


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks that each bring `new` input samples, and read the `again` samples before them again.

    A unit of the output comes `look_ahead` samples after those that it stands for. The first chunk drops no units in
    front, and the last none behind.

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
        """The number of input samples that a chunk reads."""
        return self.again + self.new


def chunks_of(network: Network, new: int, ignore_norms: bool = False) -> Chunks:
    """Return chunks of `new` samples that re-read the fewest samples needed to stay exact.

    Units are checked in the first chunk, in those inside, and in the shortest that may be the last.

    Raises OptionError if `new` is not a multiple of the alignment, or a layer lets nothing be exact.
    """
    if len(network.axes) > 1:
        what = f"its input has {' x '.join(network.axes)}, and chunks are of signals"
        raise DescriptionError(what, where=network.name, hint="use `tile`")
    contexts = [context for (context,) in exact_contexts(network, network.size, ignore_norms)]
    step = contexts[0].alignment
    if new % step:
        what = f"{new} input samples are not a multiple of {step}, after which all strides are in phase again"
        raise OptionError(what, option="chunk", hint=f"use `chunk` {max(1, round(new / step)) * step}")
    refused: list[SizeError] = []

    def kept_of(read: int) -> tuple[Kept, ...] | None:
        try:
            return _kept(network, contexts, new, read)
        except SizeError as error:
            refused.append(error)
            return None

    around = max(context.before + context.after for context in contexts)
    enough = next((n for n in range(new, new + 3 * (around + 3 * step), step) if kept_of(n)), None)
    if enough is None:
        what = refused[0].what if refused else "padding at the signal's ends reads further than a chunk does"
        raise SizeError(f"no chunk is known to be exact: {what}", where=network.name, hint="name an earlier `layer`")
    lengths = range(max(new, enough - step + 1), enough + 1)
    read, heads = next((n, heads) for n in lengths if (heads := kept_of(n)))
    read_at_tile(network, (read,), (network.size[0],))
    centred = around_units(network, network.size)
    ahead = [centred[network.index[context.layer]] or (0, context.after) for context in contexts]
    return Chunks(new, read - new, max(0, *(after for _, after in ahead)), heads)


def _kept(network: Network, contexts: Sequence[Context], new: int, read: int) -> tuple[Kept, ...] | None:
    """Return the units that chunks keep, exact in the first, in inner ones and in the last; None if too few are."""
    size, step, heads = network.size[0], contexts[0].alignment, []
    long, last = size + -(-2 * read // step) * step, read - new + 1
    last += (size - last) % step
    inner, first = (exact_units(network, 0, Cut(long, start, read)) for start in (None, 0))
    for context in contexts:
        i, n = network.index[context.layer], int(new / context.stride)
        begin, end = longest_run(inner[i].placed(0))
        if end - begin < n or run_around(first[i].placed(0), 0)[1] < end:
            return None
        heads.append(Kept(context.layer, end - n, n, len(inner[i].exact) - end))
        start = (long - last) / context.stride
        left = sizes_of(network, 0, long)[i] - int(start) - (end - n)  # units that the last chunk keeps
        cut = Cut(long, long - last, last)
        if left > 0 and not exact_units(network, 0, cut)[i].placed(start)[-left:].all():
            return None
    return tuple(heads)
