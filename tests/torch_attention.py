"""`torch_calls` for networks whose attention looks at maps: each position that looks sees each that it looks at, once.

What a score is made of is left out, as a gate's vector is; a mask hides what it makes smaller than -50. And supports,
which need no counting: what the gradient of one unit of a module itself, with random weights, does not leave at 0.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import padviz
from padviz.network.sizes import sizes_of_each
from tests.torch_calls import Counting, Size, tensors_in

HIDDEN = -50
OWN = {"roll", "swapaxes", "view", "reshape", "flip"}


class Attending(Counting):
    """Counts paths through attention too; scores are ones, without a gradient."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        if not any(t.requires_grad for t in tensors_in((args, kwargs))):
            return (
                (args[0] > HIDDEN).double()
                if name == "softmax" and torch.is_tensor(args[0])
                else func(*args, **kwargs)
            )
        return (
            func(*args, **kwargs)
            if name in OWN
            else super().__torch_function__(func, types, args, kwargs)
        )

    def on_matmul(self, a: Tensor, b: Tensor) -> Tensor:
        if a.requires_grad and b.requires_grad:
            return torch.ones(torch.matmul(a.detach(), b.detach()).shape, dtype=a.dtype)
        return torch.matmul(a, b) if b.requires_grad else self.on_linear(a, b.mT)

    def on_flatten(self, x: Tensor, start: int = 0, end: int = -1) -> Tensor:
        merged = x.ndim == 6 and start == 3  # the places of patches become channels
        return (x.sum((3, 4), keepdim=True).expand(x.shape) if merged else x).flatten(start, end)


def support(
    model: nn.Module, size: Size, unit: tuple[int, int], channels: int = 3
) -> NDArray[np.bool_]:
    """Find the pixels that one unit of the map which a module returns depends on, by gradients."""
    torch.manual_seed(0)
    model = model.double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.5)
    image = torch.randn((1, channels, *size), dtype=torch.float64, requires_grad=True)
    out = model(image)[0, :, unit[0], unit[1]]
    (out * torch.randn(out.shape, dtype=out.dtype)).sum().backward()
    assert image.grad is not None
    found: NDArray[np.bool_] = (image.grad[0].abs().amax(0) > 1e-30).numpy()
    return found


class After(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        return self.function(self.conv(x))


def check_supports(module: nn.Module, network: padviz.Network, size: Size) -> None:
    """Compare what single units of the last map see with the gradients of the module itself."""
    network = network.at(size)
    at = network.index[network.targets[0]]
    height, width = (sizes[at] for sizes in sizes_of_each(network, size))
    for unit in ((0, 0), (height - 1, width - 1), (height // 2, 1)):
        seen = padviz.usage(network, size, unit=unit).counts > 0
        np.testing.assert_array_equal(seen, support(module, size, unit), err_msg=str(unit))


def windows(x: Tensor, side: int = 4) -> Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // side, side, w // side, side).permute(0, 1, 2, 4, 3, 5)


def whole(x: Tensor) -> Tensor:
    n, c, h, w, side, _ = x.shape
    return x.permute(0, 1, 2, 4, 3, 5).reshape(n, c, h * side, w * side)


def attended(tokens: Tensor, queries: Tensor | None = None) -> Tensor:
    """Attention of the last two dimensions, (positions, channels), to themselves, or of others to them."""
    queries = tokens if queries is None else queries
    return (queries @ tokens.mT / 100).softmax(-1) @ tokens


def in_windows(x: Tensor, attend: Callable[[Tensor], Tensor] = attended, side: int = 4) -> Tensor:
    tokens = windows(x, side).flatten(4).permute(0, 2, 3, 4, 1)
    return whole(attend(tokens).permute(0, 4, 1, 2, 3).unflatten(4, (side, side)))
