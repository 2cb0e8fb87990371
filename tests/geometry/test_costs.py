"""Multiply-adds: half of what PyTorch's counter finds, the zoo's, a slow twin, and what cannot be known."""

import tomllib
from math import prod
from typing import Any

import pytest
import timm
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import padviz
from padviz.network.layer import CONVOLUTIONS, Channels
from padviz.sources.toml.load import parse, zoo
from padviz.sources.toml.write import to_toml
from tests.sweeps import DEEPER, examples, sampled
from tests.torch_calls import torchvisions

NOT_TORCHVISIONS = {"mobilenet_v1", "unet", "unet_padded"}
ZOO = [name for name in zoo() if name not in NOT_TORCHVISIONS]
MORE = ["ssd300_vgg16", "mobilenet_v3_large", "shufflenet_v2_x1_0"]
SLOWER = "regnet_y_400mf efficientnet_v2_s cspresnet50 dla34 gcresnet33ts hrnet_w18_small"
MORE += SLOWER.split()[:2]
TIMM = ["ese_vovnet19b_dw", *SLOWER.split()[2:]]


class Vectors(TorchDispatchMode):
    """Adds up the multiply-adds of convolutions that have no positions: of vectors, for gates and heads."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default and (
            args[0].ndim == 3 or prod(args[0].shape[2:]) == 1
        ):
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


def described(step: str) -> padviz.Network:
    return parse(tomllib.loads(f"layers = [{step}]"), "net")


@pytest.mark.parametrize("name", sampled(ZOO, "", f"{DEEPER} vgg19"))
def test_the_zoo_costs_what_pytorch_counts_by_the_channels_of_torchvision(name: str) -> None:
    network, model = padviz.load(name), torchvisions(name)
    size = network.size[0] + 33, network.size[1] + 65
    assert padviz.costs(network, size).macs == counted(model, size)
    modules = dict(model.named_modules())
    for layer in network.layers:
        if layer.kind == "conv":
            module: Any = modules[layer.name]
            assert layer.channels == Channels(
                module.in_channels, module.out_channels, module.groups
            )


@pytest.mark.parametrize("name", sampled([*MORE, *TIMM], "", SLOWER))
def test_modules_cost_what_pytorch_counts_and_so_do_their_descriptions(name: str) -> None:
    if name in TIMM and name not in timm.list_models():
        pytest.skip("this timm lacks it")
    model = timm.create_model(name).eval().to("meta") if name in TIMM else torchvisions(name)
    network = padviz.load(model, size=(320, 384))
    again = parse(tomllib.loads(to_toml(network)), network.name)
    for size in ((320, 384), (352, 320)):
        assert of_maps(network, size) == counted(model, size)
        assert padviz.costs(again, size) == padviz.costs(network, size)


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
        kind = draw(
            st.sampled_from([nn.Conv2d, nn.ConvTranspose2d, nn.ConvTranspose2d, nn.MaxPool2d])
        )
        if kind is nn.MaxPool2d:
            layers.append(nn.MaxPool2d(2))
            continue
        out = draw(st.sampled_from([2, 4, 6, 8]))
        groups = 2 if channels % 2 == 0 and draw(st.booleans()) else 1
        kernel, stride, pad = (
            draw(st.integers(1, 3)),
            draw(st.integers(1, 2)),
            draw(st.integers(0, 1)),
        )
        layers.append(
            kind(channels, out, kernel, stride, min(pad, kernel - 1), groups=groups, device="meta")
        )
        channels = out
    order = draw(st.permutations(range(len(layers)))) if shuffled else range(len(layers))
    return first, Shuffled(layers, [*order]).eval()


@given(drawn=upsampling(), size=st.tuples(st.integers(17, 24), st.integers(17, 24)))
@example(
    drawn=(3, nn.Sequential(nn.ConvTranspose2d(3, 8, 2, 2), nn.Conv2d(8, 4, 3)).to("meta")),
    size=(20, 20),
)
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


def test_what_is_no_convolution_costs_nothing_and_what_is_unknown_has_a_name() -> None:
    step = '{op = "conv", name = "a", out = 4}, {op = "maxpool", kernel = 3}, {op = "gate"}, {op = "resize", scale = 2}'
    assert padviz.costs(described(step), 8).macs == 64 * 12
    found = padviz.costs(
        described(step + ', {op = "conv", name = "b"}, {op = "conv", name = "c"}'), 8
    )
    assert (found.macs, found.macs_unknown) == (None, "b")
    assert [cost.macs for cost in found.layers] == [64 * 12, 0, 0, 0, None, None]


def test_a_sum_of_22_digits_does_not_overflow() -> None:
    wide = described(
        '{op = "conv", name = "a", in = 100000, out = 100000, kernel = 9, padding = 4}'
    )
    assert padviz.costs(wide, 1_000_000).macs == 81 * 10**22
