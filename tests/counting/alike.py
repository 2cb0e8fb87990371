"""Maps that were counted in two ways have the same figures."""

from typing import Any

import pytest
from msgspec import to_builtins

from padviz.counting.shares.summary import Summary


def assert_figures_alike(one: Summary, other: Summary, exact: bool = True) -> None:
    """All figures are equal; fair shares, and all figures of weights, as near as sums in another order are."""
    first, second = ({**to_builtins(each), "method": None} for each in (one, other))
    shares = first.pop("share"), second.pop("share")
    assert first == second if exact else near(first, second)
    assert near(*shares)


def near(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(near(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(near, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == pytest.approx(other, rel=1e-9, abs=1e-9))
    return bool(one == other)
