"""The channels of a module's input are read from the first layer that refuses others, whatever its kind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.cutting.plan import LayerPlan
from padviz.errors import PadvizError


class Front(nn.Module):
    """A layer that says its input's channels, in front of a convolution over time."""

    def __init__(self, made: int, front: Callable[[Tensor], Tensor], *layers: nn.Module) -> None:
        super().__init__()
        # A wrapper holds other parts too, such as an encoder.
        self.encoder = nn.Conv1d(3, 4, 3)
        self.layers, self.front = nn.ModuleList(layers), front
        self.last = nn.Conv1d(made, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.front(x))  # type: ignore[no-any-return]


def behind(made: int, *layers: nn.Module) -> Front:
    front = nn.Sequential(*layers)
    return Front(made, front, front)


def behind_rows(made: int, layer: nn.Module) -> Front:
    """Run a layer on the channels of each position."""
    return Front(made, lambda x: layer(x.transpose(1, 2)).transpose(1, 2), layer)


def halves(x: Tensor) -> Tensor:
    one, other = x.chunk(2, 1)
    return torch.stack([one, other]).sum(0)


def scaled(n: int) -> Front:
    module = Front(n, lambda x: x)
    module.register_buffer("mean", torch.zeros(1, n, 1))
    module.front = lambda x: x - module.mean
    return module


def from_asserted(n: int) -> Front:
    def checked(x: Tensor) -> Tensor:
        assert x.shape[1] == n
        return x

    class Checked(nn.Conv1d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(checked(x))

    return behind(4, Checked(n, 4, 3))


FRONTS: dict[str, Callable[[int], nn.Module]] = {
    "convolution": lambda n: behind(5, nn.Conv1d(n, 5, 3)),
    "convolution in groups": lambda n: behind(6, nn.Conv1d(n, 6, 3, groups=2)),
    "depthwise convolution": lambda n: behind(n, nn.Conv1d(n, n, 3, groups=n)),
    "transposed convolution": lambda n: behind(5, nn.ConvTranspose1d(n, 5, 4, 2)),
    "pad": lambda n: behind(n, nn.ReflectionPad1d(3)),
    "pool": lambda n: behind(n, nn.AvgPool1d(2)),
    "batch norm": lambda n: behind(n, nn.BatchNorm1d(n)),
    "batch norm and no convolution": lambda n: nn.Sequential(nn.BatchNorm1d(n), nn.AvgPool1d(2)),
    "group norm": lambda n: behind(n, nn.GroupNorm(2, n)),
    "layer norm": lambda n: behind_rows(n, nn.LayerNorm(n)),
    "linear layer": lambda n: behind_rows(7, nn.Linear(n, 7)),
    "parametric ReLU": lambda n: behind(n, nn.PReLU(n)),
    "reshape": lambda n: Front(n // 2, lambda x: x.reshape(1, 2, n // 2, x.shape[-1]).sum(1)),
    "unflatten": lambda n: Front(n // 2, lambda x: x.unflatten(1, (2, n // 2))[:, 0]),
    "gate": lambda n: behind(n // 2, nn.GLU(1)),
    "halves": lambda n: Front(n // 2, halves),
    "joined with itself": lambda n: Front(2 * n, lambda x: torch.cat([x, x.abs()], 1)),
    "mean": scaled,
    "assert": from_asserted,
}


@pytest.mark.parametrize("n", [2, 4, 6, 10, 16, 80])
@pytest.mark.parametrize("front", FRONTS)
def test_the_channels_of_a_signal_are_read_from_the_first_layer_that_refuses_others(
    front: str, n: int
) -> None:
    module = FRONTS[front](n).eval()
    assert module(torch.rand(1, n, 48)).ndim == 3
    assert padviz.load(module, (48,)).channels == n


@pytest.mark.parametrize("front", [nn.AvgPool1d(2), nn.MaxPool1d(3), nn.ZeroPad1d(2)])
def test_layers_without_weights_say_that_a_module_reads_signals(front: nn.Module) -> None:
    module = nn.Sequential(nn.GELU(), front, nn.MaxPool1d(2))
    assert padviz.load(module).axes == ("length",)
    volumes = nn.Sequential(nn.GELU(), nn.AvgPool3d(2))
    assert padviz.load(volumes).axes == ("depth", "height", "width")


@dataclass
class Decoded:
    """What wrappers of autoencoders return: an object with a tensor in it."""

    sample: Tensor


class Autoencoder(nn.Module):
    """An encoder and a decoder behind 1 x 1 convolutions, called by names other than `forward`."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.SiLU(), nn.Conv2d(8, 2 * latents, 1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latents, 8, 3, padding=1), nn.Upsample(scale_factor=2)
        )
        self.quant_conv = nn.Conv2d(2 * latents, 2 * latents, 1)
        self.post_quant_conv = nn.Conv2d(latents, latents, 1)

    def encode(self, x: Tensor) -> Any:
        mean, _ = self.quant_conv(self.encoder(x)).chunk(2, 1)
        return Decoded(mean)

    def decode(self, z: Tensor, return_dict: bool = True) -> Any:
        made = self.decoder(self.post_quant_conv(z))
        return Decoded(made) if return_dict else (made,)


class Calls(nn.Module):
    """A wrapper whose forward calls a method of the autoencoder."""

    def __init__(self, vae: nn.Module, call: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.vae, self.call = vae, call

    def forward(self, x: Tensor) -> Any:
        return self.call(self.vae, x)


DECODERS: dict[str, Callable[[Any, Tensor], Any]] = {
    "sample": lambda vae, z: vae.decode(z).sample,
    "object": lambda vae, z: vae.decode(z),
    "tuple": lambda vae, z: vae.decode(z, return_dict=False),
    "of a tuple": lambda vae, z: vae.decode(z, return_dict=False)[0],
    "dict": lambda vae, z: {"sample": vae.decode(z).sample},
    "scaled": lambda vae, z: vae.decode(z / 0.18215 + 0.1).sample,
}


@pytest.mark.parametrize("latents", [4, 8, 16, 32])
@pytest.mark.parametrize("call", DECODERS)
def test_a_wrapper_around_decode_is_read_with_the_channels_of_its_latents(
    call: str, latents: int
) -> None:
    network = padviz.load(Calls(Autoencoder(latents), DECODERS[call]).eval(), 16)
    assert (network.channels, network.size) == (latents, (16, 16))
    assert padviz.fields(network)[-1].height.size == 3


@pytest.mark.parametrize("latents", [4, 16])
def test_a_wrapper_around_encode_is_read_with_the_channels_of_its_image(latents: int) -> None:
    wrapper = Calls(Autoencoder(latents), lambda vae, x: vae.encode(x).sample)
    assert padviz.load(wrapper.eval(), 32).channels == 3


def test_the_shape_that_is_said_comes_before_all_guesses() -> None:
    assert padviz.load(nn.AvgPool1d(2), 48, shape={"input": (1, 5, "L")}).channels == 5


def test_a_description_has_no_channels() -> None:
    assert padviz.load("vgg11").channels == 0


class Deep(nn.Module):
    """A decoder of 16 channels that takes no maps of less than 8 rows behind its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.first = nn.Conv2d(3, 4, 3), nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(self.first(x), torch.ones(4, 4, 99, 99))


def test_the_error_is_that_of_the_channels_that_got_furthest() -> None:
    with pytest.raises(PadvizError, match="its forward fails on 16 x 24 x 24"):
        padviz.load(Deep(), 24)


class Mismatched(nn.Module):
    """A module that takes no image, since `b` takes 4 channels and `a` makes 8."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(4, 6, 3, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("latents", [4, 16])
def test_a_plan_of_a_wrapper_is_tried_with_the_channels_of_its_latents(latents: int) -> None:
    vae = Autoencoder(latents)
    vae.decoder.append(nn.GroupNorm(2, 8))
    wrapper = Calls(vae, lambda vae, z: vae.decode(z).sample).eval()
    plan = padviz.tiles(wrapper, 16, 8, norms="shared").plan
    assert isinstance(plan, LayerPlan)
    assert (plan.untried, len(plan.shared)) == ("", 1)


def test_a_plan_of_a_signal_is_tried_with_the_channels_that_are_said() -> None:
    module = nn.Sequential(nn.AvgPool1d(2), nn.InstanceNorm1d(5, affine=False)).eval()
    network = padviz.load(module, (48,), shape={"input": (1, 5, "L")})
    plan = padviz.tiles(network, (48,), (24,), norms="shared").plan
    assert isinstance(plan, LayerPlan)
    assert plan.untried == ""
