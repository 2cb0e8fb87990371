"""Constants that keep their data: small tensors that are no weights, and what a forward makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from padviz.sources.torch.arguments import tensors_in, without_data
from padviz.sources.tracing.sizes.rows import Tracked

MOST_KEPT = 1 << 22  # numbers: as many has a mask of windows in an image of 1000 pixels a side
MAKERS = frozenset(("arange", "as_tensor", "eye", "full", "linspace", "ones", "scalar_tensor", "tensor", "zeros"))
NEW = frozenset(("new_full", "new_ones", "new_zeros"))
MOVERS = frozenset(("to", "type_as", "cpu", "cuda"))
READS = frozenset((
    "__array__", "__bool__", "__complex__", "__float__", "__index__", "__int__", "allclose", "equal", "is_nonzero",
    "item", "numpy", "tolist",
))  # fmt: skip  # what makes plain numbers of a tensor


def kept_of(root: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors of a module that keep their data: small ones, but for weights and statistics."""
    for module in root.modules():
        held = {} if isinstance(module, _NormBase) else {**vars(module), **module._buffers}
        for value in held.values():
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.numel() <= MOST_KEPT:
                yield value


def unread_of(root: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors of an emptied module that have lost their data, but for weights and statistics."""
    for module in root.modules():
        held = {} if isinstance(module, _NormBase) else {**vars(module), **module._buffers}
        yield from (
            value
            for value in held.values()
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.is_meta
        )


def made(func: Any, op: str, args: Any, kwargs: Any) -> Any:
    """Call a function; a small constant that it makes, or moves, where the image is keeps its data."""
    if op in MOVERS:
        return _moved(func, args, kwargs)
    if op in MAKERS and _is_meta(kwargs.get("device")) and _is_small(func(*args, **kwargs), args, kwargs):
        return func(*args, **{**kwargs, "device": "cpu"})
    if op in NEW and args[0].is_meta and _is_small(args[0].new_empty(*_shape(op, args)), args[1:], kwargs):
        return func(torch.empty(0, dtype=args[0].dtype), *args[1:], **kwargs)
    return func(*args, **kwargs)


def _moved(func: Any, args: Any, kwargs: Any) -> Any:
    """Give a tensor another type, and leave it where it is."""
    own, *others = (without_data(arg) for arg in args)
    others = ["meta" if isinstance(arg, torch.device | str) else arg for arg in others]
    given = {key: "meta" if key == "device" else without_data(value) for key, value in kwargs.items()}
    if not others and not given:
        return args[0]
    if func.__name__ in ("cpu", "cuda"):
        return args[0]
    return args[0].to(func(own, *others, **given).dtype)


def _is_meta(device: Any) -> bool:
    return device is not None and torch.device(device).type == "meta"


def _is_small(out: Tensor, args: Any, kwargs: Any) -> bool:
    """Tell whether what a function makes is small, and no tensor that it makes it of is without data."""
    return out.numel() <= MOST_KEPT and not any(tensor.is_meta for tensor in tensors_in((args, kwargs)))


def _shape(op: str, args: Any) -> Any:
    return args[1:2] if op == "new_full" else args[1:]


def with_numbers(index: Any, read: Callable[[Tensor], None]) -> Any:
    """Make plain numbers of the single whole numbers with data in an index, each of which is `read`."""
    if isinstance(index, tuple):
        return tuple(with_numbers(item, read) for item in index)
    if isinstance(index, slice):
        return slice(*(with_numbers(end, read) for end in (index.start, index.stop, index.step)))
    if not isinstance(index, Tensor) or index.is_meta or index.ndim or index.dtype == torch.bool:
        return index
    read(index)
    return int(index)


def is_sized(value: Any) -> bool:
    """Tell whether there are numbers made of the image's size among arguments."""
    if isinstance(value, list | tuple):
        return any(map(is_sized, value))
    return isinstance(value, Tracked) or (isinstance(value, dict) and is_sized([*value.values()]))
