"""Folding of constants: the arrays behind shapes, pads, slices and factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import zip_longest
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.sources.tracing.arranging import Malformed, from_front

if TYPE_CHECKING:
    from onnx import TensorProto

Array = NDArray[Any]
Attrs = dict[str, Any]
Fold = Callable[..., Any]
MOST = 4096  # numbers in an array that is folded
UNFIT = (  # raised by numpy for arrays that are missing or do not fit
    ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
# TensorProto.DataType; numpy has no bfloat16
TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16,
         11: np.float64, 12: np.uint32, 13: np.uint64, 16: np.float32}  # fmt: skip


def fold(
    op: str, attrs: Attrs, arrays: Sequence[Array | None], outputs: int = 1, most: int = MOST
) -> list[Array] | None:
    """Apply an operation to constant arrays; None if it is not in the table, or makes more than `most` numbers.

    Raises `Malformed` with numpy's message if the arrays do not fit.

    >>> fold("Concat", {"axis": 0}, [np.array([1, 2]), np.array([3])])
    [array([1, 2, 3])]
    >>> fold("Add", {}, [np.zeros((100, 1)), np.zeros(100)])  # 10,000 numbers
    """
    if op not in FOLDS:
        return None
    try:
        if _bound(op, attrs, [array for array in arrays if array is not None]) > most:
            return None
        with np.errstate(all="ignore"):
            result = FOLDS[op]({**attrs, "outputs": outputs}, *arrays)
    except UNFIT as error:
        raise Malformed(str(error)) from None
    results = [np.asarray(array) for array in (result if isinstance(result, list) else [result])]
    return results if all(array.size <= most for array in results) else None


def _bound(op: str, attrs: Attrs, given: Sequence[Array]) -> float:
    """Bound the numbers in a result that may have more of them than its inputs; 0 for one that cannot."""
    if op in GROWING:
        return GROWING[op](*given)
    if op == "Gather":
        rest: list[int] = np.delete(given[0].shape, attrs.get("axis", 0)).tolist()
        return prod(rest) * given[1].size
    return _broadcast_size(*(array.shape for array in given)) if op in BROADCASTING else 0


def _broadcast_size(*shapes: Sequence[int]) -> int:
    return prod(max(sizes) for sizes in zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1))


def numbers(tensor: TensorProto) -> Array:
    """Read the numbers of a tensor that are in the model itself; raise `Malformed` if they are invalid."""
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # of onnx, which has many
        raise Malformed(str(error)) from None


def integers(array: Array | None) -> list[int]:
    """Read a constant as Python ints; an empty list if it is missing."""
    try:
        return [] if array is None else [int(n) for n in np.asarray(array).reshape(-1)]
    except (OverflowError, TypeError, ValueError):  # of text, and of what is not finite
        raise Malformed("it has an input that is not whole numbers") from None


def slices_of(attrs: Attrs, rest: Sequence[Array | None], rank: int) -> dict[int, slice]:
    """Read the slices of a Slice by axis, from attributes (before opset 10) or inputs."""
    if "starts" in attrs:
        given = [attrs.get(key) for key in ("starts", "ends", "axes")]
    else:
        given = [None if array is None else integers(array) for array in rest]
    starts, ends, axes, steps = [*given, None, None, None, None][:4]
    if starts is None or ends is None:
        raise Malformed("it lacks the starts or the ends of its slices")
    axes, steps = range(len(starts)) if axes is None else axes, steps or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Malformed("it has different numbers of starts, ends, axes and steps")
    if 0 in steps:
        raise Malformed("it slices by steps of 0")
    rows = {from_front(axis, rank): slice(*ends) for axis, *ends in zip(axes, starts, ends, steps, strict=True)}
    if len(rows) < len(axes):
        raise Malformed("it names an axis twice")
    return rows


def new_shape(shape: Sequence[int], wanted: Sequence[int], allow_zero: bool = False) -> list[int]:
    """Compute the shape that a Reshape makes: 0 copies a size, -1 is the rest."""
    if 0 in wanted[len(shape) :] and not allow_zero:
        raise Malformed(f"it copies a size of more dimensions than {len(shape)}")
    out = [shape[i] if n == 0 and not allow_zero else n for i, n in enumerate(wanted)]
    if -1 in out:
        known = prod(n for n in out if n != -1)
        out[out.index(-1)] = prod(shape) // known if known else 0
    return out


def axes_of(attrs: Attrs, rest: Sequence[Array | None], rank: int) -> list[int]:
    """Read the axes of an operation from its attribute or input, counted from the front; an empty list by default."""
    given = attrs.get("axes")
    given = integers(rest[0]) if given is None and rest else given
    return [from_front(axis, rank) for axis in given or []]


def _slice(attrs: Attrs, data: Array, *rest: Array) -> Array:
    slices = slices_of(attrs, rest, data.ndim)
    return data[tuple(slices.get(axis, slice(None)) for axis in range(data.ndim))]


def _squeeze(attrs: Attrs, data: Array, *rest: Array) -> Array:
    axes = axes_of(attrs, rest, data.ndim)
    return np.squeeze(data, tuple(axes) if axes else None)


def _unsqueeze(attrs: Attrs, data: Array, *rest: Array) -> Array:
    given = attrs.get("axes") or integers(rest[0])
    return np.expand_dims(data, tuple(from_front(axis, data.ndim + len(given)) for axis in given))


def _clip(attrs: Attrs, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    ends = (attrs.get("min") if low is None else low, attrs.get("max") if high is None else high)
    return x if ends == (None, None) else np.clip(x, *ends)


def _reduced(how: Callable[..., Array]) -> Fold:
    def run(attrs: Attrs, data: Array, *rest: Array) -> Array:
        axes = axes_of(attrs, rest, max(data.ndim, 1))
        return how(data, axis=tuple(axes) or None, keepdims=bool(attrs.get("keepdims", 1)))

    return run


def _div(attrs: Attrs, a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        whole = np.abs(a) // np.abs(b)  # ONNX rounds towards zero
        return (whole * np.sign(a) * np.sign(b)).astype(a.dtype)
    return a / b


def _filled(attrs: Attrs, shape: Array) -> Array:
    value = numbers(attrs["value"]).reshape(-1)[:1] if "value" in attrs else np.zeros(1, dtype=np.float32)
    if not value.size:
        raise Malformed("it is filled with no number")
    return np.full(integers(shape), value)


def _split(attrs: Attrs, data: Array, *rest: Array) -> list[Array]:
    axis = attrs.get("axis", 0)
    sizes = attrs.get("split") or integers(rest[0] if rest else None)
    if not sizes:
        parts = attrs.get("num_outputs") or attrs["outputs"]
        per_part = ceil(data.shape[axis] / parts)
        return np.split(data, [per_part * (i + 1) for i in range(parts - 1)], axis)
    return np.split(data, np.cumsum(sizes)[:-1].tolist(), axis)


def _without_attributes(how: Callable[..., Any]) -> Fold:
    return lambda attrs, *arrays: how(*arrays)


GROWING: dict[str, Callable[..., float]] = {
    "ConstantOfShape": lambda shape: prod(integers(shape)),
    "Expand": lambda data, shape: _broadcast_size(data.shape, integers(shape)),
    "Tile": lambda data, repeats: prod(integers(repeats)) * data.size,
    "Range": lambda start, stop, step: abs(float(stop) - float(start)) / max(abs(float(step)), 1e-9),
}
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Abs": np.abs, "Add": np.add, "And": np.logical_and, "BitwiseAnd": np.bitwise_and, "BitwiseNot": np.bitwise_not,
    "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor, "Ceil": np.ceil, "Equal": np.equal, "Exp": np.exp,
    "Floor": np.floor, "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less,
    "LessOrEqual": np.less_equal, "Log": np.log, "Mul": np.multiply, "Neg": np.negative, "Not": np.logical_not,
    "Or": np.logical_or, "Pow": np.power, "Reciprocal": np.reciprocal, "Round": np.round, "Sign": np.sign,
    "Sqrt": np.sqrt, "Sub": np.subtract, "Where": np.where, "Xor": np.logical_xor,
}  # fmt: skip
BROADCASTING = {*ELEMENTWISE, "Clip", "Div", "Max", "Min", "Mod"}
FOLDS: dict[str, Fold] = {
    **{op: _without_attributes(how) for op, how in ELEMENTWISE.items()},
    "Cast": lambda attrs, x: x.astype(TYPES[attrs["to"]]),
    "CastLike": lambda attrs, x, like: x.astype(like.dtype),
    "Clip": _clip,
    "Concat": lambda attrs, *arrays: np.concatenate(arrays, attrs["axis"]),
    "ConstantOfShape": _filled,
    "Div": _div,
    "Dropout": lambda attrs, x, *rest: x,
    "Expand": lambda attrs, x, shape: x * np.ones(integers(shape), dtype=x.dtype),
    "Flatten": lambda attrs, x: x.reshape(prod(x.shape[: attrs.get("axis", 1)]), -1),
    "Gather": lambda attrs, x, at: np.take(x, at, attrs.get("axis", 0)),
    "Identity": lambda attrs, x: x,
    "Max": lambda attrs, *arrays: reduce(np.maximum, arrays),
    "Min": lambda attrs, *arrays: reduce(np.minimum, arrays),
    "Mod": lambda attrs, a, b: np.fmod(a, b) if attrs.get("fmod") else np.mod(a, np.where(b == 0, 1, b)),
    "NonZero": lambda attrs, x: np.array(np.nonzero(x)),
    "Range": lambda attrs, *ends: np.arange(*(end.item() for end in ends)).astype(ends[0].dtype),
    "ReduceMax": _reduced(np.max),
    "ReduceMean": _reduced(np.mean),
    "ReduceMin": _reduced(np.min),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": lambda attrs, x, shape: x.reshape(new_shape(x.shape, integers(shape), attrs.get("allowzero", 0))),
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": lambda attrs, x, repeats: np.tile(x, integers(repeats)),
    "Transpose": lambda attrs, x: np.transpose(x, attrs.get("perm")),
    "Unsqueeze": _unsqueeze,
}
