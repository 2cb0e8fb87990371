"""A file run node by node, with convolutions padded by hand: numpy pads, and onnxruntime convolves without padding.

Nothing is imported from padviz.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from tests.onnx_oracle import session_of

NUMPY = {"replicate": "edge", "reflect": "reflect", "symmetric": "symmetric", "circular": "wrap"}
NUMPY |= dict.fromkeys(("zero", "partial"), "constant")


def run_padded(model: onnx.ModelProto, image: NDArray[Any], scheme: str) -> list[NDArray[Any]]:
    """The outputs of a file whose convolutions pad by a scheme, or by one for each axis."""
    known = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    known[model.graph.input[0].name] = image
    for node in model.graph.node:
        attrs = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "Constant":
            known[node.output[0]] = numpy_helper.to_array(attrs["value"])
        elif node.op_type == "Conv" and any(attrs.get("pads", ())):
            known[node.output[0]] = convolved(model, node, attrs, known, scheme)
        else:
            known.update(zip(node.output, run_node(model, node, known), strict=False))
    return [known[output.name] for output in model.graph.output]


def convolved(
    model: onnx.ModelProto, node: onnx.NodeProto, attrs: dict[str, Any], known: dict[str, Any], scheme: str
) -> NDArray[Any]:
    """One convolution, padded by hand; partial convolution by its formula."""
    x, weight, *bias = (known[name] for name in node.input)
    plain = onnx.NodeProto()
    plain.CopyFrom(node)
    plain.attribute.remove(next(each for each in plain.attribute if each.name == "pads"))
    schemes = (scheme.split("/") * 2)[:2]
    mask = np.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
    for axis, each in zip((2, 3), schemes, strict=True):
        around = [(0, 0)] * 4
        around[axis] = (attrs["pads"][axis - 2], attrs["pads"][axis])
        x = np.pad(x, around, NUMPY[each])  # type: ignore[call-overload]
        mask = np.pad(mask, around, constant_values=0 if each == "partial" else 1)
    place = dict(zip(node.input, (x, weight), strict=False))
    del plain.input[2:]
    (sums,) = run_node(model, plain, place)
    if "partial" in schemes:
        ones, counting = np.ones((1, 1, *weight.shape[2:]), dtype=x.dtype), onnx.NodeProto()
        counting.CopyFrom(plain)
        counting.attribute.remove(next(each for each in counting.attribute if each.name == "group"))
        (hits,) = run_node(model, counting, dict(zip(node.input, (mask, ones), strict=False)))
        sums = sums * (np.prod(weight.shape[2:]) / hits)
    return np.asarray(sums + (bias[0].reshape(1, -1, 1, 1) if bias else 0), dtype=x.dtype)


def run_node(model: onnx.ModelProto, node: onnx.NodeProto, known: dict[str, Any]) -> list[NDArray[Any]]:
    fed = {name: known[name] for name in node.input if name}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in fed.items()
    ]
    outputs = [helper.make_value_info(name, helper.make_tensor_type_proto(0, None)) for name in node.output]
    for each in outputs:
        each.ClearField("type")
    graph = helper.make_graph([node], "one", inputs, outputs)
    alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return list(session_of(alone).run(None, fed))


def run_file(content: bytes, image: NDArray[Any], optimised: bool = True) -> list[NDArray[Any]]:
    session = session_of(content, optimised)
    return list(session.run(None, {session.get_inputs()[0].name: image}))
