"""What to know of maps of positions before they are believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from padviz.trained.detecting.detectability import DECIDED, LITTLE, PositionMap

MANY = 0.5  # the share of saturated scores that is told


def doubts(maps: Sequence[PositionMap]) -> tuple[str, ...]:
    """Notes on maps, of which the first is of the network as it is."""
    return tuple(f"{each.padding}: {note}" if each.padding else note for each in maps for note in _of_map(each))


def _of_map(found: PositionMap) -> Iterator[str]:
    """NaN, an output that does not depend on what is shown, a background that is seen by itself, and saturation."""
    if found.lost:
        yield f"the network makes NaN at {found.lost:.1%} of the positions"
    if found.lost == 1:
        return
    if not found.reacts:
        yield _unmoved(found)
    elif found.without is not None and found.without >= DECIDED and not found.below:
        yield f"the background is seen without a stimulus: its median score is {found.without:.3g}"
    elif found.saturated > MANY:
        yield f"{found.saturated:.0%} of the scores are saturated: they tell little apart"


def _unmoved(found: PositionMap) -> str:
    """What is said of a map of nothing, and that its blind spots are not known."""
    if found.threshold:
        return "no contrast that was tried changes what is seen, and blind spots are not known"
    least = "" if found.without is None else f", {found.without:.3g}"
    what = f"the output hardly depends on what is shown: every score is within {LITTLE} of the one without it{least}"
    return f"{what}, and blind spots are not known"
