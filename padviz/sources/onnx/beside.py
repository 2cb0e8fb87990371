"""What the inputs of a graph beside the image are: constants of the shapes that they declare or are given."""

from __future__ import annotations

from math import prod

import numpy as np

from padviz.errors import OptionError
from padviz.network.network import Size
from padviz.sources.onnx.constants.stored import FEW, known
from padviz.sources.onnx.model import Model
from padviz.sources.tracing.arranging import Constant
from padviz.sources.tracing.axis_labels import plain
from padviz.sources.tracing.reading import Reading, sized


def constants_beside(model: Model, reading: Reading, size: Size) -> dict[str, Constant]:
    """Make what the inputs beside the image are at a size; a dimension that is called as one of its is as large."""
    image, where = model.image, model.where
    sizes = {axis: n for axis, n in zip(image.axes, size, strict=True) if not image.shape[axis]}
    dims = enumerate(image.proto.type.tensor_type.shape.dim)
    named = {dim.dim_param: sizes.get(at, image.shape[at] or 1) for at, dim in dims if dim.dim_param}
    constants: dict[str, Constant] = {}
    for name, proto in model.further.items():
        kind = proto.type.tensor_type
        declared: list[int | None] | None = None
        if kind.HasField("shape"):
            declared = [dim.dim_value if dim.dim_value > 0 else named.get(dim.dim_param) for dim in kind.shape.dim]
        if name not in reading.shapes:
            shape = None if declared is None or None in declared else declared
            constants[name] = Constant(None if shape is None else tuple(plain(n or 0) for n in shape))
            continue
        value = sized(name, reading.shapes[name], size, where)
        if not isinstance(value, tuple):
            constants[name] = _filled(name, kind.elem_type, value, declared, where)
            continue
        own = value if declared is None else declared
        if len(own) != len(value) or any(n not in (None, m) for n, m in zip(own, value, strict=True)):
            wanted = "x".join("N" if n is None else str(n) for n in own)
            raise _refusal(f"{name!r} is declared as {wanted or 'a number'}", where, f"{name}={wanted or 1}")
        constants[name] = Constant(tuple(map(plain, value)))
    return constants


def _filled(name: str, kind: int, value: float, declared: list[int | None] | None, where: str) -> Constant:
    """Fill the shape of an input, as far as it is known and small, with a number."""
    from onnx import TensorProto, helper

    shape = [n or 1 for n in declared or ()]
    if prod(shape) > FEW:
        raise _refusal(f"{name!r} has {prod(shape)} numbers", where, f"{name}={'x'.join(map(str, shape))}")
    numeric = kind in TensorProto.DataType.values() and kind not in (TensorProto.UNDEFINED, TensorProto.STRING)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind)) if numeric else np.dtype(float)
    with np.errstate(all="ignore"):
        array = np.full(shape, value).astype(dtype)
    if dtype.kind in "iub" and (array != value).any():
        raise _refusal(f"{name!r} takes numbers of type {dtype}", where, f"{name}=1")
    return known(array)


def _refusal(what: str, where: str, hint: str) -> OptionError:
    return OptionError(what, option="shape", where=where, hint=f"`shape` {hint}")
