"""PyTorch modules: torchvision's and timm's models against a count by their own forward; odd modules; hostile ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models import list_models

import padviz
from padviz.network.network import Network
from padviz.network.sizes import resolve_each
from padviz.network.targets import last_maps
from padviz.sources.toml.load import zoo
from padviz.sources.torch.load import named
from tests.sweeps import asked, sampled
from tests.torch_attention import Attending
from tests.torch_calls import count

SIZES = [(64, 64), (65, 97)]  # two rows or more wherever a map is gated
LARGER = {  # models that need more than 64 rows, or whole multiples
    "alexnet": [(96, 96), (97, 131)],
    "inception_v3": [(128, 128), (139, 160)],
    "inception_v4": [(128, 128), (139, 160)],
    "inception_resnet_v2": [(128, 128), (139, 160)],
    "ssd300_vgg16": [(300, 300), (311, 320)],
    "ssdlite320_mobilenet_v3_large": [(320, 320), (321, 352)],
    "dla34": [(64, 64), (64, 96)],
    "dla60_res2net": [(64, 64), (64, 96)],
    "hrnet_w18_small": [(64, 64), (64, 96)],
    "selecsls42": [(128, 128), (96, 160)],
    "tresnet_m": [(64, 64), (64, 96)],
    "tresnet_v2_l": [(64, 64), (64, 96)],
}
TRANSFORMERS = {
    **dict.fromkeys(["maxvit_t"], "attention in windows and in grids"),
    **dict.fromkeys(["swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b"], "windows that roll"),
    **dict.fromkeys(["vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"], "one convolution, then tokens"),
}
ELSEWHERE = {
    **dict.fromkeys(list_models(module=torchvision.models.video), "reads several images"),
    **dict.fromkeys(list_models(module=torchvision.models.optical_flow), "reads several images"),
    **dict.fromkeys(list_models(module=torchvision.models.quantization), "its twin in floats is compared"),
}
CLASSIFIERS = [name for name in list_models(module=torchvision.models) if name not in TRANSFORMERS]
SEGMENTERS = list_models(module=torchvision.models.segmentation)
DETECTORS = list_models(module=torchvision.models.detection)
TIMM = """
    convmixer_768_32 convnext_atto convnextv2_atto cs3darknet_focus_s cs3darknet_s cspresnet50 cspdarknet53 darknet53
    cspnext_s densenet121 dla34 dla60_res2net dpn48b eca_nfnet_l0 dm_nfnet_f0 ecaresnet26t efficientnet_b0
    tf_efficientnet_b0 tf_efficientnetv2_b0 efficientnet_lite0 ese_vovnet19b_dw ese_vovnet39b fasternet_t0 fastvit_t8
    fbnetc_100 fbnetv3_b gcresnet33ts gernet_s ghostnet_100 ghostnetv2_100 hardcorenas_a hgnet_tiny hgnetv2_b0
    hrnet_w18_small inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lcnet_050 legacy_seresnet18
    legacy_xception mambaout_femto mixnet_s tf_mixnet_s mnasnet_100 mobilenet_edgetpu_v2_xs mobilenetv1_100
    mobilenetv2_100 mobilenetv3_small_100 tf_mobilenetv3_small_100 mobilenetv4_conv_small mobilenetv4_conv_blur_medium
    mobileone_s0 nasnetalarge nf_regnet_b0 nf_resnet26 poolformer_s12 rdnet_tiny regnetx_002 regnety_002 regnetz_b16
    repghostnet_050 repvgg_a0 repvit_m0_9 res2net50_14w_8s resnest14d resnet18 resnet18d resnet26t resnet50_clip
    resnet50_gn resnetaa34d resnetblur18 resnetrs50 resnetv2_50x1_bit rexnet_100 selecsls42 semnasnet_050 seresnet18
    skresnet18 spnasnet_100 starnet_s1 test_convnext tinynet_a tresnet_m tresnet_v2_l vovnet39a xception41
""".split()  # noqa: SIM905


def made(home: Any, name: str) -> nn.Module:
    with torch.device("meta"):
        module: nn.Module = getattr(home, name)()
    return module


def windows(network: Network) -> set[str]:
    """The names of its convolutions and pools, which are the modules'."""
    return {layer.name for layer in network.layers if layer.kind in ("conv", "maxpool", "avgpool")}


def assert_counts(network: Network, module: nn.Module, size: tuple[int, int]) -> None:
    """Every count, and the size of every convolution and pool that is a module, is the forward's own."""
    expected, seen = count(module, size)
    network = network.at(size)
    found = padviz.usage(network, size, layer=network.targets or last_maps(network))
    np.testing.assert_allclose(found.counts.astype(np.float64), expected, rtol=1e-12, atol=0)
    assert expected.max() > 0
    rows, cols = resolve_each(network, size)
    for i, layer in enumerate(network.layers):
        if layer.name in seen and layer.kind in ("conv", "maxpool", "avgpool"):
            assert (rows.sizes[i], cols.sizes[i]) == seen[layer.name], layer.name
    assert sum(layer.name in seen for layer in network.layers) > 2


def some(names: list[str], few: str, slow: str = "") -> list[Any]:
    """All names as parameters: a few in `make test`, others in `make test-slow`, and the rest in `make soak`."""
    return sampled(names, " ".join(sorted({*names} - {*few.split()} - {*slow.split()})), slow)


@pytest.mark.parametrize(
    "name",
    some(
        CLASSIFIERS,
        """
        alexnet convnext_tiny densenet121 efficientnet_b0 googlenet inception_v3 mnasnet0_5 mobilenet_v3_small
        regnet_y_400mf resnet18 shufflenet_v2_x1_0 squeezenet1_0 vgg11_bn
        """,
        "efficientnet_v2_s mobilenet_v3_large resnet50 resnext50_32x4d squeezenet1_1 vgg13 wide_resnet50_2",
    ),
)
def test_torchvisions_classifiers(name: str) -> None:
    network = padviz.load(f"torchvision.models:{name}")
    assert len(network.targets) == 1
    if name in zoo():
        assert windows(network) == windows(padviz.load(name))
    for size in LARGER.get(name, SIZES):
        assert_counts(network, named(f"torchvision.models:{name}"), size)


@pytest.mark.parametrize(
    "name", sampled(SEGMENTERS, "deeplabv3_resnet101 fcn_resnet101", "deeplabv3_mobilenet_v3_large")
)
def test_torchvisions_segmenters(name: str) -> None:
    source = f"torchvision.models.segmentation:{name}"
    for size in SIZES:
        assert_counts(padviz.load(source), named(source), size)


@pytest.mark.parametrize(
    "name",
    sampled(
        DETECTORS,
        """
        fasterrcnn_mobilenet_v3_large_320_fpn fasterrcnn_resnet50_fpn keypointrcnn_resnet50_fpn maskrcnn_resnet50_fpn
        maskrcnn_resnet50_fpn_v2 retinanet_resnet50_fpn_v2
        """,
    ),
)
def test_torchvisions_backbones_of_detectors(name: str) -> None:
    source = f"torchvision.models.detection:{name}.backbone"
    network = padviz.load(source)
    assert (network.targets, len(last_maps(network)) > 1) == ((), True)
    for size in LARGER.get(name, [(160, 192), (129, 160)]):
        assert_counts(network, named(source), size)


def test_a_factory_may_be_called_with_a_name() -> None:
    named = padviz.load("torchvision.models:get_model:resnet18")
    assert (named.name, named.targets) == ("resnet18", ("layer4.1",))
    np.testing.assert_array_equal(padviz.usage(named, 64).counts, padviz.usage("resnet18", 64).counts)
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


def without_weights(name: str) -> nn.Module:
    """One of timm's models; an older timm lacks some, and cannot make others without weights."""
    try:
        with torch.device("meta"):
            return timm.create_model(name)
    except (RuntimeError, NotImplementedError) as error:
        if tuple(map(int, timm.__version__.split(".")[:3])) >= (1, 0, 31):
            raise
        pytest.skip(f"timm {timm.__version__} makes no {name}: {str(error)[:60]}")


@pytest.mark.parametrize(
    "name",
    some(
        TIMM,
        """
        convmixer_768_32 convnextv2_atto dla34 fasternet_t0 fastvit_t8 gernet_s inception_v3 legacy_xception
        mambaout_femto mixnet_s mobilenet_edgetpu_v2_xs mobileone_s0 poolformer_s12 repghostnet_050 res2net50_14w_8s
        resnetblur18 selecsls42 skresnet18 starnet_s1 tf_efficientnet_b0
        """,
        """
        cs3darknet_focus_s dpn48b eca_nfnet_l0 gcresnet33ts ghostnetv2_100 hgnetv2_b0 hrnet_w18_small
        inception_next_atto legacy_seresnet18 mobilenetv4_conv_blur_medium nasnetalarge nf_regnet_b0 rdnet_tiny
        repvit_m0_9 resnest14d resnet50_clip resnetv2_50x1_bit rexnet_100 tf_mixnet_s tresnet_m xception41
        """,
    ),
)
def test_timms_convolutional_models(name: str) -> None:
    network = padviz.load(module := without_weights(name))
    for size in LARGER.get(name, SIZES):
        assert_counts(network, module, size)


def test_every_model_is_compared_or_named_with_a_reason() -> None:
    tests = test_torchvisions_classifiers, test_torchvisions_segmenters, test_torchvisions_backbones_of_detectors
    compared = set().union(*map(asked, tests))
    refused = asked(test_a_transformer_without_windows_is_one_convolution)
    assert refused | asked(test_attention_in_windows_sees_all_of_the_window_once) == {*TRANSFORMERS}
    assert sorted([*compared, *TRANSFORMERS, *ELSEWHERE]) == sorted(list_models())  # each of them once
    assert len(asked(test_torchvisions_classifiers)) >= 60
    assert len(asked(test_timms_convolutional_models)) >= 60


@pytest.mark.parametrize("name", [name for name in TRANSFORMERS if name.startswith("vit")])
def test_a_transformer_without_windows_is_one_convolution(name: str) -> None:
    network = padviz.load(f"torchvision.models:{name}")
    assert [layer.kind for layer in network.layers] == ["input", "conv"]
    assert network.notes == ("counting stops at conv_proj, the grid of patches before attention",)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_model_of_elsewhere_is_so_for_the_reason_named(name: str) -> None:
    if ELSEWHERE[name] == "its twin in floats is compared":
        assert name.removeprefix("quantized_") in asked(test_torchvisions_classifiers)
        return
    if name in list_models(module=torchvision.models.video):
        assert padviz.load(f"torchvision.models.video:{name}").axes == ("depth", "height", "width")
        return
    with pytest.raises(padviz.PadvizError, match=r"missing 1 required .*shape=.\"image2\": 1.\) gives"):
        padviz.load(f"torchvision.models.optical_flow:{name}")


@pytest.mark.parametrize("name", some([name for name in TRANSFORMERS if not name.startswith("vit")], "maxvit_t swin_t"))
def test_attention_in_windows_sees_all_of_the_window_once(name: str) -> None:
    module = getattr(torchvision.models, name)()
    expected, _ = count(module.double(), (224, 224), counting=Attending())
    found = padviz.usage(padviz.load(f"torchvision.models:{name}"))
    np.testing.assert_allclose(found.counts.astype(float), expected, rtol=1e-12)  # of more than floats hold


def test_a_linear_layer_over_columns_mixes_them_and_leaves_rows_alone() -> None:
    convs = (nn.Conv2d(entering, 4, 3, padding=1) for entering in (3, 4))
    found = padviz.usage(padviz.load(nn.Sequential(next(convs), nn.Linear(12, 12), next(convs)), 12), 12)
    taps, one = np.eye(12, k=-1) + np.eye(12) + np.eye(12, k=1), np.ones(12)
    np.testing.assert_array_equal(found.counts, np.outer(taps @ taps @ one, taps @ np.outer(one, one) @ taps @ one))
