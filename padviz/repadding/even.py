"""The other cures as plans: pads of single layers changed, strides moved into pools, and what it does to the phase."""

from __future__ import annotations

from dataclasses import replace

from padviz.errors import PadvizError
from padviz.geometry.ledger import ledger
from padviz.geometry.receptive_fields import receptive_fields
from padviz.network.network import Network, Size
from padviz.network.rewrites import with_pads_joined
from padviz.network.sizes import sizes_of
from padviz.network.targets import last_maps
from padviz.repadding.plan import Change, Plan

POOLED = ".pool"  # what a pool that took a layer's stride is called, after the layer


def between(network: Network, changed: Network, size: Size) -> Plan:
    """The plan to make one network of another: the same layers with other pads, or with a stride moved into a pool.

    Raises
    ------
    PadvizError
        If the last maps would have another size, which what follows them may not take.

    Examples
    --------
    >>> import padviz
    >>> from padviz.advice.pooled_strides import with_strides_pooled
    >>> net = padviz.load("resnet18")
    >>> plan = between(net, with_strides_pooled(net, ("conv1",)), (224, 224))
    >>> [(change.name, change.pooled) for change in plan.changes]
    [('conv1', True)]
    """
    before, after = with_pads_joined(network), with_pads_joined(changed)
    sizes = [sizes_of(before, axis, n) for axis, n in enumerate(size)]
    changes = []
    for layer in before.layers[1:]:
        new = replace(after.find(layer.name), inputs=layer.inputs, like=layer.like)
        if new != layer:
            entering = sizes[0][layer.inputs[0]], sizes[1][layer.inputs[0]]
            changes.append(Change(layer, new, entering, pooled=f"{layer.name}{POOLED}" in after.index))
    lasts = last_maps(network)
    targets = tuple(name for name in last_maps(changed) if {name, name.removesuffix(POOLED)} & {*lasts})
    if any(_shape(network, name, size) != _shape(changed, made, size) for name, made in _pairs(network, targets)):
        raise PadvizError("the last map would have another size", where=network.name, hint="try another `size`")
    return Plan(before, after, size, targets, tuple(changes), pads=len(changes), whole=True)


def check_even(found: Network, size: Size) -> None:
    """Refuse a result that is not even after all.

    Raises
    ------
    PadvizError
        Naming the layer.
    """
    uneven = ledger(found, size).uneven_learned
    if uneven:
        raise PadvizError(f"{uneven[0].layer} would still be uneven, so nothing was written", where=found.name)


def phases(network: Network, size: Size, name: str) -> tuple[float | None, float | None]:
    """By axis, how far the centre of a layer's units lies off the image's, in pixels; None where it has no centre.

    It is the mean centre of the units' receptive fields minus (n - 1) / 2.

    >>> import padviz
    >>> phases(padviz.load("resnet50"), (224, 225), "layer4.2")
    (-15.5, 0.0)
    """
    return next(each for each in receptive_fields(network, size) if each.layer == name).offsets


def _shape(network: Network, name: str, size: Size) -> Size:
    rows, cols = (sizes_of(network, axis, n)[network.index[name]] for axis, n in enumerate(size))
    return rows, cols


def _pairs(network: Network, targets: tuple[str, ...]) -> list[tuple[str, str]]:
    """The last maps of a network, each with what stands for it."""
    return [(name if name in network.index else name.removesuffix(POOLED), name) for name in targets]
