"""The words of an audit: the verdict, and sentences on border, symmetry, padding, advice and accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from padviz.advice.changes import NEEDS
from padviz.advice.evidence import EVIDENCE, Standing
from padviz.advice.remedies import FOVEATED, MapOutcome, Remedy
from padviz.counting.shares.summary import percent
from padviz.errors import typed
from padviz.geometry.balance.case import Case
from padviz.geometry.ledger import padded_before
from padviz.geometry.reaching.near_padding import BeforeAfter, NearPadding
from padviz.geometry.reaching.shifts import seams_in_words
from padviz.geometry.receptive_fields import ReceptiveField, rounded_offset
from padviz.network.network import FILES, Network
from padviz.network.rewrites import circular_axes
from padviz.network.sizes import sizes_of_each

ALIKE = 3  # remedies that are not told apart from the first, named at most
NAMED = 8  # layers that a sentence lists at most
NOTHING, UNTRAINED, HELPLESS = "nothing to do", "nothing without training", "nothing helps"
GOOD = {"narrow": "narrow, which is good", "typical": "typical", "wide": "wide, which is bad"}
INTERIOR = "the paths of an interior pixel"


def verdict(figures: MapOutcome, standing: Standing | None, reads_padding: bool) -> str:
    if not reads_padding:
        return "no padding read"
    if figures.rim is None:
        return "uneven windows" if figures.uneven_convolutions or figures.uneven_pools else "balanced windows"
    words = []
    if any(figures.rim.depths):
        shape = "lopsided" if standing and standing.lopsided else "symmetric"
        words.append(f"{shape}, {standing.width} rim" if standing else f"{shape} rim")
    if figures.overused_rim and any(figures.overused_rim.depths):
        words.append("overused rim")
    return " and ".join(words) or "no rim"


def border(figures: MapOutcome, standing: Standing | None, compared: bool, reads_padding: bool) -> str:
    """Return the depth of the rims, the share of unfair pixels, and how many networks have narrower rims."""
    share, rim, more = figures.share, figures.rim, figures.overused_rim
    if share is None or rim is None or more is None:
        return f"Fair shares are not defined: {figures.share_reason}."
    if not reads_padding:
        return f"No unit reads padding; {rim.words} are context, which few units see."
    parts = [f"No rim gets less than half {INTERIOR} (starved); {percent(share.starved)} of this image's pixels do"]
    if any(rim.depths):
        foveated = " (foveated)" if share.starved > FOVEATED else ""
        starved = f"get less than half {INTERIOR} (starved), {percent(share.starved)} of this image{foveated}"
        if figures.low:
            starved = f"would get less than half {INTERIOR} (starved); in this one every pixel does (foveated)"
        shape = "Lopsided" if standing and standing.lopsided else "Symmetric"
        parts = [f"{shape} rim: {'on a large image ' * figures.low}{rim.words} {starved}"]
    if any(more.depths):
        parts.append(f"{more.words} get more than 3/2 (overused), {percent(share.overused)} of this image")
    elif share.overused:
        parts.append(f"{percent(share.overused)} get more than 3/2 (overused)")
    if standing and compared and any(rim.depths):
        narrower = f"{100 * standing.narrower:.0f} %" if standing.narrower else "none"
        parts.append(f"{GOOD[standing.width]}: {narrower} of {standing.of} known networks have a narrower rim")
    return f"{'; '.join(parts)}."


def is_fine(figures: MapOutcome, standing: Standing | None, field: ReceptiveField | None, reads_padding: bool) -> bool:
    """Whether a network is even and centred and its rim narrow, so that there is nothing to do."""
    if not reads_padding:
        return True
    rim, share, more = figures.rim, figures.share, figures.overused_rim
    if rim is None or share is None or more is None or field is None or figures.jumps:
        return False
    if figures.uneven_convolutions or figures.uneven_pools:
        return False
    centred = not field.parts_at and not any(rounded_offset(offset or 0) for offset in field.offsets)
    narrow = not any(rim.depths) or (standing is not None and standing.width == "narrow")
    return centred and narrow and not any(more.depths) and share.starved + share.overused <= FOVEATED


def advice(
    fine: bool, reads_padding: bool, before: MapOutcome, remedies: Sequence[Remedy], alike: Sequence[str]
) -> str:
    """Return what to do with today's weights, what to do with training, its measured effect, and what is as good."""
    if fine:
        return f"Nothing to do: {'even, centred, and the rim is narrow' if reads_padding else 'no unit reads padding'}."
    lead, losses = best_remedy(remedies), [row.as_is[0] for row in EVIDENCE.values() if row.as_is]
    if lead is None:
        tried = f" enough ({remedies[0].what}: {remedies[0].price})" if remedies else ""
        return f"Nothing that was tried helps{tried}."
    share, left, does = lead.outcome.share, lead.outcome.uneven_convolutions, []
    if left < before.uneven_convolutions:
        uneven = f"leaves {left} of {before.uneven_convolutions} convolutions uneven"
        does.append(uneven if left else "makes every convolution even")
    if share:
        starved = "every pixel" if share.starved == 1 else percent(share.starved)
        does.append(f"leaves {starved} starved, {percent(share.overused)} overused")
    as_is = f"{lead.as_is:+.1f} as is" if lead.as_is is not None else ""
    trained = f"{lead.trained:+.1f} at worst after training" if lead.trained is not None else ""
    measured = ", ".join(filter(None, (as_is, trained))) or "not measured"
    changed = f"{lead.what} {' and '.join(does)} ({measured})."
    if alike:
        others = [*alike[:ALIKE], *[f"{len(alike) - ALIKE} more"] * (len(alike) > ALIKE)]
        changed += f" The measurements do not separate it from {' or '.join(others)}."
    if lead.needs == NEEDS[0]:
        return f"Without training: {changed}"
    lost = f"every measured change cost a small network {-max(losses):g} to {-min(losses):g} points"
    return f"Without training, change nothing: {lost}. If you {lead.needs}: {changed}"


def best_remedy(remedies: Sequence[Remedy]) -> Remedy | None:
    """Return the best remedy without a price."""
    return next((remedy for remedy in remedies if not remedy.price), None)


def best(fine: bool, remedies: Sequence[Remedy]) -> str:
    """Return what to do with today's weights, or why there is nothing to do."""
    if fine:
        return NOTHING
    lead = best_remedy(remedies)
    return HELPLESS if lead is None else lead.what if lead.needs == NEEDS[0] else UNTRAINED


def accuracy(network: Network, reads_padding: bool) -> str:
    """Return the meaning of starved pixels for a trained network, and the command that measures it."""
    source = network.source if network.source.lower().endswith(FILES) else "model.onnx"
    command = f"padviz seen {typed(source)} --images FOLDER"
    if len(network.targets) > 1:
        command = "padviz rings --gt instances.json --pred results.json"
    if not reads_padding:
        return f"No padding is read; what else the rim costs is measured by {command}."
    return (
        "Fewer paths need not cost accuracy: in three trained networks the reaction at the rim was .63 to .98 of that "
        f"inside; path counts there are .19 to .46. Measure yours: {command}."
    )


def symmetry(case: Case, field: ReceptiveField | None, whole: str | None, reads_padding: bool) -> str:
    """Return which convolutions read their padding unevenly, which axes wrap, and the sampling-grid offset."""
    uneven, around = [row.layer for row in case.uneven], circular_axes(case.network)
    if uneven:
        named = ", ".join(uneven[:NAMED]) + (f" and {len(uneven) - NAMED} more" if len(uneven) > NAMED else "")
        many = f"{len(uneven)} convolutions read their" if len(uneven) > 1 else "1 convolution reads its"
        windows = f"{many} padding unevenly ({named})"
    elif all(around):
        windows = "No convolution reads its padding unevenly"
    else:
        windows = "Every convolution reads its padding evenly" if reads_padding else "No convolution reads padding"
    grid = [] if all(around) else [grid_place(field, whole)]
    before = [said] if (said := padded_before(case.network)) else []
    return f"{'; '.join([windows, *before, *seams_in_words(case.network, case.size), *grid])}."


def grid_place(field: ReceptiveField | None, whole: str | None) -> str:
    if field is None:
        return f"no sampling grid: {whole}"
    if field.parts_at:
        return f"the sampling grid is not defined: branches have different centres, first at {field.parts_at}"
    axes = zip(field.offsets, (("above", "below"), ("left of", "right of")), strict=True)
    off = [(abs(rounded_offset(n)), words[n > 0]) for n, words in axes if n and rounded_offset(n)]
    if not off:
        seen = any(n is not None for n in field.offsets)
        return "the sampling grid is centred on the image" if seen else "no sampling grid: each unit sees all"
    if len({n for n, _ in off}) == 1:
        where = " and ".join(word for _, word in off)
        return f"the sampling grid is centred {off[0][0]:g} px {where} the image's centre"
    sides = " and ".join(f"{n:g} px {word}" for n, word in off)
    return f"the sampling grid is centred {sides} the image's centre"


def padding(
    case: Case, near: NearPadding | None, field: list[int] | None, whole: str | None,
    around: tuple[BeforeAfter, ...] | None,
) -> str:  # fmt: skip
    """Return which units of the target depend on padding, and the context of tiles."""
    if near is None:
        return f"Which units depend on padding is not counted: {whole or 'the target is the image'}."
    if near.everywhere:
        return f"Every unit depends on padding: {whole}."
    (top, bottom), (left, right) = sides = near.axes["height"], near.axes["width"]
    at = case.network.index[near.layer]
    units = [sizes[at] for sizes in sizes_of_each(case.network, case.size)]
    where = f"{units[0]} x {units[1]} units of {near.layer}"
    seen = f"the receptive field is {field[0]} x {field[1]} px" if field else whole or ""
    tiles = f"; tiles need {max(map(max, around))} px of context" if around else ""
    if not any(map(any, sides)):
        return f"No unit of {near.layer} reads padding; {seen}{tiles}."
    if any(sum(pair) >= n for pair, n in zip(sides, units, strict=True)):
        larger = field and any(f > n for f, n in zip(field, case.size, strict=True))
        return f"All {where} depend on padding; {seen}{', beyond the image' if larger else ''}{tiles}."
    inner = f"{units[0] - top - bottom} x {units[1] - left - right}"
    return f"Of {where} the inner {inner} depend on no padding; {seen}{tiles}."
