"""What the inputs of a graph beside the image are: constants of the shapes that they declare or are given."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from padviz.errors import OptionError
from padviz.network.network import Size
from padviz.sources.onnx.constants.stored import FEW, known
from padviz.sources.onnx.model import Model
from padviz.sources.tracing.arranging import Constant
from padviz.sources.tracing.axis_labels import plain
from padviz.sources.tracing.reading import Reading, sized

Proto = Any


class Beside:
    """The inputs beside the image at a size: `constants` by name."""

    def __init__(self, model: Model, reading: Reading, size: Size) -> None:
        self.where, image = model.where, model.image
        sizes = {axis: n for axis, n in zip(image.axes, size, strict=True) if not image.shape[axis]}
        dims = enumerate(image.proto.type.tensor_type.shape.dim)
        self.open = {dim.dim_param: sizes.get(at, image.shape[at] or 1) for at, dim in dims if dim.dim_param}
        self.constants = {name: self._constant(name, proto, reading, size) for name, proto in model.further.items()}

    def _constant(self, name: str, proto: Proto, reading: Reading, size: Size) -> Constant:
        declared = self._declared(proto)
        if name not in reading.shapes:
            shape = None if declared is None or None in declared else declared
            return Constant(None if shape is None else tuple(plain(n or 0) for n in shape))
        value = sized(name, reading.shapes[name], size, self.where)
        if not isinstance(value, tuple):
            return self._number(name, proto, value, declared)
        if declared is not None:
            fits = len(declared) == len(value) and all(own in (None, n) for own, n in zip(declared, value, strict=True))
            if not fits:
                wanted = "x".join("N" if n is None else str(n) for n in declared)
                raise self._refusal(f"{name!r} is declared as {wanted or 'a number'}", f"{name}={wanted or 1}")
        return Constant(tuple(map(plain, value)))

    def _declared(self, proto: Proto) -> list[int | None] | None:
        """Read the shape of an input as far as the file declares it; dimensions called as the image's are as large."""
        kind = proto.type.tensor_type
        if not kind.HasField("shape"):
            return None
        return [dim.dim_value if dim.dim_value > 0 else self.open.get(dim.dim_param) for dim in kind.shape.dim]

    def _number(self, name: str, proto: Proto, value: float, declared: list[int | None] | None) -> Constant:
        """Fill the shape of an input, as far as it is known and small, with a number."""
        from onnx import TensorProto, helper

        shape = [n or 1 for n in declared or ()]
        if prod(shape) > FEW:
            raise self._refusal(f"{name!r} has {prod(shape)} numbers", f"{name}={'x'.join(map(str, shape))}")
        kind = proto.type.tensor_type.elem_type
        numeric = kind in TensorProto.DataType.values() and kind not in (TensorProto.UNDEFINED, TensorProto.STRING)
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind)) if numeric else np.dtype(float)
        with np.errstate(all="ignore"):
            array = np.full(shape, value).astype(dtype)
        if dtype.kind in "iub" and (array != value).any():
            raise self._refusal(f"{name!r} takes numbers of type {dtype}", f"{name}=1")
        return known(array)

    def _refusal(self, what: str, hint: str) -> OptionError:
        return OptionError(what, option="shape", where=self.where, hint=f"`shape` {hint}")
