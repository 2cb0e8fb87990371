"""Every kind of picture at six sizes: no text is clipped or on another, little of the page is empty."""

from __future__ import annotations

import pytest

from tests.figures.kinds import KINDS, PLACES, SIZES, clipped, dead, last_ticks, overlapping
from tests.sweeps import thirds

MOST = 0.15  # of a page, that may be empty


@pytest.mark.parametrize(("kind", "size"), thirds(KINDS, SIZES))
def test_a_picture_is_whole_and_full(kind: str, size: tuple[int, int]) -> None:
    figure = KINDS[kind](size)
    assert not clipped(figure)
    assert [*overlapping(figure)] == []
    assert dead(figure) <= MOST
    assert kind in PLACES or [*last_ticks(figure, size)] == []
