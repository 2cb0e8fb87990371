"""Figures that have to be there before they are compared."""

from __future__ import annotations

from padviz.intervals import Estimate


def known(value: float | None) -> float:
    """The figure; a missing one fails the test, where `value or 0` would pass it."""
    assert value is not None
    return value


def ends_of(figure: Estimate) -> tuple[float, float]:
    """The ends of an interval that must be there."""
    return known(figure.low), known(figure.high)
