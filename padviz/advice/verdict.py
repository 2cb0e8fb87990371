"""The audit of a network at a size: the verdict on its treatment of the border, and remedies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import msgspec

from padviz.advice.evidence import Standing, standing
from padviz.advice.remedies import Attempt, MapOutcome, Remedy, attempts, map_outcome
from padviz.advice.suggestions import faults_of, suggestions
from padviz.advice.wording import (
    accuracy,
    best,
    border,
    margin,
    measure,
    now,
    padding,
    symmetry,
    training,
    verdict,
)
from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import percent
from padviz.cutting.context import pixels_around
from padviz.engine.limbs import HOLDS
from padviz.errors import PadvizError, SizeError
from padviz.geometry.balance.case import Case, limits
from padviz.geometry.reaching.near_padding import NearPadding
from padviz.geometry.receptive_fields import (
    AxisField,
    ReceptiveField,
    grid_in_words,
    grid_moves,
    receptive_fields,
)
from padviz.network.network import Network, Size, notes_on
from padviz.network.rewrites import check_image, circular_axes
from padviz.network.targets import head_weighting, output_layers, target_names, upto

DRAWN = 3  # remedies in a picture


class BorderReach(msgspec.Struct, frozen=True):
    """How far the border reaches in: the receptive `field` of the target that sees most, `layer`.

    The field is None where no number is exact, for the reason in `why`; `exceeds` tells if it is
    larger than the image.
    """

    layer: str
    field: list[int] | None
    why: str | None
    exceeds: bool


@dataclass(frozen=True)
class Audit:
    """The verdict in a few words, sentences and figures behind it, and the remedies, best first.

    `border` has the depth of the rims, compared with known networks of its kind, and the starved
    share. `now` says what to do without training, `training` what to do if you train. `accuracy`
    says what the border means for it; `measure` is the command that measures that. `margin` says
    how many pixels around the image move it out of its rims, and which results read padding.
    `symmetry` names the convolutions that read their padding unevenly, and the sampling-grid
    offset. `padding` has the units that depend on padding.

    `best` is "nothing to do", a remedy without training, "nothing without training" if one of the
    `remedies` is to be tried with training, or "nothing helps". `to_try` is the remedy that
    `training` names; the measurements do not separate those in `alike` from it.

    `offset` is the grid offset of the target on both axes, in input pixels; None where `grid` gives
    a reason. `offset_by` has the share of each layer on the longest path to the target, the largest
    first.

    Examples
    --------
    >>> import padviz
    >>> judged = padviz.audit("resnet50", 224)
    >>> judged.verdict, judged.uneven_convolutions[:2], judged.uneven_pools
    ('lopsided rim', ['conv1', 'layer2.0.conv2'], ['maxpool'])
    """

    network: str
    title: str
    size: list[int]
    target: list[str]
    heads: str
    verdict: str
    border: str
    now: str
    training: str
    margin: str
    accuracy: str
    measure: str
    symmetry: str
    padding: str
    best: str
    to_try: str | None
    alike: list[str]
    standing: Standing | None
    uneven_convolutions: list[str]
    uneven_pools: list[str]
    remainders: list[str]
    reach: BorderReach
    offset: list[float | None]
    offset_by: dict[str, list[float | None]]
    grid: str
    outcome: MapOutcome
    remedies: list[Remedy]
    cannot: list[str]
    notes: list[str]
    scheme: str | None


@dataclass(frozen=True)
class Examined:
    """An audit and its maps: as it is today, and with each of the first remedies, in order."""

    audit: Audit
    today: CountMap
    remedied: list[CountMap]

    @property
    def maps(self) -> list[tuple[str, CountMap]]:
        """All maps with their names."""
        names = [remedy.what for remedy in self.audit.remedies[: len(self.remedied)]]
        return [("today", self.today), *zip(names, self.remedied, strict=True)]


def examine(
    network: Network,
    size: int | Sequence[int] | None = None,
    layer: str | Sequence[str] | None = None,
    heads: str | None = None,
    most: int = 0,
) -> Examined:
    """Audit a network at a size, and keep the maps of at most `most` remedies."""
    check_image(network)
    network, pixels = network.at(size), network.pixels(size)
    heads, targets = head_weighting(heads, layer, network), target_names(layer, network)
    ends, network = upto(network, output_layers(layer, network)), upto(network, targets)
    today, counts = Case(network, pixels), usage(network, pixels, heads=heads)
    figures = map_outcome(today, counts)
    rounded = not most and counts.max >= HOLDS  # else floats win no time
    (reach, field, near), tried = _farthest(today), attempts(today, figures, heads, most, rounded)
    stands = None
    if figures.rim:
        # Several outputs are compared as such, whatever the stride of each.
        strides = [_output_stride(field)] * len(targets)
        stands = standing(figures.rim, strides)
    reads_padding = _reads_padding(network, near)
    remedies = [attempt.remedy for attempt in tried if attempt.remedy]
    of_kind = {attempt.change.kind: attempt for attempt in tried}
    cannot, crop = limits(today), of_kind.get("crop")
    if crop and not crop.remedy:
        cannot.append(_crop(crop))
    faults = faults_of(figures, stands, field, reads_padding)
    suggested = suggestions(faults, figures, tried)
    offset, offset_by, grid = _grid_of(network, pixels, reach, field)
    audit = Audit(
        network=network.name,
        title=network.title,
        size=[*pixels],
        target=[*targets],
        heads=heads,
        verdict=verdict(figures, stands, reads_padding),
        border=border(figures, stands, layer is None, reads_padding),
        now=now(faults, figures, stands, field, reads_padding, suggested, remedies),
        training=training(faults, figures, suggested, reads_padding),
        margin=margin(today, figures, of_kind.get("margin"), near, field),
        accuracy=accuracy(figures, reads_padding),
        measure=measure(network),
        symmetry=symmetry(today, field, reach.why, reads_padding),
        padding=padding(today, near, reach.field, reach.why, pixels_around(ends, pixels)),
        best=best(faults, suggested),
        to_try=suggested.train.what if suggested.train else None,
        alike=[*suggested.alike],
        standing=stands,
        uneven_convolutions=[row.layer for row in today.uneven],
        uneven_pools=[row.layer for row in today.ledger.uneven_pools],
        remainders=[row.layer for row in today.ledger.remainders],
        reach=reach,
        offset=offset,
        offset_by=offset_by,
        grid=grid,
        outcome=figures,
        remedies=remedies,
        cannot=cannot,
        notes=[*notes_on(network, asked=size is not None)],
        scheme=network.padding,
    )
    return Examined(audit, counts, [attempt.counts for attempt in tried if attempt.counts])


def _reads_padding(network: Network, near: NearPadding | None) -> bool:
    """Whether any unit of the target reads padding, as far as that is known."""
    if near is None or near.everywhere:
        return True
    return any(map(any, near.axes.values())) or any(circular_axes(network))


def _output_stride(field: ReceptiveField | None) -> Fraction | None:
    """Return the pixels from one unit of the output to the next, the most of both axes."""
    if field is None:
        return None
    strides = [axis.stride for axis in field.axes.values()]
    known = [stride for stride in strides if stride is not None]
    if len(known) < len(strides):
        return None
    return max(known)


Offsets = list[float | None]


def _grid_of(
    network: Network, size: Size, reach: BorderReach, field: ReceptiveField | None
) -> tuple[Offsets, dict[str, Offsets], str]:
    """Return the grid offset on both axes, what each layer adds to it, and words for it."""
    if field is None:
        return [None, None], {}, f"undefined: {reach.why}"
    return [*field.offsets], _offset_by(network, size, reach.layer), grid_in_words(field)


def _offset_by(network: Network, size: Size, target: str) -> dict[str, Offsets]:
    """Return the grid offset that each layer on the longest path to the target adds, the largest
    first.
    """
    depths: list[int] = []
    for layer in network.layers:
        depths.append(1 + max((depths[j] for j in layer.inputs), default=0))
    at, axes, moves, added = network.index[target], network.axes, grid_moves(network, size), {}
    while network.layers[at].inputs:
        name = network.layers[at].name
        added[name] = [moves[name, axis][1] for axis in axes]
        at = max(network.layers[at].inputs, key=depths.__getitem__)
    largest = sorted(added.items(), key=lambda addition: -max(abs(n or 0) for n in addition[1]))
    return {name: by for name, by in largest if any(by)}


def _crop(tried: Attempt) -> str:
    """Return a sentence on cropping the output, where that is not a remedy."""
    if isinstance(tried.after, PadvizError):
        return f"Cropping to the units that read no padding is not counted: {tried.after.what}."
    share = tried.after.share
    does = (
        f"starves {percent(share.starved)} of the pixels"
        if share
        else "treats the border no fairer"
    )
    return f"Cropping to the units that read no padding {does} ({'; '.join(tried.change.edit)})."


def _farthest(today: Case) -> tuple[BorderReach, ReceptiveField | None, NearPadding | None]:
    """Return the target that sees most of the image, with its field and its units near padding."""
    network, size, why = today.network, today.size, "the target is the image"
    reaches: list[tuple[BorderReach, ReceptiveField | None, NearPadding | None]] = []
    try:
        fields = {field.layer: field for field in receptive_fields(network, size)}
        touched = {near.layer: near for near in today.near_padding}
        pairs = [(fields[name], touched[name]) for name in network.targets if name in fields]
        reaches += [(_reach(network, field, near, size), field, near) for field, near in pairs]
    except SizeError as error:
        why = error.what
    none = BorderReach(network.targets[-1], None, why, exceeds=False), None, None
    return max(
        reaches, key=lambda reach: (reach[0].field is None, reach[0].field or []), default=none
    )


def _reach(network: Network, field: ReceptiveField, near: NearPadding, size: Size) -> BorderReach:
    fields: list[AxisField] = [*field.axes.values()]
    if near.barrier:
        layer, why = near.barrier
        along = [axis for at, axis in enumerate(network.axes) if network.find(layer).whole(at)]
        # a mean over rows leaves the columns alone
        if len(along) == len(network.axes):
            extent = "all"
        else:
            extent = f"all along the {' and '.join(along)}"
        return BorderReach(
            field.layer,
            None,
            f"{layer} ({why}) makes every position depend on {extent}",
            exceeds=True,
        )
    if any(along.whole for along in fields):
        return BorderReach(field.layer, None, "it sees the whole image", exceeds=True)
    sizes = [along.size for along in fields]
    exceeds = any(f > n for f, n in zip(sizes, size, strict=True))
    return BorderReach(field.layer, sizes, None, exceeds)
