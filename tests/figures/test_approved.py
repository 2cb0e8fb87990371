"""A handful of pictures look as those that were approved, whatever the fonts; `make approved` approves new ones."""

from __future__ import annotations

import pytest

from tests.figures.approve import NAMES, difference

MOST = 4.0  # of 255, in the mean


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_looks_as_approved(name: str) -> None:
    assert difference(name, name) < MOST


def test_pictures_of_other_kinds_do_not() -> None:
    assert min(difference("uneven", other) for other in NAMES if other != "uneven") > 2 * MOST
