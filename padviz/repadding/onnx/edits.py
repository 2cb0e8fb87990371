"""Repadding of ONNX models: the padding of each convolution is changed in the graph, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.axis.build import partial_weights
from padviz.axis.operations import Op, Window, out_size, pads_at
from padviz.axis.padding_modes import SCHEMES
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.repadding.onnx.graph import INPUTS_SINCE, EditedGraph, set_pads
from padviz.repadding.onnx.padding import AddedRows, computed_padding, known_padding, mode_of, rows_of_same
from padviz.repadding.onnx.pads import RANK, ROLES, CannotEdit, Edit, PadEditor
from padviz.repadding.plan import LayerChange, RepadPlan
from padviz.sources.onnx.model import Model, attributes
from padviz.sources.onnx.node import CONVS as NAMED_CONVS

if TYPE_CHECKING:
    from onnx import NodeProto

CONVS = {op.rpartition(".")[2] for op in NAMED_CONVS}
SUMS = ("Conv", "FusedConv")  # convolutions whose outputs can be multiplied
OwnRows = dict[str, tuple[int, int] | None]  # that a convolution pads by itself, by image axis; None where computed
FLOATS = {1: np.float32, 10: np.float16, 11: np.float64}  # by TensorProto.DataType


def edit(model: Model, network: Network, plan: RepadPlan) -> RepadPlan:
    """Change a model as planned, in place; return the plan without the changes that the file does not allow."""
    graph = EditedGraph(model)
    editor = _Editor(graph, network)
    edits: dict[str, list[Edit]] = {}
    why: dict[str, str] = {}
    for change in plan.changes:
        try:
            edits[change.name] = editor.edits(change)
        except CannotEdit as error:
            why[change.name] = str(error)
    why |= dict.fromkeys(_at_odds(plan, why), "it shares its pad with a layer that cannot be changed")
    for name, several in edits.items():
        if name not in why:
            for each in several:
                each()
    graph.finish()
    return plan.leaving(why)


def _at_odds(plan: RepadPlan, why: dict[str, str]) -> list[str]:
    """List layers that share a pad with another one that does not change to the same modes."""
    after = {change.name: change.after for change in plan.changes if change.name not in why}
    sharing: dict[str, list[Layer]] = {}
    for layer in plan.before.layers:
        for pad in layer.origin.pads if layer.origin else ():
            sharing.setdefault(pad, []).append(layer)
    names = []
    for layers in sharing.values():
        modes = {_modes(after[layer.name]) if layer.name in after else None for layer in layers}
        if len(modes) > 1:
            names += [layer.name for layer in layers if layer.name in after]
    return names


def _modes(layer: Layer) -> tuple[str, ...]:
    return tuple(op.mode if isinstance(op, Window) else "" for op in layer.ops)


class _Editor:
    """Turns changes of layers into edits of a graph: everything is checked before the first edit is made."""

    def __init__(self, graph: EditedGraph, network: Network) -> None:
        self.graph = graph
        image = graph.model.image
        self.open = [n == 0 for n in image.size]
        self.type = image.type
        self.pads = PadEditor(graph, network, image.channels_last)

    def edits(self, change: LayerChange) -> list[Edit]:
        """Return the edits for one layer; raise `CannotEdit` with the reason if it cannot be changed."""
        origin, before, after = change.before.origin, change.before, change.after
        if origin is None:
            raise CannotEdit("its node is unknown")
        if origin.swapped:
            raise CannotEdit("it has width before height")
        if "partial" in _modes(before):
            raise CannotEdit("it is a partial convolution already: repad the original file")
        at = self._position(origin.name)
        if before.kind == "pad":
            return [self.pads.edit(at, change)]
        node = self.graph.nodes[at]
        if node.op_type not in CONVS:
            raise CannotEdit(f"it is a {node.op_type}, which pads inside")
        own = self._own_rows(node, change)
        if change.pooled:
            return [lambda: self._pool(at)]
        if any(map(_amounts_differ, before.ops, after.ops)):
            return [self._resize_pads(node, change, own)]
        pads = [self._position(name) for name in origin.pads]
        for role, op in zip(ROLES, after.ops, strict=True):  # copies of copies would be wrong
            if isinstance(op, Window) and SCHEMES[op.mode].reads:
                places = sum(role in self.pads.padded_axes(pad, change) for pad in pads) + (own[role] != (0, 0))
                if places > 1:
                    raise CannotEdit("it is padded in two places, by itself and by a pad before it")
        edits = [self.pads.edit(pad, change) for pad in pads]
        return [*edits, *self._move_pads(at, change, own), *self._reweigh(at, change)]

    def _position(self, name: str) -> int:
        """Return the position of the only node with a name, which must be in the main graph."""
        positions = self.graph.titled.get(name, [])
        if len(positions) == 1:
            return positions[0]
        raise CannotEdit("several nodes have its name" if positions else "its node is inside a function or a branch")

    def _own_rows(self, node: NodeProto, change: LayerChange) -> OwnRows:
        attrs = attributes(node.attribute)
        rule = attrs.get("auto_pad", "NOTSET")
        if len(attrs.get("pads", [0] * 4)) != 4 or len(attrs.get("kernel_shape", [1, 1])) != 2:
            raise CannotEdit("it is one-dimensional")
        if rule in ("NOTSET", "", "VALID"):
            pads = attrs.get("pads", [0] * 4) if rule != "VALID" else [0] * 4
            return {role: (pads[i], pads[2 + i]) for i, role in enumerate(ROLES)}
        own: OwnRows = {}
        for i, (role, op, n) in enumerate(zip(ROLES, change.before.ops, change.entering, strict=True)):
            assert isinstance(op, Window)
            computed = self.open[i] and op.stride > 1 and isinstance(op.padding, str)
            if computed and self.graph.opset < INPUTS_SINCE:
                raise CannotEdit(f"its {rule} padding depends on the size, which the file leaves open")
            own[role] = None if computed else pads_at(op, n)
        return own

    def _move_pads(self, at: int, change: LayerChange, own: OwnRows) -> list[Edit]:
        """Move a convolution's own padding, on axes with a mode that copies, into a pad before it."""
        if None in own.values():
            return [lambda: self._move_computed_pads(at, change)]
        moved: dict[int, AddedRows] = {}
        kept = [0] * 4
        for i, (role, op) in enumerate(zip(ROLES, change.after.ops, strict=True)):
            assert isinstance(op, Window)
            before, after = own[role] or (0, 0)
            if SCHEMES[op.mode].reads and (before, after) != (0, 0):
                moved[2 + i] = AddedRows(before, after, op.mode)
            else:
                kept[i], kept[2 + i] = before, after
        if not moved:
            return []
        if min(min(rows.before, rows.after) for rows in moved.values()) < 0:
            raise CannotEdit("its padding also crops")

        def move() -> None:
            node, graph = self.graph.nodes[at], self.graph
            name = f"{node.name or node.output[0]}.pad"
            padded = graph.free(f"{name}_output")
            graph.front[at] += known_padding(graph, node.input[0], padded, moved, RANK, name)
            node.input[0] = padded
            set_pads(node, kept)

        return [move]

    def _move_computed_pads(self, at: int, change: LayerChange) -> None:
        node, graph = self.graph.nodes[at], self.graph
        name, x = f"{node.name or node.output[0]}.pad", node.input[0]
        windows = [op for op in change.before.ops if isinstance(op, Window)]
        nodes, rows = rows_of_same(graph, x, windows, name)
        node.input[0] = graph.free(f"{name}_output")
        modes = {2 + i: mode_of(op) for i, op in enumerate(change.after.ops)}
        graph.front[at] += [*nodes, *computed_padding(graph, [x, rows.tensor], node.input[0], rows, modes, name)]
        set_pads(node, [0] * 4)

    def _resize_pads(self, node: NodeProto, change: LayerChange, own: OwnRows) -> Edit:
        """Give a convolution more or fewer rows of zeros."""
        pads = [0] * 4
        for i, (role, one, other) in enumerate(zip(ROLES, change.before.ops, change.after.ops, strict=True)):
            assert isinstance(one, Window)
            assert isinstance(other, Window)
            rows = own[role]
            if other.mode != "zero" or isinstance(one.padding, str) or isinstance(other.padding, str) or rows is None:
                raise CannotEdit("its padding is not plain zeros")
            for side in (0, 1):
                pads[i + 2 * side] = rows[side] + other.padding[side] - one.padding[side]
        if min(pads) < 0:
            raise CannotEdit("a pad before it has more rows than it should")
        return lambda: set_pads(node, pads)

    def _pool(self, at: int) -> None:
        """Replace stride 2 by an average over 2 x 2 outputs."""
        node, graph = self.graph.nodes[at], self.graph
        name, output = node.name or node.output[0], node.output[0]
        node.name = name
        node.attribute.remove(next(attr for attr in node.attribute if attr.name == "strides"))
        node.output[0] = graph.free(f"{name}.unstrided")
        pool = graph.node("AveragePool", [node.output[0]], output, f"{name}.pool", kernel_shape=[2, 2], strides=[2, 2])
        graph.behind[at].append(pool)

    def _reweigh(self, at: int, change: LayerChange) -> list[Edit]:
        """Multiply a convolution's outputs by taps over taps that hit real pixels, before its bias."""
        node, by_axis = self.graph.nodes[at], dict[int, NDArray[np.float64]]()
        for i, (op, n) in enumerate(zip(change.after.ops, change.entering, strict=True)):
            if not isinstance(op, Window) or op.mode != "partial" or op.padding == (0, 0) or op.kernel == 1:
                continue
            if self.open[i]:
                raise CannotEdit("partial convolution needs a fixed size, and the file leaves it open")
            by_axis[i] = partial_weights(op, n)
        if not by_axis:
            return []
        if node.op_type not in SUMS:
            raise CannotEdit(f"it is a {node.op_type}, whose outputs cannot be reweighed")
        if node.op_type == "FusedConv":
            raise CannotEdit("its activation is fused into it")
        weights = self.graph.constants.stored.get(node.input[1])
        kind = FLOATS.get(self.type if weights is None else weights.data_type)
        if kind is None:
            raise CannotEdit("it does not compute in plain floats")
        factors = [factor.astype(kind) for factor in self._factors(change, by_axis)]
        return [lambda: self._multiply(at, factors)]

    def _factors(self, change: LayerChange, by_axis: dict[int, NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Return an array of factors for each axis, or one for both if that of an axis is a mere scale."""
        if all(factor.size > 1 for factor in by_axis.values()):
            return [array.reshape([1, 1, -1, 1] if i == 0 else [1, 1, 1, -1]) for i, array in by_axis.items()]
        sizes = [1 if self.open[i] else out_size(op, change.entering[i]) for i, op in enumerate(change.after.ops) if op]
        if max(sizes) == 1:
            raise CannotEdit("its map has one unit, where a file cannot tell partial convolution from a scale")
        rows, cols = (by_axis.get(i, np.ones(n)) for i, n in enumerate(sizes))
        return [np.outer(rows, cols)[None, None]]

    def _multiply(self, at: int, factors: list[NDArray[Any]]) -> None:
        node, graph = self.graph.nodes[at], self.graph
        name, output = node.name or node.output[0], node.output[0]
        node.name = name  # its output is renamed
        x = node.output[0] = graph.free(f"{name}.sums")
        bias = node.input[2] if len(node.input) > 2 else ""
        del node.input[2:]
        for i, factor in enumerate(factors):
            last = i == len(factors) - 1 and not bias
            weights = graph.constant(factor, f"{name}.ratios")
            product = output if last else graph.free(f"{name}.reweighed")
            graph.behind[at] += [weights, graph.node("Mul", [x, weights.output[0]], product, f"{name}.reweigh")]
            x = product
        if bias:
            shape = graph.constant(np.array([1, -1, 1, 1], dtype=np.int64), f"{name}.bias_shape")
            placed = graph.node("Reshape", [bias, shape.output[0]], graph.free(f"{name}.bias"), f"{name}.place_bias")
            graph.behind[at] += [shape, placed, graph.node("Add", [x, placed.output[0]], output, f"{name}.add_bias")]


def _amounts_differ(one: Op | None, other: Op | None) -> bool:
    return isinstance(one, Window) and isinstance(other, Window) and one.padding != other.padding
