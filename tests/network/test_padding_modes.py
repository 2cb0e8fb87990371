"""Tables of padding and of rounding are those of the naive twin."""

from fractions import Fraction

import numpy as np
import pytest

from padviz.errors import SizeError
from padviz.network.padding_modes import MODES, SCHEMES, depth, fits, fold
from padviz.network.resize import ROUNDINGS, rounded
from tests import naive


@pytest.mark.parametrize("mode", [mode for mode in MODES if SCHEMES[mode].reads])
def test_folds_are_those_of_the_naive_twin(mode: str) -> None:
    for n in range(1, 6):
        for before in range(6):
            for after in range(6):
                try:
                    rows = naive.padded_axis(n, before, after, mode)
                except AssertionError:
                    assert not fits(mode, n, max(before, after))
                    with pytest.raises(
                        SizeError, match=f"too few for {mode} padding of {max(before, after)}"
                    ):
                        fold(mode, n, before, after)
                    continue
                ends = fold(mode, n, before, after)
                assert ends is not None
                (a, b), (c, d) = ends
                head, tail = range(-before, 0), range(n, n + after)
                assert [*(a * p + b for p in head), *range(n), *(c * p + d for p in tail)] == rows
                if before:
                    assert depth(mode, before) == (
                        n - 1 - rows[0] if SCHEMES[mode].wraps else rows[0]
                    )


@pytest.mark.parametrize("rule", ROUNDINGS)
def test_coordinates_are_rounded_as_by_the_naive_twin(rule: str) -> None:
    for unit in range(1, 6):
        for x in range(4 * unit):
            (row, _), *others = naive.resize_taps({"rounding": rule}, Fraction(x, unit), 99)
            assert (row, others) == (rounded(x, unit, rule), [])


def test_the_naive_twin_pads_as_numpy_does() -> None:
    values, named = np.arange(1, 8), {"zero": "constant", "replicate": "edge", "circular": "wrap"}
    for mode in ("zero", "replicate", "reflect", "symmetric", "circular"):
        expected = np.pad(values, (3, 5), named.get(mode, mode))  # type: ignore[call-overload]
        assert naive.padded(values, 0, (3, 5), mode).tolist() == expected.tolist()
