"""Rows that a network pads before a window are counted as the window's padding, and it is said so."""

from __future__ import annotations

import pytest
from torch import nn

import padviz
from padviz.advice.verdict import audit
from padviz.geometry.ledger import ledger
from padviz.reports.windows.uneven import verdict


@pytest.mark.parametrize("apart", [True, False])
def test_it_is_said_where_a_pad_is_counted_to_a_convolution(apart: bool) -> None:
    pads = [nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3, 2)] if apart else [nn.Conv2d(3, 8, 3, 2, 1)]
    network = padviz.load(nn.Sequential(*pads), size=32)
    for said in (audit(network, 32).symmetry, " ".join(verdict(network, ledger(network, 32)))):
        assert ("ows that are padded before 1 are counted as its padding" in said) == apart
