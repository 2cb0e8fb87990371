"""Constants of an ONNX graph: few numbers are read at once, all others only where they matter.

External data is read only from the model's own folder, by plain names: no link or path is followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padviz.errors import PadvizError
from padviz.files.opened import opened
from padviz.sources.onnx.folding import MOST, Array, Attrs, fold, numbers
from padviz.sources.tracing.arranging import Constant, Malformed
from padviz.sources.tracing.dims import plain

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, TensorProto

MOST_BYTES = 1 << 31  # that protobuf takes
MOST_DIMENSIONS = 8
# TensorProto.DataType: bits of a number
BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
        17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2}  # fmt: skip
INTEGERS = (2, 3, 4, 5, 6, 7, 9, 12, 13)  # TensorProto.DataType of shapes and pads
FEW = 16  # numbers of any other type: scales
ROWS = (6, 7)  # TensorProto.DataType of lists of rows
MOST_ROWS = 1 << 20
MOST_AT_ONCE = 1 << 22  # numbers in an array
MOST_IN_ALL = 1 << 26  # numbers that are made and read while a graph is traced
Done = dict[object, Array]  # the numbers of constants, by what computed them


class Unread(Exception):
    """The numbers of a constant are not known; the message is a verb phrase with the reason."""


def within(graph: GraphProto | FunctionProto) -> Iterator[GraphProto | FunctionProto]:
    """Yield a graph or a function, and the graphs of branches and loops inside it."""
    yield graph
    for node in graph.node:
        for attr in node.attribute:
            for inner in (*([attr.g] if attr.HasField("g") else []), *attr.graphs):
                yield from within(inner)


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Yield all tensors of a model, wherever they are."""
    trained = [graph for info in model.training_info for graph in (info.initialization, info.algorithm)]
    for top in (model.graph, *model.functions, *trained):
        for graph in within(top):
            every = [attr for node in graph.node for attr in node.attribute]
            every += getattr(graph, "attribute_proto", ())  # of a function
            sparse = [*getattr(graph, "sparse_initializer", ())]
            yield from getattr(graph, "initializer", ())
            for attr in every:
                yield from (attr.t, *attr.tensors)
                sparse += (attr.sparse_tensor, *attr.sparse_tensors)
            yield from (part for pair in sparse for part in (pair.values, pair.indices))


def is_external(tensor: TensorProto) -> bool:
    return tensor.data_location == tensor.EXTERNAL


def locations(model: ModelProto) -> tuple[str, ...]:
    """List the names of the files with external data, including those of branches and functions."""
    every = (entry for tensor in tensors(model) if is_external(tensor) for entry in tensor.external_data)
    return tuple(dict.fromkeys(entry.value for entry in every if entry.key == "location"))


def read(tensor: TensorProto, folder: Path, most: int) -> NDArray[Any]:
    """Read a tensor of at most `most` numbers, from the model or a file in its folder; raise `Unread` otherwise."""
    _check(tensor, 1)
    if prod(tensor.dims) > most:
        raise Unread("is too large to be read")
    if not is_external(tensor):
        return numbers(tensor)
    return numbers(type(tensor)(data_type=tensor.data_type, dims=tensor.dims, raw_data=_bytes_of(tensor, folder)))


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
    """Reject strings, too many dimensions, and dimensions below `least`."""
    if tensor.data_type not in BITS or len(tensor.dims) > MOST_DIMENSIONS or min(tensor.dims, default=1) < least:
        raise Unread("has an unsupported type or shape")


def _bytes_of(tensor: TensorProto, folder: Path, most: int = MOST_BYTES) -> bytes:
    _check(tensor, 0)
    length = -(-prod(tensor.dims) * BITS[tensor.data_type] // 8)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = entries.get("location", "")
    if not is_plain(name):
        raise Unread(f"should be in {name!r}, which is not a file name beside the model")
    start, stored = (_number(entries.get(key, ""), other) for key, other in (("offset", 0), ("length", length)))
    if stored != length:
        raise Unread(f"has {stored} bytes in {name!r} where its shape has {length}")
    if length > most:
        raise Unread("is too large to be read")
    path = folder / name
    try:
        if path.exists() and not stat.S_ISREG(os.lstat(path).st_mode):  # no link either: it may lead anywhere
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
    """Read the shape of a stored tensor, and its numbers too where they are few and in the file itself."""
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


def constant_of_node(attrs: dict[str, Any], folder: Path) -> Constant:
    if "value" in attrs:
        return constant(attrs["value"], folder)
    keys = [key for key in attrs if key.startswith(("value_int", "value_float"))]
    return as_constant(np.array(attrs[keys[0]])) if keys else Constant(None)


@dataclass
class Budget:
    """The numbers that may still be computed, since a small file can ask for any number of them."""

    left: int = MOST_IN_ALL

    def spend(self, numbers: int) -> None:
        self.left -= numbers + 1  # each step counts
        if self.left < 0:
            raise Unread("takes too many numbers to compute")


def evaluate(value: Constant, budget: Budget) -> Array:
    """Compute the numbers of a constant; raise `Unread` if they are not known, or too many."""
    try:
        return _evaluated(value, budget, {})
    except RecursionError:
        raise Unread("takes too many numbers to compute") from None


def _evaluated(value: Constant, budget: Budget, done: Done) -> Array:
    if value.array is not None:
        return value.array
    if not callable(value.later):
        raise Unread("is not a stored constant")
    if value.later not in done:
        done[value.later] = value.later(budget, done)
    return done[value.later]


def _stored(proto: TensorProto, folder: Path, budget: Budget, done: Done) -> Array:
    budget.spend(0)
    array = read(proto, folder, min(MOST_AT_ONCE, budget.left))
    budget.spend(array.size)
    return array


def folded(
    op: str, attrs: Attrs, of: Sequence[Constant | None], outputs: int, which: int, budget: Budget, done: Done
) -> Array:
    """Compute one of the outputs of an operation on constants; None stands for an optional one that is missing."""
    arrays = [None if x is None else _evaluated(x, budget, done) for x in of]
    budget.spend(sum(array.size for array in arrays if array is not None))
    results = None
    with suppress(Malformed):
        results = fold(op, attrs, arrays, outputs, min(MOST_AT_ONCE, budget.left))
    if results is None:
        raise Unread(f"is made by a {op} that padviz does not compute")
    budget.spend(sum(array.size for array in results))
    return results[which]
