"""The other cures as plans: pads of single layers changed, strides moved into pools."""

from __future__ import annotations

from dataclasses import replace

from padviz.errors import OptionError, PadvizError
from padviz.geometry.balance.case import Case
from padviz.geometry.balance.even_pads import cannot, with_even_pads
from padviz.geometry.balance.pooled_strides import with_strides_pooled
from padviz.geometry.ledger import ledger
from padviz.network.network import Network, Size
from padviz.network.rewrites import with_pads_joined
from padviz.network.sizes import sizes_of
from padviz.network.targets import last_maps
from padviz.repadding.plan import Change, Plan

POOLED = ".pool"  # what a pool that took a layer's stride is called, after the layer


def evened(network: Network, size: Size) -> Plan:
    """Plan even pads or, where no pads make all convolutions even, pools in place of strides.

    Raises
    ------
    OptionError
        If no convolution is uneven, or nothing makes them even.
    """
    today = Case(network, size)
    if not today.uneven:
        at = f"{size[0]} x {size[1]}" if size[0] != size[1] else str(size[0])
        what = f"no convolution is uneven at {at}"
        raise OptionError(what, where=network.name, hint="padviz uneven lists what its windows read")
    joined = Case(with_pads_joined(network), size)  # a window's pads are its own and a pad's before it
    remedied = with_even_pads(joined)
    if remedied and not remedied.case.uneven:
        return between(network, remedied.case.network, size)
    pooled = with_strides_pooled(network, tuple(window.layer for window in today.uneven))
    if pooled:
        return between(network, pooled, size)
    why = " ".join(cannot(today)) or "Its strides cannot be moved."
    hint = "padviz sizes lists the sizes at which it is even"
    raise OptionError(f"neither pads nor pools make it even. {why.rstrip('.')}", where=network.name, hint=hint)


def between(network: Network, changed: Network, size: Size) -> Plan:
    """Plan to make one network of another: the same layers with other pads, or with a stride moved into a pool.

    Raises
    ------
    PadvizError
        If the last maps would have another size, which what follows them may not take.

    Examples
    --------
    >>> import padviz
    >>> from padviz.geometry.balance.pooled_strides import with_strides_pooled
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
    if any(_shape(network, name, size) != _shape(changed, other, size) for name, other in _pairs(network, targets)):
        raise PadvizError("the last map would have another size", where=network.name, hint="try another `size`")
    return Plan(before, after, size, targets, tuple(changes), pads=len(changes), whole=True)


def check_even(network: Network, size: Size) -> None:
    """Refuse a result that is not even after all.

    Raises
    ------
    PadvizError
        Naming the layer.
    """
    uneven = ledger(network, size).uneven_convolutions
    if uneven:
        raise PadvizError(f"{uneven[0].layer} would still be uneven, so nothing was written", where=network.name)


def _shape(network: Network, name: str, size: Size) -> Size:
    rows, cols = (sizes_of(network, axis, n)[network.index[name]] for axis, n in enumerate(size))
    return rows, cols


def _pairs(network: Network, targets: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pair the last maps of a network with what stands for each."""
    return [(name if name in network.index else name.removesuffix(POOLED), name) for name in targets]
