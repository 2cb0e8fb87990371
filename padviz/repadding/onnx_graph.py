"""The normal form of padding in an ONNX graph, written node by node.

Zeros are the convolution's own pads. Any other mode is one Pad before the convolution, or copies of
rows along one axis where Pad lacks the mode. Partial convolution multiplies sums before the bias.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.network.operations import Window
from padviz.network.padding_modes import SCHEMES
from padviz.sources.onnx.constants import within
from padviz.sources.onnx.model import Model, reads

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

INPUTS_SINCE = 11  # the opset in which Pad reads its rows from an input
INTEGERS_SINCE = 9  # the opset in which Constant holds integers
INT64 = 7  # TensorProto.DataType


class ComputedRows(NamedTuple):
    """A tensor of the rows before each of some axes, then after; `named` lists the axes for Pad."""

    tensor: str
    axes: Sequence[int]
    named: str = ""


Rows = Sequence[int] | ComputedRows  # known ones are those before all axes, then after all


class SameRows(NamedTuple):
    """The rows of SAME on height and width, at whatever size the image has."""

    windows: Sequence[Window]


@dataclass(frozen=True, slots=True)
class Padding:
    """The mode of each padded axis of a tensor, and its rows."""

    modes: Mapping[int, str]
    rows: Rows | SameRows


@dataclass(frozen=True, slots=True)
class NewPad:
    """A node that pads: in another `mode`, or replaced by `padding` of the tensor it `reads`."""

    at: int
    mode: str = ""
    reads: str = ""
    padding: Padding | None = None


@dataclass(frozen=True, slots=True)
class NewConv:
    """A convolution with its zeros (`pads`, None to keep them), and what is written around it.

    Its input gets `padding`. Its sums are multiplied by `factors`, before the bias. If `pooled`, an
    average over 2 x 2 outputs takes the place of its stride.
    """

    at: int
    pads: Sequence[int] | None = None
    padding: Padding | None = None
    factors: Sequence[NDArray[np.floating]] = ()
    pooled: bool = False


def write(model: Model, changes: Iterable[NewPad | NewConv]) -> None:
    """Write changed nodes into a model's graph, and drop those that nothing reads any more."""
    graph, by_node = model.graph, {change.at: change for change in changes}
    before = [*graph.node]
    unread = _unread(graph, before)
    taken = _names_in(graph)
    nodes: list[NodeProto] = []
    for at, node in enumerate(before):
        change = by_node.get(at)
        if change is None:
            nodes.append(node)
            continue
        new = NewNodes(model.opset, taken, str(node.name or node.output[0]))
        # Networks that were read from the model keep its nodes: change copies.
        copied = copy.deepcopy(node)
        if isinstance(change, NewPad):
            _write_pad(new, copied, change)
        else:
            _write_conv(new, copied, change)
        nodes += new.nodes
    while gone := _unread(graph, nodes) - unread:
        nodes = [node for node in nodes if id(node) not in gone]
    del graph.node[:]
    graph.node.extend(nodes)


def _unread(graph: GraphProto, nodes: Iterable[NodeProto]) -> set[int]:
    read = {output.name for output in graph.output}
    for node in nodes:
        read.update(reads(node))
    return {id(node) for node in nodes if read.isdisjoint(node.output)}


def _names_in(graph: GraphProto) -> set[str]:
    taken: set[str] = set()
    for part in within(graph):
        for values in (part.initializer, part.input, part.output, part.value_info):
            taken.update(value.name for value in values)
        for node in part.node:
            taken.update((node.name, *node.input, *node.output))
    return taken


@dataclass
class NewNodes:
    """Nodes in order, with names that begin with a prefix and that nothing in the model has yet."""

    opset: int
    taken: set[str]
    prefix: str
    nodes: list[NodeProto] = field(default_factory=list)

    def free(self, suffix: str) -> str:
        name, count = f"{self.prefix}.{suffix}", 1
        while name in self.taken:
            count += 1
            name = f"{self.prefix}.{suffix}_{count}"
        self.taken.add(name)
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return its output, a name that the node has too."""
        from onnx import helper

        name = self.free(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, numbers: int | Sequence[int] | NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        if isinstance(numbers, np.ndarray):
            array = numbers
        else:
            array = np.array(numbers, dtype=np.int64)
        if array.dtype == np.int64 and self.opset < INTEGERS_SINCE:
            return self.add("Cast", self.constant(array.astype(np.float32)), to=INT64)
        # A node, not an initializer: old files list initializers among their inputs.
        return self.add("Constant", value=numpy_helper.from_array(array))

    def end_in(self, output: str, name: str) -> None:
        """Rename the last node, and the tensor that it makes to `output`."""
        self.nodes[-1].output[0] = output
        self.nodes[-1].name = name


def _write_pad(new: NewNodes, node: NodeProto, change: NewPad) -> None:
    if change.padding:
        _add_padding(new, change.reads, change.padding)
        new.end_in(node.output[0], node.name)
        return
    set_attribute(node, "mode", SCHEMES[change.mode].onnx)
    if SCHEMES[change.mode].reads and new.opset >= INPUTS_SINCE and len(node.input) > 2:
        node.input[2] = ""  # the value to fill in
        if len(node.input) == 3:
            del node.input[2:]
    new.nodes.append(node)


def _write_conv(new: NewNodes, node: NodeProto, change: NewConv) -> None:
    # A convolution without a name is called by its output, which moves where more nodes follow.
    name, output, bias = new.prefix, node.output[0], node.input[2:3]
    if change.padding:
        new.prefix = f"{name}.pad"
        node.input[0] = _add_padding(new, node.input[0], change.padding)
    if change.pads is not None:
        set_attribute(node, "auto_pad")
        set_attribute(node, "pads", change.pads if any(change.pads) else None)
    new.nodes.append(node)
    if change.pooled:
        set_attribute(node, "strides")
        new.prefix = name
        sums = new.free("unstrided")
        new.add("AveragePool", sums, kernel_shape=[2, 2], strides=[2, 2])
        new.end_in(output, new.free("pool"))
        node.name, node.output[0] = name, sums
    if not change.factors:
        return
    new.prefix = name
    x = new.free("sums")
    node.name, node.output[0] = name, x
    del node.input[2:]
    new.prefix = f"{name}.reweigh"
    for factor in change.factors:
        x = new.add("Mul", x, new.constant(factor))
    if any(bias):
        new.add("Add", x, new.add("Reshape", bias[0], new.constant([1, -1, 1, 1])))
    new.end_in(output, new.nodes[-1].name)


def set_attribute(node: NodeProto, name: str, value: str | Sequence[int] | None = None) -> None:
    """Set an attribute, or remove it by default."""
    from onnx import helper

    others = [attr for attr in node.attribute if attr.name != name]
    del node.attribute[:]
    node.attribute.extend(others)
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


def has_mode(opset: int, mode: str) -> bool:
    """Return whether ONNX's Pad has a mode in an opset."""
    return bool(SCHEMES[mode].onnx) and opset >= SCHEMES[mode].since


def _add_padding(new: NewNodes, x: str, padding: Padding) -> str:
    """Pad a tensor axis by axis, or several at once by a Pad; return the padded tensor."""
    rows = padding.rows
    if isinstance(rows, SameRows):
        rows = _rows_of_same(new, x, rows.windows)
    for axes, mode in _steps(new.opset, padding.modes):
        axis = axes[0]
        if has_mode(new.opset, mode):
            x = _add_pad(new, x, rows, axes, SCHEMES[mode].onnx)
        elif isinstance(rows, ComputedRows):
            x = new.add("Gather", x, _folded(new, x, rows, axis, mode), axis=axis)
        else:
            front, back = copies(mode, rows[axis], rows[axis + len(rows) // 2])
            parts = [x]
            if front:
                parts.insert(0, new.add("Gather", x, new.constant(front), axis=axis))
            if back:
                parts.append(new.add("Gather", x, new.constant(back), axis=axis))
            x = new.add("Concat", *parts, axis=axis)
    return x


def _steps(opset: int, modes: Mapping[int, str]) -> list[tuple[list[int], str]]:
    """List the axes that are padded at once: all of a mode that Pad has, and any other alone."""
    steps: list[tuple[list[int], str]] = []
    for mode in dict.fromkeys(modes.values()):
        axes = [axis for axis in modes if modes[axis] == mode]
        if has_mode(opset, mode):
            steps.append((axes, mode))
        else:
            steps += [([axis], mode) for axis in axes]
    return steps


def _add_pad(new: NewNodes, x: str, rows: Rows, axes: Sequence[int], mode: str) -> str:
    """Add a Pad of some axes only."""
    if isinstance(rows, ComputedRows):
        mask = new.constant([int(axis in axes) for axis in rows.axes] * 2)
        inputs = [x, new.add("Mul", rows.tensor, mask)]
        if rows.named:
            inputs += ["", rows.named]
        return new.add("Pad", *inputs, mode=mode)
    rank = len(rows) // 2
    pads = [0] * 2 * rank
    for axis in axes:
        pads[axis::rank] = rows[axis::rank]
    if new.opset < INPUTS_SINCE:
        return new.add("Pad", x, mode=mode, pads=pads)
    return new.add("Pad", x, new.constant(pads), mode=mode)


def copies(mode: str, before: int, after: int) -> tuple[list[int], list[int]]:
    """Return the rows that padding copies before the first row and after the last, which is -1.

    >>> copies("circular", 2, 1), copies("symmetric", 2, 1)
    (([-2, -1], [0]), ([1, 0], [-1]))
    """
    scheme = SCHEMES[mode]
    first, step = scheme.reads or (0, 0)
    front = [first + step * k for k in reversed(range(before))]
    back = [first + step * k for k in range(after)]
    if scheme.wraps:
        return [-1 - row for row in front], back
    return front, [-1 - row for row in back]


def _folded(new: NewNodes, x: str, rows: ComputedRows, axis: int, mode: str) -> str:
    """Compute the row of n that a mode reads at each position from -before to n + after.

    `padviz.network.padding_modes.fold` in nodes, for a size that is not known.
    """
    at = rows.axes.index(axis)
    before = new.add("Gather", rows.tensor, new.constant(at))
    after = new.add("Gather", rows.tensor, new.constant(at + len(rows.axes)))
    n = new.add("Gather", new.add("Shape", x), new.constant(axis))
    positions = new.add("Range", new.add("Neg", before), new.add("Add", n, after), new.constant(1))
    if SCHEMES[mode].wraps:
        return new.add("Mod", positions, n)
    first, step = SCHEMES[mode].reads or (0, 0)
    front, back = new.constant(first - step), new.add("Sub", n, new.constant(1 + first))
    if step:
        front = new.add("Sub", front, positions)
        back = new.add("Sub", new.add("Add", n, back), positions)
    rest = new.add("Where", new.add("Less", positions, n), positions, back)
    return new.add("Where", new.add("Less", positions, new.constant(0)), front, rest)


def _rows_of_same(new: NewNodes, x: str, windows: Sequence[Window]) -> ComputedRows:
    """Compute the rows of SAME before a convolution from the shape of its input.

    In all they are max((ceil(n / stride) - 1) * stride + extent - n, 0), in SAME_UPPER the smaller
    half of them before.
    """
    strides = new.constant([op.stride for op in windows])
    n = new.add("Slice", new.add("Shape", x), new.constant([2]), new.constant([4]))
    last = new.add("Mul", new.add("Div", new.add("Sub", n, new.constant([1])), strides), strides)
    rows = new.add("Sub", new.add("Add", last, new.constant([op.extent for op in windows])), n)
    positive = new.add("Cast", new.add("Greater", rows, new.constant([0])), to=INT64)
    rows = new.add("Mul", rows, positive)
    half = new.add("Div", rows, new.constant([2]))
    rest, none = new.add("Sub", rows, half), new.constant([0, 0])
    ends = [none, half, none, rest]
    if windows[0].padding == "same_lower":
        ends = [none, rest, none, half]
    return ComputedRows(new.add("Concat", *ends, axis=0), range(4))
