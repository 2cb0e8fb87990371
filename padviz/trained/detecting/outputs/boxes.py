"""Maps whose channels may hold boxes beside class scores, as the raw heads of detectors: refused until one is named."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from padviz.errors import OptionError
from padviz.network.network import Size, in_words
from padviz.trained.detecting.outputs.inside import Inner, listed

BOX = 4  # numbers of one
ANCHORS = 3, 5  # boxes of a position, each with its own scores, as of YOLOv3 to v7, and v2
BINS = 16  # that each number of a box is distributed over, as of YOLOv8
BOXES = tuple(BOX * n for n in (1, *ANCHORS, 9, BINS))  # channels of maps of boxes alone
COARSE, LESS = 8, 4  # strides from which on the only map, or one of several, may be a head


def refuse_boxes(looked: Inner, asked: bool, others: Sequence[Inner], size: Size, logits: bool, where: str) -> None:
    """Refuse a map of a detector whose channels are not known to be classes.

    Parameters
    ----------
    looked : Inner
        The map to look at, which was `asked` for by its name or not; `logits` if it is no probability.
    others : sequence of Inner
        The other maps that the network makes: outputs, and those inside that could be asked for.

    Raises
    ------
    OptionError
        Naming the maps of scores inside, and how to name a channel.

    Examples
    --------
    >>> from padviz.trained.detecting.outputs.inside import Inner
    >>> boxes, scores = Inner("boxes", 4, (8, 8)), Inner("scores", 2, (8, 8))
    >>> refuse_boxes(boxes, True, [scores], (64, 64), False, "net")  # which was asked for
    >>> refuse_boxes(boxes, False, [scores], (64, 64), False, "net")
    Traceback (most recent call last):
    ...
    padviz.errors.OptionError: net: the output 'boxes' of 4 x 8 x 8 may be boxes, and 'scores' their class scores; ...
    """
    beside = [inner for inner in others if inner.size == looked.size and inner.channels != looked.channels]
    if beside:
        why = _joined(looked, beside) or ("" if asked else _alone(looked, beside))
    else:
        why = _raw(looked, others, min(size[0] / looked.size[0], size[1] / looked.size[1]), logits)
    if why:
        scores = [inner for inner in beside if inner.channels not in BOXES] or beside
        scores = scores or [inner for inner in others if inner.channels < looked.channels]
        hint = ", or ".join([*filter(None, [listed(scores)]), "name the channel that has scores with `class`"])
        shape = in_words((looked.channels, *looked.size))
        raise OptionError(f"the output {looked.name!r} of {shape} {why}", where=where, hint=hint)


def _joined(looked: Inner, beside: Sequence[Inner]) -> str:
    """Say that a map has the channels of two others together."""
    for one, other in combinations(beside, 2):
        if one.channels + other.channels == looked.channels:
            return f"has boxes beside class scores: it is {one.name!r} and {other.name!r} together"
    return ""


def _alone(looked: Inner, beside: Sequence[Inner]) -> str:
    """Say that a map may be of boxes alone, and another one of its size of scores."""
    return f"may be boxes, and {beside[0].name!r} their class scores" if looked.channels in BOXES else ""


def _raw(looked: Inner, others: Sequence[Inner], stride: float, logits: bool) -> str:
    """Say that a map may be the raw head of a detector: one of several of as many channels, or a coarse one."""
    heads = {looked.size, *(inner.size for inner in others if inner.channels == looked.channels)}
    if len(heads) > 1 and looked.channels > BOX and stride >= LESS:
        return f"may have boxes beside class scores: {len(heads)} maps have as many channels, as a detector's raw heads"
    anchors = any(looked.channels % n == 0 and looked.channels // n > BOX + 1 for n in ANCHORS)
    if logits and stride >= COARSE and (anchors or looked.channels > BOX * BINS):
        return "may have boxes beside class scores, as a detector's raw head"
    return ""
