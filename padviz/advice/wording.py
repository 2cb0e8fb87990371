"""The words of an audit: the verdict, and sentences on the border, what to do, accuracy, symmetry
and padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from padviz.advice.changes import onnx_file
from padviz.advice.evidence import SMALL, Standing
from padviz.advice.remedies import FOVEATED, Attempt, MapOutcome, Remedy
from padviz.advice.suggestions import PART, Faults, Suggestions
from padviz.counting.shares.summary import Rim, percent
from padviz.errors import typed
from padviz.geometry.balance.case import Case
from padviz.geometry.ledger import padded_before
from padviz.geometry.reaching.near_padding import BeforeAfter, NearPadding
from padviz.geometry.reaching.shifts import seams_in_words
from padviz.geometry.receptive_fields import ReceptiveField, rounded_offset
from padviz.network.network import Network
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import sizes_of_each
from padviz.phrases import counted, listed, some_names

NAMED = 8  # layers that a sentence lists at most
FEW = 20  # known networks from which on a share of them is said in percent
NOTHING, UNTRAINED, HELPLESS = "nothing to do", "nothing without training", "nothing helps"
STARVED = "starved (fewer than half the paths of a pixel far from every border)"
OVERUSED = "overused (more than 3/2 of those paths)"


def verdict(figures: MapOutcome, standing: Standing | None, reads_padding: bool) -> str:
    if not reads_padding:
        return "no padding read"
    if figures.rim is None:
        if figures.uneven_convolutions or figures.uneven_pools:
            return "uneven windows"
        return "balanced windows"
    words = []
    if any(figures.rim.depths):
        shape = "lopsided" if standing and standing.lopsided else "symmetric"
        words.append(f"{shape} rim")
    if figures.overused_rim and any(figures.overused_rim.depths):
        words.append("overused rim")
    return " and ".join(words) or "no rim"


def border(
    figures: MapOutcome, standing: Standing | None, compared: bool, reads_padding: bool
) -> str:
    """Return the depth of the rims on each side, how many networks of its kind have narrower ones,
    and the share of starved and overused pixels.
    """
    share, rim, more = figures.share, figures.rim, figures.overused_rim
    if share is None or rim is None or more is None:
        return f"Fair shares are not defined: {figures.share_reason}."
    if not reads_padding:
        return f"No unit reads padding; {rim.words} are context, which few units see."
    starved = percent(share.starved)
    if not any(rim.depths):
        parts = [f"No side has a rim that is {STARVED}; {starved} of this image is starved."]
    else:
        parts = [_rim_in_words(figures, rim, standing, compared)]
        if not figures.low:
            parts.append(
                f"With the corners, {starved} of this image is starved{_foveated(share.starved)}."
            )
    if any(more.depths):
        depths = _capitalised(more.words)
        parts.append(f"{depths} are {OVERUSED}, {percent(share.overused)} of this image.")
    elif share.overused:
        parts.append(f"{percent(share.overused)} is {OVERUSED}.")
    return " ".join(parts)


def _rim_in_words(figures: MapOutcome, rim: Rim, standing: Standing | None, compared: bool) -> str:
    text = f"{_capitalised(rim.words)} are {STARVED}"
    if figures.low:
        text = f"On a large image {rim.words} would be {STARVED}"
    if standing and compared and standing.of:
        narrower = f"{round(standing.of * (standing.narrower or 0))} of {standing.of}"
        if standing.of >= FEW:
            narrower = f"{percent(standing.narrower or 0, 0)} of {standing.of}"
        text += f", wider than in {narrower} known networks with {standing.kind}"
    if figures.low:
        text += "; in this one every pixel is"
    return f"{text}."


def _foveated(starved: float) -> str:
    if starved > FOVEATED:
        return " (foveated)"
    return ""


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def now(
    faults: Faults,
    figures: MapOutcome,
    standing: Standing | None,
    field: ReceptiveField | None,
    reads_padding: bool,
    suggested: Suggestions,
    remedies: Sequence[Remedy],
) -> str:
    """Return what to do without training, and why."""
    if not reads_padding:
        return "Nothing to do: no unit reads padding."
    if not any(faults):
        rim = "there is no rim"
        if standing and standing.mean:
            rim = f"the rim is {standing.mean:g} px wide on average"
        return f"Nothing to do: every window is even, the sampling grid is centred, and {rim}."
    wrong = listed([*_wrong(faults, figures, standing, field)])
    lead = suggested.now
    if lead:
        does = ", ".join(_effects(lead, figures))
        return (
            f"{_capitalised(lead.what)} works with today's weights, {suggested.why}: {does}; its "
            f"effect on accuracy was not measured. What is wrong: {wrong}."
        )
    if suggested.train:
        return (
            f"Change nothing unless you train: {wrong}, but nothing that was tried helps enough "
            "with today's weights."
        )
    but = "nothing that was tried helps enough"
    if remedies:
        but += f" ({remedies[0].what}: {remedies[0].price})"
    return f"Change nothing: {wrong}, but {but}."


def _wrong(
    faults: Faults, figures: MapOutcome, standing: Standing | None, field: ReceptiveField | None
) -> Iterator[str]:
    """Yield what is wrong: uneven windows, the grid off centre, and the border."""
    uneven = [
        counted(count, noun)
        for count, noun in (
            (figures.uneven_convolutions, "convolution"),
            (figures.uneven_pools, "pool"),
        )
        if count
    ]
    if uneven:
        verb = "read"
        if uneven[0].startswith("1 ") and len(uneven) == 1:
            verb = "reads"
        yield f"{listed(uneven)} {verb} more padding on one side"
    if figures.jumps:
        yield f"{counted(figures.jumps, 'layer')} out of phase where the image wraps"
    if faults.grid:
        yield _off_centre(field)
    if faults.border:
        yield from _wrong_border(figures, standing)


def _off_centre(field: ReceptiveField | None) -> str:
    if field is None:
        return "the output has no sampling grid"
    if field.parts_at:
        return f"the branches at {field.parts_at} have different centres"
    most = max(abs(rounded_offset(offset or 0)) for offset in field.offsets)
    return f"the output's sampling grid is {most:g} px off centre"


def _wrong_border(figures: MapOutcome, standing: Standing | None) -> Iterator[str]:
    share, more = figures.share, figures.overused_rim
    if share is None or figures.rim is None:
        yield "fair shares are not defined"
        return
    if standing and standing.width != "narrow":
        yield f"the rim is {standing.mean:g} px wide on average"
    overused = more and any(more.depths)
    if share.starved > PART:
        yield f"{_share_of_pixels(share.starved)} of this image is starved"
    if overused:
        yield f"{percent(share.overused)} of this image is overused"
    if figures.unfair > PART >= share.starved and not overused:
        yield f"{percent(figures.unfair)} of this image is starved or overused"


def training(
    faults: Faults, figures: MapOutcome, suggested: Suggestions, reads_padding: bool
) -> str:
    """Return what to do if you train: the change, its effect, and what was measured of it."""
    if not reads_padding or not any(faults):
        return "Keep the image size and the padding."
    lead = suggested.train
    if suggested.now:
        return f"Not needed: {suggested.now.what} works without."
    if lead is None:
        return "Nothing that was tried is worth training for."
    parts = [
        "Nothing measured helps accuracy. If you train anyway and the border itself matters to "
        f"you: {lead.what} ({lead.needs}), {suggested.why}. "
        f"Here: {', '.join(_effects(lead, figures))}.",
        _measured(lead),
    ]
    if suggested.alike:
        others = _capitalised(" or ".join(suggested.alike))
        parts.append(f"{others} may do as well, as far as was measured.")
    return " ".join(parts)


def margin(
    case: Case,
    before: MapOutcome,
    tried: Attempt | None,
    near: NearPadding | None,
    field: ReceptiveField | None,
) -> str:
    """Return how wide a margin moves the image out of its rims, and which units read padding."""
    said = "None that was counted helps."
    if tried and tried.remedy:
        left, were = percent(tried.remedy.outcome.unfair), percent(before.unfair)
        said = (
            f"{tried.change.what} ({tried.change.work:.2f}x the pixels) move the image out of the "
            f"rim: {left} of it is starved or overused instead of {were}. Fill it with the scene "
            "where you can: zeros there are content to all layers behind the first."
        )
    if near is None or field is None:
        return said
    depths, at = [], case.network.index[near.layer]
    maps = sizes_of_each(case.network, case.size)
    for (axis, along), n, sizes in zip(field.axes.items(), case.size, maps, strict=True):
        first, last = near.axes[axis]
        if near.everywhere or first + last >= sizes[at]:
            return f"{said} Every unit still depends on padding, at any distance from the border."
        if along.stride is None:
            return said
        # Each unit stands for as many pixels as its stride, the last for those that are left.
        far = 0
        if last:
            far = max(ceil(n - (sizes[at] - last) * along.stride), 1)
        depths.append([ceil(first * along.stride), far])
    band = Rim(*depths)
    if not any(band.depths):
        return said
    return f"{said} Units in {band.words} depend on padding: drop their results to be free of it."


def _effects(lead: Remedy, before: MapOutcome) -> Iterator[str]:
    """Yield what a remedy does to uneven convolutions, to the pixels of the border, and the
    costs.
    """
    after, were = lead.outcome, before.uneven_convolutions
    if after.uneven_convolutions == 0 < were:
        yield "every convolution even"
    elif were:
        yield f"{after.uneven_convolutions} of {were} convolutions still uneven"
    if not were and after.uneven_pools < before.uneven_pools:
        yield f"{after.uneven_pools} of {before.uneven_pools} pools uneven"
    if after.jumps < before.jumps:
        yield f"{after.jumps} of {before.jumps} layers out of phase"
    share, old = after.share, before.share
    if share and old:
        if percent(share.starved) != percent(old.starved):
            yield f"{_share_of_pixels(share.starved)} starved instead of {percent(old.starved)}"
        if percent(share.overused) != percent(old.overused):
            yield f"{percent(share.overused)} overused instead of {percent(old.overused)}"
    if lead.macs_ratio and f"{lead.macs_ratio:.2f}" != "1.00":
        yield f"{lead.macs_ratio:.2f}x multiply-adds"


def _share_of_pixels(share: float) -> str:
    if share == 1:
        return "every pixel"
    return percent(share)


def _measured(lead: Remedy) -> str:
    """Return the measured effects of a remedy on the accuracy of small networks, in points."""
    points = []
    if lead.as_is is not None:
        points.append(f"{lead.as_is:+.1f} points of accuracy untrained")
    if lead.trained is not None:
        points.append(
            f"{lead.trained:+.1f} points of accuracy or AP after training, where it did worst"
        )
    if not points:
        return "Its effect on accuracy was not measured."
    return f"In {SMALL}: {', '.join(points)}."


def best(faults: Faults, suggested: Suggestions) -> str:
    """Return what to do with today's weights, or why there is nothing to do."""
    if not any(faults):
        return NOTHING
    if suggested.now:
        return suggested.now.what
    if suggested.train:
        return UNTRAINED
    return HELPLESS


def accuracy(figures: MapOutcome, reads_padding: bool) -> str:
    """Return the meaning of starved pixels for a trained network."""
    if not reads_padding:
        return "No padding is read; what else the rim costs does not follow from counts."
    if figures.rim is None:
        return "Not known: fair shares are not defined."
    if not any(figures.rim.depths):
        return "Not known from counts; no side is starved."
    return (
        "Not known from counts: in three trained networks the response at the rim was .63 to .98 "
        "of that inside, where path counts are .19 to .46, so counts overstated it there."
    )


def measure(network: Network) -> str:
    """Return the command that measures what the rim costs a trained network."""
    if len(network.targets) > 1:
        return "padviz rings --gt instances.json --pred results.json"
    if ":" in network.source:
        return f"padviz seen {typed(network.source)} --weights FILE --images FOLDER"
    return f"padviz seen {typed(onnx_file(network.source))} --images FOLDER"


def symmetry(
    case: Case, field: ReceptiveField | None, whole: str | None, reads_padding: bool
) -> str:
    """Return which convolutions read their padding unevenly, which axes wrap, and the sampling-grid
    offset.
    """
    uneven, around = [row.layer for row in case.uneven], circular_axes(case.network)
    if uneven:
        many = f"{len(uneven)} convolutions read their"
        if len(uneven) == 1:
            many = "1 convolution reads its"
        parts = [f"{many} padding unevenly ({some_names(uneven, NAMED)})"]
    elif all(around):
        parts = ["No convolution reads its padding unevenly"]
    elif reads_padding:
        parts = ["Every convolution reads its padding evenly"]
    else:
        parts = ["No convolution reads padding"]
    if said := padded_before(case.network):
        parts.append(said)
    parts += seams_in_words(case.network, case.size)
    if not all(around):
        parts.append(grid_place(field, whole))
    return f"{'; '.join(parts)}."


def grid_place(field: ReceptiveField | None, whole: str | None) -> str:
    if field is None:
        return f"no sampling grid: {whole}"
    if field.parts_at:
        return (
            "the sampling grid is not defined: branches have different centres, first at "
            f"{field.parts_at}"
        )
    axes = zip(field.offsets, (("above", "below"), ("left of", "right of")), strict=True)
    off = [(abs(rounded_offset(n)), words[n > 0]) for n, words in axes if n and rounded_offset(n)]
    if not off:
        if all(n is None for n in field.offsets):
            return "no sampling grid: each unit sees all"
        return "the sampling grid is centred on the image"
    if len({n for n, _ in off}) == 1:
        where = " and ".join(word for _, word in off)
        return f"the sampling grid is centred {off[0][0]:g} px {where} the image's centre"
    sides = " and ".join(f"{n:g} px {word}" for n, word in off)
    return f"the sampling grid is centred {sides} the image's centre"


def padding(
    case: Case,
    near: NearPadding | None,
    field: list[int] | None,
    whole: str | None,
    around: tuple[BeforeAfter, ...] | None,
) -> str:
    """Return which units of the target depend on padding, and the context of tiles."""
    if near is None:
        return (
            f"Which units depend on padding is not counted: {whole or 'the target is the image'}."
        )
    if near.everywhere:
        return f"Every unit depends on padding: {whole}."
    (top, bottom), (left, right) = sides = near.axes["height"], near.axes["width"]
    at = case.network.index[near.layer]
    units = [sizes[at] for sizes in sizes_of_each(case.network, case.size)]
    where = f"{units[0]} x {units[1]} units of {near.layer}"
    seen = whole or ""
    if field:
        seen = f"the receptive field is {field[0]} x {field[1]} px"
    tiles = ""
    if around:
        tiles = f"; tiles need {max(map(max, around))} px of context"
    if not any(map(any, sides)):
        return f"No unit of {near.layer} reads padding; {seen}{tiles}."
    if any(sum(pair) >= n for pair, n in zip(sides, units, strict=True)):
        if field and any(sees > n for sees, n in zip(field, case.size, strict=True)):
            seen += ", beyond the image"
        return f"All {where} depend on padding; {seen}{tiles}."
    inner = f"{units[0] - top - bottom} x {units[1] - left - right}"
    return f"Of {where} the inner {inner} depend on no padding; {seen}{tiles}."
