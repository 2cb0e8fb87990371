"""Quantised operations: they do to a map what those on floats do, beside the scales and zero points that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from padviz.sources.onnx.tensors import Node
from padviz.sources.tracing.arranging import Constant, Stuck
from padviz.sources.tracing.calls import Result

Function = Callable[[Node], Result]
OPSET = 13  # whose meaning they have
FIRST, TWO, BOTH = slice(0, 1), slice(0, 2), slice(0, 4, 3)
FLOATS: Mapping[str, tuple[str, slice]] = {  # the operation on floats that one is made of, and what of its inputs
    **{f"QLinear{op}": (op, FIRST) for op in ("AveragePool", "GlobalAveragePool", "LeakyRelu", "ReduceMean")},
    **{f"QLinear{op}": (op, FIRST) for op in ("Sigmoid", "Softmax")},
    **{f"QLinear{op}": (op, BOTH) for op in ("Add", "Mul")},
    **{op: (op, FIRST) for op in ("DequantizeLinear", "QuantizeLinear")},
    "DynamicQuantizeMatMul": ("MatMul", TWO),
    "MatMulIntegerToFloat": ("MatMul", TWO),
    "QGemm": ("Gemm", slice(0, 7, 3)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
}


def of_floats(op: str, reads: slice, handler: Function) -> Function:
    """Make a handler of a quantised operation from that of its twin on floats."""

    def run(node: Node) -> Result:
        if node.attrs.get("channels_last"):
            raise Stuck("has its channels last")
        version = int(node.attrs.get("opset", OPSET))
        return handler(replace(node, op=op, version=version, read=node.read[reads]))

    return run


def dynamic(node: Node) -> Result:
    """Quantise a map by its own extremes: what it makes beside that is a scale and a zero point."""
    return [node.tensor(0), Constant(()), Constant(())][: node.outputs]


def quantised(table: Mapping[str, Function]) -> dict[str, Function]:
    """Make the handlers of all quantised operations from a table of those on floats."""
    made = {f"com.microsoft.{op}": of_floats(*twin, table[twin[0]]) for op, twin in FLOATS.items()}
    return made | {"DynamicQuantizeLinear": dynamic}
