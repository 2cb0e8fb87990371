"""What several maps make together: sums, products, concatenations, gates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from padviz.axis.operations import Window
from padviz.sources.torch.axes import Axes
from padviz.sources.torch.tracer import Call, Map, Result, tensors_in

Merge = Literal["add", "multiply", "concat"]


def add(call: Call, *args: Any, **options: Any) -> Result:
    return together(call, "add")


def subtract(call: Call, *args: Any, **options: Any) -> Result:
    """A mean over all positions that is taken away from each is a normalisation: like a gate, it is left out."""
    same = len({seen(call, value) for value in call.maps}) == 1  # and so is what a map's mean over channels leaves
    return together(call, "multiply" if same or len(call.spatial) < len(call.maps) else "add")


def pick(call: Call, *args: Any, **options: Any) -> Result:
    """Each position from one of several maps, or between them; of one map alone it is an activation."""
    return together(call, "add", once=True)


def pointwise(call: Call, *args: Any, **options: Any) -> Map:
    return together(call, "multiply")


def together(call: Call, kind: Merge, once: bool = False) -> Map:
    """Each position alone: one map passes through, several merge, a pooled one makes a gate of it."""
    out = next(tensors_in(call.out)).shape
    lined = [(value, aligned(value.axes, len(out))) for value in call.spatial]
    labels = tuple(next((axes[i] for _, axes in lined if axes[i]), None) for i in range(len(out)))
    if any(label not in (each, None) for _, axes in lined for label, each in zip(axes, labels, strict=True)):
        return call.broken("reads maps whose rows and columns do not line up")
    full = next((value for value, axes in lined if axes == labels and _fills(call, value, labels, out)), None)
    if full is None:
        return call.broken("makes a larger map of those that it reads")
    values = list({seen(call, value): value for value in call.maps}.values()) if once else call.maps
    at = merged(call, kind, values, full)
    return Map(at, labels, full.part if at == full.at else ())


def seen(call: Call, value: Map) -> tuple[Any, ...]:
    """What tells maps apart that paths see: the layer, without a norm over it, and the slice of its channels."""
    return call.trace.seen(value.at), value.part


def aligned(axes: Axes, ndim: int) -> Axes:
    """The labels of a tensor that is broadcast to more dimensions."""
    return (None,) * (ndim - len(axes)) + axes


def _fills(call: Call, value: Map, labels: Axes, out: Sequence[int]) -> bool:
    """Whether a map has all the rows and columns of the result."""
    height, width = call.trace.sizes[value.at]
    rows = {"H": height, "W": width, "HW": height * width}
    return all(label not in rows or rows[label] == n for label, n in zip(labels, out, strict=True))


def merged(call: Call, kind: Merge, values: Iterable[Map], full: Map) -> int:
    """Lay a merge; what is smaller than the full map is spread over it first."""
    values = list(values)
    trace, inputs = call.trace, [value.at for value in values]
    if kind == "multiply" and len({seen(call, value) for value in values}) == 1:
        return max(inputs)  # x * sigmoid(x) is an activation; of two slices of x it would be a merge
    for k, i in enumerate(inputs):
        if trace.sizes[i] != trace.sizes[full.at] and (kind == "concat" or not trace.pooled[i]):
            inputs[k] = trace.spread(call.inner("expand"), i, full.at)
    return trace.merge(call.name(merge=True), kind, inputs) if len(inputs) > 1 else inputs[0]


def cat(call: Call, tensors: Sequence[Any], dim: int = 0, **options: Any) -> Result:
    full = call.spatial[0]
    label = full.axes[dim]
    if label in ("H", "W"):
        return _beside(call, tensors, label)
    if label == "HW":  # tokens beside those of positions
        return call.pool(full) if len(call.spatial) == 1 else call.broken("joins positions of maps")
    if any(value.axes != full.axes for value in call.spatial):
        return call.broken("joins maps whose rows and columns do not line up")
    return Map(merged(call, "concat", call.maps, full), full.axes)


def stack(call: Call, tensors: Sequence[Any], dim: int = 0) -> Result:
    full = call.spatial[0]
    if any(value.axes != full.axes for value in call.spatial):
        return call.broken("joins maps whose rows and columns do not line up")
    at = dim % (len(full.axes) + 1)
    return Map(merged(call, "concat", call.maps, full), (*full.axes[:at], None, *full.axes[at:]))


def _beside(call: Call, tensors: Sequence[Any], label: str) -> Result:
    """Rows or columns put beside a map: circular padding where they are its own from the other end."""
    axis, layers = "HW".index(label), call.trace.layers
    values = [call.of(tensor) for tensor in tensors]
    whole = [value for value in values if value and layers[value.at].kind != "crop"]
    if len(whole) != 1 or len(values) > 3:
        return call.broken("puts maps beside each other")
    before, after = (values[: values.index(whole[0])], values[values.index(whole[0]) + 1 :])
    n = call.trace.sizes[whole[0].at][axis]
    rows = [_rows_of(call, side, whole[0], axis) for side in (before, after)]
    if None in rows or max(len(before), len(after)) > 1:
        return call.broken("puts maps beside each other")
    (start, head), (first, tail) = (found or (0, 0) for found in rows)
    if (head and start + head != n) or (tail and first != 0):
        return call.broken("puts maps beside each other")
    ops = [Window(1, padding=(head, tail) if axis == i else (0, 0), mode="circular") for i in (0, 1)]
    return call.lay("pad", whole[0], ops, call.inner("pad"))


def _rows_of(call: Call, side: Sequence[Map | None], whole: Map, axis: int) -> tuple[int, int] | None:
    """The first row and the number of rows that a crop takes of a map on one axis; nothing of no crop."""
    if not side:
        return 0, 0
    layer = call.trace.layers[side[0].at] if side[0] else None
    if layer is None or layer.inputs != (whole.at,):
        return None
    op, other = layer.ops[axis], layer.ops[1 - axis]
    if (
        not isinstance(op, Window)
        or op.stride > 1
        or not isinstance(op.padding, tuple)
        or other not in (None, Window(1))
    ):
        return None
    return -op.padding[0], call.trace.sizes[whole.at][axis] + sum(op.padding)
