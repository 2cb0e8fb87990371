"""Coordinates of resizes, rounded."""

from fractions import Fraction

import pytest

from padviz.network.resize import ROUNDINGS, rounded
from tests import naive


@pytest.mark.parametrize("rule", ROUNDINGS)
def test_coordinates_are_rounded_as_by_the_naive_twin(rule: str) -> None:
    for unit in range(1, 6):
        for x in range(4 * unit):
            (row, _), *others = naive.resize_taps({"rounding": rule}, Fraction(x, unit), 99)
            assert (row, others) == (rounded(x, unit, rule), [])
