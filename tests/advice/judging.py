"""Outcomes of networks at sizes, for tests."""

from __future__ import annotations

from typing import Any

import padviz
from padviz.advice.remedies import Outcome, outcome
from padviz.geometry.balance.case import Case
from padviz.network.network import Network, as_size


def outcome_of(network: Network, size: Any, padding: str | None = None, heads: str = "sum") -> Outcome:
    """All figures of a network at a size, under a padding scheme."""
    return outcome(Case(network, as_size(size)), padviz.usage(network, size, padding, heads=heads))
