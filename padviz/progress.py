"""How long work tells its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]  # takes how many steps are done, and how many there are
