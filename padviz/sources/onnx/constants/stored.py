"""Tensors that an ONNX file stores: their shapes, and few numbers at once; all others are read where they matter.

Numbers that lie in another file are only read from one beside the model, by a plain name, within its size.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from padviz.errors import PadvizError, let_through
from padviz.files.opened import opened
from padviz.sources.onnx.constants.folding import MOST, Array
from padviz.sources.tracing.arranging import Value
from padviz.sources.tracing.axis_labels import plain

EXTERNAL = 1  # TensorProto.DataLocation
INTEGERS = (2, 3, 4, 5, 6, 7, 9, 12, 13)  # TensorProto.DataType: what shapes and pads are made of
FEW = 16  # numbers of any other type: scales
MOST_ALONG = 1 << 20  # or of those that say which rows are read
WHOLE = (6, 7)  # TensorProto.DataType: of numbers of rows
BYTES = {1: 4, 6: 4, 7: 8, 10: 2, 11: 8, 16: 2}  # TensorProto.DataType, of floats and integers: bytes of a number
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


class Unread(Exception):
    """Why the numbers of a constant are not known."""


def constant(proto: Proto, folder: Path) -> Value:
    """A stored tensor: its shape, and its numbers at once where there are few and they are in the file itself."""
    dims = [max(n, 0) for n in proto.dims]
    most = MOST if proto.data_type in INTEGERS else FEW
    if len(dims) == 1 and proto.data_type in WHOLE:
        most = MOST_ALONG
    shape = tuple(plain(n) for n in dims)
    if proto.data_location != EXTERNAL and prod(dims) <= most and len(dims) <= 8:
        try:
            return known(numbers(proto))
        except BROKEN:
            return Value(shape)
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


def numbers(proto: Proto) -> Array:
    """The numbers of a tensor that has them in the file itself."""
    from onnx import numpy_helper

    return np.asarray(numpy_helper.to_array(proto))


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor whose numbers are in the model, or in a file of the folder that it is in."""

    proto: Proto
    folder: Path

    def read(self, most: int) -> Array:
        """Its numbers, which must be floats or integers, and no more than `most`.

        Raises
        ------
        Unread
            Saying why.
        """
        dims, kind = [*self.proto.dims], self.proto.data_type
        if kind not in BYTES or len(dims) > 8 or min(dims, default=1) < 1:
            raise Unread("is stored in a form that is not read")
        if prod(dims) > most:
            raise Unread("is too large to be read")
        if self.proto.data_location != EXTERNAL:
            return numbers(self.proto)
        whole = type(self.proto)(data_type=kind, dims=dims)
        whole.raw_data = self._bytes(prod(dims) * BYTES[kind])
        return numbers(whole)

    def _bytes(self, length: int) -> bytes:
        """The bytes of a tensor in its file, which must have so many where it says."""
        told = {each.key: each.value for each in self.proto.external_data}
        name = told.get("location", "")
        if not is_plain(name):
            raise Unread(f"should be in {name!r}, which is no name of a file beside the model")
        start, said = (_number(told.get(key, ""), other) for key, other in (("offset", 0), ("length", length)))
        if said != length:
            raise Unread(f"has {said} bytes in {name!r} where its shape has {length}")
        path = self.folder / name
        try:
            if path.exists() and not stat.S_ISREG(os.lstat(path).st_mode):  # no link either: it may lead anywhere
                raise Unread(f"should be in {name!r}, which is no file beside the model")
            with opened(path, "external data") as file:
                file.seek(start)
                found = file.read(length)
        except PadvizError as error:
            raise Unread(f"should be in {name!r} beside the model ({error.what})") from None
        except (OSError, OverflowError, ValueError) as error:
            let_through(error)
            raise Unread(f"cannot be read of {name!r} ({error})") from None
        if len(found) < length:
            raise Unread(f"should be in {name!r}, which is too short for it")
        return found


def is_plain(name: str) -> bool:
    """Whether a name is that of a file in the same folder, on every system.

    >>> is_plain("net.onnx.data"), is_plain("../passwd"), is_plain("C:data"), is_plain("..")
    (True, False, False, False)
    """
    return bool(name) and name.isprintable() and name not in (".", "..") and not {*name} & {*"/\\:"}


def _number(text: str, other: int) -> int:
    """An offset or a length, as text; what it is where there is none."""
    if not text:
        return other
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Unread(f"is at {text!r}, which is no number of bytes")
    return int(text)
