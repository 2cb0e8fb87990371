"""Modules that count: with weights of 1, and pools that add their taps, the gradient of the sum counts paths."""

from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision import models


class SumPool(nn.Module):
    def __init__(self, pool: Any) -> None:
        super().__init__()
        self.options = (pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)

    def forward(self, x: Tensor) -> Tensor:
        return sum_pool(x, *self.options)


def sum_pool(x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False) -> Tensor:
    return functional.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, True, divisor_override=1)


def conv(kernel: Any = 3, **options: Any) -> nn.Conv2d:
    """All ones, of one channel, without a bias: its response counts paths."""
    made = nn.Conv2d(1, 1, kernel, bias=False, dtype=torch.float64, **options)
    nn.init.ones_(made.weight)
    return made


def counted(module: nn.Module, size: tuple[int, int]) -> NDArray[np.float64]:
    """The gradient of a module itself, whose weights are ones."""
    image = torch.zeros((1, 1, *size), dtype=torch.float64, requires_grad=True)
    module(image).sum().backward()
    assert image.grad is not None
    return image.grad[0, 0].numpy()


@cache
def torchvisions(name: str) -> nn.Module:
    """Torchvision's model, without its weights: of a detector or a segmenter the backbone, as the zoo has it."""
    options: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    options |= {"weights_backbone": None} if name in ("ssd300_vgg16", "deeplabv3_resnet50") else {}
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # RegNets calculate their widths
        model: nn.Module = models.get_model(name, weights=None, **options).eval().to("meta")
    model.forward = getattr(model, "backbone", model).forward  # type: ignore[method-assign]
    return model
