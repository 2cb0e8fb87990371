"""What a PyTorch function is called, and the tensors among what it is given or returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from padviz.sources.tracing.arranging import Stuck

Function = Callable[..., Any]  # of PyTorch
Args = Sequence[Any]
Kwargs = Mapping[str, Any]
PLAIN = frozenset((int, float, bool, str))  # most of what is no tensor

RECURRENT = frozenset(("lstm", "gru", "rnn_tanh", "rnn_relu"))
RECURRENT_ARGUMENTS = 9  # of them: the input, its states, weights, biases?, layers, dropout, training?, both ways?, ...


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


def listed(numbers: object) -> list[int]:
    """List one number or several, which may be given as a sequence of their own.

    >>> listed(2), listed((2, 3)), listed(([2, 3],))
    ([2], [2, 3], [2, 3])
    """
    if isinstance(numbers, int):
        return [numbers]
    if not isinstance(numbers, Sequence):
        raise Stuck("is called in a way that padviz does not follow")
    return [*numbers[0]] if len(numbers) == 1 and not isinstance(numbers[0], int) else [*numbers]


def tensors_in(value: object) -> list[Tensor]:
    """Collect the tensors in arguments or results, however nested."""
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


def without_data(value: Any, of: Callable[[Tensor], Tensor] | None = None) -> Any:
    """Replace each tensor that has data, among arguments, by one without: `of` it, an empty one by default."""
    if isinstance(value, Tensor):
        return value if value.is_meta else (of or hollow)(value)
    if isinstance(value, dict):
        return {key: without_data(item, of) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(without_data(item, of) for item in value)
    return value


def hollow(tensor: Tensor) -> Tensor:
    """Return a tensor of the same shape and type, without data."""
    return torch.empty_like(tensor, device="meta", requires_grad=False)


def recurrent(op: str, args: Args) -> tuple[Tensor, ...] | None:
    """Return, without data, what a recurrent layer returns: PyTorch would work through it step by step.

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
    """A call that is the module's own mistake, which PyTorch does not see in tensors without data."""
