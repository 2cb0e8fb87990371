"""What a page knows: every map that it offers, as cores and index vectors, and what the engine says of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from padviz.advice.remedies import Judged, Remedy
from padviz.advice.verdict import Examined, examine
from padviz.counting.count import usage
from padviz.counting.count_map import CountMap
from padviz.errors import OptionError, PadvizError, SizeError, UnknownName
from padviz.network.network import Network, Size
from padviz.network.rewrites import with_padding
from padviz.network.targets import weighing
from padviz.pages.facts import audit_facts, geometry_facts, map_facts, text, window_facts
from padviz.pages.planes import Shelf
from padviz.version import SCHEMAS

MOST_REMEDIES = 100  # with maps: more than are tried


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
    laid = [_at_size(shelf, contents, at) for at in range(len(contents.networks))]
    maps = [entry for entries, _ in laid for entry in entries]
    first = next((network for _, network in contents.networks if isinstance(network, Network)), None)
    if first is None or all(isinstance(entry, PadvizError) for entry in maps):
        raise next(entry for entry in maps if isinstance(entry, PadvizError))
    paddings = [padding or "declared" for padding in contents.paddings]
    shown = [_facts_or_reason(entry) for entry in maps]
    return {
        "schema_version": SCHEMAS["explorer"],
        "network": text(first.name),
        "title": text(first.title or first.name),
        "sizes": [[*size] for size, _ in contents.networks],
        "windows": window_facts(),
        "paddings": paddings,
        "base": contents.base,
        "heads": weighing(contents.heads, contents.layer, first),
        "maps": shown,
        "audits": [_shared(_facts_or_reason(audit), shown, paddings) for _, audit in laid],
        "planes": shelf.planes,
        "axes": shelf.axes,
        "records": shelf.records,
    }


def _facts_or_reason(entry: dict[str, Any] | PadvizError) -> dict[str, Any]:
    return {"reason": text(entry)} if isinstance(entry, PadvizError) else entry


def _at_size(
    shelf: Shelf, contents: Contents, at: int
) -> tuple[list[dict[str, Any] | PadvizError], dict[str, Any] | PadvizError]:
    """Count the map of each scheme at a size, and audit the network there; or say why there is none."""
    size, network = contents.networks[at]
    examined = _examined(contents, size, network)
    known = {} if isinstance(examined, PadvizError) else _known(examined)
    rows: dict[str, dict[str, Any]] = {}
    maps: list[dict[str, Any] | PadvizError] = []
    for padding in contents.paddings:
        try:
            counts, judged = known.get(padding) or (_counted(contents, size, network, padding), None)
            maps.append({**map_facts(shelf, counts, judged), **geometry_facts(shelf, counts, rows)})
        except (OptionError, UnknownName):
            raise  # it was asked for by a name that does not exist
        except PadvizError as error:
            maps.append(error)
    if isinstance(examined, PadvizError):
        return maps, examined
    remedied = [_cured(shelf, counts, remedy) for remedy, counts in _remedied(examined)]
    return maps, audit_facts(examined.audit, remedied)


def _remedied(examined: Examined) -> Iterator[tuple[Remedy, CountMap]]:
    return zip(examined.audit.remedies, examined.remedied, strict=True)


def _cured(shelf: Shelf, counts: CountMap, remedy: Remedy) -> dict[str, Any] | None:
    """Pack the map of a remedy; None where it is more than a page should hold."""
    try:
        return map_facts(shelf, counts, remedy.outcome)
    except SizeError:
        return None


def _shared(audit: dict[str, Any], maps: Sequence[dict[str, Any]], paddings: Sequence[str]) -> dict[str, Any]:
    """Put in the place of a remedy's map the number of the same map, where the page has it under the same scheme."""
    if "reason" in audit:
        return audit
    known = {(paddings[at % len(paddings)], _key(facts)): at for at, facts in enumerate(maps) if "reason" not in facts}
    shared = []
    for remedy, facts in zip(audit["remedies"], audit["maps"], strict=True):
        schemes = [remedy["padding"]] if remedy["padding"] else ["declared", "zero"]
        same = [known[key] for scheme in schemes if facts and (key := (scheme, _key(facts))) in known]
        shared.append(same[0] if same else facts)
    return {**audit, "maps": shared}


def _key(facts: dict[str, Any]) -> str:
    return str([facts[name] for name in ("size", "core", "rows", "cols", "interior", "target", "shape", "figures")])


def _examined(contents: Contents, size: Size, network: Network | PadvizError) -> Examined | PadvizError:
    try:
        if isinstance(network, PadvizError):
            raise network
        return examine(network, size, contents.layer, contents.heads, MOST_REMEDIES)
    except PadvizError as error:
        return error


def _known(examined: Examined) -> dict[str | None, tuple[CountMap, Judged]]:
    """Find the maps, by scheme, that an audit counted anyway."""
    today = examined.today, examined.audit.outcome
    known: dict[str | None, tuple[CountMap, Judged]] = {None: today}
    if with_padding(examined.today.network, "zero").layers == examined.today.network.layers:
        known["zero"] = today
    for remedy, counts in _remedied(examined):
        if remedy.kind == "padding":
            known[remedy.padding] = counts, remedy.outcome
    return known


def _counted(contents: Contents, size: Size, network: Network | PadvizError, padding: str | None) -> CountMap:
    if isinstance(network, PadvizError):
        raise network
    return usage(network, size, padding, contents.layer, heads=contents.heads)
