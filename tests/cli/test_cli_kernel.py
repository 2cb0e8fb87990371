"""`padviz kernel`: whole tables under every scheme against the naive twin, exactly, and how they are shown."""

from fractions import Fraction
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest

from padviz.figures.windows.padding import kernels
from padviz.geometry.one_layer import illustrate
from padviz.network.padding_modes import SCHEMES
from tests import naive
from tests.figures.kinds import clipped

SHAPES = [(3, 1, 1), (5, 1, 1), (3, 1, 2), (4, 2, 1)]  # kernel, stride, dilation


def step(kernel: int, stride: int, dilation: int, scheme: str) -> dict[str, Any]:
    extent = dilation * (kernel - 1)
    pads = {"valid": [0, 0], "full": [extent, extent]}.get(scheme, [extent // 2, extent - extent // 2])
    mode: Any = "zero" if scheme in ("valid", "full") else scheme
    if "/" in scheme:
        both = [step(kernel, stride, dilation, each) for each in scheme.split("/")]
        pads, mode = [each["padding"][0] for each in both], [each["mode"] for each in both]
        return both[0] | {"padding": pads, "mode": mode}
    shape = {"kernel": kernel, "stride": stride, "dilation": dilation}
    return {"op": "conv", "name": "c", **shape, "padding": [pads, pads], "mode": mode}


@pytest.mark.parametrize("scheme", [*SCHEMES, "zero/circular", "full/reflect", "partial/valid", "symmetric/partial"])
@pytest.mark.parametrize("shape", SHAPES)
def test_tables_are_the_naive_ones(shape: tuple[int, int, int], scheme: str) -> None:
    shown = illustrate(*shape, (7, 7), scheme)
    layer = step(*shape, scheme)
    assert shown.uses == naive.usage([layer], (7, 7), ["c"])
    both, _ = naive.all_reads([layer], (7, 7))
    for row, col in ((0, 0), (0, 3), (2, 1), (6, 6)):
        expected = [[Fraction(0)] * shape[0] for _ in range(shape[0])]
        for rows in both["c"][0]:
            for cols in both["c"][1]:
                weight = Fraction(1)
                for taps, each in zip((rows, cols), f"{scheme}/{scheme}".split("/"), strict=False):
                    hits = sum(at is not None for at, _ in taps)
                    weight *= Fraction(shape[0], hits) if each == "partial" and hits else 1
                for i, (at_row, _) in enumerate(rows):
                    for j, (at_col, _) in enumerate(cols):
                        expected[i][j] += weight * ((at_row, at_col) == (row, col))
        assert shown.taps(row, col) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_letters_are_what_the_naive_twin_pads(scheme: str) -> None:
    letters = np.array(list(ascii_lowercase + "ABCD")).reshape(5, 6)
    pad, mode = {"valid": (0, "zero"), "full": (4, "zero")}.get(scheme, (2, scheme))
    for axis in (0, 1):
        letters = naive.padded(letters, axis, (pad, pad), mode, "·")
    assert illustrate(5, 1, 1, (5, 6), scheme).padded == letters.tolist()


def test_a_picture_has_the_tables() -> None:
    shown = [illustrate(5, 1, 1, (7, 6), scheme) for scheme in ("reflect", "partial")]
    figure = kernels(shown, (0, 0))
    assert not clipped(figure)
    assert len(figure.axes) == 6
    assert [text.get_text() for text in figure.axes[1].texts] == [str(n) for row in shown[0].uses for n in row]
    assert illustrate(3, 1, 1, (9, 9), "zero").padded[1][1] == "0"  # numbers, where there are too few letters
