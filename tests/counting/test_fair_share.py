"""Fair shares, what each pixel gets of what it would get far from all borders, and rims, where it gets too little."""

import tomllib
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import padviz
from padviz.advice.atlas import find
from padviz.counting.count import usage
from padviz.counting.shares.fair_share import NoInterior, beyond_bounds
from padviz.counting.shares.summary import Rim
from padviz.counting.walking import walks
from padviz.counting.walking.core import Core
from padviz.engine import limbs
from padviz.engine.limbs import Tally, to_ints
from padviz.errors import PadvizError
from padviz.network.graph import ancestors
from padviz.network.network import Network
from padviz.network.padding_modes import SCHEMES
from padviz.sources.toml.load import parse, zoo
from tests import naive
from tests.strategies import MODES, networks
from tests.sweeps import DEEPER, examples, sampled


def test_random_networks_have_the_interior_and_the_figures_of_the_slow_twin() -> None:
    told: Counter[bool] = Counter()

    @given(network=networks(most=5, modes=[*MODES, "partial"]))
    @examples(40)
    def compared(network: Any) -> None:
        steps, size = network
        made = parse({"layers": steps}, "random")
        try:
            counts = padviz.usage(made, size)
        except PadvizError:
            return
        if counts.share_reason:
            return
        target, period = [str(counts.target.layer)], counts.shares.period
        needed = {
            made.layers[i].name
            for i in ancestors(made.layers, [made.index[name] for name in target])
        }
        # others may not run at a larger size
        asked = [step for step in steps if step["name"] in needed]
        pattern = naive.interior(asked, size, target, period) if max(period) <= 12 else None
        told[pattern is not None] += 1
        if pattern is None:
            return
        exact = counts.core.exact
        assert near(
            pattern_of(counts).tolist(),
            pattern if exact else [[*map(float, row)] for row in pattern],
        )
        whole = counts.counts.tolist() if exact else naive.usage(asked, size, target)
        expected, found = naive.fair_share(whole, pattern), counts.summary().share
        for figure in ("starved", "overused", "unused"):
            assert getattr(found, figure) == float(expected[figure]), figure
        named = {"min": "least", "max": "most", "ripple": "ripple"}
        for figure, twin in named.items():
            told_by_twin = float(expected[twin])
            assert getattr(found, figure) == pytest.approx(told_by_twin, rel=1e-12), figure

    compared()
    assert told[True] > max(5, told[False])


def near(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(near(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(near, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == pytest.approx(other, rel=1e-9, abs=1e-9))
    return bool(one == other)


def pattern_of(counts: Any) -> Any:
    pattern = counts.shares.pattern
    return pattern[0] if pattern.dtype.kind == "f" else to_ints(pattern)


NETS = tomllib.loads(Path(__file__).with_name("nets.toml").read_text())


@pytest.mark.parametrize("case", NETS["cropped"].values(), ids=NETS["cropped"])
def test_what_follows_another_layer_keeps_its_phase(case: dict[str, Any]) -> None:
    size, steps = case["size"], case["layers"]
    counts = padviz.usage(parse({"layers": steps}, "x"), size)
    pattern = naive.interior(steps, (size, size), [str(counts.target.layer)], counts.shares.period)
    assert to_ints(counts.shares.pattern).tolist() == pattern


@pytest.mark.parametrize("case", NETS["shareless"].values(), ids=NETS["shareless"])
def test_where_no_pattern_repeats_there_is_no_share_and_a_reason(case: dict[str, Any]) -> None:
    counts = padviz.usage(parse({"layers": case["layers"]}, "x"), 16)
    summary = counts.summary()
    assert (summary.share, summary.rim, summary.overused_rim) == (None, None, None)
    assert summary.share_reason is not None
    with pytest.raises(NoInterior, match=case["says"]):
        counts.share()


@pytest.mark.parametrize(
    ("period", "says"), [(4096, None), (4097, "x: it repeats every 4097 pixels only")]
)
def test_the_longest_pattern_has_4096_rows(period: int, says: str | None) -> None:
    layers = [{"op": "conv", "name": "a", "kernel": 1, "stride": [period, 1]}]
    assert padviz.usage(parse({"layers": layers}, "x"), (period, 4)).share_reason == says


def test_pixels_that_no_window_reads_have_no_share() -> None:
    counts = padviz.usage(parse({"layers": [{"op": "conv", "name": "a", "stride": 2}]}, "x"), 5)
    share = counts.share()
    assert np.isnan(share[1::2]).all()
    assert np.isnan(share[:, 1::2]).all()
    assert (share[::2, ::2] == 1).all()
    found = counts.summary().share
    assert (found.unused, found.starved, found.min, found.max) == (16 / 25, 0, 1, 1)
    means = counts.share((2, 2))
    assert (means == 1).all()


def test_comparisons_are_exact_where_floats_would_round() -> None:
    """Counts of more than 53 bits, one less than half of the interior's and one more than one and a half of it."""
    counts = padviz.usage("resnet152", 352)
    pattern = to_ints(counts.shares.pattern)
    exact = counts.counts
    tiled = np.tile(pattern, [352 // each for each in counts.shares.period])
    found = counts.summary().share
    assert found.starved == (2 * exact < tiled).sum() / exact.size
    assert found.overused == (2 * exact > 3 * tiled).sum() / exact.size
    assert 0 < found.starved < 1


@pytest.mark.parametrize("scheme", [None, "replicate", "reflect", "full"])
def test_shares_at_the_thresholds_are_compared_exactly(scheme: str | None) -> None:
    """Under 2 taps the first row is read once: exactly half of its due, and not starved; mirrored, just 3 / 2."""
    steps = [{"op": "conv", "name": "c", "kernel": [2, 1], "padding": [[1, 1], [0, 0]]}]
    mirrored = padviz.usage(parse({"layers": steps}, "two"), (12, 5), "reflect")
    assert mirrored.share().T[0].tolist() == [1, 1.5, *[1] * 8, 1.5, 1]
    assert (mirrored.shares.figures.overused, mirrored.summary().overused_rim) == (
        0,
        Rim([0, 0], [0, 0]),
    )
    steps = [{"op": "conv", "name": "c", "kernel": [2, 1], "padding": 0}]
    assert padviz.usage(parse({"layers": steps}, "two"), 9, scheme).shares.figures.starved == 0


def test_rings_and_skew_are_those_of_the_whole_map() -> None:
    counts = padviz.usage("resnet18", (288, 350))
    values = counts.share()
    whole = counts.summary().share
    away = (
        np.minimum.outer(*(np.minimum(np.arange(n), np.arange(n)[::-1]) for n in values.shape))
        // 32
    )
    assert whole.rings == pytest.approx(
        [values[away == ring].mean() for ring in range(len(whole.rings))], rel=1e-9
    )
    assert whole.skew.height == pytest.approx(
        (values[144:].sum() - values[:144].sum()) / values.sum(), abs=1e-12
    )
    assert whole.skew.width == pytest.approx(
        (values[:, 175:].sum() - values[:, :175].sum()) / values.sum(), abs=1e-12
    )


@pytest.mark.parametrize("name", sampled(zoo(), DEEPER))
def test_the_rims_of_the_zoo_are_those_that_audits_compare_with(name: str) -> None:
    row = find(f"padviz {name}")
    assert row is not None
    # An image that is larger by whole periods of the strides has the same rims.
    for size in (row.size, row.size + 256):
        found = padviz.usage(name, size).summary()
        assert (found.rim, found.overused_rim) == (row.depths, Rim([0, 0], [0, 0]))
    assert round(padviz.usage(name, row.size).summary().share.starved, 4) == row.starved


def slow_rims(
    network: Network, size: tuple[int, int], scheme: str | None, period: tuple[int, int]
) -> Any:
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
            shares = [
                Fraction(row[first + x]) / Fraction(i)
                for x, i in enumerate(due[y % tall].tolist())
                if i
            ]
            means.append(sum(shares) / len(shares) if shares else Fraction(1))
        half = len(means) // 2
        if any(abs(mean - 1) > 1e-9 for mean in means[half - tall : half + tall]):
            return None
        for beyond in (lambda mean: mean < Fraction(1, 2), lambda mean: mean > Fraction(3, 2)):
            sides = means[:half], means[:half:-1]
            found.append(
                [
                    max((i + 1 for i, mean in enumerate(side) if beyond(mean)), default=0)
                    for side in sides
                ]
            )
    return Rim(found[0], found[2]), Rim(found[1], found[3])


def conv(kernel: int, stride: int = 1) -> dict[str, Any]:
    return {
        "op": "conv",
        "name": f"c{kernel}",
        "kernel": kernel,
        "stride": stride,
        "padding": kernel // 2,
    }


def test_rims_are_those_of_a_far_larger_map() -> None:
    told: Counter[Any] = Counter()

    @given(
        network=networks(most=5),
        scheme=st.sampled_from([None, *(each for each in SCHEMES if each != "partial")]),
    )
    @examples(40)
    @example(network=([conv(5)], (40, 31)), scheme=None)
    @example(network=([conv(5)], (40, 31)), scheme="replicate")
    @example(network=([conv(3, 2), conv(7)], (64, 64)), scheme="reflect/zero")
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
        told[
            any(
                map(
                    any,
                    (expected[0].height, expected[0].width, expected[1].height, expected[1].width),
                )
            )
        ] += 1

    compared()
    assert told[True] > 2


def assert_rounded_alike(made: Network, size: Any, padding: str | None = None) -> bool:
    """A map that is counted in floats has the shares of the exact one to 12 digits, and its numbers of pixels."""
    try:
        whole = usage(made, size, padding)
        one, other = (
            counts.shares.figures for counts in (usage(made, size, padding, rounded=True), whole)
        )
    except PadvizError:
        return False
    numbers = [
        (each.period, each.starved, each.overused, each.unused, each.ripple)
        for each in (one, other)
    ]
    assert numbers[0] == numbers[1]
    figures = [
        [each.min, each.max, *each.rings, each.skew.height, each.skew.width]
        for each in (one, other)
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-12, abs=1e-12)
    return whole.max > 0


def test_a_share_next_to_a_bound_is_compared_exactly() -> None:
    """2**50 - 1 of 2**51 is starved by a hair, though half of it in floats."""
    usages = np.array([[(1 << 50) - 1, 1 << 50]])
    counted = Core(
        Tally(np.array([[[0.5, 0.5]]]), 1, 1), exactly=lambda rows, cols: usages[rows, cols]
    )
    starved, _ = beyond_bounds(
        counted, counted.limbs[0], lambda rows, cols: np.full(rows.shape, 1 << 51)
    )
    assert starved.tolist() == [[True, False]]


@pytest.mark.parametrize("name", ["resnet152", "densenet121", "unet_padded", "vgg19"])
@pytest.mark.parametrize("padding", [None, "replicate", "circular"])
def test_maps_counted_in_floats_have_the_shares_of_exact_ones(
    name: str, padding: str | None
) -> None:
    assert assert_rounded_alike(padviz.load(name), (160, 96), padding)


def test_pixels_counted_from_their_rows_have_the_counts_of_the_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: Counter[bool] = Counter()
    for name in ("resnet18", "unet_padded"):
        whole, rounded = (
            usage(padviz.load(name), (224, 64), rounded=each) for each in (False, True)
        )
        rows, cols = np.array([0, 0, 7, 100, 100, 207]), np.array([0, 63, 7, 5, 9, 3])
        assert rounded.core.exactly is not None
        assert rounded.core.exactly(rows, cols).tolist() == whole.core.at(rows, cols).tolist()
    monkeypatch.setattr(walks, "APART", 2)

    @given(network=networks(), data=st.data())
    @examples(60)
    def compared(network: Any, data: Any) -> None:
        made, size = parse({"layers": network[0]}, "random"), network[1]
        try:
            whole, rounded = (usage(made, size, rounded=each) for each in (False, True))
        except PadvizError:
            return
        pixels = st.tuples(*(st.integers(0, n - 1) for n in whole.core.limbs.shape[1:]))
        rows, cols = np.array(sorted(data.draw(st.lists(pixels, min_size=1, max_size=6)))).T
        if rounded.core.exactly:
            assert rounded.core.exactly(rows, cols).tolist() == whole.core.at(rows, cols).tolist()
        told[rounded.core.exactly is not None] += 1

    compared()
    assert told[True] > told[False]


def test_counts_beyond_floats_are_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [{"op": "conv", "name": f"c{i}", "kernel": 3, "padding": 1} for i in range(700)]
    assert assert_rounded_alike(parse({"layers": chain}, "chain"), 40)
    monkeypatch.setattr(limbs, "FLOATS", 1 << 2)
    branches = [
        {"op": "conv", "name": name, "kernel": 1 + 2 * i, "from": "input"}
        for i, name in enumerate("ab")
    ]
    branches[1]["padding"] = 1
    assert assert_rounded_alike(
        parse({"layers": [*branches, {"op": "add", "name": "c", "from": ["a", "b"]}]}, "net"), 9
    )

    @given(network=networks())
    @examples(40)
    def compared(network: Any) -> None:
        steps, size = network
        assert_rounded_alike(parse({"layers": steps}, "random"), size)

    compared()
