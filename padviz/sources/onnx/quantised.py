"""Quantised operations: they do to a map what those on floats do, beside the scales and zero points that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from padviz.sources.onnx.tensors import Node
from padviz.sources.tracing.arranging import Constant, Stuck
from padviz.sources.tracing.calls import Result

Function = Callable[[Node], Result]


class Float(NamedTuple):
    """The operation on floats that one is made of, and which of its inputs that reads."""

    op: str
    reads: slice


OPSET = 13  # whose meaning they have
FIRST, BOTH, EACH = slice(0, 1), slice(0, 4, 3), slice(2, None, 3)
FLOATS: Mapping[str, Float] = {
    "com.microsoft.DequantizeLinear": Float("DequantizeLinear", FIRST),
    "com.microsoft.DynamicQuantizeMatMul": Float("MatMul", slice(0, 2)),
    "com.microsoft.MatMulIntegerToFloat": Float("MatMul", slice(0, 2)),
    "com.microsoft.QGemm": Float("Gemm", slice(0, 7, 3)),
    "com.microsoft.QLinearAdd": Float("Add", BOTH),
    "com.microsoft.QLinearAveragePool": Float("AveragePool", FIRST),
    "com.microsoft.QLinearConcat": Float("Concat", EACH),
    "com.microsoft.QLinearGlobalAveragePool": Float("GlobalAveragePool", FIRST),
    "com.microsoft.QLinearLeakyRelu": Float("LeakyRelu", FIRST),
    "com.microsoft.QLinearMul": Float("Mul", BOTH),
    "com.microsoft.QLinearReduceMean": Float("ReduceMean", FIRST),
    "com.microsoft.QLinearSigmoid": Float("Sigmoid", FIRST),
    "com.microsoft.QLinearSoftmax": Float("Softmax", FIRST),
    "com.microsoft.QuantizeLinear": Float("QuantizeLinear", FIRST),
}


def of_floats(twin: Float, handler: Function) -> Function:
    """Make a handler of a quantised operation from that of its twin on floats."""

    def run(node: Node) -> Result:
        if node.attrs.get("channels_last"):
            raise Stuck("has its channels last")
        version = int(node.attrs.get("opset", OPSET))
        return handler(replace(node, op=twin.op, version=version, read=node.read[twin.reads]))

    return run


def dynamic(node: Node) -> Result:
    """Quantise a map by its own extremes: what it makes beside that is a scale and a zero point."""
    return [node.tensor(0), Constant(()), Constant(())][: node.outputs]


def quantised(table: Mapping[str, Function]) -> dict[str, Function]:
    """Make the handlers of all quantised operations from a table of those on floats."""
    made = {op: of_floats(twin, table[twin.op]) for op, twin in FLOATS.items()}
    return made | {"DynamicQuantizeLinear": dynamic}
