"""Scores by position, their figures, and what makes them doubtful."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.shares.summary import percent
from padviz.network.network import Size
from padviz.trained.border_responses import NONE, Sides
from padviz.trained.networks.running import Floats, middle

SEEN = 0.5  # the score from which on something is seen
SATURATED = 0.99  # from here on, and as near to 0, scores distinguish nothing
LITTLE = 0.01  # how far scores may be from the empty background's where the output hardly reacts
MANY = 0.5  # the share of saturated scores from which on a note says so


class Phase(NamedTuple):
    """The share of the scores' variance that position modulo the total stride explains, and that of
    chance.
    """

    stride: Size | None
    explained: float | None
    chance: float | None


@dataclass(frozen=True, eq=False)
class PositionMap:
    """Scores by position under one padding, of shape (rows, columns).

    None for the padding that the network has.

    With `threshold`, `values` are contrasts instead: the least that is seen, or with `below` the
    least at which the background's class is lost; infinite where none is enough. `background` has
    the scores at the same positions without a stimulus. NaN counts in `nan` only.
    """

    padding: str | None
    values: Floats
    background: Floats
    threshold: bool = False
    below: bool = False
    phase: Phase = field(default=Phase(None, None, None))

    @property
    def min(self) -> float | None:
        return _figure(np.min, self.values)

    @property
    def max(self) -> float | None:
        return _figure(np.max, self.values)

    @property
    def sd(self) -> float | None:
        return _figure(np.std, self.values)

    @property
    def median(self) -> float | None:
        return _figure(np.median, self.values)

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """Blind spots: scores below half the median.

        Thresholds above twice the median, or that nothing reaches.

        There are none where nothing is seen anywhere, nor where the output hardly depends on what
        is shown.
        """
        median = self.median
        if median is None or not self.reacts:
            return np.zeros(self.values.shape, bool)
        if self.threshold:
            return self.values > 2 * median
        return self.values < median / 2

    @property
    def blind(self) -> float | None:
        """The share of the positions that are blind spots; None where `hidden` says nothing."""
        if self.median is None or not self.reacts:
            return None
        return float(self.hidden[~np.isnan(self.values)].mean())

    @property
    def nan(self) -> float:
        return float(np.isnan(self.values).mean())

    @property
    def without(self) -> float | None:
        return _figure(np.median, self.background)

    @property
    def seen_alone(self) -> bool:
        """Whether the background is seen without a stimulus, where a stimulus is looked for."""
        return self.without is not None and self.without >= SEEN and not self.below

    @property
    def reacts(self) -> bool:
        """Whether the output depends on what is shown: some score differs by .01 from the one
        without it.

        A threshold depends on it if some contrast that was tried is enough, and none would not be.
        """
        if self.threshold:
            unlike = self.background < SEEN
            if self.below:
                unlike = self.background >= SEEN
            return bool((unlike & np.isfinite(self.values)).any())
        return bool((np.abs(self.values - self.background) >= LITTLE).any())

    @property
    def edges(self) -> Sides:
        """The mean of each outermost line minus that of the interior."""
        rows, cols = map(middle, self.values.shape)
        inner = self.values[rows, cols]
        if not inner.size or not np.isfinite(inner).all():
            return NONE
        lines = self.values[0], self.values[-1], self.values[:, 0], self.values[:, -1]
        return Sides(
            *(
                float(line.mean() - inner.mean()) if np.isfinite(line).all() else None
                for line in lines
            )
        )

    @property
    def consistency(self) -> float | None:
        """The share of neighbouring positions with the same decision."""
        if self.threshold:
            return None
        seen = np.where(np.isnan(self.values), np.nan, self.values >= SEEN)
        steps = np.concatenate([np.diff(seen, axis=0).ravel(), np.diff(seen, axis=1).ravel()])
        pairs = steps[~np.isnan(steps)] == 0
        if not pairs.size:
            return None
        return float(pairs.mean())

    @property
    def saturated(self) -> float:
        """The share of scores within .01 of 0 or 1."""
        known = self.values[~np.isnan(self.values)]
        if self.threshold or not known.size:
            return 0.0
        return float((np.abs(known - SEEN) > SATURATED - SEEN).mean())


@dataclass(frozen=True, eq=False)
class Detectability:
    """How well a network sees a stimulus by its position, as it is and with its padding replaced.

    `tops` and `lefts` are the positions, in pixels, of the stimulus's upper left corner; `contrast`
    is what it was shown with.
    """

    network: str
    title: str
    size: Size
    stimulus: str
    shape: Size  # of the stimulus, in pixels
    contrast: float
    output: str
    class_: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    maps: tuple[PositionMap, ...]
    shifted: bool = False
    notes: tuple[str, ...] = ()


def phase_of(
    values: Floats, tops: tuple[int, ...], lefts: tuple[int, ...], stride: Size | None
) -> Phase:
    """Measure how much of the variance of scores their position modulo a stride explains.

    Were all scores drawn at random, (groups - 1) / (positions - 1) would be explained.
    """
    if stride is None or not np.isfinite(values).all():
        return Phase(stride, None, None)
    rows, cols = (np.array(at) % n for at, n in zip((tops, lefts), stride, strict=True))
    groups = (rows[:, None] * stride[1] + cols[None, :]).ravel()
    flat = values.ravel()
    known, at, counts = np.unique(groups, return_inverse=True, return_counts=True)
    spread = float(((flat - flat.mean()) ** 2).sum())
    if len(known) < 2 or len(known) >= len(flat) or spread <= 1e-12 * len(flat):
        return Phase(stride, None, None)
    means = np.bincount(at, flat) / counts
    between = float((counts * (means - flat.mean()) ** 2).sum())
    return Phase(stride, min(between / spread, 1.0), (len(known) - 1) / (len(flat) - 1))


def _figure(of: Callable[[Floats], float], values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    return float(of(known))


def doubts(maps: Sequence[PositionMap], hint: str = "") -> Iterator[str]:
    """Note NaN, an output that does not depend on the stimulus, a background that is seen by
    itself, and saturation.

    The `hint` follows on saturated scores.
    """
    for score_map in maps:
        of = ""
        if score_map.padding:
            of = f"{score_map.padding}: "
        if score_map.nan:
            yield f"{of}the network returns NaN at {percent(score_map.nan)} of the positions"
        if score_map.nan == 1:
            continue
        if not score_map.reacts and score_map.threshold:
            yield f"{of}no contrast that was tried changes what is seen, so blind spots are unknown"
        elif not score_map.reacts:
            every = f"every score is within {LITTLE} of the one without it"
            if score_map.without is not None:
                every += f", {score_map.without:.3g}"
            yield (
                f"{of}the output hardly depends on what is shown: {every}, so blind spots are "
                "unknown"
            )
        elif score_map.seen_alone:
            yield (
                f"{of}the background is seen without a stimulus: its median score is "
                f"{score_map.without:.3g}"
            )
        elif score_map.saturated > MANY:
            saturated = f"{of}{percent(score_map.saturated, 0)} of the scores are saturated"
            yield f"{saturated}: they hardly distinguish positions{hint}"
