"""Repadded modules: the law, outputs against padding by hand, gradients, and what cannot be changed."""

import copy
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torchvision import models

import padviz
from padviz.network.padding_modes import COPYING, MODES
from padviz.network.targets import target_names
from padviz.nn import PaddedConv2d, SymmetricPad2d, padded
from padviz.repadding.torch_calls import padded_by
from tests import naive
from tests.sweeps import thirds
from tests.torch_calls import to_onnx

SCHEMES = (*MODES, "zero/circular", "symmetric/reflect")


class Standardised(nn.Conv2d):
    """A subclass with a forward of its own, as timm's StdConv2d."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(
            input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Same(nn.Conv2d):
    """SAME padding computed in the forward, as TensorFlow's."""

    def forward(self, input: Tensor) -> Tensor:
        pads: list[int] = []
        for n, k, s in zip(
            input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            # negative ones are rounded otherwise in exports
            total = max(((n + s - 1) // s - 1) * s + k - n, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(functional.pad(input, pads), self.weight, self.bias, self.stride)


class Calls(nn.Module):
    """Convolutions and pads called in a forward, beside a module that keeps its own padding."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.own = nn.Conv2d(4, 4, 5, padding=2)

    def forward(self, input: Tensor) -> Tensor:
        return self.own(
            functional.conv2d(functional.pad(input, (2, 1, 0, 3)), self.weight, padding=1).relu()
        )


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(), Standardised(8, 8, 3, padding=2, dilation=2, groups=2),
        nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(8, 4, 4, bias=False), nn.MaxPool2d(3, 2, 1), Same(4, 4, 5, 2),
        nn.ReflectionPad2d(1), nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    ).eval()  # fmt: skip


def law(module: nn.Module, scheme: str, size: tuple[int, int]) -> None:
    """The law of repadding, counted from the start: nothing of the plan is used."""
    declared = padviz.load(module, size=size)
    repadded = padviz.load(padviz.repad(module, scheme, size=size), size=size)
    wanted = padviz.usage(declared, size, padding=scheme, layer=target_names(None, declared))
    found = padviz.usage(repadded, size, layer=target_names(None, repadded))
    if "partial" in scheme:  # floats, whose sums differ in the last bit where a core is counted
        assert np.allclose(wanted.counts, found.counts, rtol=1e-12, atol=0)
    else:
        assert np.array_equal(wanted.counts, found.counts)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_law_holds_on_every_kind_of_padding(scheme: str) -> None:
    for size in ((64, 70), (65, 97)):
        # which has none for the reflection pad before a convolution that pads by itself
        if scheme == "partial":
            law(nn.Sequential(*list(small())[:8]).eval(), scheme, size)
        else:
            law(small(), scheme, size)
        law(Calls(), scheme, size)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pad, self.pool, self.conv = (
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.AvgPool2d(3, 2),
            nn.Conv2d(3, 3, 3, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.pad(x)
        return torch.cat([self.pool(y), self.conv(y)], 1)


@pytest.mark.parametrize("layer", [None, "pad", "pool", "conv"])
def test_a_pad_is_a_convolution_s_also_where_the_network_ends_before_that(
    layer: str | None,
) -> None:
    module = Shared()
    found = padviz.usage(padviz.repad(module, "circular", 20), 20, layer=layer)
    assert (found.counts == padviz.usage(module, 20, "circular", layer=layer).counts).all()


@pytest.mark.parametrize("scheme", ["circular", "partial", "zero/reflect"])
def test_a_pad_before_a_pool_stays(scheme: str) -> None:
    for pad in (nn.ZeroPad2d((0, 1, 0, 1)), nn.ReflectionPad2d(1)):
        module = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), pad, nn.ReLU(), nn.MaxPool2d(3, 2)).eval()
        law(module, scheme, (21, 30))
        assert padviz.repad(module, scheme, size=(21, 30)).repadded.changed == ("0",)


REAL = [
    "resnet18",
    "mobilenet_v2",
    "googlenet",
    "tf_mobilenetv3_small_minimal_100",
    "resnetblur18",
    "resnetv2_18",
]


@pytest.mark.parametrize(("name", "scheme"), thirds(REAL, ["reflect", "partial", "zero/circular"]))
def test_the_law_holds_on_networks_of_torchvision_and_timm(name: str, scheme: str) -> None:
    options = {"init_weights": False} if name == "googlenet" else {}
    if name in REAL[:3]:
        module = models.get_model(name, weights=None, **options)
    else:
        module = timm.create_model(name)
    law(module.eval(), scheme, (96, 129))


def apart(one: Tensor, other: Tensor) -> float:
    """Return the largest difference over the largest value."""
    assert one.shape == other.shape
    return float((one - other).detach().abs().max() / other.detach().abs().max())


def test_zero_by_zero_is_the_same_and_padding_is_replaced_while_a_forward_runs() -> None:
    module, image = small().double(), torch.randn(2, 3, 64, 70, dtype=torch.float64)
    wanted = module(image)
    every = padviz.repad(module, "replicate", size=(64, 70))(image)
    with padded_by("replicate"):
        assert apart(module(image), every) < 1e-12
    assert apart(module(image), wanted) < 1e-12
    with padded_by("zero"):
        assert apart(module(image), wanted) > 1e-6  # it has padding that was not zero
    plain = nn.Sequential(*list(module)[:8], *list(module)[11:])
    wanted = plain(image)
    assert apart(padviz.repad(plain, "zero", size=(64, 70))(image), wanted) < 1e-12
    with padded_by("zero"):
        assert apart(plain(image), wanted) < 1e-12


def by_hand(input: Tensor, pads: Any, scheme: str) -> Tensor:
    made = input.numpy()
    for axis, pad, each in zip((2, 3), pads, (scheme.split("/") * 2)[:2], strict=True):
        made = naive.padded(made, axis, pad, each)
    return torch.from_numpy(made)


@pytest.mark.parametrize("scheme", [*COPYING, "reflect/circular"])
@pytest.mark.parametrize(
    "figures", [((5, 5), 2, (2, 2), 1), ((3, 3), 1, (2, 2), 2), ((4, 2), (3, 1), (1, 3), 1)]
)
def test_outputs_are_those_of_padding_by_hand(scheme: str, figures: Any) -> None:
    kernel, stride, (rows, columns), dilation = figures
    conv = nn.Conv2d(3, 4, kernel, stride, (rows, columns), dilation).double()
    image = torch.randn(2, 3, 11, 9, dtype=torch.float64)
    ready = by_hand(image, [(rows, rows), (columns, columns)], scheme)
    wanted = functional.conv2d(ready, conv.weight, conv.bias, stride, 0, dilation)
    assert apart(padviz.repad(conv, scheme, size=(11, 9))(image), wanted) < 1e-12
    own = PaddedConv2d(3, 4, kernel, stride, (rows, columns), dilation, scheme=scheme).double()
    own.load_state_dict(conv.state_dict())
    assert apart(own(image), wanted) < 1e-12


def test_pads_are_the_naive_ones_on_any_dimensions_and_sides() -> None:
    image = torch.randn(2, 7, 9, 3)
    for scheme in COPYING:
        found = padded(image, ((2, 1), (0, 4)), (scheme, scheme), dims=(-3, -2))
        wanted = naive.padded(naive.padded(image.numpy(), 1, (2, 1), scheme), 2, (0, 4), scheme)
        assert np.array_equal(found.numpy(), wanted)
    assert torch.equal(padded(image, ((0, 0), (-1, 0)), ("circular", "circular")), image[..., 1:])
    wanted = np.pad(image.numpy(), [(0, 0), (0, 0), (2, 2), (1, 3)], "symmetric")
    assert np.array_equal(SymmetricPad2d((1, 3, 2, 2))(image).numpy(), wanted)


@pytest.mark.parametrize("figures", [(3, 1, 1, 1), (5, 2, 2, 1), (3, 1, 2, 2), (7, 3, 3, 1)])
def test_partial_convolution_is_its_formula(figures: tuple[int, int, int, int]) -> None:
    kernel, stride, pad, dilation = figures
    conv = nn.Conv2d(2, 3, kernel, stride, pad, dilation).double()
    image = torch.randn(1, 2, 12, 9, dtype=torch.float64)
    sums = functional.conv2d(image, conv.weight, None, stride, pad, dilation)
    ones = torch.ones(1, 1, 12, 9).double(), torch.ones(1, 1, kernel, kernel).double()
    hits = functional.conv2d(*ones, None, stride, pad, dilation)
    assert conv.bias is not None
    wanted = sums * kernel * kernel / hits + conv.bias[:, None, None]
    assert apart(padviz.repad(conv, "partial", size=(12, 9))(image), wanted) < 1e-12


def test_a_training_step_leaves_the_module_as_it_is_and_checkpoints_load() -> None:
    module, image = models.resnet18(), torch.randn(2, 3, 33, 33)
    saved = copy.deepcopy(module.state_dict())
    mine = padviz.repad(module, "symmetric", size=33, share=False)
    mine(image).square().sum().backward()
    torch.optim.SGD(mine.parameters(), 0.1).step()
    assert not torch.equal(mine.conv1.weight, module.conv1.weight)  # type: ignore[union-attr,arg-type]
    # its own, statistics too
    assert all(map(torch.equal, module.state_dict().values(), saved.values()))
    mine.load_state_dict(saved)
    module.load_state_dict(mine.state_dict())


def test_weights_are_shared_hooks_kept_and_the_module_left_as_it_is() -> None:
    module, seen = small(), []
    module[0].register_forward_hook(lambda module, args, out: seen.append(out.shape))  # type: ignore[index,operator]
    kinds = [type(each) for each in module.modules()]
    mine = padviz.repad(module, "replicate", size=(64, 70))
    seen.clear()
    mine(torch.randn(1, 3, 64, 70))
    assert len(seen) == 1
    assert [type(each) for each in module.modules()] == kinds
    assert all(
        one is other for one, other in zip(mine.parameters(), module.parameters(), strict=True)
    )
    assert not any(
        one is other for one, other in zip(mine.buffers(), module.buffers(), strict=True)
    )
    assert [*mine.state_dict()] == [*module.state_dict()]
    assert isinstance(mine[0], nn.Conv2d)  # type: ignore[index]


WAYS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "copied": lambda module, image: copy.deepcopy(module)(image),
    "pickled": lambda module, image: pickle.loads(pickle.dumps(module))(image),
    "channels last": lambda module, image: module(image.to(memory_format=torch.channels_last)),
    "compiled": lambda module, image: torch.compile(module, backend="eager")(image),
    "compiled whole": lambda module, image: torch.compile(
        module[:4], backend="eager", fullgraph=True
    )(image),
    "exported": lambda module, image: torch.export.export(module, (image,), strict=False).module()(
        image
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_repadded_module_can_be(way: str) -> None:
    module, image = (
        nn.Sequential(*list(small())[: 4 if "compiled" in way else 8]),
        torch.randn(1, 3, 33, 40),
    )
    for scheme in ("partial/circular",) if "compiled" in way else ("symmetric", "partial/circular"):
        mine = padviz.repad(module, scheme, size=(33, 40)).eval()
        with torch.no_grad():
            wanted = mine[:4](image) if way == "compiled whole" else mine(image)  # type: ignore[index]
            found = WAYS[way](mine, image)
        assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max())), scheme


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_modules_of_other_numbers_are_repadded_as_they_are_and_exported(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    size = (129, 140)  # whose halves have more positions than constants that are folded at once
    plain, image = (
        nn.Sequential(*list(small())[:4], Same(8, 4, 3, 2, bias=False)),
        torch.randn(1, 3, *size),
    )
    mine = padviz.repad(copy.deepcopy(plain).to(dtype), "partial/symmetric", size=size)
    found, wanted = (
        mine(image.to(dtype)),
        padviz.repad(plain, "partial/symmetric", size=size)(image),
    )
    assert found.dtype == dtype
    assert torch.allclose(found.float(), wanted, atol=0.02 * float(wanted.abs().max()))
    path = to_onnx(mine, tmp_path / "net.onnx", image.to(dtype), opset_version=17)
    counts = padviz.usage(plain, size, padding="partial/symmetric").counts
    assert np.allclose(padviz.usage(path, size).counts, counts, rtol=1e-12, atol=0)


def test_names_choose_what_is_changed_and_what_is_within_keeps_its_padding() -> None:
    def modes(module: Any) -> dict[str, str]:
        layers = padviz.load(module, size=(64, 64)).layers
        return {layer.name: layer.ops[0].mode for layer in layers if layer.kind == "conv"}  # type: ignore[union-attr]

    mine = padviz.repad(Calls(), "circular", only="conv", size=64)
    assert modes(mine) == {"conv": "circular", "own": "zero"}
    assert modes(padviz.repad(mine, "reflect", only="own", size=64)) == {
        "conv": "circular",
        "own": "reflect",
    }
    with pytest.raises(padviz.PadvizError, match=r"no layer is called 'owm'.*own"):
        padviz.repad(Calls(), "circular", only="owm")


class Joined(nn.Module):
    """Zeros put around an image by joining them, which no call of a pad does."""

    def __init__(self, padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=padding)
        self.last = nn.Conv2d(3, 3, 3)

    def forward(self, input: Tensor) -> Tensor:
        input = self.conv(input)
        columns = torch.zeros(*input.shape[:-1], 1)
        return self.last(torch.cat([columns, input, columns], -1))


def test_what_is_out_of_reach_is_said_by_name() -> None:
    with pytest.raises(
        padviz.PadvizError,
        match=r"Joined, last: its padding is made by calls that cannot be replaced",
    ):
        padviz.repad(Joined(), "reflect", size=32)
    with pytest.warns(
        UserWarning, match=r"Joined: last is unchanged: its padding is made by calls"
    ):
        mine = padviz.repad(Joined(1), "reflect", size=32)
    assert [each.layer for each in mine.repadded.left] == ["last"]  # type: ignore[union-attr]


def test_what_has_too_few_rows_is_left_alone_and_refused_when_it_runs() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 3, 8, 1), nn.Conv2d(3, 3, 5, padding=2))
    with pytest.warns(
        UserWarning, match=r"1 is unchanged: its input has 2 rows, too few for reflect padding of 2"
    ):
        padviz.repad(module, "reflect", size=16)
    mine = padviz.repad(module, "symmetric", size=64)
    with pytest.raises(
        padviz.PadvizError, match="its input has 1 row, too few for symmetric padding of 2"
    ):
        mine(torch.zeros(1, 3, 8, 8))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.same = nn.Conv2d(3, 3, 3, padding=1), Same(3, 3, 3)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.same(self.conv(one) + self.conv(other))


def test_a_module_that_cannot_be_counted_is_changed_by_its_code_and_a_warning_says_so() -> None:
    module, image = Two(), torch.randn(1, 3, 9, 9)
    with pytest.warns(UserWarning, match="changed by its code, unchecked: .*its forward fails"):
        mine = padviz.repad(module, "circular")
    assert set(mine.repadded.changed) == {"conv", "same"}  # type: ignore[union-attr]
    with padded_by("circular"):
        assert torch.allclose(module(image, image), mine(image, image))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("module", "scheme", "message"),
    [
        (
            lambda: nn.Sequential(torch.jit.script(nn.ReLU())),
            "reflect",
            "Sequential, 0: is a ScriptMod",
        ),
        (
            lambda: nn.Sequential(nn.LazyConv2d(3, 3, padding=1)),
            "reflect",
            "Sequential, 0: is a lazy module",
        ),
        (lambda: padviz.load("vgg11"), "reflect", "vgg11: has no weights"),
        (lambda: 3, "reflect", "3 is not a torch.nn.Module"),
        (lambda: nn.ReflectionPad2d(1), "partial", "pads on its own"),
        (Two, "partial", "Two: its forward fails on 3 x 16 x 16: TypeError"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_name(
    module: Callable[[], Any], scheme: str, message: str
) -> None:
    with warnings.catch_warnings(), pytest.raises(padviz.PadvizError, match=message) as caught:
        padviz.repad(module(), scheme, size=16 if module is Two else None)
    assert "\n" not in str(caught.value)
