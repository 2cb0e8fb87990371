"""What onnxruntime knows of a file, and an independent count of paths: the all-ones copy of its nodes, differentiated.

Nothing is imported from padviz. Every tensor becomes one height x width plane; a convolution or a pool adds
its taps, a merge adds its branches, what acts on each position alone does nothing. Shapes, and the numbers
that slices and pads are made of, are those that onnxruntime computes when it runs the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

MERGES = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow")
ADDS = ("Add", "Sum")
LINEAR = (
    "BatchNormalization",
    "Cast",
    "Identity",
    "Dropout",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Split",
)


def session_of(model: Any, optimised: bool = False) -> onnxruntime.InferenceSession:
    """A model, or the bytes or the path of its file, as onnxruntime runs it."""
    content = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run_file(content: Any, image: NDArray[Any], optimised: bool = True) -> list[NDArray[Any]]:
    """The outputs of a model for one image."""
    session = session_of(content, optimised)
    return list(session.run(None, {session.get_inputs()[0].name: image}))


def image_of(model: onnx.ModelProto) -> Any:
    stored = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in stored]
    return next(each for each in inputs if len(each.type.tensor_type.shape.dim) == 4)


def is_nhwc(model: onnx.ModelProto) -> bool:
    dims = [dim.dim_value for dim in image_of(model).type.tensor_type.shape.dim]
    return dims[3] in (1, 3) and dims[1] not in (1, 3)


def opened(model: onnx.ModelProto, ends: Sequence[str]) -> onnx.ModelProto:
    """A copy whose outputs are all tensors on the way to `ends`, and which declares no height and width."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    wanted, kept = set(ends), []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    for field in ("node", "output", "value_info"):
        copy.graph.ClearField(field)
    copy.graph.node.extend(kept[::-1])
    made = [name for node in kept[::-1] for name in node.output if name]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    for i, dim in enumerate(image_of(copy).type.tensor_type.shape.dim):
        if i != (3 if is_nhwc(model) else 1):
            dim.dim_param = f"open{i}"
    return copy


def run(
    model: onnx.ModelProto, size: tuple[int, int], ends: Sequence[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Every tensor on the way to `ends` (all outputs by default) when the file runs on an image of `size`."""
    copy = opened(model, ends or [output.name for output in model.graph.output])
    image = image_of(copy)
    dims = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    shape = (1, *size, dims[3]) if is_nhwc(model) else (1, dims[1] or 3, *size)
    kind = helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type)
    session = session_of(copy)
    fed = {image.name: np.random.default_rng(0).random(shape).astype(kind)}
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, fed), strict=True)) | fed
    for each in model.graph.initializer:
        if each.data_location != TensorProto.EXTERNAL:
            found[each.name] = numpy_helper.to_array(each)
    return found


@dataclass(frozen=True)
class Plane:
    """One tensor: its plane, the dimensions that are height and width, and where it came from.

    `root` is the last tensor that is more than a pointwise function of another; `acted` whether such a
    function was applied since. Vectors are what global pooling left, scores what attention weighs by.
    """

    plane: Tensor
    axes: tuple[int, int]
    root: str
    acted: bool = False
    vector: bool = False
    scores: bool = False


def paths(
    model: onnx.ModelProto, size: tuple[int, int], ends: Sequence[str], known: dict[str, Any]
) -> Any:
    """Paths from each pixel to the tensors `ends`, a float64 array; `known` is what `run` found."""
    image = image_of(model)
    pixels = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    planes = {image.name: Plane(pixels, (1, 2) if is_nhwc(model) else (2, 3), image.name)}
    wanted = set(ends)
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
    for node in model.graph.node:
        if (
            not wanted & set(node.output)
            or not any(name in planes for name in node.input)
            or node.op_type == "Shape"
        ):
            continue
        made = follow(node, planes, known)
        planes.update((name, made) for name in node.output)
    sum(planes[name].plane.sum() for name in ends).backward()
    assert pixels.grad is not None
    return pixels.grad.numpy()


def follow(node: onnx.NodeProto, planes: dict[str, Plane], known: dict[str, Any]) -> Plane:
    maps = [planes[name] for name in node.input if name in planes]
    x, out, op = maps[0], node.output[0], node.op_type
    attrs = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    shape = known[out].shape
    if op in ("Conv", "MaxPool", "AveragePool", "ConvTranspose"):
        kernel = attrs.get("kernel_shape") or known[node.input[1]].shape[2:]
        assert attrs.get("auto_pad", b"NOTSET") == b"NOTSET"
        numbers = (
            attrs.get(key) or plain
            for key, plain in (("strides", [1, 1]), ("dilations", [1, 1]), ("pads", [0, 0]))
        )
        slide = upward if op == "ConvTranspose" else windowed
        return Plane(slide(x.plane, kernel, *numbers, shape[2:]), (2, 3), out, vector=x.vector)
    if op.startswith("Global") or (op == "ReduceMean" and is_global(node, attrs, x, known)):
        return Plane(x.plane.sum().reshape(1, 1), x.axes, out, vector=True)
    if op == "Resize":
        return Plane(resized(node, x, known), x.axes, out)
    if op == "Pad":
        return Plane(padded(x, attrs, node, known), x.axes, out)
    if op == "Slice":
        return sliced(x, node, known)
    if op == "Concat" and attrs["axis"] % len(shape) in x.axes and not x.vector:
        return Plane(
            torch.cat([each.plane for each in maps], x.axes.index(attrs["axis"] % len(shape))),
            x.axes,
            out,
        )
    if op == "MatMul" and len(maps) == 2:
        if any(each.scores for each in maps):
            return Plane(torch.ones_like(x.plane) * maps[1].plane.sum(), x.axes, out)
        return replace(x, scores=True, root=out)
    if op in ("MatMul", "Gemm"):
        return replace(x, root=out, acted=False)
    if op in MERGES or op == "Concat":
        return merged(op, maps, out, same=len(set(node.input)) == 1)
    if op == "Transpose":
        order = list(attrs["perm"])
        moved = tuple(order.index(axis) for axis in x.axes) if len(order) == 4 else x.axes
        return replace(x, axes=moved)
    return replace(x, acted=x.acted or op not in LINEAR)


def merged(op: str, maps: Sequence[Plane], out: str, same: bool) -> Plane:
    vectors = [each for each in maps if each.vector]
    images = [each for each in maps if not each.vector]
    if len(maps) == 1:
        return replace(maps[0], acted=maps[0].acted or op == "Pow")
    if images and vectors and op != "Concat":
        plane = images[0].plane
        for other in images[1:] + (vectors if op in ADDS else []):
            plane = plane + other.plane
        return replace(images[0], plane=plane, root=out, acted=False)
    if len({each.root for each in maps}) == 1 and op != "Concat":
        squared = same and op == "Mul"
        if squared or any(each.acted for each in maps):
            return replace(maps[0], acted=True)
    plane = maps[0].plane
    for other in maps[1:]:
        plane = plane + other.plane
    return replace(maps[0], plane=plane, root=out, acted=False)


def is_global(node: onnx.NodeProto, attrs: dict[str, Any], x: Plane, known: dict[str, Any]) -> bool:
    given = attrs.get("axes") or (
        known[node.input[1]].tolist() if len(node.input) > 1 else range(4)
    )
    rank = known[node.input[0]].ndim
    return rank == 4 and {axis % rank for axis in given} >= {*x.axes}


def windowed(x: Tensor, kernel: Any, strides: Any, dilations: Any, pads: Any, out: Any) -> Tensor:
    """Sum over the taps; the padding after the last row is whatever the number of outputs needs."""
    around: list[int] = []
    for i in (1, 0):
        extent = dilations[i] * (kernel[i] - 1) + 1
        total = (out[i] - 1) * strides[i] + extent - x.shape[i]
        around += [pads[i], total - pads[i]]
    ones = torch.ones((1, 1, *kernel), dtype=x.dtype)
    padded = functional.pad(x[None, None], around)
    return functional.conv2d(padded, ones, stride=tuple(strides), dilation=tuple(dilations))[0, 0]


def upward(x: Tensor, kernel: Any, strides: Any, dilations: Any, pads: Any, out: Any) -> Tensor:
    ones = torch.ones((1, 1, *kernel), dtype=x.dtype)
    full = functional.conv_transpose2d(
        x[None, None], ones, stride=tuple(strides), dilation=tuple(dilations)
    )[0, 0]
    around: list[int] = []
    for i in (1, 0):
        total = full.shape[i] - out[i]
        around += [-pads[i], pads[i] - total]
    return functional.pad(full[None, None], around)[0, 0]


def resized(node: onnx.NodeProto, x: Plane, known: dict[str, Any]) -> Tensor:
    """Which rows are read is what onnxruntime itself makes of unit vectors, one axis at a time."""
    rows, cols = (resize_matrix(node, x.plane.shape[i], x.axes[i], known) for i in (0, 1))
    return torch.from_numpy(rows) @ x.plane @ torch.from_numpy(cols).T


def resize_matrix(
    node: onnx.NodeProto, n: int, axis: int, known: dict[str, Any]
) -> NDArray[np.float64]:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    given: dict[str, NDArray[Any]] = {}
    shape = known[node.output[0]].shape
    for i, name in enumerate(node.input[1:], start=1):
        if name and known[name].size:
            last = i == 3
            plain = [n, 1, 1, n] if last else [1, 1, 1, 1]
            plain[2] = shape[axis] if last else known[name].reshape(-1)[axis]
            given[name] = np.array(plain, dtype=known[name].dtype)
            if last:
                given[name][:2] = 1
        elif name:
            given[name] = known[name]
    inputs = [helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, [1, 1, n, n])]
    stored = [numpy_helper.from_array(value, name) for name, value in given.items()]
    output = [onnx.ValueInfoProto(name=node.output[0])]
    graph = helper.make_graph([copy], "resize", inputs, output, stored)
    version = int(known["opset"])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    found = session_of(model).run(None, {node.input[0]: np.eye(n, dtype=np.float32)[None, None]})[
        0
    ][0, 0]
    return (np.abs(found) > 1e-6).astype(np.float64)


def padded(x: Plane, attrs: dict[str, Any], node: onnx.NodeProto, known: dict[str, Any]) -> Tensor:
    amounts = list(attrs.get("pads") or known[node.input[1]].tolist())
    rank = len(amounts) // 2
    around = [amounts[axis + side * rank] for axis in x.axes[::-1] for side in (0, 1)]
    assert attrs.get("mode", b"constant") == b"constant"
    return functional.pad(x.plane, around)


def sliced(x: Plane, node: onnx.NodeProto, known: dict[str, Any]) -> Plane:
    values = [known[name].tolist() if name else None for name in node.input[1:]] + [None, None]
    starts, ends, axes, steps = values[:4]
    rank = known[node.input[0]].ndim
    found = x
    for axis, start, end, step in zip(
        axes or range(rank), starts, ends, steps or [1] * len(starts), strict=True
    ):
        if axis % rank in x.axes:
            taken = [slice(None), slice(None)]
            taken[x.axes.index(axis % rank)] = slice(start, min(end, 1 << 30), step)
            whole = found.plane[tuple(taken)]
            if whole.shape != found.plane.shape:
                found = replace(found, plane=whole, root=f"{node.output[0]}:{axis}", acted=False)
    return found
