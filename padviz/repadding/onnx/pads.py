"""Existing pads in ONNX graphs, whether Pad nodes, a Gather of rows, or slices joined by a Concat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from padviz.axis.operations import Op, Window
from padviz.axis.padding_modes import SCHEMES
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.repadding.onnx.graph import INPUTS_SINCE, EditedGraph
from padviz.repadding.onnx.padding import AddedRows, ComputedRows, computed_padding, known_padding, mode_of
from padviz.repadding.plan import LayerChange
from padviz.sources.onnx.model import attributes, title

if TYPE_CHECKING:
    from onnx import NodeProto

ROLES = "hw"
RANK = 4  # of images
PASSING = ("Cast", "Identity", "Pad", "Relu", "Transpose")  # between a pad and the convolution with its rows
Edit = Callable[[], None]  # changes the graph; made once everything is checked
PaddedAxes = dict[str, tuple[int, tuple[int, int] | None]]  # by axis of the image: a tensor's axis, and known rows


class CannotEdit(Exception):
    """The reason why a layer cannot be changed in the file."""


class PadEditor:
    """Changes the pads of a graph, each once, though several layers may have it as their own."""

    def __init__(self, graph: EditedGraph, network: Network, channels_last: bool) -> None:
        self.graph, self.network, self.channels_last = graph, network, channels_last
        self.done: set[int] = set()

    def padded_axes(self, at: int, change: LayerChange) -> PaddedAxes:
        """Return, by image axis, the axis of the tensor that a node pads, and its rows; None if they are computed."""
        node = self.graph.nodes[at]
        layer = self._layer_of(node)
        ops = (change.before if layer is None else layer).ops
        roles = [role for role, op in zip(ROLES, ops, strict=True) if isinstance(op, Window) and op.padding != (0, 0)]
        if node.op_type in ("Concat", "Gather"):
            axis = attributes(node.attribute).get("axis", 0) % RANK
            if len(roles) != 1:
                raise _unknown_join(node)
            return {roles[0]: (axis, self._rows(roles[0], ops, self._is_stored(node)))}
        if node.op_type != "Pad":
            raise CannotEdit(f"its rows are made by a {node.op_type}")
        amounts, axes = self._amounts(node)
        if amounts is None:  # the importer may have found rows that are the same at all sizes
            known = layer is not None and not self.channels_last
            return {role: (2 + ROLES.index(role), self._rows(role, ops) if known else None) for role in roles}
        if min(amounts) < 0:
            raise CannotEdit("its pad also crops")
        half = len(amounts) // 2
        padded = [i for i in range(half) if amounts[i] or amounts[half + i]]
        if len(padded) != len(roles):
            raise CannotEdit("its pad also pads channels")
        pairs = zip(roles, padded, strict=True)
        return {role: (axes[i] if axes else i, (amounts[i], amounts[half + i])) for role, i in pairs}

    def _rows(self, role: str, ops: Sequence[Op | None], stored: bool = False) -> tuple[int, int] | None:
        """Return the rows that are added at every size; None if they depend on an open one."""
        axis = ROLES.index(role)
        op = ops[axis]
        if not stored and not self.network.declared[axis]:
            return None
        return op.padding if isinstance(op, Window) and not isinstance(op.padding, str) else None

    def _is_stored(self, node: NodeProto) -> bool:
        """Return whether the rows of a Gather, or of slices joined by a Concat, are constants."""
        if node.op_type == "Gather":
            return self.graph.integers(node.input[1]) is not None
        makers = [self.graph.nodes[self.graph.maker[name]] for name in node.input if self._is_part(name)]
        ends = [name for maker in makers for name in maker.input[maker.op_type in ("Slice", "Gather") :]]
        return not any(self.graph.integers(name) is None for name in ends if name)

    def _layer_of(self, node: NodeProto) -> Layer | None:
        """Return the pad layer that the importer made of a node, if it did."""
        name = self.network.aliases.get(node.output[0])
        layer = self.network.layers[self.network.index[name]] if name else None
        if layer is None or layer.kind != "pad" or layer.origin is None or layer.origin.name != title(node):
            return None
        return layer

    def _amounts(self, node: NodeProto) -> tuple[list[int] | None, list[int] | None]:
        """Read the rows that a Pad adds, if they are known, and the axes that it names."""
        attrs = attributes(node.attribute)
        if self.graph.opset < INPUTS_SINCE:
            return [*attrs.get("pads", attrs.get("paddings", []))] or None, None
        axes = None
        if len(node.input) > 3 and node.input[3]:
            axes = self.graph.integers(node.input[3])
            if axes is None:
                return None, None
            axes = [axis % RANK for axis in axes]
        return self.graph.integers(node.input[1]), axes

    def edit(self, at: int, change: LayerChange) -> Edit:
        """Return the edit that gives a pad node other modes, in place if possible, or else by a chain of new nodes."""
        graph, node, axes = self.graph, self.graph.nodes[at], self.padded_axes(at, change)
        computed = any(rows is None for _, rows in axes.values())
        ops = dict(zip(ROLES, change.after.ops, strict=True))
        modes = {role: mode_of(ops[role], computed and change.before.kind == "conv") for role in axes}
        mode = next(iter(modes.values()), "zero")
        name = f"{node.name or node.output[0]}.pad"
        if node.op_type == "Pad" and len({*modes.values()}) <= 1 and graph.has(mode):
            return lambda: self._once(at, lambda: _set_mode(node, SCHEMES[mode].onnx, graph.opset))
        if computed:
            rows, places = self._computed_rows(node), self._image_axes(at, change)
            own = {places[role]: mode for role, mode in modes.items()}
            x = node.input[0]
            return lambda: self._once(
                at, lambda: self._replace(at, x, computed_padding(graph, node.input, node.output[0], rows, own, name))
            )
        added = {axis: AddedRows(*(rows or (0, 0)), modes[role]) for role, (axis, rows) in axes.items()}
        x = self._input_of(node)
        amounts, named = self._amounts(node) if node.op_type == "Pad" else (None, None)
        rank = len(amounts) // 2 if amounts and not named else RANK
        return lambda: self._once(
            at, lambda: self._replace(at, x, known_padding(graph, x, node.output[0], added, rank, name))
        )

    def _computed_rows(self, node: NodeProto) -> ComputedRows:
        if node.op_type != "Pad":
            raise CannotEdit("its rows depend on the size, and are not made by a Pad")
        named = node.input[3] if len(node.input) > 3 else ""
        axes = self.graph.integers(named) if named else [*range(RANK)]
        if axes is None or self.graph.opset < INPUTS_SINCE:
            raise CannotEdit("the axes of its pad depend on the size")
        return ComputedRows(node.input[1], [axis % RANK for axis in axes])

    def _image_axes(self, at: int, change: LayerChange) -> dict[str, int]:
        """Return the axes of a pad's tensor that are height and width for the convolution behind it."""
        if change.before.kind == "pad":
            if self.channels_last:
                raise CannotEdit("its rows depend on the size, and its axes on the nodes before")
            return {"h": 2, "w": 3}
        axes = [2, 3]
        assert change.before.origin is not None
        node = self.graph.nodes[self.graph.titled[change.before.origin.name][0]]
        while (step := self.graph.maker.get(node.input[0])) != at:
            if step is None or self.graph.nodes[step].op_type not in PASSING:
                raise CannotEdit("its rows depend on the size, and other nodes lie between")
            node = self.graph.nodes[step]
            if node.op_type == "Transpose":
                order = attributes(node.attribute).get("perm", range(RANK)[::-1])
                axes = [order[axis] for axis in axes]
        return dict(zip(ROLES, axes, strict=True))

    def _once(self, at: int, edit: Edit) -> None:
        if at not in self.done:
            self.done.add(at)
            edit()

    def _replace(self, at: int, x: str, nodes: list[NodeProto]) -> None:
        node = self.graph.nodes[at]
        nodes[-1].name = node.name
        self.graph.front[at] += nodes
        self.graph.gone.add(at)
        self.graph.release([name for name in node.input if name != x and name])

    def _input_of(self, node: NodeProto) -> str:
        """Return the tensor that a pad reads; in a Concat, the one between its slices."""
        if node.op_type != "Concat":
            return str(node.input[0])
        whole = {name for name in node.input if not self._is_part(name)}
        if len(whole) != 1:
            raise _unknown_join(node)
        return str(whole.pop())

    def _is_part(self, name: str) -> bool:
        at = self.graph.maker.get(name)
        return at is not None and self.graph.nodes[at].op_type in ("Slice", "Gather", "Constant", "ConstantOfShape")


def _unknown_join(node: NodeProto) -> CannotEdit:
    return CannotEdit(f"the node {node.name or node.output[0]} joins its rows in an unknown way")


def _set_mode(node: NodeProto, mode: str, opset: int) -> None:
    """Set the mode of a Pad, and drop its fill value unless the mode is "constant"."""
    from onnx import helper

    attr = next((attr for attr in node.attribute if attr.name == "mode"), None)
    if attr is not None:
        attr.s = mode.encode()
    else:
        node.attribute.append(helper.make_attribute("mode", mode))
    if mode != "constant" and opset >= INPUTS_SINCE and len(node.input) > 2:
        node.input[2] = ""
        if len(node.input) == 3:
            del node.input[2:]
