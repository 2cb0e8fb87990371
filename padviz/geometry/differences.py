"""Two networks side by side: where their windows part in size or padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from padviz.geometry.ledger import axis_padding, windows_of
from padviz.network.network import Network, Size


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of one window on one axis that is not the same in both; a layer missing in one has None there.

    >>> Difference("conv1", "stem", "height", "padding", "3+3", "2+3").in_b
    '2+3'
    """

    a: str | None
    b: str | None
    axis: str
    what: str
    in_a: str
    in_b: str


def differences(a: Network, b: Network, size: Size) -> tuple[Difference, ...]:
    """Compare the windows of two networks: by name where they share names, else in order.

    >>> import padviz
    >>> from padviz.network.rewrites import with_same
    >>> net = padviz.load("resnet18")
    >>> differences(net, with_same(net), (224, 224))[0]
    Difference(a='conv1', b='conv1', axis='both', what='padding', in_a='3+3', in_b='2+3')
    """
    return tuple(row for pair in _pairs(a, b, size) for row in _compared(a.axes, *pair))


Figures = dict[str, tuple[Any, ...]]


def _pairs(a: Network, b: Network, size: Size) -> Iterator[tuple[str | None, str | None, Figures, Figures]]:
    first, second = _windows(a, size), _windows(b, size)
    if len(first.keys() & second.keys()) * 2 < min(len(first), len(second)):
        names = [[*first], [*second]]
        longest = max(map(len, names))
        left, right = ([*side, *[None] * (longest - len(side))] for side in names)
        pairs = list(zip(left, right, strict=True))
    else:
        pairs = [(name, name if name in second else None) for name in first]
        pairs += [(None, name) for name in second if name not in first]
    for x, y in pairs:
        yield x, y, first.get(x or "", {}), second.get(y or "", {})


def _windows(network: Network, size: Size) -> dict[str, Figures]:
    """List the figures of each window, of every axis."""
    figures = {}
    for layer, windows in windows_of(network, size):
        rows = [axis_padding(*laid) for laid in windows]
        figures[layer.name] = {
            "kind": (layer.kind,) * len(rows),
            "kernel": tuple(row.kernel for row in rows),
            "stride": tuple(row.stride for row in rows),
            "dilation": tuple(row.dilation for row in rows),
            "input": tuple(row.input for row in rows),
            "padding": tuple("+".join(map(str, row.declared)) for row in rows),
            "padding read": tuple("+".join(map(str, row.reads)) for row in rows),
            "output": tuple(row.output for row in rows),
        }
    return figures


def _compared(
    axes: Sequence[str], a: str | None, b: str | None, first: Figures, second: Figures
) -> Iterator[Difference]:
    every = {1: axes[0], 2: "both", 3: "all"}[len(axes)]
    if a is None or b is None:
        missing = ["missing" if name is None else "present" for name in (a, b)]
        yield Difference(a, b, every, "layer", *missing)
        return
    for what, pair in first.items():
        other = second[what]
        if pair == other:
            continue
        if len({*pair}) == len({*other}) == 1:
            yield Difference(a, b, every, what, str(pair[0]), str(other[0]))
            continue
        for axis, x, y in zip(axes, pair, other, strict=True):
            if x != y:
                yield Difference(a, b, axis, what, str(x), str(y))
