"""Fair shares: what each pixel gets of what it would get far from all borders."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz.axis.padding_modes import SCHEMES
from padviz.counting import request
from padviz.counting.shares.fair_share import NOISE, Shares
from padviz.counting.shares.interior import NoInterior, interior
from padviz.counting.walking.walks import WHOLE, count_backward
from padviz.engine.limbs import less, to_ints
from padviz.errors import PadvizError
from padviz.network.graph import ancestors
from padviz.sources.toml.build import parse
from padviz.sources.toml.load import zoo
from tests import naive
from tests.strategies import networks
from tests.sweeps import every_third, examples

REFERENCE = [  # network, size, scheme, starved, overused, least, most, first and last corner
    ("vgg19", 224, None, 0.276, 0, 0.0038, 1, 0.0038, 0.0038),
    ("resnet50", 224, None, 0.451, 0, 0.0004, 0.968, 0.0152, 0.0004),
    ("resnet50", 225, None, 0.281, 0, 0.0152, 0.991, 0.0152, 0.0152),
    ("resnet50", 225, "replicate", 0, 0.155, 1, 8.05, None, None),
    ("resnet50", 225, "reflect", 0, 0.056, 0.252, 1.57, None, None),
    ("resnet50", 225, "symmetric", 0, 0.162, 1, 4.80, None, None),
    ("resnet50", 225, "circular", 0, 0.162, 1, 4.80, None, None),
    ("mobilenet_v2", 224, None, 0.538, 0, 0.0001, 0.906, 0.0148, 0.0001),
    ("densenet121", 224, None, 1, 0, 0.0001, 0.180, 0.0006, 0.0001),
]


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize(("name", "size", "scheme", "starved", "overused", "least", "most", "first", "last"), REFERENCE)
def test_reference_values(
    engine: str, name: str, size: int, scheme: str | None, starved: float, overused: float, least: float, most: float,
    first: float | None, last: float | None,
) -> None:  # fmt: skip
    counts = padviz.usage(name, size, scheme, engine=engine)
    found = counts.summary().share
    pattern = interior(counts.walked, counts.size, (counts.walked.index[counts.target.layer],), engine)
    assert (to_ints(pattern.whole) == to_ints(counts.shares.pattern)).all()
    assert (round(found.starved, 3), round(found.overused, 3)) == (starved, overused)
    assert round(found.least, 4 if least < 0.1 else 3) == pytest.approx(least, abs=6e-4)
    assert round(found.most, 3 if most < 1 else 2) == pytest.approx(most, abs=6e-3)
    if first is not None:
        assert (round(found.corners.top_left, 4), round(found.corners.bottom_right, 4)) == (first, last)


Compared = Counter[bool]


def test_random_networks_have_the_interior_and_the_figures_of_the_slow_twin() -> None:
    told: Compared = Counter()

    @given(network=networks(most=5))
    @examples(30)
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
        needed = {made.layers[i].name for i in ancestors(made.layers, [made.index[name] for name in target])}
        asked = [step for step in steps if step["name"] in needed]  # others may not run at a larger size
        pattern = naive.interior(asked, size, target, period) if max(period) <= 12 else None
        told[pattern is not None] += 1
        if pattern is None:
            return
        assert to_ints(counts.shares.pattern).tolist() == pattern
        expected, found = naive.fair_share(counts.counts.tolist(), pattern), counts.summary().share
        for figure in ("starved", "overused", "unused"):
            assert getattr(found, figure) == float(expected[figure]), figure
        for figure in ("least", "most", "ripple"):
            assert getattr(found, figure) == pytest.approx(float(expected[figure]), rel=1e-12), figure

    compared()
    assert told[True] > max(5, told[False])


def alike(found: Any, expected: Any) -> bool:
    """Integers are equal, and floats as near as they can be."""
    if found.dtype.kind == "f":
        return np.allclose(found, expected, rtol=NOISE, atol=0)
    return bool((found == expected).all())


def pattern_of(counts: Any) -> Any:
    pattern = counts.shares.pattern
    return pattern[0] if pattern.dtype.kind == "f" else to_ints(pattern)


def middle(made: Any, size: tuple[int, int], period: tuple[int, int], scheme: str | None = None) -> Any:
    """A period of counts from the middle of a map that is six periods larger or more; None where it does not repeat."""
    large = tuple(n + each * max(-(-160 // each), 6) for n, each in zip(size, period, strict=True))
    counts = padviz.usage(made, large, scheme).counts
    down, across = (n // 2 // each * each for n, each in zip(large, period, strict=True))

    def block(row: int, col: int) -> Any:
        return counts[row : row + period[0], col : col + period[1]]

    found = block(down, across)
    around = [block(down + period[0] * i, across + period[1] * j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return found if all(alike(other, found) for other in around) else None


@given(network=networks(), scheme=st.sampled_from([None, *SCHEMES]))
@examples(40)
def test_the_interior_is_the_middle_of_a_far_larger_map(network: Any, scheme: str | None) -> None:
    steps, size = network
    made = parse({"layers": steps}, "random")
    try:
        counts = padviz.usage(made, size, scheme)
    except PadvizError:
        return
    if counts.share_reason is None:
        expected = middle(made, size, counts.shares.period, scheme)
        assert expected is not None
        assert alike(pattern_of(counts), expected)


CROPPED: dict[str, tuple[list[dict[str, Any]], int]] = {
    "a crop of one row of three": (
        [
            {"op": "conv", "name": "a", "kernel": 2},
            {"op": "crop", "name": "b", "from": "input", "like": "a", "odd": "front"},
            {"op": "conv", "name": "c", "kernel": 1, "stride": 3},
        ],
        14,
    ),
    "aligned corners that stay half a row apart": (
        [
            {"op": "convtranspose", "name": "a", "kernel": 1, "stride": 2},
            {"op": "resize", "name": "b", "from": "input", "like": "a", "mode": "linear", "align_corners": True},
        ],
        9,
    ),
}


@pytest.mark.parametrize("case", CROPPED)
def test_what_follows_another_layer_keeps_its_phase(case: str) -> None:
    steps, size = CROPPED[case]
    counts = padviz.usage(parse({"layers": steps}, "x"), size)
    pattern = naive.interior(steps, (size, size), [str(counts.target.layer)], counts.shares.period)
    assert to_ints(counts.shares.pattern).tolist() == pattern


@st.composite
def dividing(draw: Any) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """A network whose windows make a whole part of their rows, without pools that pad, and a size: (steps, size)."""
    size = draw(st.tuples(st.sampled_from([12, 24, 36]), st.sampled_from([12, 24, 36])))
    laid: list[dict[str, Any]] = []
    sizes = {"input": size}
    for i in range(draw(st.integers(1, 6))):
        name, source = f"l{i}", draw(st.sampled_from([*sizes][-3:]))
        height, width = sizes[source]
        strides = [s for s in (1, 2, 3) if height % s == 0 and width % s == 0]
        stride, op = (
            draw(st.sampled_from(strides)),
            draw(st.sampled_from(["conv", "conv", "conv", "pool", "up", "add"])),
        )
        same = [other for other in sizes if sizes[other] == sizes[source]]
        step: dict[str, Any] = {"op": op, "name": name, "from": source}
        if op == "conv":
            kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
            extent = dilation * (kernel - 1) + 1
            total = draw(st.integers(max(extent - stride, 0), extent - 1))
            before = draw(st.integers(0, total))
            if max(before, total - before) > min(height, width):
                continue
            step |= {"kernel": kernel, "stride": stride, "dilation": dilation}
            step |= {"padding": [[before, total - before]] * 2}
        elif op == "pool":
            step |= {"op": draw(st.sampled_from(["avgpool", "maxpool"])), "kernel": stride, "stride": stride}
        elif op == "up" and max(height, width) <= 36:
            step |= {"op": "resize", "scale": 2}
        else:
            step |= {"op": "add", "from": draw(st.lists(st.sampled_from(same), min_size=1, max_size=3))}
        laid.append(step)
        sizes = naive.all_reads(laid, size)[1]
    return laid or [{"op": "conv", "name": "c", "kernel": 3, "padding": 1}], size


@given(network=dividing())
@examples(40)
def test_under_circular_padding_every_share_is_one_where_every_size_divides(network: Any) -> None:
    steps, size = network
    counts = padviz.usage(parse({"layers": steps}, "ring"), size, "circular")
    share = counts.share()
    assert (share[~np.isnan(share)] == 1).all()
    found = counts.summary().share
    assert (found.starved, found.overused) == (0, 0)
    assert found.unused == np.isnan(share).mean()
    assert set(found.rings) <= {1}


def dense_shares(made: Any, size: tuple[int, int]) -> Any:
    """The shares from a walk through every position, none of which stands for another."""
    counts = padviz.usage(made, size)
    asked = request.prepare_request(made, size, None, None, "count", "auto")
    walked = to_ints(count_backward(asked.walk(size, "auto"), WHOLE).whole)
    pattern = to_ints(counts.shares.pattern)
    tiled = np.tile(pattern, [-(-n // each) for n, each in zip(size, counts.shares.period, strict=True)])
    with np.errstate(divide="ignore", invalid="ignore"):
        return walked / tiled[: size[0], : size[1]]


@given(network=networks(most=4))
@examples(15)
def test_shares_near_both_borders_are_those_of_any_image_one_period_larger(network: Any) -> None:
    steps, small = network
    made = parse({"layers": steps}, "random")
    try:
        period = padviz.usage(made, small).shares.period
        size = tuple(n + each * -(-150 // each) for n, each in zip(small, period, strict=True))
        counts = padviz.usage(made, size)
    except PadvizError:
        return
    here = dense_shares(made, size)
    there = dense_shares(made, tuple(n + each for n, each in zip(size, period, strict=True)))
    ends = [
        (slice(0, t.start + t.period), slice(t.start - t.n, None)) if t.copies else (slice(0),)
        for t in (counts.rows, counts.cols)
    ]
    for rows, cols in product(*ends):
        assert np.array_equal(here[rows, cols], there[rows, cols], equal_nan=True)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "unet_padded", "vgg19"])
def test_shares_near_both_borders_are_those_of_an_image_one_period_larger(name: str) -> None:
    counts = padviz.usage(name, 700)
    period = counts.shares.period[0]
    larger = padviz.usage(name, 700 + period)
    assert counts.tiled
    here, there = counts.share(), larger.share()
    assert (here[:64, :64] == there[:64, :64]).all()
    assert (here[-64:, -64:] == there[-64:, -64:]).all()
    assert (here[:64, -64:] == there[:64, -64:]).all()


@pytest.mark.parametrize("name", every_third(zoo()))
def test_the_whole_zoo_has_shares_which_are_starved_below_half_and_overused_above_three_halves(name: str) -> None:
    for size, scheme in product((224, 225, (193, 256)), (None, *SCHEMES, "zero/partial", "partial/reflect")):
        try:
            counts = padviz.usage(name, size, scheme)
        except PadvizError:
            continue  # it cannot run so
        share = counts.summary().share
        assert share is not None, counts.share_reason
        assert 0 <= share.starved + share.overused + share.unused <= 1
        assert 0 <= share.least <= share.most
        assert max(share.rings) <= share.most
        noise = NOISE if counts.tally.dtype.kind == "f" else 0
        assert (share.starved > 0) == (share.least < (1 - noise) / 2), (size, scheme)
        assert (share.overused > 0) == (share.most > (1 + noise) * 3 / 2), (size, scheme)
        if scheme is None or (scheme == "replicate" and size == 225):
            assert_interior(counts)


def assert_interior(counts: Any) -> None:
    """The interior is a period in the middle of a far larger map, and so is the one before it."""
    height, width = counts.shares.period
    large = (counts.size[0] + 40 * height * width, counts.size[1] + 40 * height * width)
    down, across = (n // 2 // each * each for n, each in zip(large, (height, width), strict=True))
    larger = padviz.usage(counts.network, large, counts.padding)
    found = larger.counts_at(range(down - height, down + height), range(across - width, across + width))
    assert alike(found, np.tile(pattern_of(counts), (2, 2)))


NONE = {
    "single units": ([{"op": "conv", "name": "a", "kernel": 3}], {"unit": (0, 0)}, "single|only usage by all units"),
    "adaptive pooling": ([{"op": "adaptive", "name": "a", "output": 3}], {}, "x, a: its adaptive pooling makes"),
    "a built-in size": ([{"op": "resize", "name": "r", "size": 8}], {}, "x, r: it does not move along with the image"),
    "a crop to a part of the image": (
        [
            {"op": "conv", "name": "a", "kernel": 2, "stride": 2},
            {"op": "crop", "name": "part", "from": "input", "like": "a"},
        ],
        {},
        "x, part: it does not move along with the image",
    ),
    "zeros around, as many as the image has rows": (
        [
            {"op": "conv", "name": "a", "kernel": 2, "stride": 2},
            {"op": "crop", "name": "wide", "like": "input"},
        ],
        {},
        "x, wide: it does not move along with the image",
    ),
    "rates that differ": (
        [
            {"op": "conv", "name": "a", "stride": 2, "kernel": 2},
            {"op": "resize", "name": "r", "size": 8},
            {"op": "conv", "name": "s", "stride": 2, "from": "input", "kernel": 2},
            {"op": "add", "name": "t", "from": ["r", "s"]},
        ],
        {},
        "x: its branches advance at different rates",
    ),
}


@pytest.mark.parametrize("case", NONE)
def test_where_no_pattern_repeats_there_is_no_share_and_a_reason(case: str) -> None:
    layers, options, says = NONE[case]
    counts = padviz.usage(parse({"layers": layers}, "x"), 16, **options)
    summary = counts.summary()
    assert summary.share is None
    assert summary.share_reason is not None
    with pytest.raises(NoInterior, match=says):
        counts.share()


def test_each_axis_has_the_phase_of_its_own_size() -> None:
    layers = [{"op": "conv", "name": "a", "kernel": 3, "stride": 2, "padding": "same_upper"}]
    assert pattern_of(padviz.usage(parse({"layers": layers}, "x"), (8, 9))).tolist() == [[2, 4], [1, 2]]


@pytest.mark.parametrize(("period", "says"), [(4096, None), (4097, "x: it repeats every 4097 pixels only")])
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
    assert (found.unused, found.starved, found.least, found.most) == (16 / 25, 0, 1, 1)
    means = counts.share((2, 2))
    assert (means == 1).all()


def test_comparisons_are_exact_where_floats_would_round() -> None:
    """Counts of more than 53 bits, one less than half of the interior's and one more than one and a half of it."""
    counts = padviz.usage("resnet152", 352)
    pattern = to_ints(counts.shares.pattern)
    period = counts.shares.period[0]
    exact = counts.counts
    tiled = np.tile(pattern, (-(-352 // period),) * 2)[:352, :352]
    found = counts.summary().share
    assert found.starved == (2 * exact < tiled).sum() / exact.size
    assert found.overused == (2 * exact > 3 * tiled).sum() / exact.size


def test_only_shares_next_to_a_threshold_are_compared_in_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counted(counts: Any, others: Any) -> Any:
        compared.append(np.size(counts))
        return less(counts, others)

    monkeypatch.setattr("padviz.counting.shares.fair_share.less", counted)
    counts = padviz.usage("resnet50", (224, 256))
    assert counts.shares.figures.starved > 0
    assert sum(compared) < counts.core.part().size / 100


def test_rings_and_skew_are_those_of_the_whole_map() -> None:
    counts = padviz.usage("resnet50", (512, 700))
    values = counts.share()
    found = counts.summary().share
    away = np.minimum.outer(np.minimum(np.arange(512), np.arange(512)[::-1]), [10**6] * 700)
    away = np.minimum(away, np.minimum(np.arange(700), np.arange(700)[::-1])[None]) // 32
    assert found.rings == pytest.approx([values[away == ring].mean() for ring in range(8)], rel=1e-9)
    assert found.skew.height == pytest.approx((values[256:].sum() - values[:256].sum()) / values.sum(), abs=1e-12)
    assert found.skew.width == pytest.approx((values[:, 350:].sum() - values[:, :350].sum()) / values.sum(), abs=1e-12)


def test_shares_of_a_core_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in ((512, 544), (600, 600)):
        whole = padviz.usage("resnet18", size).summary().share
        with monkeypatch.context() as patch:
            patch.setattr("padviz.engine.core.AT_ONCE", 3000)
            found = padviz.usage("resnet18", size).summary().share
            assert found.rings == pytest.approx(whole.rings, rel=1e-12)  # sums of floats, in another order
            assert msgspec.structs.replace(found, rings=whole.rings) == whole


def test_the_request_knows_what_was_walked() -> None:
    counts = padviz.usage("vgg11", 64, "reflect")
    asked = request.prepare_request(padviz.load("vgg11"), 64, "reflect", None, "count", "auto")
    assert counts.walked.layers == asked.walked.layers
    assert isinstance(counts.shares, Shares)
