"""The width of a network's rim compared with those of known networks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec

from padviz.counting.shares.summary import Rim

APART = 4  # pixels that opposite rims differ by in a network that is called lopsided,
PART = 0.25  # and the part of the wider one


class Standing(msgspec.Struct, frozen=True):
    """The rims of a network among those of known ones.

    `mean` is the mean of the four sides in pixels, `narrower` the share of `of` known networks with a smaller mean, and
    `lopsided` whether opposite sides differ by more than 4 px and by more than a quarter of the wider one.

    >>> standing(Rim([14, 34], [14, 34]))
    Standing(mean=24.0, narrower=0.21739130434782608, of=69, lopsided=True, width='narrow')
    """

    mean: float
    narrower: float
    of: int
    lopsided: bool
    width: str


def standing(rim: Rim) -> Standing:
    """Compare the rims of a network with those of known ones."""
    known, mean = _means(), width(rim)
    first, third = quartiles()
    word = "narrow" if mean <= first else "wide" if mean >= third else "typical"
    narrower = sum(other < mean for other in known) / len(known)
    lopsided = any(abs(near - far) > max(APART, PART * max(near, far)) for near, far in (rim.height, rim.width))
    return Standing(mean, narrower, len(known), lopsided, word)


def width(rim: Rim) -> float:
    """Return the mean of the four sides, in pixels."""
    return sum((*rim.height, *rim.width)) / 4


def quartiles() -> tuple[float, float]:
    """Return the first and the third quartile of the widths of known networks, in pixels."""
    known = _means()
    return known[len(known) // 4], known[3 * len(known) // 4]


class _Known(msgspec.Struct):
    networks: list[Rim]


@lru_cache(1)
def _means() -> list[float]:
    """Return the widths of known networks, the narrowest first; `make reference` measures them."""
    rims = Path(__file__).with_name("known_rims.json").read_bytes()
    return sorted(map(width, msgspec.json.decode(rims, type=_Known).networks))
