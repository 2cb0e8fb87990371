"""The graph of the layers: their dependencies, and the walks along its edges in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add
from typing import TypeVar

from padviz.network.layer import Layer
from padviz.network.network import Network

T = TypeVar("T")
A = TypeVar("A")


def ancestors(layers: Sequence[Layer], ends: Iterable[int], *, followed: bool = True) -> set[int]:
    """Return the positions that `ends` depend on, and `ends`; if `followed`, also layers whose size
    they follow.
    """
    positions = set(ends)
    for i in reversed(range(len(layers))):
        if i in positions:
            like = None
            if followed:
                like = layers[i].like
            positions.update(layers[i].inputs, () if like is None else (like,))
    return positions


def backward(
    network: Network,
    seeds: Mapping[int, A],
    pull: Callable[[int, A], A],
    join: Callable[[A, A], A] = add,
) -> A | None:
    """Walk from the seeded layers to the input: each layer pulls its value through itself and adds
    it to its inputs'.

    Values are joined by `join`. The same walk serves arrays and the plain ints that prove how wide
    arrays must be. Layers without an operation pass a value unchanged. Returns None where no seed
    reaches the input.
    """
    value: list[A | None] = [seeds.get(i) for i in range(len(network.layers))]
    for i in range(len(value) - 1, 0, -1):
        here, value[i] = value[i], None
        if here is None:
            continue
        layer = network.layers[i]
        pulled = here
        if any(layer.ops):
            pulled = pull(i, here)
        for j in layer.inputs:
            there = value[j]
            value[j] = pulled if there is None else join(pulled, there)
    return value[0]


def forward(
    network: Network,
    targets: Sequence[int],
    seed: A,
    push: Callable[[int, A], A],
    join: Callable[[A, A], A] = add,
) -> list[A]:
    """Walk from the input to the targets: each layer pushes the joined values of its inputs, by
    default their sum.
    """
    last_use = {j: i for i, layer in enumerate(network.layers) for j in layer.inputs}
    value: dict[int, A] = {0: seed}
    for i, layer in enumerate(network.layers[1:], start=1):
        first, *others = (value[j] for j in layer.inputs)
        for other in others:
            first = join(first, other)
        value[i] = push(i, first) if any(layer.ops) else first
        for j in set(layer.inputs):
            if last_use[j] == i and j not in targets:
                del value[j]
    return [value[i] for i in targets]
