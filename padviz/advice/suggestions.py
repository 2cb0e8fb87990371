"""What is wrong with a network's border at a size, and the change that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from padviz.advice.changes import NEEDS
from padviz.advice.evidence import Evidence, Standing, evidence_on, told_apart
from padviz.advice.remedies import Attempt, MapOutcome, Outcome, Remedy, because
from padviz.geometry.receptive_fields import ReceptiveField, rounded_offset

# share of the image that may be starved or overused under a narrow rim
PART = 1 / 3


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
    """Return what is wrong.

    Nothing is if no padding is read, or if every window is even, the grid centred and the rim
    narrow, in pixels and as a part of the image.
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
    return figures.unfair <= PART


class Suggestions(NamedTuple):
    """The change to make `now`, which works with today's weights, or the one to `train` with, and
    why: it is the first of the table.

    `alike` names those that the measurements do not separate from the latter.
    """

    now: Remedy | None = None
    train: Remedy | None = None
    why: str = ""
    alike: tuple[str, ...] = ()


def suggestions(faults: Faults, before: Outcome, tried: Sequence[Attempt]) -> Suggestions:
    """Advise the first row of the table, if anything is wrong and the row has no price."""
    rows = [(attempt.remedy, attempt.change.parts) for attempt in tried if attempt.remedy]
    if not any(faults) or not rows or rows[0][0].price:
        return Suggestions()
    (lead, parts), *others = rows
    why = because(lead, others[0][0] if others else None, before)
    if lead.needs == NEEDS[0]:
        return Suggestions(now=lead, why=why)
    known = evidence_on(parts)
    alike = tuple(
        remedy.what
        for remedy, its in others
        if not remedy.price
        and remedy.needs == lead.needs
        and _is_alike(known, evidence_on(its), lead.needs)
    )
    return Suggestions(None, lead, why, alike)


def _is_alike(lead: Evidence | None, other: Evidence | None, needs: str) -> bool:
    """Whether both were measured, and the lead is not shown to be better."""
    return lead is not None and other is not None and not told_apart(lead, other, needs)
