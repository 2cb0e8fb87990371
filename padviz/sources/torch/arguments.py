"""What a PyTorch function is called, and the tensors among what it is given or returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

PLAIN = frozenset((int, float, bool, str))  # most of what is no tensor

RECURRENT = frozenset(("lstm", "gru", "rnn_tanh", "rnn_relu"))
RECURRENT_ARGUMENTS = 9  # of them: the input, its states, weights, biases?, layers, dropout, training?, both ways?, ...


def op_of(func: Any) -> str:
    """Name a function plainly, without the marks of operators, of in-place versions and of overloads.

    >>> [op_of(func) for func in (torch.Tensor.add_, torch.Tensor.__rsub__, torch.ops.aten.conv2d.default)]
    ['add', 'rsub', 'conv2d']
    """
    func = getattr(func, "overloadpacket", func)
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        name = getattr(func.__self__, "fget", func.__self__).__name__
    return name.rsplit(".", 1)[-1].strip("_")


def tensors_in(value: Any) -> list[Tensor]:
    """Collect the tensors in arguments or results, however nested."""
    tensors: list[Tensor] = []
    _collect(value, tensors)
    return tensors


def _collect(value: Any, tensors: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        tensors.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            if item is not None and type(item) not in PLAIN:
                _collect(item, tensors)
    elif isinstance(value, Mapping):
        _collect([*value.values()], tensors)
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        _collect([getattr(value, name, None) for name in value.__dataclass_fields__], tensors)


def without_data(value: Any, of: Callable[[Tensor], Tensor] | None = None) -> Any:
    """Replace every tensor that has data, among arguments, by one that has none: `of` it, an empty one by default."""
    if isinstance(value, Tensor):
        return value if value.is_meta else (of or hollow)(value)
    if isinstance(value, dict):
        return {key: without_data(item, of) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(without_data(item, of) for item in value)
    return value


def hollow(tensor: Tensor) -> Tensor:
    """Make a tensor of the same shape and type, without data."""
    return torch.empty_like(tensor, device="meta", requires_grad=False)


def recurrent(op: str, args: Any) -> tuple[Tensor, ...] | None:
    """Make, without data, what a recurrent layer returns: PyTorch works through it step by step.

    >>> x, state = torch.empty(7, 1, 4, device="meta"), torch.empty(2, 1, 5, device="meta")
    >>> [tuple(t.shape) for t in recurrent("lstm", (x, (state, state), [], True, 1, 0.0, False, True, False))]
    [(7, 1, 10), (2, 1, 5), (2, 1, 5)]
    """
    if op not in RECURRENT or len(args) != RECURRENT_ARGUMENTS or not isinstance(args[2], list | tuple):
        return None
    states = tensors_in(args[1])
    features = states[0].shape[-1] * (2 if args[-2] else 1)
    return args[0].new_empty((*args[0].shape[:-1], features)), *map(torch.empty_like, states)


class Refused(RuntimeError):
    """A call that PyTorch refuses, but not of tensors without data: the module's own mistake."""
