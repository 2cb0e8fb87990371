"""The layers that read their padding on one side, and the sizes that cure it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from padviz.analyses.asked import Source, asked
from padviz.analyses.door import Door
from padviz.analyses.result import Result
from padviz.analyses.taps import taps
from padviz.counting.shares.rims import rims_added
from padviz.counting.shares.summary import Rim
from padviz.errors import SizeError
from padviz.geometry.balance.nearest import Suggestion, nearest_balanced, odd_window
from padviz.geometry.costs import COUNTED, costs
from padviz.geometry.ledger import AxisPadding, LayerPadding, Ledger, ledger, padded_before
from padviz.geometry.reaching.seams import seams_in_words, wraps
from padviz.geometry.receptive_fields import grid_in_words, grid_moves, receptive_fields
from padviz.network.network import ENDS, Network, Size, declared, in_words
from padviz.network.rewrites import circular_axes
from padviz.network.targets import PART, target_names
from padviz.reports.documents import flat, picked, plain
from padviz.reports.facts import ledger_facts
from padviz.reports.report import POOL, Block, Column, Finding, Heading, Level, Lines, Report, Table, columns, kind
from padviz.reports.tables import by_axis, pixels, some_names


class UnevenResult(Result[LayerPadding], Ledger):
    """A ledger: `.layers`, `.uneven`, `.balanced` and `.remainders`; padding in rows."""


def uneven(
    network: Source,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
    *,
    all_: bool = False,
) -> UnevenResult:
    """Account for the padding of every window at a size, and list those that read more of it on one side.

    Parameters
    ----------
    network : str, Path, torch.nn.Module or Network
        A name of the zoo, the path of a TOML or ONNX file, a module, or a network that is loaded.
    size : int or (height, width), optional
        Input size in pixels; the network's own by default.
    padding : str, optional
        A scheme for every convolution, as `padviz --help` lists them: "reflect"; or one for each axis, height/width:
        "zero/circular". By default each pads as declared.
    same : bool
        Whether to pad as TensorFlow's and Keras's SAME: the odd row on the far side.
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
    from padviz.figures.windows import ledger_bars

    wanted, pixels = asked(network, size, padding, same, layer)
    rows = ledger(wanted, pixels)
    named = network.origin if isinstance(network, Network) else network
    part = str(named) if isinstance(named, str | Path) else "", wanted, rows
    listed, draw = rows.layers if all_ else rows.uneven, partial(ledger_bars.padding, rows, wanted.title)
    return UnevenResult.made_of(rows, listed, partial(report_of, [part], all_), draw, part=part)


SOURCE = "Alsallakh et al., ICLR 2021"
REPORTED = {  # ImageNet top-1 accuracy in percent of networks trained and tested at 224 and at 225
    "mobilenet_v1": (68.19, 68.80),
    "resnet18": (69.93, 70.27),
    "resnet34": (73.30, 73.72),
    "resnet50": (75.65, 76.01),
    "resnet101": (77.37, 77.67),
}
Part = tuple[str, Network, Ledger]  # what was named, and what is found of it


class Adds(NamedTuple):
    """Pixels that layers add to the grid offset and to the starved rim of those before them; and which axes wrap."""

    grid: dict[tuple[str, str], tuple[float | None, float | None]]
    rims: dict[str, Rim]
    wraps: dict[str, bool]

    def of(self, layer: str, axis: str) -> dict[str, Any]:
        """Find the figures of a layer on an axis."""
        offset, added = self.grid.get((layer, axis), (None, None))
        rim = getattr(self.rims.get(layer), axis, None)
        return {"wraps": self.wraps[axis], "offset": offset, "offset_added": added, "rim_added": rim}


Listed = tuple[Network, Ledger, Sequence[LayerPadding], Adds]


class Reads(NamedTuple):
    """What a window reads on one axis, or on both where they agree."""

    layer: LayerPadding
    axis: str
    row: AxisPadding
    sides: tuple[str, str]
    moved: str | None = None  # pixels that it adds to the grid offset
    rim: str | None = None  # and to the starved rim

    @property
    def words(self) -> str:
        """What it reads on each side, where that is uneven."""
        first, second = self.row.reads
        return f"{first} {self.sides[0]}, {second} {self.sides[1]}" if self.row.uneven else ""


def _pair(pair: tuple[int, int]) -> str:
    return "+".join(map(str, pair))


def _of(key: str, heading: str = "", **more: Any) -> Column:
    """Make the column of one figure of an axis."""
    return Column(key, heading, of=lambda reads: getattr(reads.row, key), **more)


SCREEN = (
    Column("layer", of=lambda reads: reads.layer.layer),
    kind(lambda reads: reads.layer),
    Column("shape", "k/s/d", of=lambda reads: f"{reads.row.kernel}/{reads.row.stride}/{reads.row.dilation}"),
    Column("axis"),
    _of("declared", "pads", show=_pair),
    _of("consumed", "used", show=_pair),
    _of("remainder", "rest", show=lambda rows: rows or None),
    _of("skipped", "skip", show=lambda rows: rows or None),
    _of("overhang", "over", show=lambda rows: rows or None),
    Column("moved", "grid"),
    Column("rim"),
    Column("words", "reads"),
)
SHEET = (
    "layer kind convolution axis uneven input output kernel stride dilation "
    "declared_before declared_after consumed_before consumed_after remainder skipped overhang wraps "
    "offset offset_added rim_added_before rim_added_after"
)


def report_of(results: Sequence[Part], all_: bool = False, check: str | None = None) -> Report:
    """Report the ledgers of networks: their uneven windows, or all; `check` says which fail."""
    listed = [_listed(network, ledger, ledger.layers if all_ else ledger.uneven) for _, network, ledger in results]
    return Report(
        "uneven",
        {"results": [_facts(network, ledger, adds) for network, ledger, _, adds in listed]},
        [_blocks(*part, all_) for part in listed],
        _table([row for part in listed for row in _sheet(*part)], [network for network, *_ in listed]),
        findings=[finding for result in results for finding in _findings(*result, check)],
        code=int(any(fails(layer, check) for _, _, ledger in results for layer in ledger.layers)),
    )


def _listed(network: Network, ledger: Ledger, layers: Sequence[LayerPadding]) -> Listed:
    """Find what layers add to the grid offset, and those that are listed to the starved rim."""
    moves, around = grid_moves(network, ledger.size), wraps(network, ledger.size)
    rims = rims_added(network, ledger.size, [layer.layer for layer in layers])
    return network, ledger, layers, Adds(moves, rims, dict(zip(network.axes, around, strict=True)))


def fails(layer: LayerPadding, check: str | None) -> bool:
    """Fail uneven convolutions with "convolutions", any uneven window with "all", remainders too with "remainders"."""
    uneven = layer.uneven and (layer.convolution or check != "convolutions")
    return check is not None and (uneven or (layer.has_remainder and check == "remainders"))


def _facts(network: Network, ledger: Ledger, adds: Adds) -> dict[str, object]:
    """Add the grid offset of each layer to a ledger, what of it and of the rim the layer adds, and balanced sizes."""
    facts = ledger_facts(ledger)
    for layer in facts["layers"]:
        for axis in network.axes:
            layer[axis] |= adds.of(layer["layer"], axis)
    below, above = nearest_balanced(network, ledger.size)
    odd = odd_window(network, ledger.size) if below is above is None else None
    facts["nearest_balanced"] = {"below": plain(below), "above": plain(above), "odd_window": odd}
    if reported := _reported(network):
        facts["reported"] = {"metric": "ImageNet top-1, percent", **reported, "source": SOURCE}
    return facts


def _table(rows: Sequence[dict[str, object]], networks: Sequence[Network]) -> Table:
    """Lay rows out under the axes that any of the networks has, and what is known on each."""
    axes = dict.fromkeys(axis for network in networks for axis in network.axes)
    return Table(columns(f"network {' '.join(axes)} {SHEET}"), [dict.fromkeys(axes) | row for row in rows])


def _sheet(network: Network, ledger: Ledger, listed: Sequence[LayerPadding], adds: Adds) -> Iterator[dict[str, object]]:
    """Yield a row for each window and axis."""
    head = {"network": ledger.network, **dict(zip(network.axes, ledger.size, strict=True))}
    for layer in listed:
        for axis, row in layer.axes.items():
            own = {"axis": axis, "uneven": row.uneven, **adds.of(layer.layer, axis)}
            before, after = own.pop("rim_added") or (None, None)
            own |= {"rim_added_before": before, "rim_added_after": after}
            yield {**head, **picked(layer, "layer kind convolution"), **flat(row), **own}


def _blocks(network: Network, ledger: Ledger, listed: Sequence[LayerPadding], adds: Adds, every: bool) -> list[Block]:
    """Lay out what is said of one network at one size."""
    marks = () if all(layer.convolution for layer in listed) else (POOL,)
    rows = []
    for layer in listed:
        rim = adds.rims.get(layer.layer)
        for row in reads_of(layer, every):
            moved = [adds.of(layer.layer, axis)["offset_added"] for axis in ([row.axis] if row.axis else layer.axes)]
            known = any(n is not None for n in moved)
            own = Rim(*[getattr(rim, row.axis)] * 2) if rim and row.axis else rim
            rows.append(row._replace(moved=by_axis(moved) if known else None, rim=own.short if own else None))
    legend = "grid, rim: px that the layer adds to the sampling-grid offset, and to the starved rim (near, far)."
    table = Table(SCREEN, rows, legend, marked=lambda reads: reads.row.uneven)
    return [Heading(f"{network.title}, {in_words(ledger.size)}"), table, Lines(verdict(network, ledger), marks=marks)]


def reads_of(layer: LayerPadding, every: bool = False) -> list[Reads]:
    """List one row for all axes where they agree, else one for each that matters."""
    first, *others = layer.axes.values()
    if all(row == first for row in others):
        return [Reads(layer, "", first, ("before", "after"))]
    rows = [Reads(layer, axis, row, ENDS[axis]) for axis, row in layer.axes.items()]
    return [reads for reads in rows if every or reads.row.uneven or not layer.uneven]


def _findings(model: str, network: Network, ledger: Ledger, check: str | None) -> Iterator[Finding]:
    """Yield each window that is uneven or fails, and the verdict."""
    at, file = f"{ledger.network} at {in_words(ledger.size)}", model if model.endswith(".toml") else ""
    for layer in ledger.layers:
        if layer.uneven or (check == "remainders" and layer.has_remainder):
            level: Level = "error" if fails(layer, check) else "warning"
            what = f"{layer.layer} ({layer.kind}{'' if layer.convolution else ', a pool'}) {_shows(layer)}"
            yield Finding(level, f"{'Uneven padding' if layer.uneven else 'Stride remainder'} in {at}", what, file)
    yield Finding("notice", at, " ".join(verdict(network, ledger)), file)


def _shows(layer: LayerPadding) -> str:
    if not layer.uneven:
        parts = [f"{row.remainder} at the {ENDS[axis][1]}" for axis, row in layer.axes.items()]
        return f"leaves {' and '.join(parts)} unread".replace("at the after", "after")
    return "reads " + "; ".join(filter(None, (reads.words for reads in reads_of(layer))))


def verdict(network: Network, ledger: Ledger) -> list[str]:
    """Say how many windows are uneven, what to do, what it costs, what it brought."""
    count, windows = len(ledger.uneven), len(ledger.layers)
    lines = [f"Balanced: none of the {windows} windows that pad or stride reads more padding on one side."]
    if count:
        split = kinds(ledger)
        lines = [f"Uneven: {count} of the {windows} windows that pad or stride read more padding on one side: {split}."]
    if ledger.remainders:
        names = [layer.layer for layer in ledger.remainders]
        lines.append(f"Stride remainders, rows or columns that no window reads, at {some_names(names, 1)}.")
    said = [padded_before(network), *seams_in_words(network, ledger.size)]
    lines += [f"{words[0].upper()}{words[1:]}." for words in said if words]
    lines += grid(network, ledger.size)
    if not ledger.balanced or ledger.remainders or ledger.jumps:  # else this size is such a one
        lines.append(_cure(network, ledger))
    if reported := _reported(network):
        line = "Reported for training and testing at 224 and 225: ImageNet top-1 {at_224:.2f} % and {at_225:.2f} %"
        lines.append(line.format(**reported) + f" ({SOURCE}).")
    return lines


def kinds(ledger: Ledger) -> str:
    """Count the uneven convolutions and pools of a ledger.

    >>> import padviz
    >>> kinds(padviz.uneven("resnet18", 224))
    '4 convolutions, 1 pool'
    """
    split = (len(ledger.uneven_convolutions), "convolution"), (len(ledger.uneven_pools), "pool")
    return ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in split if n)


def grid(network: Network, size: Size) -> list[str]:
    """Say where the units of the last maps are centred, and what went with that."""
    try:
        rows = {row.layer: row for row in receptive_fields(network, size)}
    except SizeError:
        return []
    names = [] if all(circular_axes(network)) else [name for name in target_names(None, network) if name in rows]
    last = f", the last of {len(names)} maps" if len(names) > 1 else ""
    sentences = [f"Sampling-grid offset of {name}{last}: {grid_in_words(rows[name])}." for name in names[-1:]]
    off = any(offset for name in names[-1:] for offset in rows[name].offsets)
    return (
        [*sentences, "In a controlled experiment strided filters were skewed to the other side."] if off else sentences
    )


def _cure(network: Network, ledger: Ledger) -> str:
    """Name the nearest balanced sizes, or say why there is none."""
    near = [suggestion for suggestion in nearest_balanced(network, ledger.size) if suggestion]
    if near:
        return _priced(network, ledger.size, near)
    if ledger.balanced:
        return "No other balanced size is near."
    if odd := odd_window(network, ledger.size):
        return f"No balanced size is near: {odd} reads an odd number of padded rows at each, which no pads can halve."
    return "No balanced size is near."


def _priced(network: Network, size: Size, near: list[Suggestion]) -> str:
    """Price the nearest balanced sizes by multiply-adds over those of the size asked about, or by window positions."""
    known = all(suggestion.macs_ratio is not None for suggestion in near)
    what = "multiply-adds" if known else "window positions"
    sizes = []
    for suggestion in near:
        ratio = suggestion.macs_ratio if known else suggestion.work
        sizes.append(
            f"{pixels(suggestion.size)} ({ratio:.2f}x {what}{', with stride remainders' * suggestion.remainder})"
        )
    unknown = costs(network, size).unknown
    why = f"{unknown} does not say its channels, so multiply-adds are not known" if unknown else "nothing multiplies"
    anew = f" But {declaration}." if (declaration := declared(network, near[-1].size)) else ""
    return f"Nearest balanced sizes: {', '.join(sizes)}; {COUNTED if known else why}.{anew}"


def _reported(network: Network) -> dict[str, float]:
    """Find what was measured of a network, whole, at 224 and at 225."""
    known = REPORTED.get(network.name, ()) if PART not in network.title else ()
    return dict(zip(("at_224", "at_225"), known, strict=False))


CHECKS = ("convolutions", "all", "remainders")  # each fails where those before it do


DOOR = Door(
    uneven,
    """List the layers of MODEL whose padding is read more on one side than on the other.

    A strided window may stop short of its far padding; often one more pixel of input cures it. Only convolutions
    have weights that can be skewed; pools have none. What skews them is the offset of the sampling grid from the
    image's centre, which uneven padding is a sign of.

    --check exits with 1 if a convolution is uneven; --check all if any window is; --check remainders also if there are
    stride remainders, rows or columns that no window reads.

    --taps counts, for each tap of each window, the units that read a real pixel with it. In an uneven layer some taps
    read more pixels than those opposite. Imbalance, height x width, is what the bottom (right) half of the taps reads
    more than the top (left) half, in percent of both.

    \b
    Example:
      padviz uneven resnet50 --size 224
      padviz uneven resnet50 --size 225 --check remainders
      padviz uneven resnet18 --size 224 --taps -o taps.png
      padviz uneven resnet50 mobilenet_v1 --size 224,225 --format markdown
    """,
    "sizes padding same layers all taps",
    model="several",
    instead={"taps": taps},
    check=CHECKS,
    together=report_of,
)
