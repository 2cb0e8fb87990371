"""The layers that are counted to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from padviz.errors import OptionError
from padviz.network.graph import ancestors, only
from padviz.network.network import Network

PART = " up to "  # in the title of a network that was cut


@lru_cache(256)
def upto(network: Network, targets: tuple[str, ...]) -> Network:
    """Cut the network down to what `targets` depend on; branches that end elsewhere are gone.

    >>> import padviz
    >>> len(upto(padviz.load("vgg11"), ("features.3",)).layers)
    4
    """
    names = tuple(dict.fromkeys(network.find(name).name for name in targets))
    wanted = ancestors(network.layers, [network.index[name] for name in names]) | {0}
    if len(wanted) == len(network.layers) and names == network.targets:
        return network  # itself, so that what is known of it stays known
    return replace(network, layers=only(network.layers, sorted(wanted)), targets=names)


def cut(network: Network, layers: tuple[str, ...]) -> Network:
    """Cut the network after the layers asked for, and say so in its title; where none is, it stays whole."""
    if not layers:
        return network
    part = upto(network, layers)
    return replace(part, title=f"{network.title}{PART}{', '.join(part.targets)}")


def names_of(layers: str | Iterable[str] | None, network: Network, *, every: bool = False) -> tuple[str, ...]:
    """Check the target layers asked for; where none is named, take the network's own targets, or `every` last map.

    Raises
    ------
    OptionError
        Where the network has several last feature maps and none is named: the message lists them.
    """
    if layers is None:
        if every and not network.targets:
            return last_maps(network)
        if not network.targets:
            last = last_maps(network)
            opening = "has several last feature maps:" if len(last) > 1 else "leaves its target open; its last map is"
            what = f"{opening} {', '.join(last)}"
            raise OptionError(
                what, where=network.name, hint="name one or more with `layer`, or count all with `heads` share"
            )
        return network.targets
    names = (layers,) if isinstance(layers, str) else tuple(layers) if isinstance(layers, tuple | list) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise OptionError(f"{layers!r} names no layer", option="layer", hint="padviz layers MODEL lists them")
    return tuple(dict.fromkeys(network.find(name).name for name in names))


def last_maps(network: Network) -> tuple[str, ...]:
    """List the layers that no other layer reads.

    >>> import padviz
    >>> last_maps(padviz.load("vgg19"))
    ('features.36',)
    """
    read = {i for layer in network.layers for i in layer.inputs}
    return tuple(layer.name for i, layer in enumerate(network.layers) if i not in read)
