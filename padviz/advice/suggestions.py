"""What is wrong with a network's border at a size, and the change that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from padviz.advice.changes import NEEDS
from padviz.advice.evidence import Evidence, Standing, evidence_on, told_apart
from padviz.advice.remedies import FOVEATED, LESS, Attempt, MapOutcome, Outcome, Remedy
from padviz.geometry.balance.case import Case
from padviz.geometry.receptive_fields import ReceptiveField, receptive_fields, rounded_offset


class Faults(NamedTuple):
    """What is wrong: uneven `windows` or jumps of phase, a `grid` off centre, a `border` that is
    starved or overused. What is not known counts as wrong.
    """

    windows: bool = False
    grid: bool = False
    border: bool = False


def faults_of(
    figures: MapOutcome,
    standing: Standing | None,
    field: ReceptiveField | None,
    reads_padding: bool,
) -> Faults:
    """Return what is wrong; nothing is if every window is even, the grid centred and the rim
    narrow, or if no padding is read.
    """
    if not reads_padding:
        return Faults()
    windows = figures.uneven_convolutions + figures.uneven_pools + figures.jumps
    return Faults(windows > 0, not _is_centred(field), not _is_narrow(figures, standing))


def _is_centred(field: ReceptiveField | None) -> bool:
    if field is None or field.parts_at:
        return False
    return not any(rounded_offset(offset or 0) for offset in field.offsets)


def _is_narrow(figures: MapOutcome, standing: Standing | None) -> bool:
    rim, share, more = figures.rim, figures.share, figures.overused_rim
    if rim is None or share is None or more is None or any(more.depths):
        return False
    if any(rim.depths) and (standing is None or standing.width != "narrow"):
        return False
    return share.starved + share.overused <= FOVEATED


class Suggestions(NamedTuple):
    """The change to make `now`, which works with today's weights, and the one to `train` with.

    `alike` names those that the measurements do not separate from the latter.
    """

    now: Remedy | None = None
    train: Remedy | None = None
    alike: tuple[str, ...] = ()


class Candidate(NamedTuple):
    """A remedy that mends what is wrong with windows, border or grid, and what was measured of it.

    `mended` counts windows and border; the grid goes with the windows where these are uneven.
    """

    remedy: Remedy
    known: Evidence | None
    mended: int


def suggestions(faults: Faults, before: Outcome, tried: Sequence[Attempt]) -> Suggestions:
    """Choose the changes that mend what is wrong, of those that were tried, best first."""
    useful = [*_candidates(faults, before, tried)]
    # The first of equal ones is the best by evidence and geometry.
    now = min((row for row in useful if row.remedy.needs == NEEDS[0]), key=_place, default=None)
    train = min((row for row in useful if row.remedy.needs != NEEDS[0]), key=_place, default=None)
    if train is None:
        return Suggestions(now and now.remedy)
    as_good = [row for row in useful if row is not train and row.mended >= train.mended]
    alike = tuple([row.remedy.what for row in as_good if _is_alike(row, train)])
    return Suggestions(now and now.remedy, train.remedy, alike)


def _candidates(faults: Faults, before: Outcome, tried: Sequence[Attempt]) -> Iterator[Candidate]:
    for attempt in tried:
        remedy = attempt.remedy
        if remedy is None or remedy.price:
            continue
        # Where the rim is narrow, nothing speaks for another padding.
        if remedy.padding and not faults.border:
            continue
        windows = faults.windows and evens_windows(before, remedy.outcome)
        border = faults.border and spares_border(before, remedy.outcome)
        grid = faults.grid and remedy.kind == "size" and centres_grid(attempt.change.case)
        if windows or border or grid:
            yield Candidate(remedy, evidence_on(attempt.change.parts), windows + border)


def _place(candidate: Candidate) -> tuple[int, bool, int]:
    """Sort by the training needed, then measured changes first, then by what is mended."""
    return NEEDS.index(candidate.remedy.needs), candidate.known is None, -candidate.mended


def evens_windows(before: Outcome, after: Outcome) -> bool:
    """Whether a change makes all convolutions even, or all pools if they alone are uneven."""
    if after.jumps:
        return False
    if before.uneven_convolutions:
        return after.uneven_convolutions == 0
    return after.uneven_pools == 0


def centres_grid(case: Case) -> bool:
    """Whether every target of a network is centred on the image."""
    fields = {field.layer: field for field in receptive_fields(case.network, case.size)}
    return all(_is_centred(fields.get(name)) for name in case.network.targets)


def spares_border(before: Outcome, after: Outcome) -> bool:
    """Whether a change makes a tenth of the starved and overused pixels fair."""
    return after.unfair < before.unfair * (1 - LESS)


def _is_alike(one: Candidate, lead: Candidate) -> bool:
    """Whether both were measured with the same training, and the lead is not shown to be better."""
    if one.known is None or lead.known is None or one.remedy.needs != lead.remedy.needs:
        return False
    return not told_apart(lead.known, one.known, lead.remedy.needs)
