"""Tensors that an ONNX file stores: their shapes, and few numbers at once; all others are read where they matter."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from padviz.sources.onnx.constants.external import MOST_DIMENSIONS, is_external, numbers, read
from padviz.sources.onnx.constants.folding import MOST, Array
from padviz.sources.tracing.arranging import Value
from padviz.sources.tracing.axis_labels import plain

INTEGERS = (2, 3, 4, 5, 6, 7, 9, 12, 13)  # TensorProto.DataType: what shapes and pads are made of
FEW = 16  # numbers of any other type: scales
MOST_ALONG = 1 << 20  # or of those that say which rows are read
WHOLE = (6, 7)  # TensorProto.DataType: of numbers of rows
BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
Proto = Any


def constant(proto: Proto, folder: Path) -> Value:
    """A stored tensor: its shape, and its numbers at once where there are few and they are in the file itself."""
    dims = [max(n, 0) for n in proto.dims]
    most = MOST if proto.data_type in INTEGERS else FEW
    if len(dims) == 1 and proto.data_type in WHOLE:
        most = MOST_ALONG
    shape = tuple(plain(n) for n in dims)
    if not is_external(proto) and prod(dims) <= most and len(dims) <= MOST_DIMENSIONS:
        try:
            array = numbers(proto)
        except BROKEN:
            return Value(shape)
        return known(array)
    return Value(shape, later=Stored(proto, folder))


def known(array: Array) -> Value:
    """A constant by its numbers."""
    return Value(tuple(plain(n) for n in array.shape), array=array)


def literal(attrs: dict[str, Any], folder: Path) -> Value:
    """What a Constant node holds."""
    if "value" in attrs:
        return constant(attrs["value"], folder)
    found = [known(np.array(value)) for key, value in attrs.items() if key.startswith(("value_int", "value_float"))]
    return found[0] if found else Value(None)


def filled_with(proto: Proto | None) -> Any:
    """The number that a ConstantOfShape is filled with."""
    return np.float32(0) if proto is None else numbers(proto).reshape(-1)[0]


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor whose numbers are in the model, or in a file of the folder that it is in."""

    proto: Proto
    folder: Path

    def read(self, most: int) -> Array:
        """Its numbers, no more than `most`; or why they are not known, as `Unread`."""
        return read(self.proto, self.folder, most)
