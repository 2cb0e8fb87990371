"""Sizes of images that a network takes, where its layers part at others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from padviz.errors import OptionError, PadvizError
from padviz.geometry.reaching.lattice import lattice_on
from padviz.network.network import Network, Size, in_words


@contextmanager
def padded_to_fit(load: Callable[[], Network], size: Size | None) -> Iterator[None]:
    """Say to which size to pad an image where a network does not take its size; `load` reads it at its own.

    Raises
    ------
    OptionError
        In place of an error of a network that is read at `size`.
    """
    try:
        yield
    except PadvizError:
        better = None if size is None else _fitting(load, size)
        if better is None or better == size:
            raise
        what, hint = in_words(size or ()), in_words(better)
        reason = f"the network does not take {what}, where its maps part"
        raise OptionError(reason, option="size", hint=f"pad the image to {hint}") from None


def _fitting(load: Callable[[], Network], size: Size) -> Size | None:
    """Find the next size whose strides end as those of the network's own size do; None where it is not known."""
    try:
        network = load()
        size = network.pixels(size)
        steps = [lattice_on(network, axis, n).step for axis, n in enumerate(network.size)]
    except PadvizError:
        return None
    return tuple(n + (own - n) % step for n, own, step in zip(size, network.size, steps, strict=True))
