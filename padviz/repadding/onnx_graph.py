"""The nodes of an ONNX graph while they are edited, and new nodes that pad."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.network.operations import Op, Window
from padviz.network.padding_modes import SCHEMES, native
from padviz.sources.onnx.constants import constant, constant_of_node, integers, within
from padviz.sources.onnx.model import Constants, Model, attributes, reads, title

if TYPE_CHECKING:
    from onnx import NodeProto

INPUTS_SINCE, SLICE_INPUTS_SINCE = 11, 10  # opsets
INT64 = 7  # TensorProto.DataType
TO_THE_END, TO_THE_FRONT = (1 << 31) - 1, -(1 << 31) + 1


class EditedGraph:
    """Copies of the nodes of a model's main graph, and new ones in `front` and `behind`; `finish` writes them."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes = copy.deepcopy([*model.graph.node])
        self.opset = model.opset
        self.maker = {name: at for at, node in enumerate(self.nodes) for name in node.output if name}
        self.titled: dict[str, list[int]] = defaultdict(list)
        for at, node in enumerate(self.nodes):
            self.titled[title(node)].append(at)
        self.constants = Constants(model.graph)
        self.front: dict[int, list[NodeProto]] = defaultdict(list)
        self.behind: dict[int, list[NodeProto]] = defaultdict(list)
        self.gone: set[int] = set()
        self.unread = self._unread(self.nodes)  # before any edit
        self._taken: Counter[str] = Counter()
        for graph in within(model.graph):
            self._taken.update(v.name for v in (*graph.initializer, *graph.input, *graph.output, *graph.value_info))
            for node in graph.node:
                self._taken.update((node.name, *node.input, *node.output))

    def free(self, name: str) -> str:
        """Return a name that nothing in the model has yet, and reserve it."""
        self._taken[name] += 1
        numbered = name if self._taken[name] == 1 else f"{name}_{self._taken[name]}"
        return numbered if numbered == name else self.free(numbered)

    def integers(self, name: str) -> list[int] | None:
        """Read the numbers of a small constant tensor; None if it is computed."""
        name = self.constants.behind(name, ("Identity", "Cast"))
        node = self.constants.makers.get(name)
        if name in self.constants.stored:
            value = constant(self.constants.stored[name], self.model.folder)
        elif node is not None and node.op_type == "Constant":
            value = constant_of_node(attributes(node), self.model.folder)
        else:
            return None
        return None if value.array is None else integers(value.array)

    def has(self, mode: str) -> bool:
        """Return whether Pad has a mode in the opset of the model."""
        return bool(SCHEMES[mode].onnx) and self.opset >= SCHEMES[mode].since

    def finish(self) -> None:
        """Write the nodes into the model, without those that nothing reads any more."""
        nodes = []
        for at, node in enumerate(self.nodes):
            nodes += [*self.front[at], *([] if at in self.gone else [node]), *self.behind[at]]
        while gone := self._unread(nodes) - self.unread:
            nodes = [node for node in nodes if id(node) not in gone]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)

    def _unread(self, nodes: Iterable[NodeProto]) -> set[int]:
        read = {name for node in nodes for name in reads(node)} | {output.name for output in self.model.graph.output}
        return {id(node) for node in nodes if read.isdisjoint(node.output)}


def set_attribute(node: NodeProto, name: str, value: str | Sequence[int] | None = None) -> None:
    """Set an attribute, or remove it by default."""
    from onnx import helper

    others = [attr for attr in node.attribute if attr.name != name]
    del node.attribute[:]
    node.attribute.extend(others if value is None else [*others, helper.make_attribute(name, value)])


def set_pads(node: NodeProto, pads: Sequence[int]) -> None:
    """Set explicit pads, or none if all are 0, in place of any others or of auto_pad."""
    set_attribute(node, "auto_pad")
    set_attribute(node, "pads", pads if any(pads) else None)


class ComputedRows(NamedTuple):
    """A tensor with the rows to add before each of some axes, and then after each."""

    tensor: str
    axes: Sequence[int]


class NewNodes:
    """New nodes in order, added to a list and named after a prefix."""

    def __init__(self, graph: EditedGraph, name: str, nodes: list[NodeProto]) -> None:
        self.graph, self.name, self.nodes = graph, name, nodes

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node and return its output, which has a free name by default."""
        from onnx import helper

        name = self.graph.free(self.name if output else f"{self.name}_{op.lower()}")
        self.nodes.append(helper.make_node(op, inputs, [output or name], name=name, **attributes))
        return output or name

    def constant(self, numbers: int | Sequence[int] | NDArray[Any]) -> str:
        from onnx import numpy_helper

        # a node right before its readers, so that initializers stay as they are
        array = numbers if isinstance(numbers, np.ndarray) else np.array(numbers, dtype=np.int64)
        return self.add("Constant", value=numpy_helper.from_array(array))


def add_padding(
    new: NewNodes, inputs: Sequence[str], output: str, rows: Sequence[int] | ComputedRows, modes: Mapping[int, str]
) -> None:
    """Pad as a Pad with these `inputs` does, but axes by `modes`; known `rows` are those before all axes, then after.

    Axes of a mode that Pad has are padded in one step, and any other axis alone: known rows are slices joined by a
    Concat, and computed ones those that a Gather reads.
    """
    graph, x, steps = new.graph, inputs[0], list[tuple[list[int], str]]()
    if not isinstance(rows, ComputedRows):
        rank = len(rows) // 2
        modes = {axis: native(mode, max(rows[axis::rank])) for axis, mode in modes.items()}
    for mode in dict.fromkeys(modes.values()):
        axes = [axis for axis, own in modes.items() if own == mode]
        steps += [(axes, mode)] if graph.has(mode) else [([axis], mode) for axis in axes]
    for k, (axes, mode) in enumerate(steps, start=1):
        padded = output if k == len(steps) else graph.free(f"{new.name}_output")
        if isinstance(rows, ComputedRows):
            if graph.has(mode):
                mask = new.constant([int(axis in axes) for axis in rows.axes] * 2)  # no rows on all other axes
                further = inputs[2:] if mode == "zero" else [*("" for _ in inputs[2:3]), *inputs[3:]]
                added = new.add("Mul", rows.tensor, mask)
                new.add("Pad", x, added, *further, output=padded, mode=SCHEMES[mode].onnx)
            else:
                new.add("Gather", x, _folded(new, x, rows, axes[0], mode), output=padded, axis=axes[0])
        elif graph.has(mode):
            pads = [n if i % rank in axes else 0 for i, n in enumerate(rows)]
            if graph.opset >= INPUTS_SINCE:
                new.add("Pad", x, new.constant(pads), output=padded, mode=SCHEMES[mode].onnx)
            else:
                new.add("Pad", x, output=padded, mode=SCHEMES[mode].onnx, pads=pads)
        else:
            new.add("Concat", *_slices(new, x, axes[0], rows[axes[0] :: rank], mode), output=padded, axis=axes[0])
        x = padded


def _slices(new: NewNodes, x: str, axis: int, rows: Sequence[int], mode: str) -> Iterator[str]:
    opset, (before, after) = new.graph.opset, rows
    for start, end, step in _pieces(before, after, mode, opset >= SLICE_INPUTS_SINCE):
        if step == 0:
            yield x
        elif opset < SLICE_INPUTS_SINCE:
            yield new.add("Slice", x, starts=[start], ends=[end], axes=[axis])
        else:
            yield new.add("Slice", x, *(new.constant([n]) for n in (start, end, axis, step)))


def _pieces(before: int, after: int, mode: str, steps: bool) -> list[tuple[int, int, int]]:
    """List the slices (start, end, step) that make up a padded axis; step 0 is the axis itself.

    >>> _pieces(2, 1, "circular", True), _pieces(2, 1, "symmetric", False)
    ([(-2, 2147483647, 1), (0, 0, 0), (0, 1, 1)], [(1, 2, 1), (0, 1, 1), (0, 0, 0), (-1, 2147483647, 1)])
    """
    first, step = SCHEMES[mode].reads or (0, 0)
    if SCHEMES[mode].wraps:
        head = [(-before - first, -first or TO_THE_END, 1)][:before]
        tail = [(first, first + after, 1)][:after]
    elif steps and step:
        head = [(first + before - 1, first - 1 if first else TO_THE_FRONT, -1) if before > 1 else (first, first + 1, 1)]
        tail = [(-1 - first, -first - after - 1, -1) if after > 1 else (-1 - first, -first or TO_THE_END, 1)]
        head, tail = head[:before], tail[:after]
    else:
        head = [(i, i + 1, 1) for i in (first + step * k for k in reversed(range(before)))]
        tail = [(-1 - i, -i or TO_THE_END, 1) for i in (first + step * k for k in range(after))]
    return [*head, (0, 0, 0), *tail]


def _folded(new: NewNodes, x: str, rows: ComputedRows, axis: int, mode: str) -> str:
    """Compute where a mode folds the rows -before .. n + after of an axis of n rows to."""
    at = rows.axes.index(axis)
    before, after = (new.add("Gather", rows.tensor, new.constant(i)) for i in (at, at + len(rows.axes)))
    n = new.add("Gather", new.add("Shape", x), new.constant(axis))
    positions = new.add("Range", new.add("Neg", before), new.add("Add", n, after), new.constant(1))
    if SCHEMES[mode].wraps:
        return new.add("Mod", positions, n)
    first, step = SCHEMES[mode].reads or (0, 0)  # `fold` written out, for a size that is not known
    front, back = new.constant(first - step), new.add("Sub", n, new.constant(1 + first))
    if step:
        front, back = new.add("Sub", front, positions), new.add("Sub", new.add("Add", n, back), positions)
    rest = new.add("Where", new.add("Less", positions, n), positions, back)
    return new.add("Where", new.add("Less", positions, new.constant(0)), front, rest)


def mode_of(op: Op | None, computed: bool = True) -> str:
    """Return the mode in which a layer pads; SAME before 3 rows is one row a side, for which two modes agree.

    >>> mode_of(Window(3, padding="same_upper", mode="symmetric")), mode_of(Window(5, padding="same", mode="symmetric"))
    ('replicate', 'symmetric')
    """
    assert isinstance(op, Window)
    if not SCHEMES[op.mode].reads:
        return "zero"
    return native(op.mode, 1) if computed and isinstance(op.padding, str) and op.extent <= 3 else op.mode


def rows_of_same(new: NewNodes, x: str, windows: Sequence[Window]) -> ComputedRows:
    """Compute the rows of SAME before convolutions, from the shape of their input.

    In all max((ceil(n / stride) - 1) * stride + extent - n, 0) rows, the smaller half of them before in SAME_UPPER.
    """
    strides = new.constant([op.stride for op in windows])
    n = new.add("Slice", new.add("Shape", x), new.constant([2]), new.constant([4]))
    last = new.add("Mul", new.add("Div", new.add("Sub", n, new.constant([1])), strides), strides)
    rows = new.add("Sub", new.add("Add", last, new.constant([op.extent for op in windows])), n)
    positive = new.add("Cast", new.add("Greater", rows, new.constant([0])), to=INT64)
    rows = new.add("Mul", rows, positive)
    half = new.add("Div", rows, new.constant([2]))
    rest, none = new.add("Sub", rows, half), new.constant([0, 0])
    before, after = (rest, half) if windows[0].padding == "same_lower" else (half, rest)
    return ComputedRows(new.add("Concat", none, before, none, after, axis=0), range(4))
