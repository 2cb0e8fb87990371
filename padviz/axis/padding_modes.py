"""Padding modes, as folds: which row of the input a padded row reads."""

from __future__ import annotations

from typing import Any, Literal, get_args

from padviz.axis.resize import Resize as Resize
from padviz.engine.axis_map import AxisMap as AxisMap
from padviz.errors import SizeError

Mode = Literal["zero", "replicate", "reflect", "symmetric", "circular", "partial"]
MODES: tuple[str, ...] = get_args(Mode)


def fold(mode: Mode, n: int, before: int, after: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Find where padded rows read from: position p < 0 or p >= n of the padded axis reads row a * p + b.

    Returns ((a, b) before the first row, (a, b) after the last), or None where padding reads nothing.

    Raises
    ------
    SizeError
        If the mode cannot pad that much: reflect needs pad < n, symmetric and circular pad <= n.

    Examples
    --------
    >>> fold("reflect", 5, 1, 1)
    ((-1, 0), (-1, 8))
    """
    if mode in ("zero", "partial"):
        return None
    if mode == "replicate":
        return (0, 0), (0, n - 1)
    if max(before, after) > most_padding(mode, n):
        raise SizeError(f"its input has {n} {rows_word(n)}, too few for {mode} padding of {max(before, after)}")
    if mode == "reflect":
        return (-1, 0), (-1, 2 * (n - 1))
    if mode == "symmetric":
        return (-1, -1), (-1, 2 * n - 1)
    return (1, n), (1, -n)


def most_padding(mode: Mode, n: Any) -> Any:
    """Find the most rows that a mode that copies can add on a side, where it has a limit.

    >>> most_padding("reflect", 5), most_padding("symmetric", 5)
    (4, 5)
    """
    return n - 1 if mode == "reflect" else n


def rows_word(n: int) -> str:
    """Choose "row" or "rows"."""
    return "row" if n == 1 else "rows"
