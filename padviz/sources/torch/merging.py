"""What several maps make together: sums, products, concatenations, gates; and normalisations, which paths pass by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from padviz.sources.torch.call import Call
from padviz.sources.tracing.arranging import Map
from padviz.sources.tracing.axis_labels import has_looked, plain
from padviz.sources.tracing.calls import Result, together, with_kernel
from padviz.sources.tracing.meeting import elementwise
from padviz.sources.tracing.meeting.elementwise import masked
from padviz.sources.tracing.meeting.masks import MASKED


def add(call: Call, *args: Any, **options: Any) -> Result:
    return masked(call, together(call, "add", call.maps))


def subtract(call: Call, *args: Any, **options: Any) -> Result:
    return elementwise.subtract(call)


def pick(call: Call, *args: Any, **options: Any) -> Result:
    """Pick each position from one of several maps, or between them."""
    picks = together(call, "add", call.maps)
    if call.op != "where" or len(args) != 3 or not has_looked(picks.dims or ()):
        return picks
    return elementwise.picked(picks, *map(call.number, args))


def masked_fill(call: Call, input: Any, mask: Any, value: Any) -> Result:
    return masked(call, together(call, "add", call.maps), lambda numbers: numbers & bool(value <= MASKED))


def pointwise(call: Call, *args: Any, **options: Any) -> Map:
    return together(call, "multiply", call.maps)


def copy(call: Call, input: Any, src: Any, *args: Any, **options: Any) -> Result:
    """Take the map that a tensor is overwritten with."""
    call.maps = [value] if (value := call.of(src)) else []
    return pointwise(call) if value else call.broken("overwrites a map")


def embedding(call: Call, input: Any, weight: Any = None, *args: Any, **options: Any) -> Result:
    """Look up a vector for each position, as a codebook is read, or is made of ones and zeros."""
    indices = call.map(input)
    vectors = indices.part_of((*indices.known, plain(call.out.shape[-1])), call.part)
    return with_kernel(call, lambda: vectors, call.of(weight), None)


def _norm(first: int, asked: str = "", default: bool = False) -> Callable[..., Result]:
    """Make a handler of a norm over the dimensions from one on, where the sixth argument, by its name, asks for it."""

    def run(call: Call, *args: Any, **options: Any) -> Result:
        is_over = not asked or options.get(asked, args[5] if len(args) > 5 else default)
        return _normed(call, first if is_over else None)

    return run


def _normed(call: Call, first: int | None) -> Result:
    activated = pointwise(call)
    axes = () if first is None else range(len(activated.dims or ()))[first:]
    return elementwise.norm(call, activated, call.op.replace("_", " "), axes)


group_norm, instance_norm, batch_norm = _norm(1), _norm(2, "use_input_stats", True), _norm(0, "training")


def batch_norm_of_three(call: Call, *args: Any, **options: Any) -> Result:
    """Handle what exported programs call a batch norm with running statistics, which returns statistics too."""
    return [pointwise(call), None, None]


def layer_norm(call: Call, input: Any, normalized_shape: Any, *args: Any, **options: Any) -> Result:
    return _normed(call, -1 if isinstance(normalized_shape, int) else -len(normalized_shape))
