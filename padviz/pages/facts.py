"""What a page says of a map, of the layers that its paths come through, and of the audit."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields as fields_of
from fractions import Fraction
from typing import Any

from padviz.advice.verdict import Audit, examine
from padviz.axis.padding_modes import SCHEMES
from padviz.counting.count_map import CountMap
from padviz.counting.walking.tiling import Tiling
from padviz.counting.walking.walks import Walk, taps_at
from padviz.errors import PadvizError, SizeError, printable
from padviz.geometry.ledger import ledger
from padviz.geometry.one_layer import padded_axis
from padviz.geometry.receptive_fields import AxisField, receptive_fields
from padviz.geometry.tap_exposure import tap_exposure
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.network.sizes import resolve_each
from padviz.pages.planes import Shelf
from padviz.reports.windows.taps import tap_facts
from padviz.reports.windows.uneven import ledger_facts

WINDOWS = {"kernel": (1, 2, 3, 4, 5, 7), "stride": (1, 2, 3), "dilation": (1, 2, 3)}  # on offer, over one layer
MOST_REMEDIES = 100  # with maps: more than are tried
PIXELS = 7  # a side of its image
LONGEST = 300  # characters of a name from elsewhere


def text(value: object) -> str:
    """Put a text from elsewhere on one line, no longer than a person reads.

    >>> text("a" * 400)[-3:], text("<b>\\n")
    ('aa…', '<b>\\\\n')
    """
    plain = printable(value)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"


def map_facts(shelf: Shelf, counts: CountMap) -> dict[str, Any]:
    """Pack a map: its core, which row of it each row has, the pattern that shares are of, and the figures."""
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
        "figures": figures_of(counts),
    }


def figures_of(counts: CountMap) -> dict[str, Any]:
    """List the figures of a map, long counts as texts."""
    from msgspec import to_builtins

    summary = counts.summary()
    share = to_builtins(summary.share) if summary.share else None
    corners = [_long(corner) for corner in to_builtins(summary.corners).values()]
    extremes = {"min": _long(summary.min), "max": _long(summary.max), "centre": _long(summary.centre)}
    rest = {"mean": float(summary.mean) if abs(summary.mean) < 1e300 else None, "marginalised": summary.marginalised}
    axes = {"asymmetry": to_builtins(summary.asymmetry), "skew": to_builtins(summary.skew)}
    return {**extremes, **rest, **axes, "corners": corners, "share": share, "rim": summary.rim and summary.rim.short}


def _tiling(tiling: Tiling) -> list[int]:
    return [tiling.n, tiling.start, tiling.period, tiling.copies]


def _long(count: float) -> str | float:
    return str(count) if isinstance(count, int) else count


def geometry_facts(shelf: Shelf, counts: CountMap) -> dict[str, Any]:
    """List the layers that a map's paths lead through, what each reads, and what the audit knows of it.

    `graph` has the layers, `reads` the axis maps of each along height and width, and `taps` how many positions a unit
    of each reads where nothing is missing.
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
    return {**facts, **audit_rows(shelf, network, counts.size)}


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
        "whole": text(layer.whole(0) or layer.whole(1)),
    }


def _field(field: AxisField) -> dict[str, Any]:
    """Lay out the field of a layer along one axis; fractions are texts."""
    values = ((part.name, getattr(field, part.name)) for part in fields_of(field))
    return {name: str(value) if isinstance(value, Fraction) else value for name, value in values}


def _whole(taps: int) -> int | str:
    return taps if taps < 1 << 53 else str(taps)


def audit_facts(
    shelf: Shelf, size: Size, network: Network | PadvizError, layer: str | None, heads: str | None
) -> dict[str, Any]:
    """Audit a network at a size, with the map as it is and each remedy's; or say why there is no audit."""
    try:
        if isinstance(network, PadvizError):
            raise network
        examined = examine(network, size, layer, heads, MOST_REMEDIES)
    except PadvizError as error:
        return {"reason": text(error)}
    today, *remedied = (map_facts(shelf, counts) for counts in (examined.today, *examined.remedied))
    return {**_plain(examined.audit), "today": today, "maps": remedied}


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
