"""Pads in ONNX graphs, whatever they are written as: Pad nodes, a Gather of rows, slices joined by a Concat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from padviz.axis.operations import Op, Window
from padviz.axis.padding_modes import SCHEMES
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.repadding.onnx.computed import Amounts, chain, mode_of
from padviz.repadding.onnx.graph import INPUTS_SINCE, Graph, Proto, Rows
from padviz.repadding.plan import LayerChange
from padviz.sources.onnx.model import attributes, title

ROLES = "hw"
RANK = 4  # of images
PASSING = ("Cast", "Identity", "Pad", "Relu", "Transpose")  # what a convolution reads the rows of its pad through
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

    def rows_of(self, at: int, change: LayerChange) -> Places:
        """Find, by image axis, the tensor's axis that a pad node pads, and how many rows; None where computed."""
        node = self.graph.nodes[at]
        layer = self._layer_of(node)
        ops = (change.before if layer is None else layer).ops
        roles = [role for role, op in zip(ROLES, ops, strict=True) if isinstance(op, Window) and op.padding != (0, 0)]
        if node.op_type in ("Concat", "Gather"):
            axis = attributes(node.attribute).get("axis", 0) % RANK
            if len(roles) != 1:
                raise Cannot(f"its rows are joined by the node {node.name or node.output[0]}, in a way of its own")
            return {roles[0]: (axis, self._rows(roles[0], ops, self._is_stored(node)))}
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
        places: Places = {}
        for role, i in zip(roles, padded, strict=True):
            places[role] = (axes[i] if axes else i, (amounts[i], amounts[half + i]))
        return places

    def _followed(self, role: str, layer: Layer | None) -> tuple[int, tuple[int, int] | None]:
        """Find the rows of a pad whose amounts are computed, as far as the importer found one answer for all sizes."""
        known = None if layer is None or self.channels_last else self._rows(role, layer.ops)
        return 2 + ROLES.index(role), known

    def _rows(self, role: str, ops: Sequence[Op | None], stored: bool = False) -> tuple[int, int] | None:
        """Find the rows that are added at every size; None where they follow from one that the file leaves open."""
        axis = ROLES.index(role)
        op = ops[axis]
        if not stored and not self.network.declared[axis]:
            return None
        return op.padding if isinstance(op, Window) and not isinstance(op.padding, str) else None

    def _is_stored(self, node: Proto) -> bool:
        """Tell whether it is in the file which rows are gathered, or sliced and joined."""
        if node.op_type == "Gather":
            return self.graph.integers(node.input[1]) is not None
        makers = [self.graph.nodes[self.graph.maker[name]] for name in node.input if self._is_part(name)]
        ends = [name for maker in makers for name in maker.input[maker.op_type in ("Slice", "Gather") :]]
        return not any(self.graph.integers(name) is None for name in ends if name)

    def _layer_of(self, node: Proto) -> Layer | None:
        """Find the pad that a node is, as the importer read it."""
        name = self.network.aliases.get(node.output[0])
        layer = self.network.layers[self.network.index[name]] if name else None
        same = layer is not None and layer.origin is not None and layer.origin.name == title(node)
        return layer if layer is not None and layer.kind == "pad" and same else None

    def _amounts(self, node: Proto) -> tuple[list[int] | None, list[int] | None]:
        """Read the rows that a Pad adds, as far as they are known, and the axes that it names."""
        attrs = attributes(node.attribute)
        if self.graph.opset < INPUTS_SINCE:
            return [*attrs.get("pads", attrs.get("paddings", []))] or None, None
        axes = self.graph.integers(node.input[3]) if len(node.input) > 3 and node.input[3] else None
        if len(node.input) > 3 and node.input[3] and axes is None:
            return None, None
        amounts = self.graph.integers(node.input[1])
        if axes is not None and min(axes) < 0:
            axes = [axis + 4 if axis < 0 else axis for axis in axes]
        return amounts, axes

    def steps(self, at: int, change: LayerChange) -> Iterator[Callable[[], None]]:
        """Give a pad node other modes: the same node where it can be, or else a chain in its place."""
        node, rows = self.graph.nodes[at], self.rows_of(at, change)
        computed = any(amounts is None for _, amounts in rows.values())
        ops = dict(zip(ROLES, change.after.ops, strict=True))
        modes = {role: mode_of(ops[role], computed and change.before.kind == "conv") for role in rows}
        mode = next(iter(modes.values()), "zero")
        if node.op_type == "Pad" and len({*modes.values()}) <= 1 and self.graph.has(mode):
            yield lambda: self._once(at, lambda: _set_mode(node, SCHEMES[mode].onnx, self.graph.opset))
            return
        if computed:
            amount, places = self._computed(node), self._axes(at, change)
            own = {places[role]: mode for role, mode in modes.items()}
            yield lambda: self._once(at, lambda: self._replace(at, node.input[0], chain(self.graph, node, amount, own)))
            return
        rows_by_axis = {axis: Rows(*(amounts or (0, 0)), modes[role]) for role, (axis, amounts) in rows.items()}
        x = self._read_by(node)
        amounts, axes = self._amounts(node) if node.op_type == "Pad" else (None, None)
        rank = len(amounts) // 2 if amounts and not axes else 4
        name = f"{node.name or node.output[0]}.pad"
        yield lambda: self._once(
            at, lambda: self._replace(at, x, self.graph.chain(x, node.output[0], rows_by_axis, rank, name))
        )

    def _computed(self, node: Proto) -> Amounts:
        """Find where a Pad reads its rows, which are computed."""
        if node.op_type != "Pad":
            raise Cannot("its rows depend on the size, and are no Pad any more")
        named = node.input[3] if len(node.input) > 3 else ""
        axes = self.graph.integers(named) if named else [*range(RANK)]
        if axes is None or self.graph.opset < INPUTS_SINCE:
            raise Cannot("its pad reads from the size which axes it pads")
        return Amounts(node.input[1], [axis % RANK for axis in axes])

    def _axes(self, at: int, change: LayerChange) -> dict[str, int]:
        """Find the axes of what a pad pads that are height and width of the convolution behind it."""
        if change.before.kind == "pad":
            if self.channels_last:
                raise Cannot("its rows depend on the size, and its axes on what comes before")
            return {"h": 2, "w": 3}
        axes = [2, 3]
        assert change.before.origin is not None
        node = self.graph.nodes[self.graph.titled[change.before.origin.name][0]]
        while (step := self.graph.maker.get(node.input[0])) != at:
            if step is None or self.graph.nodes[step].op_type not in PASSING:
                raise Cannot("its rows depend on the size, and lie apart from it")
            node = self.graph.nodes[step]
            if node.op_type == "Transpose":
                order = attributes(node.attribute).get("perm", range(RANK)[::-1])
                axes = [order[axis] for axis in axes]
        return dict(zip(ROLES, axes, strict=True))

    def _once(self, at: int, step: Callable[[], None]) -> None:
        if at not in self.done:
            self.done.add(at)
            step()

    def _replace(self, at: int, x: str, nodes: list[Proto]) -> None:
        node = self.graph.nodes[at]
        nodes[-1].name = node.name
        self.graph.front[at] += nodes
        self.graph.gone.add(at)
        self.graph.release([name for name in node.input if name != x and name])

    def _read_by(self, node: Proto) -> str:
        """Find the tensor that a pad reads: of slices joined, what is between them, which all of them are slices of."""
        if node.op_type != "Concat":
            return str(node.input[0])
        whole = {name for name in node.input if not self._is_part(name)}
        if len(whole) != 1:
            raise Cannot(f"its rows are joined by the node {node.name or node.output[0]}, in a way of its own")
        return str(whole.pop())

    def _is_part(self, name: str) -> bool:
        at = self.graph.maker.get(name)
        return at is not None and self.graph.nodes[at].op_type in ("Slice", "Gather", "Constant", "ConstantOfShape")


def _set_mode(node: Proto, mode: str, opset: int) -> None:
    """Set another mode of a Pad; a number to fill with stays only where it fills."""
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
