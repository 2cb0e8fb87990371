"""What the gallery shows of an item, from the JSON of its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from padviz.analyses.uneven import kinds
from padviz.counting.shares.summary import Rim, percent, rim_in
from padviz.figures.colours import CMAP, SHARES
from padviz.network.network import ENDS
from padviz.reports.tables import readable, rounded

LEDGER_LINES, GRIDS = 7, 3  # most on a card
UNLISTED = ("schema_version", "padviz", "command", "item", "files", "rows")  # in CSV
LONG = 10**9  # counts from here on are rounded on a card
Facts = list[tuple[str, object]]
Figures = Mapping[str, Any]  # JSON


class Card(NamedTuple):
    """Figures of an item; by `rank` the gallery sorts, -1 last.

    `bar` labels the colours of a map, by default those of `cmap`. In place of a small picture stand
    uneven layers or grids: `ledger` has the name of a layer, the padding that it reads before and
    after, and whether it is a convolution; `taps` its name, and in percent how often each tap reads
    a real pixel.
    """

    facts: Facts
    rank: Mapping[str, float] = {"starved": -1.0, "overused": -1.0, "skew": -1.0}
    bar: list[str] | None = None
    cmap: str = CMAP
    ledger: list[tuple[str, int, int, bool]] | None = None
    taps: list[tuple[str, list[list[int]]]] | None = None


def card_of(what: str, facts: Figures) -> Card:
    """Return the card of a result; any error means that padviz did not write its JSON."""
    return CARDS[what](facts)


def figures_of(what: str, facts: Figures) -> Figures:
    """Return the figures of a result of one network: those of its first row, where it has one."""
    figures: Figures = facts
    if what in ("usage", "coverage"):
        figures = facts["rows"][0]
    elif what == "uneven":
        figures = facts["results"][0]
    return figures


def cells_of(what: str, facts: Figures) -> dict[str, object]:
    """Return the single figures of a result for CSV."""
    single: dict[str, object] = {}
    for key, value in figures_of(what, facts).items():
        listed = isinstance(value, dict) or (
            isinstance(value, list) and value and isinstance(value[0], list | dict)
        )
        if key not in UNLISTED and not listed:
            single[key] = value
    return single


def _usage(facts: Figures) -> Card:
    figures = figures_of("usage", facts)
    skew = _most(figures, "skew")
    rank = {"starved": -1.0, "overused": -1.0, "skew": abs(skew)}
    bar, cmap = ["0", f"{_short(figures['max'])} paths"], CMAP
    shown: Facts = [("fair share", f"none: {figures['share_reason']}")]
    if figures["share_reason"] is None:
        rank |= {"starved": float(figures["starved"]), "overused": float(figures["overused"])}
        bar, cmap = ["0", "1 fair", "2+"], SHARES
        shown = []
        sides = [side for side in _RIMS if figures.get(side[0]) is not None]
        if sides:
            depths = [[figures[key] for key in side] for side in sides]
            shown.append(("rim, px", rim_in(Rim(depths[0], depths[-1]), figures["starved"])))
        shown += [
            ("starved", percent(figures["starved"])),
            ("overused", percent(figures["overused"])),
            ("fair shares", f"{figures['share_min']:.2g} to {figures['share_max']:.3g}"),
            ("skew of shares", f"{_most(figures, 'share_skew'):+.3g}"),
        ]
    target = figures["target_layer"]
    shown += [
        ("target", target if isinstance(target, str) else ", ".join(target)),
        ("paths, max", _short(figures["max"])),
        ("asymmetry", readable(float(_most(figures, "asymmetry")))),
        ("skew of usage", f"{skew:+.3g}"),
    ]
    return Card(shown, rank, bar, cmap)


_RIMS = (("rim_top", "rim_bottom"), ("rim_left", "rim_right"), ("rim_before", "rim_after"))


def _coverage(facts: Figures) -> Card:
    figures = figures_of("coverage", facts)
    shown: Facts = [
        ("least share", percent(figures["share_min"])),
        ("target", figures["layer"]),
        ("paths, max", _short(figures["max"])),
    ]
    return Card(shown, bar=["0", "1"])


def _uneven(facts: Figures) -> Card:
    (figures,) = facts["results"]
    kinds_of = figures["uneven_convolutions"], figures["uneven_pools"]
    counted = f"{sum(kinds_of)} of {figures['windows']}"
    if any(kinds_of):
        counted += f": {kinds(*kinds_of)}"
    # A layer is uneven on the first axis that is; the other may be as well.
    uneven: dict[str, tuple[str, int, int, bool]] = {}
    for row in facts["rows"]:
        if row["uneven"]:
            after = row["used_after"] + row["overhang"]
            reads = (readable(row["layer"]), row["used_before"], after, row["convolution"])
            uneven.setdefault(row["layer"], reads)
    ledger = [*uneven.values()][:LEDGER_LINES]
    return Card([("uneven", counted), ("remainders", figures["remainders"])], ledger=ledger)


def _taps(facts: Figures) -> Card:
    layers = sorted(facts["rows"], key=_imbalance, reverse=True)
    grids = []
    for layer in layers[:GRIDS]:
        grid = [
            [round(100 * reads / (layer["units"] or 1)) for reads in row] for row in layer["grid"]
        ]
        grids.append((readable(layer["layer"]), grid))
    return Card(
        [("layers", len(layers)), ("imbalance, most", percent(_imbalance(layers[0]), 2))],
        taps=grids,
    )


def _imbalance(layer: Figures) -> float:
    return abs(_most(layer, "imbalance"))


def _filters(figures: Figures) -> Card:
    """Average the skew of convolutions with and without a stride, weighted by axes."""
    facts: Facts = []
    for name, strided in (("strided", True), ("stride 1", False)):
        groups = [group for group in figures["groups"] if group["strided"] is strided]
        axes = sum(group["axes"] for group in groups)
        total = sum(group["axes"] * group["skew"] for group in groups)
        facts.append((name, f"D {total / axes:+.3f}, {axes} axes" if axes else "none"))
    return Card(facts)


def _responses(figures: Figures) -> Card:
    means = [mean for mean in figures["means"] if mean["energy"] is not None]
    return Card(
        [(f"E, {mean['padding'] or 'as trained'}", f"{mean['energy']:.3f}") for mean in means]
    )


def _compare(figures: Figures) -> Card:
    return Card([(figures["varies"], ", ".join(figures["values"]))])


def _kernel(figures: Figures) -> Card:
    return Card([("padding", ", ".join(dict.fromkeys(row["padding"] for row in figures["rows"])))])


def _most(figures: Figures, key: str) -> float:
    """Return the figure of the axis where it is farthest from 0."""
    on_axes = [figures[f"{key}_{axis}"] for axis in ENDS if f"{key}_{axis}" in figures]
    figure: float = max(on_axes, key=abs)
    return figure


def _short(count: float) -> str:
    if count >= LONG:
        return rounded(int(count))
    return readable(count)


CARDS: dict[str, Callable[[Figures], Card]] = {
    "usage": _usage,
    "coverage": _coverage,
    "uneven": _uneven,
    "taps": _taps,
    "filters": _filters,
    "responses": _responses,
    "compare": _compare,
    "kernel": _kernel,
}
