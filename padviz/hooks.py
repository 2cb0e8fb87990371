"""What rooms on a lower floor are handed from above: `padviz/__init__.py` runs before any of them, and sets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

figure: Callable[[str], Any]  # loads a module of `padviz.figures`, as "heatmap" for `CountMap.plot`
