"""Every kind of picture at six sizes is whole and full, and a handful look as those that were approved."""

import pytest

from tests.figures.approve import NAMES, SIZE, differences
from tests.figures.kinds import KINDS, PLACES, SIZES, clipped, dead, last_ticks, overlapping
from tests.sweeps import thirds

EMPTY = 0.15  # of a page, at most
MOST = 4.0  # of 255, in the mean, between a picture and the approved one


@pytest.mark.parametrize(
    ("kind", "size"), [*thirds(KINDS, SIZES), *((name, SIZE) for name in NAMES)]
)
def test_a_picture_is_whole_and_full_and_as_approved(kind: str, size: tuple[int, int]) -> None:
    figure = KINDS[kind](size)
    assert not clipped(figure)
    assert overlapping(figure) == []
    assert dead(figure) <= EMPTY
    assert kind in PLACES or [*last_ticks(figure, size)] == []
    if size == SIZE:
        apart = differences(figure)
        assert apart.pop(kind) < MOST < min(apart.values())
