"""What a page says of a map, of the layers that its paths come through, and of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields as fields_of
from fractions import Fraction
from typing import Any

from padviz.advice.remedies import Judged
from padviz.advice.verdict import Audit
from padviz.axis.padding_modes import SCHEMES
from padviz.counting.count_map import CountMap
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import Walk, taps_at
from padviz.errors import SizeError, printable
from padviz.geometry.ledger import ledger
from padviz.geometry.one_layer import padded_axis
from padviz.geometry.receptive_fields import AxisField, receptive_fields
from padviz.geometry.tap_exposure import tap_exposure
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.rewrites import schemes_of
from padviz.network.sizes import resolve_each
from padviz.pages.planes import Shelf
from padviz.reports.facts import ledger_facts, tap_facts

WINDOWS = {"kernel": (1, 2, 3, 4, 5, 7), "stride": (1, 2, 3), "dilation": (1, 2, 3)}  # on offer, over one layer
PIXELS = 7  # a side of its image
LONGEST = 300  # characters of a name from elsewhere


def text(value: object) -> str:
    """Put a text from elsewhere on one line, no longer than a person reads.

    >>> text("a" * 400)[-3:], text("<b>\\n")
    ('aa…', '<b>\\\\n')
    """
    plain = printable(value)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"


def map_facts(shelf: Shelf, counts: CountMap, judged: Judged | None) -> dict[str, Any]:
    """Pack a map: its core, which row of it each row has, the pattern that shares are of, and the figures.

    What is judged of it need not be counted again.
    """
    shared = counts.share_reason is None
    layers, shapes = counts.target.layer, counts.target.shape
    return {
        "size": [*counts.size],
        "core": shelf.core(counts.core),
        "rows": _tiling(counts.rows),
        "cols": _tiling(counts.cols),
        "interior": shelf.plane(counts.shares.pattern) if shared else None,
        "share_reason": text(counts.share_reason) if counts.share_reason else None,
        "target": [*map(text, counts.target.names)],
        "shape": [shapes] if isinstance(layers, str) else shapes,
        "figures": figures_of(counts, judged),
    }


def figures_of(counts: CountMap, judged: Judged | None = None) -> dict[str, Any]:
    """List the figures of a map that a page shows, long counts as texts; the skew of usage where none is fair."""
    from msgspec import to_builtins

    if judged:
        share, rim = judged.share, judged.rim
    else:
        share = None if counts.share_reason else counts.shares.figures
        rim = counts.rims and counts.rims[0]
    skew = None if share else to_builtins(counts.summary().skew)
    return {"max": _long(counts.max), "share": to_builtins(share), "skew": skew, "rim": rim and rim.short}


def _tiling(tiling: Tiling) -> list[int]:
    return [tiling.n, tiling.start, tiling.period, tiling.copies]


def _long(count: float) -> str | float:
    return str(count) if isinstance(count, int) else count


def geometry_facts(shelf: Shelf, counts: CountMap, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """List the layers that a map's paths lead through, what each reads, and what the audit knows of it.

    `graph` has the layers, `reads` the axis maps of each along height and width, and `taps` how many positions a unit
    of each reads where nothing is missing. `known` keeps, of one size, what schemes have in common that pad as
    much.
    """
    network, axes = counts.walked, resolve_each(counts.walked, counts.size)
    at = tuple(network.index[network.find(name).name] for name in counts.target.names)
    rows, cols = axes
    walk = Walk(network, rows, cols, at, "auto")
    facts = {
        "graph": shelf.record([_layer(layer) for layer in network.layers]),
        "shapes": shelf.record([[*shape] for shape in zip(axes[0].sizes, axes[1].sizes, strict=True)]),
        "reads": shelf.record(
            [[shelf.axis(axis_map) for axis_map in pair] for pair in zip(axes[0].maps, axes[1].maps, strict=True)]
        ),
        "taps": shelf.record([_whole(taps_at(walk, i)) if i else 1 for i in range(len(network.layers))]),
        "targets": [*at],
    }
    pads = _pads(counts.padding)
    if pads not in known:
        known[pads] = audit_rows(shelf, network, counts.size)
    return facts | known[pads]


def _pads(padding: str | None) -> str:
    """Name what a ledger sees of a scheme at one size: how much it pads, and which axes wrap.

    >>> _pads("zero/partial") == _pads("reflect"), _pads("zero/circular"), _pads("zero/valid"), _pads(None)
    (True, 'as much, circular on 1', 'zero/valid', 'declared')
    """
    schemes = schemes_of(padding) if padding else ()
    if padding is None or any(SCHEMES[name].resizes for name in schemes):
        return padding or "declared"
    wraps = [f", {name} on {axis}" for axis, name in enumerate(schemes) if SCHEMES[name].wraps]
    return "".join(["as much", *wraps])


def audit_rows(shelf: Shelf, network: Network, size: Size) -> dict[str, Any]:
    """Index the ledger, the tap exposure and the receptive fields by the number of the layer."""
    index, fields = network.index, {}
    with suppress(SizeError):  # its fields repeat too seldom to be followed
        for row in receptive_fields(network, size):
            axes = {"height": _field(row.height), "width": _field(row.width)}
            fields[index[row.layer]] = {**axes, "parts_at": row.parts_at and text(row.parts_at)}
    windows = ledger_facts(ledger(network, size))["layers"]
    exposed = {index[row.layer]: tap_facts(row) for row in tap_exposure(network, size)}
    exposure = {at: {key: row[key] for key in ("grid", "units", "imbalance")} for at, row in exposed.items()}
    return {
        "ledger": shelf.record({index[row["layer"]]: {**row, "layer": text(row["layer"])} for row in windows}),
        "exposure": shelf.record(exposure),
        "fields": shelf.record(fields),
    }


def window_facts() -> dict[str, Any]:
    """Pad one axis of a small image for each window on offer, by scheme and "kernel,dilation"; or say why not."""
    kernels, _, dilations = WINDOWS.values()
    return {
        "size": PIXELS,
        "axes": {name: {f"{k},{d}": _padded(k, d, name) for k in kernels for d in dilations} for name in SCHEMES},
    }


def _padded(kernel: int, dilation: int, scheme: str) -> tuple[int, list[int | None]] | str:
    try:
        return padded_axis(kernel, dilation, PIXELS, scheme)
    except SizeError as error:
        return f"{error.where}: {error.what}"


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "name": text(layer.name),
        "kind": layer.kind,
        "inputs": [*layer.inputs],
        "whole": text(min(filter(None, map(layer.whole, range(2))), default="")),
    }


def _field(field: AxisField) -> dict[str, Any]:
    """Lay out the field of a layer along one axis; fractions are texts."""
    values = ((part.name, getattr(field, part.name)) for part in fields_of(field))
    return {name: str(value) if isinstance(value, Fraction) else value for name, value in values}


def _whole(taps: int) -> int | str:
    return taps if taps < 1 << 53 else str(taps)


def audit_facts(audit: Audit, maps: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """Lay out an audit, with the facts of each remedy's map, or None."""
    return {**_plain(audit), "groups": _groups(audit), "maps": maps}


def _groups(audit: Audit) -> list[int]:
    """Find the best remedy of each group: the first of those that need as much of a trained network.

    >>> import padviz
    >>> judged = padviz.audit("resnet50", 224)
    >>> [(judged.remedies[at].what, judged.remedies[at].needs) for at in _groups(judged)]
    [('partial padding', 'fine-tune'), ('pool 7 strides', 'retrain'), ('256 x 256 px', "today's weights")]
    """
    first: dict[str, int] = {}
    for at, remedy in enumerate(audit.remedies):
        first.setdefault(remedy.needs, at)
    return [*first.values()]


def _plain(audit: Audit) -> dict[str, Any]:
    """Turn the audit into plain lists and numbers, every text of it harmless."""
    from msgspec import to_builtins

    facts: dict[str, Any] = _harmless(to_builtins(audit))
    for outcome in (facts["outcome"], *(remedy["outcome"] for remedy in facts["remedies"])):
        if outcome["macs"] is not None:
            outcome["macs"] = float(outcome["macs"])
    return facts


def _harmless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _harmless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    return text(value) if isinstance(value, str) else value
