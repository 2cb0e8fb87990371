"""Rules that `padviz check` runs where nothing is asked: each with its line, its page and what
finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import chain
from math import gcd, lcm
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.analyses.result import Result
from padviz.analyses.usage import usage
from padviz.cutting.context import ALIKE
from padviz.errors import PadvizError, SizeError, UnknownName, nearest
from padviz.geometry.balance.balanced_sizes import nearest_balanced
from padviz.geometry.ledger import AxisPadding, LayerPadding, Ledger, axis_padding, ledger
from padviz.geometry.reaching.shifts import alignment_on, breaking_layer
from padviz.geometry.receptive_fields import receptive_fields
from padviz.geometry.sizing.at_size import at_size
from padviz.network.layer import MERGES, Layer
from padviz.network.network import Network, Size, in_words
from padviz.network.operations import Fit, Op, Transposed, Window, fit_shift
from padviz.network.padding_modes import SCHEMES
from padviz.network.resize import Resize
from padviz.network.sizes import resolve, sizes_of_each
from padviz.network.targets import output_layers, upto
from padviz.options import RULE, Command
from padviz.reports.report import Lines, Report, Table, Verbatim, columns
from padviz.reports.tables import pixels

State = Literal["holds", "fails", "not judged", "known", "note"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One expectation or rule at one layer and axis: its state, what was wanted and found, and what
    to change.

    What could not be read is "not judged". A "known" finding is in the baseline; a "note" never
    fails. `figure` says how far it is from what is wanted: a finding of the baseline fails again
    where it grows.
    """

    expectation: str
    state: State = "fails"
    layer: str = ""
    axis: str = ""
    wanted: str = ""
    found: str = ""
    change: str = ""
    figure: float = 1


def failed(
    layer: str, axis: str, wanted: str, found: str, change: str = "", figure: float = 1
) -> Judged:
    return Judged("", "fails", layer, axis, wanted, found, change, figure)


@dataclass(frozen=True)
class Case:
    """A network at a size; `kept` is the network up to its last maps."""

    network: Network
    size: Size

    @cached_property
    def kept(self) -> Network:
        return upto(self.network, output_layers(None, self.network))

    @cached_property
    def ledger(self) -> Ledger:
        return ledger(self.network, self.size)


def borders(case: Case, axis: int) -> Iterator[Judged]:
    """Yield the layers that keep an axis from wrapping: they pad it otherwise than circularly, or
    jump in phase.
    """
    network, name, n = case.kept, case.network.axes[axis], case.size[axis]
    try:
        step = alignment_on(network, axis, n).step
    except SizeError:
        step = 1
    broken, causes = breaking_layer(network, axis, n), []
    if broken is None and step < n:
        return  # at a whole turn all maps repeat: then layers without a border must say so
    whole = _multiples(name, n, step)
    circularly = in_phase = f"pad the {name} circularly"
    if whole:
        # at this size some map has a remainder, which breaks the circle under any padding
        circularly, in_phase = f"{circularly}, and {whole}", whole
    for layer, reads, mode in _padded(case, axis):
        if not SCHEMES[mode].wraps:
            what = f"reads {reads[0]}+{reads[1]} rows of {mode} padding"
            causes.append(failed(layer, name, "no border", what, circularly, sum(reads)))
    for window, on, row in _rows(ledger(network, case.size, (True,) * len(case.size)).jumps):
        if on == name and row.jumps:
            wanted = f"{row.input} rows / stride {row.stride}"
            what = f"{row.output} units from {row.input} rows"
            causes.append(failed(window.layer, name, wanted, what, in_phase))
    if broken and broken.layer not in {cause.layer for cause in causes}:
        op, change = network.layers[network.index[broken.layer]].ops[axis], whole
        if not whole and isinstance(op, Resize | Transposed):
            change = f"pad the {name} circularly before it, and crop its output"
        causes.append(failed(broken.layer, name, "shifts with the image", broken.what, change))
    yield from causes


def _multiples(name: str, n: int, step: int) -> str:
    """Return the nearest sizes that are a multiple of the strides; "" for one that is."""
    near = [str(m) for m in (n // step * step, -(-n // step) * step) if m]
    return f"use a {name} of {' or '.join(near)}" if n % step else ""


def _padded(case: Case, axis: int) -> Iterator[tuple[str, tuple[int, int], str]]:
    """Yield the layers that read padding on an axis: name, rows read before and after, mode."""
    network, sizes = case.kept, sizes_of_each(case.kept, case.size)[axis]
    for i, layer in enumerate(network.layers[1:], start=1):
        op, n = layer.ops[axis], sizes[layer.inputs[0]]
        if isinstance(op, Window):
            reads, mode = axis_padding(op, n).reads, op.mode
        elif isinstance(op, Fit) and sizes[i] > n:
            before = fit_shift(n, sizes[i], op.odd)
            reads, mode = (before, sizes[i] - n - before), "zero"
        else:
            continue
        if any(reads):
            yield layer.name, reads, mode


class Sight(NamedTuple):
    """The furthest that a layer's units see beyond the stride they stand for, and how far the last
    may stay behind.

    Both are 0 or more rows of the image: `ahead` is 0 for a causal layer, and `behind` where the
    end of each stride is seen at once.
    """

    ahead: int
    behind: int


def sights(network: Network, axis: int, n: int) -> list[Sight]:
    """Return how far each layer sees on an axis: the rows its units read in this image, with what
    padding copies.
    """
    alignment, maps = alignment_on(network, axis, n), resolve(network, axis, n).maps
    last: list[NDArray[np.int64]] = [np.arange(n)]
    for layer, axis_map in zip(network.layers[1:], maps[1:], strict=True):
        seen = np.maximum.reduce([last[j] for j in layer.inputs])
        if axis_map is not None:
            read = np.full(axis_map.n_out, -1)
            for dst, dst_step, src, src_step, length, _ in axis_map.strips:
                units, rows = (
                    start + np.arange(length) * step
                    for start, step in ((dst, dst_step), (src, src_step))
                )
                np.maximum.at(read, units, seen[rows])
            seen = read
        last.append(np.full_like(seen, seen.max()) if layer.whole(axis) else seen)
    result = []
    for seen, stride in zip(last, alignment.strides, strict=True):
        up, down = stride.numerator, stride.denominator
        ends = -(-(np.arange(len(seen)) + 1) * up // down) - 1  # the last row of each unit's stride
        inside = ends < n  # beyond the image there is nothing to see
        behind = int((ends - seen)[inside].max(initial=0))
        result.append(Sight(max(0, int((seen - ends).max())), behind))
    return result


def uneven_rows(case: Case, but_causal: bool = False) -> Iterator[Judged]:
    """Yield uneven convolutions; those that pad all their taps in front may be left out, as they
    are meant.
    """
    uneven = []
    for window, on, row in _rows(case.ledger.uneven_convolutions):
        causal = row.pads == (row.dilation * (row.kernel - 1), 0)
        if row.uneven and not (but_causal and causal):
            uneven.append((window, on, row))
    near = []
    if uneven:
        sizes = filter(None, nearest_balanced(case.network, case.size))
        near = [pixels(suggestion.size) for suggestion in sizes]
    change = f"use {' or '.join(near)} px" if near else "change its padding"
    for layer, axis, row in uneven:
        before, after = row.reads
        what = f"{before} before, {after} after"
        yield failed(layer.layer, axis, "equal padding", what, change, abs(before - after))


def _rows(layers: tuple[LayerPadding, ...]) -> Iterator[tuple[LayerPadding, str, AxisPadding]]:
    for layer in layers:
        for axis, row in layer.axes.items():
            yield layer, axis, row


def _remainders(case: Case) -> Iterator[Judged]:
    """Yield rows that no window reads, unless another layer reads them, or the stride steps over
    them anyhow.
    """
    network, sizes_on = case.network, sizes_of_each(case.network, case.size)
    read_on = cache(lambda axis: _read_rows(network, axis, case.size[axis]))
    for window, name, row in _rows(case.ledger.remainders):
        axis = network.axes.index(name)
        (source,) = network.find(window.layer).inputs
        while _passes(network.layers[source], axis):
            (source,) = network.layers[source].inputs
        read, n = read_on(axis)[source], sizes_on[axis][source]
        unread = n
        if read.any():
            unread = int(np.argmax(read[::-1]))
        # Rows that lie between any two windows, and rows that a crop removes, are left out on
        # purpose.
        between = max(0, row.stride - row.dilation * (row.kernel - 1) - 1)
        unread = min(unread, row.remainder) - between
        if unread > 0:
            whole = n // row.stride * row.stride
            change = "pad it, or resize its input"
            if row.kernel == row.stride:
                change = f"give it {whole} rows"
            yield failed(
                window.layer, name, "all rows read", f"{unread} of {n} unread", change, unread
            )


def _passes(layer: Layer, axis: int) -> bool:
    """Return whether a layer only copies rows of one other: a pad, a crop, an activation."""
    if len(layer.inputs) != 1 or layer.whole(axis):
        return False
    return layer.kind in ("pad", "crop") or layer.ops[axis] is None


def _read_rows(network: Network, axis: int, n: int) -> list[NDArray[np.bool_]]:
    """Flag the rows of each layer that another layer reads; what only copies them reads those that
    are read of it.
    """
    sizes, maps = resolve(network, axis, n)
    inputs = {*chain(*(layer.inputs for layer in network.layers))}
    read = [np.full(size, i not in inputs) for i, size in enumerate(sizes)]
    for i, layer in reversed([*enumerate(network.layers)][1:]):
        if _passes(layer, axis):
            wanted = read[i]
        else:
            wanted = np.ones(sizes[i], bool)
        axis_map = maps[i]
        if axis_map is None:
            for j in layer.inputs:
                read[j] |= wanted
            continue
        (source,) = layer.inputs
        read[source] |= axis_map.rows_read(wanted)
    return read


def _fixed(case: Case) -> Iterator[Judged]:
    """Yield what fails at several larger sizes, if all of them fail."""
    steps = []
    for axis, n in enumerate(case.size):
        with suppress(SizeError):
            steps.append(alignment_on(case.kept, axis, n).step)
    # Twice the size is a multiple of every window and patch that the size is a multiple of.
    adding = lcm(ALIKE, *steps), lcm(*steps)
    larger = [tuple(n + adding[0] for n in case.size), tuple(2 * n for n in case.size)]
    larger.append(tuple(n + adding[1] for n in case.size))
    errors = []
    # What a file declares of its input goes with another export; sizes that its graph computed do
    # not.
    reopened = replace(case.network, declared=())
    for size in dict.fromkeys(larger):
        error = at_size(reopened, size)[0].refusal
        if error is None:
            return
        errors.append((in_words(size), error))
    sizes, (_, error) = [size for size, _ in errors], errors[0]
    wanted, change = f"reads {' or '.join(sizes)}", "derive sizes from the input"
    yield failed(layer_of(error, case.network), "", wanted, error.what, change)


def layer_of(error: PadvizError, network: Network | None) -> str:
    """Return the layer that an error names: "network, layer"."""
    name = ""
    if network:
        name = error.where.removeprefix(f"{network.name}, ")
    if network and name in network.index:
        return name
    return ""


def _broken_wraps(case: Case) -> Iterator[Judged]:
    for axis in range(len(case.size)):
        if any(SCHEMES[mode].wraps for _, _, mode in _padded(case, axis)):
            yield from borders(case, axis)


def _unequal_skips(case: Case) -> Iterator[Judged]:
    layers = case.network.layers
    merged = chain(*(layer.inputs for layer in layers if layer.kind in MERGES))
    mended = dict.fromkeys(_mender(layers, j) for j in merged)
    sizes_on = sizes_of_each(case.network, case.size)
    sights_on = cache(lambda axis: sights(case.network, axis, case.size[axis]))
    for i in filter(None, mended):
        for axis, name in enumerate(case.network.axes):
            op, sizes = layers[i].ops[axis], sizes_on[axis]
            n, m = sizes[layers[i].inputs[0]], sizes[i]
            if (
                isinstance(op, Window)
                and op.kernel == op.stride == 1
                and isinstance(op.padding, tuple)
            ):
                before, after = op.padding
            elif isinstance(op, Fit):
                before = fit_shift(n, m, op.odd)
                after = m - n - before
            else:
                continue
            if before == after or _undoes(layers, i, axis, (-before, -after)):
                continue
            if sights_on(axis)[i].ahead:  # a causal one is meant
                what, size = f"{before:+} before, {after:+} after", case.size[axis]
                change = (
                    _multiples(name, size, alignment_on(case.kept, axis, size).step)
                    or "move both sides alike"
                )
                yield failed(
                    layers[i].name, name, "maps of one size", what, change, abs(before - after)
                )


def _mender(layers: Sequence[Layer], j: int) -> int:
    """Return the last layer that moves rows on the way to a merge; elementwise and 1x1 layers let
    them pass.
    """
    while len(layers[j].inputs) == 1 and all(
        op is None or _is_pointwise(op) for op in layers[j].ops
    ):
        j = layers[j].inputs[0]
    if layers[j].kind in ("pad", "crop"):
        return j
    return 0


def _is_pointwise(op: Op) -> bool:
    return isinstance(op, Window) and op.kernel == op.stride == 1 and op.padding == (0, 0)


def _undoes(layers: Sequence[Layer], i: int, axis: int, rows: tuple[int, int]) -> bool:
    """Return whether a layer takes away the rows that a pad before it added, as around attention in
    windows.
    """
    while len(layers[i].inputs) == 1:
        i = layers[i].inputs[0]
        op = layers[i].ops[axis]
        if layers[i].kind == "pad" and isinstance(op, Window) and op.padding == rows:
            return True
    return False


def stretched_outputs(case: Case) -> Iterator[Judged]:
    """Yield the axes along which an output is stretched, or the image is not read to its end."""
    for name, side in zip(case.network.axes, at_size(case.network, case.size), strict=True):
        if side.stretch:
            finding = f"{side.stretch:+.3g} px at the far end"
            yield failed(
                "", name, "outputs in place", finding, "padviz sizes names sizes", abs(side.stretch)
            )
        elif side.unread:
            yield failed(
                "",
                name,
                "all rows read",
                f"the last {side.unread} unread",
                "padviz sizes names sizes",
                side.unread,
            )


def rims_of(case: Case) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the starved rim on each axis: pixels before and after. Raises SizeError where there is
    none.
    """
    counts = usage(case.network, case.size)
    if counts.rims is None:
        raise SizeError(counts.share_reason or "it has no rim")
    starved = counts.rims[0]
    sides = {"height": starved.height, "width": starved.width, "length": starved.width}
    for axis in case.network.axes:
        yield axis, (sides[axis][0], sides[axis][1])


def _rims(case: Case) -> Iterator[Judged]:
    for axis, ends in rims_of(case):
        if any(ends):
            what = f"{ends[0]} px before, {ends[1]} px after"
            yield failed("", axis, "no starved rim", what, "see padviz audit", max(ends))


def _off_centre(case: Case) -> Iterator[Judged]:
    fields = {row.layer: row for row in receptive_fields(case.network, case.size)}
    for name in case.kept.targets:
        for axis, field in fields[name].axes.items() if name in fields else ():
            if field.offset:
                what, n = f"{float(field.offset):+g} px", abs(float(field.offset))
                yield failed(name, axis, "a centred grid", what, "see padviz uneven", n)


def _ripples(case: Case) -> Iterator[Judged]:
    for layer in case.network.layers:
        for axis, op in zip(case.network.axes, layer.ops, strict=True):
            if not isinstance(op, Transposed):
                continue
            phases = np.arange(op.kernel) * op.dilation % op.stride
            taps = np.bincount(phases, minlength=op.stride)
            if taps.min() == taps.max():
                continue
            numbers = f"{taps.min()} to {taps.max()} taps a unit"
            what = f"kernel {op.kernel}, stride {op.stride}: {numbers}"
            change = "resize, then a convolution"
            if taps.min():
                change += f"; at the start, divide taps by {', '.join(map(str, taps[phases]))}"
            if gcd(op.dilation, op.stride) == 1:
                # The next multiple of the stride, with pads that keep the output's size.
                kernel = -(-op.kernel // op.stride) * op.stride
                pads = sum(op.padding) - op.output_padding + op.dilation * (kernel - op.kernel)
                padding = max(-(-pads // 2), 0)
                same = f"padding={padding}, output_padding={2 * padding - pads}"
                change = f"kernel_size={kernel}, {same}; or {change}"
            yield failed(layer.name, axis, "equal numbers of taps", what, change)


def _thin_borders(case: Case) -> Iterator[Judged]:
    for layer in case.network.layers:
        for axis, op in zip(case.network.axes, layer.ops, strict=True):
            if isinstance(op, Transposed):
                rows = op.extent - op.stride
                before, after = rows - op.padding[0], rows - op.padding[1] + op.output_padding
                if max(before, after) > 0:
                    what = f"fewer in {max(before, 0)} + {max(after, 0)} rows"
                    change = "resize, then a convolution"
                    yield failed(layer.name, axis, "the taps of rows inside", what, change)


def _overhangs(case: Case) -> Iterator[Judged]:
    for layer, axis, row in _rows(case.ledger.layers):
        if row.overhang:
            what = f"reads {row.overhang} rows beyond"
            yield failed(
                layer.layer, axis, "within the padding", what, "leave ceil_mode out", row.overhang
            )


class Rule(NamedTuple):
    """What a rule says in one line, its page, what finds it, and whether a finding fails."""

    words: str
    page: str
    found: Callable[[Case], Iterator[Judged]]
    fails: bool = True


RULES = {
    "uneven-convolution": Rule(
        "A convolution reads more padding on one side than on the other.",
        """A strided window stops before the last padded rows, so the grid of its units lies off
the image's centre. In a controlled experiment, filters became skewed to the opposite side. Pools
have no weights to skew.

Change: an input size at which all are even (`padviz sizes MODEL`), or other pads (`padviz repad
--even`). Causal convolutions, which pad in front only, do not count. Is it meant, as under SAME
padding? Write a baseline.""",
        partial(uneven_rows, but_causal=True),
    ),
    "stride-remainder": Rule(
        "The last rows or columns of a map are read by nothing.",
        """A window of kernel 2 and stride 2 leaves the last of 45 rows unread. What is there has
no effect. Rows between the windows of a larger stride do not count, nor those that another layer
reads.

Change: an input size that is a multiple of the strides, padding at the far end, or ceil_mode.""",
        _remainders,
    ),
    "fixed-size": Rule(
        "The network runs at none of the larger input sizes that were tried.",
        """A number from the size of the training images is written into the network: a reshape, a
position table or a linear layer on the flattened map. padviz tries up to three larger sizes: one at
least 64 px larger and one a stride larger, both with the same phase of all strides, and twice the
size. It names what fails at the first.

Change: take sizes from the input, resize tables of positions, or pool to a fixed size before a
linear layer.""",
        _fixed,
    ),
    "broken-wrap": Rule(
        "Some layers pad an axis circularly, and others keep a border on it.",
        """On a circular axis the output should shift with the image, as on a globe. One layer that
pads with zeros, or whose units jump in phase since its map is not a multiple of its stride, makes a
seam.

Change: pad circularly everywhere, and use a size that is a multiple of all strides. Ask for it with
--wraps.""",
        _broken_wraps,
    ),
    "unequal-skip": Rule(
        "A pad or crop makes a skip connection fit, on one side only.",
        """After a pool of an odd map, the upsampled map is a row short, and a pad or crop at one
end makes it fit. Both branches then differ by a row in where they look.

Change: an input size that is a multiple of all strides, or resize to the size of the skip
connection.""",
        _unequal_skips,
    ),
    "stretched-output": Rule(
        "An output that is brought back to the image's size is longer or shorter than the image.",
        "At 910 px and stride 8, 114 units stand for 912 px: resized to 910, the mask is 2 px "
        "off at the far end.",
        stretched_outputs,
        False,
    ),
    "starved-rim": Rule(
        "A band along a side has less than half the paths of an interior pixel.",
        "Bound it with --rim N.",
        _rims,
        False,
    ),
    "off-centre-grid": Rule(
        "The units of the last map lie off the image's centre.",
        "`padviz uneven` says where.",
        _off_centre,
        False,
    ),
    "transposed-ripple": Rule(
        "A transposed convolution covers its units unequally often.",
        "Where the kernel is not a multiple of the stride, units have unequal numbers of taps: a "
        "checkerboard. The change keeps the output's size: the next kernel that is a multiple (its "
        "weights are trained anew), or a resize by the stride and a convolution. Taps divided by "
        "the number of their unit's taps make equal weights even; training may undo that. Where it "
        "is a multiple, weights that differ from tap to tap still make a checkerboard, which no "
        "rule sees.",
        _ripples,
        False,
    ),
    "transposed-border": Rule(
        "Units at the border of a transposed convolution have fewer taps than those inside.",
        "Rows that would add to them lie beyond the map, as with zero padding. Padding that crops "
        "kernel - stride rows at each end leaves no such units.",
        _thin_borders,
        False,
    ),
    "window-overhang": Rule(
        "A window reads beyond its padding, as ceil rounding lets it.",
        "The last window of a pool with ceil_mode has fewer real rows, and frameworks differ in "
        "what it makes of them.",
        _overhangs,
        False,
    ),
}


class Explained(NamedTuple):
    """A rule: its name, what it says in one line, its page, and whether a finding fails."""

    rule: str
    words: str
    page: str
    fails: bool


def rules(rule: Annotated[str | None, RULE] = None) -> Result[Explained]:
    """List the rules of `check`, or explain one of them.

    Parameters
    ----------
    rule : str, optional
        The name of a rule; all of them by default.

    Returns
    -------
    Result
        Of each rule its name, what it says, and why.

    Raises
    ------
    UnknownName
        If no rule has that name.

    Examples
    --------
    >>> rules("uneven-convolution")[0].words
    'A convolution reads more padding on one side than on the other.'
    """
    if rule is not None and rule not in RULES:
        hint = nearest(rule, RULES, 1) or f"use {', '.join(RULES)}"
        raise UnknownName(f"no rule is called {rule!r}", hint=hint)
    names = RULES if rule is None else [rule]
    rows = tuple(
        Explained(name, RULES[name].words, RULES[name].page, RULES[name].fails) for name in names
    )
    return Result.made_of(None, rows, partial(_rules_report, rows, rule is None))


def _rules_report(rows: Sequence[Explained], listed: bool) -> Report:
    sheet = Table(columns("rule words page fails"), rows)
    if listed:
        legend = Lines(
            ["A finding fails a check where fails is yes. padviz rules RULE explains one."]
        )
        return Report("rules", {}, [[Table(columns("rule words fails"), rows), legend]], sheet)
    (row,) = rows
    never = "" if row.fails else "\n\nIt never fails."
    page = Verbatim(f"{row.rule}: {row.words}\n\n{row.page}{never}")
    return Report("rules", {}, [[page]], sheet)


COMMAND = Command(
    rules,
    """List the rules of padviz check, or explain RULE: what it finds, why it matters, and what to
    change.

    \b
    Example:
      padviz rules
      padviz rules uneven-convolution
    """,
    files=(),
)
