"""What `usage` says of images and of signals alike: fair shares, how heads weigh, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import Rim, Summary, percent


@dataclass(frozen=True, slots=True)
class Said:
    """How figures are said: what `one` position is called; words for a `rim`, for `corners`, and `along` axes."""

    one: str
    rim: Callable[[Rim], str]
    corners: Callable[[Any], str]
    along: Callable[[Any, str], str]  # of a figure for each axis, in a format


def fair_shares(summary: Summary, pads: bool, said: Said) -> Iterator[tuple[str, str]]:
    """Yield what positions get of the weight of an interior one, and how deep the bands next to the border are."""
    share, what = summary.share, "starved" if pads else "context"
    if share is None:
        yield "fair share", f"none: {summary.share_reason}"
        return
    for name, rim, word in (("rim", summary.rim, what), ("overused rim", summary.overused_rim, "overused")):
        if rim and any(rim.depths):
            large = "on a large input " if share.starved == 1 else ""
            yield name, f"{large}{said.rim(rim)} {'would be' if large else 'are'} {word}"
    yield what, f"{percent(share.starved)} get less than half the weight of an interior {said.one}"
    yield "overused", f"{percent(share.overused)} get more than 3/2 of it"
    yield "fair shares", f"{share.least:.4g} to {share.most:.4g}; {said.corners(share.corners)}"
    yield "skew of shares", said.along(share.skew, "+.4g")
    if share.unused:
        yield "unused", f"{percent(share.unused)} of the {said.one}s, which no window reads"


def heads(counts: CountMap) -> Iterator[tuple[str, str]]:
    """Yield what a path to each of several heads counts, where they have the same weight."""
    if counts.weights is not None:
        weights = ", ".join(f"{weight:.6g}" for weight in counts.weights)
        yield "heads", f"each of the same weight: a path to them counts {weights}"


def left_out(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield what is no part of the figures."""
    if summary.gates_left_out:
        yield "left out", f"the global vectors of {summary.gates_left_out} gates"
