"""Multiply-adds: half of what PyTorch's counter finds, the zoo's, a slow twin, and what cannot be known."""

from __future__ import annotations

import tomllib
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import padviz
from padviz.geometry.costs import macs_of_squares
from padviz.network.layer import CONVOLUTIONS, Channels
from padviz.sources.toml.build import parse
from padviz.sources.toml.load import zoo
from padviz.sources.toml.write import to_toml
from tests.sources.test_onnx_exports import exported
from tests.sweeps import DEEPER, examples, sampled

NOT_TORCHVISIONS = {"mobilenet_v1", "unet", "unet_padded"}
ZOO = [name for name in zoo() if name not in NOT_TORCHVISIONS]
MORE = ["shufflenet_v2_x1_0", "mnasnet0_5", "regnet_y_400mf", "efficientnet_v2_s", "mobilenet_v3_small"]
TIMM = [
    "cs3darknet_s", "convmixer_768_32", "cspresnet50", "darknet53", "dla34", "dpn48b", "ecaresnet26t",
    "efficientnet_lite0", "ese_vovnet19b_dw", "fbnetc_100", "gcresnet33ts", "gernet_s", "ghostnet_100",
    "hardcorenas_a", "hgnet_tiny", "hrnet_w18_small", "inception_resnet_v2", "legacy_seresnet18", "lcnet_050",
    "mixnet_s", "mobilenetv1_100", "mobilenetv4_conv_small", "nf_regnet_b0", "regnetx_002", "repvgg_a0",
    "res2net50_14w_8s", "resnest14d", "rexnet_100", "selecsls42", "skresnet18", "tf_efficientnet_b0", "xception41",
]  # fmt: skip


class Vectors(TorchDispatchMode):
    """Adds up the multiply-adds of convolutions that have no positions: of vectors, for gates and heads."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default and (args[0].ndim == 3 or prod(args[0].shape[2:]) == 1):
            self.macs += out.numel() * prod(args[1].shape[1:])
        return out


def counted(model: nn.Module, size: tuple[int, int]) -> int:
    """Half of the flops that PyTorch counts for convolutions of maps."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter, Vectors() as vectors:
        model(torch.empty(1, 3, *size, device="meta"))
    flops = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    assert flops % 2 == 0
    return flops // 2 - vectors.macs


def of_maps(network: padviz.Network, size: tuple[int, int]) -> int:
    """What padviz finds, without the vectors that lead to a target."""
    found = padviz.costs(network, size)
    assert found.macs is not None
    pairs = zip(found.layers, network.layers[1:], strict=True)
    return sum(cost.macs for cost, layer in pairs if not _reads_a_vector(network, layer))


def _reads_a_vector(network: padviz.Network, layer: Any) -> bool:
    while layer.kind in CONVOLUTIONS:
        layer = network.layers[layer.inputs[0]]
    return layer.kind == "global"


@cache
def vision(name: str) -> nn.Module:
    """A model of torchvision without data, as the zoo describes it."""
    home: Any = torchvision.models
    options: dict[str, Any] = {"weights": None}
    if name == "deeplabv3_resnet50":
        home, options["weights_backbone"] = home.segmentation, None
    if name == "ssd300_vgg16":
        home, options["weights_backbone"] = home.detection, None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # RegNets calculate their widths
        model = getattr(home, name)(**options).eval().to("meta")
    return model.backbone if home is not torchvision.models else model


def described(step: str) -> padviz.Network:
    return parse(tomllib.loads(f"layers = [{step}]"), "net")


def back(network: padviz.Network) -> padviz.Network:
    return parse(tomllib.loads(to_toml(network)), network.name)


@pytest.mark.parametrize(
    "name",
    sampled(ZOO, "", "densenet201 resnet34 resnet101 resnet152 resnext50_32x4d vgg13 vgg16 vgg19 wide_resnet50_2"),
)
def test_the_zoo_costs_what_pytorch_counts(name: str) -> None:
    network = padviz.load(name)
    for size in (network.size, (network.size[0] + 33, network.size[1] + 65)):
        assert padviz.costs(network, size).macs == counted(vision(name), size)


@pytest.mark.parametrize("name", sampled(ZOO, "", DEEPER))
def test_every_convolution_of_the_zoo_has_the_channels_of_torchvisions(name: str) -> None:
    modules = dict(vision(name).named_modules())
    inner = "backbone." if name in ("deeplabv3_resnet50", "ssd300_vgg16") else ""
    for layer in padviz.load(name).layers:
        if layer.kind == "conv":
            module = modules[layer.name.removeprefix(inner)]
            assert layer.channels == Channels(module.in_channels, module.out_channels, module.groups)


def check_costs(model: nn.Module, *sizes: tuple[int, int]) -> None:
    """A module that is loaded at the first size costs what PyTorch counts at each, and so does its description."""
    network = padviz.load(model, size=sizes[0])
    again = back(network)
    for size in sizes:
        assert of_maps(network, size) == counted(model, size)
        assert padviz.costs(again, size) == padviz.costs(network, size)


@pytest.mark.parametrize(
    "name",
    sampled(
        ZOO + MORE,
        "densenet201 resnet34 resnet101 resnet152 vgg11 vgg13 vgg19 wide_resnet50_2",
        "deeplabv3_resnet50 densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 mnasnet0_5 "
        "mobilenet_v2 mobilenet_v3_small regnet_y_400mf resnext50_32x4d squeezenet1_1",
    ),
)
def test_modules_cost_what_pytorch_counts_and_so_do_their_descriptions(name: str) -> None:
    model = vision(name)
    size = (padviz.load(name).size if name in ZOO else (224, 224))[0]
    check_costs(model, (size + 32, size + 64), (size, size))


@pytest.mark.parametrize(
    "name",
    sampled(
        TIMM,
        """
        cs3darknet_s darknet53 ecaresnet26t fbnetc_100 gernet_s hardcorenas_a hgnet_tiny inception_resnet_v2 lcnet_050
        legacy_seresnet18 mobilenetv1_100 regnetx_002 rexnet_100 selecsls42 tf_efficientnet_b0
        """,
        """
        convmixer_768_32 cspresnet50 dla34 dpn48b gcresnet33ts ghostnet_100 hrnet_w18_small mixnet_s nf_regnet_b0
        res2net50_14w_8s repvgg_a0 resnest14d skresnet18 xception41
        """,
    ),
)
def test_timms_models_cost_what_pytorch_counts(name: str) -> None:
    if name not in timm.list_models():
        pytest.skip("this timm lacks it")
    check_costs(timm.create_model(name).eval().to("meta"), (256, 320), (224, 224))


EXPORTED = ["mobilenet_v2", "resnet18", "resnext50_32x4d", "shufflenet_v2_x1_0", "densenet121"]


@pytest.mark.parametrize("name", sampled(EXPORTED, "", "resnext50_32x4d shufflenet_v2_x1_0 densenet121"))
def test_exported_files_cost_the_same(name: str, tmp_path: Path) -> None:
    network = padviz.load(exported(name, "old", tmp_path))
    assert of_maps(network, network.size) == counted(vision(name), network.size)
    assert padviz.costs(back(network)) == padviz.costs(network)


def test_the_figures_of_the_specification() -> None:
    assert [padviz.costs("resnet50", n).macs for n in (224, 225)] == [4_087_136_256, 4_624_665_792]
    head = 1_280_000
    assert [padviz.costs("mobilenet_v2", n).macs for n in (224, 225)] == [300_774_272 - head, 344_759_744 - head]


class Shuffled(nn.Module):
    """Layers one after another, of which an owner knows them in another order than they run in."""

    def __init__(self, layers: list[nn.Module], order: list[int]) -> None:
        super().__init__()
        for i in order:
            self.add_module(f"l{i}", layers[i])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(len(self._modules)):
            x = getattr(self, f"l{i}")(x)
        return x


@st.composite
def upsampling(draw: Any) -> tuple[int, nn.Module]:
    """Convolutions, transposed ones and pools in any order, in groups, and how many channels their images have."""
    shuffled = draw(st.booleans())
    first = channels = draw(st.sampled_from([1, 3] if shuffled else [1, 2, 3, 4, 6, 8]))
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([nn.Conv2d, nn.ConvTranspose2d, nn.ConvTranspose2d, nn.MaxPool2d]))
        if kind is nn.MaxPool2d:
            layers.append(nn.MaxPool2d(2))
            continue
        out = draw(st.sampled_from([2, 4, 6, 8]))
        groups = 2 if channels % 2 == 0 and draw(st.booleans()) else 1
        kernel, stride, pad = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(0, 1))
        layers.append(kind(channels, out, kernel, stride, min(pad, kernel - 1), groups=groups, device="meta"))
        channels = out
    order = draw(st.permutations(range(len(layers)))) if shuffled else range(len(layers))
    return first, Shuffled(layers, [*order]).eval()


@given(drawn=upsampling(), size=st.tuples(st.integers(17, 24), st.integers(17, 24)))
@example(drawn=(3, nn.Sequential(nn.ConvTranspose2d(3, 8, 2, 2), nn.Conv2d(8, 4, 3)).to("meta")), size=(20, 20))
@examples(15)
def test_networks_cost_what_pytorch_counts_wherever_a_transposed_convolution_stands(
    drawn: tuple[int, nn.Module], size: tuple[int, int]
) -> None:
    channels, model = drawn
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.empty(1, channels, *size, device="meta"))
    flops = counter.get_flop_counts().get("Global", {}).get(torch.ops.aten.convolution, 0)
    assert 2 * padviz.costs(padviz.load(model, size=size), size).macs == flops


def twin(step: dict[str, Any], size: tuple[int, int]) -> int:
    """Multiply-adds one by one: every position, tap, channel made, and channel read by its group."""
    kernel, stride, pad = step["kernel"], step.get("stride", 1), step.get("padding", 0)
    into, out, groups = step["in"], step["out"], step.get("groups", 1)
    total = 0
    if step["op"] == "convtranspose":
        positions = list(product(range(size[0]), range(size[1])))
    else:
        rows, cols = ([y for y in range(-pad, n + pad - kernel + 1) if (y + pad) % stride == 0] for n in size)
        positions = list(product(rows, cols))
    for _ in positions:
        for _, _, made in product(range(kernel), range(kernel), range(out)):
            group = made * groups // out
            total += sum(1 for read in range(into) if read * groups // into == group)
    return total


@pytest.mark.parametrize("op", ["conv", "convtranspose"])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_slow_twin_agrees(op: str, groups: int, stride: int) -> None:
    step = {"op": op, "name": "c", "kernel": 3, "stride": stride, "padding": 1, "in": 6, "out": 12, "groups": groups}
    for size in ((5, 8), (7, 4)):
        assert padviz.costs(parse({"layers": [step]}, "net"), size).macs == twin(step, size)


def test_what_is_no_convolution_costs_nothing_and_what_is_unknown_has_a_name() -> None:
    step = '{op = "conv", name = "a", out = 4}, {op = "maxpool", kernel = 3}, {op = "gate"}, {op = "resize", scale = 2}'
    assert padviz.costs(described(step), 8).macs == 64 * 12
    found = padviz.costs(described(step + ', {op = "conv", name = "b"}, {op = "conv", name = "c"}'), 8)
    assert (found.macs, found.unknown) == (None, "b")
    assert [cost.macs for cost in found.layers] == [64 * 12, 0, 0, 0, None, None]
    assert macs_of_squares(described(step + ', {op = "conv", name = "b"}'), [8, 9]) is None


@pytest.mark.parametrize("name", ["resnet50", "unet", "googlenet", "densenet201"])
def test_many_sizes_at_once_are_each_alone(name: str) -> None:
    sizes = [572, 588, 604] if name == "unet" else [224, 225, 257, 1000]
    assert macs_of_squares(padviz.load(name), sizes) == [padviz.costs(name, n).macs for n in sizes]


def test_no_size_overflows() -> None:
    wide = described('{op = "conv", name = "a", in = 100000, out = 100000, kernel = 9, padding = 4}')
    assert macs_of_squares(wide, [1_000_000]) == [padviz.costs(wide, 1_000_000).macs] == [81 * 10**22]
