"""What to know of maps of positions before they are believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from padviz.counting.shares.summary import percent
from padviz.trained.detecting.detectability import DECIDED, LITTLE, PositionMap

MANY = 0.5  # the share of saturated scores that is told


def doubts(maps: Sequence[PositionMap]) -> tuple[str, ...]:
    """Note what is doubtful of maps, of which the first is of the network as it is."""
    return tuple(
        f"{score_map.padding}: {note}" if score_map.padding else note
        for score_map in maps
        for note in _of_map(score_map)
    )


def _of_map(score_map: PositionMap) -> Iterator[str]:
    """Note NaN, an output that does not depend on the stimulus, a background that is seen by itself, and saturation."""
    if score_map.lost:
        yield f"the network makes NaN at {percent(score_map.lost)} of the positions"
    if score_map.lost == 1:
        return
    if not score_map.reacts:
        yield _unmoved(score_map)
    elif score_map.without is not None and score_map.without >= DECIDED and not score_map.below:
        yield f"the background is seen without a stimulus: its median score is {score_map.without:.3g}"
    elif score_map.saturated > MANY:
        yield f"{percent(score_map.saturated, 0)} of the scores are saturated: they tell little apart"


def _unmoved(score_map: PositionMap) -> str:
    """Say that a map is of nothing, and that its blind spots are not known."""
    if score_map.threshold:
        return "no contrast that was tried changes what is seen, and blind spots are not known"
    least = "" if score_map.without is None else f", {score_map.without:.3g}"
    what = f"the output hardly depends on what is shown: every score is within {LITTLE} of the one without it{least}"
    return f"{what}, and blind spots are not known"
