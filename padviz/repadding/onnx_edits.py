"""Repadding of ONNX models: the padding of each convolution is changed in the graph, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.network.axis_maps import partial_weights
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.network.operations import Window, out_size, pads_at
from padviz.network.padding_modes import SCHEMES
from padviz.repadding.onnx_graph import (
    INPUTS_SINCE,
    ComputedRows,
    EditedGraph,
    NewNodes,
    add_padding,
    mode_of,
    rows_of_same,
    set_attribute,
    set_pads,
)
from padviz.repadding.plan import LayerChange, RepadPlan
from padviz.sources.onnx.model import Model, attributes, title
from padviz.sources.onnx.node import CONVS as NAMED_CONVS

if TYPE_CHECKING:
    from onnx import NodeProto

RANK = 4  # of images
PASSING = ("Cast", "Identity", "Pad", "Relu", "Transpose")  # between a pad and the convolution with its rows
Rows = tuple[int, int] | None  # before and after; None where they are computed


class CannotEdit(Exception):
    """The reason why a layer cannot be changed in the file."""


def edit(model: Model, network: Network, plan: RepadPlan) -> RepadPlan:
    """Change a model as planned, in place; return the plan without the changes that the file does not allow.

    Copies of the nodes are edited; where a change cannot be made, all is begun anew without it.
    """
    why: dict[str, str] = {}
    while True:
        graph, found = EditedGraph(model), dict[str, str]()
        editor = _Editor(graph, network)
        for change in plan.changes:
            if change.name not in why:
                try:
                    editor.edit(change)
                except CannotEdit as error:
                    found[change.name] = str(error)
        found |= dict.fromkeys(_at_odds(plan, why | found), "it shares its pad with a layer that cannot be changed")
        why |= found
        if not found:
            break
    graph.finish()
    return plan.leaving(why)


def _at_odds(plan: RepadPlan, why: dict[str, str]) -> list[str]:
    """List layers that share a pad with another one that does not change to the same modes."""
    after = {change.name: _modes(change.after) for change in plan.changes if change.name not in why}
    pads_of = {layer.name: layer.origin.pads if layer.origin else () for layer in plan.before.layers}
    modes: dict[str, set[tuple[str, ...] | None]] = defaultdict(set)
    for name, pads in pads_of.items():
        for pad in pads:
            modes[pad].add(after.get(name))
    return [name for name in after if any(len(modes[pad]) > 1 for pad in pads_of[name])]


def _modes(layer: Layer) -> tuple[str, ...]:
    return tuple(op.mode if isinstance(op, Window) else "" for op in layer.ops)


class _Editor:
    def __init__(self, graph: EditedGraph, network: Network) -> None:
        self.graph, self.network = graph, network
        image = graph.model.image
        self.open = [n == 0 for n in image.size]
        self.type, self.channels_last = image.type, image.channels_last

    def edit(self, change: LayerChange) -> None:
        """Change one layer; raise `CannotEdit` with the reason, perhaps halfway, if that cannot be done."""
        origin, before, after = change.before.origin, change.before, change.after
        if origin is None:
            raise CannotEdit("its node is unknown")
        if origin.swapped:
            raise CannotEdit("it has width before height")
        if "partial" in _modes(before):
            raise CannotEdit("it is a partial convolution already: repad the original file")
        at = self._position(origin.name)
        if before.kind == "pad":
            return self._edit_pad(at, change)
        node = self.graph.nodes[at]
        if node.op_type not in CONVS:
            raise CannotEdit(f"it is a {node.op_type}, which pads inside")
        own = self._own_rows(change)
        if change.pooled:
            return self._pool(at)
        pairs = zip(before.ops, after.ops, strict=True)
        if any(isinstance(a, Window) and isinstance(b, Window) and a.padding != b.padding for a, b in pairs):
            return self._resize_pads(node, change, own)
        pads = [self._position(name) for name in origin.pads]
        for axis, op in enumerate(after.ops):  # copies of copies would be wrong
            places = sum(axis in self._padded_axes(pad, change) for pad in pads) + (own[axis] != (0, 0))
            if places > 1 and mode_of(op) != "zero":
                raise CannotEdit("it is padded in two places, by itself and by a pad before it")
        for pad in pads:
            self._edit_pad(pad, change)
        self._move_pads(at, change, own)
        return self._reweigh(at, change)

    def _position(self, name: str) -> int:
        """Return the position of the only node with a name, which must be in the main graph."""
        positions = self.graph.titled.get(name, [])
        if len(positions) == 1:
            return positions[0]
        raise CannotEdit("several nodes have its name" if positions else "its node is inside a function or a branch")

    def _own_rows(self, change: LayerChange) -> list[Rows]:
        """Return the rows that a convolution pads by itself on each axis."""
        own: list[Rows] = []
        for op, n, is_open in zip(self.network.find(change.name).ops, change.entering, self.open, strict=True):
            if not isinstance(op, Window):
                raise CannotEdit("it is one-dimensional")
            computed = is_open and op.stride > 1 and isinstance(op.padding, str)
            if computed and self.graph.opset < INPUTS_SINCE:
                rule = str(op.padding).upper()
                raise CannotEdit(f"its {rule} padding depends on the size, which the file leaves open")
            own.append(None if computed else pads_at(op, n))
        return own

    def _move_pads(self, at: int, change: LayerChange, own: Sequence[Rows]) -> None:
        """Move a convolution's own padding, on axes with a mode that copies, into a pad before it."""
        computed, kept, moved, modes = None in own, [0] * 4, [0] * 2 * RANK, dict[int, str]()
        for i, (op, rows) in enumerate(zip(change.after.ops, own, strict=True)):
            if computed or (rows != (0, 0) and mode_of(op) != "zero"):
                moved[2 + i :: RANK], modes[2 + i] = rows or (0, 0), mode_of(op, computed)
            else:
                kept[i::2] = rows or (0, 0)
        if not modes:
            return
        if min(moved) < 0:
            raise CannotEdit("its padding also crops")
        node, graph = self.graph.nodes[at], self.graph
        new, x = NewNodes(graph, f"{node.name or node.output[0]}.pad", graph.front[at]), node.input[0]
        node.input[0] = graph.free(f"{new.name}_output")
        windows = [op for op in change.before.ops if isinstance(op, Window)]
        add_padding(new, [x], node.input[0], rows_of_same(new, x, windows) if computed else moved, modes)
        set_pads(node, kept)

    def _resize_pads(self, node: NodeProto, change: LayerChange, own: Sequence[Rows]) -> None:
        pads = [0] * 4
        for i, (one, other, rows) in enumerate(zip(change.before.ops, change.after.ops, own, strict=True)):
            assert isinstance(one, Window)
            assert isinstance(other, Window)
            if other.mode != "zero" or isinstance(one.padding, str) or isinstance(other.padding, str) or rows is None:
                raise CannotEdit("its padding is not plain zeros")
            for side in (0, 1):
                pads[i + 2 * side] = rows[side] + other.padding[side] - one.padding[side]
        if min(pads) < 0:
            raise CannotEdit("a pad before it has more rows than it should")
        set_pads(node, pads)

    def _pool(self, at: int) -> None:
        """Replace stride 2 by an average over 2 x 2 outputs."""
        set_attribute(self.graph.nodes[at], "strides")
        new, x, output = self._behind(at, "pool", "unstrided")
        new.add("AveragePool", x, output=output, kernel_shape=[2, 2], strides=[2, 2])

    def _behind(self, at: int, suffix: str, before: str) -> tuple[NewNodes, str, str]:
        """Return new nodes behind a node, what they read, and the node's output, which they have to make instead."""
        node, output = self.graph.nodes[at], self.graph.nodes[at].output[0]
        node.name = name = node.name or output
        node.output[0] = self.graph.free(f"{name}.{before}")
        return NewNodes(self.graph, f"{name}.{suffix}", self.graph.behind[at]), node.output[0], output

    def _reweigh(self, at: int, change: LayerChange) -> None:
        """Multiply a convolution's outputs by taps over taps that hit real pixels, before its bias."""
        node, by_axis = self.graph.nodes[at], dict[int, NDArray[np.float64]]()
        for i, (op, n) in enumerate(zip(change.after.ops, change.entering, strict=True)):
            if not isinstance(op, Window) or op.mode != "partial" or op.padding == (0, 0) or op.kernel == 1:
                continue
            if self.open[i]:
                raise CannotEdit("partial convolution needs a fixed size, and the file leaves it open")
            by_axis[i] = partial_weights(op, n)
        if not by_axis:
            return
        if node.op_type not in SUMS:
            raise CannotEdit(f"it is a {node.op_type}, whose outputs cannot be reweighed")
        if node.op_type == "FusedConv":
            raise CannotEdit("its activation is fused into it")
        weights = self.graph.constants.stored.get(node.input[1])
        kind = FLOATS.get(self.type if weights is None else weights.data_type)
        if kind is None:
            raise CannotEdit("it does not compute in plain floats")
        if all(factor.size > 1 for factor in by_axis.values()):
            factors = [array.reshape([1, 1, -1, 1] if i == 0 else [1, 1, 1, -1]) for i, array in by_axis.items()]
        else:  # that of an axis is a mere scale: one factor for both
            ops = zip(change.after.ops, change.entering, self.open, strict=True)
            sizes = [1 if is_open else out_size(op, n) for op, n, is_open in ops if op]
            if max(sizes) == 1:
                raise CannotEdit("its map has one unit, where a file cannot tell partial convolution from a scale")
            rows, cols = (by_axis.get(i, np.ones(n)) for i, n in enumerate(sizes))
            factors = [np.outer(rows, cols)[None, None]]
        bias = node.input[2:3]
        del node.input[2:]
        new, x, output = self._behind(at, "reweigh", "sums")
        for i, factor in enumerate(factors, start=1):
            last = i == len(factors) and not any(bias)
            x = new.add("Mul", x, new.constant(factor.astype(kind)), output=output if last else "")
        if any(bias):
            new.add("Add", x, new.add("Reshape", *bias, new.constant([1, -1, 1, 1])), output=output)

    def _padded_axes(self, at: int, change: LayerChange) -> dict[int, tuple[int, Rows]]:
        """Return, by image axis, the axis of the tensor that a node pads, and its rows."""
        node = self.graph.nodes[at]
        name = self.network.aliases.get(node.output[0])
        made = self.network.find(name) if name else None  # the importer's layer of this node, if it made one
        if made is not None and (made.kind != "pad" or made.origin is None or made.origin.name != title(node)):
            made = None
        layer = made or change.before
        padded = [axis for axis, op in enumerate(layer.ops) if isinstance(op, Window) and op.padding != (0, 0)]

        def rows(axis: int, stored: bool = False) -> Rows:
            """Return the rows that are added at every size; None if they depend on an open one."""
            op = layer.ops[axis]
            fixed = stored or self.network.declared[axis]
            return op.padding if fixed and isinstance(op, Window) and not isinstance(op.padding, str) else None

        if node.op_type in ("Concat", "Gather"):
            if len(padded) != 1:
                raise _unknown_join(node)
            place = attributes(node).get("axis", 0) % RANK
            return {padded[0]: (place, rows(padded[0], self._is_stored(node)))}
        if node.op_type != "Pad":
            raise CannotEdit(f"its rows are made by a {node.op_type}")
        amounts, axes = self._amounts(node)
        if amounts is None or axes is None:  # the importer may have found rows that are the same at all sizes
            known = made is not None and not self.channels_last
            return {axis: (2 + axis, rows(axis) if known else None) for axis in padded}
        if min(amounts) < 0:
            raise CannotEdit("its pad also crops")
        ends = [*zip(axes, amounts, amounts[len(amounts) // 2 :], strict=False)]
        places = [(axis, (before, after)) for axis, before, after in ends if before or after]
        if len(places) != len(padded):
            raise CannotEdit("its pad also pads channels")
        return dict(zip(padded, places, strict=True))

    def _is_stored(self, node: NodeProto) -> bool:
        """Return whether the rows of a Gather, or of slices joined by a Concat, are constants."""
        if node.op_type == "Gather":
            return self.graph.integers(node.input[1]) is not None
        makers = [self.graph.nodes[self.graph.maker[name]] for name in node.input if self._is_part(name)]
        ends = [name for maker in makers for name in maker.input[maker.op_type in ("Slice", "Gather") :]]
        return not any(self.graph.integers(name) is None for name in ends if name)

    def _is_part(self, name: str) -> bool:
        at = self.graph.maker.get(name)
        return at is not None and self.graph.nodes[at].op_type in ("Slice", "Gather", "Constant", "ConstantOfShape")

    def _amounts(self, node: NodeProto) -> tuple[list[int] | None, list[int] | None]:
        """Read the rows that a Pad adds and the axes that it pads; None where they are computed."""
        attrs, inputs = attributes(node), [*node.input, "", "", ""]
        old = self.graph.opset < INPUTS_SINCE
        amounts = attrs.get("pads") or attrs.get("paddings") if old else self.graph.integers(inputs[1])
        if not old and inputs[3]:
            axes = self.graph.integers(inputs[3])
            return amounts, None if axes is None else [axis % RANK for axis in axes]
        return amounts, [*range(len(amounts) // 2 if amounts else RANK)]

    def _edit_pad(self, at: int, change: LayerChange) -> None:
        """Set the modes of a pad node, in place if possible, or else by a chain of new nodes."""
        graph, node, axes = self.graph, self.graph.nodes[at], self._padded_axes(at, change)
        computed = any(rows is None for _, rows in axes.values())
        modes = {axis: mode_of(change.after.ops[axis], computed and change.before.kind == "conv") for axis in axes}
        mode = next(iter(modes.values()), "zero")
        if node.op_type == "Pad" and len({*modes.values()}) <= 1 and graph.has(mode):
            set_attribute(node, "mode", SCHEMES[mode].onnx)
            if mode != "zero" and graph.opset >= INPUTS_SINCE and len(node.input) > 2:  # it fills no value in
                node.input[2] = ""
                if len(node.input) == 3:
                    del node.input[2:]
            return
        if at in graph.gone:  # it is replaced already, for another layer that has the same pad
            return
        if computed and node.op_type != "Pad":
            raise CannotEdit("its rows depend on the size, and are not made by a Pad")
        amounts, named = self._amounts(node) if node.op_type == "Pad" else (None, None)
        new = NewNodes(graph, f"{node.name or node.output[0]}.pad", graph.front[at])
        if computed:
            if named is None or graph.opset < INPUTS_SINCE:
                raise CannotEdit("the axes of its pad depend on the size")
            places = self._image_axes(at, change)
            own = {places[axis]: mode for axis, mode in modes.items()}
            add_padding(new, node.input, node.output[0], ComputedRows(node.input[1], named), own)
        else:
            x, rank = node.input[0], len(amounts) // 2 if amounts and not any(node.input[3:]) else RANK
            if node.op_type == "Concat":  # of slices of one tensor
                x, *others = {name: None for name in node.input if not self._is_part(name)} or ("", "")
                if others:
                    raise _unknown_join(node)
            pads = [0] * 2 * rank
            for place, rows in axes.values():
                pads[place::rank] = rows or (0, 0)
            own = {place: modes[axis] for axis, (place, _) in axes.items()}
            add_padding(new, [x], node.output[0], pads, own)
        new.nodes[-1].name = node.name
        graph.gone.add(at)

    def _image_axes(self, at: int, change: LayerChange) -> list[int]:
        """Return the axes of a pad's tensor that are height and width for the convolution behind it."""
        if change.before.kind == "pad":
            if self.channels_last:
                raise CannotEdit("its rows depend on the size, and its axes on the nodes before")
            return [2, 3]
        axes = [2, 3]
        assert change.before.origin is not None
        node = self.graph.nodes[self.graph.titled[change.before.origin.name][0]]
        while (step := self.graph.maker.get(node.input[0])) != at:
            if step is None or self.graph.nodes[step].op_type not in PASSING:
                raise CannotEdit("its rows depend on the size, and other nodes lie between")
            node = self.graph.nodes[step]
            if node.op_type == "Transpose":
                order = attributes(node).get("perm", range(RANK)[::-1])
                axes = [order[axis] for axis in axes]
        return axes


def _unknown_join(node: NodeProto) -> CannotEdit:
    return CannotEdit(f"the node {node.name or node.output[0]} joins its rows in an unknown way")


CONVS = {op.rpartition(".")[2] for op in NAMED_CONVS}
SUMS = ("Conv", "FusedConv")  # convolutions whose outputs can be multiplied
FLOATS = {1: np.float32, 10: np.float16, 11: np.float64}  # by TensorProto.DataType
