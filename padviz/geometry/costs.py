"""Costs: the multiply-adds of a network's convolutions at a size, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from padviz.network.layer import CONVOLUTIONS
from padviz.network.network import Network, Size
from padviz.network.operations import Transposed, Window
from padviz.network.sizes import sizes_of_each

COUNTED = "convolutions only, without linear layers, attention, and gate and head vectors"


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The multiply-adds of one layer; None for a convolution of unknown channels."""

    layer: str
    macs: int | None


@dataclass(frozen=True, slots=True)
class Costs:
    """The multiply-adds of every layer at a size, and their sum.

    All convolutions of the network as it is loaded are counted, whichever target is chosen: those
    that a forward runs. Each costs outputs per channel x taps x input channels of a group x output
    channels; a transposed one has inputs in place of outputs. Pools, merges and activations count
    as 0. Left out, since they are not layers of a network, are linear layers, attention, and the
    vectors of gates and heads.

    >>> import padviz
    >>> sheet = padviz.costs("resnet50", 224)
    >>> sheet.macs, sheet.layers[0]
    (4087136256, LayerCost(layer='conv1', macs=118013952))
    """

    network: str
    size: Size
    layers: tuple[LayerCost, ...]

    @property
    def macs_unknown(self) -> str | None:
        """The first convolution of unknown channels, if any."""
        return next((cost.layer for cost in self.layers if cost.macs is None), None)

    @property
    def macs(self) -> int | None:
        """The sum over all layers; None if one of them is not known."""
        if self.macs_unknown:
            return None
        return sum(cost.macs or 0 for cost in self.layers)


def costs(network: Network, size: Size) -> Costs:
    """Count the multiply-adds of every layer at a size: `padviz.costs`, of a loaded network."""
    sizes = sizes_of_each(network, size)
    layer_costs = []
    for i, (layer, macs) in enumerate(
        zip(network.layers[1:], _per_position(network), strict=True), start=1
    ):
        at = i
        if layer.kind == "convtranspose":
            at = layer.inputs[0]
        layer_costs.append(
            LayerCost(layer.name, None if macs is None else macs * prod(rows[at] for rows in sizes))
        )
    return Costs(network.name, size, tuple(layer_costs))


@lru_cache(64)
def _per_position(network: Network) -> tuple[int | None, ...]:
    """Count the multiply-adds of each layer per output position, or per input position if it is
    transposed.
    """
    macs: list[int | None] = []
    for layer in network.layers[1:]:
        taps = prod([op.kernel for op in layer.ops if isinstance(op, Window | Transposed)])
        known = None
        if layer.channels is not None:
            known = taps * layer.channels.products
        macs.append(known if layer.kind in CONVOLUTIONS else 0)
    return tuple(macs)
