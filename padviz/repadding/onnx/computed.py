"""Pads whose rows are computed when a file runs, as those of SAME are: each axis in a mode of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from padviz.axis.operations import Op, Window
from padviz.axis.padding_modes import SCHEMES, native
from padviz.repadding.onnx.graph import Graph

INT64 = 7  # TensorProto.DataType
Proto = Any


@dataclass(frozen=True)
class Amounts:
    """A tensor of rows to add, before each of some axes and then after each."""

    tensor: str
    axes: Sequence[int]

    def place(self, axis: int, side: int) -> int:
        """Find where the rows of one side of an axis are in it.

        >>> Amounts("p", range(4)).place(2, 0), Amounts("p", (2, 3)).place(2, 1)
        (2, 2)
        """
        return self.axes.index(axis) + side * len(self.axes)


def chain(graph: Graph, node: Proto, amounts: Amounts, modes: Mapping[int, str]) -> list[Proto]:
    """Make nodes that pad as a Pad node does, but axes by other modes; the last one makes what that made.

    Axes of one mode are one Pad, where Pad has it; of another mode an axis is a Gather of its rows.
    """
    native = dict.fromkeys(mode for mode in modes.values() if graph.has(mode))
    steps = [(mode, [axis for axis, own in modes.items() if own == mode]) for mode in native]
    steps += [(mode, [axis]) for axis, mode in modes.items() if mode not in native]
    name, x = f"{node.name or node.output[0]}.pad", node.input[0]
    nodes: list[Proto] = []
    for i, (mode, axes) in enumerate(steps):
        output = node.output[0] if i == len(steps) - 1 else graph.free(f"{name}_output")
        if mode in native:
            nodes += _pad(graph, [x, *node.input[1:]], output, amounts, axes, mode, name)
        else:
            nodes += _gathered(graph, x, output, amounts, axes[0], mode, name)
        x = output
    return nodes


def mode_of(op: Op | None, computed: bool = True) -> str:
    """Name the mode of what a pad adds; of SAME before 3 rows that is one row a side, where two modes agree.

    >>> mode_of(Window(3, padding="same_upper", mode="symmetric")), mode_of(Window(5, padding="same", mode="symmetric"))
    ('replicate', 'symmetric')
    """
    assert isinstance(op, Window)
    if computed and isinstance(op.padding, str) and op.extent <= 3:
        return native(op.mode, 1) if SCHEMES[op.mode].reads else "zero"
    return op.mode if SCHEMES[op.mode].reads else "zero"


def _pad(
    graph: Graph, inputs: list[str], output: str, amounts: Amounts, axes: Sequence[int], mode: str, name: str
) -> list[Proto]:
    """Make a Pad of some axes: the amounts of all others are multiplied by 0."""
    mask = np.array([axis in axes for axis in amounts.axes] * 2, dtype=np.int64)
    some = graph.constant(mask, f"{name}_mask")
    inputs[1] = graph.free(f"{name}_some")
    masked = graph.node("Mul", [amounts.tensor, some.output[0]], inputs[1], inputs[1])
    if mode != "zero" and len(inputs) > 2:
        inputs[2] = ""
    return [some, masked, graph.node("Pad", inputs, output, name, mode=SCHEMES[mode].onnx)]


def amounts_of_same(graph: Graph, x: str, windows: Sequence[Window], name: str) -> tuple[list[Proto], Amounts]:
    """Make the nodes that work out the rows of SAME before convolutions, from the shape of what they read.

    In all max((ceil(n / stride) - 1) * stride + extent - n, 0) rows, the smaller half of them before in SAME_UPPER.
    """
    nodes: list[Proto] = []

    def numbers(*values: int) -> str:
        nodes.append(graph.constant(np.array(values, dtype=np.int64), f"{name}_numbers"))
        return str(nodes[-1].output[0])

    def add(op: str, *inputs: str, **attributes: Any) -> str:
        output = graph.free(f"{name}_{op.lower()}")
        nodes.append(graph.node(op, inputs, output, output, **attributes))
        return output

    strides, extents = ([getattr(op, key) for op in windows] for key in ("stride", "extent"))
    n = add("Slice", add("Shape", x), numbers(2), numbers(4))
    last = add("Mul", add("Div", add("Sub", n, numbers(1)), numbers(*strides)), numbers(*strides))
    rows = add("Sub", add("Add", last, numbers(*extents)), n)
    rows = add("Mul", rows, add("Cast", add("Greater", rows, numbers(0)), to=INT64))
    half = add("Div", rows, numbers(2))
    rest, none = add("Sub", rows, half), numbers(0, 0)
    before, after = (rest, half) if windows[0].padding == "same_lower" else (half, rest)
    return nodes, Amounts(add("Concat", none, before, none, after, axis=0), range(4))


def _gathered(graph: Graph, x: str, output: str, amounts: Amounts, axis: int, mode: str, name: str) -> list[Proto]:
    """Gather the rows -before .. n + after of an axis of n rows, each from where the mode folds it to."""
    nodes: list[Proto] = []

    def number(n: int) -> str:
        nodes.append(graph.constant(np.array(n, dtype=np.int64), f"{name}_number"))
        return str(nodes[-1].output[0])

    def add(op: str, *inputs: str) -> str:
        output = graph.free(f"{name}_{op.lower()}")
        nodes.append(graph.node(op, inputs, output, output))
        return output

    before, after = (add("Gather", amounts.tensor, number(amounts.place(axis, side))) for side in (0, 1))
    n = add("Gather", add("Shape", x), number(axis))
    rows = add("Range", add("Neg", before), add("Add", n, after), number(1))
    if SCHEMES[mode].wraps:
        rows = add("Mod", rows, n)
    else:  # `fold` written out, for a size that is not known
        first, step = SCHEMES[mode].reads or (0, 0)
        front, back = number(first - step), add("Sub", n, number(1 + first))
        if step:
            front, back = add("Sub", front, rows), add("Sub", add("Add", n, back), rows)
        rest = add("Where", add("Less", rows, n), rows, back)
        rows = add("Where", add("Less", rows, number(0)), front, rest)
    nodes.append(graph.node("Gather", [x, rows], output, name, axis=axis))
    return nodes
