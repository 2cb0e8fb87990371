"""The payload of a page: all maps that it offers, as cores and index vectors, with their figures and audits."""

from __future__ import annotations

from collections.abc import Sequence

from padviz.advice.verdict import Examined, examine
from padviz.counting.count import usage
from padviz.errors import OptionError, PadvizError, SizeError, UnknownName
from padviz.network.network import Network, Size
from padviz.network.targets import head_weighting
from padviz.pages.facts import Facts, audit_facts, geometry_facts, map_facts, text, window_facts
from padviz.pages.planes import Shelf
from padviz.version import SCHEMAS

MOST_REMEDIES = 100  # with maps: more than are tried


def payload(
    networks: Sequence[tuple[Size, Network | PadvizError]],
    paddings: Sequence[str | None],
    base: int,
    layer: str | None = None,
    heads: str | None = None,
) -> Facts:
    """Return all that a page shows, as JSON; counts that a float cannot hold are texts.

    `networks` has the network at each size, or the error there; the size at `base` is shown first.

    Raises
    ------
    PadvizError
        If no map can be made, or a name does not exist.
    """
    shelf = Shelf()
    maps: list[Facts | PadvizError] = []
    audits: list[Facts | PadvizError] = []
    for size, network in networks:
        examined = _examine(network, size, layer, heads)
        rows: dict[str, Facts] = {}
        for padding in paddings:
            try:
                if isinstance(network, PadvizError):
                    raise network
                counts = usage(network, size, padding, layer, heads=heads)
                maps.append({**map_facts(shelf, counts), **geometry_facts(shelf, counts, rows)})
            except (OptionError, UnknownName):
                raise  # a name that the user typed
            except PadvizError as error:
                maps.append(error)
        audits.append(examined if isinstance(examined, PadvizError) else _audit(shelf, examined))
    first = next((network for _, network in networks if isinstance(network, Network)), None)
    if first is None or all(isinstance(entry, PadvizError) for entry in maps):
        raise next(entry for entry in maps if isinstance(entry, PadvizError))
    names = [padding or "declared" for padding in paddings]
    shown = [_facts_or_reason(entry) for entry in maps]
    return {
        "schema_version": SCHEMAS["explorer"],
        "network": text(first.name),
        "title": text(first.title or first.name),
        "sizes": [[*size] for size, _ in networks],
        "windows": window_facts(),
        "paddings": names,
        "base": base,
        "heads": head_weighting(heads, layer, first),
        "maps": shown,
        "audits": [_with_shared_maps(_facts_or_reason(audit), shown, names) for audit in audits],
        "planes": shelf.planes,
        "axes": shelf.axes,
        "records": shelf.records,
    }


def _facts_or_reason(entry: Facts | PadvizError) -> Facts:
    return {"reason": text(entry)} if isinstance(entry, PadvizError) else entry


def _examine(
    network: Network | PadvizError, size: Size, layer: str | None, heads: str | None
) -> Examined | PadvizError:
    if isinstance(network, PadvizError):
        return network
    try:
        return examine(network, size, layer, heads, MOST_REMEDIES)
    except PadvizError as error:
        return error


def _audit(shelf: Shelf, examined: Examined) -> Facts:
    """Return an audit, with the map of each remedy; None for maps that are too large for a page."""
    maps: list[Facts | None] = []
    for counts in examined.remedied:
        try:
            maps.append(map_facts(shelf, counts))
        except SizeError:
            maps.append(None)
    return audit_facts(examined.audit, maps)


def _with_shared_maps(audit: Facts, maps: Sequence[Facts], paddings: Sequence[str]) -> Facts:
    """Replace each remedy's map by the number of the same map, if the page has it under the same scheme."""
    if "reason" in audit:
        return audit
    known = {(paddings[at % len(paddings)], _key(facts)): at for at, facts in enumerate(maps) if "reason" not in facts}
    shared = []
    for remedy, facts in zip(audit["remedies"], audit["maps"], strict=True):
        schemes = [remedy["padding"]] if remedy["padding"] else ["declared", "zero"]
        same = [known[key] for scheme in schemes if facts and (key := (scheme, _key(facts))) in known]
        shared.append(same[0] if same else facts)
    return {**audit, "maps": shared}


def _key(facts: Facts) -> str:
    return str([facts[name] for name in ("size", "core", "rows", "cols", "interior", "target", "shape", "figures")])
