"""Errors of other people's code are told as theirs; what is no error, such as a cancellation, reaches the caller."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import padviz
from padviz.errors import DescriptionError, PadvizError


class Cancelled(BaseException):
    """No error, as what cancels a task."""


def raising(error: BaseException) -> nn.Module:
    class Raising(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            raise error

    return Raising(3, 4, 3)


@pytest.mark.parametrize("error", [SystemExit(2), RuntimeError(), TimeoutError()])
def test_errors_of_a_forward_are_told_as_its_own(error: BaseException) -> None:
    with pytest.raises(DescriptionError, match="its forward fails"):
        padviz.load(raising(error))


@pytest.mark.parametrize("error", [Cancelled, KeyboardInterrupt])
def test_what_is_no_error_passes_through(error: type[BaseException]) -> None:
    with pytest.raises(error):
        padviz.load(raising(error()))


def test_a_call_with_other_arguments_is_not_followed() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), Odd(), nn.Conv2d(4, 4, 3))
    with pytest.raises(PadvizError, match="max_pool2d is called in a way that padviz does not follow"):
        padviz.usage(module, 16)


class Odd(nn.Module):
    """A function of ours that takes one more argument than PyTorch's has."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.overrides.handle_torch_function(max_pool2d, (x,), x, 2, newer=True)  # type: ignore[no-any-return]


def max_pool2d(x: Tensor, kernel: int, newer: bool = False) -> Tensor:
    return nn.functional.max_pool2d(x, kernel)
