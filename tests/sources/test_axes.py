"""Networks of one axis and of three, against gradients of the networks themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import padviz
from padviz.errors import PadvizError
from padviz.geometry.receptive_fields import fields_of_units
from padviz.network.listing import layer_rows
from tests.signals import SIGNALS, VOLUMES, CausalDecoder, Demucs, Tcn, positive

CASES = [(*case, size) for *case, sizes in SIGNALS.values() for size in sizes]
NAMES = [f"{name} {size}" for name, (*_, sizes) in SIGNALS.items() for size in sizes]


def seen(
    module: nn.Module, channels: int, size: tuple[int, ...], unit: tuple[int, ...] | None = None
) -> NDArray[np.bool_]:
    """Tell at which positions of the input a gradient of all outputs, or of one unit, is not 0."""
    image = torch.rand((1, channels, *size), dtype=torch.double, requires_grad=True)
    made = module(image)
    (made if unit is None else made[(..., *unit)]).sum().backward()
    assert image.grad is not None
    return (image.grad[0].abs().sum(0) > 0).numpy()


@pytest.mark.parametrize(("make", "channels", "size"), CASES, ids=NAMES)
def test_paths_of_a_signal_are_where_gradients_are(make, channels, size) -> None:
    module = positive(make)
    counts = padviz.usage(module, size)
    assert (counts.network.axes, counts.network.fixed) == (("length",), ())
    np.testing.assert_array_equal(counts.counts[0] > 0, seen(module, channels, (size,)))
    units = module(torch.rand(1, channels, size, dtype=torch.double)).shape[-1]
    assert counts.target.shape == [1, units]
    for unit in {0, units // 2, units - 1}:
        alone = padviz.usage(module, size, unit=(unit,)).counts[0]
        np.testing.assert_array_equal(alone > 0, seen(module, channels, (size,), (unit,)))
    last = padviz.fields(module, size)[-1]
    middle = [np.flatnonzero(seen(module, channels, (4 * size,), (2 * units + i,))) for i in range(8)]
    assert last.length.size == max(rows[-1] - rows[0] + 1 for rows in middle)


@pytest.mark.parametrize(("make", "channels", "sizes"), VOLUMES.values(), ids=VOLUMES)
def test_units_of_a_volume_see_what_gradients_see(make, channels, sizes) -> None:
    module = positive(make)
    for size in sizes:
        network = padviz.load(module, size)
        assert (network.axes, network.fixed) == (("depth", "height", "width"), ())
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


@pytest.mark.parametrize(
    ("make", "channels", "sizes"), [*SIGNALS.values(), *VOLUMES.values()], ids=[*SIGNALS, *VOLUMES]
)
def test_tiles_of_any_axes_make_the_whole(make, channels, sizes) -> None:
    verified = padviz.verify_tiles(positive(make), sizes[0])
    assert verified.holds
    assert verified.precision == "float64"
    assert verified.tiles == 3 ** len(verified.image)
    assert all(difference > 100 * verified.difference for difference in verified.one_less.values())


def test_what_is_causal_needs_nothing_after() -> None:
    for module in (Tcn(), CausalDecoder()):
        (context,) = padviz.tiles(module, 4000, 200).contexts[0]
        assert (context.after, context.before > 0) == (0, True)


def test_a_size_fits_the_axes_of_a_network() -> None:
    assert padviz.usage(Tcn(), (1, 90)).counts.shape == padviz.usage(Tcn(), [90]).counts.shape == (1, 90)
    for network, size in ((Tcn(), (2, 90)), ("vgg11", (2, 64, 64)), ("vgg11", (64,)), (VOLUMES["U-Net"][0](), (9, 16))):
        with pytest.raises(PadvizError, match=r"has \d numbers?, and the input has \d: "):
            padviz.uneven(network, size)


def test_what_no_axis_answers_is_refused_by_name() -> None:
    with pytest.raises(PadvizError, match="function lstm is not known"):
        padviz.usage(Demucs(recurrent=True), 128)
    with pytest.raises(PadvizError, match="maps are 2-D, and its input has depth x height x width"):
        padviz.usage(VOLUMES["U-Net"][0](), 16)
    with pytest.raises(PadvizError, match="its input has length, and this is done on images"):
        padviz.audit(Tcn(), 90)
