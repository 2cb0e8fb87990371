"""What a page says of the audit: the verdict, its figures, and the map of each remedy."""

from __future__ import annotations

from typing import Any

from padviz.advice.verdict import Audit, audit, maps
from padviz.errors import PadvizError
from padviz.network.network import Network, Size
from padviz.pages.facts import map_facts, text
from padviz.pages.planes import Shelf


def audit_facts(
    shelf: Shelf, size: Size, network: Network | PadvizError, layer: str | None, heads: str
) -> dict[str, Any]:
    """The audit of a network at a size, with the map as it is and each remedy's; or why there is none."""
    try:
        if isinstance(network, PadvizError):
            raise network
        found = audit(network, size, layer, heads)
        drawn = dict(maps(network, found, len(found.remedies)))
    except PadvizError as error:
        return {"reason": text(error)}
    shown = {what: map_facts(shelf, counts) for what, counts in drawn.items()}
    return {**_plain(found), "today": shown["today"], "maps": [shown.get(remedy.what) for remedy in found.remedies]}


def _plain(found: Audit) -> dict[str, Any]:
    """The audit as plain lists and numbers, every text of it harmless."""
    from msgspec import to_builtins

    facts: dict[str, Any] = _harmless(to_builtins(found))
    for outcome in (facts["outcome"], *(remedy["outcome"] for remedy in facts["remedies"])):
        if outcome["macs"] is not None:
            outcome["macs"] = float(outcome["macs"])
    return facts


def _harmless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _harmless(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_harmless(each) for each in value]
    return text(value) if isinstance(value, str) else value
