"""Constants of an ONNX graph: shapes and few numbers are read at once, all other numbers only where they matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from padviz.sources.onnx.external import MOST_DIMENSIONS, Unread, is_external, numbers, read
from padviz.sources.onnx.folding import MOST, Array, Attrs, Malformed, fold
from padviz.sources.tracing.arranging import Constant
from padviz.sources.tracing.axis_labels import plain

if TYPE_CHECKING:
    from onnx import TensorProto

INTEGERS = (2, 3, 4, 5, 6, 7, 9, 12, 13)  # TensorProto.DataType of shapes and pads
FEW = 16  # numbers of any other type: scales
ROWS = (6, 7)  # TensorProto.DataType of lists of rows
MOST_ROWS = 1 << 20
MOST_AT_ONCE = 1 << 22  # numbers in an array
MOST_IN_ALL = 1 << 26  # numbers that are made and read while a graph is traced


def constant(proto: TensorProto, folder: Path) -> Constant:
    """Read the shape of a stored tensor, and its numbers too where they are few and in the file itself."""
    dims = [max(n, 0) for n in proto.dims]
    most = MOST if proto.data_type in INTEGERS else FEW
    if len(dims) == 1 and proto.data_type in ROWS:
        most = MOST_ROWS
    shape = tuple(plain(n) for n in dims)
    if is_external(proto) or prod(dims) > most or len(dims) > MOST_DIMENSIONS:
        return Constant(shape, later=StoredTensor(proto, folder))
    try:
        return as_constant(numbers(proto))
    except Malformed:
        return Constant(shape)


def as_constant(array: Array) -> Constant:
    return Constant(tuple(plain(n) for n in array.shape), array=array)


def constant_of_node(attrs: dict[str, Any], folder: Path) -> Constant:
    """Read a Constant node."""
    if "value" in attrs:
        return constant(attrs["value"], folder)
    keys = [key for key in attrs if key.startswith(("value_int", "value_float"))]
    return as_constant(np.array(attrs[keys[0]])) if keys else Constant(None)


def fold_attributes(op: str, attrs: Attrs, outputs: int) -> Attrs:
    """Add the number of outputs to the attributes, and the number that a ConstantOfShape repeats."""
    more: Attrs = {"outputs": outputs}
    if op == "ConstantOfShape" and "value" in attrs:
        more["filled"] = numbers(attrs["value"]).reshape(-1)[:1]
        if not more["filled"].size:
            raise Malformed("it is filled with no number")
    return attrs | more


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor whose numbers are in the model, or in another file of its folder."""

    proto: TensorProto
    folder: Path


@dataclass(frozen=True, slots=True, eq=False)
class Deferred:
    """One of the outputs of an operation on constants; None stands for an optional one that is missing."""

    op: str
    attrs: Attrs
    of: Sequence[Constant | None]
    outputs: int
    which: int


@dataclass
class Budget:
    """The numbers that may still be computed, since a small file can ask for any number of them.

    >>> Budget(1).spend(0)  # a step that makes none
    >>> Budget(1).spend(1)
    Traceback (most recent call last):
        ...
    padviz.sources.onnx.external.Unread: takes too many numbers to compute
    """

    left: int = MOST_IN_ALL

    def spend(self, numbers: int) -> None:
        self.left -= numbers + 1  # each step counts
        if self.left < 0:
            raise Unread("takes too many numbers to compute")


def evaluate(value: Constant, budget: Budget) -> Array:
    """Compute the numbers of a constant; raise `Unread` if they are not known, or too many."""
    done: dict[object, Array] = {}

    def computed(x: Constant) -> Array | None:
        return done.get(x.later) if x.array is None else x.array

    pending = [value]  # no recursion: chains may be long
    while pending:
        top = pending[-1]
        made_of = top.later.of if top.array is None and isinstance(top.later, Deferred) else ()
        if missing := [x for x in made_of if x is not None and computed(x) is None]:
            pending += missing
            continue
        pending.pop()
        if computed(top) is None:
            arrays = [None if x is None else computed(x) for x in made_of]
            done[top.later] = _compute(top.later, arrays, budget)
    numbers = computed(value)
    assert numbers is not None
    return numbers


def _compute(later: object, arrays: Sequence[Array | None], budget: Budget) -> Array:
    if isinstance(later, StoredTensor):
        budget.spend(0)
        stored = read(later.proto, later.folder, min(MOST_AT_ONCE, budget.left))
        budget.spend(stored.size)
        return stored
    if not isinstance(later, Deferred):
        raise Unread("is not a stored constant")
    budget.spend(sum(array.size for array in arrays if array is not None))
    try:
        attrs = fold_attributes(later.op, later.attrs, later.outputs)
        results = fold(later.op, attrs, arrays, min(MOST_AT_ONCE, budget.left))
    except Malformed:
        results = None
    if results is None:
        raise Unread(f"is made by a {later.op} that padviz does not compute")
    budget.spend(sum(array.size for array in results))
    return results[later.which]
