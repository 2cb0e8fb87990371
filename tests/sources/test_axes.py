"""Networks of one axis and of three against their gradients; dimensions whose factors say what each place is of."""

from math import ceil, prod
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

import padviz
from padviz.errors import PadvizError
from padviz.geometry.receptive_fields import around_units, fields_of_units
from padviz.network.operations import Window
from padviz.network.sizes import layer_rows
from padviz.sources.tracing.dims import Axis, Channel, Dims, plain, reshape_dims, shape_of, whole
from tests.cutting.smallest_tiles import in_smallest_tiles
from tests.signals import SIGNALS, VOLUMES, Demucs, positive
from tests.sweeps import examples
from tests.torch_calls import to_onnx

of_signals = pytest.mark.parametrize(("make", "channels", "sizes"), SIGNALS.values(), ids=SIGNALS)
of_volumes = pytest.mark.parametrize(("make", "channels", "sizes"), VOLUMES.values(), ids=VOLUMES)


def seen(
    module: nn.Module, channels: int, size: tuple[int, ...], unit: tuple[int, ...] | None = None
) -> NDArray[np.bool_]:
    """Tell at which positions of the input a gradient of all outputs, or of one unit, is not 0."""
    image = torch.rand((1, channels, *size), dtype=torch.double, requires_grad=True)
    made = module(image)
    (made if unit is None else made[(..., *unit)]).sum().backward()
    assert image.grad is not None
    return (image.grad[0].abs().sum(0) > 0).numpy()


@of_signals
def test_paths_of_a_signal_are_where_gradients_are(make, channels, sizes) -> None:
    module = positive(make)
    for size in sizes:
        counts = padviz.usage(module, size)
        assert counts.network.axes == ("length",)
        np.testing.assert_array_equal(counts.counts[0] > 0, seen(module, channels, (size,)))
        units = module(torch.rand(1, channels, size, dtype=torch.double)).shape[-1]
        assert counts.target.shape == [1, units]
        for unit in {0, units // 2, units - 1}:
            alone = padviz.usage(module, size, unit=(unit,)).counts[0]
            np.testing.assert_array_equal(alone > 0, seen(module, channels, (size,), (unit,)))
    last = padviz.fields(module, size)[-1]
    middle = [
        np.flatnonzero(seen(module, channels, (4 * size,), (2 * units + i,))) for i in range(8)
    ]
    assert last.length.size == max(rows[-1] - rows[0] + 1 for rows in middle)


@of_volumes
def test_units_of_a_volume_see_what_gradients_see(make, channels, sizes) -> None:
    module = positive(make)
    for size in sizes:
        network = padviz.load(module, size)
        assert network.axes == ("depth", "height", "width")
        units = module(torch.rand((1, channels, *size), dtype=torch.double)).shape[2:]
        name = network.targets[0]
        assert layer_rows(network, size)[-1][-1] == [*units]
        boxes = fields_of_units(network, size, name)
        assert len(boxes) == 9
        places = {
            "centre": [n // 2 for n in units],
            "front top left": [0] * 3,
            "back bottom right": [n - 1 for n in units],
        }
        for place, unit in places.items():
            touched = seen(module, channels, size, tuple(unit)).nonzero()
            for (low, high), own, n in zip(boxes[place], touched, size, strict=True):
                assert (max(low, 0), min(high, n - 1)) == (own.min(), own.max())


@of_volumes
def test_tiles_of_three_axes_make_the_whole(make, channels, sizes) -> None:
    verified = in_smallest_tiles(positive(make), sizes[0])
    assert verified.holds
    assert verified.precision == "float64"
    assert len(verified.plan) == 3 ** len(sizes[0])
    assert all(difference > 100 * verified.difference for difference in verified.one_less.values())


def test_a_recurrence_that_runs_one_way_is_refused(tmp_path: Path) -> None:
    module = Demucs(recurrent=True)
    path = to_onnx(module, tmp_path / "net.onnx", torch.rand(1, 1, 128))
    for source in (module, path):
        with pytest.raises(PadvizError, match="sees only what comes before each position"):
            padviz.usage(source, 128)


def test_fields_say_what_a_unit_sees_around_its_samples() -> None:
    for name, (make, channels, sizes) in SIGNALS.items():
        module, size = positive(make), 4 * sizes[0]
        around = around_units(padviz.load(module, size), (size,))[-1]
        units = module(torch.rand(1, channels, size, dtype=torch.double)).shape[-1]
        stride = padviz.fields(module, size)[-1].length.stride
        assert around is not None
        assert stride is not None
        first, period = units // 2 // 16 * 16, 16 if stride <= 1 else 1
        sees = [
            np.flatnonzero(seen(module, channels, (size,), (first + i,))) for i in range(period)
        ]
        before = max(int((first + i) * stride) - rows[0] for i, rows in enumerate(sees))
        after = max(rows[-1] - ceil((first + i + 1) * stride) + 1 for i, rows in enumerate(sees))
        assert (name, around) == (name, (before, after))


@of_signals
def test_files_of_signals_are_what_their_modules_are(tmp_path: Path, make, channels, sizes) -> None:
    path, module = tmp_path / "net.onnx", make().eval()
    open_axes = {"x": {2: "length"}}
    signal = torch.zeros(1, channels, sizes[0])
    to_onnx(module, path, signal, input_names=["x"], dynamic_axes=open_axes)
    network = padviz.load(path, sizes[0])
    assert (network.axes, network.declared) == (("length",), (0,))
    own, its = (padviz.usage(one, sizes[1]) for one in (module, network))
    np.testing.assert_array_equal(own.counts > 0, its.counts > 0)
    assert own.target.shape == its.target.shape
    own, its = (padviz.stream(one, 48) for one in (padviz.load(module, sizes[0]), network))
    assert [head[2:] for head in own.heads] == [head[2:] for head in its.heads]
    assert (own.kept, own.lag) == (its.kept, its.lag)


@of_volumes
def test_files_of_volumes_are_what_their_modules_are(tmp_path: Path, make, channels, sizes) -> None:
    path, module = tmp_path / "net.onnx", make().eval()
    to_onnx(module, path, torch.zeros(1, channels, *sizes[0]), input_names=["x"])
    network = padviz.load(path)
    assert (network.axes, network.size, network.declared) == (
        ("depth", "height", "width"),
        sizes[0],
        sizes[0],
    )
    own, its = (padviz.fields(one, sizes[0])[-1] for one in (module, network))
    assert own.axes == its.axes
    assert padviz.costs(module, sizes[0]).macs == padviz.costs(network, sizes[0]).macs


def test_a_volume_may_have_its_channels_last(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 5, 6, 7, 3] x, float[2, 3, 3, 3, 3] w) => (float[] y) {
        t = Transpose <perm = [0, 4, 1, 2, 3]> (x)  y = Conv (t, w) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "last.onnx")
    network = padviz.load(tmp_path / "last.onnx")
    assert (network.size, network.layers[-1].ops) == ((5, 6, 7), (Window(3),) * 3)


SIZES = st.tuples(
    st.sampled_from([1, 2, 4, 6]), st.sampled_from([4, 6, 8, 12]), st.sampled_from([4, 6, 9])
)
Tensor = tuple[Dims, np.ndarray]  # with the channel, the row and the column of each place in front


def factors(n: int) -> list[int]:
    least = next((p for p in range(2, n + 1) if n % p == 0), 1)
    return [least, *factors(n // least)] if n > 1 else []


def shapes(dims: Dims) -> st.SearchStrategy[list[int]]:
    """Shapes that cut the sizes of dimensions between any of their prime factors."""
    parts = [each for n in shape_of(dims) for each in factors(n)]
    cuts = st.sets(st.integers(1, max(len(parts) - 1, 1))).map(sorted)
    return cuts.map(
        lambda at: [prod(parts[a:b]) for a, b in zip([0, *at], [*at, len(parts)], strict=True)]
    )


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """An image that was transposed, reshaped, and of whose channels some were picked, a few times."""
    channels, rows, cols = size = draw(SIZES)
    dims: Dims = (plain(1), plain(channels), whole("h", rows), whole("w", cols))
    places = np.indices((1, *size))[1:]
    for step in draw(st.lists(st.sampled_from(["transpose", "reshape", "slice"]), max_size=8)):
        if step == "transpose":
            order = draw(st.permutations(range(len(dims))))
            dims, places = (
                tuple(dims[i] for i in order),
                places.transpose(0, *(i + 1 for i in order)),
            )
        elif step == "reshape":
            shape = draw(shapes(dims))
            if made := reshape_dims(dims, shape):
                dims, places = made, places.reshape(3, *shape)
        elif of := [
            i
            for i, dim in enumerate(dims)
            if dim and all(isinstance(factor, Channel) for factor in dim)
        ]:
            at = draw(st.sampled_from(of))
            left = draw(st.integers(1, places.shape[at + 1]))
            dims = (*dims[:at], plain(left), *dims[at + 1 :])
            places = np.take(places, range(left), axis=at + 1)
    return dims, places


def rows_of(dims: Dims, role: str) -> np.ndarray:
    """The row (or column) that the factors say each place is of."""
    own = [factor for dim in dims for factor in dim]
    rows = np.zeros([factor.size for factor in own], dtype=int)
    for i, factor in enumerate(own):
        step = factor.step if isinstance(factor, Axis) and factor.role == role else 0
        rows += (
            np.arange(factor.size).reshape([-1 if i == j else 1 for j in range(len(own))]) * step
        )
    return rows.reshape(shape_of(dims))


@examples(40)
@given(tensors(), st.data())
def test_factors_say_which_row_and_column_each_place_is_of(
    tensor: Tensor, data: st.DataObject
) -> None:
    """And a reshape there and back leaves them as they are."""
    dims, (channel, *places) = tensor
    for role, expected in zip("hw", places, strict=True):
        np.testing.assert_array_equal(rows_of(dims, role), expected)
    for i, dim in enumerate(dims):
        changes = [np.ptp(of, axis=i).any() for of in (channel, *places)]
        named = {f.role if isinstance(f, Axis) else "c" for f in dim}
        assert {role for role, changed in zip("chw", changes, strict=True) if changed} <= named
    if there := reshape_dims(dims, data.draw(shapes(dims))):
        assert reshape_dims(there, shape_of(dims)) == dims
