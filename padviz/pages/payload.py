"""What a page knows: every map that it offers, as cores and index vectors, and what the engine says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from padviz.counting.usage import usage
from padviz.errors import OptionError, PadvizError, UnknownName
from padviz.network.network import Network, Size
from padviz.network.targets import weighing
from padviz.pages.facts import audit_facts, geometry_facts, map_facts, text, window_facts
from padviz.pages.planes import Shelf
from padviz.version import SCHEMAS


@dataclass(frozen=True)
class Contents:
    """What a page is made of: a network at each size, or why there is none, and the padding schemes.

    `base` is the size that is shown first.
    """

    networks: Sequence[tuple[Size, Network | PadvizError]]
    paddings: Sequence[str | None]
    base: int
    layer: str | None = None
    heads: str | None = None


def payload(contents: Contents) -> dict[str, Any]:
    """Lay out all that a page shows, as plain lists, numbers and texts; counts that a float cannot hold are texts.

    Raises
    ------
    PadvizError
        If no map can be made, or a name does not exist.
    """
    shelf = Shelf()
    maps: list[dict[str, Any] | PadvizError] = [
        _map_or_reason(shelf, contents, at, network, padding)
        for at, (_, network) in enumerate(contents.networks)
        for padding in contents.paddings
    ]
    first = next((network for _, network in contents.networks if isinstance(network, Network)), None)
    if first is None or all(isinstance(entry, PadvizError) for entry in maps):
        raise next(entry for entry in maps if isinstance(entry, PadvizError))
    return {
        "schema_version": SCHEMAS["explorer"],
        "network": text(first.name),
        "title": text(first.title or first.name),
        "sizes": [[*size] for size, _ in contents.networks],
        "windows": window_facts(),
        "paddings": [padding or "declared" for padding in contents.paddings],
        "base": contents.base,
        "heads": weighing(contents.heads, contents.layer, first),
        "maps": [{"reason": text(entry)} if isinstance(entry, PadvizError) else entry for entry in maps],
        "audit": audit_facts(shelf, *contents.networks[contents.base], contents.layer, contents.heads),
        "planes": shelf.planes,
        "axes": shelf.axes,
        "records": shelf.records,
    }


def _map_or_reason(
    shelf: Shelf, contents: Contents, at: int, network: Network | PadvizError, padding: str | None
) -> dict[str, Any] | PadvizError:
    """Count a map, or say why it cannot run."""
    try:
        if isinstance(network, PadvizError):
            raise network
        counts = usage(network, contents.networks[at][0], padding, contents.layer, heads=contents.heads)
        return {**map_facts(shelf, counts), **geometry_facts(shelf, counts)}
    except (OptionError, UnknownName):
        raise  # it was asked for by a name that does not exist
    except PadvizError as error:
        return error
