"""Plans of drawn networks, run: stitched equals whole, and one unit less of context differs."""

import re
from collections import Counter
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

import padviz
from padviz.cutting.context import Context, context_on, pixels_around
from padviz.cutting.exact_units import Cut, exact_units
from padviz.cutting.plan import plan_tiles
from padviz.errors import PadvizError
from padviz.geometry.reaching.shifts import alignment_on
from padviz.network.network import Network
from tests.sweeps import REST, SLOW, examples

IMAGES = 48  # run at once: what is the same in all is the same for any
PADS = {"zero": nn.ZeroPad1d, "replicate": nn.ReplicationPad1d, "reflect": nn.ReflectionPad1d}


class Crop(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before, self.after = before, after

    def extra_repr(self) -> str:
        return f"{self.before}, {self.after}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., self.before : x.shape[-1] - self.after]


class Skip(nn.Module):
    """A padded convolution beside what it reads."""

    def __init__(self, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, kernel, padding="same", dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x)


def drawn_layer(draw: Random) -> nn.Module:
    kernel, dilation = draw.randint(1, 7), draw.choice([1, 1, 2, 3, 6, draw.randint(1, 12)])
    extent = dilation * (kernel - 1) + 1
    pad = draw.choice(
        [0, extent // 2, extent // 2, draw.randint(0, extent), extent + draw.randint(0, 3)]
    )
    kind = draw.choice(["conv"] * 6 + ["pads", "pool", "mean", "up", "resize", "crop", "skip"])
    if kind == "conv":
        mode = draw.choice(["zeros"] * 3 + ["replicate", "reflect"])
        return nn.Conv1d(2, 2, kernel, draw.choice([1, 1, 2, 3]), pad, dilation, padding_mode=mode)
    if kind == "pads":
        return PADS[draw.choice([*PADS])]((draw.randint(0, 4), draw.randint(0, 4)))
    if kind == "pool":
        kernel = draw.randint(2, 4)
        return nn.MaxPool1d(
            kernel,
            draw.randint(1, 3),
            draw.randint(0, kernel // 2),
            draw.randint(1, 3),
            ceil_mode=draw.random() < 0.5,
        )
    if kind == "mean":
        kernel = draw.randint(2, 4)
        return nn.AvgPool1d(
            kernel,
            draw.randint(1, 3),
            draw.randint(0, kernel // 2),
            draw.random() < 0.5,
            draw.random() < 0.5,
        )
    if kind == "up":
        stride = draw.randint(1, 3)
        pad = draw.randint(0, min(pad, extent - 1))
        return nn.ConvTranspose1d(
            2, 2, kernel, stride, pad, draw.randint(0, max(stride, dilation) - 1), dilation=dilation
        )
    if kind == "resize":
        return nn.Upsample(scale_factor=2, mode=draw.choice(["nearest", "linear"]))
    if kind == "crop":
        return Crop(draw.randint(0, 3), draw.randint(0, 3))
    return Skip(kernel, dilation)


def drawn(seed: int) -> tuple[Random, nn.Sequential]:
    draw = Random(seed)
    layers = [nn.Conv1d(1, 2, 1), *(drawn_layer(draw) for _ in range(draw.randint(1, 4)))]
    module, generator = nn.Sequential(*layers).double().eval(), torch.Generator().manual_seed(seed)
    for each in module.parameters():
        each.data = torch.randn(each.shape, generator=generator, dtype=torch.float64)
    return draw, module


def run(module: nn.Module, signal: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return module(signal)


def check(seed: int) -> str:
    """Draw a network, an image and tiles; hold what is planned against the network: planned, or why not."""
    draw, module = drawn(seed)
    n = draw.randint(40, 300)
    signal = torch.rand(
        IMAGES, 1, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    try:
        whole = run(module, signal)
        network = padviz.load(module, size=n)
    except (PadvizError, RuntimeError, ValueError):
        return "network"
    extra = draw.randint(0, 32)
    try:
        (context,) = context_on(network, 0, n)
        if context.barrier:
            return f"no context: {context.barrier.why}"
        check_context(seed, module, network, context, n)
        tile = min(n - 1, max(1, context.before + context.after + extra))
        check_stitched(seed, module, signal, whole, padviz.tiles(module, n, tile).plan)
    except PadvizError as error:
        return refused_truly(
            seed, module, network, n, tile if "too few" in str(error) else 0, error
        )
    return "tiles"


def same(one: torch.Tensor, other: torch.Tensor, whole: torch.Tensor) -> Any:
    """The units that two maps have alike in all images."""
    return ((one - other).abs() <= 1e-11 * whole.abs().max()).flatten(0, 1).all(0).numpy()


def check_stitched(
    seed: int, module: nn.Module, signal: torch.Tensor, whole: torch.Tensor, plan: Any
) -> None:
    kept = 0
    for tile in plan:
        (read,), (keep,), (take,) = tile.read, tile.keep, tile.take
        assert (keep.start, keep.stop > keep.start) == (kept, True), (seed, plan.lines)
        kept = keep.stop
        made = run(module, signal[..., read])[..., take]
        assert same(made, whole[..., keep], whole).all(), (seed, module, plan.lines, keep)
    assert kept == whole.shape[-1]


def gaps(module: nn.Module) -> bool:
    """Whether some units of a transposed convolution read nothing."""
    ups = [each for each in module.modules() if isinstance(each, nn.ConvTranspose1d)]
    return any(
        len({tap * up.dilation[0] % up.stride[0] for tap in range(up.kernel_size[0])})
        < up.stride[0]
        for up in ups
    )


def hides(module: nn.Module) -> bool:
    """Whether a wrong row may not be seen: as a copy, as never the largest, or beside units that read nothing."""
    return bool(re.search("nearest|MaxPool", str(module))) or gaps(module)


def inner_run(module: nn.Module, length: int, n: int, step: int, stride: Fraction) -> Any:
    """The units of an inner tile that are those of a long image, as the network itself computes them."""
    far = -(-400 // step) * step
    signal = torch.rand(
        IMAGES, 1, 2 * far + -(-length // step) * step + n % step, dtype=torch.float64
    )
    try:
        whole, made = run(module, signal), run(module, signal[..., far : far + length])
    except RuntimeError:  # too small for a window
        return np.zeros(0, dtype=bool)
    first = int(far / stride)
    return same(made, whole[..., first : first + made.shape[-1]], whole)


def check_context(seed: int, module: nn.Module, network: Network, context: Context, n: int) -> None:
    """Where the context is called least, all units behind it are right, and the next one is not."""
    step = context.alignment
    length = -(-2 * (context.before + context.after + 40) // step) * step + n % step
    right = inner_run(module, length, n, step, context.stride)
    before, after = context.units
    assert right[before : len(right) - after].all(), (seed, module, context)
    if not hides(module):
        assert not (before and right[before - 1]), (seed, module, context)
        assert not (after and right[len(right) - after]), (seed, module, context)


def refused_truly(
    seed: int, module: nn.Module, network: Network, n: int, tile: int, error: PadvizError
) -> str:
    """Hold a refusal against the network: with fewer pixels an inner tile keeps less than a period of the alignment."""
    if not tile:
        return error.what
    (context,), least = context_on(network, 0, n), int(re.findall(r"below (\d+)", str(error))[0])
    assert least == n or plan_tiles(network, (n,), (least,)).tile == (least,), (seed, error)
    for length in range(tile - (tile - n) % context.alignment, least, context.alignment):
        right = inner_run(module, length, n, context.alignment, context.stride)
        edges = np.flatnonzero(np.diff(right, prepend=False, append=False)).reshape(-1, 2)
        most = max((last - first for first, last in edges), default=0)
        assert most * context.stride < context.alignment or hides(module), (
            seed,
            module,
            length,
            error,
        )
    return "too few pixels"


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_drawn_plans_are_exact(first: int) -> None:
    for seed in range(first, first + 10):
        check(seed)


@pytest.mark.parametrize("plans", [pytest.param(300, marks=SLOW), pytest.param(3000, marks=REST)])
def test_many_drawn_plans_are_exact(plans: int) -> None:
    found = Counter(check(seed) for seed in range(1000, 1000 + plans * 6 // 5))
    assert found["tiles"] >= plans, found


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(40, 110),
    at=st.integers(0, 4),
    periods=st.integers(1, 8),
)
@examples(40)
def test_exact_units_are_those_that_a_tile_computes_as_the_whole_does(
    seed: int, n: int, at: int, periods: int
) -> None:
    """At the image's border as inside of it; and a context told from one walk is that of every unit looked at."""
    _, module = drawn(seed)
    signal = torch.rand(
        IMAGES, 1, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    try:
        whole, network = run(module, signal), padviz.load(module, size=n)
        step = alignment_on(network, 0, n).step
        start = min(at * step, (n - 1) // step * step)
        length = min(n - start, (n % step) + periods * step)
        assume((n - length) % step == 0)
        tile = run(module, signal[..., start : start + length])
        offset, right, barrier, _ = exact_units(network, 0, Cut(n, start, length))[-1]
        (context,) = context_on(network, 0, n)
    except (PadvizError, RuntimeError, ValueError):
        assume(False)
    assert pixels_around(network, (n,)) == (None if barrier else ((context.before, context.after),))
    if barrier:
        return
    assert len(right) == tile.shape[-1]
    first, stop = max(0, -offset), min(len(right), whole.shape[-1] - offset)
    alike = np.zeros(len(right), dtype=bool)
    alike[first:stop] = same(
        tile[..., first:stop], whole[..., first + offset : stop + offset], whole
    )
    assert not (right & ~alike).any(), (seed, module)
    # what reads nothing but padding is alike anywhere
    varies = (tile != tile[:1]).flatten(0, 1).any(0).numpy()
    assert hides(module) or (right == alike)[varies].all(), (seed, module)
