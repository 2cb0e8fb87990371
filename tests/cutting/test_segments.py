"""Runs that store fewer maps make the same output, in the memory that was planned for."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

import padviz
from padviz.cutting.live_bytes import LiveBytes
from padviz.cutting.plan import LayerPlan
from padviz.cutting.running import try_by_layer
from padviz.errors import OptionError
from tests.cutting.test_by_layer import Call, apart, attended, image
from tests.cutting.test_shared_norms import Decoder, UNet

# Kernels for processors without AVX2, of before 2013, copy more than padviz counts.
with_avx2 = pytest.mark.skipif(
    os.environ.get("ONEDNN_MAX_CPU_ISA") in ("SSE41", "AVX"), reason="copies are counted for AVX2"
)


def peak_of(run: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """Return what a run makes, and the most bytes that its tensors had at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen, torch.no_grad():
        result = run()
    now = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return result, most


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "unet": (lambda: UNet(lambda n: nn.GroupNorm(4, n)), 384, 96),
    "decoder": (Decoder, 48, 12),
}


@with_avx2
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("share", [1, 0.5, 0.34])
def test_a_run_takes_no_more_memory_than_it_may(name: str, share: float) -> None:
    torch.manual_seed(0)
    build, size, tile = NETWORKS[name]
    model, x = build().eval(), image(1, 3, size, size).float()
    whole, most = peak_of(lambda: model(x))
    memory = max(1, int((share * most + x.nbytes) / 1e6))
    found = padviz.tiles(model, size, tile, norms="shared", memory=memory)
    plan = found.plan
    assert isinstance(plan, LayerPlan)
    assert plan.segments is not None
    assert plan.segments.chosen.bytes <= memory * 1e6
    said = " ".join(str(found).split())
    assert f"at most {plan.segments.chosen.bytes / 1e6:.1f} MB at once" in said
    if plan.segments.faster:
        assert f"{plan.segments.chosen.computing:.2f} times the computing" in said
    result, taken = peak_of(lambda: padviz.tiled(model, x, plan))
    assert apart(whole, result) < 1e-5
    assert 0.9 < (taken + x.nbytes) / plan.segments.chosen.bytes < 1.02


class Drawn(nn.Module):
    """Some layers of several kinds, with a skip from the first to the last."""

    LAYERS: tuple[Callable[[int], nn.Module], ...] = (
        lambda n: nn.Conv2d(n, n, 3, padding=1),
        lambda n: nn.Conv2d(n, n, 3, 2, 1),
        lambda n: nn.Conv2d(n, n, 5, padding=2, groups=n),
        lambda n: nn.ConvTranspose2d(n, n, 4, 2, 1),
        lambda n: nn.Sequential(nn.ZeroPad2d((2, 0, 2, 0)), nn.Conv2d(n, n, 3)),  # causal
        lambda n: nn.Sequential(nn.GroupNorm(4, n), nn.SiLU()),
        lambda n: nn.Upsample(scale_factor=2.0),
        lambda n: nn.Sequential(nn.AvgPool2d(4), Call(attended), nn.Upsample(scale_factor=4.0)),
        lambda n: Call(lambda x: torch.cat([x, x[:, : n // 2].contiguous()], 1)[:, n // 2 :]),
    )

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = np.random.default_rng(seed)
        n = draw.choice([8, 16, 20])  # kernels take blocks of 8 or 16 channels
        self.first = nn.Conv2d(3, n, 3, padding=1)
        self.layers = nn.Sequential(*(self.LAYERS[i](n) for i in draw.integers(0, 9, 7)))

    def forward(self, x: Tensor) -> Tensor:
        skip = y = self.first(x)
        y = functional.interpolate(self.layers(y), (96, 96))
        return torch.cat([skip, y], 1)


@with_avx2
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(12))
def test_drawn_networks_take_what_was_planned(seed: int, dtype: torch.dtype) -> None:
    model, x = Drawn(seed).to(dtype).eval(), image(1, 3, 96, 96).to(dtype)
    plan = padviz.tiles(model, 96, 32, norms="shared").plan
    assert isinstance(plan, LayerPlan)
    padviz.tiled(model, x, plan)  # which keeps the rows that resizes read for later runs
    for share in (1.0, 0.8, 0.6, 0.4):
        limit = share * plan.segments.chosen.bytes
        with suppress(OptionError):
            less = try_by_layer(model, plan, limit / 1e6)
            _, taken = peak_of(lambda less=less: padviz.tiled(model, x, less))
            planned = less.segments.chosen.bytes
            assert 0.85 * planned < taken + x.nbytes <= planned <= limit


class Attending(nn.Module):
    """Attention over many positions, at a quarter of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 16, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(x)
        tokens = y.flatten(2).transpose(1, 2)
        attended = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        y = y + attended.transpose(1, 2).reshape(y.shape)
        return nn.functional.interpolate(y, scale_factor=4.0)


@with_avx2
def test_the_scores_of_attention_count() -> None:
    torch.manual_seed(0)
    model, x = Attending().eval(), image(1, 3, 128, 128).float()
    plan = padviz.tiles(model, 128, 37, norms="shared").plan
    with torch.no_grad():
        whole = model(x)
        padviz.tiled(model, x, plan)  # which keeps the rows that resizes read for later runs
    result, taken = peak_of(lambda: padviz.tiled(model, x, plan))
    assert apart(whole, result) < 1e-5
    assert 0.9 < (taken + x.nbytes) / plan.segments.chosen.bytes <= 1


CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Conv2d(20, 20, 3),
    "pointwise with a stride": lambda: nn.Conv2d(64, 3, 1, 2),
    "groups": lambda: nn.Conv2d(20, 20, 4, dilation=2, groups=2),
    "depthwise": lambda: nn.Conv2d(20, 20, 3, groups=20),
    "double": lambda: nn.Conv2d(20, 20, 3, dtype=torch.float64),
    "3-D": lambda: nn.Conv3d(12, 16, (1, 3, 3)),
    "transposed": lambda: nn.ConvTranspose2d(12, 20, 4, 2),
    "transposed, pointwise": lambda: nn.ConvTranspose2d(64, 16, 1, 2),
    "transposed, dilated": lambda: nn.ConvTranspose2d(4, 16, 5, 2, dilation=2),
    "transposed, groups": lambda: nn.ConvTranspose2d(4, 32, 3, groups=2),
}


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(usual)


@with_avx2
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_takes_no_more_than_was_counted(name: str) -> None:
    layer = CONVOLUTIONS[name]().eval()
    channels = layer.in_channels
    sizes = [40] * (layer.weight.ndim - 2)
    x = torch.randn(1, channels, *sizes, dtype=layer.weight.dtype)
    _, taken = peak_of(lambda: layer(x))
    layer, x = layer.to("meta"), x.to("meta")
    with LiveBytes() as live, torch.no_grad():
        layer(x)
    assert 0.4 * live.peak < taken <= live.peak


def test_less_memory_takes_more_computing() -> None:
    plans = [
        padviz.tiles(Decoder(), 64, 16, norms="shared", memory=memory).plan
        for memory in (60, 14, 9)
    ]
    computing = [plan.segments.chosen.computing for plan in plans]
    assert computing[0] == 1
    assert computing == sorted(computing)
    assert computing[-1] > 1
    faster = plans[-1].segments.faster
    assert faster.bytes > plans[-1].segments.chosen.bytes
    assert faster.computing <= plans[-1].segments.chosen.computing


class Mean(nn.Module):
    """Reads a map that is put together, and computes nothing besides."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unfold(-1, 3, 1).mean(-1)


def test_a_module_that_only_puts_maps_together_is_planned() -> None:
    plan = padviz.tiles(Mean(), (24, 30), 12, norms="shared").plan
    assert plan.segments.chosen.computing == 0


def test_too_little_memory_is_said_with_the_least() -> None:
    with pytest.raises(
        OptionError, match=r"memory: 1\.0 MB are too few: the least found is \d+\.\d\d MB; make"
    ):
        padviz.tiles(Decoder(), 64, 32, norms="shared", memory=1)
    with pytest.raises(OptionError, match="memory: is for `norms` shared; leave it out"):
        padviz.tiles("unet_padded", 512, 256, memory=100)
    with pytest.raises(OptionError, match=r"memory: padviz\.tiled runs PyTorch modules alone"):
        padviz.tiles("unet_padded", 512, 256, norms="shared", memory=100)


def test_maps_lie_in_a_folder_that_is_empty_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Decoder().double().eval(), image(1, 3, 32, 32)
    plan = padviz.tiles(model, 32, 16, norms="shared").plan
    with torch.no_grad():
        whole = model(x)
        assert apart(whole, padviz.tiled(model, x, plan, scratch=tmp_path)) < 1e-12
    assert not os.listdir(tmp_path)
    with pytest.raises(OptionError, match=r"scratch: cannot keep a map of .*: No such file"):
        padviz.tiled(model, x, plan, scratch=tmp_path / "missing")
    plain = padviz.tiles("unet_padded", 512, 256).plan
    with pytest.raises(OptionError, match="scratch: keeps the maps of a plan with shared norms"):
        padviz.tiled(lambda tile: tile, x, plain, scratch=tmp_path)
