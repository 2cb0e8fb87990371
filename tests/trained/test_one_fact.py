"""Pairs of networks that differ in one fact, which `diff --run` names, and pairs that are equal."""

import copy
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

import padviz
from tests.sweeps import SLOW, every_third

pytestmark = [pytest.mark.usefixtures("elsewhere"), pytest.mark.filterwarnings("ignore")]
SIZE = 33


class Net(nn.Module):
    """A network with a skip connection if its shape is "residual" or "unet"; `facts` change one of its parts."""

    def __init__(self, shape: str = "straight", **facts: Any) -> None:
        super().__init__()
        self.shape = shape
        joined = 16 if shape == "unet" else 8
        parts: dict[str, Any] = {
            "pad": nn.ZeroPad2d(1),
            "stem": nn.Conv2d(3, 8, 3),
            "norm": nn.BatchNorm2d(8),
            "act": nn.ReLU(),
            "pool": nn.MaxPool2d(2),
            "smooth": nn.AvgPool2d(3, 1, 1),
            "mid": nn.Conv2d(8, 8, 3, padding=1),
            "mid_norm": nn.BatchNorm2d(8),
            "mid_act": functional.silu,
            "up": nn.Upsample(scale_factor=2, mode="bilinear"),
            "turned": nn.ConvTranspose2d(8, 8, 3, 1, 1),
            "crop": lambda x: x[:, :, 1:],
            "join": torch.cat if shape == "unet" else torch.add,
            "deep": nn.Conv2d(joined, 8, 3, padding=1),
            "head": nn.Conv2d(8, 2, 1),
            "skip": lambda x: x,
        }
        for name, part in (parts | facts).items():
            setattr(self, name, part)
        fill(self)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.crop(self.act(self.norm(self.stem(self.pad(x)))))
        y = self.smooth(self.pool(x))
        z = self.mid_act(self.mid_norm(self.mid(y)))
        if self.shape == "residual":
            z = self.joined(z, y)
        z = self.turned(self.up(z))
        if self.shape == "unet":
            z = self.joined(z, x)
        return self.head(torch.relu(self.deep(z)))

    def joined(self, one: Tensor, other: Tensor) -> Tensor:
        """Join two maps, both cut to the smaller of their sizes."""
        other = self.skip(other)
        rows, columns = (min(one.shape[axis], other.shape[axis]) for axis in (2, 3))
        one, other = one[:, :, :rows, :columns], other[:, :, :rows, :columns]
        if self.join is torch.add:
            return one + other
        return self.join([one, other], 1)


def fill(module: nn.Module) -> None:
    """Draw each tensor by its own name, so that another layer does not change it."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            values = torch.randn(tensor.shape, generator=drawn)
            tensor.copy_(values.abs() + 0.5 if "var" in name else values / tensor[0].numel() ** 0.5)


def moved(name: str, by: float) -> Callable[[nn.Module], None]:
    """Change the values of one parameter."""

    def change(module: nn.Module) -> None:
        module.state_dict()[name][::2].add_(by)

    return change


class Fact(NamedTuple):
    """What B has in place of A's part: a part of `Net`, or a change of its weights.

    `cause` and `says` are what the answer must name; `says` of values is the first layer that differs.
    """

    cause: str
    says: str
    change: dict[str, Any] | Callable[[nn.Module], None]
    before: dict[str, Any] = {}  # noqa: RUF012


def mid(kernel: int = 3, **how: Any) -> dict[str, nn.Module]:
    return {"mid": nn.Conv2d(8, 8, kernel, **{"padding": 1, **how})}


def up(**how: Any) -> dict[str, nn.Module]:
    return {"up": nn.Upsample(**{"scale_factor": 2, "mode": "bilinear", **how})}


FACTS: dict[str, Fact] = {
    "more padding": Fact("reads", "mid differs in padding", mid(padding=2)),
    "no padding": Fact("reads", "mid differs in padding", mid(padding=0)),
    "a pad on one side": Fact("reads", "pad differs in padding", {"pad": nn.ZeroPad2d((2, 0, 2, 0))}),
    "the value of a pad": Fact("reads", "pad differs in mode", {"pad": nn.ConstantPad2d(1, 0.5)}),
    "a pad that mirrors": Fact("reads", "pad differs in mode", {"pad": nn.ReflectionPad2d(1)}),
    "reflect": Fact("reads", "mid differs in mode", mid(padding_mode="reflect")),
    "circular": Fact("reads", "mid differs in mode", mid(padding_mode="circular"), mid(padding_mode="replicate")),
    "stride": Fact("reads", "mid differs in stride", mid(stride=2)),
    "stride of the stem": Fact("reads", "stem differs in stride", {"stem": nn.Conv2d(3, 8, 3, 2)}),
    "dilation": Fact("reads", "mid differs in dilation", mid(dilation=2)),
    "kernel": Fact("reads", "mid differs in kernel", mid(5)),
    "kernel of the head": Fact("reads", "head differs in layer", {"head": nn.Conv2d(8, 2, 3)}),
    "crop": Fact("reads", "slice differs in crop", {"crop": lambda x: x[:, :, :-1]}),
    "kind of pool": Fact("reads", "pool differs in kind", {"pool": nn.AvgPool2d(2)}),
    "kernel of a pool": Fact("reads", "pool differs in kernel", {"pool": nn.MaxPool2d(3, 2)}),
    "ceil_mode": Fact("reads", "pool differs in rounding", {"pool": nn.MaxPool2d(2, ceil_mode=True)}),
    "count_include_pad": Fact(
        "reads", "smooth differs in mode", {"smooth": nn.AvgPool2d(3, 1, 1, count_include_pad=False)}
    ),
    "resize mode": Fact("reads", "up differs in mode", up(mode="bicubic")),
    "nearest": Fact("reads", "up differs in mode", up(mode="nearest")),
    "align_corners": Fact("reads", "up differs in coordinates", up(align_corners=True)),
    "a function's align_corners": Fact(
        "reads", "interpolate differs in coordinates",
        {"up": lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)},
        {"up": lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear")},
    ),
    "a function's pool": Fact(
        "reads", "max_pool differs in rounding",
        {"pool": lambda x: functional.max_pool2d(x, 2, ceil_mode=True)}, {"pool": lambda x: functional.max_pool2d(x, 2)},
    ),
    "padding of a transposed one": Fact("reads", "turned differs in padding", {"turned": nn.ConvTranspose2d(8, 8, 3, 1, 0)}),
    "a pad at the end": Fact(
        "reads", "head.1 differs in mode",
        {"head": nn.Sequential(nn.Conv2d(8, 2, 1), nn.ReflectionPad2d(1))},
        {"head": nn.Sequential(nn.Conv2d(8, 2, 1), nn.ZeroPad2d(1))},
    ),
    "activation": Fact("values", "act", {"act": nn.LeakyReLU(0.3)}),
    "a function's activation": Fact("values", "silu", {"mid_act": functional.gelu}),
    "epsilon": Fact("values", "mid_norm", {"mid_norm": nn.BatchNorm2d(8, eps=0.1)}),
    "weights": Fact("values", "mid", moved("mid.weight", 0.05)),
    "weights of the head": Fact("values", "head", moved("head.weight", 0.05)),
    "bias": Fact("values", "stem", moved("stem.bias", 0.05)),
    "running mean": Fact("values", "norm", moved("norm.running_mean", 0.05)),
    "order of a concatenation": Fact("values", "cat", {"join": lambda maps, dim: torch.cat(maps[::-1], dim)}),
    "no sum": Fact("reads", "add differs in layer", {"joined": lambda z, y: z}),
    "half of a skip": Fact("values", "add|getitem again again", {"skip": lambda x: x * 0.5}),
}  # fmt: skip
SHAPES = {"order of a concatenation": ("unet",), "no sum": ("residual",)}
SHAPES["half of a skip"] = "residual", "unet"


def pairs() -> list[str]:
    """Name the facts with the shapes of the networks, half of them with skips."""
    found = []
    for i, name in enumerate(FACTS):
        shapes = SHAPES.get(name, ("straight", ("residual", "unet")[i % 2]))
        found += [f"{name}, {shape}" for shape in shapes]
    return found


def differing(pair: str) -> tuple[Fact, nn.Module, nn.Module]:
    name, shape = pair.split(", ")
    fact = FACTS[name]
    one = Net(shape, **fact.before)
    if not isinstance(fact.change, dict):
        other = copy.deepcopy(one)
        fact.change(other)
        return fact, one, other
    return fact, one, Net(shape, **fact.before | fact.change)


@pytest.mark.parametrize("pair", every_third(pairs()))
def test_the_fact_that_differs_is_named(pair: str) -> None:
    fact, one, other = differing(pair)
    answer = padviz.diff(one, other, SIZE, run=True)
    assert answer.cause == fact.cause, answer.verdict
    said = [f"First to differ: {name} " for name in fact.says.split("|")]
    if fact.cause == "reads":
        said = [f"Not equal: {fact.says}, "]
    assert any(part in answer.verdict for part in said), answer.verdict


def exported(module: nn.Module, **how: Any) -> str:
    """Export a module by either exporter."""
    torch.onnx.export(module, torch.randn(1, 3, SIZE, SIZE), "net.onnx", **how)
    return "net.onnx"


@SLOW
@pytest.mark.parametrize("pair", pairs())
def test_the_fact_is_named_between_files_too(pair: str) -> None:
    fact, module, other = differing(pair)
    file = Path(exported(module, dynamo=False)).rename("first.onnx")
    answer = padviz.diff(file, exported(other, dynamo=False), SIZE, run=True)
    assert answer.cause == fact.cause, answer.verdict
    if fact.cause == "reads":
        assert f" differs in {fact.says.partition(' in ')[2]}, " in answer.verdict


def replaced(module: nn.Module, **parts: Any) -> nn.Module:
    for name, part in parts.items():
        delattr(module, name)
        setattr(module, name, part)
    return module


def folded(module: Any) -> nn.Module:
    stem = fuse_conv_bn_eval(module.stem, module.norm)
    mid = fuse_conv_bn_eval(module.mid, module.mid_norm)
    return replaced(module, stem=stem, mid=mid, norm=nn.Identity(), mid_norm=nn.Identity())


def padded_by_the_convolution(module: Any) -> nn.Module:
    module.stem.padding = 1, 1
    return replaced(module, pad=nn.Identity())


def by_functions(module: Any) -> nn.Module:
    norm, stem = module.norm, module.stem

    def normed(x: Tensor) -> Tensor:
        statistics = norm.running_mean, norm.running_var
        return functional.batch_norm(x, *statistics, norm.weight, norm.bias, eps=norm.eps)

    return replaced(
        module,
        act=functional.relu,
        pool=lambda x: functional.max_pool2d(x, 2),
        stem=lambda x: functional.conv2d(x, stem.weight, stem.bias),
        norm=normed,
        mid_act=lambda x: x * x.sigmoid(),
    )


def pooled_by_a_convolution(module: Any) -> nn.Module:
    smooth = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    nn.init.constant_(smooth.weight, 1 / 9)
    return replaced(module, smooth=smooth)


def linear_head(module: Any) -> nn.Module:
    weight, bias = module.head.weight[:, :, 0, 0], module.head.bias

    def head(x: Tensor) -> Tensor:
        return functional.linear(x.movedim(1, -1), weight, bias).movedim(-1, 1)

    return replaced(module, head=head)


def turned_convolution(module: Any) -> nn.Module:
    """A transposed convolution of stride 1 as a plain one, with its kernel transposed and flipped."""
    turned, module.turned = module.turned, nn.Conv2d(8, 8, 3, padding=1)
    module.turned.weight.data = turned.weight.data.transpose(0, 1).flip(2, 3)
    module.turned.bias.data = turned.bias.data
    return module


EQUAL: dict[str, Callable[[Any], Any]] = {
    "a copy": copy.deepcopy,
    "functions": by_functions,
    "folded norms": folded,
    "padding": padded_by_the_convolution,
    "a pool as a convolution": pooled_by_a_convolution,
    "a linear layer": linear_head,
    "a transposed one as a convolution": turned_convolution,
    "channels last": lambda module: module.to(memory_format=torch.channels_last),
    "a file": lambda module: exported(module, dynamo=False),
    "a file with norms": lambda module: exported(
        module, dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False
    ),
    "a file of the other exporter": lambda module: exported(module, dynamo=True),
}  # fmt: skip


@pytest.mark.parametrize("shape", ["straight", "residual", "unet"])
@pytest.mark.parametrize("name", every_third(EQUAL))
def test_the_same_network_written_otherwise_is_equal(name: str, shape: str) -> None:
    module = Net(shape)
    answer = padviz.diff(module, EQUAL[name](copy.deepcopy(module)), SIZE, run=True)
    assert (answer.cause, answer._report.code) == ("none", 0), answer.verdict
