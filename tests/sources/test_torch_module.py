"""Models of torchvision and timm against their own forwards, beside tests/zoo; the zoo against torchvision."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import list_models

import padviz
from padviz.network.sizes import resolve_each
from padviz.sources.toml.load import zoo
from tests.sweeps import DEEPER, asked, sampled
from tests.torch_calls import count, torchvisions
from tests.zoo.building import entries

SIZE = (65, 97)  # two rows or more wherever a map is gated
VIDEOS = list_models(module=torchvision.models.video)
DETECTORS = list_models(module=torchvision.models.detection)


def some(names: list[str], few: str, slow: str = "") -> list[Any]:
    """All names as parameters: a few in `make test`, others in `make test-slow`, and the rest in `make soak`."""
    return sampled(names, " ".join(sorted({*names} - {*few.split()} - {*slow.split()})), slow)


@pytest.mark.parametrize(
    "name", ["mobileone_s0", "nf_resnet26", "resnetblur18", "tf_efficientnet_b0", "tf_mixnet_s"]
)
def test_timms_convolutional_models(name: str) -> None:
    """Every count, and the size of every convolution and pool that is a module, is the forward's own."""
    with torch.device("meta"):
        module = timm.create_model(name)
    expected, seen = count(module, SIZE)
    network = padviz.load(module, SIZE)
    np.testing.assert_allclose(
        padviz.usage(network).counts.astype(float), expected, rtol=1e-12, atol=0
    )
    rows, cols = resolve_each(network, SIZE)
    sizes = {
        layer.name: each
        for layer, *each in zip(network.layers, rows.sizes, cols.sizes, strict=True)
    }
    known = seen.keys() & sizes.keys()
    assert len(known) > 2
    assert {layer: tuple(sizes[layer]) for layer in known} == {
        layer: seen[layer] for layer in known
    }


LASTS = ("cls_logits", "bbox_pred", "bbox_reg", "bbox_ctrness")


class Heads(nn.Module):
    """The maps that a detector makes boxes of."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone, self.maps = detector.backbone, []
        head = detector.rpn.head if hasattr(detector, "rpn") else detector.head
        self.heads = (
            [head] if hasattr(detector, "rpn") else [head.classification_head, head.regression_head]
        )
        for name, module in head.named_modules():
            if name.split(".")[-1] in LASTS or name.split(".")[-2:-1] == ["module_list"]:
                module.register_forward_hook(lambda module, args, out: self.maps.append(out))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [*self.backbone(x).values()]
        for head in self.heads:
            with suppress(RuntimeError):  # the oracle joins no positions
                head(features)
        return self.maps


@pytest.mark.parametrize(
    "name",
    some(
        DETECTORS,
        "fasterrcnn_mobilenet_v3_large_320_fpn fcos_resnet50_fpn ssdlite320_mobilenet_v3_large",
        "maskrcnn_resnet50_fpn_v2 retinanet_resnet50_fpn ssd300_vgg16",
    ),
)
def test_torchvisions_detectors_are_counted_as_shipped(name: str) -> None:
    # images of that size stay as they are
    options = {} if name.startswith("ssd") else {"min_size": 64, "max_size": 96}
    detector = getattr(torchvision.models.detection, name)(
        weights=None, weights_backbone=None, **options
    )
    size = (64, 96) if options else (300, 300) if "300" in name else (320, 320)
    found = padviz.usage(detector, size, heads="sum")
    assert "joins the positions of several maps" in found.notes[0]
    np.testing.assert_allclose(
        found.counts.astype(float), count(Heads(detector.double()), size)[0], rtol=1e-12
    )


@pytest.mark.parametrize("name", some(VIDEOS, "r3d_18", "swin3d_t"))
def test_a_model_of_videos_has_three_axes(name: str) -> None:
    assert padviz.load(f"torchvision.models.video:{name}").axes == ("depth", "height", "width")


def test_every_model_is_compared_here_or_in_the_zoo() -> None:
    """Those in bytes are compared in floats."""
    here = asked(test_torchvisions_detectors_are_counted_as_shipped) | asked(
        test_a_model_of_videos_has_three_axes
    )
    compared = here | {each.name for each in entries() if each.library.startswith("torchvision")}
    assert {name.removeprefix("quantized_") for name in list_models()} == compared


def test_a_factory_may_be_called_with_a_name() -> None:
    named = padviz.load("torchvision.models:get_model:resnet18")
    assert (named.name, named.targets) == ("resnet18", ("layer4.1",))
    np.testing.assert_array_equal(
        padviz.usage(named, 64).counts, padviz.usage("resnet18", 64).counts
    )
    with pytest.raises(padviz.PadvizError, match=r"get_model:resnet17: cannot be made: .*resnet17"):
        padviz.load("torchvision.models:get_model:resnet17")


def test_a_model_that_predicts_is_read_as_the_network_in_it() -> None:
    class Predicting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3, stride=2))

        def __call__(self, files: list[str]) -> list[str]:
            return [file.upper() for file in files]

    assert padviz.load(Predicting()).targets == ("1",)


def test_a_linear_layer_over_columns_mixes_them_and_leaves_rows_alone() -> None:
    convs = (nn.Conv2d(entering, 4, 3, padding=1) for entering in (3, 4))
    found = padviz.usage(
        padviz.load(nn.Sequential(next(convs), nn.Linear(12, 12), next(convs)), 12), 12
    )
    taps, one = np.eye(12, k=-1) + np.eye(12) + np.eye(12, k=1), np.ones(12)
    np.testing.assert_array_equal(
        found.counts, np.outer(taps @ taps @ one, taps @ np.outer(one, one) @ taps @ one)
    )


OWN = {"mobilenet_v1", "unet", "unet_padded"}  # networks that torchvision does not have
ZOO_SIZES = [(224, 224), (225, 320)]
FUNCTIONAL = {
    "max_pool",
    "avg_pool",
}  # pools that Inception calls as functions, so that they have no module


@pytest.mark.parametrize("name", sampled([name for name in zoo() if name not in OWN], "", DEEPER))
def test_counts_sizes_and_names_are_torchvisions(name: str) -> None:
    model, network = torchvisions(name), padviz.load(name)
    for size in [(300, 300), (301, 400)] if name == "ssd300_vgg16" else ZOO_SIZES:
        expected, ran = count(model, size)
        found = padviz.usage(network, size)
        np.testing.assert_allclose(found.counts.astype(np.float64), expected, rtol=1e-12, atol=0)
        rows, cols = resolve_each(network, size)
        windowed = {
            layer.name: (rows.sizes[i], cols.sizes[i])
            for i, layer in enumerate(network.layers)
            if layer.kind in ("conv", "maxpool", "avgpool")
            and layer.name.split(".")[-1] not in FUNCTIONAL
        }
        # not of gates
        ran = {layer: out for layer, out in ran.items() if layer in windowed or out != (1, 1)}
        assert windowed == ran
