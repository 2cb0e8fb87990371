"""What rooms on a lower floor are handed from above: `padviz/__init__.py` runs before any of them, and sets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

heatmap: Callable[[], Any]  # loads `padviz.figures.heatmap`, for `CountMap.plot`
aside: Callable[[], Any]  # what writes a file by way of a temporary one
