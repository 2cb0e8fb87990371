"""Which input sizes a network takes, and what to pad where it refuses one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

from padviz.analyses.asked import Layers, Source, asked
from padviz.analyses.pasted import lines_to_paste
from padviz.analyses.result import Result
from padviz.errors import ForwardError, OptionError, PadvizError, SizeError
from padviz.geometry.balance.balanced_sizes import odd_window
from padviz.geometry.reaching.shifts import alignment_on
from padviz.geometry.sizing.at_size import AtSize, at_size, exported_for_another
from padviz.geometry.sizing.nearest import NearSizes, near_sizes
from padviz.geometry.sizing.rules import (
    MOST_READ,
    MOST_SMALL,
    AxisSizes,
    SizeRule,
    axes_depend,
    axis_sizes,
    sizes_to_read,
)
from padviz.network.network import ENDS, LARGEST, Network, Size, as_size, in_words, sizes_in
from padviz.network.operations import Window
from padviz.network.sizes import AlongAxes, sizes_of
from padviz.options import IMAGES, LAYERS, PADDING, SAME, SIZED_MODEL, SIZES, Command
from padviz.phrases import listed
from padviz.progress import Progress
from padviz.reports.documents import picked, plain
from padviz.reports.report import Block, Column, Facts, Heading, Lines, Report, Table, Verbatim
from padviz.reports.rows import about, rows_of
from padviz.reports.tables import pixels
from padviz.scoring.reading.yolo import sizes_of_pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL = 64, 1024  # sides whose rules are computed
DEFAULT = "64:1024"
POWERS = 256, 512, 1024  # sides that most networks take
PROPERTIES = (
    "accepted",
    "unstretched",
    "balanced",
    "no_remainder",
)  # of a size: fields of `AxisSizes`
MOST_SERVED = 5  # padded sizes that are listed for a folder


class SizeRow(TypedDict):
    """The sizes of an axis that have a property: their rule, and how many were read.

    The others are `expected` by the rule; of `unknown` ones, padviz does not know.
    """

    axis: str
    property: str
    rule: str | None
    count: int
    min: int | None
    runs: str
    checked: int
    expected: int
    unknown: list[int]
    sizes: list[int]


SHOWN = (
    Column("axis"),
    Column("property"),
    Column("rule", show=lambda rule: rule or "none: see json"),
    Column("count"),
    Column("runs"),
    Column("checked", spare=1),
)
LEGEND = (
    "accepted: the network runs; unstretched: an output brought back to the image's size lies in "
    "place, and the image is read to its end; balanced: every window reads as much padding before "
    "as after; no_remainder: balanced, and no window leaves a row unread. Checked sizes were "
    "read; the others follow from the rule."
)


@dataclass(frozen=True, slots=True)
class Served:
    """A padded size, and the number of pictures that it serves."""

    size: Size
    count: int


@dataclass(frozen=True, slots=True)
class SizesOfImages:
    """How many pictures of a folder a network takes: runs on, stretches, and reads unevenly; and
    what they need.

    `added` has the pixels to add to each axis, at most. `served` lists padded sizes with the number
    of pictures that each serves, the most frequent first.
    """

    count: int
    accepted: int
    stretched: int
    uneven: int
    added: Size
    served: tuple[Served, ...]


@dataclass(frozen=True, slots=True)
class Sizes(AlongAxes[AxisSizes]):
    """Rules of the sizes that a network takes, on each axis, with the others at `size`.

    `asked` sides were asked about, from the first of `range` to the last. `axes` has one entry,
    "both", where the network takes squares only. `depend` is whether what one axis takes depends on
    the other. `near` is about one size that was asked for, `images` about the pictures of a folder.
    """

    network: str
    size: Size
    range: tuple[int, int]
    asked: int
    axes: Mapping[str, AxisSizes]
    depend: bool
    near: NearSizes | None = None
    images: SizesOfImages | None = None


class SizesResult(Result[AxisSizes], Sizes):
    """Which sizes a network takes: rules on each axis, and the sizes nearest to one."""


def sizes(
    network: Annotated[Source, SIZED_MODEL],
    size: Annotated[str | int | tuple[int, ...] | Iterable[int | Size], SIZES] = DEFAULT,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    layer: Annotated[Layers, LAYERS] = None,
    *,
    images: Annotated[str | Path | None, IMAGES] = None,
    on_progress: Progress | None = None,
) -> SizesResult:
    """Compute which input sizes a network accepts, stretches or reads evenly, and what to pad at
    one that it does not.

    Parameters
    ----------
    network, padding, same, layer
        As for `uneven`.
    size : int, (height, width), str, or iterable of int
        One size in pixels, or the sides to check: "64:1024", both ends included, or a list or range
        of them.
    images : str or Path, optional
        A folder of pictures, whose sizes are checked.
    on_progress : callable, optional
        Called with the number of sizes at which the network was read.

    Returns
    -------
    SizesResult
        Rules of accepted, unstretched and balanced sizes on each axis; `near` has the sizes nearest
        to one.

    Raises
    ------
    OptionError
        For sizes that cannot be used, or a folder without pictures.

    Notes
    -----
    A module or a file is read at all sizes of one period of its strides, and at some others up to
    the largest. The
    other sizes follow from the rule.

    Examples
    --------
    >>> found = sizes("resnet50", "200:300")
    >>> found.height.balanced.rule, found.height.balanced.sizes
    ('32*i + 1', (225, 257, 289))
    >>> sizes("resnet50", (224, 224)).near.axes[0].even
    False
    """
    one, sides = _asked_sizes(size)
    wanted = _read_at_any(
        partial(asked, network, padding=padding, same=same, layer=layer, others=False), one, sides
    )
    if images is None:
        pictures = []
    else:
        pictures = sizes_of_pictures(Path(images))
    if pictures:
        sides = sorted({*chain(*pictures)})
    pixels = None
    if one is not None:
        pixels = wanted.pixels(one)
    if pixels is not None:
        shown = *pixels, *wanted.size, *USUAL
        sides = [*range(min(shown), max(shown) + 1)]
    total, done = sizes_to_read(wanted), 0

    def read() -> None:
        nonlocal done
        done += 1
        if on_progress:
            on_progress(done, max(done, total))

    along = _along_axes(wanted, sides, read)
    if pixels is None and not any(
        of_axis.accepted.sizes or of_axis.accepted.unknown for of_axis in along.values()
    ):
        what = f"takes no size from {sides[0]} to {sides[-1]}"
        raise SizeError(
            what,
            where=wanted.name,
            hint=f"it takes {in_words(wanted.size)}: try a range around that",
        )
    depend = "both" in along or axes_depend(wanted, along)
    near = None
    if pixels is not None:
        near = near_sizes(wanted, pixels)
    of_images = None
    if pictures:
        of_images = _of_images(wanted, pictures)
    ends = sides[0], sides[-1]
    answer = Sizes(wanted.name, wanted.size, ends, len(sides), along, depend, near, of_images)
    draw = partial(_draw, wanted, answer)
    return SizesResult.made_of(
        answer, [*along.values()], partial(report_of, wanted, answer), draw, pictured=True
    )


def _draw(network: Network, answer: Sizes) -> Figure:
    from padviz.figures.windows.size_strips import strips

    along = {}
    for axes, sizes in _alike(answer):
        along[axes] = {
            name.replace("_", " "): runs_of(getattr(sizes, name).sizes) for name in PROPERTIES
        }
    balanced = {sizes.balanced.rule or "no simple rule" for _, sizes in _alike(answer)}
    title = f"{network.title} takes {_accepts(answer)}; balanced: {' or '.join(sorted(balanced))}"
    return strips(along, answer.range, title, [LEGEND.split(". ")[0].replace("_", " ")])


def _alike(answer: Sizes) -> list[tuple[str, AxisSizes]]:
    """Return the sizes of each axis, of those that are the same together: "height and width"."""
    names: dict[str, list[str]] = {}
    for axis, sizes in answer.axes.items():
        names.setdefault(repr(replace(sizes, axis="", refusal=None)), []).append(axis)
    return [
        ("height = width" if axes == ["both"] else " and ".join(axes), answer.axes[axes[0]])
        for axes in names.values()
    ]


def _read_at_any(
    asked_at: Callable[..., AbstractContextManager[tuple[Network, Size]]],
    one: Size | None,
    sides: Sequence[int],
) -> Network:
    """Read a network at its usual size. Where it does not run there, try the size asked about, the
    first sides, powers of two, and sides all over the range.

    Where none of them helps, returns what was read at the usual size, or raises its error.
    """
    here = [*filter(None, [one])]
    try:
        with asked_at() as (usual, _):
            # A file is read on where two of its maps do not fit, as if their layer were unknown.
            if at_size(usual, usual.size)[0].unknown:
                return _known_at(asked_at, [*here, *POWERS]) or usual
            return usual
    except (SizeError, ForwardError):
        spread = sides[:: len(sides) // MOST_SMALL + 1]
        network = _known_at(asked_at, [*here, *sides[:MOST_SMALL], *POWERS, *spread])
        if network is None:
            raise
        return network


def _known_at(
    asked_at: Callable[..., AbstractContextManager[tuple[Network, Size]]],
    sizes: Sequence[int | Size],
) -> Network | None:
    """Return a network as it is at the first of some sizes at which padviz can read it."""
    for size in sizes:
        with suppress(PadvizError), asked_at(size=size) as (network, _):
            if not at_size(network, network.size)[0].unknown:
                return network
    return None


def _asked_sizes(
    size: str | int | tuple[int, ...] | Iterable[int | Size],
) -> tuple[Size | None, list[int]]:
    """Return the one size that is asked for, or else the sides, sorted."""
    listed: list[int | Size] = []
    if isinstance(size, str):
        listed = [*sizes_in(size)]
    elif isinstance(size, int | tuple):
        listed = [as_size(size)]
    else:
        listed = [*size]
    if len(listed) == 1 and isinstance(listed[0], tuple):
        return listed[0], []
    sides = []
    for entry in listed:
        if isinstance(entry, tuple):
            (side, *others) = entry
        else:
            (side, *others) = (entry,)
        if not isinstance(side, int) or {*others} - {side}:
            hint = "ask about one size, or about a range of sides as 64:1024"
            raise OptionError(f"{entry} is not a side", option="size", hint=hint)
        sides.append(side)
    if not sides or not 1 <= min(sides) <= max(sides) <= LARGEST:
        raise OptionError(
            f"{size!r} are no sides", option="size", hint='use "64:1024", or a list of pixels'
        )
    return None, sorted({*sides})


def _along_axes(
    network: Network, sides: Sequence[int], read: Callable[[], None]
) -> dict[str, AxisSizes]:
    """Return the sizes of each axis by itself; of squares, where the network takes no others."""
    lo, hi, among = sides[0], sides[-1], {*sides}
    every = range(len(network.axes))
    along = {
        network.axes[axis]: axis_sizes(network, (axis,), lo, hi, among, read) for axis in every
    }
    if len(every) > 1 and all(
        {*of_axis.accepted.sizes} <= {*network.size} for of_axis in along.values()
    ):
        squares = axis_sizes(network, every, lo, hi, among, read)
        if {*squares.accepted.sizes} - {*network.size}:
            return {"both": squares}
    return along


def _of_images(network: Network, pictures: Sequence[Size]) -> SizesOfImages:
    """Read the network at each size of the pictures, and count what it makes of them."""
    accepted = stretched = uneven = 0
    served: Counter[Size] = Counter()
    needs: list[Size] = []
    for size, count in Counter(pictures).items():
        there = at_size(network, size)
        accepted += count * all(side.accepted for side in there)
        stretched += count * any(side.accepted and not side.unstretched for side in there)
        uneven += count * any(side.accepted and not side.even for side in there)
        padded = (
            size if all(side.unstretched for side in there) else near_sizes(network, size).above
        )
        if padded:
            served[padded] += count
            needs.append(tuple(b - a for a, b in zip(size, padded, strict=True)))
    added = tuple(max(along_axis) for along_axis in zip(*needs, strict=True))
    most = tuple(Served(*pair) for pair in served.most_common(MOST_SERVED))
    return SizesOfImages(len(pictures), accepted, stretched, uneven, added, most)


def runs_of(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Join neighbours: (first, how many).

    >>> runs_of([5, 6, 7, 9])
    [(5, 3), (9, 1)]
    """
    groups = groupby(enumerate(sizes), lambda numbered: numbered[1] - numbered[0])
    runs = [[n for _, n in group] for _, group in groups]
    return [(run[0], len(run)) for run in runs]


def in_runs(sizes: Sequence[int]) -> str:
    """Write the first sizes and the last, neighbours as a run.

    >>> in_runs([5, 6, 7, 9]), in_runs([65, 97, 129, 161, 193])
    ('5-7 9', '65 97 ... 193')
    """
    words = [
        f"{first}-{first + count - 1}" if count > 1 else str(first)
        for first, count in runs_of(sizes)
    ]
    return " ".join(words if len(words) <= 3 else [*words[:2], "...", words[-1]])


def in_multiples(rule: str) -> str:
    """Write a rule for a sentence.

    >>> in_multiples("16*i"), in_multiples("16*i + 1"), in_multiples("16*i - 2 to 16*i + 1")
    ('multiples of 16', '16*i + 1', '16*i - 2 to 16*i + 1')
    >>> in_multiples("16*i - 7 to 16*i, from 25")
    'multiples of 16 or up to 7 px less, from 25'
    """
    rule = re.sub(
        r"^(\d+)\*i - (\d+) to \d+\*i(?! \+)", r"multiples of \1 or up to \2 px less", rule
    )
    return re.sub(r"^(\d+)\*i(?! [-+]| to)", r"multiples of \1", rule)


def report_of(network: Network, answer: Sizes) -> Report:
    rows = [*chain(*(_rows(axis, sizes) for axis, sizes in answer.axes.items()))]
    facts = about(network.name, answer.size, network.padding)
    facts |= picked(answer, "range asked depend") | {
        "near": answer.near and _near_facts(network, answer.near),
        "images": plain(answer.images),
    }
    blocks: list[Block] = []
    if answer.near is not None:
        blocks += _about_one(network, answer, answer.near)
    if answer.images is not None:
        blocks += _about_images(network, answer.images)
    if not blocks:
        if "both" in answer.axes or len(answer.axes) == 1:
            others = ""
        else:
            others = f", the other at {pixels(answer.size)} px"
        shown: list[dict[str, object]] = []
        for axes, sizes in _alike(answer):
            of_axis = [row for row in rows if row["axis"] == sizes.axis]
            shown += [{**row, "axis": axes} for row in of_axis]
        lo, hi = answer.range
        if answer.asked == hi - lo + 1:
            between = f"sizes {lo} to {hi}"
        else:
            between = f"{answer.asked} sizes from {lo} to {hi}"
        blocks = [
            Heading(f"{network.title}, {between}{others}"),
            Table(SHOWN, shown, LEGEND),
            *(Lines([note]) for note in _notes(network, answer)),
        ]
    return Report("sizes", facts, [blocks], rows_of(rows, SizeRow))


def _rows(axis: str, sizes: AxisSizes) -> Iterator[SizeRow]:
    """Yield a row for each property: its rule, its smallest size, and how many sizes were read."""
    for name in PROPERTIES:
        rule: SizeRule = getattr(sizes, name)
        yield {
            "axis": axis,
            "property": name,
            "rule": rule.rule,
            "count": len(rule.sizes),
            "min": min(rule.sizes, default=None),
            "runs": in_runs(rule.sizes),
            "checked": rule.checked,
            "expected": rule.expected,
            "unknown": [*rule.unknown],
            "sizes": [*rule.sizes],
        }


def _notes(network: Network, answer: Sizes) -> Iterator[str]:
    """Yield what the table of rules leaves out."""
    axes = answer.axes.values()
    if answer.depend:
        yield "What one axis takes depends on the other: check one size with --size HxW."
    odd = odd_window(network, answer.size)
    if odd and not any(sizes.balanced.sizes for sizes in axes):
        yield (
            f"No size is balanced: {odd} reads an odd number of padded rows at each, which cannot "
            "be split."
        )
    if any(network.declared):
        size = in_words(n or "any" for n in network.declared)
        yield (
            f"The file declares an input of {size}: export it again with open axes for other sizes."
        )
    for axis, sizes in answer.axes.items():
        yield from _unknown(axis, sizes)
    refused = [sizes.refusal for sizes in axes if sizes.refusal]
    if refused and not any(network.declared):
        yield f"Refused, for example: {refused[0].what}"


def _unknown(axis: str, sizes: AxisSizes) -> Iterator[str]:
    """Yield the sizes of an axis that may be accepted or not, and the accepted ones that may be
    balanced or not.
    """
    accepted = sizes.accepted.unknown
    if accepted:
        why = "padviz cannot read the network there, or found no rule"
        yield f"Not known along the {axis}: {in_runs(accepted)} ({len(accepted)} sizes): {why}."
    balanced = {*sizes.balanced.unknown} - {*accepted}
    if balanced:
        hint = f"ask about at most {MOST_READ}"
        yield (
            f"Not known whether balanced along the {axis}: {len(balanced)} sizes that follow no "
            f"rule; {hint}."
        )


def _about_one(network: Network, answer: Sizes, near: NearSizes) -> Iterator[Block]:
    """Yield what happens at one size, the sizes next to it, and what to paste."""
    refused, stretched = near.refusal, any(not side.unstretched for side in near.axes)
    if refused is None:
        verdict = "runs"
    elif near.axes[0].unknown:
        verdict = "cannot be read"
    else:
        verdict = "does not run"
    yield Heading(f"{network.title}, {in_words(near.size)}: {verdict}")
    facts: list[tuple[str, object]] = []
    if refused is not None:
        facts.append(("refused by", f"{_layer_of(network, refused)}: {refused.what}"))
    else:
        places: dict[str, list[str]] = {}
        sides = [*zip(network.axes, near.axes, strict=True)]
        for axis, side in sides:
            places.setdefault(_in_place(side), []).append(axis)
        where = listed([f"{place} {listed(axes)}" for place, axes in places.items()])
        facts.append(("outputs", where))
        uneven = [axis for axis, side in sides if not side.even]
        facts.append(
            (
                "balanced",
                f"no: padding is read unevenly along {' and '.join(uneven)}" if uneven else "yes",
            )
        )
        facts += [("pads", pad) for pad in _pads_itself(network, near.size)]
    facts.append(("accepts", _accepts(answer)))
    exported = exported_for_another(network, near.size)
    if exported is not None:
        facts.append(("instead", exported.hint))
    elif stretched:
        facts.append(("pad to", _moved(network, near.size, near.above)))
        facts.append(("crop to", _moved(network, near.size, near.below)))
    yield Facts(facts)
    if stretched and (lines := lines_to_paste(network, near)):
        yield Verbatim("\n".join(lines))


def _pads_itself(network: Network, size: Size) -> Iterator[str]:
    """Yield pads of the network's own that go beyond the next multiple of its strides."""
    at = network.at(size)
    for axis, n in enumerate(size):
        rows, alignment = sizes_of(at, axis, n), alignment_on(at, axis, n)
        step = alignment.step
        for layer, m, stride in zip(at.layers[1:], rows[1:], alignment.strides[1:], strict=True):
            op, before = layer.ops[axis], rows[layer.inputs[0]]
            is_pad = isinstance(op, Window) and op.kernel == 1 and stride == 1
            if is_pad and m - before >= step > 1:
                along = f"{before} to {m} px along the {network.axes[axis]}, by itself"
                yield f"{along}; multiples of {step} px keep all strides in phase"


def _moved(network: Network, size: Size, near: Size | None) -> str:
    """Write a near size, and what to add or to remove at which end."""
    if near is None:
        return "no size near"
    px = []
    for axis, before, after in zip(network.axes, size, near, strict=True):
        if before != after:
            px.append(f"{abs(after - before)} px at the {ENDS[axis][1]}")
    return f"{in_words(near)}: {', '.join(px)}"


def _near_facts(network: Network, near: NearSizes) -> dict[str, object]:
    refused = near.refusal
    axes = [picked(side, "stretch unread even") for side in near.axes]
    return {
        **picked(near, "size below above outputs"),
        "accepted": near.axes[0].accepted,
        "refused_by": refused and _layer_of(network, refused),
        "why": refused and refused.what,
        "axes": dict(zip(network.axes, axes, strict=True)),
        "paste": lines_to_paste(network, near),
    }


def _layer_of(network: Network, refused: PadvizError) -> str:
    """Return the layer that refuses a size, or the network where that is not known."""
    return refused.where.removeprefix(f"{network.name}, ")


def _in_place(side: AtSize) -> str:
    if side.stretch:
        # An output whose units stand for pixels further on holds too much.
        how = "squeezed" if side.stretch > 0 else "stretched"
        where = f"(first in {side.moved_by}) at the far end of the"
        return f"{how} by {abs(side.stretch):.3g} px {where}"
    if side.unread:
        return f"nothing reads the last {side.unread} px of the"
    return "in place along the"


def _accepts(answer: Sizes) -> str:
    """Write the rule of accepted sizes: once, or of each axis."""
    rules = []
    for axis, sizes in answer.axes.items():
        accepted = sizes.accepted
        if accepted.rule:
            rule = in_multiples(accepted.rule)
        else:
            rule = f"{len(accepted.sizes)} sizes without a simple rule"
        rules.append((axis, rule))
    if len({rule for _, rule in rules}) == 1:
        return rules[0][1]
    return ", ".join(f"{axis}: {rule}" for axis, rule in rules)


def _about_images(network: Network, images: SizesOfImages) -> Iterator[Block]:
    facts: list[tuple[str, object]] = [
        ("pictures", images.count),
        ("accepted", f"{images.accepted} of {images.count}"),
        ("stretched", images.stretched),
        ("uneven", images.uneven),
    ]
    exported = exported_for_another(network, (0,) * len(network.size))
    if exported is not None and images.accepted < images.count:
        facts.append(("instead", f"{exported.what}: {exported.hint}"))
    elif images.added:
        facts.append(("added", f"at most {in_words(images.added)} px"))
    else:
        facts.append(("added", "no size near any of them"))
    yield Facts(facts)
    yield Table(
        (
            Column("size", "padded size", in_words),
            Column("count", "pictures"),
        ),
        images.served,
    )


COMMAND = Command(
    sizes,
    """Compute which input sizes MODEL takes, and what to pad at a size that it refuses or
    stretches.

    --size 350x525 asks about one size; 64:1024 (the default) for the rules of a range; --images
    FOLDER about pictures.

    \b
    Example:
      padviz sizes unet_padded --size 350x525
      padviz sizes resnet50 --size 64:1024
    """,
    counting="reading at each size",
)
