"""The printed calls, run in the libraries that they are for, and what goes wrong without them."""

import re
import warnings
from itertools import product
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
SIZES = {
    "fits": ((200, 212), (84, 96)),
    "pushed back": ((332, 404), (97, 120)),
    "square": ((256, 256), (128, 128)),
    "a row of tiles": ((96, 308), (96, 84)),
}
WHOLE: dict[str, Any] = {}


def model(image: Any) -> Any:
    with torch.no_grad():
        return MODEL(image.double())


def planned(name: str) -> tuple[Plan, Any, Any]:
    size, tile = SIZES[name]
    if name not in WHOLE:
        image = torch.rand(
            1, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        WHOLE[name] = plan_tiles(padviz.load(MODEL, size=size), size, tile), image, model(image)
    return WHOLE[name]  # type: ignore[no-any-return]


def apart(one: Any, other: Any) -> float:
    return float((one - other).abs().max() / other.abs().max())


def run(recipe: Handover, **names: Any) -> dict[str, Any]:
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
    assert recipe.exact
    assert apart(out, whole) < 1e-5
    given = inferers.sliding_window_inference(image, predictor=model, **keywords(plan, "monai"))
    assert apart(given, whole) < 1e-5
    plain = inferers.sliding_window_inference(
        image, plan.tile, 1, model, overlap=recipe.arguments["overlap"]
    )
    assert apart(plain, whole) > 0.01  # without weights
    if name == "pushed back":
        half = run(recipe, image=image.half(), model=lambda tile: model(tile).half())["out"]
        assert apart(half, model(image.half())) < 1e-3  # what rounding to half precision takes


def test_a_call_for_monai_is_of_one_size_and_says_so() -> None:
    inferers = pytest.importorskip("monai.inferers")
    image, made = torch.rand(1, 1, 200, 212, generator=torch.Generator().manual_seed(0)), {}
    for size in ((332, 404), (200, 212)):
        plan = plan_tiles(padviz.load(MODEL, size=size), size, (96, 96))
        recipe, sizes = (
            handover(plan, "monai"),
            f"for images of {size[0]} x {size[1]} only: plan again for each size",
        )
        assert recipe.words == f"exact; {sizes}"
        assert recipe.call.startswith(f"# {sizes}\n")
        made[size] = inferers.sliding_window_inference(
            image, predictor=model, **keywords(plan, "monai")
        )
    assert apart(made[200, 212], model(image)) < 1e-5
    assert apart(made[332, 404], model(image)) > 0.01


def test_the_call_for_monai_joins_what_is_right_and_how_far_tiles_are_apart() -> None:
    network = padviz.load("unet_padded")
    call, same = (
        handover(plan_tiles(network, (n, 1024), (512, 512)), "monai").call for n in (4096, 1024)
    )
    assert (
        "# tiles start 304 x 320 px apart, not 320 x 320 as in the plan:\n"
        "# at the image's end inexact tiles would be averaged\n"
    ) in call
    assert "tiles start 320 x 320 px apart\n" in same
    assert "as in the plan" not in same


def test_the_call_for_torchio_is_exact_for_the_sizes_that_it_names() -> None:
    pytest.importorskip("torchio")
    recipe = handover(planned("fits")[0], "torchio")
    assert recipe.words == "exact; only for images whose height and width are multiples of 4"
    for size in ((96, 340), (332, 100), (88, 104), (260, 128)):
        image = torch.rand(1, 1, *size, dtype=torch.float64)
        assert apart(joined(recipe, image), model(image)) < 1e-5
    flat = plan_tiles(upto(padviz.load("vgg11"), ("features.0",)), (900, 700), (512, 512))
    assert handover(flat, "torchio").words == "exact"


@pytest.mark.parametrize("name", SIZES)
def test_torchio_makes_the_whole_of_tiles(name: str) -> None:
    pytest.importorskip("torchio")
    plan, image, whole = planned(name)
    recipe = handover(plan, "torchio")
    if not recipe.exact:
        assert "pad the image to an even size" in recipe.words
        return
    assert apart(joined(recipe, image), whole) < 1e-5


def joined(recipe: Handover, image: Any) -> Any:
    import torchio

    subject = torchio.Subject(image=torchio.ScalarImage(tensor=image[0].unsqueeze(-1)))
    names = run(recipe, subject=subject)
    for batch in torch.utils.data.DataLoader(names["sampler"], batch_size=2):
        tiles = model(batch["image"]["data"][..., 0]).unsqueeze(-1)
        names["aggregator"].add_batch(tiles, batch[torchio.LOCATION])
    return names["aggregator"].get_output_tensor()[..., 0][None]


@pytest.mark.parametrize("name", SIZES)
def test_toolbelt_makes_the_whole_of_tiles(name: str) -> None:
    tiles = pytest.importorskip("pytorch_toolbelt.inference.tiles")
    plan, image, whole = planned(name)
    recipe = handover(plan, "toolbelt")
    slicer = run(recipe)["slicer"]
    if recipe.exact:
        assert (slicer.weight == tiles.ImageSlicer(**keywords(plan, "toolbelt")).weight).all()
    merger = tiles.TileMerger(slicer.target_shape, 2, slicer.weight, dtype=torch.float64)
    for part, crop in zip(
        slicer.split(image[0].permute(1, 2, 0).numpy()), slicer.crops, strict=True
    ):
        merger.integrate_batch(model(torch.from_numpy(np.moveaxis(part, -1, 0))[None]), [crop])
    merged = slicer.crop_to_orignal_size(np.moveaxis(merger.merge().numpy(), 0, -1))
    difference = apart(torch.from_numpy(np.moveaxis(merged, -1, 0))[None], whole)
    if recipe.exact:
        assert difference < 1e-5
    else:
        assert "no step fits the image; " in recipe.words
        assert difference > 1e-3


BOX = (90, 30, 110, 40)  # left, top, right, bottom


def scene(name: str) -> tuple[Plan, Any]:
    size, tile = SIZES[name]
    image = np.zeros((*size, 3), np.uint8)
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return plan_tiles(padviz.load(MODEL, size=size), size, tile, objects=20), image


def found(tile: Any) -> Any:
    """The box around what is white, (1, 4), or nothing, (0, 4)."""
    rows, cols = np.nonzero(tile[..., 0])
    return np.array(
        [[cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]]
        if len(rows)
        else np.zeros((0, 4))
    )


@pytest.mark.parametrize("name", SIZES)
def test_supervision_reads_the_tiles_of_a_plan(name: str) -> None:
    supervision = pytest.importorskip("supervision")
    plan, image = scene(name)
    shapes = []

    def callback(tile: Any) -> Any:
        shapes.append(tile.shape[:2])
        boxes = found(tile)
        # what is cut off scores less
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return supervision.Detections(boxes, confidence=areas, class_id=np.zeros(len(boxes), int))

    slicer = run(handover(plan, "supervision"), callback=callback)["slicer"]
    boxes = slicer(image).xyxy
    assert shapes == [plan.tile] * len(plan)
    starts = slicer._generate_offset(image.shape[1::-1], slicer.slice_wh, slicer.overlap_wh)[
        :, 1::-1
    ]
    assert [tuple(start) for start in starts] == [
        tuple(side.start for side in tile.read) for tile in plan
    ]
    assert BOX in [tuple(box) for box in boxes]


@pytest.mark.parametrize("name", SIZES)
def test_sahi_reads_the_tiles_of_a_plan(name: str) -> None:
    prediction, base = (
        pytest.importorskip("sahi.prediction"),
        pytest.importorskip("sahi.models.base"),
    )
    plan, image = scene(name)
    starts = []

    class Detector(base.DetectionModel):  # type: ignore[misc]
        def load_model(self) -> None:
            pass

        def perform_inference(self, image: Any) -> None:
            self.shape, self.boxes = image.shape[:2], found(image)

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list: Any, full_shape_list: Any
        ) -> None:
            shift, full = (np.ravel(n).tolist() for n in (shift_amount_list, full_shape_list))
            starts.append(((shift[1], shift[0]), self.shape))
            places = {"shift_amount": shift, "full_shape": full}
            made = [
                prediction.ObjectPrediction(box, 0, "box", score=1.0, **places)
                for box in self.boxes.tolist()
            ]
            self._object_prediction_list_per_image = [made]

    result = run(handover(plan, "sahi"), image=image, model=Detector())["result"]
    tiles = [(tuple(side.start for side in tile.read), plan.tile) for tile in plan]
    assert starts[: len(tiles)] == tiles
    assert BOX in [tuple(box.bbox.to_xyxy()) for box in result.object_prediction_list]


def test_the_ratios_for_sahi_are_whole_pixels() -> None:
    slicing = pytest.importorskip("sahi.slicing")
    network = padviz.load(MODEL, size=(404, 404))
    for most in range(96, 404, 12):
        plan = plan_tiles(network, (404, 404), (most, most))
        boxes = slicing.get_slice_bboxes(*plan.image, **handover(plan, "sahi").arguments)
        assert [box[:2] for box in boxes] == [
            [side.start for side in reversed(tile.read)] for tile in plan
        ]


@pytest.mark.parametrize(
    ("layer", "options"), [("0", {"level": 0.99}), ("1", {"norms": "per-tile"})]
)
def test_a_call_that_is_not_exact_says_so_where_it_is_pasted(
    layer: str, options: dict[str, Any]
) -> None:
    module = seeded(nn.Sequential(nn.Conv2d(1, 2, 9, padding=4), nn.InstanceNorm2d(2)))
    plan = padviz.tiles(module, 96, 48, layer=layer, **options).plan
    for library in ("python", "monai", "torchio", "toolbelt", "sahi", "supervision"):
        recipe = handover(plan, library)
        assert not recipe.exact
        assert recipe.call.startswith(f"# {recipe.words}\n")
        assert recipe.words.startswith("not exact: ")
    asked = handover(plan, "python").arguments
    assert padviz.tiles(module, layer=layer, **asked).plan.lines == plan.lines


@pytest.mark.parametrize("library", ["nnunet", "cellpose", "diffusers", "comfyui"])
def test_libraries_that_no_plan_makes_exact_are_refused_with_the_reason(library: str) -> None:
    with pytest.raises(
        padviz.PadvizError, match=f"{library}: (it blends tiles|norms and attention)"
    ):
        handover(planned("square")[0], library)


def test_keyword_arguments_have_the_weights_of_a_tile_and_only_exact_ones_are_given() -> None:
    found = padviz.tiles("unet_padded", 1024, 512)
    assert isinstance(found.plan, Plan)
    recipe, given = handover(found.plan, "monai"), found.for_("MONAI")
    weights = given.pop("roi_weight_map")
    assert given == recipe.arguments
    assert weights.shape == (512, 512)
    assert (weights[94:418, 94:418] == 1).all()
    assert (weights == 1).sum() == 324 * 324
    with pytest.raises(
        padviz.PadvizError, match="sahi is not exact: boxes of all tiles are merged"
    ):
        found.for_("sahi")
    with pytest.raises(padviz.PadvizError, match="monai is not exact: tiles see 99 %"):
        padviz.tiles("unet_padded", 1024, 512, level=0.99).for_("monai")


@pytest.mark.parametrize("library", ["monai", "toolbelt"])
def test_what_a_refused_call_advises_is_exact(library: str) -> None:
    network, advised = padviz.load("unet_padded"), []
    for size, tile in product((320, 512, 640, 768, 1024, 2048), (208, 256, 288, 304)):
        recipe = handover(plan_tiles(network, (size, size), (tile, tile)), library)
        if recipe.exact:
            continue
        advice, sides = (
            recipe.words.rpartition("; ")[2],
            [int(n) for n in re.findall(r"\d+", recipe.words)],
        )
        advised.append(advice.split()[0])
        if advice.startswith("use tiles of"):
            assert tile < sides[-1] < size
            plan = plan_tiles(network, (size, size), (sides[-1], sides[-1]))
            assert handover(plan, library).exact, (size, tile, advice)
        elif advice.startswith("pad the image to"):
            assert sides[-1] > size
            plan = plan_tiles(network, (sides[-1], sides[-1]), (tile, tile))
            assert handover(plan, library).exact, (size, tile, advice)
        else:
            assert advice == "run the image whole, or use python"
    assert {*advised} == {"use", "pad", "run"}
