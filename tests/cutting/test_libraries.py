"""The printed calls, run in the libraries that they are for, and what goes wrong without their recipes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import padviz
from padviz.cutting.handover import Handover, handover, keywords
from padviz.cutting.plan import Plan, plan_tiles
from padviz.network.targets import upto
from tests.cutting.test_plan import UNet, seeded

MODEL = seeded(UNet(1))
SIZES = {"fits": ((200, 212), (84, 96)), "pushed back": ((332, 404), (97, 120)), "square": ((256, 256), (128, 128))}
WHOLE: dict[str, Any] = {}


class Pooled(nn.Module):
    """A level down and up again, cut to the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2, ceil_mode=True)
        self.up = nn.Upsample(scale_factor=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(self.pool(self.conv(x)))[..., : x.shape[2], : x.shape[3]]


def model(image: Any) -> Any:
    with torch.no_grad():
        return MODEL(image.double())


def planned(name: str) -> tuple[Plan, Any, Any]:
    """A plan, an image, and what the network makes of it as a whole."""
    size, tile = SIZES[name]
    if name not in WHOLE:
        image = torch.rand(1, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        WHOLE[name] = plan_tiles(padviz.load(MODEL, size=size), size, tile), image, model(image)
    return WHOLE[name]  # type: ignore[no-any-return]


def apart(one: Any, other: Any) -> float:
    return float((one - other).abs().max() / other.abs().max())


def run(recipe: Handover, **names: Any) -> dict[str, Any]:
    """Paste the call, and look at what it makes."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        exec(recipe.call, names)
    return names


@pytest.mark.parametrize("name", SIZES)
def test_monai_makes_the_whole_of_tiles(name: str) -> None:
    inferers = pytest.importorskip("monai.inferers")
    plan, image, whole = planned(name)
    recipe = handover(plan, "monai")
    out = run(recipe, image=image, model=model)["out"]
    assert recipe.exact == "everywhere"
    assert apart(out, whole) < 1e-5
    given = inferers.sliding_window_inference(image, predictor=model, **keywords(plan, "monai"))
    assert apart(given, whole) < 1e-5
    plain = inferers.sliding_window_inference(image, plan.tile, 1, model, overlap=recipe.arguments["overlap"])
    assert apart(plain, whole) > 0.01  # without weights


def test_a_call_for_monai_is_of_one_size_and_says_so() -> None:
    inferers = pytest.importorskip("monai.inferers")
    image, made = torch.rand(1, 1, 200, 212, generator=torch.Generator().manual_seed(0)), {}
    for size in ((332, 404), (200, 212)):
        plan = plan_tiles(padviz.load(MODEL, size=size), size, (96, 96))
        recipe, sizes = handover(plan, "monai"), f"for images of {size[0]} x {size[1]} only: plan again for each size"
        assert recipe.words == f"exact; {sizes}"
        assert recipe.call.startswith(f"# {sizes}\n")
        made[size] = inferers.sliding_window_inference(image, predictor=model, **keywords(plan, "monai"))
    assert apart(made[200, 212], model(image)) < 1e-5
    assert apart(made[332, 404], model(image)) > 0.01


def test_the_call_for_monai_joins_what_is_right_and_how_far_tiles_are_apart() -> None:
    network = padviz.load("unet_padded")
    call, same = (handover(plan_tiles(network, (n, 1024), (512, 512)), "monai").call for n in (4096, 1024))
    spacing = "# 324 x 324 px of a tile are right and get weight 1; tiles start 304 x 320 px apart,"
    assert f"{spacing}\n# not 320 x 320 as in the plan: at the image's end two wrong tiles would be averaged\n" in call
    assert "tiles start 320 x 320 px apart\n" in same
    assert "as in the plan" not in same


def test_the_call_for_monai_is_exact_in_half_precision() -> None:
    pytest.importorskip("monai.inferers")
    plan, image, _ = planned("pushed back")
    half = image.half()
    out = run(handover(plan, "monai"), image=half, model=lambda tile: model(tile).half())["out"]
    assert apart(out, model(half)) < 1e-3  # what rounding to half precision takes


def test_calls_that_repeat_one_tile_are_right_for_all_sizes_of_the_lattice() -> None:
    plan, *_ = planned("fits")
    recipe = handover(plan, "realesrgan")
    assert recipe.words == "exact; for images of height and width a multiple of 4 only"
    for size in ((96, 340), (332, 60), (52, 48)):
        image = torch.rand(1, 1, *size, dtype=torch.float64)
        assert apart(enhanced(image, **recipe.arguments), model(image)) < 1e-12
    flat = plan_tiles(upto(padviz.load("vgg11"), ("features.0",)), (900, 700), (512, 512))
    assert handover(flat, "realesrgan").words == handover(flat, "torchio").words == "exact"


def test_each_library_names_the_sizes_that_its_call_is_for() -> None:
    plan = plan_tiles(padviz.load(seeded(Pooled()), size=(101, 130)), (101, 130), (41, 40))
    ends = "for images of height 1 more than a multiple of 2 and width a multiple of 2 only"
    for library in ("realesrgan", "torch-em", "bioimageio", "rastervision"):
        recipe = handover(plan, library)
        assert recipe.words.endswith(f"; {ends}"), library
        assert recipe.call.startswith(f"# {ends}\n"), library
    column = plan_tiles(padviz.load("unet_padded"), (1024, 512), (512, 512))
    assert handover(column, "torchio").words == "exact; for images of 1024 x 512 only: plan again for each size"
    assert "only" not in handover(column, "sahi").words


@pytest.mark.parametrize("library", ["terratorch", "tiatoolbox"])
def test_a_tile_that_a_library_would_start_off_the_lattice_is_not_called_exact(library: str) -> None:
    pooled = seeded(Pooled()).float()
    image = torch.rand(1, 1, 101, 130, generator=torch.Generator().manual_seed(0))
    last = pooled(image[..., 101 - 40 :, :])  # of 40 rows, which end with the image
    assert apart(last[..., 8:-8, :].detach(), pooled(image)[..., 101 - 32 : -8, :].detach()) > 0.01
    recipe = handover(plan_tiles(padviz.load(pooled, size=(101, 130)), (101, 130), (41, 40)), library)
    assert recipe.exact == "nowhere"
    assert recipe.words == "not exact: its tiles would start off the lattice; pad the image to 102 x 130"
    even = plan_tiles(padviz.load(pooled, size=(102, 130)), (102, 130), (41, 40))
    assert handover(even, library).exact == "inside"


@pytest.mark.parametrize("spelt", [lambda fraction: fraction, lambda fraction: round(fraction, 3)])
def test_monai_leaves_the_lattice_where_the_overlap_is_the_fraction_itself(spelt: Any) -> None:
    inferers = pytest.importorskip("monai.inferers")
    _, image, whole = planned("square")
    tile, overlap = next(
        (n, m)
        for n in range(96, 200, 4)
        for m in range(48, n - 8, 4)
        if int(n * (1 - spelt(m / n))) == n - m - 1  # rounded down
        and (234 - n) // (n - m) * (n - m) <= 234 - n < 256 - n <= (234 - n) // (n - m) * (n - m) + n - m
    )
    weights = torch.full((tile,), 1e-10)
    weights[22 : tile - 22] = 1
    differences = []
    for fraction in (spelt(overlap / tile), (overlap - 0.5) / tile):
        settings = {"mode": "constant", "roi_weight_map": torch.outer(weights, weights)}
        out = inferers.sliding_window_inference(image, (tile, tile), 1, model, overlap=fraction, **settings)
        differences.append(apart(out, whole))
    assert differences[0] > 0.01
    assert differences[1] < 1e-5


def test_monai_pushes_the_last_tile_off_the_lattice_where_tiles_do_not_fit() -> None:
    inferers = pytest.importorskip("monai.inferers")
    pooled, size = seeded(Pooled()), (101, 101)
    plan = plan_tiles(padviz.load(pooled, size=size), size, (40, 40))
    recipe, image = handover(plan, "monai"), torch.rand(1, 1, *size, dtype=torch.float64)
    assert (plan.tile, recipe.exact) == ((39, 39), "everywhere")
    names = {"image": image, "model": lambda tile: pooled(tile.double())}
    whole, window = pooled(image), inferers.sliding_window_inference
    assert apart(run(recipe, **names)["out"], whole) < 1e-5
    assert apart(window(image, (40, 40), 1, names["model"], overlap=0.5, mode="constant"), whole) > 0.01


@pytest.mark.parametrize("name", SIZES)
def test_torchio_makes_the_whole_of_tiles(name: str) -> None:
    torchio = pytest.importorskip("torchio")
    plan, image, whole = planned(name)
    recipe = handover(plan, "torchio")
    if recipe.exact != "everywhere":
        assert "pad the image to an even size" in recipe.words
        return
    subject = torchio.Subject(image=torchio.ScalarImage(tensor=image[0].unsqueeze(-1)))
    names = run(recipe, subject=subject)
    for batch in torch.utils.data.DataLoader(names["sampler"], batch_size=2):
        tiles = model(batch["image"]["data"][..., 0]).unsqueeze(-1)
        names["aggregator"].add_batch(tiles, batch[torchio.LOCATION])
    assert apart(names["aggregator"].get_output_tensor()[..., 0][None], whole) < 1e-5


@pytest.mark.parametrize("name", SIZES)
def test_toolbelt_makes_the_whole_of_tiles(name: str) -> None:
    tiles = pytest.importorskip("pytorch_toolbelt.inference.tiles")
    plan, image, whole = planned(name)
    recipe = handover(plan, "toolbelt")
    slicer = run(recipe)["slicer"]
    if recipe.exact == "everywhere":
        assert (slicer.weight == tiles.ImageSlicer(**keywords(plan, "toolbelt")).weight).all()
    merger = tiles.TileMerger(slicer.target_shape, 2, slicer.weight, dtype=torch.float64)
    for part, crop in zip(slicer.split(image[0].permute(1, 2, 0).numpy()), slicer.crops, strict=True):
        merger.integrate_batch(model(torch.from_numpy(np.moveaxis(part, -1, 0))[None]), [crop])
    merged = slicer.crop_to_orignal_size(np.moveaxis(merger.merge().numpy(), 0, -1))
    difference = apart(torch.from_numpy(np.moveaxis(merged, -1, 0))[None], whole)
    if recipe.exact == "everywhere":
        assert difference < 1e-5
    else:
        assert "no step fits the image; pad it to" in recipe.words
        assert difference > 1e-3


def enhanced(image: Any, tile: int, tile_pad: int) -> Any:
    """What Real-ESRGAN's tiler makes: cores of `tile` pixels from the corner on, with `tile_pad` around them."""
    out = torch.zeros(1, 2, *image.shape[2:], dtype=torch.float64)
    height, width = image.shape[2:]
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            ends = min(top + tile, height), min(left + tile, width)
            first = max(top - tile_pad, 0), max(left - tile_pad, 0)
            last = min(ends[0] + tile_pad, height), min(ends[1] + tile_pad, width)
            made = model(image[..., first[0] : last[0], first[1] : last[1]])
            rows = slice(top - first[0], ends[0] - first[0])
            out[..., top : ends[0], left : ends[1]] = made[..., rows, left - first[1] : ends[1] - first[1]]
    return out


@pytest.mark.parametrize("name", SIZES)
def test_the_tiler_of_realesrgan_makes_the_whole_of_tiles(name: str) -> None:
    plan, image, whole = planned(name)
    recipe = handover(plan, "realesrgan")
    assert recipe.exact == "everywhere"
    assert apart(enhanced(image, **recipe.arguments), whole) < 1e-12
    less = {**recipe.arguments, "tile_pad": recipe.arguments["tile_pad"] - 4}
    assert apart(enhanced(image, **less), whole) > 1e-9


@pytest.mark.parametrize("library", ["nnunet", "cellpose", "diffusers", "comfyui"])
def test_libraries_that_no_plan_makes_exact_are_refused_with_the_reason(library: str) -> None:
    with pytest.raises(padviz.PadvizError, match=f"{library}: (tiles are blended|norms and attention)"):
        handover(planned("square")[0], library)


def test_keyword_arguments_have_the_weights_of_a_tile_and_only_exact_ones_are_given() -> None:
    plan = padviz.tiles("unet_padded", 1024, 512)
    recipe, given = handover(plan.value, "monai"), plan.for_("MONAI")
    weights = given.pop("roi_weight_map")
    assert given == recipe.arguments
    assert weights.shape == (512, 512)
    assert (weights[94:418, 94:418] == 1).all()
    assert (weights == 1).sum() == 324 * 324
    with pytest.raises(padviz.PadvizError, match="sahi is not exact: boxes are merged"):
        plan.for_("sahi")
    with pytest.raises(padviz.PadvizError, match="monai is not exact: tiles see 99 %"):
        padviz.tiles("unet_padded", 1024, 512, level=0.99).for_("monai")
