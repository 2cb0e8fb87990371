"""Tiles laid together are the whole image, with as little context as that takes."""

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.cutting.context import context_on, pixels_around
from padviz.cutting.plan import Plan, kept_of, plan_tiles
from padviz.cutting.running import tiled
from padviz.errors import OptionError, PadvizError
from padviz.network.targets import last_maps, output_layers, upto
from padviz.sources.toml.load import parse
from tests.cutting.smallest_tiles import in_smallest_tiles, smallest_plan
from tests.geometry.test_reaching import Gated
from tests.signals import decoder as signal_decoder
from tests.wheels import real_file

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
        ups["bilinear"] = lambda a, b: nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(a, b, 1)
        )
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


def decoder() -> nn.Module:
    down = [nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(
        *down, nn.ConvTranspose2d(4, 4, 3, 2, 1, 1), nn.ConvTranspose2d(4, 2, 3, 2, 1, 1)
    )


def conv(a: int, b: int) -> nn.Module:
    return nn.Conv2d(a, b, 3, padding=1)


class Fitted(nn.Module):
    """A level down, rounded up, and up again, cut to the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = conv(1, 2), nn.MaxPool2d(2, 2, ceil_mode=True)
        self.up, self.last = nn.Upsample(scale_factor=2, mode="bilinear"), conv(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.up(self.pool(self.conv(x)))[..., : x.shape[2], : x.shape[3]])


def same(kernel: int, dilation: int) -> nn.Module:
    return nn.Conv2d(1, 1, kernel, padding="same", dilation=dilation)


MODULES = {
    "u-net of valid convolutions": (UNet(0), (188, 188), (100, 108)),
    "u-net": (UNet(1), (200, 212), (80, 96)),
    "u-net that repeats": (UNet(1, "replicate", "nearest"), (200, 212), (80, 96)),
    "u-net with bilinear resizes": (UNet(1, up="bilinear"), (200, 212), (80, 96)),
    "decoder with output padding": (decoder(), (128, 180), (64, 50)),
    "pixel shuffle": (
        nn.Sequential(conv(1, 16), nn.PixelShuffle(4), conv(1, 1)),
        (67, 97),
        (24, 31),
    ),
    "cut to fit": (Fitted(), (97, 98), (41, 40)),
    "same, odd and even kernels": (
        nn.Sequential(same(3, 1), same(4, 1), same(2, 3)),
        (101, 98),
        (41, 40),
    ),
}


def stitched(module: nn.Module, plan: Plan) -> float:
    """How far tiles laid together are from the whole, as a share of its largest value."""
    image = torch.rand(1, 1, *plan.image, **DOUBLE)
    with torch.no_grad():
        whole, together = module(image), tiled(module, image, plan)
    assert together.shape == whole.shape
    return float((together - whole).abs().max() / whole.abs().max())


@pytest.mark.parametrize("name", MODULES)
def test_tiles_laid_together_are_the_whole_and_with_one_unit_less_of_context_they_are_not(
    name: str,
) -> None:
    module, size, most = MODULES[name]
    plan = plan_tiles(padviz.load(seeded(module), size=size), size, most)
    assert len(plan) > 4
    assert all(n <= m for n, m in zip(plan.tile, most, strict=True))
    assert stitched(module, plan) < 1e-12
    verified = in_smallest_tiles(module, size)
    assert (len(verified.plan), verified.precision, verified.holds) == (9, "float64", True)
    assert verified.difference < 1e-12
    if name == "u-net of valid convolutions":  # it makes no unit that is not right
        assert verified.one_less == {}
    else:
        assert verified.one_less.keys() == {"top", "bottom", "left", "right"}
        assert min(verified.one_less.values()) > 1e-9


def kept(plan: Plan) -> Any:
    found = np.zeros([line.keeps[0][-1][1] for line in plan.lines], int)
    for tile in plan:
        found[tile.keep] += 1
    return found


def test_every_unit_is_kept_once_and_every_pixel_is_read() -> None:
    plan = plan_tiles(padviz.load("resnet50"), (1000, 1311), (640, 700))
    read = np.zeros((1000, 1311), int)
    for tile in plan:
        read[tile.read] += 1
    assert kept(plan).shape == (32, 41)
    assert (kept(plan) == 1).all()
    assert read.min() == 1
    assert plan.cost == read.sum() / read.size


def test_a_plan_is_the_same_by_number_and_heads_have_slices_of_their_own() -> None:
    net = padviz.load("ssd300_vgg16")
    plan = plan_tiles(upto(net, last_maps(net)[:2]), (940, 300), (812, 300))
    assert [*plan] == [plan[k] for k in range(len(plan))] == plan[:]
    assert plan[-1] == [*plan][-1]
    with pytest.raises(IndexError):
        plan[len(plan)]
    for keep, take in plan[0].heads.values():
        assert keep[0].stop - keep[0].start == take[0].stop - take[0].start


def test_objects_lie_within_what_one_tile_has_right() -> None:
    net = padviz.load("resnet50")
    plain, wide = (plan_tiles(net, (2048, 2048), (1024, 1024), objects) for objects in (0, 200))
    gap = {b - a for a, b in zip(plain.lines[0].starts, plain.lines[0].starts[1:], strict=False)}
    nearer = {b - a for a, b in zip(wide.lines[0].starts, wide.lines[0].starts[1:], strict=False)}
    assert max(nearer) <= max(gap) - 200


def test_a_level_needs_less_context_and_still_keeps_every_unit_once() -> None:
    network, contexts = padviz.load("unet_padded"), []
    for level in (None, 0.999, 0.9):
        plan = plan_tiles(network, (1020, 1020), (508, 508), level=level)
        assert (kept(plan) == 1).all()
        contexts.append(plan.contexts[0][0].before)
    assert contexts == sorted(contexts, reverse=True)
    assert contexts[-1] < contexts[0]


@pytest.mark.parametrize("level", [None, 0.999])
def test_two_tiles_a_period_apart_are_refused_where_neither_has_the_units_between_right(
    level: float | None,
) -> None:
    net = padviz.load("unet_padded")
    context, enough = (94, 224) if level is None else (71, 176)
    for least in (32, enough - 16, enough):
        tile = least - 16, least - 16
        if tile[0] - 2 * context < 16:
            with pytest.raises(OptionError, match=f"{tile[0]} px are too few: below {least}"):
                plan_tiles(net, (least, least), tile, level=level)
        else:
            assert len(plan_tiles(net, (least, least), tile, level=level)) == 4


def test_a_share_of_paths_is_measured_where_strides_differ_by_axis() -> None:
    """A unit of the height was looked up along the width, where there are fewer."""
    module = nn.Conv2d(1, 2, (3, 5), (1, 2), (1, 2))
    height, width = padviz.tiles(module, 64, 32, level=0.99).contexts[0]
    assert (height.before, height.after, width.before, width.after) == (1, 1, 2, 1)


@pytest.mark.parametrize(("tile", "keeps"), [(25, 1), (26, 2), (30, 6)])
def test_tiles_of_dilated_windows_keep_what_inner_tiles_have_right(tile: int, keeps: int) -> None:
    module = nn.Conv2d(1, 1, 3, padding=12, dilation=12)
    plan = padviz.tiles(module, 128, tile).plan
    assert {b - a for a, b in plan.lines[0].keeps[0][1:-2]} == {keeps}
    with pytest.raises(OptionError, match="24 px are too few: below 25"):
        padviz.tiles(module, 128, 24)


class Both(nn.Module):
    """Returns a map beside what a norm makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = conv(1, 4), nn.InstanceNorm2d(4)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [y := self.conv(x), self.norm(y)]


GLOBAL: dict[str, tuple[nn.Module, str]] = {
    "between": (
        nn.Sequential(conv(1, 4), nn.InstanceNorm2d(4), conv(4, 1)),
        r"1 \(instance norm\)",
    ),
    "gate": (nn.Sequential(conv(1, 4), Gated(), conv(4, 1)), r"1_\d \(gate\)"),
    "at the end": (nn.Sequential(conv(1, 4), nn.InstanceNorm2d(4)), r"1 \(instance norm\)"),
    "of a batch at the end": (
        nn.Sequential(conv(1, 4), nn.BatchNorm2d(4, track_running_stats=False)),
        r"1 \(batch norm\)",
    ),
    "beside its map": (Both(), r"norm \(instance norm\)"),
}


@pytest.mark.parametrize("name", GLOBAL)
def test_what_sees_all_of_what_a_network_returns_is_named_and_tiles_do_differ_there(
    name: str,
) -> None:
    module, why = seeded(GLOBAL[name][0]), GLOBAL[name][1]
    for cut in (
        lambda: padviz.tiles(module, 96, 48).plan,
        lambda: padviz.verify(module, 96, tile=48),
    ):
        with pytest.raises(OptionError, match=f"no tiles are exact: {why}"):
            cut()
    assert in_smallest_tiles(module, 96, per_tile=True).difference > 1e-3
    assert padviz.verify(module, 96, tile=47, norms="per-tile").finding is not None
    network = padviz.load(module, size=(96, 96))
    assert pixels_around(upto(network, output_layers(None, network)), (96, 96)) is None
    if isinstance(module, nn.Sequential):
        (own,) = context_on(network, 0, 96)
        assert own.units == ((2, 2) if len(module) == 3 else (1, 1))
        assert padviz.tiles(module, 96, 48, layer="0").contexts[0][0].before == 1


class Ending(nn.Module):
    """A convolution, and what some code makes of its map."""

    def __init__(self, end: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.end = seeded(conv(1, 4)), end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.conv(x))


# What stands behind the last map that padviz follows, and is not that map.
ENDS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "sorted rows": (lambda x: x.sort(-1)[0], "sort (picks positions by their values)"),
    "less than its median": (
        lambda x: x - x.sort(-1)[0],
        "sort (picks positions by their values)",
    ),
    "the largest": (lambda x: x.flatten(2).topk(5)[0], "topk (picks positions by their values)"),
    "beside the map": (
        lambda x: {"map": x, "sorted": x.sort(2)[0]},
        "sort (picks positions by their values)",
    ),
    "transposed": (
        lambda x: x.transpose(2, 3),
        "output (is 1 x 4 x 64 x 64, whose last dimensions are not height x width)",
    ),
    "flat": (
        lambda x: x.flatten(1),
        "output (is 1 x 16384, whose last dimensions are not height x width)",
    ),
    "one line": (
        lambda x: x.flatten(),
        "output (is 16384, whose last dimensions are not height x width)",
    ),
    "channels last": (
        lambda x: x.permute(0, 2, 3, 1),
        "output (is 1 x 64 x 64 x 4, whose last dimensions are not height x width)",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_no_tiles_are_planned_for_what_is_not_the_last_map(name: str) -> None:
    end, why = ENDS[name]
    module = Ending(end).eval()
    refused = re.escape(f"Ending: no tiles are exact: {why}; try `norms` shared, which runs a")
    for plan in (lambda: padviz.tiles(module, 64, 24), lambda: padviz.verify(module, 64, tile=24)):
        with pytest.raises(OptionError, match=refused) as error:
            plan()
        assert "; or name `layer` conv, and run what returns it" in str(error.value)
    assert f"No tiles are exact: {why}." in " ".join(str(padviz.tiles(module, 64)).split())
    (*_, row) = padviz.check(module, 64, context=2)
    assert (row.state, row.found) == ("fails", f"no tiles are exact: {why.split(' (')[1][:-1]}")
    per_tile = padviz.tiles(module, 64, 24, norms="per-tile").plan
    assert isinstance(per_tile, Plan)
    assert [f"{layer} ({reason})" for layer, reason in per_tile.ignored] == [why]


@pytest.mark.parametrize("name", ENDS)
def test_what_is_not_the_last_map_is_not_run_in_tiles(name: str, tmp_path: Any) -> None:
    module = Ending(ENDS[name][0]).eval()
    np.save(tmp_path / "image.npy", torch.rand(1, 64, 64, **DOUBLE).numpy())
    if name != "beside the map":
        with pytest.raises(OptionError, match="Ending: returns no map; name one with `layer`"):
            padviz.run_tiles(module, tmp_path / "image.npy", tmp_path / "o.npy", 24)
        assert not (tmp_path / "o.npy").exists()
    written = padviz.run_tiles(module, tmp_path / "image.npy", tmp_path / "o.npy", 24, "conv")
    assert written.shape == (4, 64, 64)


@pytest.mark.parametrize("name", ENDS)
def test_the_ways_out_of_what_is_not_the_last_map_are_exact(name: str) -> None:
    module, image = Ending(ENDS[name][0]).eval(), torch.rand(1, 1, 64, 64, **DOUBLE)
    together = tiled(module, image, padviz.tiles(module, 64, 24, norms="shared").plan)
    torch.testing.assert_close(together, module(image), rtol=0, atol=1e-12)
    plan = padviz.tiles(module, 64, 24, layer="conv").plan
    assert isinstance(plan, Plan)
    assert stitched(module.conv, plan) <= 1e-12
    with pytest.raises(OptionError, match="model: does not return conv, for which the plan is; "):
        tiled(module, image, plan)


def test_a_plan_for_a_layer_inside_does_not_run_the_whole_module() -> None:
    layers = [nn.Conv2d(4, 4, 3, padding=1, **DOUBLE) for _ in range(3)]
    module, image = nn.Sequential(*layers).eval(), torch.rand(1, 4, 64, 64, **DOUBLE)
    plan = padviz.tiles(padviz.load(module, 64), 64, 24, layer="1").plan
    with pytest.raises(OptionError, match="model: does not return 1, for which the plan is; give"):
        tiled(module, image, plan)
    part = module[:2].eval()
    torch.testing.assert_close(tiled(part, image, plan), part(image), rtol=0, atol=1e-12)
    last = padviz.tiles(module, 64, 24, layer="2").plan
    torch.testing.assert_close(tiled(module, image, last), module(image), rtol=0, atol=1e-12)


VECTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "means": lambda x: x.mean((2, 3)) @ torch.ones(4, 5, **DOUBLE),
    "one number": lambda x: x.sum(),
    "places": lambda x: x.flatten(2).argmax(-1),
    "pooled": lambda x: functional.adaptive_avg_pool2d(x, 30),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_model_that_returns_another_shape_is_refused(name: str) -> None:
    module, image = Ending(VECTORS[name]).eval(), torch.rand(1, 1, 64, 64, **DOUBLE)
    says = r"model: returns .* for a tile of 24 x 24, which has 24 x 24 units of conv; .*shared"
    plan = padviz.tiles(module, 64, 24).plan
    with pytest.raises(OptionError, match=says):
        tiled(module, image, plan)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            "a resize that, with its corners aligned",
        ),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "circular padding"),
        (nn.Upsample(size=(50, 60)), None),
        (nn.AdaptiveAvgPool2d(8), None),
    ],
)
def test_what_follows_the_size_of_the_image_is_named(layer: nn.Module, why: str | None) -> None:
    network = padviz.load(nn.Sequential(conv(1, 2), layer, conv(2, 1)), size=(96, 96))
    assert pixels_around(network, (96, 96)) is None
    with pytest.raises(PadvizError, match=rf"no tiles are exact: 1\S* \({why}" if why else None):
        padviz.tiles(network, (96, 96), (48, 48))


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
    several = tiled(
        run,
        image,
        plan,
        batch=4,
        out=out,
        on_progress=lambda done, count: seen.append((done, count)),
    )
    assert several is out
    assert np.allclose(out, one, rtol=1e-12)
    assert seen[-1] == (len(plan), len(plan))
    for k, j in product((0, 1), (0, 1)):
        with pytest.raises(OptionError, match="the plan for 200 x 212"):
            tiled(run, image[..., k:, j + 1 :], plan)
    with pytest.raises(OptionError, match="cannot be run at once"):
        tiled(run, image[0], plan, batch=2)


def test_a_batch_of_images_is_tiled_at_once() -> None:
    module = seeded(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 3)))
    plan, images = padviz.tiles(module, (40, 36), 20).plan, torch.rand(3, 1, 40, 36, **DOUBLE)
    with torch.no_grad():
        assert float((tiled(module, images, plan) - module(images)).abs().max()) < 1e-12


def test_tiles_leave_no_steps_behind_and_modules_take_tensors() -> None:
    module = nn.Conv2d(1, 1, 3, padding=1).eval()
    plan = padviz.tiles(module, (24, 24), (12, 12)).plan
    assert not tiled(module, torch.ones(1, 1, 24, 24), plan).requires_grad
    with pytest.raises(OptionError, match="a module takes tensors; give torch"):
        tiled(module, np.ones((1, 1, 24, 24)), plan)
    with pytest.raises(
        OptionError, match="out of order; give the model, an array or tensor, and the plan"
    ):
        tiled(module, plan, torch.ones(1, 1, 24, 24))


def test_an_audit_says_which_units_depend_on_padding_behind_a_norm() -> None:
    depends = "1 (instance norm) makes every position depend on all."
    padding = {}
    for pads in ((0, 0), (1, 0), (0, 1)):
        first, last = (nn.Conv2d(1, 1, 3, padding=pad) for pad in pads)
        padding[pads] = padviz.audit(nn.Sequential(first, nn.InstanceNorm2d(1), last), 32).padding
    assert padding[0, 0] == f"No unit of 2 reads padding; {depends}"
    assert padding[1, 0] == f"Every unit depends on padding: {depends}"
    assert (
        padding[0, 1] == f"Of 30 x 30 units of 2 the inner 28 x 28 depend on no padding; {depends}"
    )


class ByTheSize(nn.Module):
    """One convolution more in images of more than 100 rows, after a pad to a multiple of 4 that is cut off again."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(1, 4), conv(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        y = self.a(functional.pad(x, (0, -width % 4, 0, -height % 4)))
        return (self.b(y) if height > 100 else self.b(self.b(y)))[..., :height, :width]


def test_a_plan_reads_the_network_at_the_tiles_size() -> None:
    with pytest.raises(
        padviz.PadvizError, match="the end: it has b_2 in its place at 96 x 96; try another"
    ):
        padviz.tiles(ByTheSize(), 256, 96)
    assert padviz.tiles(ByTheSize(), 256, 126).plan.tile == (
        124,
        124,
    )  # a multiple of 4, as the image
    module = seeded(ByTheSize())
    assert stitched(module, padviz.tiles(module, 255, 127).plan) < 1e-12


def test_a_module_of_single_precision_inside_runs_as_it_is() -> None:
    class Single(nn.Module):
        weight = torch.rand(4, 3, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv2d(x, self.weight, padding=1)

    module = nn.Sequential(nn.Conv2d(3, 3, 1), Single())
    found = padviz.verify(module, 32, tile=12)
    assert (found.holds, found.precision) == (True, "float32")
    assert "Not judged: Sequential does not run in float64; and 1 more." in str(found)


def test_a_module_that_writes_into_its_input_is_exact() -> None:
    class Centred(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x -= 0.5
            return super().forward(x)

    assert padviz.verify(Centred(1, 2, 3, padding=1), 64, tile=24).holds


def test_a_real_detector_is_exact_up_to_its_first_gate_and_not_behind_it() -> None:
    path = real_file("ch_PP-OCRv4_det_infer")
    with pytest.raises(OptionError, match=r"no tiles are exact: p2o\.Mul\.110 \(gate\)"):
        padviz.verify(path, tile=384)
    first = in_smallest_tiles(path, layer="p2o.Conv.21")
    plan = first.plan
    assert (first.precision, plan.image, plan.tile) == ("float32", (448, 448), (384, 384))
    assert first.holds
    assert min(first.one_less.values()) > 1e-5
    gated = in_smallest_tiles(path, layer="p2o.Mul.162", per_tile=True)
    assert gated.difference > 1e-3


def test_heads_are_compared_each_by_itself() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near, self.far = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 5, 2, padding=2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"a": self.near(x).relu(), "b": self.far(x).relu()}

    verified = in_smallest_tiles(Two(), 64)
    assert verified.holds
    assert verified.one_less["top"] > 0.01


@pytest.mark.parametrize(
    ("returned", "name"),
    [
        (list, "output"),
        (lambda both: both[::-1], "output"),
        (lambda both: {"maps": [*both]}, "maps"),
    ],
)
def test_heads_of_one_size_are_compared_in_the_order_in_which_they_are_returned(
    returned: Any, name: str
) -> None:
    class Pooled(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> Any:
            made = super().forward(x)
            return returned((made, nn.functional.avg_pool2d(made, 9, 1, 4)))

    module = Pooled(1, 2, 3, padding=1)
    assert {*padviz.load(module).aliases} == {f"{name}.0", f"{name}.1"}
    verified = in_smallest_tiles(nn.Sequential(module), 64)
    assert verified.holds
    assert min(verified.one_less.values()) > 0.01


def test_a_network_that_makes_the_same_of_everything_shows_nothing() -> None:
    silent = nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=1, bias=False), nn.Conv2d(2, 1, 3, padding=1, bias=False)
    )
    nn.init.zeros_(silent[1].weight)
    found = padviz.verify(silent, 32, tile=12)
    assert (found.holds, found.finding) == (False, None)
    assert "Nothing to show: 1 is the same everywhere for noise" in str(found)


def test_an_image_that_would_take_too_long_is_refused() -> None:
    refused = "runs the network on 2049 x 2048 px, which takes too long; use a smaller one"
    with pytest.raises(OptionError, match=refused):
        padviz.verify(nn.Conv2d(3, 1, 3), (2049, 2048), tile=512)


@pytest.mark.parametrize("name", ["unet", "unet_padded", "resnet50", "vgg16"])
@pytest.mark.parametrize("size", [(512, 509), (700, 1311)])
def test_the_smallest_tiles_are_three_a_side_and_none_are_smaller(
    name: str, size: tuple[int, int]
) -> None:
    network = padviz.load(name)
    plan = smallest_plan(network, size, False)
    assert [len(line.starts) for line in plan.lines] == [3, 3]
    step = plan.contexts[0][0].alignment
    for axis in (0, 1):
        assert (plan.image[axis] - size[axis]) % step == 0
        less = [n - step * (axis == i) for i, n in enumerate(plan.tile)]
        with pytest.raises(OptionError, match=f"are too few: below {plan.tile[axis]}"):
            padviz.tiles(network, plan.image, less)


@pytest.mark.parametrize("blocks", [{"size": 0, "step": 2}, {"size": 4, "step": 0}])
def test_attention_between_rows_far_apart_counts_as_local_where_it_is_ignored(
    blocks: dict[str, int],
) -> None:
    layers: list[dict[str, Any]] = [{"op": "conv", "name": "c", "kernel": 3, "padding": 1}]
    far = parse({"layers": [*layers, {"op": "mixing", "name": "m", **blocks}]}, "far")
    with pytest.raises(OptionError, match="no tiles are exact: m"):
        plan_tiles(far, (256, 256), (64, 64))
    plan = plan_tiles(far, (256, 256), (64, 64), ignore_norms=True)
    assert plan.lines == plan_tiles(parse({"layers": layers}, "near"), (256, 256), (64, 64)).lines


@pytest.mark.parametrize("name", ["u-net", "decoder with output padding"])
def test_a_tile_keeps_exactly_the_units_that_the_whole_image_makes_too(name: str) -> None:
    module, _, most = MODULES[name]
    height, width = (n // 16 * 16 for n in most)
    seeded(module)
    network = padviz.load(module, size=(384, 384))
    exact = [row for row in kept_of(network, (384, 384), (height, width)) if row.level == 1]
    image = torch.rand(1, 1, 384, 384, **DOUBLE)
    tile = (slice(128, 128 + row_length) for row_length in (height, width))
    with torch.no_grad():
        rows, cols = tile
        whole, made = module(image)[..., rows, cols], module(image[..., rows, cols])
    alike = ((whole - made).abs() < 1e-12).all(1)[0]
    for row, line in zip(exact, (alike.any(1), alike.any(0)), strict=True):
        first, last = int(row.before), len(line) - int(row.after)
        assert last - first == row.units == row.pixels
        assert line[first:last].all()
        assert not line[:first].any()
        assert not line[last:].any()


def test_a_tile_keeps_more_units_for_a_share_of_their_paths_and_all_of_an_image_that_it_holds() -> (
    None
):
    network = padviz.load("unet_padded")
    rows = [row for row in kept_of(network, (512, 512), (256, 600)) if row.axis == "height"]
    assert [row.units for row in rows] == [68, 114, 144]
    assert {
        row.units for row in kept_of(network, (512, 512), (256, 600)) if row.axis == "width"
    } == {512}
    for row in rows[1:]:  # the tile begins at row 128 of the image
        inside = (int(row.before), int(256 - row.after) - 1)
        shares = []
        for unit in (*inside, inside[0] - 1, inside[1] + 1):
            paths = [*padviz.usage(network, 512, unit=(128 + unit, 256)).counts.sum(1)]
            shares.append(sum(paths[128:384]) / sum(paths))
        assert min(shares[:2]) >= row.level
        assert row.level == 0.999 or max(shares[2:]) < 0.999
    gated = kept_of(padviz.load("efficientnet_b0"), (2048, 1024), (1536, 1024))
    assert gated[0].units == 0 < gated[-2].units
    with pytest.raises(
        OptionError, match="tile: tiles start on multiples of 16; use a larger `tile`"
    ):
        kept_of(network, (512, 512), (8, 8))


def test_what_a_tile_of_a_volume_keeps_is_listed_if_exact() -> None:
    network = padviz.load(torch.nn.Conv3d(1, 1, 3, padding=1), 8)
    assert [(row.level, row.units) for row in kept_of(network, (32, 32, 32), (8, 8, 32))] == [
        (1, 6),
        (1, 6),
        (1, 32),
    ]


def test_no_level_keeps_less_than_what_is_exact() -> None:
    network = padviz.load(signal_decoder(), 400)
    units = [row.units for row in kept_of(network, (400,), (64,))]
    assert units == sorted(units)
    assert units[0] == 430  # some of which lie less than a whole sample further in


@pytest.mark.parametrize(
    ("image", "tile"), [(2048, 512), (2048, 518), (2048, 500), (1000, 260), (1000, 999), (300, 512)]
)
def test_slightly_larger_tiles_are_named_where_far_fewer_are_enough(image: int, tile: int) -> None:
    convolutions = [{"op": "conv", "out": 1, "kernel": 3, "padding": 1}] * 4
    network = parse({"layers": convolutions}, "four")
    tiling = padviz.tiles(network, image, tile)
    least = min(len(padviz.tiles(network, image, n).plan) for n in range(tile, tile * 21 // 20 + 1))
    assert (tiling.fewer is not None) == (4 * least <= 3 * len(tiling.plan))
    if tiling.fewer is not None:
        assert len(tiling.fewer) == least
        assert f"With --tile {tiling.fewer.tile[0]}, {least} tiles are enough." in str(tiling)
