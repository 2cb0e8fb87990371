"""What the gallery shows of an item, from the JSON of its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from padviz.analyses.uneven import kinds
from padviz.counting.shares.summary import Rim, percent
from padviz.figures.colours import CMAP, SHARES
from padviz.network.network import ENDS
from padviz.reports.documents import flat
from padviz.reports.tables import readable, rounded

LEDGER_LINES, GRIDS = 7, 3  # most on a card
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
    return CARDS[what](figures_of(what, facts))


def figures_of(what: str, facts: Figures) -> Figures:
    """Return the part of a result's JSON that has its figures."""
    part = {"uneven": "results", "coverage": "layers"}.get(what)
    figures: Figures = facts
    if part:
        figures = facts[part][0]
    return figures


def cells_of(what: str, facts: Figures) -> dict[str, object]:
    """Return the single figures of a result for CSV."""
    figures = figures_of(what, facts)
    single: dict[str, object] = {}
    for key, value in figures.items():
        rows = isinstance(value, list) and value and isinstance(value[0], list | dict)
        if key not in ("schema_version", "item", "files") and not rows:
            single[key] = value
    return flat(single)


def _usage(figures: Figures) -> Card:
    share, skew = figures["share"], _most(figures["skew"])
    rank = {"starved": -1.0, "overused": -1.0, "skew": abs(skew)}
    bar, cmap = ["0", f"{_short(figures['max'])} paths"], CMAP
    facts: Facts = [("fair share", f"none: {figures['share_reason']}")]
    if share:
        rank |= {"starved": float(share["starved"]), "overused": float(share["overused"])}
        bar, cmap = ["0", "1 fair", "2+"], SHARES
        facts = []
        if figures["rim"]:
            sides = [*figures["rim"].values()]
            facts.append(("rim", f"{Rim(sides[0], sides[-1]).short} px"))
        facts += [
            ("starved", percent(share["starved"])),
            ("overused", percent(share["overused"])),
            ("fair shares", f"{share['least']:.2g} to {share['most']:.3g}"),
            ("skew of shares", f"{_most(share['skew']):+.3g}"),
        ]
    target = figures["target"]["layer"]
    facts += [
        ("target", target if isinstance(target, str) else ", ".join(target)),
        ("paths, max", _short(figures["max"])),
        ("asymmetry", readable(float(_most(figures["asymmetry"])))),
        ("skew of usage", f"{skew:+.3g}"),
    ]
    return Card(facts, rank, bar, cmap)


def _coverage(figures: Figures) -> Card:
    least = percent(figures["min"] / (figures["full"] or 1))
    facts: Facts = [
        ("least share", least),
        ("target", figures["layer"]),
        ("paths, max", _short(figures["max"])),
    ]
    return Card(facts, bar=["0", "1"])


def _uneven(figures: Figures) -> Card:
    layers = figures["layers"]
    uneven = [layer for layer in layers if layer["uneven"]]
    counted = f"{len(uneven)} of {len(layers)}"
    if uneven:
        counted += f": {kinds(figures['uneven_convolutions'], figures['uneven_pools'])}"
    ledger = [
        (readable(layer["layer"]), *_reads(layer), layer["convolution"])
        for layer in uneven[:LEDGER_LINES]
    ]
    return Card([("uneven", counted), ("remainders", figures["remainders"])], ledger=ledger)


def _reads(layer: Figures) -> tuple[int, int]:
    """Return the padded rows that a layer reads on either side, on the first uneven axis."""
    for axis in ENDS:
        if axis in layer and not layer[axis]["circular"]:
            before, after = layer[axis]["consumed"]
            after += layer[axis]["overhang"]
            if before != after:
                return before, after
    raise ValueError("reads the same on both sides")


def _taps(figures: Figures) -> Card:
    layers = sorted(figures["layers"], key=_imbalance, reverse=True)
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
    return abs(_most(layer["imbalance"]))


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
    return Card([("padding", ", ".join(layer["padding"] for layer in figures["layers"]))])


def _most(axes: Figures) -> float:
    """Return the figure of the axis where it is farthest from 0."""
    figure: float = max(axes.values(), key=abs)
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
