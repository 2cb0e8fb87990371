"""Repadding of ONNX models: what the padding of each convolution reads is replaced in the graph, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.axis.build import partial_weights
from padviz.axis.operations import Op, Window, out_size, pads_at
from padviz.axis.padding_modes import SCHEMES
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.repadding.onnx.computed import amounts_of_same, chain, mode_of
from padviz.repadding.onnx.graph import INPUTS_SINCE, Graph, Proto, Rows, set_pads
from padviz.repadding.onnx.pads import ROLES, Cannot, Pads
from padviz.repadding.plan import LayerChange, RepadPlan
from padviz.sources.onnx import tensors
from padviz.sources.onnx.model import Model, attributes

CONVS = {op.rpartition(".")[2] for op in tensors.CONVS}
SUMS = ("Conv", "FusedConv")  # convolutions whose outputs can be multiplied
Own = dict[str, tuple[int, int] | None]
FLOATS = {1: np.float32, 10: np.float16, 11: np.float64}


def edit(model: Model, network: Network, plan: RepadPlan) -> RepadPlan:
    """LayerChange a model as planned, in place; the plan that comes back leaves alone what the file did not allow."""
    graph = Graph(model)
    editor = _Editor(graph, network, plan)
    steps: dict[str, list[Callable[[], None]]] = {}
    why: dict[str, str] = {}
    for change in plan.changes:
        try:
            steps[change.name] = list(editor.steps(change))
        except Cannot as error:
            why[change.name] = str(error)
    for name in _together(plan, why):
        why[name] = "it shares its pad with a layer that cannot be changed"
    for name, edits in steps.items():
        if name not in why:
            for step in edits:
                step()
    graph.finish()
    return plan.leaving(why)


def _together(plan: RepadPlan, why: dict[str, str]) -> list[str]:
    """List layers whose pad another one has as well that does not change alike."""
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
    """How each change is made: everything is checked first, and done by the steps that come of it."""

    def __init__(self, graph: Graph, network: Network, plan: RepadPlan) -> None:
        self.graph = graph
        self.plan = plan
        image = graph.model.image
        self.open = [n == 0 for n in image.size]
        self.type = image.type
        self.pads = Pads(graph, network, image.channels_last)

    def steps(self, change: LayerChange) -> Iterator[Callable[[], None]]:
        """Yield what is to be done for one layer.

        Raises
        ------
        Cannot
            With the reason, where it cannot be done.
        """
        origin = change.before.origin
        if origin is None:
            raise Cannot("nobody knows which node it is")
        if origin.swapped:
            raise Cannot("it has width before height")
        if any(isinstance(op, Window) and op.mode == "partial" for op in change.before.ops):
            raise Cannot("it is reweighed as partial convolution: repad the file that this one was made of")
        if change.before.kind == "pad":
            yield from self.pads.steps(self._position(origin.name), change)
            return
        at = self._position(origin.name)
        node = self.graph.nodes[at]
        if node.op_type not in CONVS:
            raise Cannot(f"it is a {node.op_type}, which pads inside")
        own = self._own(node, change)
        if change.pooled:
            yield lambda: self._pool(at)
            return
        if any(map(_amounts_differ, change.before.ops, change.after.ops)):
            yield from self._amend(node, change, own)
            return
        pads = [self._position(name) for name in origin.pads]
        self._check_once(change, own, pads)
        for pad in pads:
            yield from self.pads.steps(pad, change)
        yield from self._conv(at, change, own)
        yield from self._reweigh(at, change)

    def _position(self, name: str) -> int:
        """Find the node of a name, which must be in the main graph, and the only one."""
        positions = self.graph.titled.get(name, [])
        if len(positions) == 1:
            return positions[0]
        raise Cannot("several nodes have its name" if positions else "its node is inside of a function or a branch")

    def _own(self, node: Proto, change: LayerChange) -> Own:
        """Read the rows that a convolution pads by itself, by axis; None where they are computed."""
        attrs = attributes(node.attribute)
        rule = attrs.get("auto_pad", "NOTSET")
        before = change.before
        if len(attrs.get("pads", [0] * 4)) != 4 or len(attrs.get("kernel_shape", [1, 1])) != 2:
            raise Cannot("it is one-dimensional")
        if rule in ("NOTSET", "", "VALID"):
            pads = attrs.get("pads", [0] * 4) if rule != "VALID" else [0] * 4
            return {role: (pads[i], pads[2 + i]) for i, role in enumerate(ROLES)}
        own: Own = {}
        for i, (role, op, n) in enumerate(zip(ROLES, before.ops, change.entering, strict=True)):
            assert isinstance(op, Window)
            open_ = self.open[i] and op.stride > 1 and isinstance(op.padding, str)
            if open_ and self.graph.opset < INPUTS_SINCE:
                raise Cannot(f"its {rule} padding depends on the size, which the file leaves open")
            own[role] = None if open_ else pads_at(op, n)
        return own

    def _check_once(self, change: LayerChange, own: Own, pads: list[int]) -> None:
        """Refuse an axis that is padded in two places: what copies would copy the copies."""
        for i, role in enumerate(ROLES):
            op = change.after.ops[i]
            if not isinstance(op, Window) or not SCHEMES[op.mode].reads:
                continue
            places = sum(role in self.pads.rows_of(pad, change) for pad in pads) + (own[role] != (0, 0))
            if places > 1:
                raise Cannot("it is padded in two places, by itself and by a pad before it")

    def _conv(self, at: int, change: LayerChange, own: Own) -> Iterator[Callable[[], None]]:
        """Move a convolution's own padding of another mode, on an axis, into a pad in front."""
        if None in own.values():
            yield lambda: self._pad_same(at, change)
            return
        moved: dict[int, Rows] = {}
        kept = [0] * 4
        for i, (role, op) in enumerate(zip(ROLES, change.after.ops, strict=True)):
            assert isinstance(op, Window)
            before, after = own[role] or (0, 0)
            if SCHEMES[op.mode].reads and (before, after) != (0, 0):
                moved[2 + i] = Rows(before, after, op.mode)
            else:
                kept[i], kept[2 + i] = before, after
        if not moved:
            return
        if min(min(rows[:2]) for rows in moved.values()) < 0:
            raise Cannot("its padding also crops")

        def step() -> None:
            node = self.graph.nodes[at]
            name = f"{node.name or node.output[0]}.pad"
            padded = self.graph.free(f"{name}_output")
            self.graph.front[at] += self.graph.chain(node.input[0], padded, moved, 4, name)
            node.input[0] = padded
            set_pads(node, kept)

        yield step

    def _pad_same(self, at: int, change: LayerChange) -> None:
        """Put a pad in front of a convolution whose rows follow from an open size; it works them out."""
        node, graph = self.graph.nodes[at], self.graph
        name, x = f"{node.name or node.output[0]}.pad", node.input[0]
        nodes, amounts = amounts_of_same(graph, x, [op for op in change.before.ops if isinstance(op, Window)], name)
        node.input[0] = graph.free(f"{name}_output")
        pad = graph.node("Pad", [x, amounts.tensor], node.input[0], name)
        modes = {2 + i: mode_of(op) for i, op in enumerate(change.after.ops)}
        graph.front[at] += [*nodes, *chain(graph, pad, amounts, modes)]
        set_pads(node, [0] * 4)

    def _amend(self, node: Proto, change: LayerChange, own: Own) -> Iterator[Callable[[], None]]:
        """Give a convolution more or fewer rows of zeros."""
        kept = [0] * 4
        for i, (role, one, other) in enumerate(zip(ROLES, change.before.ops, change.after.ops, strict=True)):
            assert isinstance(one, Window)
            assert isinstance(other, Window)
            rows = own[role]
            if other.mode != "zero" or isinstance(one.padding, str) or isinstance(other.padding, str) or rows is None:
                raise Cannot("its padding is no plain zeros")
            for side in (0, 1):
                kept[i + 2 * side] = rows[side] + other.padding[side] - one.padding[side]
        if min(kept) < 0:
            raise Cannot("a pad before it has more rows than it should")
        yield lambda: set_pads(node, kept)

    def _pool(self, at: int) -> None:
        """Set stride 1, and average over 2 x 2 of what comes out."""
        node, graph = self.graph.nodes[at], self.graph
        name, output = node.name or node.output[0], node.output[0]
        node.name = name
        node.attribute.remove(next(attr for attr in node.attribute if attr.name == "strides"))
        node.output[0] = graph.free(f"{name}.unstrided")
        pool = graph.node("AveragePool", [node.output[0]], output, f"{name}.pool", kernel_shape=[2, 2], strides=[2, 2])
        graph.behind[at].append(pool)

    def _reweigh(self, at: int, change: LayerChange) -> Iterator[Callable[[], None]]:
        """Multiply a convolution's outputs by taps over taps that hit real pixels, before its bias."""
        node, by_axis = self.graph.nodes[at], {}
        for i, (op, n) in enumerate(zip(change.after.ops, change.entering, strict=True)):
            if not isinstance(op, Window) or op.mode != "partial" or op.padding == (0, 0) or op.kernel == 1:
                continue
            if self.open[i]:
                raise Cannot("partial convolution needs sizes that are built in, and the file leaves them open")
            by_axis[i] = partial_weights(op, n)
        if not by_axis:
            return
        if node.op_type not in SUMS:
            raise Cannot(f"it is a {node.op_type}, whose outputs cannot be reweighed")
        if node.op_type == "FusedConv":
            raise Cannot("its activation is fused into it")
        kind = self._float(node)
        factors = [plane.astype(kind) for plane in self._planes(change, by_axis)]
        yield lambda: self._put_behind(at, factors)

    def _planes(self, change: LayerChange, by_axis: dict[int, NDArray[Any]]) -> list[NDArray[Any]]:
        """Make what to multiply by: a number for each row and column; together where one of the two is a mere scale."""
        if all(factor.size > 1 for factor in by_axis.values()):
            return [array.reshape([1, 1, -1, 1] if i == 0 else [1, 1, 1, -1]) for i, array in by_axis.items()]
        sizes = [1 if self.open[i] else out_size(op, change.entering[i]) for i, op in enumerate(change.after.ops) if op]
        if max(sizes) == 1:
            raise Cannot("its map has one unit, where a file cannot tell partial convolution from a scale")
        rows, cols = (by_axis.get(i, np.ones(n)) for i, n in enumerate(sizes))
        return [np.outer(rows, cols)[None, None]]

    def _put_behind(self, at: int, factors: list[NDArray[Any]]) -> None:
        node, graph = self.graph.nodes[at], self.graph
        name, output = node.name or node.output[0], node.output[0]
        node.name = name  # what it makes has another name now
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

    def _float(self, node: Proto) -> Any:
        """Find the type that a convolution computes in: that of its weights, where they are stored."""
        kind = self.type
        if node.input[1] in self.graph.stored:
            kind = self.graph.stored[node.input[1]].data_type
        if kind not in FLOATS:
            raise Cannot("it computes in numbers that are no plain floats")
        return FLOATS[kind]


def _amounts_differ(one: Op | None, other: Op | None) -> bool:
    return isinstance(one, Window) and isinstance(other, Window) and one.padding != other.padding
