"""The figures of ledgers and taps for JSON, in reports and in pages."""

from __future__ import annotations

from typing import Any

from padviz.geometry.ledger import Ledger
from padviz.geometry.tap_exposure import TapExposure
from padviz.reports.documents import picked, plain


def ledger_facts(ledger: Ledger) -> dict[str, Any]:
    """Pick the figures of a ledger for JSON.

    >>> import padviz
    >>> ledger_facts(padviz.uneven("resnet18", 224))["layers"][0]["uneven"]
    True
    """
    counts = {"uneven_convolutions": len(ledger.uneven_convolutions), "uneven_pools": len(ledger.uneven_pools)}
    counts["remainders"] = len(ledger.remainders)
    layers = [picked(layer, "layer kind convolution uneven") | plain(layer.axes) for layer in ledger.layers]
    return {**picked(ledger, "network size balanced"), **counts, "layers": layers}


def tap_facts(row: TapExposure) -> dict[str, object]:
    """Pick the taps of one layer for JSON.

    >>> import padviz
    >>> tap_facts(padviz.taps("resnet18", 224, layer="layer4.0.conv1")[0])["grid"][0]
    [36, 42, 42]
    """
    return picked(row, "layer kind convolution uneven units grid imbalance")
