"""PyTorch's normalisations: paths pass them by, but those over positions make each depend on all."""

from __future__ import annotations

from typing import Any

from padviz.sources.torch.call import Call
from padviz.sources.torch.merging import pointwise
from padviz.sources.tracing.axis_labels import roles_of
from padviz.sources.tracing.calls import Result


def norm(call: Call, *args: Any, over_positions: bool = True, **options: Any) -> Result:
    """A normalisation of each image, by itself or of groups of its channels."""
    made = pointwise(call)
    return call.norm(made, call.op.replace("_", " ")) if over_positions else made


def instance_norm(call: Call, *args: Any, **options: Any) -> Result:
    """Over positions, unless it uses running statistics."""
    return norm(call, over_positions=_given(args, options, 5, "use_input_stats", True))


def batch_norm(call: Call, *args: Any, **options: Any) -> Result:
    """Over positions where it has no running statistics."""
    return norm(call, over_positions=_given(args, options, 5, "training", False))


def batch_norm_of_three(call: Call, *args: Any, **options: Any) -> Result:
    """What exported programs call a batch norm with running statistics, which returns statistics too."""
    return [pointwise(call), None, None]


def layer_norm(call: Call, input: Any, normalized_shape: Any, *args: Any, **options: Any) -> Result:
    """Over positions, if they are among the last dimensions that it takes together."""
    value, n = call.of(input), 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    return norm(call, over_positions=bool(value and roles_of(value.known[-n:])))


def _given(args: Any, options: Any, at: int, key: str, default: bool) -> bool:
    return bool(options.get(key, args[at] if len(args) > at else default))
