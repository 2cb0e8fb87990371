"""Networks of one axis and of three, against gradients of the networks themselves."""

from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import padviz
from padviz.cutting.chunks import chunks_of
from padviz.errors import PadvizError
from padviz.geometry.receptive_fields import around_units, fields_of_units
from padviz.network.operations import Window
from padviz.network.sizes import layer_rows
from tests.signals import SIGNALS, VOLUMES, Demucs, Tcn, positive

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
    middle = [np.flatnonzero(seen(module, channels, (4 * size,), (2 * units + i,))) for i in range(8)]
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
    verified = padviz.verify_tiles(positive(make), sizes[0])
    assert verified.holds
    assert verified.precision == "float64"
    assert verified.tiles == 3 ** len(verified.image)
    assert all(difference > 100 * verified.difference for difference in verified.one_less.values())


@pytest.mark.filterwarnings("ignore")
def test_a_recurrence_that_runs_one_way_is_refused(tmp_path: Path) -> None:
    module = Demucs(recurrent=True)
    torch.onnx.export(module, (torch.rand(1, 1, 128),), path := tmp_path / "net.onnx", dynamo=False)
    for source in (module, path):
        with pytest.raises(PadvizError, match="sees only what comes before each position"):
            padviz.usage(source, 128)


def test_a_chunk_is_whole_steps_and_of_a_signal() -> None:
    with pytest.raises(PadvizError, match=r"100 input samples are not a multiple of 8.*use `chunk` 96"):
        chunks_of(padviz.load(SIGNALS["codec's encoder"][0](), 160), 100)
    assert chunks_of(padviz.load(Tcn(), 100), 7).look_ahead == 0


def test_fields_say_what_a_unit_sees_around_its_samples() -> None:
    for name, (make, channels, sizes) in SIGNALS.items():
        module, size = positive(make), 4 * sizes[0]
        around = around_units(padviz.load(module, size), (size,))[-1]
        units = module(torch.rand(1, channels, size, dtype=torch.double)).shape[-1]
        stride = padviz.fields(module, size)[-1].length.stride
        assert around is not None
        assert stride is not None
        first, period = units // 2 // 16 * 16, 16 if stride <= 1 else 1
        sees = [np.flatnonzero(seen(module, channels, (size,), (first + i,))) for i in range(period)]
        before = max(int((first + i) * stride) - rows[0] for i, rows in enumerate(sees))
        after = max(rows[-1] - ceil((first + i + 1) * stride) + 1 for i, rows in enumerate(sees))
        assert (name, around) == (name, (before, after))


@of_signals
def test_files_of_signals_are_what_their_modules_are(tmp_path: Path, make, channels, sizes) -> None:
    path, module = tmp_path / "net.onnx", make().eval()
    open_axes = {"x": {2: "length"}}
    signal = torch.zeros(1, channels, sizes[0])
    torch.onnx.export(module, (signal,), path, dynamo=False, input_names=["x"], dynamic_axes=open_axes)
    network = padviz.load(path, sizes[0])
    assert (network.axes, network.declared) == (("length",), (0,))
    own, its = (padviz.usage(one, sizes[1]) for one in (module, network))
    np.testing.assert_array_equal(own.counts > 0, its.counts > 0)
    assert own.target.shape == its.target.shape
    own, its = (padviz.chunks(one, 320, 1280) for one in (module, network))
    assert replace(own, heads=()) == replace(its, heads=())
    assert own.heads[0][1:] == its.heads[0][1:]


@of_volumes
def test_files_of_volumes_are_what_their_modules_are(tmp_path: Path, make, channels, sizes) -> None:
    path, module = tmp_path / "net.onnx", make().eval()
    torch.onnx.export(module, (torch.zeros(1, channels, *sizes[0]),), path, dynamo=False, input_names=["x"])
    network = padviz.load(path)
    assert (network.axes, network.size, network.declared) == (("depth", "height", "width"), sizes[0], sizes[0])
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
