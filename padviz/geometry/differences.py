"""The differences between the windows of two networks, in size or padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from padviz.geometry.ledger import axis_padding, windows_of
from padviz.network.network import Network, Size


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of one window on one axis that differs; the name of a layer that is missing in a network is None."""

    a: str | None
    b: str | None
    axis: str
    what: str
    in_a: str
    in_b: str


def differences(a: Network, b: Network, size: Size) -> tuple[Difference, ...]:
    """Compare the windows of two networks: by name if they share names, else in order."""
    first, second = _windows(a, size), _windows(b, size)
    pairs: list[tuple[str | None, str | None]]
    if len(first.keys() & second.keys()) * 2 < min(len(first), len(second)):
        pairs = list(zip_longest(first, second))
    else:
        pairs = [(name, name if name in second else None) for name in first]
        pairs += [(None, name) for name in second if name not in first]
    rows: list[Difference] = []
    for x, y in pairs:
        if x is None or y is None:
            missing = ["missing" if name is None else "present" for name in (x, y)]
            rows.append(Difference(x, y, _every(a.axes), "layer", *missing))
        else:
            for what, pair in first[x].items():
                other = second[y][what]
                if len({*pair}) == len({*other}) == 1:  # the same values on each axis
                    pair, other, axes = pair[:1], other[:1], [_every(a.axes)]
                else:
                    axes = [*a.axes]
                figures = zip(axes, pair, other, strict=True)
                rows += [Difference(x, y, axis, what, str(p), str(q)) for axis, p, q in figures if p != q]
    return tuple(rows)


Figures = dict[str, tuple[str | int, ...]]  # of a window: name, and values on each axis


def _every(axes: Sequence[str]) -> str:
    return {1: axes[0], 2: "both", 3: "all"}[len(axes)]


def _windows(network: Network, size: Size) -> dict[str, Figures]:
    figures: dict[str, Figures] = {}
    for layer, windows in windows_of(network, size):
        rows = [axis_padding(*each) for each in windows]
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
