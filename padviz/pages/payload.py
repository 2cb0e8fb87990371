"""The payload of a page: all maps that it offers, with their figures and audits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields as fields_of
from fractions import Fraction
from typing import Any

from padviz.advice.verdict import Audit, Examined, examine
from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.counting.shares.summary import rim_in
from padviz.counting.walking.walks import Walk, taps_at
from padviz.errors import OptionError, PadvizError, SizeError, UnknownName, printable
from padviz.geometry.ledger import ledger, tap_exposure
from padviz.geometry.one_layer import padded_axis
from padviz.geometry.receptive_fields import AxisField, receptive_fields
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.padding_modes import SCHEMES
from padviz.network.rewrites import schemes_of, with_padding
from padviz.network.sizes import resolve_each
from padviz.network.targets import head_weighting
from padviz.pages.planes import Shelf, TooLarge, check_room
from padviz.progress import Progress, counter
from padviz.reports.documents import picked, plain
from padviz.version import SCHEMA_VERSION

MOST_REMEDIES = 100  # with maps: more than are tried
Facts = dict[str, Any]  # of JSON
Networks = Sequence[tuple[Size, Network | PadvizError]]  # at each size, or the error there
WINDOWS = {
    "kernel": (1, 2, 3, 4, 5, 7),
    "stride": (1, 2, 3),
    "dilation": (1, 2, 3),
}  # offered for one layer
PIXELS = 7  # side of its image
# Characters of a name from elsewhere, and of what an audit says.
LONGEST, SAID = 500, 2000


def payload(
    networks: Networks,
    paddings: Sequence[str | None],
    base: int,
    layer: str | None = None,
    heads: str | None = None,
    on_progress: Progress | None = None,
) -> Facts:
    """Return all that a page shows, as JSON; counts that a float cannot hold are texts.

    `networks` has the network at each size, or the error there; the size at `base` is shown first.
    """
    shelf = Shelf()
    advance = counter(len(networks) * (len(paddings) + 1), on_progress)
    maps = _maps(shelf, networks, paddings, layer, heads, advance)
    errors = [error for error in maps if isinstance(error, PadvizError)]
    if len(errors) == len(maps):
        raise errors[0]
    first = next(network for _, network in networks if isinstance(network, Network))
    return {
        "schema_version": SCHEMA_VERSION,
        "network": text(first.name),
        "title": text(first.title or first.name),
        "sizes": [[*size] for size, _ in networks],
        "windows": window_facts(),
        "paddings": [padding or "declared" for padding in paddings],
        "base": base,
        "heads": head_weighting(heads, layer, first),
        "maps": [_reason(entry) if isinstance(entry, PadvizError) else entry for entry in maps],
        "audits": _audits(shelf, networks, _schemes(paddings, first), maps, layer, heads, advance),
        "planes": shelf.planes,
        "axes": shelf.axes,
        "records": shelf.records,
    }


def _reason(error: PadvizError) -> Facts:
    return {"reason": text(error)}


def _maps(
    shelf: Shelf,
    networks: Networks,
    paddings: Sequence[str | None],
    layer: str | None,
    heads: str | None,
    advance: Callable[[int], None],
) -> list[Facts | PadvizError]:
    """Pack the map at each size under each padding, or return the error there."""
    maps: list[Facts | PadvizError] = []
    for size, network in networks:
        rows: dict[str, Facts] = {}
        for padding in paddings:
            try:
                if isinstance(network, PadvizError):
                    raise network
                counts = usage(network, size, padding, layer, heads=heads)
                check_room(counts.core.stem_shape, network.name)
                maps.append({**map_facts(shelf, counts), **geometry_facts(shelf, counts, rows)})
            except (OptionError, UnknownName):
                raise  # a name that the user typed
            except PadvizError as error:
                maps.append(error)
            advance(1)
    return maps


def _schemes(paddings: Sequence[str | None], first: Network) -> list[str | None]:
    """Return the paddings as remedies name them: None for zeros where the network declares them."""
    if with_padding(first, "zero").layers != first.layers:
        return [*paddings]
    return [None if padding == "zero" else padding for padding in paddings]


def _audits(
    shelf: Shelf,
    networks: Networks,
    schemes: Sequence[str | None],
    maps: Sequence[Facts | PadvizError],
    layer: str | None,
    heads: str | None,
    advance: Callable[[int], None],
) -> list[Facts]:
    """Audit the network at each size; where a page has no room for the maps, give that reason."""
    places = list(itertools.product((size for size, _ in networks), schemes))
    known: dict[tuple[Size, str | None], int] = {}
    too_large: dict[Size, PadvizError] = {}
    for at, (place, entry) in enumerate(zip(places, maps, strict=True)):
        if isinstance(entry, TooLarge):
            too_large[place[0]] = entry
        elif not isinstance(entry, PadvizError):
            known[place] = at
    audits = []
    for size, network in networks:
        try:
            reason = too_large.get(size, network)
            if isinstance(reason, PadvizError):
                raise reason
            audits.append(_audit(shelf, examine(reason, size, layer, heads, MOST_REMEDIES), known))
        except PadvizError as error:
            audits.append(_reason(error))
        advance(1)
    return audits


def _audit(shelf: Shelf, examined: Examined, known: Mapping[tuple[Size, str | None], int]) -> Facts:
    """Return an audit, with the map of each remedy, or its number if the page has it.

    A map that is too large for a page is None. `known` numbers the maps of the network as it is; a
    remedy that also changes its layers has a map of its own.
    """
    maps: list[Facts | int | None] = []
    for remedy, counts in zip(examined.audit.remedies, examined.remedied, strict=True):
        at = None
        if remedy.kind in ("size", "larger", "padding", "both"):
            at = known.get((counts.size, remedy.padding))
        try:
            maps.append(map_facts(shelf, counts) if at is None else at)
        except SizeError:
            maps.append(None)
    return audit_facts(examined.audit, maps)


def text(value: object, most: int = LONGEST) -> str:
    """Escape a text from elsewhere to one line, and cut it to `most` characters.

    >>> text("a" * 600)[-3:], text("<b>\\n")
    ('aa…', '<b>\\\\n')
    """
    plain = printable(value)
    if len(plain) <= most:
        return plain
    return f"{plain[: most - 1]}…"


def map_facts(shelf: Shelf, counts: CountMap) -> Facts:
    """Pack a map: its core, the tiling of its axes, the interior pattern, and its figures.

    Long counts are texts; the skew of usage is only of maps without fair shares.
    """
    from msgspec import to_builtins

    share = None
    if not counts.share_reason:
        share = counts.shares.figures
    figures = {
        "max": str(counts.max) if isinstance(counts.max, int) else counts.max,
        "share": to_builtins(share),
        "skew": None if share else to_builtins(counts.summary().skew),
        "rim": rim_in(counts.summary().rim, counts.summary().starved),
        "depths": counts.rims and to_builtins(counts.rims[0]),
    }
    layers, shapes = counts.target.layer, counts.target.shape
    return {
        "size": [*counts.size],
        "core": shelf.core(counts.core),
        "rows": [counts.rows.n, counts.rows.start, counts.rows.period, counts.rows.copies],
        "cols": [counts.cols.n, counts.cols.start, counts.cols.period, counts.cols.copies],
        "interior": shelf.plane(counts.shares.pattern) if share else None,
        "share_reason": text(counts.share_reason) if counts.share_reason else None,
        "target": [*map(text, counts.target.names)],
        "shape": [shapes] if isinstance(layers, str) else shapes,
        "figures": figures,
    }


def geometry_facts(shelf: Shelf, counts: CountMap, known: dict[str, Facts]) -> Facts:
    """Return the layers on a map's paths, their reads, and their rows of the audit.

    `graph` has the layers, `reads` the axis maps of each along height and width, and `taps` the
    number of positions that an interior unit of each reads. `known` caches, for one size, the rows
    that schemes with equal pads share.
    """
    network, axes = counts.walked, resolve_each(counts.walked, counts.size)
    at = tuple(network.index[network.find(name).name] for name in counts.target.names)
    rows, cols = axes
    walk = Walk(network, rows, cols, at, "auto")
    taps = [taps_at(walk, i) if i else 1 for i in range(len(network.layers))]
    facts = {
        "graph": shelf.record([*map(_node, network.layers)]),
        "shapes": shelf.record([[*shape] for shape in zip(rows.sizes, cols.sizes, strict=True)]),
        "reads": shelf.record(
            [[*map(shelf.axis, pair)] for pair in zip(rows.maps, cols.maps, strict=True)]
        ),
        "taps": shelf.record([n if n < 1 << 53 else str(n) for n in taps]),
        "targets": [*at],
    }
    pads = _pads(counts.padding)
    if pads not in known:
        known[pads] = _audit_rows(shelf, network, counts.size)
    return facts | known[pads]


def _node(layer: Layer) -> Facts:
    """Return a layer of the graph."""
    return {
        "name": text(layer.name),
        "kind": layer.kind,
        "inputs": [*layer.inputs],
        "whole": text(min(filter(None, map(layer.whole, range(2))), default="")),
    }


def _pads(padding: str | None) -> str:
    """Return what a ledger depends on: how much a scheme pads, and which axes wrap.

    >>> _pads("zero/partial") == _pads("reflect"), _pads("zero/circular")
    (True, 'as much, circular on 1')
    >>> _pads("zero/valid"), _pads(None)
    ('zero/valid', 'declared')
    """
    schemes = schemes_of(padding) if padding else ()
    if padding is None or any(SCHEMES[name].resizes for name in schemes):
        return padding or "declared"
    wraps = [f", {name} on {axis}" for axis, name in enumerate(schemes) if SCHEMES[name].wraps]
    return "".join(["as much", *wraps])


def _audit_rows(shelf: Shelf, network: Network, size: Size) -> Facts:
    """Index the ledger, the tap exposure and the receptive fields by the number of the layer."""
    index, fields = network.index, {}
    with suppress(SizeError):  # fields that repeat too seldom to be followed
        for row in receptive_fields(network, size):
            axes = {"height": _field(row.height), "width": _field(row.width)}
            fields[index[row.layer]] = {**axes, "parts_at": row.parts_at and text(row.parts_at)}
    windows = [
        picked(row, "layer kind convolution uneven") | plain(row.axes)
        for row in ledger(network, size).layers
    ]
    exposure = {
        index[row.layer]: picked(row, "grid units imbalance") for row in tap_exposure(network, size)
    }
    return {
        "ledger": shelf.record(
            {index[row["layer"]]: {**row, "layer": text(row["layer"])} for row in windows}
        ),
        "exposure": shelf.record(exposure),
        "fields": shelf.record(fields),
    }


def window_facts() -> Facts:
    """Pad an axis of a small image, by scheme and "kernel,dilation"; errors are texts."""
    kernels, _, dilations = WINDOWS.values()
    return {
        "size": PIXELS,
        "axes": {
            name: {f"{k},{d}": _padded(k, d, name) for k in kernels for d in dilations}
            for name in SCHEMES
        },
    }


def _padded(kernel: int, dilation: int, scheme: str) -> tuple[int, list[int | None]] | str:
    try:
        return padded_axis(kernel, dilation, PIXELS, scheme)
    except SizeError as error:
        return f"{error.where}: {error.what}"


def _field(field: AxisField) -> Facts:
    values = ((part.name, getattr(field, part.name)) for part in fields_of(field))
    return {name: str(value) if isinstance(value, Fraction) else value for name, value in values}


def audit_facts(audit: Audit, maps: Sequence[Facts | int | None]) -> Facts:
    """Return an audit, every text of it escaped, with each remedy's map."""
    from msgspec import to_builtins

    facts: Facts = _escape(to_builtins(audit))
    for outcome in (facts["outcome"], *(remedy["outcome"] for remedy in facts["remedies"])):
        if outcome["macs"] is not None:
            outcome["macs"] = float(outcome["macs"])
    return {**facts, "suggested": _suggested(audit), "maps": maps}


def _suggested(audit: Audit) -> list[int]:
    """Return the remedies that the audit's sentences name.

    >>> import padviz
    >>> judged = padviz.audit("mobilenet_v2", 224)
    >>> [judged.remedies[at].what for at in _suggested(judged)]
    ['partial padding', '225 x 225 px']
    """
    places = {remedy.what: at for at, remedy in enumerate(audit.remedies)}
    named = [audit.best, audit.to_try, *audit.alike]
    return [places[what] for what in named if what in places]


def _escape(value: object) -> Any:
    if isinstance(value, dict):
        return {key: _escape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escape(item) for item in value]
    if isinstance(value, str):
        return text(value, SAID)
    return value
