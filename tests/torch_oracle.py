"""An independent count: the gradient of an all-ones, single-channel copy of a PyTorch model.

Every convolution sums its input's channels and then its taps; every pool sums its taps; what acts on
each position alone is the identity. The gradient of the summed output is then the number of paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

Size = tuple[int, int]
Found = tuple[NDArray[np.float64], dict[str, Size]]

GATES = (torchvision.ops.SqueezeExcitation,)
_average = functional.avg_pool2d


class OnesConv(nn.Module):
    """A convolution whose single weight plane is all ones, applied to the sum of the channels."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.options = {"stride": conv.stride, "dilation": conv.dilation}
        self.mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
        self.pads = [side for side in reversed(conv.padding) for _ in range(2)]
        self.register_buffer("weight", torch.ones((1, 1, *conv.kernel_size), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x.sum(1, keepdim=True), self.pads, mode=self.mode)
        return functional.conv2d(x, self.weight, **self.options)


class SumPool(nn.Module):
    """A pool that adds its taps."""

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self.options = (pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)

    def forward(self, x: Tensor) -> Tensor:
        return sum_pool(x, *self.options)


def sum_pool(x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False) -> Tensor:
    return _average(x, kernel_size, stride, padding, ceil_mode, True, divisor_override=1)


def conv(kernel: Any = 3, **options: Any) -> nn.Conv2d:
    """All ones, of one channel, without a bias: its response counts paths."""
    made = nn.Conv2d(1, 1, kernel, bias=False, dtype=torch.float64, **options)
    nn.init.ones_(made.weight)
    return made


def counted(module: nn.Module, size: Size) -> NDArray[np.float64]:
    """The gradient of a module itself, whose weights are ones."""
    image = torch.zeros((1, 1, *size), dtype=torch.float64, requires_grad=True)
    module(image).sum().backward()
    assert image.grad is not None
    return image.grad[0, 0].numpy()


def all_ones(model: nn.Module) -> nn.Module:
    """The single-channel copy: replaces the modules of `model` in place."""
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Conv2d):
            setattr(model, name, OnesConv(child))
        elif isinstance(child, nn.MaxPool2d | nn.AvgPool2d):
            setattr(model, name, SumPool(child))
        elif isinstance(child, GATES) or (not list(child.children()) and not isinstance(child, nn.Identity)):
            setattr(model, name, nn.Identity())
        else:
            all_ones(child)
    if hasattr(model, "layer_scale"):  # ConvNeXt scales channels
        model.layer_scale = nn.Parameter(torch.ones(1, dtype=torch.float64), requires_grad=False)
    if hasattr(model, "scale_weight"):  # SSD normalises across channels
        model.scale_weight = nn.Parameter(torch.ones(1, dtype=torch.float64), requires_grad=False)
    return model.eval()


def _unchanged(x: Tensor, *args: Any, **options: Any) -> Tensor:
    return x


@contextmanager
def counting_functions() -> Iterator[None]:
    """Within, the functions that models call outside of modules count paths too."""
    swaps = {"relu": _unchanged, "dropout": _unchanged, "normalize": _unchanged}
    swaps |= {"max_pool2d": sum_pool, "avg_pool2d": sum_pool}
    kept = {name: getattr(functional, name) for name in swaps}
    for name, swap in swaps.items():
        setattr(functional, name, swap)
    try:
        yield
    finally:
        for name, original in kept.items():
            setattr(functional, name, original)


def paths(model: nn.Module, targets: Sequence[str], size: Size, run: nn.Module | None = None) -> Found:
    """Count the paths from each pixel to the outputs of `targets`, modules of the all-ones `model`.

    `run` is the part of the model to call, where that is not all of it. Returns the counts (height,
    width) and the output size of every convolution and pool that ran, by module name.
    """
    sizes: dict[str, Size] = {}
    reached: dict[str, Tensor] = {}
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, OnesConv | SumPool):
            hooks.append(module.register_forward_hook(partial(_note, sizes, name)))
        if name in targets:
            hooks.append(module.register_forward_hook(partial(_keep, reached, name)))
    image = torch.zeros((1, 1, *size), dtype=torch.float64, requires_grad=True)
    try:
        with counting_functions():
            (run or model)(image)
        sum(reached[name].sum() for name in targets).backward()
    finally:
        for hook in hooks:
            hook.remove()
    assert image.grad is not None
    return image.grad[0, 0].numpy(), sizes


def _note(sizes: dict[str, Size], name: str, module: nn.Module, args: Any, output: Tensor) -> None:
    sizes[name] = (output.shape[2], output.shape[3])


def _keep(reached: dict[str, Tensor], name: str, module: nn.Module, args: Any, output: Tensor) -> None:
    reached[name] = output


def model_of(name: str) -> nn.Module:
    """torchvision's model, its weights unmade, as an all-ones copy."""
    options: dict[str, Any] = {"weights": None}
    home: Any = torchvision.models
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    if name == "ssd300_vgg16":
        home, options["weights_backbone"] = torchvision.models.detection, None
    if name == "deeplabv3_resnet50":
        home, options["weights_backbone"] = torchvision.models.segmentation, None
    with torch.device("meta"):
        model = getattr(home, name)(**options)
    ones = all_ones(model)
    for module in ones.modules():  # the copy's own weights are real
        for key, buffer in module.named_buffers(recurse=False):
            module.register_buffer(key, torch.ones(buffer.shape, dtype=torch.float64))
    return ones
