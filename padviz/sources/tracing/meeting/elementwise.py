"""What acts on each position alone, but for masks of scores, and norms, which paths pass by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from padviz.sources.tracing.arranging import Map, Value
from padviz.sources.tracing.axis_labels import has_looked
from padviz.sources.tracing.calls import Call, together
from padviz.sources.tracing.meeting.masks import MASKED, cuts_of


def subtract(call: Call) -> Map:
    """Subtract; a mean over all positions taken away from each is a normalisation: like a gate, it is left out."""
    away = any(call.trace.pooled[x.at] for x in call.maps)
    return together(call, "multiply" if away else "add", call.maps)


def norm(call: Call, x: Value, why: str, axes: Iterable[int]) -> Value:
    """Normalise a map over some dimensions, as one that was activated before."""
    if not isinstance(x, Map) or x.dims is None or call.trace.pooled[x.at]:
        return x
    return call.norm(x, why, [x.known[axis] for axis in axes])


def masked(call: Call, x: Map, hides: Callable[[Any], Any] = lambda numbers: numbers <= MASKED) -> Map:
    """Cut the windows that scores are of, where the constants that a call reads hide positions from each other."""
    for numbers in call.constants() if x.dims is not None and has_looked(x.dims) else ():
        x = hidden(x, hides(numbers))
    return x


def hidden(scores: Map, hides: Any) -> Map:
    """Cut the windows that scores are of, where a mask hides positions from each other."""
    return replace(scores, windows=scores.windows + cuts_of(scores.known, ~np.asarray(hides)))
