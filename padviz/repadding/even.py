"""Plans that make convolutions even: pads of single layers changed, or strides moved into pools."""

from __future__ import annotations

from dataclasses import replace

from padviz.errors import OptionError, PadvizError
from padviz.geometry.balance.case import Case, limits, with_even_pads
from padviz.geometry.balance.pooled_strides import with_strides_pooled
from padviz.geometry.ledger import ledger
from padviz.network.network import Network, Size
from padviz.network.rewrites import with_pads_merged
from padviz.network.sizes import sizes_of
from padviz.network.targets import last_maps
from padviz.repadding.plan import LayerChange, RepadPlan

POOLED = ".pool"  # suffix of the name of a pool that took a layer's stride


def plan_even(network: Network, size: Size) -> RepadPlan:
    """Plan even pads or, if no pads make all convolutions even, pools in place of strides.

    Raises
    ------
    OptionError
        If no convolution is uneven, or nothing makes them even.
    """
    case = Case(network, size)
    if not case.uneven:
        at = f"{size[0]} x {size[1]}" if size[0] != size[1] else str(size[0])
        what = f"no convolution is uneven at {at}"
        raise OptionError(what, where=network.name, hint="padviz uneven lists what its windows read")
    joined = Case(with_pads_merged(network), size)
    remedied = with_even_pads(joined)
    if remedied and not remedied.case.uneven:
        return plan_between(network, remedied.case.network, size)
    pooled = with_strides_pooled(network, tuple(window.layer for window in case.uneven))
    if pooled:
        return plan_between(network, pooled, size)
    why = " ".join(limits(case)) or "Its strides cannot be moved."
    hint = "padviz sizes lists the sizes at which it is even"
    raise OptionError(f"neither pads nor pools make it even. {why.rstrip('.')}", where=network.name, hint=hint)


def plan_between(network: Network, changed: Network, size: Size) -> RepadPlan:
    """Plan to turn one network into another: the same layers with other pads, or with a stride moved into a pool.

    The last maps must keep their sizes, which layers after them may need.

    >>> import padviz
    >>> from padviz.geometry.balance.pooled_strides import with_strides_pooled
    >>> net = padviz.load("resnet18")
    >>> plan = plan_between(net, with_strides_pooled(net, ("conv1",)), (224, 224))
    >>> [(change.name, change.pooled) for change in plan.changes]
    [('conv1', True)]
    """
    before, after = with_pads_merged(network), with_pads_merged(changed)
    sizes = [sizes_of(before, axis, n) for axis, n in enumerate(size)]
    changes = []
    for layer in before.layers[1:]:
        new = replace(after.find(layer.name), inputs=layer.inputs, like=layer.like)
        if new != layer:
            entering = sizes[0][layer.inputs[0]], sizes[1][layer.inputs[0]]
            changes.append(LayerChange(layer, new, entering, pooled=f"{layer.name}{POOLED}" in after.index))
    lasts = last_maps(network)
    targets = tuple(name for name in last_maps(changed) if {name, name.removesuffix(POOLED)} & {*lasts})
    for name in targets:
        original = name if name in network.index else name.removesuffix(POOLED)
        if _size_of(network, original, size) != _size_of(changed, name, size):
            raise PadvizError("the last map would have another size", where=network.name, hint="try another `size`")
    return RepadPlan(before, after, size, targets, tuple(changes), pads=len(changes), whole=True)


def check_even(network: Network, size: Size) -> None:
    """Raise `PadvizError` if a convolution is uneven after all."""
    uneven = ledger(network, size).uneven_convolutions
    if uneven:
        raise PadvizError(f"{uneven[0].layer} would still be uneven, so nothing was written", where=network.name)


def _size_of(network: Network, name: str, size: Size) -> Size:
    rows, cols = (sizes_of(network, axis, n)[network.index[name]] for axis, n in enumerate(size))
    return rows, cols
