"""An independent count for any PyTorch model: its own forward, run with every function counting paths.

Every channel of a tensor holds the same number, the paths to a position. A convolution sums its taps of
one channel, a pool its taps; a concatenation sums its parts; a product of two maps is their sum; what
acts on each position alone gives back what it got; what broadcasts over rows and columns is a gate's
vector, and is left out. The gradient of a map is then the number of paths from each pixel. Nothing of
padviz is used, and a function that is not known here is an error.
"""

import logging
import math
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision import models

Size = tuple[int, int]

PLAIN = {
    "as_tensor", "channel_shuffle", "chunk", "clone", "contiguous", "detach", "expand", "flatten", "flip", "float",
    "getitem", "movedim", "narrow", "permute", "repeat_interleave", "select", "split", "split_with_sizes", "squeeze",
    "tensor_split", "to", "transpose", "type_as", "unbind", "unflatten", "unsqueeze",
}  # fmt: skip  # whose own result is right
ALONE = {
    "abs", "addcmul", "batch_norm", "clamp", "clamp_min", "conv1d", "dropout", "dropout2d", "elu", "exp", "gelu",
    "group_norm", "hardsigmoid", "hardswish", "hardtanh", "instance_norm", "layer_norm", "leaky_relu", "log",
    "log_softmax", "local_response_norm", "mish", "neg", "normalize", "pow", "prelu", "relu", "relu6", "rms_norm",
    "rsqrt", "sigmoid", "silu", "softmax", "softplus", "sqrt", "square", "tanh",
}  # fmt: skip  # each position alone, and those that act on what was pooled
ADDED = {"add", "iadd", "radd"}
PRODUCTS = {"mul", "imul", "rmul", "multiply"}
SUMS = PRODUCTS | {
    "add",
    "iadd",
    "radd",
    "sub",
    "rsub",
    "isub",
    "div",
    "idiv",
    "rdiv",
    "truediv",
    "true_divide",
}


class Counting(TorchFunctionMode):
    """Within, functions count paths; `pooled` is the map that was pooled or flattened last, without its vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.pooled: Tensor | None = None
        self.adaptive: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        name = (func.__self__.__name__ if name == "__get__" else name).strip("_")
        if not any(t.requires_grad for t in tensors_in((args, kwargs))):
            return func(*_shapes_only(args), **_shapes_only(kwargs))
        if handler := getattr(self, f"on_{name}", None):
            return handler(*args, **kwargs)
        if name in ALONE:
            return next(t for t in tensors_in(args) if t.requires_grad)
        if name in SUMS:
            return self._together(args[0], args[1], product=name in PRODUCTS, added=name in ADDED)
        out = func(*args, **kwargs)
        if name == "flatten" and args[0].ndim == 4 and out.ndim < 4:
            self._pool(args[0])
        if name not in PLAIN and any(t.requires_grad for t in tensors_in(out)):
            raise NotImplementedError(f"{name} is not counted")
        return out

    def _pool(self, x: Tensor) -> None:
        if not any(x is each for each in self.adaptive) and x.shape[-2:] != (1, 1):
            self.pooled = x

    def _together(self, a: Any, b: Any, product: bool = False, added: bool = False) -> Tensor:
        if not (isinstance(a, Tensor) and a.requires_grad):
            return self._wide(b, a)
        if not (isinstance(b, Tensor) and b.requires_grad):
            return self._wide(a, b)
        if product and a is b:
            return a  # a swish that is written out
        if added:
            return torch.add(a, b)  # a vector that is added is added everywhere
        one, other = (
            (1,) * (max(a.ndim, b.ndim) - each.ndim) + tuple(each.shape) for each in (a, b)
        )
        if sum(n == 1 != m for n, m in zip(one, other, strict=True)) > 1:
            return b
        if sum(m == 1 != n for n, m in zip(one, other, strict=True)) > 1:
            return a
        return torch.add(a, b)

    def _without_positions(
        self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any
    ) -> Tensor:
        """Attention, in heads only: what is behind it is not asked for."""
        return torch.zeros_like(query)

    def _wide(self, x: Tensor, constant: Any) -> Tensor:
        """A map and a constant that may have more channels."""
        return (
            x
            if not isinstance(constant, Tensor)
            else x.expand(torch.broadcast_shapes(x.shape, constant.shape))
        )

    def on_conv2d(
        self, x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:  # fmt: skip
        ones = torch.ones((1, 1, *weight.shape[-2:]), dtype=x.dtype)
        y = functional.conv2d(x[:, :1], ones, None, stride, padding, dilation)
        return y.expand(-1, weight.shape[0], -1, -1)

    def on_conv_transpose2d(
        self, x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> Tensor:  # fmt: skip
        ones = torch.ones((1, 1, *weight.shape[-2:]), dtype=x.dtype)
        y = functional.conv_transpose2d(
            x[:, :1], ones, None, stride, padding, output_padding, 1, dilation
        )
        return y.expand(-1, weight.shape[1] * groups, -1, -1)

    def on_linear(self, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
        return x[..., :1].expand(*x.shape[:-1], weight.shape[0])

    def on_max_pool2d(
        self, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Tensor:  # fmt: skip
        assert dilation in (1, (1, 1))
        return self.on_avg_pool2d(x, kernel_size, stride, padding, ceil_mode)

    def on_avg_pool2d(
        self, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, *rest: Any,
        **options: Any,
    ) -> Tensor:  # fmt: skip
        y = functional.avg_pool2d(x[:, :1], kernel_size, stride, padding, ceil_mode, True, 1)
        return y.expand(-1, x.shape[1], -1, -1)

    def on_adaptive_avg_pool2d(
        self, x: Tensor, output_size: Any, return_indices: bool = False
    ) -> Tensor:
        self._pool(x)
        size = (output_size, output_size) if isinstance(output_size, int) else output_size
        n, m = (each or whole for each, whole in zip(size, x.shape[2:], strict=True))
        height, width = x.shape[2:]
        rows = [slice(i * height // n, math.ceil((i + 1) * height / n)) for i in range(n)]
        cols = [slice(j * width // m, math.ceil((j + 1) * width / m)) for j in range(m)]
        boxes = torch.stack([x[:, 0, row, col].sum((1, 2)) for row in rows for col in cols], 1)
        out = boxes.view(x.shape[0], 1, n, m).expand(-1, x.shape[1], -1, -1)
        self.adaptive.append(out)
        return out

    on_adaptive_max_pool2d = on_adaptive_avg_pool2d

    def on_mean(self, x: Tensor, dim: Any = None, keepdim: bool = False, **options: Any) -> Tensor:
        dims = [dim] if isinstance(dim, int) else list(dim)
        if len(dims) == 2:
            self._pool(x if {d % 4 for d in dims} == {2, 3} else x.movedim(-1, 1))
            return x.sum(dims, keepdim=keepdim)
        return x.mean(dims, keepdim=keepdim)

    on_sum = on_amax = on_mean

    def on_expand_as(self, x: Tensor, other: Tensor) -> Tensor:
        return x  # a gate's vector; what reads it broadcasts it

    def on_norm(
        self, x: Tensor, p: Any, dim: Any, keepdim: bool = False, dtype: Any = None
    ) -> Tensor:
        return self.on_mean(x, dim, keepdim)

    def on_matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """A vector of a sum over all positions; attention is not counted here."""
        out = torch.zeros(
            (*torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        )
        if 1 not in out.shape[-2:]:
            raise NotImplementedError("attention is not counted")
        both = out.shape[-1] == 1 and a.requires_grad and b.requires_grad
        return a.sum(-1, keepdim=True) + b.sum(-2, keepdim=True) if both else out

    def on_softmax(self, x: Tensor, dim: int, *rest: Any, **options: Any) -> Tensor:
        """Over channels each position alone; over the positions of a map without channels each sees them all."""
        if x.ndim == 3 and x.shape[1] == 1 and dim % 3 == 2:
            return x.sum(-1, keepdim=True).expand_as(x)
        return x

    on_scaled_dot_product_attention = _without_positions

    def on_max(self, x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
        return x.mean(dim, keepdim=keepdim), torch.zeros(1)

    def on_cat(self, tensors: list[Tensor], dim: int = 0) -> Tensor:
        axis = dim % tensors[0].ndim
        wide = list(tensors[0].shape)
        wide[axis] = sum(tensor.shape[axis] for tensor in tensors)
        return sum(tensor.narrow(axis, 0, 1) for tensor in tensors if tensor.requires_grad).expand(
            wide
        )

    def on_stack(self, tensors: list[Tensor], dim: int = 0) -> Tensor:
        return sum(tensors).unsqueeze(dim).expand(torch.stack([*tensors], dim).shape)

    def on_pad(self, x: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> Tensor:
        if mode != "constant":
            return functional.pad(x, pad, mode)
        return functional.pad(x, pad)

    def on_interpolate(
        self, x: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None,
        recompute_scale_factor: Any = None, antialias: bool = False,
    ) -> Tensor:  # fmt: skip
        assert not antialias
        y = functional.interpolate(x[:, :1], size, scale_factor, mode, align_corners)
        if mode == "bilinear":  # each row that is read counts once
            y = _AsReads.apply(
                x[:, :1],
                lambda v: functional.interpolate(v, size, scale_factor, mode, align_corners),
            )
        return y.expand(-1, x.shape[1], -1, -1)

    def on_view(self, x: Tensor, *shape: Any) -> Tensor:
        out = x.reshape(*shape)
        if x.ndim == 4 and out.ndim < 4:
            self._pool(x)
        blocks = out.ndim == 6 and out.shape[3] == out.shape[5] == x.shape[2] // out.shape[2]
        # the places become channels
        return out.sum((3, 5), keepdim=True).expand(out.shape) if blocks else out

    on_reshape = on_view

    def on_pixel_unshuffle(self, x: Tensor, factor: int) -> Tensor:
        y = functional.avg_pool2d(x[:, :1], factor, factor, divisor_override=1)
        return y.expand(-1, x.shape[1] * factor**2, -1, -1)


class _AsReads(torch.autograd.Function):
    """A linear function whose every weight that is not zero counts as one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        basis = torch.eye(x[0, 0].numel(), dtype=x.dtype).view(-1, 1, *x.shape[2:])
        # input position, 1, output rows and columns
        ctx.reads = (function(basis) > 1e-9).to(x.dtype)
        ctx.shape = x.shape
        return torch.einsum("i,iohw->ohw", x.flatten(), ctx.reads)[None]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return torch.einsum("ohw,iohw->i", grad[0], ctx.reads).view(ctx.shape), None


def _shapes_only(value: Any) -> Any:
    """Constants without their values, which nothing here needs."""
    if isinstance(value, Tensor):
        return value.to("meta") if value.ndim else value
    if isinstance(value, dict):
        return {key: _shapes_only(each) for key, each in value.items()}
    return type(value)(map(_shapes_only, value)) if type(value) in (tuple, list) else value


def tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [t for each in value for t in tensors_in(each)] if isinstance(value, tuple | list) else []
    )


def count(
    model: nn.Module, size: Size, channels: int = 3, counting: Counting | None = None
) -> tuple[NDArray[np.float64], dict[str, Size]]:
    """Paths from each pixel to the last map, or to all maps that the model returns; and the sizes of windows' outputs.

    The model's parameters may be on the meta device: only their shapes are read.
    """
    sizes: dict[str, Size] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            sizes[name] = (output.shape[2], output.shape[3])

        return hook

    windows = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
    hooks = [
        m.register_forward_hook(note(name))
        for name, m in model.named_modules()
        if isinstance(m, windows)
    ]
    for parameter in model.parameters():
        parameter.requires_grad = False
    image = torch.zeros((1, channels, *size), dtype=torch.float64, requires_grad=True)
    counting = counting or Counting()
    try:
        with counting:
            out = model.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
    maps = [each for each in tensors_in(out) if each.ndim == 4]
    maps = maps or [counting.pooled]
    sum(each[:, 0].sum() for each in maps).backward()
    assert image.grad is not None
    return image.grad[0].sum(0).numpy(), sizes


def sum_pool(
    x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False
) -> Tensor:
    return functional.avg_pool2d(
        x, kernel_size, stride, padding, ceil_mode, True, divisor_override=1
    )


def conv(kernel: Any = 3, **options: Any) -> nn.Conv2d:
    """All ones, of one channel, without a bias: its response counts paths."""
    made = nn.Conv2d(1, 1, kernel, bias=False, dtype=torch.float64, **options)
    nn.init.ones_(made.weight)
    return made


def to_onnx(module: nn.Module, path: Path, image: Tensor, **options: Any) -> Path:
    """The file that an exporter of PyTorch writes of a module: by default the old one, without what it warns of."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (image,), path, **{"dynamo": False, "verbose": False, **options}
        )
    logging.disable(logging.NOTSET)
    return path


def counted(module: nn.Module, size: tuple[int, int]) -> NDArray[np.float64]:
    """The gradient of a module itself, whose weights are ones."""
    image = torch.zeros((1, 1, *size), dtype=torch.float64, requires_grad=True)
    module(image).sum().backward()
    assert image.grad is not None
    return image.grad[0, 0].numpy()


@cache
def torchvisions(name: str) -> nn.Module:
    """Torchvision's model, without its weights: of a detector or a segmenter the backbone, as the zoo has it."""
    options: dict[str, Any] = (
        {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    )
    options |= {"weights_backbone": None} if name in ("ssd300_vgg16", "deeplabv3_resnet50") else {}
    # RegNets calculate their widths
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        model: nn.Module = models.get_model(name, weights=None, **options).eval().to("meta")
    model.forward = getattr(model, "backbone", model).forward  # type: ignore[method-assign]
    return model
