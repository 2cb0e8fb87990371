"""What rooms on a lower floor are handed from above: `padviz/__init__.py` runs before any of them, and sets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

heatmap: Callable[[], Any]  # loads `padviz.figures.heatmap`, for `CountMap.plot`
responses: Callable[[], Any]  # `padviz.figures.trained.responses`, for `BorderResponses.plot`
detection: Callable[[], Any]  # `padviz.figures.trained.detection`, for `Detectability.plot`
