"""Costs: the multiply-adds of a network's convolutions at a size, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from padviz.axis.operations import sized, taps_of
from padviz.network.layer import CONVOLUTIONS, Layer
from padviz.network.network import Network, Size
from padviz.network.sizes import check_known, sizes_of_each

COUNTED = "convolutions alone, without linear layers, attention, and the vectors of gates and heads"


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The multiply-adds of one layer; None for a convolution whose channels nobody says.

    >>> import padviz
    >>> padviz.costs("vgg11", 64).layers[0]
    LayerCost(layer='features.0', macs=7077888)
    """

    layer: str
    macs: int | None


@dataclass(frozen=True, slots=True)
class Costs:
    """The multiply-adds of every layer at a size, and their sum.

    All convolutions of the network as it is loaded are counted, whichever target is chosen: what a forward runs.
    Outputs per channel x taps x channels read by a group x channels made; a transposed one has inputs in place of
    outputs. All else costs nothing here: pools, merges, activations. Left out, since no layer is laid for them, are
    linear layers, attention, and what makes a vector for a gate or a head.

    Examples
    --------
    >>> import padviz
    >>> sheet = padviz.costs("resnet50", 224)
    >>> sheet.macs, sheet.layers[0]
    (4087136256, LayerCost(layer='conv1', macs=118013952))
    """

    network: str
    size: Size
    layers: tuple[LayerCost, ...]

    @property
    def unknown(self) -> str | None:
        """The first convolution whose channels are not known; None where all are."""
        return next((cost.layer for cost in self.layers if cost.macs is None), None)

    @property
    def macs(self) -> int | None:
        """The sum over all layers; None where one of them is not known."""
        return None if self.unknown else sum(cost.macs or 0 for cost in self.layers)


def costs(network: Network, size: Size) -> Costs:
    """Count the multiply-adds of every layer at a size: `padviz.costs`, of a loaded network.

    >>> import padviz
    >>> costs(padviz.load("mobilenet_v2"), (225, 225)).macs
    343479744
    """
    sizes = sizes_of_each(network, size)
    layer_costs = []
    for i, (layer, macs) in enumerate(zip(network.layers[1:], _per_position(network), strict=True), start=1):
        at = layer.inputs[0] if layer.kind == "convtranspose" else i
        layer_costs.append(LayerCost(layer.name, None if macs is None else macs * prod(rows[at] for rows in sizes)))
    return Costs(network.name, size, tuple(layer_costs))


def macs_of_squares(network: Network, sizes: Sequence[int]) -> list[int] | None:
    """Count the multiply-adds at each of many sizes that a network takes; None where they are not known.

    >>> import padviz
    >>> macs_of_squares(padviz.load("resnet50"), [224, 225])
    [4087136256, 4624665792]
    """
    macs_of_layers = _per_position(network)
    if None in macs_of_layers:
        return None
    sides = [_sizes_at(network, axis, sizes) for axis in range(len(network.axes))]
    total = np.zeros(len(sizes), dtype=object)  # Python's integers, which no size overflows
    for i, (layer, macs) in enumerate(zip(network.layers[1:], macs_of_layers, strict=True), start=1):
        if macs:
            at = layer.inputs[0] if layer.kind == "convtranspose" else i
            total += prod(rows[at].astype(object) for rows in sides) * macs
    return [int(macs) for macs in total]


def _sizes_at(network: Network, axis: int, sizes: Sequence[int]) -> list[Any]:
    """Count the rows, or columns, out of every layer at each size."""
    at: list[Any] = [np.asarray(sizes, dtype=np.int64)]
    for layer in network.layers[1:]:
        check_known(network, layer)
        op, like = layer.ops[axis], None if layer.like is None else at[layer.like]
        entering = at[layer.inputs[0]]
        at.append(entering if op is None else np.broadcast_to(sized(op, entering, like), entering.shape))
    return at


@lru_cache(64)
def _per_position(network: Network) -> tuple[int | None, ...]:
    """Count the multiply-adds of each position that a layer makes, or of each that it reads where it is transposed."""
    return tuple(_products(layer) if layer.kind in CONVOLUTIONS else 0 for layer in network.layers[1:])


def _products(layer: Layer) -> int | None:
    taps = prod(max(taps_of(op), 1) for op in layer.ops)
    return None if layer.channels is None else taps * layer.channels.products
