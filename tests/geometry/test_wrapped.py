"""An axis that wraps has no border: nothing on it is uneven, and only what sees where its ends meet has a seam.

The oracle is PyTorch: a module that treats all rows alike turns what it makes when its image is turned.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import padviz
from padviz.advice.changes import changes
from padviz.analyses.uneven import verdict
from padviz.errors import PadvizError
from padviz.geometry.balance.case import Case
from padviz.geometry.ledger import ledger
from padviz.geometry.reaching.near_padding import near_padding
from padviz.geometry.reaching.shifts import alignment_on, wrapping_axes
from padviz.network.rewrites import circular_axes, with_padding
from padviz.sources.toml.load import parse
from tests.strategies import networks

Size = tuple[int, int]


def conv(kernel: int, stride: int = 1, padding: int | None = None, dilation: int = 1) -> nn.Conv2d:
    pads = dilation * (kernel - 1) // 2 if padding is None else padding
    return nn.Conv2d(1, 1, kernel, stride, pads, dilation, padding_mode="circular", bias=False)


class Even(nn.Module):
    """A convolution of an even kernel, whose pads are not the same on both sides, or are more than go round."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.pads, self.conv = (before, after, before, after), nn.Conv2d(1, 1, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(nn.functional.pad(x, self.pads, mode="circular"))


MODULES: dict[str, tuple[nn.Module, ...]] = {
    "one": (conv(3),),
    "strided": (conv(7, 2), conv(3, 2)),
    "1 x 1 strided": (conv(3), conv(1, 2)),
    "dilated": (conv(3, dilation=3), conv(3, 2)),
    "pools that tile": (conv(3), nn.MaxPool2d(2), conv(5)),
    "pools that pad": (conv(3), nn.MaxPool2d(3, 2, 1)),
    "pools that overlap": (conv(3), nn.MaxPool2d(3, 2)),
    "too few pads": (conv(5, padding=1),),
    "too many pads": (conv(3, padding=2),),
    "pads of two sizes": (Even(1, 2), conv(3, 2)),
    "pads of two sizes, too many": (Even(2, 2),),
    "transposed, side by side": (conv(3, 2), nn.ConvTranspose2d(1, 1, 2, 2, bias=False), conv(3)),
    "transposed, overlapping": (conv(3, 2), nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False), conv(3)),
    "nearest": (conv(3, 2), nn.Upsample(scale_factor=2, mode="nearest"), conv(3)),
    "linear": (conv(3, 2), nn.Upsample(scale_factor=2, mode="bilinear"), conv(3)),
    "a valid convolution": (conv(3), conv(3, padding=0)),
}


@pytest.mark.parametrize("size", [(24, 32), (26, 33)])
@pytest.mark.parametrize("name", MODULES)
def test_a_module_without_a_seam_turns_what_it_makes_with_its_image(name: str, size: Size) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*MODULES[name]).double().eval()
    network = padviz.load(model, size=size)
    assert circular_axes(network) == (True, True)
    seamless = wrapping_axes(network, size)
    image = torch.rand(1, 1, *size, dtype=torch.float64)
    made = model(image)
    for axis in (0, 1):
        step = alignment_on(network, axis, size[axis])
        units = step.step / step.strides[-1]
        other = model(image.roll(step.step, 2 + axis))
        assert seamless[axis] == torch.allclose(
            other, made.roll(int(units), 2 + axis), rtol=0, atol=1e-12
        )
        if seamless[axis]:
            counts = padviz.usage(network, size).counts
            assert (np.roll(counts, step.step, axis) == counts).all()
    if seamless == (True, True):
        rows, share = ledger(network, size), padviz.usage(network, size).share()
        assert (rows.balanced, rows.remainders, rows.jumps) == (True, (), ())
        assert not any(
            any(ends) for ends in near_padding(network, size, around=True)[-1].axes.values()
        )
        assert (share[~np.isnan(share)] == 1).all()


@given(
    network=networks(), scheme=st.sampled_from(["circular", "zero/circular", "circular/reflect"])
)
@settings(deadline=None)
def test_no_window_is_uneven_on_an_axis_that_wraps(network: Any, scheme: str) -> None:
    steps, size = network
    net = parse({"layers": steps}, "net")
    if any(circular_axes(net)):
        return  # it wraps by a pad of its own
    try:
        padded = with_padding(net, scheme)
        rows, before = (
            padviz.uneven(padded, size).layers,
            padviz.uneven(with_padding(net, "zero"), size).layers,
        )
    except PadvizError:
        return
    around = dict(zip(("height", "width"), circular_axes(padded), strict=True))
    for row, other in zip(rows, before, strict=True):
        for axis, read in row.axes.items():
            assert read.circular == around[axis]
            assert not (read.circular and read.uneven)
            plain = replace(
                read, circular=False, remainder=0, skipped=read.skipped + read.remainder
            )
            twin = other.axes[axis]
            assert plain == replace(twin, remainder=0, skipped=twin.skipped + twin.remainder)
            if not read.circular:
                assert read == twin


def test_an_audit_of_what_wraps_finds_nothing_uneven_and_no_other_size() -> None:
    """The pool of ResNet-18 pads, and reads nothing there: it breaks the circle at any size."""
    for name, size, ends in (
        ("resnet18", (224, 256), "are padded circularly, but maxpool breaks the circle."),
        ("vgg11", (96, 64), "wrap."),
    ):
        found = padviz.audit(with_padding(padviz.load(name), "circular"), size)
        assert (
            found.uneven_convolutions,
            found.uneven_pools,
            found.remainders,
            found.remedies,
        ) == ([], [], [], [])
        assert found.offset == [None, None]
        assert (
            found.symmetry == f"No convolution reads its padding unevenly; height and width {ends}"
        )
        assert found.padding.startswith("All" if name == "resnet18" else "No unit")


def test_what_leaves_jumps_comes_after_what_removes_them_and_says_so() -> None:
    found = padviz.audit(with_padding(padviz.load("resnet18"), "zero/circular"), (256, 500))
    jumps = [each.outcome.jumps for each in found.remedies]
    assert 0 in jumps
    assert "larger" in [each.kind for each in found.remedies if each.outcome.jumps]
    assert jumps[: jumps.count(0)] == [0] * jumps.count(0)
    for each in found.remedies:
        if each.kind == "larger":
            assert each.price == f"leaves {each.outcome.jumps} layers out of phase"
    broken = "the width is padded circularly, but maxpool breaks the circle, because 500 is not a multiple of 32;"
    assert broken in found.symmetry


def test_what_wraps_at_a_broken_phase_is_offered_whole_strides() -> None:
    found = padviz.audit(with_padding(padviz.load("resnet18"), "circular"), (230, 250))
    assert "breaks the circle, because 230 is not a multiple of 32" in found.symmetry
    assert [each.outcome.size for each in found.remedies] == [[224, 224], [256, 256]]
    assert found.outcome.jumps > 0
    for each in found.remedies:
        assert (each.kind, each.outcome.jumps, each.price) == ("size", 0, None)
        assert [n % 32 for n in each.outcome.size] == [0, 0]


def test_one_axis_that_wraps_is_left_as_it_is() -> None:
    found = padviz.audit(with_padding(padviz.load("resnet50"), "zero/circular"), (224, 448))
    assert len(found.uneven_convolutions) == 4
    assert {each.outcome.size[1] for each in found.remedies} == {448}
    assert {each.padding for each in found.remedies if each.padding} >= {
        "reflect/circular",
        "partial/circular",
    }
    assert all(each.padding.endswith("/circular") for each in found.remedies if each.padding)
    assert {each.outcome.uneven_convolutions for each in found.remedies if each.kind == "both"} == {
        0
    }
    balanced = next(each for each in found.remedies if each.kind == "size")
    assert balanced.outcome.size == [225, 448]
    assert found.offset == [-15.5, None]


@pytest.mark.parametrize(
    ("modes", "around"),
    [
        (("circular", "zero"), (False, False)),
        (("circular", ["zero", "circular"]), (False, True)),
        ((), (False, False)),
    ],
)
def test_only_what_pads_by_the_far_side_alone_wraps(modes: Any, around: tuple[bool, bool]) -> None:
    steps = [
        {"op": "conv", "name": f"l{i}", "kernel": 3, "padding": 1, "mode": mode}
        for i, mode in enumerate(modes)
    ]
    steps.append({"op": "conv", "name": "last", "kernel": 1})
    assert circular_axes(parse({"layers": steps}, "net")) == around


class Net(nn.Module):
    """A U-Net for panoramas: circular pads and upsampling; zeros, or a crop, mend a skip where sizes differ."""

    def __init__(self, zeros: bool) -> None:
        super().__init__()
        self.zeros = zeros
        self.down, self.inner, self.up = conv(3), conv(3), conv(3)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down(x)
        y = self.inner(nn.functional.avg_pool2d(skip, 2))
        y = self.inner(nn.functional.avg_pool2d(y, 2))
        for size in (x.shape[-1] // 2, x.shape[-1]):
            y = nn.functional.interpolate(
                nn.functional.pad(y, (1, 1, 1, 1), mode="circular"), scale_factor=2.0
            )
            y = y[..., 2:-2, 2:-2]
            if self.zeros and y.shape[-1] != size:
                y = nn.functional.pad(y, (0, size - y.shape[-1]))
        return self.up(y + skip[..., : y.shape[-1]])


@pytest.mark.parametrize("zeros", [True, False])
@pytest.mark.parametrize(("width", "meet"), [(88, True), (90, False), (92, True), (93, False)])
def test_an_axis_is_said_to_wrap_where_usage_is_periodic_along_it(
    width: int, meet: bool, zeros: bool
) -> None:
    size = 32, width
    network = padviz.load(Net(zeros).eval(), size=size)
    counts = padviz.usage(network, size).counts
    assert bool((np.roll(counts, 4, 1) == counts).all()) == meet
    assert wrapping_axes(network, size)[1] == meet
    said = " ".join(
        [padviz.audit(network, size).symmetry, *verdict(network, ledger(network, size))]
    )
    assert ("width wrap" in said) == meet


def test_pads_of_what_wraps_are_not_shared_out() -> None:
    """One axis consumes an even number of rows unevenly, the other wraps and keeps its pads."""
    step = {
        "op": "conv",
        "name": "a",
        "kernel": 3,
        "padding": [[0, 2], [1, 1]],
        "mode": ["zero", "circular"],
    }
    found = {
        change.kind: change for change in changes(Case(parse({"layers": [step]}, "net"), (9, 12)))
    }
    assert found["pads"].edit[1:] == ("a: padding=(1, 1)",)
    assert not found["pads"].case.uneven
