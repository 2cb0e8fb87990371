"""What a page knows: every map that it offers, as cores and index vectors, and what the engine says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from padviz.counting.count_map import CountMap
from padviz.counting.periodic.tiling import Tiling
from padviz.counting.usage import usage
from padviz.errors import OptionError, PadvizError, UnknownName, printable
from padviz.network.network import Network, Size
from padviz.pages.planes import Shelf

SCHEMA_VERSION = 1
LONGEST = 300  # characters of a name from elsewhere


@dataclass(frozen=True)
class Asked:
    """What a page is made of: a network at each size, or why there is none, and the padding schemes.

    `base` is the size that is shown first.
    """

    networks: Sequence[tuple[Size, Network | PadvizError]]
    paddings: Sequence[str | None]
    base: int
    layer: str | None = None
    heads: str = "sum"


def payload(asked: Asked) -> dict[str, Any]:
    """All that a page shows, as plain lists, numbers and texts; counts that a float cannot hold are texts.

    Raises
    ------
    PadvizError
        If no map can be made, or a name does not exist.
    """
    shelf = Shelf()
    maps = [
        _map_or_reason(shelf, asked, at, network, padding)
        for at, (_, network) in enumerate(asked.networks)
        for padding in asked.paddings
    ]
    shown = next((each for _, each in asked.networks if isinstance(each, Network)), None)
    if shown is None or all(isinstance(each, PadvizError) for each in maps):
        raise next(each for each in maps if isinstance(each, PadvizError))
    return {
        "schema_version": SCHEMA_VERSION,
        "network": text(shown.name),
        "title": text(shown.title or shown.name),
        "sizes": [[*size] for size, _ in asked.networks],
        "paddings": [padding or "declared" for padding in asked.paddings],
        "base": asked.base,
        "heads": asked.heads,
        "maps": [{"reason": text(each)} if isinstance(each, PadvizError) else each for each in maps],
        "planes": shelf.planes,
        "axes": shelf.axes,
        "records": shelf.records,
    }


def text(value: object) -> str:
    """A text from elsewhere, on one line and no longer than a person reads.

    >>> text("a" * 400)[-3:], text("<b>\\n")
    ('aa…', '<b>\\\\n')
    """
    plain = printable(value)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"


def _map_or_reason(
    shelf: Shelf, asked: Asked, at: int, network: Network | PadvizError, padding: str | None
) -> dict[str, Any] | PadvizError:
    """A map, or why it cannot run."""
    try:
        if isinstance(network, PadvizError):
            raise network
        return map_facts(shelf, usage(network, asked.networks[at][0], padding, asked.layer, heads=asked.heads))
    except (OptionError, UnknownName):
        raise  # it was asked for by a name that does not exist
    except PadvizError as error:
        return error


def map_facts(shelf: Shelf, counts: CountMap) -> dict[str, Any]:
    """A map: its core, which row of it each row has, the pattern that shares are of, and the figures."""
    shared = counts.share_reason is None
    layers, shapes = counts.target.layer, counts.target.shape
    return {
        "size": [*counts.size],
        "core": shelf.core(counts.core),
        "rows": _tiling(counts.rows),
        "cols": _tiling(counts.cols),
        "interior": shelf.plane(counts.shares.pattern) if shared else None,
        "share_reason": text(counts.share_reason) if counts.share_reason else None,
        "target": [text(each) for each in ([layers] if isinstance(layers, str) else layers)],
        "shape": [shapes] if isinstance(layers, str) else shapes,
        "figures": figures_of(counts),
    }


def figures_of(counts: CountMap) -> dict[str, Any]:
    """The figures of a map, long counts as texts."""
    from msgspec import to_builtins

    summary = counts.summary()
    share = to_builtins(summary.share) if summary.share else None
    corners = [_long(each) for each in to_builtins(summary.corners).values()]
    extremes = {"min": _long(summary.min), "max": _long(summary.max), "centre": _long(summary.centre)}
    rest = {"mean": float(summary.mean) if abs(summary.mean) < 1e300 else None, "marginalised": summary.marginalised}
    axes = {"asymmetry": to_builtins(summary.asymmetry), "skew": to_builtins(summary.skew)}
    return {**extremes, **rest, **axes, "corners": corners, "share": share}


def _tiling(tiling: Tiling) -> list[int]:
    return [tiling.n, tiling.start, tiling.period, tiling.copies]


def _long(count: float) -> str | float:
    return str(count) if isinstance(count, int) else count
