"""Rims: the band next to each side that gets too little, or too much, of an interior pixel's weight."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz.axis.padding_modes import SCHEMES
from padviz.counting.shares.summary import Rim
from padviz.engine.limbs import to_ints
from padviz.errors import PadvizError
from padviz.network.network import Network
from padviz.sources.toml.build import parse
from tests.strategies import networks
from tests.sweeps import DEEPER, examples, sampled

# First and last side in px, height as width, where 224 or 640 px are phased alike, and at one pixel more.
REFERENCE = {
    "alexnet": ((22, 23), (22, 24)), "convnext_tiny": ((76, 76), (76, 77)), "deeplabv3_resnet50": ((19, 26), (19, 19)),
    "densenet121": ((66, 69), (66, 70)), "densenet201": ((98, 101), (98, 102)), "efficientnet_b0": ((34, 60), (34, 34)),
    "googlenet": ((29, 16), (29, 17)), "inception_v3": ((72, 84), (72, 85)), "mobilenet_v1": ((11, 30), (11, 11)),
    "mobilenet_v2": ((17, 39), (17, 17)), "mobilenet_v3_large": ((23, 47), (23, 23)), "resnet18": ((15, 38), (15, 15)),
    "resnet34": ((30, 53), (30, 30)), "resnet50": ((14, 34), (14, 14)), "resnet101": ((29, 49), (29, 29)),
    "resnet152": ((39, 57), (39, 39)), "resnext50_32x4d": ((14, 34), (14, 14)), "wide_resnet50_2": ((14, 34), (14, 14)),
    "squeezenet1_0": ((16, 13), (16, 14)), "squeezenet1_1": ((19, 20), (19, 8)), "ssd300_vgg16": ((99, 114), (99, 115)),
    "unet": ((92, 96), (92, 97)), "unet_padded": ((11, 11), (11, 12)), "vgg11": ((9, 9), (9, 10)),
    "vgg13": ((9, 9), (9, 10)), "vgg16": ((12, 12), (12, 13)), "vgg19": ((15, 15), (15, 16)),
}  # fmt: skip


@pytest.mark.parametrize("name", sampled(REFERENCE, DEEPER))
def test_the_rims_of_the_zoo(name: str) -> None:
    size = 352 if name == "ssd300_vgg16" else 224
    for more, (near, far) in enumerate(REFERENCE[name]):
        found = padviz.usage(name, (size + more, size + 32 * 32)).summary()
        assert found.rim is not None
        assert found.rim.height == [near, far]
        assert found.rim.width == [*REFERENCE[name][0]]
        assert found.overused_rim == Rim([0, 0], [0, 0])


def test_the_rim_is_free_of_the_size_but_for_its_phase() -> None:
    assert {tuple(padviz.usage("resnet50", n).summary().rim.height) for n in (32, 224, 640, 65_536)} == {(14, 34)}


def slow_rims(network: Network, size: tuple[int, int], scheme: str | None, period: tuple[int, int]) -> Any:
    """Rims from the whole map of an image that is larger by many periods, a fraction at a time; None where it is not
    interior in its middle."""
    large = tuple(n + each * -(-120 // each) for n, each in zip(size, period, strict=True))
    counts = padviz.usage(network, large, scheme)
    usage, pattern = counts.counts, to_ints(counts.shares.pattern)
    found = []
    for axis in (0, 1):
        rows, due = (usage.T, pattern.T) if axis else (usage, pattern)
        tall, wide = due.shape
        first = rows.shape[1] // 2 // wide * wide
        means = []
        for y, row in enumerate(rows.tolist()):
            shares = [Fraction(row[first + x]) / Fraction(i) for x, i in enumerate(due[y % tall].tolist()) if i]
            means.append(sum(shares) / len(shares) if shares else Fraction(1))
        half = len(means) // 2
        if any(abs(mean - 1) > 1e-9 for mean in means[half - tall : half + tall]):
            return None
        for beyond in (lambda mean: mean < Fraction(1, 2), lambda mean: mean > Fraction(3, 2)):
            sides = means[:half], means[:half:-1]
            found.append([max((i + 1 for i, mean in enumerate(side) if beyond(mean)), default=0) for side in sides])
    return Rim(found[0], found[2]), Rim(found[1], found[3])


def test_rims_are_those_of_a_far_larger_map() -> None:
    told: Counter[Any] = Counter()

    @given(network=networks(most=5), scheme=st.sampled_from([None, *(each for each in SCHEMES if each != "partial")]))
    @examples(40)
    def compared(network: Any, scheme: str | None) -> None:
        steps, size = network
        made = parse({"layers": steps}, "random")
        try:
            counts = padviz.usage(made, size, scheme)
        except PadvizError:
            return
        if counts.share_reason or max(counts.shares.period) > 12:
            return
        expected = slow_rims(made, size, scheme, counts.shares.period)
        if expected is None:
            return
        assert counts.rims == expected
        told[any(map(any, (expected[0].height, expected[0].width, expected[1].height, expected[1].width)))] += 1

    compared()
    assert told[True] > 2


@given(size=st.tuples(st.integers(20, 40), st.integers(20, 40)), kernel=st.integers(1, 6), pad=st.integers(0, 2))
@examples(10)
def test_a_share_of_just_a_half_is_not_starved(size: tuple[int, int], kernel: int, pad: int) -> None:
    """Under one convolution of k without padding the row y gets (y + 1) / k of its due; k - pad + ... under padding."""
    step = {"op": "conv", "name": "a", "kernel": [kernel, 1], "padding": [min(pad, kernel - 1), 0]}
    found = padviz.usage(parse({"layers": [step]}, "one"), size).summary().rim
    lost = kernel - 1 - min(pad, kernel - 1)
    starved = [y for y in range(kernel) if 2 * min(y + 1 + min(pad, kernel - 1), kernel) < kernel] if lost else []
    assert found == Rim([max((y + 1 for y in starved), default=0)] * 2, [0, 0])


def test_a_row_of_just_three_halves_is_not_overused() -> None:
    """Reflected padding of one row gives the second row 3 / 2 of its due under two taps a side, not more."""
    step = {"op": "conv", "name": "a", "kernel": [2, 1], "padding": [[1, 1], [0, 0]]}
    counts = padviz.usage(parse({"layers": [step]}, "one"), (12, 5), "reflect")
    assert counts.share().T[0].tolist() == [1, 1.5, *[1] * 8, 1.5, 1]
    assert counts.summary().overused_rim == Rim([0, 0], [0, 0])


def test_where_a_map_has_no_interior_it_has_no_rim() -> None:
    found = padviz.usage(parse({"layers": [{"op": "adaptive", "name": "a", "output": 3}]}, "x"), 20).summary()
    assert (found.rim, found.overused_rim) == (None, None)
    assert padviz.usage("vgg11", 64, unit=(0, 0)).summary().rim is None
