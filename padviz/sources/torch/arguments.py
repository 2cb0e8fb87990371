"""Arguments and results of PyTorch functions, and the tensors among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from padviz.sources.tracing.arranging import Stuck

Function = Callable[..., Any]  # of PyTorch
Args = Sequence[Any]
Kwargs = Mapping[str, Any]
PLAIN = frozenset((int, float, bool, str))  # most of what is no tensor

RECURRENT = frozenset(("lstm", "gru", "rnn_tanh", "rnn_relu"))
MOST_KEPT = 1 << 22  # numbers: as many has a mask of windows in an image of 1000 pixels a side
BY_VALUES = "picks positions by their values"


def op_of(func: Any) -> str:
    """Return the plain name of a function, without the marks of operators, in-place versions and overloads.

    >>> [op_of(func) for func in (torch.Tensor.add_, torch.Tensor.__rsub__, torch.ops.aten.conv2d.default)]
    ['add', 'rsub', 'conv2d']
    """
    func = getattr(func, "overloadpacket", func)
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        name = getattr(func.__self__, "fget", func.__self__).__name__
    return name.rsplit(".", 1)[-1].strip("_")


def as_list(numbers: object) -> list[int]:
    """List one number or several, which may be given as a sequence of their own: as `2`, `(2, 3)` or `([2, 3],)`."""
    if isinstance(numbers, int):
        return [numbers]
    if not isinstance(numbers, Sequence):
        raise Stuck("is called with arguments that padviz does not support")
    return [*numbers[0]] if len(numbers) == 1 and not isinstance(numbers[0], int) else [*numbers]


def tensors_in(value: object) -> list[Tensor]:
    tensors: list[Tensor] = []

    def collect(value: object) -> None:
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, list | tuple):
            for item in value:
                if item is not None and type(item) not in PLAIN:
                    collect(item)
        elif isinstance(value, Mapping):
            collect([*value.values()])
        elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            collect([getattr(value, name, None) for name in value.__dataclass_fields__])

    collect(value)
    return tensors


def hollow(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta", requires_grad=False)


class Refused(RuntimeError):
    """A call that is the module's own mistake, which PyTorch does not see in tensors without data."""


def constants_of(root: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors of a module that are no weights and no statistics."""
    for module in root.modules():
        held = {} if isinstance(module, _NormBase) else {**vars(module), **module._buffers}
        yield from (one for one in held.values() if isinstance(one, Tensor) and not isinstance(one, nn.Parameter))
