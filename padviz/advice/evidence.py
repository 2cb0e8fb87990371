"""The measured effect of each change on accuracy, in points, and a network's place in the atlas.

The network is the small one of `make experiment`, trained with zeros at 32 px, against zeros
treated alike; the detector is that of `make experiment-detector`, trained from scratch under each
padding, in points of AP .5 against zeros. Both pad 3 x 3 windows by one pixel, where replicate is
symmetric padding. docs/evidence/limits.md shows all.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import hypot, nan
from typing import Literal, NamedTuple

import msgspec

from padviz.advice.atlas import kind_of, with_rims
from padviz.counting.shares.summary import Rim

MORE, LESS, FOUR, POOLED = "one pixel more", "one pixel less", "four pixels more", "pooled strides"
APART = 4  # pixels that opposite rims differ by in a network that is called lopsided,
PART = 0.25  # and the part of the wider one
# px, mean of the four sides: a fifth of the atlas is narrower, a third wider
NARROW, WIDE = 24, 60
# what all evidence is from; rims at the sizes that it was trained at
SMALL = "small test networks (5 to 17 convolutions, rims of 1 to 42 px)"
# a mean, and its 95 % interval to either side; nan where there is none
Points = tuple[float, float] | None


class Evidence(NamedTuple):
    """The effect of a change as it is, with new batch-norm statistics, after 1 and 3 epochs,
    retrained; in detectors.

    `detector` has the strides 4, 16 and 32, as far as they were trained; `unseen` has 4 and 16,
    with objects near the rim in the test but not in training. Their intervals are those of the
    difference to zeros.
    """

    as_is: Points = None
    batch_norm: Points = None
    epoch: Points = None
    epochs: Points = None
    anew: Points = None
    detector: tuple[tuple[float, float], ...] = ()
    unseen: tuple[tuple[float, float], ...] = ()
    source: str = "experiment, detector"

    def by_experiment(self, needs: str) -> list[Points]:
        """Return the figures with the training that a change needs: the small network's, then the
        detectors'.
        """
        if needs == "today's weights":
            return [self.as_is]
        return [self.epoch if needs == "fine-tune" else self.anew, *self.detector]

    def after(self, needs: str) -> float | None:
        """Return the worst figure with the training that a change needs."""
        return min([points[0] for points in self.by_experiment(needs) if points], default=None)


def told_apart(one: Evidence, other: Evidence, needs: str) -> bool:
    """Whether one experiment shows the first to be better, and none the other."""
    pairs = [*zip(one.by_experiment(needs), other.by_experiment(needs), strict=False)]
    return any(_better(a, b) for a, b in pairs) and not any(_better(b, a) for a, b in pairs)


def _better(one: Points, other: Points) -> bool:
    """Whether the 95 % interval of the difference is above 0; a mean without an interval is never
    better.
    """
    return one is not None and other is not None and one[0] - other[0] > hypot(one[1], other[1])


_SYMMETRIC = Evidence(
    (-8.0, 0.6), (-5.1, 1.1), (-2.7, 0.4), (-1.8, 1.6), None, ((-6.5, 2.7),), ((15.9, 3.6),)
)
EVIDENCE = {
    LESS: Evidence((-4.7, 1.9), (-2.3, nan), (-0.3, nan), source="experiment"),
    "partial": Evidence(
        *((-19.1, 5.9), (-11.5, 8.9), (-1.6, 1.4), None, None),
        ((-2.0, 2.7), (-1.1, 5.1)),
        ((0.7, 2.6), (0.7, 0.9)),
    ),
    MORE: Evidence(
        (-30.3, 31.3),
        (-19.2, 14.2),
        (-3.1, 0.9),
        (-1.5, 2.2),
        (-1.5, nan),
        ((0.4, 3.6),),
        ((2.3, 6.8),),
    ),
    "circular": Evidence(
        (-4.5, 4.4), (-1.1, 0.4), (0.4, 0.9), (1.3, 1.3), (4.9, nan), ((-3.9, 0.6),), ((21.0, 3.0),)
    ),
    "symmetric": _SYMMETRIC,
    "replicate": _SYMMETRIC,
    "reflect": Evidence(
        *((-12.7, 1.0), (-5.4, 1.8), (-2.8, 0.9), None, (-1.1, nan)),
        ((-5.1, 0.6), (-4.4, 6.2), (-7.0, 5.8)),
        ((16.2, 3.7), (5.7, 2.0)),
    ),
    FOUR: Evidence((-13.0, 14.5), (-5.1, nan), (-1.0, nan), source="experiment"),
    POOLED: Evidence(anew=(0.2, nan), source="experiment"),
}


def size_parts(steps: set[int]) -> tuple[str | None, ...]:
    """Return the evidence on a size that differs by these pixels; None for others."""
    if len(steps) == 1:
        (step,) = steps
    else:
        (step,) = (0,)
    measured = {1: MORE, -1: LESS, 4: FOUR}.get(step)
    if measured:
        return (measured,)
    return (MORE, None)


def evidence_on(parts: Sequence[str | None]) -> Evidence | None:
    """Return the evidence on a change; None for a combination, which nobody tried."""
    if len(parts) == 1:
        return EVIDENCE.get(parts[0] or "")
    return None


class Standing(msgspec.Struct, frozen=True):
    """The rims of a network among those of the atlas.

    `mean` is the mean of the four sides in pixels. `narrower` is the share of `of` networks of its
    `kind` with a smaller mean, counted by geometry. It is None, and `of` is 0, if there are none,
    or the output stride is not known. `lopsided` says whether opposite sides differ by more than 4
    px and by more than a quarter of the wider one.

    >>> standing(Rim([14, 34], [14, 34]), [32]).kind
    'an output stride of 32'
    """

    mean: float
    kind: str | None
    narrower: float | None
    of: int
    lopsided: bool
    width: Literal["narrow", "typical", "wide"]


def is_lopsided(rim: Rim) -> bool:
    """Return whether opposite sides differ by more than 4 px, and by more than a quarter of the
    wider one.

    >>> is_lopsided(Rim([14, 34], [14, 34])), is_lopsided(Rim([52, 55], [52, 55]))
    (True, False)
    """
    return any(
        abs(near - far) > max(APART, PART * max(near, far)) for near, far in (rim.height, rim.width)
    )


def standing(rim: Rim, strides: Sequence[Fraction | float | None]) -> Standing:
    """Compare the rims of a network with those of the atlas; `strides` are those of its outputs."""
    mean = sum(rim.depths) / 4
    width: Literal["narrow", "typical", "wide"] = "typical"
    if mean <= NARROW:
        width = "narrow"
    elif mean >= WIDE:
        width = "wide"
    lopsided = is_lopsided(rim)
    kind, narrower = kind_of(strides), None
    alike = with_rims(kind)
    if alike:
        narrower = sum(row.mean < mean for row in alike) / len(alike)
    return Standing(mean, kind, narrower, len(alike), lopsided, width)
