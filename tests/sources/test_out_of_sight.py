"""What code makes of maps where padviz cannot follow it: refused by name, and never taken for a constant."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import padviz
from padviz.errors import PadvizError
from tests.sweeps import SLOW
from tests.torch_oracle import conv, counted

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Branches(nn.Module):
    """The sum of two convolutions, of which one is handed through some code, and a third that reads it."""

    def __init__(self, through: Callable[[Tensor], Tensor], a: nn.Module | None = None) -> None:
        super().__init__()
        self.a, self.b, self.d = conv(5, padding=2) if a is None else a, conv(padding=1), conv(padding=1)
        self.through = through

    def forward(self, x: Tensor) -> Any:
        return self.d(self.through(self.a(x)) + self.b(x))


class Own(Tensor):
    """A subclass."""


def in_a_thread(x: Tensor) -> Tensor:
    made: list[Tensor] = []
    thread = threading.Thread(target=lambda: made.append(x * 2))
    thread.start()
    thread.join()
    return made[0]


def through_a_view(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    whole.view(-1).copy_(x.reshape(-1))
    return whole


def through_a_slice(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    whole[:, :][:, :, 1:].copy_(x[:, :, 1:])
    return whole


def through_an_older_view(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    view = whole[:, :]
    whole.add_(x)
    return view


def a_view_of_what_is_added_to(x: Tensor) -> Tensor:
    view = x[:, :]
    x += functional.avg_pool2d(x, 3, 1, 1, divisor_override=1)
    return view


def each_in_place(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    torch._foreach_add_([whole], [x])
    return whole


def each_map_in_place(x: Tensor) -> Tensor:
    torch._foreach_add_([x], [functional.avg_pool2d(x, 3, 1, 1, divisor_override=1)])
    return x


def scripted_in_place(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    _added(whole, x)
    return whole


def through_out(x: Tensor) -> Tensor:
    whole = torch.zeros_like(x)
    torch.mul(x, 2, out=whole[:, :])
    return whole


def scripted(code: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(code)


@scripted
def _added(whole: Tensor, x: Tensor) -> None:
    whole[:, :, 1:].add_(x[:, :, 1:])


@scripted
def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


OUT_OF_SIGHT: dict[str, Callable[[Tensor], Tensor]] = {
    "vmap": torch.vmap(lambda x: x * 2),
    "vmap twice": torch.vmap(torch.vmap(lambda x: x * 2)),
    "jvp": lambda x: torch.func.jvp(lambda t: t * 2, (x,), (x,))[1],
    "a subclass": lambda x: x.as_subclass(Own),
    "a parameter": lambda x: nn.Parameter(x, requires_grad=False),
    "set_": lambda x: torch.empty(0, device=x.device, dtype=x.dtype).set_(x),
    "a thread": in_a_thread,
    "a view": through_a_view,
    "a slice": through_a_slice,
    "an older view": through_an_older_view,
    "a view of what is added to": a_view_of_what_is_added_to,
    "each in place": each_in_place,
    "each map in place": each_map_in_place,
    "out": through_out,
    "scripted in place": scripted_in_place,
}
IN_SIGHT: dict[str, Callable[[Tensor], Tensor]] = {
    "a scripted function": swish,
    "checkpoint": lambda x: checkpoint(lambda t: t * 2, x, use_reentrant=True),
    "checkpoint, newer": lambda x: checkpoint(lambda t: t * 2, x, use_reentrant=False),
    "data": lambda x: x.data,
    "detach": lambda x: x.detach(),
    "clone": lambda x: torch.ops.aten.clone.default(x),
    "an overload": lambda x: torch.ops.aten.mul.Tensor(x, x.sigmoid()),
    "copied whole": lambda x: torch.zeros_like(x).copy_(x),
    "out": lambda x: torch.mul(x, 2, out=torch.empty_like(x)),
    "constants": lambda x: x * torch.linspace(0, 1, x.shape[3]) + torch.arange(x.shape[2]).view(-1, 1),
    "a constant of its type": lambda x: x + torch.arange(x.shape[3]).to(x),
    "a scripted vector": lambda x: x * swish(functional.adaptive_avg_pool2d(x, 1)),
}


@pytest.mark.parametrize("name", OUT_OF_SIGHT)
def test_what_is_made_of_a_map_out_of_sight_is_refused(name: str) -> None:
    with pytest.raises(PadvizError, match=r"^Branches, \w+: .*`layer` \w+ stops before it"):
        padviz.usage(Branches(OUT_OF_SIGHT[name]), 16)


@pytest.mark.parametrize("name", OUT_OF_SIGHT)
def test_an_output_that_is_made_out_of_sight_is_refused(name: str) -> None:
    module = Branches(OUT_OF_SIGHT[name])
    module.b, module.d = nn.Identity(), nn.Identity()
    module.forward = lambda x: [module.a(x), module.through(functional.avg_pool2d(module.a(x), 3, 1, 1))][1:]  # type: ignore[method-assign]
    with pytest.raises(PadvizError, match=r"^Branches, \w+: .*`layer` \w+ stops before it"):
        padviz.usage(module, 16)


@pytest.mark.parametrize("name", IN_SIGHT)
def test_what_can_be_followed_is_no_secret(name: str) -> None:
    np.testing.assert_array_equal(
        padviz.usage(Branches(IN_SIGHT[name]), (16, 19)).counts, counted(Branches(lambda x: x), (16, 19))
    )


class Smoothed(torch.autograd.Function):
    """A function of PyTorch's, with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, 3, 1, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def test_a_function_with_a_gradient_of_its_own_is_followed() -> None:
    expected = counted(Branches(lambda x: functional.avg_pool2d(x, 3, 1, 1, divisor_override=1)), (16, 19))
    np.testing.assert_array_equal(padviz.usage(Branches(Smoothed.apply), (16, 19)).counts, expected)


@pytest.mark.parametrize("make", [scripted, lambda a: torch.jit.trace(a, torch.zeros(1, 1, 9, 9).double())])
def test_a_scripted_module_is_refused_with_what_to_do(make: Callable[[nn.Module], nn.Module]) -> None:
    module = Branches(lambda x: x, make(conv(5, padding=2)))
    with pytest.raises(PadvizError, match=r"^Branches, a: is scripted, .*: put the module that it was made of in its"):
        padviz.usage(module, (16, 16))


def test_what_does_not_lead_through_a_scripted_module_counts() -> None:
    module = Branches(lambda x: x, scripted(conv(5, padding=2)))
    assert padviz.usage(module, (16, 16), layer="b").max == 9


def test_a_scripted_head_is_in_nobodys_way() -> None:
    head = scripted(nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2)).double())
    module = nn.Sequential(conv(padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    assert padviz.usage(module, 9).max == 9


@pytest.mark.parametrize(
    "wrap", [pytest.param(torch.compile, marks=SLOW), nn.DataParallel, nn.utils.parametrizations.weight_norm]
)
def test_modules_that_are_wrapped_are_followed(wrap: Callable[[nn.Module], Any]) -> None:
    module = Branches(lambda x: x, wrap(conv(5, padding=2)))
    np.testing.assert_array_equal(
        padviz.usage(module, (16, 19)).counts, counted(Branches(lambda x: x, conv(5, padding=2)), (16, 19))
    )


@lru_cache
def grid(width: int, device: torch.device) -> Tensor:
    return torch.linspace(0, 1, width, device=device)


class Caching(nn.Module):
    """Keeps constants for further forwards: in a cache of the process, and in its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(padding=1), conv(padding=1)
        self.kept: dict[str, list[Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        kept = self.kept.setdefault("rows", [torch.zeros(1, 1, 1, 1, device=x.device)])
        return self.b(self.a(x) * grid(x.shape[3], x.device) + kept[0])


def test_constants_that_are_kept_for_further_forwards_are_constants() -> None:
    for _ in range(2):
        network = padviz.load(Caching(), size=(16, 16))
        assert padviz.usage(network).max == 81


def test_a_map_that_is_kept_for_further_forwards_is_no_constant() -> None:
    kept: list[Tensor] = []

    def keeping(x: Tensor) -> Tensor:
        kept.append(x)
        return x + kept[0] if len(kept) > 1 and kept[0].shape == x.shape else x

    padviz.load(Branches(keeping), size=(16, 16))
    with pytest.raises(PadvizError, match=r"^Branches, add: .*`layer` \w+ stops before it"):
        padviz.usage(Branches(keeping), 16)
