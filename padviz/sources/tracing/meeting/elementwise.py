"""What acts on each position alone, but for masks of scores, and norms, which paths pass by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from padviz.sources.tracing.arranging import Map, Value
from padviz.sources.tracing.axis_labels import has_looked, inner_parts, positions
from padviz.sources.tracing.calls import Call, together
from padviz.sources.tracing.meeting.masks import MASKED, cuts_of


def subtract(call: Call) -> Map:
    """Subtract; a mean over all positions taken away from each is a normalisation: like a gate, it is left out."""
    away = any(call.trace.pooled[x.at] for x in call.maps)
    return together(call, "multiply" if away else "add", call.maps)


def norm(call: Call, x: Value, why: str, axes: Iterable[int]) -> Value:
    """Make each position of a map depend on all that a norm over some dimensions reads, though paths pass it by.

    One over the places of blocks alone leaves each block by itself once that is one position.
    """
    lost = [] if x.dims is None else [each for each in positions(*(x.dims[i] for i in axes)) if each.size > 1]
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x
    layer = call.trace.normalise(call.name("norm"), x.at, why)
    inner = inner_parts(tuple(lost))
    if inner == lost:
        blocks = tuple(prod(part.size for part in inner if part.role == role) for role in call.trace.axes)
        call.arranger.by_blocks[layer, blocks] = x.at
    return replace(x, layer=layer)


def masked(call: Call, x: Map, hides: Callable[[Any], Any] = lambda numbers: numbers <= MASKED) -> Map:
    """Cut the windows that scores are of, where the constants that a call reads hide positions from each other."""
    for numbers in call.constants() if x.dims is not None and has_looked(x.dims) else ():
        x = hidden(x, hides(numbers))
    return x


def picked(x: Map, condition: Any, first: Any, second: Any) -> Map:
    """Cut the windows that scores are of, where a pick between them and a number hides; what is no constant is None."""
    if condition is None or not has_looked(x.dims or ()) or (first is None) == (second is None):
        return x
    hides = ~np.asarray(condition) & (np.asarray(second) <= MASKED) if first is None else condition & (first <= MASKED)
    return hidden(x, hides)


def hidden(scores: Map, hides: Any) -> Map:
    """Cut the windows that scores are of, where a mask hides positions from each other."""
    return replace(scores, windows=scores.windows + cuts_of(scores.known, ~np.asarray(hides)))
