"""The ledger, even sizes, taps, fields, coverage and one layer, against brute force and published figures."""

import tomllib
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padviz
from padviz.counting.count import coverage
from padviz.errors import SizeError
from padviz.figures.windows.padding import kernels
from padviz.geometry.balance.balanced_sizes import nearest_balanced, reads_odd
from padviz.geometry.ledger import AxisPadding, axis_padding, tap_reads
from padviz.geometry.one_layer import illustrate
from padviz.network.operations import Window, placement
from padviz.network.padding_modes import SCHEMES
from padviz.network.rewrites import with_same
from padviz.sources.toml.load import parse, zoo
from padviz.sources.toml.write import to_toml
from tests import naive
from tests.figures.kinds import clipped
from tests.strategies import networks
from tests.sweeps import ALIKE, sampled

CONV = {"op": "conv", "kernel": 3, "padding": 1}
SIZES = [(64, 64), (65, 97), (96, 130), (224, 224), (225, 225), (299, 301)]
SIZES += [(n, 600 - n) for n in range(300, 308)]
RANGE = range(64, 225)


@cache
def steps_of(name: str) -> list[dict[str, Any]]:
    """A network of the zoo as the steps that the naive twin reads, without blocks and branches."""
    return tomllib.loads(to_toml(padviz.load(name)))["layers"]  # type: ignore[no-any-return]


@cache
def brute(name: str, axis: int, n: int) -> Any:
    """The naive ledger, or None where the network does not run."""
    try:
        return naive.ledger(steps_of(name), axis, n)
    except AssertionError:
        return None


def figures(row: AxisPadding) -> tuple[Any, ...]:
    return row.input, row.output, row.used, row.remainder, row.skipped, row.overhang


@pytest.mark.parametrize("name", sampled(zoo(), "", ALIKE))
def test_the_ledger_is_the_brute_force_ledger(name: str) -> None:
    for size in SIZES:
        expected = [brute(name, axis, n) for axis, n in enumerate(size)]
        if None in expected:
            with pytest.raises(SizeError):
                padviz.uneven(name, size)
            continue
        found = padviz.uneven(name, size)
        for row in found.layers:
            assert figures(row.height) == expected[0][row.layer]
            assert figures(row.width) == expected[1][row.layer]
        listed = {row.layer for row in found.layers}
        for axis in expected:  # what is not listed neither pads nor strides
            for layer, (_, _, used, _, skipped, overhang) in axis.items():
                assert layer in listed or (used, skipped, overhang) == ((0, 0), 0, 0)
        assert found.balanced == all(naive.is_even(rows) for rows in expected)


windows = st.builds(
    Window,
    kernel=st.integers(1, 5),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 3),
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    ceil=st.booleans(),
)


@given(window=windows, n=st.integers(1, 40))
def test_windows_of_every_shape(window: Window, n: int) -> None:
    """Gaps from dilation, strides beyond the kernel, padding beyond both, ceil rounding."""
    shape = window.kernel, window.stride, window.dilation
    try:
        expected = naive.ledger_of_window(n, *shape, window.padding, window.ceil)
    except AssertionError:
        with pytest.raises(SizeError):
            axis_padding(window, n)
        return
    assert figures(axis_padding(window, n)) == expected
    assert axis_padding(window, n).uneven == (expected[2][0] != expected[2][1] + expected[5])
    outputs = naive.window_reads(n, *shape, window.padding, "zero", window.ceil)
    reads = [sum(taps[tap] is not None for taps in outputs) for tap in range(window.kernel)]
    assert tap_reads(window, n) == reads


@pytest.mark.parametrize("name", sampled(zoo(), "", ALIKE))
def test_a_map_mirrors_exactly_where_nothing_is_uneven_and_nothing_dropped(name: str) -> None:
    for n in (224, 225, 257, 300):
        if brute(name, 0, n) is None:
            continue
        found, counts = padviz.uneven(name, n), padviz.usage(name, n)
        rows = [row for row in found.layers if row.layer in counts.network.index]
        for axis in ("height", "width"):
            mirrors = not any(
                getattr(row, axis).uneven or getattr(row, axis).remainder for row in rows
            )
            assert (getattr(counts.summary().asymmetry, axis) == 0) == mirrors, (name, n, axis)


@pytest.mark.parametrize(
    "name",
    sampled(
        sorted({*zoo()} - {"ssd300_vgg16"}), "", f"{ALIKE} deeplabv3_resnet50 densenet121 unet"
    ),
)
def test_balanced_sizes_are_the_brute_force_ones(name: str) -> None:
    even, strict = {}, {}
    for axis, word in enumerate(("height", "width")):
        runs = {n: brute(name, axis, n) for n in RANGE}
        even[word] = [n for n, rows in runs.items() if rows is not None and naive.is_even(rows)]
        strict[word] = [n for n in even[word] if not any(row[3] for row in runs[n].values())]
    found = padviz.sizes(name, RANGE)
    for axis in ("height", "width"):
        along = found.axes[axis]
        assert list(along.balanced.sizes) == even[axis]
        assert list(along.no_remainder.sizes) == strict[axis]
        for kind in (along.balanced, along.no_remainder):
            if kind.rule:
                assert [n for n in RANGE if obeys(kind.rule, n)] == list(kind.sizes)


def obeys(rule: str, n: int) -> bool:
    text, _, start = rule.partition(", from ")
    if start and n < int(start):
        return False
    if text == "every size":
        return True
    for part in text.split(" or "):
        period, _, rest = part.partition("*i")
        if n % int(period) == int(rest.removeprefix(" + ") or 0):
            return True
    return False


@given(window=windows, stride=st.integers(1, 4))
def test_balanced_sizes_of_every_shape(window: Window, stride: int) -> None:
    pads = list(window.padding)
    shape = {"kernel": window.kernel, "stride": window.stride, "dilation": window.dilation}
    steps = [
        {"op": "conv", "name": "first", "kernel": 3, "stride": stride, "padding": 1},
        {"op": "maxpool", "name": "w", **shape, "padding": [pads, pads], "ceil": window.ceil},
    ]
    expected = []
    for n in range(1, 61):
        with suppress(AssertionError):
            expected += [n] if naive.is_even(naive.ledger(steps, 0, n)) else []
    assert (
        list(padviz.sizes(parse({"layers": steps}, "shape"), "1:60").height.balanced.sizes)
        == expected
    )


def test_sizes_at_which_branches_disagree_are_not_even() -> None:
    down, up = (
        {"op": "maxpool", "name": "down", "kernel": 2},
        {"op": "resize", "name": "up", "scale": 2},
    )
    network = parse(
        {"layers": [down, up, {"op": "add", "name": "sum", "from": ["up", "input"]}]}, "hourglass"
    )
    found = padviz.sizes(network, "2:20").height
    for kind in (found.accepted, found.balanced):
        assert (kind.sizes, kind.rule) == (tuple(range(2, 21, 2)), "2*i")


def test_rules() -> None:
    assert padviz.sizes("resnet50").height.balanced.rule == "32*i + 1"
    vgg = padviz.sizes("vgg19").height
    assert (vgg.balanced.rule, vgg.no_remainder.rule) == ("every size", "32*i")
    assert padviz.sizes("inception_v3").height.accepted.rule == "every size, from 75"
    with pytest.raises(padviz.PadvizError, match="size"):
        padviz.sizes("vgg19", range(1, 10**7))


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet50", "unet_padded"])
def test_suggestions_drop_nothing_first_and_stay_near(name: str) -> None:
    """Against the brute force: the nearest size of the best class, from half to twice the size while any is even."""
    network = padviz.load(name)
    for n in (65, 100):
        rows = {each: brute(name, 0, each) for each in range(n // 2, 2 * n + 1)}
        even = [
            each
            for each, found in rows.items()
            if found is not None and naive.is_even(found) and n <= 2 * each
        ]
        whole = [each for each in even if not any(row[3] for row in rows[each].values())]
        if rows[n] is None or {*even} <= {n}:
            continue
        for found, side in zip(
            nearest_balanced(network, (n, n)), (range(1, n), range(n + 1, 2 * n + 1)), strict=True
        ):
            best = [each for each in whole if each in side] or [
                each for each in even if each in side
            ]
            if not best:
                assert found is None
                continue
            assert found is not None
            assert found.size == (min(best, key=lambda each: abs(each - n)),) * 2
            assert found.remainder == (found.size[0] not in whole)
            assert padviz.uneven(network, found.size).balanced
            assert bool(padviz.uneven(network, found.size).remainders) == found.remainder


REST = [  # of which each balanced size leaves rows unread
    {"op": "conv", "name": "c", "kernel": 3, "stride": 2, "padding": 1},
    {"op": "resize", "name": "up", "scale": 2},
    {"op": "crop", "name": "cut", "padding": [[0, 1], [0, 1]]},
    {"op": "maxpool", "name": "p", "kernel": 2},
]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("resnet18", (224, 224), [(193, 193), (225, 225)]),
        ("resnet18", (225, 225), [(193, 193), (257, 257)]),
        ("resnet18", (224, 257), [(193, 257), (225, 257)]),
        ("resnet18", (300, 200), [(289, 193), (321, 225)]),
        ("rest", (8, 8), [(7, 7), (9, 9)]),
        ("rest", (9, 9), [(7, 7), (11, 11)]),
        ("rest", (9, 8), [(9, 7), (9, 9)]),
    ],
)
def test_an_axis_that_is_balanced_stays_unless_both_are(
    name: str, size: Any, expected: list[Any]
) -> None:
    network = parse({"layers": REST}, name) if name == "rest" else padviz.load(name)
    below, above = nearest_balanced(network, size)
    assert below is not None
    assert above is not None
    assert [below.size, above.size] == expected
    assert below.remainder == above.remainder == (name == "rest")
    assert name == "rest" or below.work < 1 < above.work


@given(window=windows, n=st.integers(1, 40))
def test_what_reads_an_odd_number_of_padded_rows_cannot_be_even(window: Window, n: int) -> None:
    """The parity that a reason stands on: whatever the pads, with as many units it is uneven."""
    if not reads_odd(window, np.array([n]))[0] or placement(window, n).n_out < 1:
        return
    assert axis_padding(window, n).uneven
    m, total = placement(window, n).n_out, sum(window.padding)
    for before in range(total + 4):
        for after in range(total + 4):
            other = replace(window, padding=(before, after), ceil=False)
            if placement(other, n).n_out == m:
                assert axis_padding(other, n).uneven


@pytest.mark.parametrize("name", sampled(zoo(), "", ALIKE))
def test_taps_sum_to_the_reads_and_lean_where_uneven(name: str) -> None:
    for size in ((300, 300), (321, 352)):
        expected = [brute(name, axis, n) for axis, n in enumerate(size)]
        if None in expected:
            continue
        uneven = {row.layer for row in padviz.uneven(name, size).uneven}
        by_name = {step["name"]: step for step in steps_of(name)}
        for row in padviz.taps(name, size):
            figures = [axis[row.layer] for axis in expected]
            units = [
                naive.reads(by_name[row.layer], axis, figure[0])
                for axis, figure in enumerate(figures)
            ]
            reads = [sum(read is not None for unit in each for read, _ in unit) for each in units]
            assert row.grid.sum() == reads[0] * reads[1]
            assert row.units == figures[0][1] * figures[1][1]
            mirrors = bool((row.grid == row.grid[::-1, ::-1]).all())
            assert row.uneven == (row.layer in uneven)
            assert mirrors != row.uneven or row.grid.size == 1
            assert any(row.imbalance.values()) == (not mirrors)


@pytest.mark.parametrize(
    ("name", "size", "stride", "padding"),
    [
        ("vgg16", 212, 32, 90),
        ("vgg19", 268, 32, 118),
        ("resnet50", 427, 32, 213),
        ("inception_v3", 1311, 32, 618),
    ],
)
def test_published_fields(name: str, size: int, stride: int, padding: int) -> None:
    last = padviz.fields(name)[-1]
    assert (last.height.size, last.height.stride, last.height.padding) == (size, stride, padding)
    assert last.height == last.width
    assert last.parts_at is None


def test_where_branches_part() -> None:
    def last(*layers: dict[str, Any]) -> Any:
        both = [
            {"op": "conv", "name": name, "from": "input", **each}
            for name, each in zip("ab", layers, strict=True)
        ]
        both += [
            {"op": "add", "name": "sum", "from": ["a", "b"]},
            {"op": "conv", "name": "after", "kernel": 3},
        ]
        return padviz.fields(parse({"layers": both}, "branches"), 10)[-1]

    def of(pad: list[int]) -> dict[str, Any]:
        return {"kernel": 3, "padding": [pad, pad]}

    same, apart = last(of([1, 1]), of([1, 1])), last(of([2, 0]), of([0, 2]))
    assert (same.height.size, same.height.padding, same.height.centre, same.parts_at) == (
        5,
        1,
        1,
        None,
    )
    assert (apart.height.size, apart.height.padding, apart.height.centre, apart.parts_at) == (
        7,
        None,
        None,
        "sum",
    )
    odd = last({"kernel": 2, "stride": 2}, {"kernel": 6})
    assert (odd.height.stride, odd.parts_at) == (None, "sum")


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@given(network=networks())
def test_coverage_is_the_naive_coverage(engine: str, network: Any) -> None:
    steps, size = network
    net = parse({"layers": steps}, "random")
    found = padviz.coverage(net, size, engine=engine)
    assert found.counts.tolist() == naive.coverage(steps, size, net.targets[0])
    assert found.full is not None
    assert found.max <= found.full


def test_coverage_of_several_layers_has_a_map_of_each() -> None:
    net = padviz.load("ssd300_vgg16")
    found = padviz.coverage(net, 300)
    assert [counts.target.layer for counts in found] == [*net.targets]
    with pytest.raises(
        padviz.PadvizError, match=r"several target layers: backbone.features.21, .* name one layer"
    ):
        coverage(net, 300)


def test_coverage_of_a_deep_network_is_exact() -> None:
    found = padviz.coverage("resnet152", (64, 33))
    assert found.counts.tolist() == naive.coverage(
        steps_of("resnet152"), (64, 33), found.network.targets[0]
    )
    assert isinstance(found.full, int)
    assert found.full.bit_length() > 64
    assert found.share().max() <= 1
    assert found.share()[0, 0] == pytest.approx(found.counts[0, 0] / found.full)


def test_no_share_is_lost_where_padding_copies() -> None:
    for padding in ("symmetric", "circular", "reflect", "valid"):
        found = padviz.coverage("vgg11", 224, padding=padding)
        assert found.min == found.max == found.full
    assert padviz.coverage("vgg11", 96, padding="partial").share().min() == pytest.approx(1)
    assert padviz.coverage("vgg11", 96, pooling="mean").share().min() < 0.8
    with pytest.raises(
        padviz.PadvizError, match="only usage by all units of a layer has fair shares"
    ):
        padviz.usage("vgg11", 96, unit=(0, 0)).share()


def test_a_pad_of_its_own_counts_as_the_padding_of_the_window_after_it() -> None:
    """Keras writes a strided SAME convolution as a pad on the far side and a valid convolution."""
    pad = {"op": "pad", "name": "pad", "padding": [[0, 1], [0, 1]]}
    strided, last = {"op": "conv", "name": "c", "kernel": 3, "stride": 2}, {**CONV, "name": "d"}
    apart = parse({"layers": [pad, strided, last]}, "keras")
    whole = parse({"layers": [{**strided, "padding": pad["padding"]}, last]}, "keras")
    assert padviz.uneven(apart, 8) == padviz.uneven(whole, 8)
    assert [row.layer for row in padviz.uneven(apart, 8).uneven] == ["c"]
    assert padviz.sizes(apart, "8:40").height == padviz.sizes(whole, "8:40").height
    assert [row.grid.tolist() for row in padviz.taps(apart, 8)] == [
        row.grid.tolist() for row in padviz.taps(whole, 8)
    ]
    for scheme in (None, "reflect", "partial", "valid", "full"):
        assert (
            padviz.usage(apart, 8, scheme).counts == padviz.usage(whole, 8, scheme).counts
        ).all()
    crop, both = (
        {"op": "crop", "name": "e", "from": "pad", "like": "d"},
        {"op": "add", "name": "s", "from": ["d", "e"]},
    )
    shared = parse({"layers": [pad, strided, last, crop, both]}, "shared")
    # though the pad is not the window's alone
    assert [row.layer for row in padviz.uneven(shared, 8).uneven] == ["c"]
    assert padviz.usage(shared, 8).target.shape == [4, 4]


def test_same_puts_the_odd_row_on_the_far_side() -> None:
    net = padviz.load("mobilenet_v1")
    near, far = padviz.uneven(net, 224).uneven, padviz.uneven(with_same(net), 224).uneven
    assert [row.layer for row in near] == [row.layer for row in far]
    assert ({row.height.used for row in near}, {row.height.used for row in far}) == (
        {(1, 0)},
        {(0, 1)},
    )
    assert padviz.uneven(with_same(net), 225).balanced
    valid = padviz.load("inception_v3")
    assert with_same(valid).find("Conv2d_1a_3x3.conv").ops == valid.find("Conv2d_1a_3x3.conv").ops


SHAPES = [(3, 1, 1), (5, 1, 1), (3, 1, 2), (4, 2, 1)]  # kernel, stride, dilation


def step(kernel: int, stride: int, dilation: int, scheme: str) -> dict[str, Any]:
    extent = dilation * (kernel - 1)
    pads = {"valid": [0, 0], "full": [extent, extent]}.get(
        scheme, [extent // 2, extent - extent // 2]
    )
    mode: Any = "zero" if scheme in ("valid", "full") else scheme
    if "/" in scheme:
        both = [step(kernel, stride, dilation, each) for each in scheme.split("/")]
        pads, mode = [each["padding"][0] for each in both], [each["mode"] for each in both]
        return both[0] | {"padding": pads, "mode": mode}
    shape = {"kernel": kernel, "stride": stride, "dilation": dilation}
    return {"op": "conv", "name": "c", **shape, "padding": [pads, pads], "mode": mode}


@pytest.mark.parametrize(
    "scheme", [*SCHEMES, "zero/circular", "full/reflect", "partial/valid", "symmetric/partial"]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_tables_are_the_naive_ones(shape: tuple[int, int, int], scheme: str) -> None:
    shown = illustrate(*shape, (7, 7), scheme)
    layer = step(*shape, scheme)
    assert shown.uses == naive.usage([layer], (7, 7), ["c"])
    both, _ = naive.all_reads([layer], (7, 7))
    for row, col in ((0, 0), (0, 3), (2, 1), (6, 6)):
        expected = [[Fraction(0)] * shape[0] for _ in range(shape[0])]
        for rows in both["c"][0]:
            for cols in both["c"][1]:
                weight = Fraction(1)
                for taps, each in zip((rows, cols), f"{scheme}/{scheme}".split("/"), strict=False):
                    hits = sum(at is not None for at, _ in taps)
                    weight *= Fraction(shape[0], hits) if each == "partial" and hits else 1
                for i, (at_row, _) in enumerate(rows):
                    for j, (at_col, _) in enumerate(cols):
                        expected[i][j] += weight * ((at_row, at_col) == (row, col))
        assert shown.taps(row, col) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_letters_are_what_the_naive_twin_pads(scheme: str) -> None:
    letters = np.array(list(ascii_lowercase + "ABCD")).reshape(5, 6)
    pad, mode = {"valid": (0, "zero"), "full": (4, "zero")}.get(scheme, (2, scheme))
    for axis in (0, 1):
        letters = naive.padded(letters, axis, (pad, pad), mode, "·")
    assert illustrate(5, 1, 1, (5, 6), scheme).padded == letters.tolist()


def test_a_picture_has_the_tables() -> None:
    shown = [illustrate(5, 1, 1, (7, 6), scheme) for scheme in ("reflect", "partial")]
    figure = kernels(shown, (0, 0))
    assert not clipped(figure)
    assert len(figure.axes) == 6
    assert [text.get_text() for text in figure.axes[1].texts] == [
        str(n) for row in shown[0].uses for n in row
    ]
    # numbers, where there are too few letters
    assert illustrate(3, 1, 1, (9, 9), "zero").padded[1][1] == "0"


def test_rows_that_are_removed_are_no_padding_of_the_window_behind() -> None:
    first = {"op": "conv", "name": "a", "kernel": 3, "padding": 1}
    less = {"op": "pad", "name": "p", "padding": [[-1, -2], [0, 0]]}
    last = {"op": "conv", "name": "b", "kernel": 3, "padding": 1}
    net = parse({"layers": [first, less, last]}, "pads")
    assert padviz.uneven(net, 16).layers[-1].axes["height"].reads == (1, 1)
    assert np.array_equal(padviz.usage(net, 16).counts, padviz.usage(net, 16, "zero").counts)
