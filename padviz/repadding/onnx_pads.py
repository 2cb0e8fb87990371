"""Pads in ONNX graphs, whatever they are written as: Pad nodes, a Gather of rows, slices joined by a Concat."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from padviz.axis.operations import Window
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.repadding.onnx_graph import INPUTS_SINCE, NATIVE, Graph, Proto, Rows, attributes
from padviz.repadding.plan import Change

ROLES = "hw"
Places = dict[str, tuple[int, tuple[int, int] | None]]  # by axis of the image: a tensor's axis, and rows if known


class Cannot(Exception):
    """Why a layer cannot be changed in the file."""


class Pads:
    """The pads of a graph, which several layers may have as their own."""

    def __init__(self, graph: Graph, network: Network, channels_last: bool) -> None:
        self.graph = graph
        self.channels_last = channels_last
        self.network = network
        self.done: set[int] = set()

    def rows_of(self, at: int, change: Change) -> Places:
        """By axis of the image: the axis of the tensor that a pad node pads, and how many rows; None where computed."""
        node = self.graph.nodes[at]
        layer = self._layer_of(node)
        ops = (change.before if layer is None else layer).ops
        roles = [role for role, op in zip(ROLES, ops, strict=True) if isinstance(op, Window) and op.padding != (0, 0)]
        if node.op_type in ("Concat", "Gather"):
            axis = attributes(node).get("axis", 0)
            if len(roles) != 1 or axis < 0:
                raise Cannot(f"its rows are joined by the node {node.name or node.output[0]}, in a way of its own")
            op = ops[ROLES.index(roles[0])]
            assert isinstance(op, Window)
            assert not isinstance(op.padding, str)
            return {roles[0]: (axis, op.padding)}
        if node.op_type != "Pad":
            raise Cannot(f"its rows are made by a {node.op_type}")
        amounts, axes = self._amounts(node)
        if amounts is None:
            return {role: self._followed(role, layer) for role in roles}
        if min(amounts) < 0:
            raise Cannot("its pad also crops")
        half = len(amounts) // 2
        padded = [i for i in range(half) if amounts[i] or amounts[half + i]]
        if len(padded) != len(roles):
            raise Cannot("its pad also pads channels")
        found: Places = {}
        for role, i in zip(roles, padded, strict=True):
            found[role] = (axes[i] if axes else i, (amounts[i], amounts[half + i]))
        return found

    def _followed(self, role: str, layer: Layer | None) -> tuple[int, tuple[int, int] | None]:
        """The rows of a pad whose amounts are computed, as far as the importer found them to be the same everywhere."""
        op = None if layer is None or self.channels_last else layer.ops[ROLES.index(role)]
        rows = op.padding if isinstance(op, Window) and not isinstance(op.padding, str) else None
        return 2 + ROLES.index(role), rows

    def _layer_of(self, node: Proto) -> Layer | None:
        """The pad that a node is, as the importer read it."""
        name = self.network.aliases.get(node.output[0])
        layer = self.network.layers[self.network.index[name]] if name else None
        return layer if layer is not None and layer.kind == "pad" else None

    def _amounts(self, node: Proto) -> tuple[list[int] | None, list[int] | None]:
        """The rows that a Pad adds, as far as they are known, and the axes that it names."""
        attrs = attributes(node)
        if self.graph.opset < INPUTS_SINCE:
            return [*attrs.get("pads", attrs.get("paddings", []))] or None, None
        axes = self.graph.integers(node.input[3]) if len(node.input) > 3 and node.input[3] else None
        if len(node.input) > 3 and node.input[3] and axes is None:
            return None, None
        amounts = self.graph.integers(node.input[1])
        if axes is not None and min(axes) < 0:
            axes = [axis + 4 if axis < 0 else axis for axis in axes]
        return amounts, axes

    def steps(self, at: int, change: Change) -> Iterator[Callable[[], None]]:
        """A pad node with other modes: the same node where it can be, or else a chain in its place."""
        node, rows = self.graph.nodes[at], self.rows_of(at, change)
        modes = {role: _plain(op.mode) for role, op in zip(ROLES, change.after.ops, strict=True) if role in rows}  # type: ignore[union-attr]
        same = len({*modes.values()}) == 1
        mode = next(iter(modes.values()), "zero")
        if node.op_type == "Pad" and same and self.graph.has(mode):
            yield lambda: self._once(at, lambda: _set_mode(node, NATIVE[mode], self.graph.opset))
            return
        if any(amounts is None for _, amounts in rows.values()):
            raise Cannot("its rows depend on the size")
        asked = {axis: Rows(*(amounts or (0, 0)), modes[role]) for role, (axis, amounts) in rows.items()}
        x = self._read_by(node)
        amounts, axes = self._amounts(node) if node.op_type == "Pad" else (None, None)
        rank = len(amounts) // 2 if amounts and not axes else 4
        yield lambda: self._once(at, lambda: self._replace(at, x, asked, rank))

    def _once(self, at: int, step: Callable[[], None]) -> None:
        if at not in self.done:
            self.done.add(at)
            step()

    def _replace(self, at: int, x: str, rows: dict[int, Rows], rank: int) -> None:
        node = self.graph.nodes[at]
        name = node.name or node.output[0]
        made = self.graph.chain(x, node.output[0], rows, rank, f"{name}.pad")
        made[-1].name = node.name
        self.graph.front[at] += made
        self.graph.gone.add(at)
        self.graph.release([each for each in node.input if each != x and each])

    def _read_by(self, node: Proto) -> str:
        """The tensor that a pad reads: of slices joined, what is between them, which all of them are slices of."""
        if node.op_type != "Concat":
            return str(node.input[0])
        whole = {name for name in node.input if not self._is_part(name)}
        if len(whole) != 1:
            raise Cannot(f"its rows are joined by the node {node.name or node.output[0]}, in a way of its own")
        return str(whole.pop())

    def _is_part(self, name: str) -> bool:
        at = self.graph.maker.get(name)
        return at is not None and self.graph.nodes[at].op_type in ("Slice", "Gather", "Constant", "ConstantOfShape")


def _plain(mode: str) -> str:
    return "zero" if mode == "partial" else mode


def _set_mode(node: Proto, mode: str, opset: int) -> None:
    """Another mode of a Pad; a number to fill with stays only where it fills."""
    from onnx import helper

    found = next((each for each in node.attribute if each.name == "mode"), None)
    if found is not None:
        found.s = mode.encode()
    else:
        node.attribute.append(helper.make_attribute("mode", mode))
    if mode != "constant" and opset >= INPUTS_SINCE and len(node.input) > 2:
        node.input[2] = ""
        if len(node.input) == 3:
            del node.input[2:]
