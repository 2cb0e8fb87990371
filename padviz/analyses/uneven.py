"""The layers that read their padding on one side, and the sizes that cure it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple, TypedDict, cast

from padviz.analyses.asked import Layers, Pixels, Source, asked
from padviz.analyses.result import Result
from padviz.counting.shares.rims import rims_added
from padviz.counting.shares.summary import Rim
from padviz.errors import SizeError
from padviz.geometry.balance.balanced_sizes import nearest_balanced, odd_window
from padviz.geometry.costs import COUNTED, costs
from padviz.geometry.ledger import (
    AxisPadding,
    LayerPadding,
    Ledger,
    TapExposure,
    ledger,
    padded_before,
    timely_in_words,
)
from padviz.geometry.reaching.shifts import seams_in_words, wrapping_axes
from padviz.geometry.receptive_fields import grid_in_words, grid_moves, receptive_fields
from padviz.network.network import ENDS, Network, Size, declared, in_words
from padviz.network.rewrites import circular_axes
from padviz.network.targets import PART, target_names
from padviz.options import ALL, EACH_MODEL, EACH_SIZE, LAYERS, PADDING, SAME, Command
from padviz.phrases import counted, some_names
from padviz.reports.documents import picked, plain
from padviz.reports.report import Block, Column, Heading, Lines, Report, Show, Table
from padviz.reports.rows import about, about_all, rows_of
from padviz.reports.tables import by_axis, pixels


class UnevenResult(Result[LayerPadding], Ledger):
    """A ledger: `.layers`, `.uneven`, `.balanced` and `.remainders`; padding in rows."""


def uneven(
    network: Annotated[Source, EACH_MODEL],
    size: Annotated[Pixels, EACH_SIZE] = None,
    padding: Annotated[str | None, PADDING] = None,
    same: Annotated[bool, SAME] = False,
    layer: Annotated[Layers, LAYERS] = None,
    *,
    all_: Annotated[bool, ALL] = False,
) -> UnevenResult:
    """Account for the padding of every window at a size, and list those that read more of it on one
    side.

    Parameters
    ----------
    network, size, padding, same
        As for `usage`.
    layer : str or iterable of str, optional
        The network up to these layers; all of it by default.
    all_ : bool
        Whether rows are all windows with padding or a stride, not only the uneven ones.

    Returns
    -------
    UnevenResult
        With `.layers`, `.uneven`, `.balanced` and `.remainders`; padding in rows.

    Raises
    ------
    PadvizError
        For a name or size that cannot be used.

    Notes
    -----
    Source: Alsallakh et al., "Mind the Pad - CNNs can Develop Blind Spots", ICLR 2021.

    Examples
    --------
    >>> [row.layer for row in uneven("resnet18", 224)]
    ['conv1', 'maxpool', 'layer2.0.conv1', 'layer3.0.conv1', 'layer4.0.conv1']
    >>> uneven("resnet18", 225).balanced
    True
    """
    from padviz.figures.windows import padding as figures

    with asked(network, size, padding, same, layer) as (wanted, pixels):
        rows = ledger(wanted, pixels)
        part = wanted, rows, all_
        listed, draw = (
            rows.layers if all_ else rows.uneven,
            partial(figures.ledger_bars, rows, wanted.title),
        )
        return UnevenResult.made_of(rows, listed, partial(report_of, [part]), draw, part=part)


SOURCE = "Alsallakh et al., ICLR 2021"
REPORTED = {  # ImageNet top-1 accuracy in percent of networks trained and tested at 224 and at 225
    "mobilenet_v1": (68.19, 68.80),
    "resnet18": (69.93, 70.27),
    "resnet34": (73.30, 73.72),
    "resnet50": (75.65, 76.01),
    "resnet101": (77.37, 77.67),
}
Part = tuple[Network, Ledger, bool]  # whether even windows are listed, too


class Reads(NamedTuple):
    """What a window reads on one axis, or on both where they agree."""

    layer: LayerPadding
    axis: str
    row: AxisPadding
    added: Sequence[UnevenRow] = ()  # rows of these axes, with what the window adds

    @property
    def words(self) -> str:
        """What it reads on each side, where that is uneven."""
        (first, second), (near, far) = self.row.reads, ENDS.get(self.axis, ("before", "after"))
        if self.row.uneven:
            return f"{first} {near}, {second} {far}"
        return ""

    @property
    def moved(self) -> str | None:
        """The pixels that it adds to the grid offset, where they are known on any axis."""
        moved = by_axis(row["offset_added"] for row in self.added)
        if moved == by_axis([None]):
            return None
        return moved

    @property
    def rim(self) -> str | None:
        """The pixels that it adds to the starved rim, where they are known."""
        sides = []
        for row in self.added:
            before, after = row["rim_added_before"], row["rim_added_after"]
            if before is None or after is None:
                return None
            sides.append([before, after])
        return Rim(sides[0], sides[-1]).short


def _pair(pair: tuple[int, int]) -> str:
    return "+".join(map(str, pair))


def _of(key: str, show: Show) -> Column:
    return Column(key, "", show, lambda reads: getattr(reads.row, key))


class UnevenRow(TypedDict):
    """What a window reads on an axis, in rows: padding it has (`pads`) and reads (`used`).

    `remainder` and `skipped` are rows of the image that no tap reads, at the end and between;
    `overhang` are rows beyond the padding. `offset` is the grid offset behind the layer in px,
    `offset_added` what the layer adds to it, and `rim_added` what it adds to the starved rim.
    """

    network: str
    size: list[int]
    padding: str | None
    layer: str
    kind: str
    convolution: bool
    axis: str
    uneven: bool
    input: int
    output: int
    kernel: int
    stride: int
    dilation: int
    pads_before: int
    pads_after: int
    used_before: int
    used_after: int
    remainder: int
    skipped: int
    overhang: int
    circular: bool
    wraps: bool
    offset: float | None
    offset_added: float | None
    rim_added_before: int | None
    rim_added_after: int | None


SCREEN = (
    Column("layer", of=lambda reads: reads.layer.layer),
    Column("kind", of=lambda reads: kind_of(reads.layer)),
    Column(
        "shape",
        "k/s/d",
        of=lambda reads: f"{reads.row.kernel}/{reads.row.stride}/{reads.row.dilation}",
    ),
    Column("axis"),
    _of("pads", show=_pair),
    _of("used", show=_pair),
    _of("remainder", show=lambda rows: rows or None),
    _of("skipped", show=lambda rows: rows or None),
    _of("overhang", show=lambda rows: rows or None),
    Column("moved", "offset"),
    Column("rim"),
    Column("words", "reads"),
)


def report_of(results: Sequence[Part]) -> Report:
    """Report the ledgers of networks: their uneven windows, or all."""
    facts, screen = [], []
    sheet: list[UnevenRow] = []
    for network, windows, all_ in results:
        rows = _rows(network, windows, all_)
        facts.append(_facts(network, windows))
        screen.append(_blocks(network, windows, rows, all_))
        sheet += rows
    head = about_all(facts) | {"results": facts}
    return Report("uneven", head, screen, rows_of(sheet, UnevenRow))


def _rows(network: Network, ledger: Ledger, every: bool) -> list[UnevenRow]:
    """Return a row for each window on each axis, with what it adds to the grid offset and the
    rim.
    """
    listed = ledger.layers if every else ledger.uneven
    moves = grid_moves(network, ledger.size)
    rims = rims_added(network, ledger.size, [layer.layer for layer in listed])
    around = dict(zip(network.axes, wrapping_axes(network, ledger.size), strict=True))
    named = about(network.name, ledger.size, network.padding)
    rows = []
    for layer in listed:
        for axis, window in layer.axes.items():
            offset, added = moves.get((layer.layer, axis), (None, None))
            row = {**named, **picked(layer, "layer kind convolution"), **plain(window)}
            row |= {"axis": axis, "uneven": window.uneven, "wraps": around[axis]}
            row |= {"offset": offset, "offset_added": added}
            rim = getattr(rims.get(layer.layer), axis, None)
            pairs = {"pads": window.pads, "used": window.used, "rim_added": rim}
            for key, pair in pairs.items():
                row[f"{key}_before"], row[f"{key}_after"] = pair or (None, None)
            rows.append(cast("UnevenRow", row))
    return rows


def _facts(network: Network, ledger: Ledger) -> dict[str, Any]:
    """Return the figures of a ledger for JSON, with balanced sizes."""
    facts = about(network.name, ledger.size, network.padding)
    facts |= {"balanced": ledger.balanced, "windows": len(ledger.layers)}
    for key in ("uneven_convolutions", "uneven_pools", "remainders"):
        facts[key] = len(getattr(ledger, key))
    below, above = nearest_balanced(network, ledger.size)
    odd = None
    if below is above is None:
        odd = odd_window(network, ledger.size)
    facts["nearest_balanced"] = {"below": plain(below), "above": plain(above), "odd_window": odd}
    if reported := _reported(network):
        facts["reported"] = {"metric": "ImageNet top-1, percent", **reported, "source": SOURCE}
    return facts


def _blocks(
    network: Network, ledger: Ledger, rows: Sequence[UnevenRow], every: bool
) -> list[Block]:
    of_layer: dict[str, list[UnevenRow]] = {}
    for row in rows:
        of_layer.setdefault(row["layer"], []).append(row)
    listed = ledger.layers if every else ledger.uneven
    shown = []
    for layer in listed:
        for reads in reads_of(layer, every):
            added = [row for row in of_layer[layer.layer] if reads.axis in ("", row["axis"])]
            shown.append(reads._replace(added=added))
    legend = (
        "offset, rim: what the layer adds to the sampling-grid offset, and to the starved rim "
        "(near, far), in px of the input."
    )
    table = Table(SCREEN, shown, legend, marked=lambda reads: reads.row.uneven)
    lines = verdict(network, ledger)
    if not all(layer.convolution for layer in listed):
        lines.insert(0, POOL)
    return [Heading(f"{network.title}, {in_words(ledger.size)}"), table, Lines(lines)]


def reads_of(layer: LayerPadding, every: bool) -> list[Reads]:
    """List one row for all axes where they agree, else one for each that matters."""
    first, *others = layer.axes.values()
    if all(row == first for row in others):
        return [Reads(layer, "", first)]
    rows = [Reads(layer, axis, row) for axis, row in layer.axes.items()]
    return [reads for reads in rows if every or reads.row.uneven or not layer.uneven]


def verdict(network: Network, ledger: Ledger) -> list[str]:
    """Return sentences: the number of uneven windows, what else is read unevenly, the cure, its
    cost and its effect.
    """
    count, windows = len(ledger.uneven), len(ledger.layers)
    every = {
        0: "no window has padding or stride",
        1: "the only window with padding or stride is even",
    }
    lines = [
        f"Balanced: {every.get(windows, f'all {windows} windows with padding or stride are even')}."
    ]
    if count:
        split = kinds(len(ledger.uneven_convolutions), len(ledger.uneven_pools))
        lines = [
            f"Uneven: {count} of {windows} windows ({split}) read{'s' * (count == 1)} more "
            "padding on one side."
        ]
    if ledger.remainders:
        lines += _unread(ledger)
    said = [padded_before(network), *seams_in_words(network, ledger.size)]
    lines += [f"{words[0].upper()}{words[1:]}." for words in said if words]
    lines += _grid(network, ledger.size)
    if not ledger.balanced or ledger.remainders or ledger.jumps:  # else this size is such a one
        lines.append(_cure(network, ledger))
    if reported := _reported(network):
        line = (
            "Reported for training and testing at 224 and 225: ImageNet top-1 {at_224:.2f} % and "
            "{at_225:.2f} %"
        )
        lines.append(line.format(**reported) + f" ({SOURCE}).")
    return lines


def _unread(ledger: Ledger) -> list[str]:
    """Return what layers leave unread at the far end; of a signal, with the cure of each."""
    if len(ledger.size) > 1:
        names = some_names([layer.layer for layer in ledger.remainders], 1)
        return [f"No window reads the last rows or columns at {names} (remainders)."]
    lines = []
    for layer in ledger.remainders:
        (row,) = layer.axes.values()
        # up to the end of the unit behind the last
        more = (row.output + 1) * row.stride + row.timely_pads[0] - row.input - sum(row.pads)
        cure = f"{more} more behind"
        if row.late:
            cure = timely_in_words(layer)
        unread = f"the last {row.remainder} of {row.input:,} samples"
        lines.append(f"{layer.layer} leaves {unread} unread: pad {cure}.")
    return lines


def kinds(convolutions: int, pools: int) -> str:
    """Write the numbers of uneven convolutions and pools.

    >>> kinds(4, 1)
    '4 convolutions, 1 pool'
    """
    split = (convolutions, "convolution"), (pools, "pool")
    return ", ".join(counted(n, noun) for n, noun in split if n)


def _grid(network: Network, size: Size) -> list[str]:
    try:
        rows = {row.layer: row for row in receptive_fields(network, size)}
    except SizeError:
        return []
    names = [name for name in target_names(None, network) if name in rows]
    if not names or all(circular_axes(network)):
        return []
    last = ""
    if len(names) > 1:
        last = f", the last of {len(names)} maps"
    row = rows[names[-1]]
    off = []
    if len(row.axes) > 1 and any(row.offsets):
        off = ["In a controlled experiment, strided filters were skewed to the opposite side."]
    return [f"Sampling-grid offset of {row.layer}{last}: {grid_in_words(row)}.", *off]


def _cure(network: Network, ledger: Ledger) -> str:
    """Return the nearest balanced sizes and their price in multiply-adds, else in positions, or why
    there are none.
    """
    near = [suggestion for suggestion in nearest_balanced(network, ledger.size) if suggestion]
    if not near:
        if ledger.balanced:
            return "No other balanced size is near."
        odd = odd_window(network, ledger.size)
        why = (
            f": {odd} reads an odd number of padded rows at each, which cannot be split evenly"
            if odd
            else ""
        )
        return f"No balanced size is near{why}."
    known = all(suggestion.macs_ratio is not None for suggestion in near)
    what, sizes = "multiply-adds" if known else "window positions", []
    for suggestion in near:
        price = f"{suggestion.macs_ratio if known else suggestion.work:.2f}x {what}"
        sizes.append(
            f"{pixels(suggestion.size)} ({price}{', with unread rows' * suggestion.remainder})"
        )
    unknown = costs(network, ledger.size).macs_unknown
    why = (
        f"{unknown} does not say its channels, so multiply-adds are not known"
        if unknown
        else "nothing multiplies"
    )
    anew = ""
    if declaration := declared(network, near[-1].size):
        anew = f" But {declaration}."
    return f"Nearest balanced sizes: {', '.join(sizes)}; {COUNTED if known else why}.{anew}"


def _reported(network: Network) -> dict[str, float]:
    if PART not in network.title:
        known = REPORTED.get(network.name, ())
    else:
        known = ()
    return dict(zip(("at_224", "at_225"), known, strict=False))


POOL = "* pool: no weights to skew."


def kind_of(window: TapExposure | LayerPadding) -> str:
    return f"{window.kind}{'' if window.convolution else '*'}"


COMMAND = Command(
    uneven,
    """List the layers of MODEL that read more padding on one side than on the other.

    A strided layer may stop before the last padded rows. This shifts the sampling grid (the centres
    of the last feature map's units) off the image's centre. One more pixel of input often fixes it.
    In our experiment, filters became skewed where the grid was off centre. Pools have no weights to
    skew.

    To see how often each kernel position reads the image, use padviz taps.

    \b
    Example:
      padviz uneven resnet50 --size 224
      padviz uneven resnet50 mobilenet_v1 --size 224,225 --format markdown
    """,
    together=report_of,
)
