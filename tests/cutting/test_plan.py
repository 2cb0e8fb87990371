"""Tiles laid together are the whole image, with as little context as that takes."""

from __future__ import annotations

from itertools import product
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

import padviz
from padviz.cutting.context import context_on
from padviz.cutting.plan import Plan, globals_of, plan_tiles, smallest_plan
from padviz.cutting.running import tiled
from padviz.errors import OptionError, PadvizError, SizeError
from padviz.network.targets import last_maps, upto
from tests.cutting.test_right_units import Net, steps
from tests.sweeps import SLOW, examples

DOUBLE = {"dtype": torch.float64}


def seeded(module: nn.Module) -> nn.Module:
    """A module with weights of both signs, in double precision."""
    generator = torch.Generator().manual_seed(0)
    for each in module.parameters():
        each.data = torch.randn(each.shape, generator=generator) / max(1, each[0].numel()) ** 0.5
    return module.double().eval()


class UNet(nn.Module):
    """Two levels down and up again, with crops to what is left where it pads nothing."""

    def __init__(self, pad: int, mode: str = "zeros", up: str = "transposed") -> None:
        super().__init__()

        def twice(a: int, b: int) -> nn.Module:
            convs = [nn.Conv2d(n, b, 3, padding=pad, padding_mode=mode) for n in (a, b)]
            return nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU())

        self.first, self.low, self.bottom = twice(1, 4), twice(4, 6), twice(6, 8)
        self.pool = nn.MaxPool2d(2)
        ups = {"transposed": lambda a, b: nn.ConvTranspose2d(a, b, 2, 2)}
        ups["nearest"] = lambda a, b: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 1))
        ups["bilinear"] = lambda a, b: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(a, b, 1))
        self.ups = nn.ModuleList([ups[up](8, 6), ups[up](6, 4)])
        self.back = nn.ModuleList([twice(12, 6), twice(8, 4)])
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = self.first(x)
        two = self.low(self.pool(one))
        x = self.bottom(self.pool(two))
        for skip, up, back in zip((two, one), self.ups, self.back, strict=True):
            x = up(x)
            height, width = x.shape[2:]
            top, left = ((n - m) // 2 for n, m in zip(skip.shape[2:], x.shape[2:], strict=True))
            x = back(torch.cat([skip[..., top : top + height, left : left + width], x], 1))
        return self.last(x)


def decoder(*figures: int) -> nn.Module:
    down = [nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*down, nn.ConvTranspose2d(4, 4, *figures), nn.ConvTranspose2d(4, 2, *figures))


def conv(a: int, b: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Module:
    return nn.Conv2d(a, b, kernel, stride, dilation * (kernel // 2), dilation)


def ceiling(kernel: int) -> nn.Module:
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


class Fitted(nn.Module):
    """A level down, rounded up, and up again, cut to the size of the image."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.conv, self.pool = conv(1, 2), ceiling(2)
        self.up, self.last = nn.Upsample(scale_factor=2, mode=mode), conv(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.up(self.pool(self.conv(x)))[..., : x.shape[2], : x.shape[3]])


def same(kernel: int, dilation: int) -> nn.Module:
    return nn.Conv2d(1, 1, kernel, padding="same", dilation=dilation)


MODULES = {
    "u-net of valid convolutions": (UNet(0), (188, 188), (100, 108)),
    "u-net": (UNet(1), (200, 212), (80, 96)),
    "u-net that mirrors": (UNet(1, "reflect"), (200, 212), (80, 96)),
    "u-net that repeats": (UNet(1, "replicate", "nearest"), (200, 212), (80, 96)),
    "u-net with bilinear resizes": (UNet(1, up="bilinear"), (200, 212), (80, 96)),
    "decoder 4/2/1": (decoder(4, 2, 1), (128, 180), (64, 50)),
    "decoder 3/2/1 with output padding": (decoder(3, 2, 1, 1), (128, 180), (64, 50)),
    "pixel shuffle": (nn.Sequential(conv(1, 16), nn.PixelShuffle(4), conv(1, 1)), (67, 97), (24, 31)),
    "dilated": (nn.Sequential(*[conv(1, 1, dilation=d) for d in (1, 2, 4)]), (101, 97), (40, 33)),
    "ceil pools": (nn.Sequential(conv(1, 2), ceiling(3), conv(2, 2), ceiling(2)), (101, 98), (45, 44)),
    "cut to fit, nearest": (Fitted("nearest"), (101, 98), (41, 40)),
    "cut to fit, bilinear": (Fitted("bilinear"), (97, 98), (41, 40)),
    "same, odd and even kernels": (nn.Sequential(same(3, 1), same(4, 1), same(2, 3)), (101, 98), (41, 40)),
    "strides": (nn.Sequential(conv(1, 4, 7, 2), nn.MaxPool2d(3, 2, 1), conv(4, 4, 3, 2)), (193, 190), (90, 101)),
}


def whole_and_tiled(module: nn.Module, size: tuple[int, int], tile: tuple[int, int]) -> tuple[Any, Any, Plan]:
    image = torch.rand(1, 1, *size, **DOUBLE)
    plan = plan_tiles(padviz.load(module, size=size), size, tile)
    with torch.no_grad():
        return module(image), tiled(module, image, plan), plan


@pytest.mark.parametrize("name", MODULES)
def test_tiles_laid_together_are_the_whole(name: str) -> None:
    module, size, most = MODULES[name]
    whole, together, plan = whole_and_tiled(seeded(module), size, most)
    assert len(plan) > 4
    assert all(n <= m for n, m in zip(plan.tile, most, strict=True))
    assert together.shape == whole.shape
    assert float((together - whole).abs().max() / whole.abs().max()) < 1e-12


@pytest.mark.parametrize("name", MODULES)
def test_one_unit_less_of_context_is_wrong_on_each_side(name: str) -> None:
    """Kept units that reach one further into a tile's own border differ from the whole."""
    module, size, most = MODULES[name]
    seeded(module)
    network = padviz.load(module, size=size)
    plan = plan_tiles(network, size, most)
    image = torch.rand(1, 1, *size, **DOUBLE)
    with torch.no_grad():
        whole = module(image)
        for axis, (context, line) in enumerate(zip(plan.contexts[0], plan.lines, strict=True)):
            k = len(line.starts) // 2
            at = [slice(None)] * 4
            at[2 + axis] = slice(line.starts[k], line.starts[k] + line.length)
            tile = module(image[tuple(at)])
            m, offset = tile.shape[2 + axis], line.offsets[0][k]
            for unit in (context.units[0] - 1, m - context.units[1]):
                if 0 <= unit < m:
                    here, there = tile.select(2 + axis, unit), whole.select(2 + axis, unit + offset)
                    assert not torch.allclose(here, there, rtol=1e-12, atol=0), (axis, unit)


@SLOW
@pytest.mark.parametrize(
    ("name", "layer"), [("resnet50", "layer4"), ("segmentation.deeplabv3_resnet50", "backbone.layer3")]
)
def test_deep_networks_are_exact_and_one_unit_less_is_not(name: str, layer: str) -> None:
    torch.manual_seed(0)
    network = attrgetter(name)(models)(weights=None, **({} if "." not in name else {"weights_backbone": None})).eval()
    target = max(each for each in padviz.load(network, size=(224, 224)).index if each.startswith(layer))
    verified = padviz.verify_tiles(network, 224, target)
    assert verified.precision == "float64"
    assert verified.holds
    assert min(verified.one_less.values()) > verified.tolerance


AWKWARD = [((197, 211), "zeros"), ((113, 128), "reflect"), ((113, 128), "replicate")]
MORE = [((113, 128), "zeros"), ((197, 211), "reflect"), ((197, 211), "replicate")]


@pytest.mark.parametrize(("size", "pad"), [*AWKWARD, *(pytest.param(*each, marks=SLOW) for each in MORE)])
def test_awkward_images_and_the_smallest_tiles_are_exact(size: tuple[int, int], pad: str) -> None:
    """Sides that are primes, or a pixel over a tile; the smallest tiles, one period more, and a large one."""
    module = seeded(UNet(1, pad))
    network = padviz.load(module, size=size)
    step = plan_tiles(network, size, size).contexts[0][0].lattice
    least = smallest_plan(network, size).tile
    image = torch.rand(1, 1, *size, **DOUBLE)
    with torch.no_grad():
        whole = module(image)
        for tile in (least, [n + step for n in least], [n - 1 for n in size]):
            together = tiled(module, image, plan_tiles(network, size, (tile[0], tile[1])))
            assert float((together - whole).abs().max() / whole.abs().max()) < 1e-12


@given(laid=steps(), n=st.integers(60, 140), tile=st.integers(20, 59))
@settings(examples(15), phases=[Phase.explicit, Phase.generate])
def test_random_networks_are_cut_and_laid_together(laid: list[tuple[Any, ...]], n: int, tile: int) -> None:
    model, image = Net(laid), torch.rand(1, 1, n, 1, **DOUBLE)
    try:
        network = padviz.load(model, size=(n, 1))
        plan = plan_tiles(network, (n, 1), (tile, 1))
        whole = model(image)
    except (PadvizError, RuntimeError):
        assume(False)
    together = tiled(model, image, plan)
    assert together.shape == whole.shape
    assert torch.allclose(together, whole, rtol=1e-12, atol=0), (laid, n, tile, plan)


def test_every_unit_is_kept_once_and_every_pixel_is_read() -> None:
    plan = plan_tiles(padviz.load("resnet50"), (1000, 1311), (640, 700))
    kept, read = np.zeros((32, 41), int), np.zeros((1000, 1311), int)
    for tile in plan:
        kept[tile.keep] += 1
        read[tile.read] += 1
    assert (kept == 1).all()
    assert read.min() == 1
    assert plan.cost == read.sum() / read.size


def test_a_plan_is_the_same_by_number_and_one_after_another() -> None:
    net = padviz.load("ssd300_vgg16")
    plan = plan_tiles(upto(net, last_maps(net)[:2]), (940, 300), (812, 300))
    assert [*plan] == [plan[k] for k in range(len(plan))] == plan[:]
    assert plan[-1] == [*plan][-1]
    with pytest.raises(IndexError):
        plan[len(plan)]


def test_heads_have_slices_of_their_own() -> None:
    net = padviz.load("ssd300_vgg16")
    plan = plan_tiles(upto(net, last_maps(net)[:2]), (300 + 640, 300), (812, 300))
    assert len(plan) == 2 or len(plan) == 3
    for name, (keep, take) in next(iter(plan)).heads.items():
        assert keep[0].stop - keep[0].start == take[0].stop - take[0].start, name


def test_objects_lie_within_what_one_tile_has_right() -> None:
    net = padviz.load("resnet50")
    plain, wide = (plan_tiles(net, (2048, 2048), (1024, 1024), objects) for objects in (0, 200))
    gap = {b - a for a, b in zip(plain.lines[0].starts, plain.lines[0].starts[1:], strict=False)}
    nearer = {b - a for a, b in zip(wide.lines[0].starts, wide.lines[0].starts[1:], strict=False)}
    assert max(nearer) <= max(gap) - 200


@pytest.mark.parametrize("name", ["unet", "unet_padded", "resnet50"])
def test_a_level_needs_less_context_and_still_keeps_every_unit_once(name: str) -> None:
    network, contexts = padviz.load(name), []
    for level in (None, 0.999, 0.99, 0.9):
        plan = plan_tiles(network, (2044, 2044), (1020, 1020), level=level)
        kept = np.zeros([line.keeps[0][-1][1] for line in plan.lines], int)
        for tile in plan:
            kept[tile.keep] += 1
        assert (kept == 1).all()
        contexts.append(plan.contexts[0][0].before)
    assert contexts == sorted(contexts, reverse=True)
    assert (contexts[-1] < contexts[0]) == (name != "unet")  # whose convolutions pad nothing: it makes no more units
    with pytest.raises(OptionError, match="level: 1 is no share of the paths"):
        plan_tiles(network, (2044, 2044), (1020, 1020), level=1)


def test_tiles_that_are_too_small_name_the_least_that_is_not() -> None:
    net = padviz.load("unet_padded")
    with pytest.raises(OptionError, match="200 px are too few: a tile needs 208"):
        plan_tiles(net, (1024, 1024), (200, 200))
    assert plan_tiles(net, (1024, 1024), (208, 208)).tile == (208, 208)


@pytest.mark.parametrize("level", [None, 0.999])
def test_two_tiles_a_period_apart_are_refused_where_neither_has_the_units_between_right(level: float | None) -> None:
    net = padviz.load("unet_padded")
    context = 94 if level is None else 71
    for least in (32, *range(128, 240, 16)):
        tile = least - 16, least - 16
        if tile[0] - 2 * context < 16:
            with pytest.raises(OptionError, match=f"{tile[0]} px are too few: a tile needs {least}"):
                plan_tiles(net, (least, least), tile, level=level)
        else:
            assert len(plan_tiles(net, (least, least), tile, level=level)) == 4


class Gated(nn.Module):
    """Squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.squeeze(x)


class Attending(nn.Module):
    """Attention of each position to all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return x + mixed.transpose(1, 2).reshape(x.shape)


class Corners(nn.Module):
    """Up to the size of the image and more, corner to corner."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = 2 * x.shape[2], 2 * x.shape[3]
        return nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.InstanceNorm2d(4), "instance norm"),
        (nn.GroupNorm(2, 4), "group norm"),
        (Gated(), "gate"),
        (Attending(), "attention"),
    ],
)
def test_norms_over_positions_are_named_and_tiles_do_differ_there(layer: nn.Module, why: str) -> None:
    module = seeded(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), layer, nn.Conv2d(4, 1, 3, padding=1)))
    network = padviz.load(module, size=(96, 96))
    with pytest.raises(OptionError, match=rf"no tiles are exact: 1\S* .*{why}"):
        plan_tiles(network, (96, 96), (48, 48))
    plan = plan_tiles(network, (96, 96), (48, 48), without=globals_of(network))
    image = torch.rand(1, 1, 96, 96, **DOUBLE)
    with torch.no_grad():
        whole, together = module(image), tiled(module, image, plan)
    assert float((whole - together).abs().max() / whole.abs().max()) > 1e-3
    assert [each.units for each in context_on(network, 0, 96)] == [(2, 2)]


@pytest.mark.parametrize(("tile", "keeps"), [(25, 1), (26, 2), (30, 6)])
def test_tiles_of_dilated_windows_keep_what_inner_tiles_have_right(tile: int, keeps: int) -> None:
    module = nn.Conv2d(1, 1, 3, padding=12, dilation=12)
    plan = padviz.tiles(module, 128, tile)
    assert {b - a for a, b in plan.lines[0].keeps[0][1:-2]} == {keeps}
    with pytest.raises(OptionError, match="24 px are too few: a tile needs 25"):
        padviz.tiles(module, 128, 24)


def test_strides_before_a_dilated_window_are_planned_or_refused() -> None:
    module = seeded(nn.Sequential(conv(1, 1, 3, 2), conv(1, 1, 3, 2), conv(1, 1, 3, 1, 6)))
    with pytest.raises(OptionError, match="52 px are too few: a tile needs 56"):
        padviz.tiles(module, 256, 52)
    whole, together, _ = whole_and_tiled(module, (256, 256), (56, 64))
    assert float((together - whole).abs().max() / whole.abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("norm", "why"),
    [
        (nn.InstanceNorm2d(8), "instance norm"),
        (nn.GroupNorm(2, 8), "group norm"),
        (nn.BatchNorm2d(8, track_running_stats=False), "batch norm"),
    ],
)
def test_what_a_network_returns_is_judged_and_not_its_last_map_alone(norm: nn.Module, why: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), norm)
    for cut in (lambda: padviz.tiles(module, 96, 48), lambda: padviz.verify_tiles(module, 96)):
        with pytest.raises(OptionError, match=rf"no tiles are exact: 1 \({why}\)"):
            cut()
    assert not padviz.verify_tiles(module, 96, ignore_norms=True).holds
    assert padviz.tiles(module, 96, 48, layer="0").contexts[0][0].before == 1


class Both(nn.Module):
    """Returns a map beside what a norm makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.InstanceNorm2d(8)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [y := self.conv(x), self.norm(y)]


def test_a_norm_that_is_returned_beside_its_map_is_judged_too() -> None:
    with pytest.raises(OptionError, match=r"no tiles are exact: norm \(instance norm\)"):
        padviz.tiles(Both(), 96, 48)


class Multiple(nn.Module):
    """Pads to a multiple of four, and cuts off what it padded."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(1, 2, 4, 4), nn.ConvTranspose2d(2, 1, 4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        padded = nn.functional.pad(x, (0, -width % 4, 0, -height % 4))
        return self.up(self.down(padded))[..., :height, :width]


def test_a_network_that_takes_no_other_size_is_refused_for_that() -> None:
    network = padviz.load(Multiple(), size=(97, 97))
    assert [own.units for own in context_on(network, 0, 97)] == [(0, 1)]
    if network.fixed:
        with pytest.raises(SizeError, match="no tile smaller than the image is right: its height cannot be 49"):
            plan_tiles(network, (97, 97), (50, 50))


@pytest.mark.parametrize("corners", [Corners(), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)])
def test_a_resize_from_corner_to_corner_is_named_and_tiles_do_differ_there(corners: nn.Module) -> None:
    module = seeded(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), corners, nn.Conv2d(2, 1, 3, padding=1)))
    with pytest.raises(SizeError, match=r"no tiles are exact: 1\S* \(a resize that, with its corners aligned"):
        plan_tiles(padviz.load(module, size=(96, 96)), (96, 96), (48, 48))
    image = torch.rand(1, 1, 96, 96, **DOUBLE)
    with torch.no_grad():
        inside, whole = module(image[..., 24:72, 24:72])[..., 30:60, 30:60], module(image)
    nearest = min(
        float((inside - whole[..., top : top + 30, left : left + 30]).abs().max())
        for top, left in product(range(74, 83), repeat=2)
    )
    assert nearest > 1e-3 * float(whole.abs().max())


def test_padding_that_wraps_around_is_named() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"))
    with pytest.raises(OptionError, match=r"no tiles are exact: 1 \(circular padding"):
        plan_tiles(padviz.load(module, size=(96, 96)), (96, 96), (48, 48))


def test_tiles_are_run_several_at_once_into_what_is_given(tmp_path: Any) -> None:
    module, size, most = MODULES["u-net"]
    seeded(module)
    plan = plan_tiles(padviz.load(module, size=size), size, most)
    image, seen = np.random.default_rng(0).random((1, 1, *size)), []

    def run(tile: Any) -> Any:
        with torch.no_grad():
            return module(torch.from_numpy(np.ascontiguousarray(tile))).numpy()

    one = tiled(run, image, plan)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float64, one.shape)
    several = tiled(run, image, plan, batch=4, out=out, on_progress=lambda done, count: seen.append((done, count)))
    assert several is out
    assert np.allclose(out, one, rtol=1e-12)
    assert seen[-1] == (len(plan), len(plan))
    for k, j in product((0, 1), (0, 1)):
        with pytest.raises(OptionError, match="the plan for 200 x 212"):
            tiled(run, image[..., k:, j + 1 :], plan)
    with pytest.raises(OptionError, match="cannot be run at once"):
        tiled(run, image[0], plan, batch=2)


def test_tiles_leave_no_steps_behind_and_modules_take_tensors() -> None:
    module = nn.Conv2d(1, 1, 3, padding=1)
    plan = padviz.tiles(module, (24, 24), (12, 12))
    assert not tiled(module, torch.ones(1, 1, 24, 24), plan).requires_grad
    with pytest.raises(OptionError, match="a module takes tensors; give torch"):
        tiled(module, np.ones((1, 1, 24, 24)), plan)
    with pytest.raises(OptionError, match="out of order; give the model, an array or tensor, and the plan"):
        tiled(module, plan, torch.ones(1, 1, 24, 24))


def test_an_audit_says_which_units_depend_on_padding_behind_a_norm() -> None:
    depends = "1 (instance norm) makes every position depend on all."
    padding = {}
    for pads in ((0, 0), (1, 0), (0, 1)):
        first, last = (nn.Conv2d(1, 1, 3, padding=pad) for pad in pads)
        padding[pads] = padviz.audit(nn.Sequential(first, nn.InstanceNorm2d(1), last), 32).padding
    assert padding[0, 0] == f"No unit of 2 reads padding; {depends}"
    assert padding[1, 0] == f"Every unit depends on padding: {depends}"
    assert padding[0, 1] == f"Of 30 x 30 units of 2 the inner 28 x 28 depend on no padding; {depends}"


class ByTheSize(nn.Module):
    """One convolution more in images of more than 100 rows, after a pad to a multiple of 4 that is cut off again."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        y = self.a(functional.pad(x, (0, -width % 4, 0, -height % 4)))
        return (self.b(y) if height > 100 else self.b(self.b(y)))[..., :height, :width]


def test_a_plan_reads_the_network_at_the_tiles_size() -> None:
    with pytest.raises(padviz.PadvizError, match="the end: it has b_2 in its place at 96 x 96; try another"):
        padviz.tiles(ByTheSize(), 256, 96)
    assert padviz.tiles(ByTheSize(), 256, 126).tile == (124, 124)  # a multiple of 4, as the image
    module = ByTheSize().double().eval()
    plan, image = padviz.tiles(module, 255, 127), torch.rand(1, 3, 255, 255, dtype=torch.float64)
    with torch.no_grad():
        whole, out = module(image), torch.full((1, 4, 255, 255), torch.nan, dtype=torch.float64)
        for tile in plan:
            out[(..., *tile.keep)] = module(image[(..., *tile.read)])[(..., *tile.take)]
    assert (whole - out).abs().max() < 1e-12
