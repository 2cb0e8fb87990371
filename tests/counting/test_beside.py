"""Law: networks that are counted in one walk have the maps, rims and errors that they have alone."""

import re

import numpy as np
import pytest

import padviz
from padviz.advice.changes import TRIED
from padviz.counting.count import usage, usages_beside
from padviz.errors import PadvizError
from padviz.network.network import Network
from padviz.sources.toml.build import parse

CHAIN = {"layers": [{"op": "conv", "name": f"c{i}", "kernel": 3, "padding": 1} for i in range(50)]}
NETWORKS = {
    "resnet18": padviz.load("resnet18"),
    "unet_padded": padviz.load("unet_padded"),
    "chain": parse(CHAIN, "chain"),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(64, 64), (96, 160), (33, 47), (16, 400), (1200, 1200)])
def test_one_walk_counts_what_each_network_has_alone(name: str, size: tuple[int, int]) -> None:
    network: Network = NETWORKS[name]
    paddings = [None, *TRIED]
    for padding, found in zip(paddings, usages_beside(network, size, paddings), strict=True):
        if isinstance(found, PadvizError):
            with pytest.raises(type(found), match=f"^{re.escape(str(found))}$"):
                usage(network, size, padding)
            continue
        alone = usage(network, size, padding)
        ends = [*range(9), *range(-9, 0)]
        assert np.array_equal(found.counts_at(ends, slice(None)), alone.counts_at(ends, slice(None)))
        assert (found.total, found.max, found.min) == (alone.total, alone.max, alone.min)
        assert (found.rims, found.share_reason) == (alone.rims, alone.share_reason)


def test_schemes_are_counted_in_one_walk() -> None:
    maps = usages_beside(NETWORKS["resnet18"], 64, ["reflect", "partial", "circular/zero"])
    beside = [[] if isinstance(each, PadvizError) else each.beside for each in maps]
    assert beside[0] == beside[2]
    assert [*map(len, beside)] == [2, 0, 2]
