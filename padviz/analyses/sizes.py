"""The balanced input sizes, at which every window reads its padding evenly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from padviz.analyses.asked import Layers, Source, asked
from padviz.analyses.result import Door, Result
from padviz.errors import OptionError, typed
from padviz.geometry.balance.balanced_sizes import BalancedSizes, balanced_sizes, odd_window
from padviz.geometry.costs import macs_of_squares
from padviz.network.network import Network, Size, sizes_in
from padviz.network.rewrites import circular_axes
from padviz.progress import Progress
from padviz.reports.documents import picked
from padviz.reports.report import Facts, Report, Table, columns


class SizesResult(Result[int], BalancedSizes):
    """Balanced sizes, in pixels, and the rules that they follow."""


def sizes(
    network: Source,
    size: str | int | Iterable[int | Size] = "64:1024",
    padding: str | None = None,
    same: bool = False,
    layer: Layers = None,
    *,
    axis: str = "both",
    on_progress: Progress | None = None,
) -> SizesResult:
    """List the sizes at which every window, of convolutions and pools, reads its padding evenly.

    Parameters
    ----------
    network, padding, same, layer
        As for `uneven`.
    size : str, int or iterable of int
        The sides to check, in pixels: "64:1024", both ends included, or a list or range of them.
    axis : "both", "height" or "width"
        Squares, or one side only.
    on_progress : callable, optional
        Called with the number of sizes at which the network was read, and of all.

    Returns
    -------
    SizesResult
        Balanced sizes in pixels, and their rule.

    Raises
    ------
    OptionError
        For sizes or an axis that cannot be used.

    Notes
    -----
    A rule, such as "32*i + 1", is found from all sizes between the least and the largest, and holds for them.

    Examples
    --------
    >>> balanced = sizes("resnet50", "200:300")
    >>> [*balanced], balanced.rule
    ([225, 257, 289], '32*i + 1')
    """
    sides = sorted(_sides(size))
    wanted, _ = asked(network, None, padding, same, layer)
    balanced = balanced_sizes(wanted, sides[0], sides[-1], axis, {*sides}, on_progress)
    return SizesResult.made_of(balanced, balanced.balanced, partial(report_of, wanted, balanced))


def _sides(size: str | int | Iterable[int | Size]) -> list[int]:
    sizes = sizes_in(size) if isinstance(size, str) else [size] if isinstance(size, int) else [*size]
    pairs = [(each,) if isinstance(each, int) else each for each in sizes]
    if not pairs or not all(isinstance(pair, tuple) and pair for pair in pairs):
        raise OptionError(f"{size!r} are no sides", option="size", hint='use "64:1024", or a list of pixels')
    for pair in pairs:
        if len({*pair}) > 1:
            what = f"{'x'.join(map(str, pair))} is not square"
            raise OptionError(what, option="size", hint="look at one side alone, with `axis` height or width")
    return [pair[0] for pair in pairs]


TELLING = 3  # sizes that a rule takes


def report_of(network: Network, sizes: BalancedSizes) -> Report:
    macs = macs_of_squares(network, sizes.balanced) if sizes.axis == "both" else None
    priced = dict(zip(sizes.balanced, macs or (), strict=False))
    keys = "network range axis balanced balanced_without_remainder rule rule_without_remainder"
    without = {*sizes.balanced_without_remainder}
    rows = [{"size": n, "remainder": n not in without, "macs": priced.get(n)} for n in sizes.balanced]
    facts, screen = {**picked(sizes, keys), "macs": macs}, [Facts(_facts(network, sizes, priced))]
    return Report("sizes", facts, [screen], Table(columns("size remainder macs"), rows))


def _facts(network: Network, sizes: BalancedSizes, priced: dict[int, int]) -> Iterator[tuple[str, object]]:
    lo, hi = sizes.range
    axis = "" if sizes.axis == "both" else f", {sizes.axis} alone"
    yield "network", f"{network.title}, sizes {lo} to {hi}{axis}"
    yield from _ruled("balanced", sizes.balanced, sizes.rule, hi - lo + 1)
    if sizes.unread:
        yield "not read", f"{sizes.unread} more that its windows let one expect"
    middle = (lo + hi) // 2
    if not sizes.balanced and (odd := odd_window(network, (middle, middle))):
        yield "why none", f"{odd} reads an odd number of padded rows at each, which cannot be split evenly"
    if ends := [*priced][:1] + [*priced][1:][-1:]:
        yield "macs", ", ".join(f"{priced[n]:,} at {n}" for n in ends)
    axes = network.axes if sizes.axis == "both" else (sizes.axis,)
    around = [name for name, meets in zip(network.axes, circular_axes(network), strict=True) if meets and name in axes]
    if around:
        where = "without remainders, the stride phase does not jump where the ends meet"
        alone = "" if len(around) == len(axes) else "; each axis alone has more"
        yield "circular", f"{' and '.join(around)}: at sizes {where}{alone}"
    yield from _ruled("no remainder", sizes.balanced_without_remainder, sizes.rule_without_remainder, hi - lo + 1)


def _ruled(name: str, sizes: Sequence[int], rule: str | None, count: int) -> list[tuple[str, str]]:
    untold = "too few sizes to tell" if len(sizes) in range(1, TELLING) else "none that holds in the whole range"
    return [(name, f"{len(sizes)} of {count} sizes"), ("rule", rule or untold), ("sizes", _runs(sizes))]


def _runs(sizes: Sequence[int]) -> str:
    """Write sizes, runs of neighbours as their ends.

    >>> _runs([5, 6, 7, 9])
    '5-7 9'
    """
    runs = [[n for _, n in run] for _, run in groupby(enumerate(sizes), lambda numbered: numbered[1] - numbered[0])]
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs) or "none"


def _refuse(asked: Mapping[str, Any]) -> None:
    sizes, (model, _) = asked.get("size", ()), asked["pairs"][0]
    if sizes and len(sides := _sides(sizes)) == 1:
        (side,) = sides
        hint = f"write 64:448 for a range, or padviz uneven {typed(model)} --size {side}"
        raise OptionError(f"{side} is one size", option="size", hint=hint)


DOOR = Door(
    sizes,
    """List the balanced sizes of MODEL, at which every window reads its padding evenly, of convolutions and pools.

    The report has all, those without stride remainders, their rules, and their multiply-adds (macs).

    --size are those to look at, 64:1024 by default: squares, or with --axis one side.

    \b
    Example:
      padviz sizes resnet50 --size 64:1024
    """,
    "sizes padding same layers axis",
    picture="",
    counting="reading at each size",
    refuse=_refuse,
)
