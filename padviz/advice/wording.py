"""The words of an audit: the verdict, and sentences on border, symmetry, padding, advice and
accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from padviz.advice.changes import NEEDS
from padviz.advice.evidence import EVIDENCE, Standing
from padviz.advice.remedies import FOVEATED, MapOutcome, Remedy
from padviz.counting.shares.summary import FairShare, Rim, percent
from padviz.errors import typed
from padviz.geometry.balance.case import Case
from padviz.geometry.ledger import padded_before
from padviz.geometry.reaching.near_padding import BeforeAfter, NearPadding
from padviz.geometry.reaching.shifts import seams_in_words
from padviz.geometry.receptive_fields import ReceptiveField, rounded_offset
from padviz.network.network import FILES, Network
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import sizes_of_each
from padviz.phrases import some_names

ALIKE = 3  # remedies that are not told apart from the first, named at most
NAMED = 8  # layers that a sentence lists at most
NOTHING, UNTRAINED, HELPLESS = "nothing to do", "nothing without training", "nothing helps"
GOOD = {"narrow": "narrow, which is good", "typical": "typical", "wide": "wide, which is bad"}
INTERIOR = "the paths of an interior pixel"


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
        words.append(f"{shape}, {standing.width} rim" if standing else f"{shape} rim")
    if figures.overused_rim and any(figures.overused_rim.depths):
        words.append("overused rim")
    return " and ".join(words) or "no rim"


def border(
    figures: MapOutcome, standing: Standing | None, compared: bool, reads_padding: bool
) -> str:
    """Return the depth of the rims, the share of unfair pixels, and how many networks have narrower
    rims.
    """
    share, rim, more = figures.share, figures.rim, figures.overused_rim
    if share is None or rim is None or more is None:
        return f"Fair shares are not defined: {figures.share_reason}."
    if not reads_padding:
        return f"No unit reads padding; {rim.words} are context, which few units see."
    parts = [_rim_in_words(figures, share, rim, standing)]
    overused = percent(share.overused)
    if any(more.depths):
        parts.append(f"{more.words} get more than 3/2 (overused), {overused} of this image")
    elif share.overused:
        parts.append(f"{overused} get more than 3/2 (overused)")
    if standing and compared and any(rim.depths):
        narrower = f"{100 * standing.narrower:.0f} %" if standing.narrower else "none"
        known = f"{narrower} of {standing.of} known networks have a narrower rim"
        parts.append(f"{GOOD[standing.width]}: {known}")
    return f"{'; '.join(parts)}."


def _rim_in_words(
    figures: MapOutcome, share: FairShare, rim: Rim, standing: Standing | None
) -> str:
    """Return how deep the starved rim is, and how many pixels of this image are starved."""
    if not any(rim.depths):
        starved = percent(share.starved)
        return (
            f"No rim gets less than half {INTERIOR} (starved); {starved} of this image's pixels do"
        )
    shape = "Lopsided" if standing and standing.lopsided else "Symmetric"
    if figures.low:
        return (
            f"{shape} rim: on a large image {rim.words} would get less than half {INTERIOR} "
            "(starved); in this one every pixel does (foveated)"
        )
    starved = f"{percent(share.starved)} of this image"
    if share.starved > FOVEATED:
        starved += " (foveated)"
    return f"{shape} rim: {rim.words} get less than half {INTERIOR} (starved), {starved}"


def is_fine(
    figures: MapOutcome,
    standing: Standing | None,
    field: ReceptiveField | None,
    reads_padding: bool,
) -> bool:
    """Whether a network is even and centred and its rim narrow, so that there is nothing to do."""
    if not reads_padding:
        return True
    if figures.jumps or figures.uneven_convolutions or figures.uneven_pools:
        return False
    return _is_centred(field) and _is_narrow(figures, standing)


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


def advice(
    fine: bool,
    reads_padding: bool,
    before: MapOutcome,
    remedies: Sequence[Remedy],
    alike: Sequence[str],
) -> str:
    """Return what to do with today's weights, what to do with training, its measured effect, and
    what is as good.
    """
    if fine and reads_padding:
        return "Nothing to do: even, centred, and the rim is narrow."
    if fine:
        return "Nothing to do: no unit reads padding."
    lead = best_remedy(remedies)
    if lead is None and remedies:
        return f"Nothing that was tried helps enough ({remedies[0].what}: {remedies[0].price})."
    if lead is None:
        return "Nothing that was tried helps."
    does = " and ".join(_effects(lead, before))
    changed = f"{lead.what} {does} ({_measured(lead)})."
    if alike:
        others = [*alike[:ALIKE]]
        if len(alike) > ALIKE:
            others.append(f"{len(alike) - ALIKE} more")
        changed += f" The measurements do not separate it from {' or '.join(others)}."
    if lead.needs == NEEDS[0]:
        return f"Without training: {changed}"
    losses = [row.as_is[0] for row in EVIDENCE.values() if row.as_is]
    lost = f"every measured change cost a small network {-max(losses):g} to {-min(losses):g} points"
    return f"Without training, change nothing: {lost}. If you {lead.needs}: {changed}"


def _effects(lead: Remedy, before: MapOutcome) -> Iterator[str]:
    """Yield what a remedy does to uneven convolutions, and to the pixels of the border."""
    left, were = lead.outcome.uneven_convolutions, before.uneven_convolutions
    if left == 0 < were:
        yield "makes every convolution even"
    elif left < were:
        yield f"leaves {left} of {were} convolutions uneven"
    share = lead.outcome.share
    if share:
        if share.starved == 1:
            starved = "every pixel"
        else:
            starved = percent(share.starved)
        yield f"leaves {starved} starved, {percent(share.overused)} overused"


def _measured(lead: Remedy) -> str:
    """Return the measured effects of a remedy on accuracy, in points."""
    effects = []
    if lead.as_is is not None:
        effects.append(f"{lead.as_is:+.1f} as is")
    if lead.trained is not None:
        effects.append(f"{lead.trained:+.1f} at worst after training")
    return ", ".join(effects) or "not measured"


def best_remedy(remedies: Sequence[Remedy]) -> Remedy | None:
    """Return the best remedy without a price."""
    return next((remedy for remedy in remedies if not remedy.price), None)


def best(fine: bool, remedies: Sequence[Remedy]) -> str:
    """Return what to do with today's weights, or why there is nothing to do."""
    if fine:
        return NOTHING
    lead = best_remedy(remedies)
    if lead is None:
        return HELPLESS
    if lead.needs != NEEDS[0]:
        return UNTRAINED
    return lead.what


def accuracy(network: Network, reads_padding: bool) -> str:
    """Return the meaning of starved pixels for a trained network, and the command that
    measures it.
    """
    source = "model.onnx"
    if network.source.lower().endswith(FILES):
        source = network.source
    command = f"padviz seen {typed(source)} --images FOLDER"
    if len(network.targets) > 1:
        command = "padviz rings --gt instances.json --pred results.json"
    if not reads_padding:
        return f"No padding is read; what else the rim costs is measured by {command}."
    return (
        "Fewer paths need not cost accuracy: in three trained networks the reaction at the rim "
        "was .63 to .98 of that inside; path counts there are .19 to .46. Measure yours: "
        f"{command}."
    )


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
