"""What to know of maps of positions before they are believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from padviz.trained.detecting.detectability import DECIDED, LITTLE, PositionMap

NEAR = 0.25  # of .5, where the median of a contrast that was chosen should lie
MANY = 0.5  # the share of saturated scores that is told


def doubts(maps: Sequence[PositionMap], chosen: float | None) -> tuple[str, ...]:
    """Notes on maps, of which the first is of the network as it is; `chosen` is the contrast, where it was."""
    notes = [f"{each.padding}: {note}" if each.padding else note for each in maps for note in _of_map(each)]
    return (*notes, *(() if chosen is None or not maps[0].reacts else _of_contrast(maps[0], chosen)))


def _of_map(found: PositionMap) -> Iterator[str]:
    """NaN, an output that does not depend on what is shown, and a background that is seen by itself."""
    if found.lost:
        yield f"the network makes NaN at {found.lost:.1%} of the positions"
    if found.lost == 1 or found.without is None:
        return
    if not found.threshold and not found.reacts:
        yield (
            f"the output hardly depends on what is shown: every score is within {LITTLE} of the one without it, "
            f"{found.without:.3g}, and blind spots are not known"
        )
    elif found.without >= DECIDED:
        yield f"the background is seen without a stimulus: its median score is {found.without:.3g}"


def _of_contrast(found: PositionMap, contrast: float) -> Iterator[str]:
    """A contrast that was to make the median .5, and does not."""
    median, many = found.median, found.saturated > MANY
    if median is None or (abs(median - DECIDED) <= NEAR and not many):
        return
    saturated = f"; {found.saturated:.0%} of the scores are saturated" if many else ""
    if abs(median - DECIDED) <= NEAR:
        yield f"{found.saturated:.0%} of the scores are saturated: they tell little apart"
    elif contrast == 1 and median < DECIDED:
        yield f"even at full contrast the median score is {median:.2g}{saturated}: another stimulus may be seen better"
    else:
        yield f"no contrast that was tried has a median score near .5: here it is {median:.2g}{saturated}"
