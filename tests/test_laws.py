"""Laws that hold for every network, tried on random ones."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

import padviz
from padviz.engine.apply import apply
from padviz.engine.axis_map import AxisMap
from padviz.errors import SizeError
from padviz.network.axis_maps import axis_map
from padviz.network.operations import Op, Transposed, Window
from padviz.network.padding_modes import COPYING, MODES, SCHEMES, fits
from padviz.network.reads import rows_read
from padviz.network.resize import GRIDS, ROUNDINGS, Resize
from padviz.sources.toml.load import parse
from tests import naive
from tests.strategies import networks
from tests.sweeps import examples

ENGINES = ["numpy", "numba"]
PADS = st.tuples(st.integers(0, 4), st.integers(0, 4))
RULES = st.sampled_from(["same", "same_upper", "same_lower"])
EXACT = [mode for mode in MODES if mode != "partial"]


def dense(made: AxisMap) -> NDArray[Any]:
    """An axis map as a matrix."""
    matrix: NDArray[Any] = np.zeros(
        (made.n_out, made.n_in), dtype=np.int64 if made.exact else np.float64
    )
    for strip in made.strips:
        i = np.arange(strip.length)
        np.add.at(
            matrix, (strip.dst + i * strip.dst_step, strip.src + i * strip.src_step), strip.weight
        )
    return matrix


@st.composite
def laid(
    draw: Any, paddings: Any = PADS | RULES, ceils: Sequence[bool] = (False, True)
) -> tuple[Window, int]:
    """A window whose counts are integers, and a number of rows that it fits on."""
    sides = {
        "kernel": st.integers(1, 5),
        "stride": st.integers(1, 4),
        "dilation": st.integers(1, 3),
    }
    modes = st.sampled_from(EXACT)
    window: Window = draw(
        st.builds(Window, **sides, padding=paddings, mode=modes, ceil=st.sampled_from(ceils))
    )
    ruled = isinstance(window.padding, str)
    most = window.extent // 2 if ruled else max(window.padding)
    reached = 1 if ruled else window.extent - sum(window.padding)
    least = max(1, reached - (window.stride - 1 if window.ceil else 0))
    while not fits(window.mode, least, most):
        least += 1
    return window, draw(st.integers(least, least + 12))


@pytest.mark.parametrize("engine", ENGINES)
@given(network=networks())
def test_counts_are_the_naive_counts(engine: str, network: Any) -> None:
    steps, size = network
    net = parse({"layers": steps}, "random")
    found = padviz.usage(net, size, engine=engine)
    assert found.counts.dtype == np.int64
    assert found.counts.tolist() == naive.usage(steps, size, list(net.targets))


@given(network=networks(most=4))
@examples(10)
def test_counts_are_the_paths_followed_one_by_one(network: Any) -> None:
    steps, size = network
    net = parse({"layers": steps}, "random")
    found = padviz.usage(net, size)
    if found.total > 20_000:
        return
    ends = naive.every_path(steps, size, net.targets[0])
    assert found.counts.tolist() == [[ends[y, x] for x in range(size[1])] for y in range(size[0])]


@pytest.mark.parametrize("engine", ENGINES)
@given(network=networks(modes=["partial"]))
def test_rational_counts_are_the_naive_fractions(engine: str, network: Any) -> None:
    steps, size = network
    steps = (
        [step for step in steps if step["op"] != "pad"]
        if not any("from" in step for step in steps)
        else steps
    )
    net = parse({"layers": steps}, "random")
    found = padviz.usage(net, size, pooling="mean", engine=engine)
    expected = naive.usage(steps, size, list(net.targets), pooling="mean")
    np.testing.assert_allclose(
        found.counts, np.array(expected, dtype=np.float64), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("engine", ENGINES)
@given(data=st.data(), network=networks())
def test_units_add_up_to_the_whole_map(engine: str, data: Any, network: Any) -> None:
    steps, size = network
    net = parse({"layers": steps}, "random")
    rows, cols = padviz.usage(net, size).target.shape
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    one = padviz.usage(net, size, unit=(row, col), engine=engine)
    assert one.unit == [row, col]
    assert one.counts.tolist() == naive.usage(steps, size, list(net.targets), units=[(row, col)])
    boxes = [(slice(0, row), slice(None)), (slice(row, None), slice(None))]
    whole = sum(
        padviz.usage(net, size, unit=box).counts for box in boxes if range(*box[0].indices(rows))
    )
    assert (whole == padviz.usage(net, size).counts).all()


@given(pair=laid(), data=st.data())
def test_usage_is_the_adjoint_of_coverage(pair: tuple[Window, int], data: Any) -> None:
    window, n = pair
    made_map = axis_map(window, n)
    assert made_map.exact
    x = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n)), dtype=np.int64)
    m = made_map.n_out
    y = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=m, max_size=m)), dtype=np.int64)
    forward = apply(made_map, x.reshape(1, n, 1), 1)[0, :, 0]
    backward = apply(made_map.transposed, y.reshape(1, m, 1), 1)[0, :, 0]
    assert forward @ y == x @ backward
    assert (forward == dense(made_map) @ x).all()
    assert made_map.transposed.gain == dense(made_map).sum(axis=0).max(initial=0)


@pytest.mark.parametrize("axis", [1, 2])
def test_large_arrays_of_limbs_are_added_alike(axis: int) -> None:
    x = np.arange(3 * 300 * 310).reshape(3, 300, 310) ** 2
    for window in (Window(7, 2, padding=(3, 3)), Window(3, padding=(1, 1)), Window(2, 2)):
        made_map = axis_map(window, x.shape[axis])
        expected = np.moveaxis(np.tensordot(dense(made_map), x, (1, axis)), 0, axis)
        for engine in ENGINES:
            assert (apply(made_map, x, axis, engine=engine) == expected).all()
        back = np.moveaxis(np.tensordot(dense(made_map).T, expected, (1, axis)), 0, axis)
        assert (apply(made_map.transposed, expected, axis, engine="numpy") == back).all()


@given(pair=laid(paddings=PADS, ceils=[False]))
def test_a_window_reads_what_the_naive_twin_pads(pair: tuple[Window, int]) -> None:
    window, n = pair
    made_map = axis_map(window, n)
    values = np.arange(1, n + 1)
    padded = naive.padded(values, 0, window.padding, window.mode)
    starts = range(0, len(padded) - window.extent + 1, window.stride)
    assert (dense(made_map) @ values).tolist() == [
        padded[s : s + window.extent : window.dilation].sum() for s in starts
    ]


PERIODIC = st.one_of(
    st.builds(Window, st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), PADS),
    st.integers(1, 3).flatmap(
        lambda s: st.builds(Transposed, st.integers(s, 5), st.just(s), padding=PADS)
    ),
    st.builds(
        Resize,
        scale=st.fractions(Fraction(1, 3), 3, max_denominator=4),
        mode=st.sampled_from(["nearest", "linear", "cubic"]),
        grid=st.sampled_from(GRIDS),
        rounding=st.sampled_from(ROUNDINGS),
    ),
)


@given(op=PERIODIC, n=st.integers(24, 40))
def test_units_far_from_any_end_read_the_rows_of_their_place_in_the_period(op: Op, n: int) -> None:
    made = axis_map(op, n)
    around, advance = rows_read(op, n, made.n_out)
    for unit, reads in enumerate(dense(made)):
        turns, phase = divmod(unit, len(around))
        first, last = (row + turns * advance for row in around[phase])
        if first >= 0 and last < n:
            rows = np.flatnonzero(reads)
            assert (rows[0], rows[-1]) == (first, last)


@pytest.mark.parametrize("size", [17, 16, 99_999])
def test_a_resize_to_many_rows_is_laid_in_runs(size: int) -> None:
    """Where the ratio never repeats, neighbours run along: 17 rows spread to 100,000 are no 200,000 strips."""
    for op in (Resize(size=100_000), Resize(size=100_000, mode="linear")):
        assert len(axis_map(op, size).strips) < 26_000


@given(
    layers=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2)), min_size=1, max_size=4),
    mode=st.sampled_from(COPYING),
    size=st.integers(8, 20),
)
def test_folding_loses_nothing(layers: list[tuple[int, int]], mode: str, size: int) -> None:
    steps = [
        {
            "op": "conv",
            "name": f"c{i}",
            "kernel": k,
            "padding": [[(k - 1) // 2, k // 2]] * 2,
            "mode": mode,
            "stride": s,
        }
        for i, (k, s) in enumerate(layers)
    ]
    try:
        found = padviz.usage(parse({"layers": steps}, "folds"), size)
    except SizeError:
        return
    outputs = found.target.shape[0] * found.target.shape[1]
    taps = np.prod([k * k for k, _ in layers], dtype=object)
    assert found.total == taps * outputs


@given(
    kernels=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    size=st.tuples(st.integers(5, 15), st.integers(5, 15)),
)
def test_circular_padding_at_stride_one_is_flat(kernels: list[int], size: tuple[int, int]) -> None:
    steps = [
        {"op": "conv", "name": f"c{i}", "kernel": k, "padding": "same"}
        for i, k in enumerate(kernels)
    ]
    found = padviz.usage(parse({"layers": steps}, "circular"), size, padding="circular")
    assert found.min == found.max == np.prod(kernels) ** 2


@given(
    kernels=st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=5),
    mode=st.sampled_from(MODES),
    n=st.integers(6, 15),
)
def test_even_padding_mirrors(kernels: list[int], mode: str, n: int) -> None:
    steps = [
        {"op": "conv", "name": f"c{i}", "kernel": k, "padding": k // 2}
        for i, k in enumerate(kernels)
    ]
    found = padviz.usage(parse({"layers": steps}, "even"), n, padding=mode)
    summary = found.summary()
    assert summary.asymmetry.height <= 1e-12
    assert summary.asymmetry.width <= 1e-12
    assert abs(summary.skew.height) <= 1e-12


@pytest.mark.parametrize("engine", ENGINES)
@given(depth=st.integers(20, 40), kernel=st.sampled_from([3, 5, 7]), mode=st.sampled_from(EXACT))
@examples(8)
def test_deep_networks_stay_exact(engine: str, depth: int, kernel: int, mode: str) -> None:
    """Residual stacks far beyond 64 bits, in limbs, against Python ints."""
    steps: list[dict[str, Any]] = [
        {"op": "conv", "name": "s", "kernel": 3, "stride": 2, "padding": 1, "mode": mode}
    ]
    for i in range(depth):
        before = steps[-1]["name"]
        steps.append(
            {"op": "conv", "name": f"c{i}", "kernel": kernel, "padding": kernel // 2, "mode": mode}
        )
        steps.append({"op": "add", "name": f"a{i}", "from": [before, f"c{i}"]})
    size = (9, 8)
    found = padviz.usage(parse({"layers": steps}, "deep"), size, engine=engine)
    expected = naive.usage(steps, size, [steps[-1]["name"]])
    assert found.counts.tolist() == expected
    flat = [count for row in expected for count in row]
    assert (found.max, found.min, found.total) == (max(flat), min(flat), sum(flat))
    summary = found.summary()
    assert summary.marginalised == sum(2 * count < max(flat) for count in flat) / len(flat)
    mirrored = [count for row in reversed(expected) for count in row]
    assert summary.asymmetry.height == max(
        abs(a - b) for a, b in zip(flat, mirrored, strict=True)
    ) / max(flat)


def padded_by(step: dict[str, Any], *schemes: str) -> dict[str, Any]:
    """A step with the padding of a scheme on each axis, written out."""
    if step["op"] not in ("conv", "maxpool", "avgpool"):
        return step
    pads, modes = [], []
    for axis, scheme in enumerate(schemes):
        rule = step.get("padding", 0)
        own = rule if isinstance(rule, str) else naive.axis_of(rule, axis)
        extent = naive.axis_of(step.get("dilation", 1), axis) * (
            naive.axis_of(step["kernel"], axis) - 1
        )
        full = scheme == "full" and step["op"] == "conv"
        pads.append([0, 0] if scheme == "valid" else [extent, extent] if full else own)
        modes.append("zero" if scheme in ("valid", "full") else scheme)
    return step | {"padding": pads} | ({"mode": modes} if step["op"] == "conv" else {})


def needed(steps: list[dict[str, Any]], targets: tuple[str, ...]) -> list[dict[str, Any]]:
    """The steps that the targets depend on: others may not fit under another padding."""
    wanted = {*targets}
    for step, inputs in reversed(list(zip(steps, naive.sources(steps), strict=True))):
        if step["name"] in wanted:
            wanted |= {*inputs, step.get("like", "input")}
    return [step for step in steps if step["name"] in wanted]


@given(
    network=networks(modes=["zero"]),
    height=st.sampled_from([*SCHEMES]),
    width=st.sampled_from([*SCHEMES]),
)
def test_a_scheme_for_each_axis_is_the_naive_one(network: Any, height: str, width: str) -> None:
    steps, size = network
    assume(all(step["op"] != "pad" for step in steps))
    net = parse({"layers": steps}, "random")
    padded = [padded_by(step, height, width) for step in needed(steps, net.targets)]
    try:
        expected = naive.usage(padded, size, list(net.targets))
    except AssertionError:
        with pytest.raises(SizeError):
            padviz.usage(net, size, padding=f"{height}/{width}")
        return
    found = padviz.usage(net, size, padding=f"{height}/{width}")
    assert found.padding == (height if height == width else f"{height}/{width}")
    if "partial" in (height, width):
        np.testing.assert_allclose(
            found.counts, np.array(expected, dtype=np.float64), rtol=1e-12, atol=0
        )
    else:
        assert found.counts.tolist() == expected


@given(a=st.sampled_from(EXACT), b=st.sampled_from(EXACT))
@examples(10)
def test_a_chain_has_rows_as_under_one_scheme_and_columns_as_under_the_other(
    a: str, b: str
) -> None:
    """A chain's map is an outer product: crossed schemes times each other are the pure ones times each other."""
    first, second, crossed, across = (
        padviz.usage("vgg11", (64, 96), padding=each).counts.astype(object)
        for each in (a, b, f"{a}/{b}", f"{b}/{a}")
    )
    assert (crossed * across == first * second).all()
    assert (
        crossed[:, :1] * first[:1] == crossed[:1, :1] * first[:, :1] * first[:1] // first[:1, :1]
    ).all()
