"""Constants of an ONNX graph: few numbers are read at once, all others only where they matter.

External data is read only from the model's own folder, by plain names: no link or path is followed.
The tables at the end fold constants to the arrays behind shapes, pads, slices and factors.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import zip_longest
from math import ceil, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import PadvizError
from padviz.files.opened import opened
from padviz.sources.tracing.arranging import Constant, Malformed, from_front
from padviz.sources.tracing.dims import plain

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from onnx import FunctionProto, GraphProto, ModelProto, TensorProto

Array = NDArray[Any]
Attrs = dict[str, Any]  # of types that `_attributes` checks
Fold = Callable[..., Array | list[Array]]
MOST = 4096  # numbers in an array that is folded
UNFIT = (  # raised by numpy for arrays that are missing or do not fit
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
# TensorProto.DataType; numpy has no bfloat16
TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
    16: np.float32,
}
MOST_BYTES = 1 << 31  # that protobuf takes
MOST_DIMENSIONS = 8
# TensorProto.DataType: bits of a number
BITS = {
    1: 32,
    2: 8,
    3: 8,
    4: 16,
    5: 16,
    6: 32,
    7: 64,
    9: 8,
    10: 16,
    11: 64,
    12: 32,
    13: 64,
    14: 64,
    15: 128,
    16: 16,
    17: 8,
    18: 8,
    19: 8,
    20: 8,
    21: 4,
    22: 4,
    23: 4,
    24: 8,
    25: 2,
    26: 2,
}
INTEGERS = (2, 3, 4, 5, 6, 7, 9, 12, 13)  # TensorProto.DataType of shapes and pads
FEW = 16  # numbers of any other type: scales
ROWS = (6, 7)  # TensorProto.DataType of lists of rows
MOST_ROWS = 1 << 20
MOST_AT_ONCE = 1 << 22  # numbers in an array
MOST_IN_ALL = 1 << 26  # numbers that are made and read while a graph is traced


class Unread(Exception):
    """The numbers of a constant are not known; the message is a verb phrase with the reason."""


def within(graph: GraphProto | FunctionProto) -> Iterator[GraphProto | FunctionProto]:
    """Yield a graph or a function, and the graphs of branches and loops inside it."""
    yield graph
    for node in graph.node:
        for attr in node.attribute:
            for inner in (*([attr.g] if attr.HasField("g") else []), *attr.graphs):
                yield from within(inner)


def tensors(message: Message) -> Iterator[TensorProto]:
    for kind, value in message.ListFields():
        if kind.message_type is not None:
            for part in value if isinstance(value, Sequence) else [value]:
                if kind.message_type.name == "TensorProto":
                    yield part
                else:
                    yield from tensors(part)


def is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == tensor.EXTERNAL


def locations(model: ModelProto) -> tuple[str, ...]:
    paths: dict[str, None] = {}
    for tensor in filter(is_external, tensors(model)):
        for entry in tensor.external_data:
            if entry.key == "location":
                paths[entry.value] = None
    return tuple(paths)


def read(tensor: TensorProto, folder: Path, most: int) -> Array:
    """Read a tensor of at most `most` numbers, from the model or a file in its folder; raise
    `Unread` otherwise.
    """
    _check(tensor, 1)
    if prod(tensor.dims) > most:
        raise Unread("is too large to be read")
    if not is_external(tensor):
        return numbers(tensor)
    return numbers(
        type(tensor)(
            data_type=tensor.data_type, dims=tensor.dims, raw_data=_bytes_of(tensor, folder)
        )
    )


def embed(model: ModelProto, folder: Path) -> None:
    """Read all external data of a model into it; raise `Unread`, naming the tensor."""
    left = MOST_BYTES
    for tensor in filter(is_external, tensors(model)):
        try:
            data = _bytes_of(tensor, folder, left)
        except Unread as error:
            raise Unread(f"{tensor.name} {error}") from None
        left -= len(data)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = data


def _check(tensor: TensorProto, least: int) -> None:
    if (
        tensor.data_type not in BITS
        or len(tensor.dims) > MOST_DIMENSIONS
        or min(tensor.dims, default=1) < least
    ):
        raise Unread("has an unsupported type or shape")


def _bytes_of(tensor: TensorProto, folder: Path, most: int = MOST_BYTES) -> bytes:
    _check(tensor, 0)
    length = -(-prod(tensor.dims) * BITS[tensor.data_type] // 8)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = entries.get("location", "")
    if not is_plain(name):
        raise Unread(f"should be in {name!r}, which is not a file name beside the model")
    start, stored = (
        _number(entries.get(key, ""), other) for key, other in (("offset", 0), ("length", length))
    )
    if stored != length:
        raise Unread(f"has {stored} bytes in {name!r} where its shape has {length}")
    if length > most:
        raise Unread("is too large to be read")
    path = folder / name
    try:
        # no link either: it may lead anywhere
        if path.exists() and not stat.S_ISREG(os.lstat(path).st_mode):
            raise Unread(f"should be in {name!r}, which is not a file beside the model")
        with opened(path, "external data") as file:
            if os.fstat(file.fileno()).st_size < start + length:
                raise Unread(f"should be in {name!r}, which is too short for it")
            file.seek(start)
            return file.read(length)
    except PadvizError as error:
        raise Unread(f"should be in {name!r} beside the model ({error.what})") from None
    except (OSError, OverflowError, ValueError) as error:
        raise Unread(f"cannot be read from {name!r} ({error})") from None


def is_plain(name: str) -> bool:
    """Return whether a name is a file name without a path, on every system.

    >>> is_plain("net.onnx.data"), is_plain("../passwd"), is_plain("C:data"), is_plain("..")
    (True, False, False, False)
    """
    return bool(name) and name.isprintable() and name not in (".", "..") and not {*name} & {*"/\\:"}


def _number(text: str, other: int) -> int:
    if not text:
        return other
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Unread(f"is at {text!r}, which is not a number of bytes")
    return int(text)


def constant(proto: TensorProto, folder: Path) -> Constant:
    """Read the shape of a stored tensor, and its numbers too where they are few and in the file
    itself.
    """
    dims = [max(n, 0) for n in proto.dims]
    most = MOST if proto.data_type in INTEGERS else FEW
    if len(dims) == 1 and proto.data_type in ROWS:
        most = MOST_ROWS
    shape = tuple(plain(n) for n in dims)
    if is_external(proto) or prod(dims) > most or len(dims) > MOST_DIMENSIONS:
        return Constant(shape, later=partial(_stored, proto, folder))
    try:
        return as_constant(numbers(proto))
    except Malformed:
        return Constant(shape)


def as_constant(array: Array) -> Constant:
    return Constant(tuple(plain(n) for n in array.shape), array=array)


def constant_of_node(attrs: Attrs, folder: Path) -> Constant:
    if "value" in attrs:
        return constant(attrs["value"], folder)
    keys = [key for key in attrs if key.startswith(("value_int", "value_float"))]
    if keys:
        return as_constant(np.array(attrs[keys[0]]))
    return Constant(None)


@dataclass
class Budget:
    """The numbers that may still be computed, since a small file can ask for any number of them;
    and those computed.
    """

    left: int = MOST_IN_ALL
    done: dict[object, Array] = field(default_factory=dict)  # by what computed them

    def spend(self, numbers: int) -> None:
        self.left -= numbers + 1  # each step counts
        if self.left < 0:
            raise Unread("takes too many numbers to compute")


def evaluate(value: Constant, budget: Budget) -> Array:
    """Compute the numbers of a constant; raise `Unread` if they are not known, or too many."""
    if value.array is not None:
        return value.array
    if not callable(value.later):
        raise Unread("is not a stored constant")
    try:
        if value.later not in budget.done:
            budget.done[value.later] = value.later(budget)
    except RecursionError:
        raise Unread("takes too many numbers to compute") from None
    return budget.done[value.later]


def _stored(proto: TensorProto, folder: Path, budget: Budget) -> Array:
    budget.spend(0)
    array = read(proto, folder, min(MOST_AT_ONCE, budget.left))
    budget.spend(array.size)
    return array


def folded(
    op: str, attrs: Attrs, of: Sequence[Constant | None], outputs: int, which: int, budget: Budget
) -> Array:
    """Compute one of the outputs of an operation on constants; None stands for an optional one that
    is missing.
    """
    arrays = [None if x is None else evaluate(x, budget) for x in of]
    budget.spend(sum(array.size for array in arrays if array is not None))
    results = None
    with suppress(Malformed):
        results = fold(op, attrs, arrays, outputs, min(MOST_AT_ONCE, budget.left))
    if results is None:
        raise Unread(f"is made by a {op} that padviz does not compute")
    budget.spend(sum(array.size for array in results))
    return results[which]


def fold(
    op: str, attrs: Attrs, arrays: Sequence[Array | None], outputs: int = 1, most: int = MOST
) -> list[Array] | None:
    """Apply an operation to constant arrays; None if it is not in the table, or makes more than
    `most` numbers.

    Raises `Malformed` with numpy's message if the arrays do not fit.

    >>> fold("Concat", {"axis": 0}, [np.array([1, 2]), np.array([3])])
    [array([1, 2, 3])]
    >>> fold("Add", {}, [np.zeros((100, 1)), np.zeros(100)])  # 10,000 numbers
    """
    if op not in FOLDS:
        return None
    given = [array for array in arrays if array is not None]
    try:
        spread = op in BROADCASTING and _broadcast_size(*(array.shape for array in given)) > most
        if spread or (op in GROWING and GROWING[op](attrs, *given) > most):
            return None
        with np.errstate(all="ignore"):
            result = FOLDS[op]({**attrs, "outputs": outputs}, *arrays)
    except UNFIT as error:
        raise Malformed(str(error)) from None
    results = [np.asarray(array) for array in (result if isinstance(result, list) else [result])]
    if all(array.size <= most for array in results):
        return results
    return None


def _broadcast_size(*shapes: Sequence[int]) -> int:
    return prod(
        max(sizes) for sizes in zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1)
    )


def numbers(tensor: TensorProto) -> Array:
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # of onnx, which has many
        raise Malformed(str(error)) from None


def integers(array: Array | None) -> list[int]:
    try:
        if array is None:
            return []
        return [int(n) for n in np.asarray(array).reshape(-1)]
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
    rows = {
        from_front(axis, rank): slice(*ends)
        for axis, *ends in zip(axes, starts, ends, steps, strict=True)
    }
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


def listed(attrs: Attrs, key: str, rest: Sequence[Array | None]) -> list[int]:
    """Read whole numbers from an attribute, or from the input that newer opsets have for it; none
    by default.
    """
    return attrs.get(key) or integers(rest[0] if rest else None)


def axes_of(attrs: Attrs, rest: Sequence[Array | None], rank: int) -> list[int]:
    return [from_front(axis, rank) for axis in listed(attrs, "axes", rest)]


def split_sizes(attrs: Attrs, rest: Sequence[Array | None], size: int, parts: int) -> list[int]:
    """Return the sizes of the parts that a Split makes of `size`: alike, but for the last one, by
    default.
    """
    per_part = ceil(size / max(parts, 1))
    return listed(attrs, "split", rest) or [
        min(per_part, size - per_part * i) for i in range(parts)
    ]


def _slice(attrs: Attrs, data: Array, *rest: Array) -> Array:
    slices = slices_of(attrs, rest, data.ndim)
    return data[tuple(slices.get(axis, slice(None)) for axis in range(data.ndim))]


def _clip(attrs: Attrs, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    ends = (attrs.get("min") if low is None else low, attrs.get("max") if high is None else high)
    if ends == (None, None):
        return x
    return np.clip(x, *ends)


def _reduced(how: Callable[..., Array]) -> Fold:
    def run(attrs: Attrs, data: Array, *rest: Array) -> Array:
        axes = tuple(listed(attrs, "axes", rest))
        if not axes and attrs.get("noop_with_empty_axes"):
            return data
        return how(data, axis=axes or None, keepdims=bool(attrs.get("keepdims", 1)))

    return run


def _div(attrs: Attrs, a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        whole = np.abs(a) // np.abs(b)  # ONNX rounds towards zero
        return (whole * np.sign(a) * np.sign(b)).astype(a.dtype)
    return a / b


def _filled(attrs: Attrs, shape: Array) -> Array:
    if "value" in attrs:
        value = numbers(attrs["value"]).reshape(-1)[:1]
    else:
        value = np.zeros(1, dtype=np.float32)
    if not value.size:
        raise Malformed("it is filled with no number")
    return np.full(integers(shape), value)


def _split(attrs: Attrs, data: Array, *rest: Array) -> list[Array]:
    axis = attrs.get("axis", 0)
    sizes = split_sizes(attrs, rest, data.shape[axis], attrs["outputs"])
    return np.split(data, np.cumsum(sizes)[:-1].tolist(), axis)


GROWING: dict[str, Callable[..., float]] = {  # bounds of how many numbers they make
    "ConstantOfShape": lambda attrs, shape: prod(integers(shape)),
    "Expand": lambda attrs, data, shape: _broadcast_size(data.shape, integers(shape)),
    "Gather": lambda attrs, data, at: (
        data.size // max(data.shape[attrs.get("axis", 0)], 1) * at.size
    ),
    "Range": lambda attrs, start, stop, step: (
        abs(float(stop) - float(start)) / max(abs(float(step)), 1e-9)
    ),
    "Tile": lambda attrs, data, repeats: prod(integers(repeats)) * data.size,
}
ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseNot": np.bitwise_not,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "Ceil": np.ceil,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Round": np.round,
    "Sign": np.sign,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Where": np.where,
    "Xor": np.logical_xor,
}
BROADCASTING = {*ELEMENTWISE, "Clip", "Div", "Max", "Min", "Mod"}
FOLDS: dict[str, Fold] = {
    **{op: lambda attrs, *arrays, how=how: how(*arrays) for op, how in ELEMENTWISE.items()},
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
    "Mod": lambda attrs, a, b: (
        np.fmod(a, b) if attrs.get("fmod") else np.mod(a, np.where(b == 0, 1, b))
    ),
    "NonZero": lambda attrs, x: np.array(np.nonzero(x)),
    "Range": lambda attrs, *ends: np.arange(*(end.item() for end in ends)).astype(ends[0].dtype),
    "ReduceMax": _reduced(np.max),
    "ReduceMean": _reduced(np.mean),
    "ReduceMin": _reduced(np.min),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": lambda attrs, x, shape: x.reshape(
        new_shape(x.shape, integers(shape), attrs.get("allowzero", 0))
    ),
    "Slice": _slice,
    "Split": _split,
    "Squeeze": lambda attrs, x, *rest: np.squeeze(x, (*listed(attrs, "axes", rest),) or None),
    "Tile": lambda attrs, x, repeats: np.tile(x, integers(repeats)),
    "Transpose": lambda attrs, x: np.transpose(x, attrs.get("perm")),
    "Unsqueeze": lambda attrs, x, *rest: np.expand_dims(x, (*listed(attrs, "axes", rest),)),
}
