"""What code makes of maps where padviz cannot follow it: refused by name, and never taken for a constant.

Its errors are told as its own; what is no error, such as a cancellation, reaches the caller.
"""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from tests.torch_calls import conv, counted

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Branches(nn.Module):
    """The sum of two convolutions, of which one is handed through some code, and a third that reads it."""

    def __init__(self, through: Callable[[Tensor], Tensor], a: nn.Module | None = None) -> None:
        super().__init__()
        self.a, self.b, self.d = (
            conv(5, padding=2) if a is None else a,
            conv(padding=1),
            conv(padding=1),
        )
        self.through = through

    def forward(self, x: Tensor) -> Any:
        return self.d(self.through(self.a(x)) + self.b(x))


class Own(Tensor):
    """A subclass."""


def in_a_thread(x: Tensor) -> Tensor:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.mul, x, 2).result()


def through_zeros(write: Callable[[Tensor, Tensor], Any]) -> Callable[[Tensor], Tensor]:
    def through(x: Tensor) -> Tensor:
        whole = torch.zeros_like(x)
        write(whole, x)
        return whole

    return through


def summed(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, 1, 1, divisor_override=1)


def a_view_of_what_is_added_to(x: Tensor) -> Tensor:
    view = x[:, :]
    x += summed(x)
    return view


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
    "jvp": lambda x: torch.func.jvp(lambda t: t * 2, (x,), (x,))[1],
    "a subclass": lambda x: x.as_subclass(Own),
    "set_": lambda x: torch.empty(0, device=x.device, dtype=x.dtype).set_(x),
    "a thread": in_a_thread,
    "a view": through_zeros(lambda whole, x: whole.view(-1).copy_(x.reshape(-1))),
    "a slice of numbers": lambda x: (
        whole := torch.zeros(x.shape).to(x),
        whole[:, :][:, :, 1:].copy_(x[:, :, 1:]),
    )[0],
    "a slice": through_zeros(lambda whole, x: whole[:, :][:, :, 1:].copy_(x[:, :, 1:])),
    "a view of what is added to": a_view_of_what_is_added_to,
    "each in place": through_zeros(lambda whole, x: torch._foreach_add_([whole], [x])),
    "out": through_zeros(lambda whole, x: torch.mul(x, 2, out=whole[:, :])),
    "scripted in place": through_zeros(_added),
}
IN_SIGHT: dict[str, Callable[[Tensor], Tensor]] = {
    "a scripted function": swish,
    "checkpoint": lambda x: checkpoint(lambda t: t * 2, x, use_reentrant=True),
    "detach": lambda x: x.detach(),
    "an overload": lambda x: torch.ops.aten.mul.Tensor(x, x.sigmoid()),
    "copied whole": lambda x: torch.zeros_like(x).copy_(x),
    "out": lambda x: torch.mul(x, 2, out=torch.empty_like(x)),
    "constants": lambda x: (
        x * torch.linspace(0, 1, x.shape[3]) + torch.arange(x.shape[2]).view(-1, 1)
    ),
}


@pytest.mark.parametrize("name", OUT_OF_SIGHT)
def test_what_is_made_of_a_map_out_of_sight_is_refused(name: str) -> None:
    inner, output = Branches(OUT_OF_SIGHT[name]), Branches(OUT_OF_SIGHT[name])
    output.forward = lambda x: [output.through(summed(output.a(x)))]  # type: ignore[method-assign]
    for module in (inner, output):
        with pytest.raises(PadvizError, match=r"^Branches, \w+: .*`layer` \w+ stops before it"):
            padviz.usage(module, 16)


def same(module: nn.Module, followed: nn.Module) -> None:
    np.testing.assert_array_equal(
        padviz.usage(module, (16, 19)).counts, counted(followed, (16, 19))
    )


@pytest.mark.parametrize("name", IN_SIGHT)
def test_what_can_be_followed_is_no_secret(name: str) -> None:
    same(Branches(IN_SIGHT[name]), Branches(lambda x: x))


class Smoothed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, 3, 1, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def test_a_function_with_a_gradient_of_its_own_is_followed() -> None:
    same(Branches(Smoothed.apply), Branches(summed))


TRACED = pytest.param(
    lambda a: torch.jit.trace(a, torch.zeros(1, 1, 9, 9).double()),
    id="traced",
    marks=pytest.mark.skipif(
        torch.__version__.startswith("2.7."), reason="its calls end the trace, whatever reads them"
    ),
)


@pytest.mark.parametrize("make", [scripted, TRACED])
def test_a_scripted_module_is_refused_with_what_to_do_unless_it_is_a_head(
    make: Callable[[nn.Module], Any],
) -> None:
    module = Branches(lambda x: x, make(conv(5, padding=2)))
    with pytest.raises(
        PadvizError,
        match=r"^Branches, a: is scripted, .*: put the module that it was made of in its",
    ):
        padviz.usage(module, (16, 16))
    assert padviz.usage(module, (16, 16), layer="b").max == 9  # which does not lead through it
    head = nn.Sequential(conv(padding=1), nn.AdaptiveAvgPool2d(1), make(conv(1)))
    assert padviz.usage(head, 9).max == 9


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(torch.compile, marks=SLOW),
        nn.DataParallel,
        nn.utils.parametrizations.weight_norm,
    ],
)
def test_modules_that_are_wrapped_are_followed(wrap: Callable[[nn.Module], Any]) -> None:
    same(Branches(lambda x: x, wrap(conv(5, padding=2))), Branches(lambda x: x))


def test_constants_that_are_kept_for_further_forwards_are_constants() -> None:
    kept: dict[int, Tensor] = {}

    def keeping(x: Tensor) -> Tensor:
        return x * kept.setdefault(x.shape[3], torch.linspace(0, 1, x.shape[3], device=x.device))

    for _ in range(2):
        same(Branches(keeping), Branches(lambda x: x))


def test_a_map_that_is_kept_for_further_forwards_is_no_constant() -> None:
    kept: list[Tensor] = []

    def keeping(x: Tensor) -> Tensor:
        kept.append(x)
        return x + kept[0] if len(kept) > 1 and kept[0].shape == x.shape else x

    padviz.load(Branches(keeping), size=(16, 16))
    with pytest.raises(PadvizError, match=r"^Branches, add: .*`layer` \w+ stops before it"):
        padviz.usage(Branches(keeping), 16)


class Cancelled(BaseException):
    """No error, as what cancels a task."""


@pytest.mark.parametrize(
    "error", [SystemExit(2), RuntimeError(), TimeoutError(), Cancelled(), KeyboardInterrupt()]
)
def test_errors_of_a_forward_are_told_as_its_own_and_what_is_no_error_passes_through(
    error: BaseException,
) -> None:
    def through(x: Tensor) -> Tensor:
        raise error

    passes = isinstance(error, Cancelled | KeyboardInterrupt)
    with pytest.raises(
        type(error) if passes else PadvizError, match=None if passes else "its forward fails"
    ):
        padviz.load(Branches(through))


def max_pool2d(x: Tensor, *args: int, newer: bool = False) -> Tensor:
    """A function of ours that takes one more argument than PyTorch's has."""
    if not torch.overrides.has_torch_function((x,)):
        return functional.max_pool2d(x, *args)
    return torch.overrides.handle_torch_function(max_pool2d, (x,), x, *args, newer=True)  # type: ignore[no-any-return]


def test_a_call_with_other_arguments_is_not_followed() -> None:
    with pytest.raises(
        PadvizError, match="max_pool2d is called with arguments that padviz does not support"
    ):
        padviz.usage(Branches(lambda x: max_pool2d(x, 3, 1, 1)), 16)
