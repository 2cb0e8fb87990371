"""Keras activations: elementwise ones, and those that look along a dimension."""

from __future__ import annotations

from typing import Any

from padviz.sources.keras.call import Call
from padviz.sources.tracing.arranging import Map, Value
from padviz.sources.tracing.products import along

LINEAR = ("none", "linear")
NEUTRAL = (
    "Abs", "Absolute", "Celu", "Clip", "Cos", "ELU", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSilu",
    "HardSwish", "HardTanh", "LeakyRelu", "LeakyReLU", "Log", "Log1p", "LogSigmoid", "Mish", "PReLU", "ReLU",
    "Reciprocal", "Relu", "Relu6", "Rsqrt", "Selu", "Sigmoid", "Silu", "Sin", "SoftSign", "Softplus", "Softsign",
    "Sqrt", "Square", "SquaredReLU", "Tanh", "ThresholdedReLU",
)  # fmt: skip
ELEMENTWISE = {*map(str.lower, NEUTRAL)} | {
    "exponential", "hardshrink", "softshrink", "sparseplus", "sparsesigmoid", "squareplus", "swish", "tanhshrink",
    "threshold",
}  # fmt: skip
ALONG_CHANNELS = ("softmax", "logsoftmax", "sparsemax")  # the last dimension


def activated(call: Call, x: Value) -> Value:
    """Apply the activation that a layer's config names."""
    named = _name(call.config.get("activation"))
    name = named.replace("_", "").lower()
    if name in LINEAR or x.dims is None:
        return x
    if name in ALONG_CHANNELS:
        return along(call, x, [len(x.known) - 1], "softmax over positions")
    if name in ELEMENTWISE or named in call.neutral or not isinstance(x, Map):
        return x.activated(x.dims)
    what = f"layer {call.title}: the activation {named[:60]}"
    return Map(None, call.trace.unknown(call.name(), [x.at], what, named[:60]))


def _name(value: Any) -> str:
    """Name an activation: of what is no function of its own, Keras writes the class and the config."""
    if not isinstance(value, dict):
        return str(value).lower() if value is None else str(value)
    function = value.get("class_name") == "function"
    return str(value.get("config") if function else value.get("class_name"))
