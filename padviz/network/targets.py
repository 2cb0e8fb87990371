"""The target layers: their names, and the network cut after them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from padviz.errors import OptionError, shortly
from padviz.network.graph import ancestors
from padviz.network.network import Network

PART = " up to "  # in the title of a network that was cut


@lru_cache(256)
def upto(network: Network, targets: tuple[str, ...]) -> Network:
    """Cut the network down to the layers that `targets` depend on."""
    names = tuple(dict.fromkeys(network.find(name).name for name in targets))
    wanted = ancestors(network.layers, [network.index[name] for name in names]) | {0}
    if len(wanted) == len(network.layers) and names == network.targets:
        return network  # itself, so that caches still apply
    places = {old: new for new, old in enumerate(sorted(wanted))}
    again = network.reread_with(lambda other: upto(other, targets))
    return replace(
        network,
        layers=tuple([network.layers[i].moved(places) for i in places]),
        targets=names,
        again=again,
        before_pools=network.pool_pads,
        tail=None,
    )


def cut_after(network: Network, layers: tuple[str, ...]) -> Network:
    """Cut the network after some layers, and add them to its title; without layers, it
    stays whole.
    """
    if not layers:
        return network
    part = upto(network, layers)
    title = f"{network.title}{PART}{', '.join(part.targets)}"
    return replace(
        part, title=title, again=network.reread_with(lambda other: cut_after(other, layers))
    )


def target_names(layers: str | Iterable[str] | None, network: Network) -> tuple[str, ...]:
    """Check the names of target layers; by default return the network's own targets, or all last
    maps.

    Raises OptionError or UnknownName if a layer does not exist.
    """
    if layers is None:
        return network.targets or last_maps(network)
    names = (
        (layers,)
        if isinstance(layers, str)
        else tuple(layers)
        if isinstance(layers, tuple | list)
        else ()
    )
    if not names or not all(isinstance(name, str) for name in names):
        raise OptionError(
            f"{shortly(layers)} names no layer",
            option="layer",
            hint="padviz layers MODEL lists them",
        )
    return tuple(dict.fromkeys(network.find(name).name for name in names))


def output_layers(layers: str | Iterable[str] | None, network: Network) -> tuple[str, ...]:
    """Return the targets, but by default replaced by the normalisations over all positions behind
    them.
    """
    names = target_names(layers, network)
    if layers is not None:
        return names
    behind: dict[str, list[str]] = {name: [] for name in names}
    for name in last_maps(network):
        layer = network.find(name)
        while layer.everywhere and layer.kind == "identity" and layer.name not in behind:
            layer = network.layers[layer.inputs[0]]
        if layer.name in behind:
            behind[layer.name].append(name)
    return tuple(end for name, ends in behind.items() for end in ends or [name])


def up_to_outputs(layers: str | Iterable[str] | None, network: Network) -> Network:
    """Cut the network down to what `output_layers` names; a layer that is named is all that is
    returned.
    """
    kept = upto(network, output_layers(layers, network))
    if layers is None or not kept.behind:
        return kept
    again = network.reread_with(lambda other: up_to_outputs(layers, other))
    return replace(kept, behind=(), again=again)


def head_weighting(heads: str | None, layers: object, network: Network) -> str:
    """Return the weighting of heads: by default "share" for several last maps, "sum" for targets
    that are named.

    >>> import padviz
    >>> (head_weighting(None, None, padviz.load("vgg11")),
    ...  head_weighting("share", None, padviz.load("ssd300_vgg16")))
    ('sum', 'share')
    """
    if heads not in (None, "sum", "share"):
        raise OptionError(f"{heads!r} is not known", option="heads", hint="use sum or share")
    several = layers is None and not network.targets and len(last_maps(network)) > 1
    return heads or ("share" if several else "sum")


def last_maps(network: Network) -> tuple[str, ...]:
    """Return the layers that no other layer reads."""
    read = {i for layer in network.layers for i in layer.inputs}
    return tuple(layer.name for i, layer in enumerate(network.layers) if i not in read)
