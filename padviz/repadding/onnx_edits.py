"""Repadding of ONNX models: all changes are decided from the network, and then written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from padviz.network.axis_maps import partial_weights
from padviz.network.layer import Layer
from padviz.network.network import Network
from padviz.network.operations import Op, Window, out_size, pads_at
from padviz.network.padding_modes import SCHEMES, native
from padviz.repadding.onnx_graph import (
    INPUTS_SINCE,
    ComputedRows,
    NewConv,
    NewPad,
    Padding,
    SameRows,
    has_mode,
    write,
)
from padviz.repadding.plan import LayerChange, RepadPlan, modes_of
from padviz.sources.onnx.constants import constant, constant_of_node, integers
from padviz.sources.onnx.model import Constants, Model, attributes, title
from padviz.sources.onnx.node import CONVS as NAMED_CONVS

if TYPE_CHECKING:
    from onnx import NodeProto

RANK = 4  # of images
CONVS = {op.rpartition(".")[2] for op in NAMED_CONVS}
SUMS = ("Conv", "FusedConv")  # convolutions whose outputs can be multiplied
FLOATS: dict[int, type[np.floating]] = {
    1: np.float32,
    10: np.float16,
    11: np.float64,
}  # by TensorProto.DataType
JOINS = ("Concat", "Gather")  # that pad one axis
PARTS = ("Slice", "Gather", "Constant", "ConstantOfShape")  # what a Concat adds to a tensor
SHARED = "it shares its pad with a layer that cannot be changed"
Rows = tuple[int, int]  # before and after


class CannotEdit(Exception):
    """The reason why a layer cannot be changed in the file."""


def edit(model: Model, network: Network, plan: RepadPlan) -> RepadPlan:
    """Change a model as planned, in place; return the plan without what the file does not allow."""
    source = _Source(model, network.at(plan.size))
    decided: dict[str, list[NewPad | NewConv]] = {}
    why: dict[str, str] = {}
    for change in plan.changes:
        try:
            decided[change.name] = _new_nodes(source, change)
        except CannotEdit as error:
            why[change.name] = str(error)
    while at_odds := _at_odds(plan, why):
        why |= dict.fromkeys(at_odds, SHARED)
    done = plan.leaving(why)
    new_nodes: list[NewPad | NewConv] = []
    for change in done.changes:
        new_nodes += decided[change.name]
    write(model, new_nodes)
    return done


def _at_odds(plan: RepadPlan, why: Mapping[str, str]) -> list[str]:
    """List layers that share a pad with another one that does not change to the same modes."""
    changes = [change for change in plan.changes if change.name not in why]
    after = {change.name: modes_of(change.after) for change in changes}
    modes: dict[str, set[tuple[str, ...] | None]] = defaultdict(set)
    pads_of: dict[str, tuple[str, ...]] = {}
    for layer in plan.before.layers:
        pads_of[layer.name] = layer.origin.pads if layer.origin else ()
        for pad in pads_of[layer.name]:
            modes[pad].add(after.get(layer.name))
    return [name for name in after if any(len(modes[pad]) > 1 for pad in pads_of[name])]


class _Source:
    """The nodes of a model as they are, and the network that was read from them."""

    def __init__(self, model: Model, network: Network) -> None:
        self.network, self.image = network, model.image
        self.opset, self.folder = model.opset, model.folder
        self.nodes = [*model.graph.node]
        self.constants = Constants(model.graph)
        self.positions: dict[str, list[int]] = defaultdict(list)
        for at, node in enumerate(self.nodes):
            self.positions[title(node)].append(at)
        # Layers with the rows of one node each: in the plan they are merged into convolutions.
        self.pads: dict[str, Layer] = {}
        for layer in network.layers:
            if layer.kind == "pad" and layer.origin:
                self.pads[layer.origin.name] = layer

    def position(self, name: str) -> int:
        """Return the position of the only node with a name, which must be in the main graph."""
        positions = self.positions.get(name, [])
        if len(positions) == 1:
            return positions[0]
        if positions:
            raise CannotEdit("several nodes have its name")
        raise CannotEdit("its node is inside a function or a branch")

    def is_open(self, axis: int) -> bool:
        return self.image.size[axis] == 0

    def integers(self, name: str) -> list[int] | None:
        """Read the numbers of a small constant tensor; None if it is computed."""
        constants = self.constants
        name = constants.behind(name, ("Identity", "Cast"))
        node = constants.makers.get(name)
        if name in constants.stored:
            value = constant(constants.stored[name], self.folder)
        elif node is not None and node.op_type == "Constant":
            value = constant_of_node(attributes(node), self.folder)
        else:
            return None
        if value.array is None:
            return None
        return integers(value.array)


def _new_nodes(source: _Source, change: LayerChange) -> list[NewPad | NewConv]:
    """Decide what becomes of a layer's nodes; raise `CannotEdit` if that cannot be done."""
    origin, before, after = change.before.origin, change.before, change.after
    if origin is None:
        raise CannotEdit("its node is unknown")
    if origin.dims == (3, 2):
        raise CannotEdit("it has width before height")
    if "partial" in modes_of(before):
        raise CannotEdit("it is a partial convolution already: repad the original file")
    at = source.position(origin.name)
    if before.kind == "pad":
        return [_new_pad(source, origin.name, change)]
    node = source.nodes[at]
    if node.op_type not in CONVS:
        raise CannotEdit(f"it is a {node.op_type}, which pads inside")
    rows = _own_rows(source, change)
    if change.pooled:
        return [NewConv(at, pooled=True)]
    windows = zip(_windows(before), _windows(after), strict=True)
    if any(one.padding != other.padding for one, other in windows):
        return [NewConv(at, pads=_even_pads(change, rows))]
    _check_places(source, change, rows)
    pads = [_new_pad(source, name, change) for name in origin.pads]
    return [*pads, _new_conv(source, at, change, rows)]


def _windows(layer: Layer) -> list[Window]:
    return [op for op in layer.ops if isinstance(op, Window)]


def _own_rows(source: _Source, change: LayerChange) -> list[Rows] | None:
    """Return the rows that a convolution pads by itself; None for SAME at an open size."""
    rows: list[Rows] = []
    computed = False
    for axis, op in enumerate(source.network.find(change.name).ops):
        if not isinstance(op, Window):
            raise CannotEdit("it is one-dimensional")
        rows.append(pads_at(op, change.entering[axis]))
        if source.is_open(axis) and op.stride > 1 and isinstance(op.padding, str):
            computed = True
            rule = op.padding.upper()
    if computed and source.opset < INPUTS_SINCE:
        raise CannotEdit(f"its {rule} padding depends on the size, which the file leaves open")
    return None if computed else rows


def _even_pads(change: LayerChange, rows: Sequence[Rows] | None) -> list[int]:
    """Return the zeros of a convolution that gets other amounts, less those of pads before it."""
    pads = [0] * 4
    windows = zip(_windows(change.before), _windows(change.after), strict=True)
    for axis, (was, now) in enumerate(windows):
        if rows is None or now.mode != "zero":
            raise CannotEdit("its padding is not plain zeros")
        if isinstance(was.padding, str) or isinstance(now.padding, str):
            raise CannotEdit("its padding is not plain zeros")
        for side in (0, 1):
            pads[axis + 2 * side] = rows[axis][side] + now.padding[side] - was.padding[side]
    if min(pads) < 0:
        raise CannotEdit("a pad before it has more rows than it should")
    return pads


def _check_places(source: _Source, change: LayerChange, rows: Sequence[Rows] | None) -> None:
    """Require one place where an axis is padded by copies: copies of copies would be wrong."""
    assert change.before.origin is not None
    for axis, op in enumerate(change.after.ops):
        places = int(rows is None or rows[axis] != (0, 0))
        for name in change.before.origin.pads:
            places += axis in _padded(source.pads[name])
        if places > 1 and _mode(op) != "zero":
            raise CannotEdit("it is padded in two places, by itself and by a pad before it")


def _padded(layer: Layer) -> list[int]:
    """List the axes of the image that a pad pads."""
    axes = enumerate(layer.ops)
    return [axis for axis, op in axes if isinstance(op, Window) and op.padding != (0, 0)]


def _mode(op: Op | None) -> str:
    """Return the mode in which an axis is padded, partial convolution by zeros.

    SAME before 3 rows is at most one row a side, for which two modes agree.

    >>> [_mode(Window(kernel, padding="same_upper", mode="symmetric")) for kernel in (3, 5)]
    ['replicate', 'symmetric']
    """
    assert isinstance(op, Window)
    if not SCHEMES[op.mode].reads:
        return "zero"
    if isinstance(op.padding, str) and op.extent <= 3:
        return native(op.mode, 1)
    return op.mode


def _known(modes: Mapping[int, str], rows: Mapping[int, Rows], rank: int = RANK) -> Padding:
    """Return padding by known rows, in modes that Pad has where they read the same."""
    pads = [0] * 2 * rank
    for axis in modes:
        pads[axis::rank] = rows[axis]
    known = {axis: native(mode, max(rows[axis])) for axis, mode in modes.items()}
    return Padding(known, pads)


def _new_conv(
    source: _Source,
    at: int,
    change: LayerChange,
    rows: Sequence[Rows] | None,
) -> NewConv:
    """Decide on a convolution: its own rows stay its zeros, or move into padding before it."""
    modes = {2 + axis: _mode(op) for axis, op in enumerate(change.after.ops)}
    factors = _factors(source, source.nodes[at], change)
    if rows is None:
        return NewConv(at, [0] * 4, Padding(modes, SameRows(_windows(change.before))), factors)
    kept, moved = [0] * 4, dict[int, Rows]()
    for axis, ends in enumerate(rows):
        if ends == (0, 0) or modes[2 + axis] == "zero":
            kept[axis::2] = ends
        else:
            moved[2 + axis] = ends
    if not moved:
        return NewConv(at, factors=factors)
    if min(map(min, moved.values())) < 0:
        raise CannotEdit("its padding also crops")
    return NewConv(at, kept, _known({axis: modes[axis] for axis in moved}, moved), factors)


def _new_pad(source: _Source, name: str, change: LayerChange) -> NewPad:
    """Decide on a node that pads, alone or before a convolution: only its modes change."""
    at = source.position(name)
    node, pad = source.nodes[at], source.pads[name]
    assert pad.origin is not None
    # By the dimensions of the padded tensor, which may be transposed before the convolution.
    modes: dict[int, str] = {}
    rows: dict[int, Rows] = {}
    for axis in _padded(pad):
        op, dim = pad.ops[axis], pad.origin.dims[axis]
        assert isinstance(op, Window)
        assert isinstance(op.padding, tuple)
        modes[dim] = _mode(change.after.ops[axis])
        rows[dim] = op.padding
    if node.op_type in JOINS:
        return _new_join(source, at, pad, modes, rows)
    if node.op_type != "Pad":
        raise CannotEdit(f"its rows are made by a {node.op_type}")
    amounts = _amounts(source, node)
    if amounts is None:
        return _new_computed_pad(source, at, modes)
    return _new_known_pad(source, at, modes, rows, amounts)


def _new_known_pad(
    source: _Source,
    at: int,
    modes: Mapping[int, str],
    rows: Mapping[int, Rows],
    amounts: Sequence[int],
) -> NewPad:
    """Decide on a Pad whose rows are stored."""
    if min(amounts) < 0:
        raise CannotEdit("its pad also crops")
    if sum(amounts) != sum(map(sum, rows.values())):
        raise CannotEdit("its pad also pads channels")
    node = source.nodes[at]
    rank = len(amounts) // 2
    if any(node.input[3:]):
        rank = RANK
    padding = _known(modes, rows, rank)
    if _one_pad_has(source, padding.modes):
        return NewPad(at, mode=next(iter(padding.modes.values())))
    return NewPad(at, reads=node.input[0], padding=padding)


def _new_computed_pad(source: _Source, at: int, modes: Mapping[int, str]) -> NewPad:
    """Decide on a Pad whose rows are computed."""
    if _one_pad_has(source, modes):
        return NewPad(at, mode=next(iter(modes.values())))
    node = source.nodes[at]
    named = "".join(node.input[3:4])
    axes: list[int] | None = [*range(RANK)]
    if named:
        axes = source.integers(named)
    if axes is None:
        raise CannotEdit("the axes of its pad depend on the size")
    rows = ComputedRows(node.input[1], [axis % RANK for axis in axes], named)
    return NewPad(at, reads=node.input[0], padding=Padding(modes, rows))


def _one_pad_has(source: _Source, modes: Mapping[int, str]) -> bool:
    """Return whether one Pad can have the modes of all axes."""
    mode, *others = {*modes.values()}
    return not others and has_mode(source.opset, mode)


def _amounts(source: _Source, node: NodeProto) -> list[int] | None:
    """Read the rows that a Pad adds; None where they are computed."""
    if source.opset >= INPUTS_SINCE:
        return source.integers(node.input[1])
    attrs = attributes(node)
    amounts: list[int] | None = attrs.get("pads") or attrs.get("paddings")
    return amounts


def _new_join(
    source: _Source,
    at: int,
    pad: Layer,
    modes: Mapping[int, str],
    rows: Mapping[int, Rows],
) -> NewPad:
    """Decide on a Gather, or a Concat of a tensor with rows of it, which pad one axis."""
    node = source.nodes[at]
    parts: list[NodeProto] = []
    tensors: list[str] = []
    for name in dict.fromkeys(node.input):
        part = source.constants.makers.get(name)
        if part is not None and part.op_type in PARTS:
            parts.append(part)
        else:
            tensors.append(name)
    if node.op_type == "Gather":
        parts, tensors = [node], [node.input[0]]
    if len(tensors) != 1:
        raise CannotEdit(f"the node {title(node)} joins its rows in an unknown way")
    (axis,) = _padded(pad)
    if not source.network.declared[axis] and not _are_stored(source, parts):
        raise CannotEdit("its rows depend on the size, and are not made by a Pad")
    return NewPad(at, reads=tensors[0], padding=_known(modes, rows))


def _are_stored(source: _Source, parts: Iterable[NodeProto]) -> bool:
    """Return whether nodes take constant rows of a tensor, their first input, or of nothing."""
    for part in parts:
        first = int(part.op_type in ("Slice", "Gather"))
        for name in part.input[first:]:
            if name and source.integers(name) is None:
                return False
    return True


def _factors(source: _Source, node: NodeProto, change: LayerChange) -> list[NDArray[np.floating]]:
    """Return the factors of a partial convolution: taps over taps that hit real pixels."""
    by_axis: dict[int, NDArray[np.float64]] = {}
    for axis, (op, n) in enumerate(zip(change.after.ops, change.entering, strict=True)):
        if not isinstance(op, Window) or op.mode != "partial":
            continue
        if op.padding == (0, 0) or op.kernel == 1:
            continue
        if source.is_open(axis):
            what = "partial convolution needs a fixed size, and the file leaves it open"
            raise CannotEdit(what)
        by_axis[axis] = partial_weights(op, n)
    if not by_axis:
        return []
    kind = _float_of(source, node)
    if min(factor.size for factor in by_axis.values()) > 1:
        shapes = [1, 1, -1, 1], [1, 1, 1, -1]
        return [factor.reshape(shapes[axis]).astype(kind) for axis, factor in by_axis.items()]
    # The factor of an axis of one unit would be a mere scale: write one factor for both axes.
    sizes = [1, 1]
    for axis, op in enumerate(_windows(change.after)):
        if not source.is_open(axis):
            sizes[axis] = out_size(op, change.entering[axis])
    if max(sizes) == 1:
        what = "its map has one unit, where a file cannot tell partial convolution from a scale"
        raise CannotEdit(what)
    down, across = (by_axis.get(axis, np.ones(n)) for axis, n in enumerate(sizes))
    return [np.outer(down, across)[None, None].astype(kind)]


def _float_of(source: _Source, node: NodeProto) -> type[np.floating]:
    """Return the type of number in which a convolution computes sums that can be multiplied."""
    if node.op_type not in SUMS:
        raise CannotEdit(f"it is a {node.op_type}, whose outputs cannot be reweighed")
    if node.op_type == "FusedConv":
        raise CannotEdit("its activation is fused into it")
    weights = source.constants.stored.get(node.input[1])
    kind = FLOATS.get(source.image.type if weights is None else weights.data_type)
    if kind is None:
        raise CannotEdit("it does not compute in plain floats")
    return kind
