"""The three sentences of a verdict: border, symmetry and padding, each with its numbers."""

from __future__ import annotations

from padviz.advice.remedies import Outcome
from padviz.advice.standing import Standing
from padviz.audit.receptive_fields import ReceptiveField
from padviz.audit.reaching.border_margins import Margin
from padviz.counting.summary import Rim
from padviz.network.network import Size

TOLERATED = 0.05  # of the pixels may be starved before a network is called foveated
CENTRED = 1.0  # pixels that a sampling grid may be off the image's centre and be called centred
NAMED = 4  # layers of a sentence
SIDES = ("above", "below", "left", "right")
INTERIOR = "the weight of an interior pixel"


def verdict(found: Outcome, standing: Standing | None, reads: bool) -> str:
    """The verdict in a few words.

    >>> import padviz
    >>> from padviz.advice.verdict import audit
    >>> audit(padviz.load("vgg19"), 224).verdict
    'even, narrow rim'
    """
    if found.rim is None:
        return "uneven windows" if found.uneven_learned else "even windows"
    if not reads:
        return "no padding read"
    words = []
    if any(_depths(found.rim)):
        shape = "lopsided" if standing and standing.lopsided else "even"
        words.append(f"{shape}, {standing.width} rim" if standing else f"{shape} rim")
    if found.overused_rim and any(_depths(found.overused_rim)):
        words.append("overused rim")
    return " and ".join(words) or "no rim"


def border(found: Outcome, standing: Standing | None, compared: bool, reads: bool) -> str:
    """Who gets less than half, or more than 3/2, of an interior pixel's weight: rims, shares of this image, standing."""
    share, rim, more = found.share, found.rim, found.overused_rim
    if share is None or rim is None or more is None:
        return f"Fair shares are not defined: {found.share_reason}."
    if not reads:
        return f"No unit reads padding; {_deep(rim)} are context, which few units see."
    parts = []
    if any(_depths(rim)):
        shape = "Lopsided" if standing and standing.lopsided else "Even"
        wide = f", {standing.width}" if standing and compared else ""
        foveated = " (foveated)" if share.starved > TOLERATED else ""
        parts.append(
            f"{shape}{wide} rim: {_deep(rim)} get less than half {INTERIOR} (starved), "
            f"{share.starved:.1%} of this image{foveated}"
        )
    else:
        parts.append(f"No rim gets less than half {INTERIOR} (starved); {share.starved:.1%} of this image's pixels do")
    if any(_depths(more)):
        parts.append(f"{_deep(more)} get more than 3/2 (overused), {share.overused:.1%} of this image")
    elif share.overused:
        parts.append(f"{share.overused:.1%} get more than 3/2 (overused)")
    if standing and compared and any(_depths(rim)):
        parts.append(f"{standing.narrower:.0%} of {standing.of} known networks have a narrower rim")
    return f"{'; '.join(parts)}."


def symmetry(uneven: list[str], field: ReceptiveField | None, whole: str | None) -> str:
    """Which convolutions read their padding unevenly, and how far the sampling grid is off the image's centre."""
    if uneven:
        named = ", ".join(uneven[:NAMED]) + (f" and {len(uneven) - NAMED} more" if len(uneven) > NAMED else "")
        many = f"{len(uneven)} convolutions read" if len(uneven) > 1 else "1 convolution reads"
        said = f"{many} more padding on one side than on the other ({named})"
    else:
        said = "Every convolution reads its padding evenly"
    return f"{said}; {grid_place(field, whole)}."


def grid_place(field: ReceptiveField | None, whole: str | None) -> str:
    """Where the sampling grid lies.

    >>> import padviz
    >>> grid_place(padviz.receptive_fields("resnet50", (224, 225))[-1], None)
    "the sampling grid is centred 15.5 px above the image's centre"
    """
    if field is None:
        return f"no sampling grid: {whole}"
    if field.parts_at:
        return f"the sampling grid is not defined: branches have different centres, first at {field.parts_at}"
    sides = zip(field.offsets, (("above", "below"), ("left of", "right of")), strict=True)
    off = [(abs(n), words[n > 0]) for n, words in sides if n is not None and abs(n) >= CENTRED]
    if not off:
        seen = any(n is not None for n in field.offsets)
        return "the sampling grid is centred on the image" if seen else "no sampling grid: each unit sees all"
    if len({n for n, _ in off}) == 1:
        return f"the sampling grid is centred {off[0][0]:g} px {' and '.join(word for _, word in off)} the image's centre"
    each = " and ".join(f"{n:g} px {word}" for n, word in off)
    return f"the sampling grid is centred {each} the image's centre"


def padding(margin: Margin | None, units: Size, field: list[int] | None, size: Size, whole: str | None) -> str:
    """Which units of the target depend on padding."""
    if margin is None or whole:
        return f"Every unit depends on padding: {whole or 'the target is the image'}."
    (top, bottom), (left, right) = sides = margin.height, margin.width
    where = f"{units[0]} x {units[1]} units of {margin.layer}"
    seen = f"the receptive field is {field[0]} x {field[1]} px" if field else ""
    if not any(map(any, sides)):
        return f"No unit of {margin.layer} reads padding; {seen}."
    if any(sum(pair) >= n for pair, n in zip(sides, units, strict=True)):
        larger = field and any(f > n for f, n in zip(field, size, strict=True))
        return f"All {where} depend on padding; {seen}{', larger than the image' if larger else ''}."
    inner = f"{units[0] - top - bottom} x {units[1] - left - right}"
    return f"Of {where} the inner {inner} depend on no padding; {seen}."


def _depths(rim: Rim) -> tuple[int, ...]:
    return *rim.height, *rim.width


def _deep(rim: Rim) -> str:
    """The sides of a rim in words.

    >>> _deep(Rim([14, 34], [14, 34])), _deep(Rim([9, 9], [9, 9])), _deep(Rim([0, 3], [0, 0]))
    ('the outer 14 px above and left and 34 px below and right', 'the outer 9 px on all sides', 'the outer 3 px below')
    """
    depths: dict[int, list[str]] = {}
    for side, depth in zip(SIDES, _depths(rim), strict=True):
        if depth:
            depths.setdefault(depth, []).append(side)
    if len(depths) == 1 and len([*depths.values()][0]) == len(SIDES):
        return f"the outer {[*depths][0]} px on all sides"
    parts = [f"{depth} px {' and '.join(sides)}" for depth, sides in depths.items()]
    return f"the outer {', '.join(parts[:-1])}{' and ' if len(parts) > 1 else ''}{parts[-1]}" if parts else "no lines"
