"""What a page knows: every map that it offers, as cores and index vectors, and what the engine says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from padviz.counting.usage import usage
from padviz.errors import OptionError, PadvizError, UnknownName
from padviz.network.network import Network, Size
from padviz.pages.facts import audit_facts, geometry_facts, map_facts, text, window_facts
from padviz.pages.planes import Shelf
from padviz.version import SCHEMAS


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
    maps: list[dict[str, Any] | PadvizError] = [
        _map_or_reason(shelf, asked, at, network, padding)
        for at, (_, network) in enumerate(asked.networks)
        for padding in asked.paddings
    ]
    shown = next((each for _, each in asked.networks if isinstance(each, Network)), None)
    if shown is None or all(isinstance(each, PadvizError) for each in maps):
        raise next(each for each in maps if isinstance(each, PadvizError))
    return {
        "schema_version": SCHEMAS["explorer"],
        "network": text(shown.name),
        "title": text(shown.title or shown.name),
        "sizes": [[*size] for size, _ in asked.networks],
        "windows": window_facts(),
        "paddings": [padding or "declared" for padding in asked.paddings],
        "base": asked.base,
        "heads": asked.heads,
        "maps": [{"reason": text(each)} if isinstance(each, PadvizError) else each for each in maps],
        "audit": audit_facts(shelf, *asked.networks[asked.base], asked.layer, asked.heads),
        "planes": shelf.planes,
        "axes": shelf.axes,
        "records": shelf.records,
    }


def _map_or_reason(
    shelf: Shelf, asked: Asked, at: int, network: Network | PadvizError, padding: str | None
) -> dict[str, Any] | PadvizError:
    """A map, or why it cannot run."""
    try:
        if isinstance(network, PadvizError):
            raise network
        counts = usage(network, asked.networks[at][0], padding, asked.layer, heads=asked.heads)
        return {**map_facts(shelf, counts), **geometry_facts(shelf, counts)}
    except (OptionError, UnknownName):
        raise  # it was asked for by a name that does not exist
    except PadvizError as error:
        return error
