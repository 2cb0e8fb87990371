"""PyTorch's normalisations: paths pass them by, but those over positions make each depend on all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from padviz.sources.torch.merging import pointwise
from padviz.sources.torch.tracer import Call, Result
from padviz.sources.tracing.arranging import Value
from padviz.sources.tracing.axis_labels import roles_of


def group_norm(call: Call, *args: Any, **options: Any) -> Result:
    return over_positions(call)


def instance_norm(call: Call, *args: Any, **options: Any) -> Result:
    """Over positions, unless it uses running statistics."""
    return over_positions(call) if _given(args, options, 5, "use_input_stats", True) else pointwise(call)


def batch_norm(call: Call, *args: Any, **options: Any) -> Result:
    """Over positions where it has no running statistics."""
    return over_positions(call) if _given(args, options, 5, "training", False) else pointwise(call)


def batch_norm_of_three(call: Call, *args: Any, **options: Any) -> Result:
    """What exported programs call a batch norm with running statistics, which returns statistics too."""
    return [pointwise(call), None, None]


def layer_norm(call: Call, input: Any, normalized_shape: Any, *args: Any, **options: Any) -> Result:
    """Over positions, if they are among the last dimensions that it takes together."""
    value, n = call.of(input), 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    return over_positions(call) if value and roles_of(value.known[-n:]) else pointwise(call)


def over_positions(call: Call) -> Value:
    found = pointwise(call)
    path, module = call.tracer.stack[-1]
    name = path if "Norm" in type(module).__name__ and path else call.inner(call.op)
    return replace(found, layer=call.trace.normalise(name, found.at, call.op.replace("_", " ")))


def _given(args: Any, options: Any, at: int, key: str, default: bool) -> bool:
    return bool(options.get(key, args[at] if len(args) > at else default))
