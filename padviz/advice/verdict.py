"""The verdict: does a network treat the border of an image fairly, at a size, and what could be changed."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import msgspec

from padviz.advice.changes import cannot, cropped_outputs
from padviz.advice.remedies import Outcome, Remedy, changes, improvements, outcome
from padviz.audit.ledger import ledger
from padviz.audit.reaching.border_margins import Margin, margins
from padviz.audit.receptive_fields import AxisField, ReceptiveField, grid_in_words, receptive_fields
from padviz.counting.count_map import CountMap
from padviz.counting.usage import usage
from padviz.errors import SizeError
from padviz.network.network import Network, Size
from padviz.network.targets import names_of, upto

TOLERATED = 0.05  # of the pixels may be starved, or overused, in a network that is called fair
FAR = "one far from all borders"
LEANS = 0.02  # from here on a lean is told of


class Reach(msgspec.Struct, frozen=True):
    """How far the border reaches in: the receptive field of a unit, and the pixels on each side that padding touches.

    Of several targets it is that of the one that sees most, `layer`. None where no number is exact, for the reason in
    `why`.

    Examples
    --------
    >>> import padviz
    >>> audit(padviz.load("vgg16"), 512).reach.field
    [212, 212]
    """

    layer: str
    field: list[int] | None
    margin: list[list[int]] | None
    why: str | None
    exceeds: bool


class Audit(msgspec.Struct, frozen=True):
    """The verdict in a word and in sentences, the figures that it stands on, and the remedies, best first.

    `offset` is the grid offset of the target on both axes, in input pixels; None where `grid` says why there is none.

    Examples
    --------
    >>> import padviz
    >>> found = audit(padviz.load("resnet50"), 224)
    >>> found.verdict, found.learned[:2], found.rigid
    ('uneven and foveated', ['conv1', 'layer2.0.conv2'], ['maxpool'])
    """

    network: str
    title: str
    size: list[int]
    target: list[str]
    heads: str
    verdict: str
    sentences: list[str]
    learned: list[str]
    rigid: list[str]
    dropping: list[str]
    reach: Reach
    offset: list[float | None]
    grid: str
    outcome: Outcome
    remedies: list[Remedy]
    cannot: list[str]
    notes: list[str]


def audit(
    network: Network,
    size: int | Sequence[int] | None = None,
    layer: str | Sequence[str] | None = None,
    heads: str = "sum",
) -> Audit:
    """Judge a network at a size.

    Parameters
    ----------
    network : Network
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    layer : str or sequence of str, optional
        The target layer, or several that add up; the last feature map by default.
    heads : "sum" or "share"
        How several last feature maps count, as for `usage`.

    Raises
    ------
    PadvizError
        For a size or option that cannot be used.

    Examples
    --------
    >>> import padviz
    >>> audit(padviz.load("vgg19"), 224).verdict
    'foveated'
    """
    from padviz.network.baked import assumed, notes_at

    targets = names_of(layer, network, every=heads == "share")
    network, pixels = upto(network, targets), network.at(size)
    found, rows = outcome(network, pixels, heads=heads), ledger(network, pixels)
    (reach, field), helpful = _farthest(network, pixels), improvements(network, found, heads)
    return Audit(
        network=network.name,
        title=network.title,
        size=[*pixels],
        target=[*targets],
        heads=heads,
        verdict=_word(found),
        sentences=_sentences(found, reach, len(targets) > 1),
        learned=[row.layer for row in rows.uneven_learned],
        rigid=[row.layer for row in rows.uneven_rigid],
        dropping=[row.layer for row in rows.layers if row.drops],
        reach=reach,
        offset=[*field.offsets] if field else [None, None],
        grid=grid_in_words(field) if field else f"undefined: {reach.why}",
        outcome=found,
        remedies=[*helpful],
        cannot=[*cannot(network, pixels), *_crops(network, pixels, heads, helpful)],
        notes=[*notes_at(network, pixels), *([said] if size is None and (said := assumed(network)) else [])],
    )


def maps(network: Network, found: Audit, most: int) -> list[tuple[str, CountMap]]:
    """The usage map of an audited network as it is, and with each of the first remedies."""
    network, size = upto(network, tuple(found.target)), (found.size[0], found.size[1])
    shown = [("today", usage(network, size, heads=found.heads))]
    made = {change.what: change for change in changes(network, size)}
    for remedy in found.remedies[:most]:
        change = made[remedy.what]
        shown.append((change.what, usage(change.network, change.size, change.padding, heads=found.heads)))
    return shown


def _crops(network: Network, size: Size, heads: str, found: Sequence[Remedy]) -> list[str]:
    """What cropping the output by its margin does, where that is no remedy."""
    said = []
    for change in cropped_outputs(network, size) if "crop" not in [each.kind for each in found] else ():
        share = usage(change.network, size, heads=heads).summary().share
        does = f"starves {share.starved:.1%} of the pixels" if share else "treats the border no fairer"
        said.append(f"Cropping to the units that read no padding {does} ({'; '.join(change.edit)}).")
    return said


def _word(found: Outcome) -> str:
    """The verdict in a word or three."""
    share = found.share
    if share is None:
        return "uneven" if found.uneven_learned else "even"
    words = ["uneven"] if found.uneven_learned else []
    words += ["foveated"] if share.starved > TOLERATED else []
    words += ["overused border"] if share.overused > TOLERATED else []
    return " and ".join(words) or "fair"


def _sentences(found: Outcome, reach: Reach, several: bool) -> list[str]:
    """The verdict for a person: who gets too little, who too much, which windows read unevenly, why."""
    said, share = [], found.share
    if share is None:
        said.append(f"Fair shares cannot be told: {found.share_reason}.")
    else:
        if share.starved > TOLERATED:
            said.append(f"{share.starved:.0%} of the pixels are starved: used less than half as often as {FAR}.")
        if share.overused > TOLERATED:
            said.append(f"{share.overused:.0%} of the pixels are overused: used more than 1.5 times as often as {FAR}.")
        if max(share.starved, share.overused) <= TOLERATED:
            said.append(f"Nearly every pixel is used between half and 1.5 times as often as {FAR}.")
        if lean := _leans(share.lean.height, share.lean.width):
            said.append(f"The {lean[0]} half of the image counts for more than the {lean[1]} half.")
    if found.uneven_learned:
        many = f"{found.uneven_learned} convolutions read" if found.uneven_learned > 1 else "1 convolution reads"
        said.append(f"{many} more padding on one side than on the other, which goes with skewed filters.")
    else:
        said.append("No convolution reads more padding on one side than on the other.")
    if reach.exceeds and reach.field:
        of = f" of {reach.layer}" if several else ""
        said.append(f"The receptive field{of} is larger than the image: every unit's reaches past the border.")
    if found.low:
        said.append(_apart(found))
    return said


def _apart(found: Outcome) -> str:
    """What tells remedies apart where all shares are low."""
    times = f"{found.spread:.3g} times" if found.spread < 1e15 else "far more than"
    return f"So all shares are low, and what counts is how far apart they lie: the largest is {times} the least."


def _leans(height: float, width: float) -> tuple[str, str] | None:
    """Where a map leans to, and what lies across: "top left" and "bottom right"; None where it does not."""
    sides = [(height, "top", "bottom"), (width, "left", "right")]
    pairs = [(near, far) if lean < 0 else (far, near) for lean, near, far in sides if abs(lean) >= LEANS]
    return (" ".join(near for near, _ in pairs), " ".join(far for _, far in pairs)) if pairs else None


def _farthest(network: Network, size: Size) -> tuple[Reach, ReceptiveField | None]:
    """How far the border reaches into the image, at the target that sees most of it, and the field of that."""
    try:
        fields = {each.layer: each for each in receptive_fields(network, size)}
        touched = {each.layer: each for each in margins(network, size)}
    except SizeError as error:
        return Reach(network.targets[-1], None, None, error.what, exceeds=False), None
    found = [(_reach(fields[name], touched[name], size), fields[name]) for name in network.targets if name in fields]
    if not found:
        return Reach(network.targets[-1], None, None, "the target is the image", exceeds=False), None
    return max(found, key=lambda each: (each[0].field is None, each[0].field or []))


def _reach(field: ReceptiveField, margin: Margin, size: Size) -> Reach:
    barrier = margin.barrier_height or margin.barrier_width
    fields: list[AxisField] = [field.height, field.width]
    if barrier or any(each.whole for each in fields):
        depends = "makes every position depend on all"
        why = f"{barrier[0]} ({barrier[1]}) {depends}" if barrier else "it sees the whole image"
        return Reach(field.layer, None, None, why, exceeds=True)
    sizes = [each.size for each in fields]
    exceeds = any(f > n for f, n in zip(sizes, size, strict=True))
    return Reach(field.layer, sizes, _halos(margin), None, exceeds)


def _halos(margin: Margin) -> list[list[int]] | None:
    if margin.halo_height is None or margin.halo_width is None:
        return None
    return [[ceil(n) for n in pair] for pair in (margin.halo_height, margin.halo_width)]
