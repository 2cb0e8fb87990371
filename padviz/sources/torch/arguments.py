"""Arguments and results of PyTorch functions: the tensors among them, and their values.

Small constants that are no weights keep their values, and maps have none: calls whose results are as long as the values
of maps say are taken to find one thing.
"""

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
RECURRENT_ARGUMENTS = 9  # of them: the input, its states, weights, biases?, layers, dropout, training?, both ways?, ...
MOST_KEPT = 1 << 22  # numbers: as many has a mask of windows in an image of 1000 pixels a side
MAKERS = frozenset(("arange", "as_tensor", "eye", "full", "linspace", "ones", "scalar_tensor", "tensor", "zeros"))
NEW = frozenset(("new_full", "new_ones", "new_zeros"))
MOVERS = frozenset(("to", "type_as", "cpu", "cuda"))
READS = frozenset((
    "__array__", "__bool__", "__complex__", "__float__", "__index__", "__int__", "allclose", "equal", "is_nonzero",
    "item", "numpy", "tolist",
))  # fmt: skip  # what makes plain numbers of a tensor
BY_VALUES = "picks positions by their values"
UNIQUE = ("unique", "unique2", "unique_consecutive", "unique_dim")
OPS = frozenset(("argwhere", "getitem", "masked_select", "nms", "nonzero", "where", *UNIQUE))


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
    return torch.empty_like(tensor, device="meta", requires_grad=False)


def recurrent_result(op: str, args: Args) -> tuple[Tensor, ...] | None:
    """Return, without data, what a recurrent layer returns: PyTorch would work through it step by step.

    >>> x, state = torch.empty(7, 1, 4, device="meta"), torch.empty(2, 1, 5, device="meta")
    >>> [tuple(t.shape) for t in recurrent_result("lstm", (x, (state, state), [], True, 1, 0.0, False, True, False))]
    [(7, 1, 10), (2, 1, 5), (2, 1, 5)]
    """
    if op not in RECURRENT or len(args) != RECURRENT_ARGUMENTS or not isinstance(args[2], list | tuple):
        return None
    states = tensors_in(args[1])
    features = states[0].shape[-1] * (2 if args[-2] else 1)
    return args[0].new_empty((*args[0].shape[:-1], features)), *map(torch.empty_like, states)


class Refused(RuntimeError):
    """A call that is the module's own mistake, which PyTorch does not see in tensors without data."""


def constants_of(root: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors of a module that are no weights and no statistics."""
    for module in root.modules():
        held = {} if isinstance(module, _NormBase) else {**vars(module), **module._buffers}
        yield from (one for one in held.values() if isinstance(one, Tensor) and not isinstance(one, nn.Parameter))


def run(func: Function, op: str, args: Args, kwargs: Kwargs) -> object:
    """Call a function; a small constant that it makes or moves onto the image's device keeps its data."""
    if op in MOVERS:
        return _moved(func, args, kwargs)
    device = kwargs.get("device")
    onto_meta = op in MAKERS and device is not None and torch.device(device).type == "meta"
    if onto_meta and func(*args, **kwargs).numel() <= MOST_KEPT and not _any_meta(args, kwargs):
        return func(*args, **{**kwargs, "device": "cpu"})
    if op in NEW and args[0].is_meta and not _any_meta(args[1:], kwargs):
        shape = args[1:2] if op == "new_full" else args[1:]
        if args[0].new_empty(*shape).numel() <= MOST_KEPT:
            return func(torch.empty(0, dtype=args[0].dtype), *args[1:], **kwargs)
    return func(*args, **kwargs)


def _any_meta(args: Args, kwargs: Kwargs) -> bool:
    return any(tensor.is_meta for tensor in tensors_in((args, kwargs)))


def _moved(func: Function, args: Args, kwargs: Kwargs) -> Tensor:
    tensor: Tensor = args[0]
    own, *others = map(without_data, args)
    others = ["meta" if isinstance(arg, torch.device | str) else arg for arg in others]
    given = {key: "meta" if key == "device" else without_data(value) for key, value in kwargs.items()}
    if func.__name__ in ("cpu", "cuda") or not (others or given):
        return tensor
    return tensor.to(func(own, *others, **given).dtype)


def with_numbers(index: object, read: Callable[[Tensor], None]) -> object:
    """Turn the single whole numbers in an index to plain ones; each of them is `read`, and must have data."""
    if isinstance(index, tuple):
        return tuple(with_numbers(item, read) for item in index)
    if isinstance(index, slice):
        return slice(*(with_numbers(end, read) for end in (index.start, index.stop, index.step)))
    if not isinstance(index, Tensor) or index.ndim or index.dtype == torch.bool:
        return index
    read(index)
    return int(index)


def pick_one(op: str, args: Args, kwargs: Kwargs) -> Tensor | tuple[Tensor, ...] | None:
    """Return what a call returns if its values pick one thing; None for calls whose results have a known shape."""
    if op not in OPS or not _any_meta(args, kwargs):
        return None
    if op == "getitem":
        return _masked(args[0], args[1])
    if op == "where":
        return _places(args[0], True) if len(args) == 1 else None
    if op in ("nonzero", "argwhere"):
        return _places(args[0], kwargs.get("as_tuple", False))
    first = tensors_in((args, kwargs))[0]
    if op == "nms":
        return _new(first, 1, dtype=torch.int64)
    if op == "masked_select":
        return _new(first, 1)
    unique = [_new(first, 1)]
    if kwargs.get("return_inverse", len(args) > 2 and args[2]):
        unique.append(_new(first, *first.shape, dtype=torch.int64))
    if kwargs.get("return_counts", len(args) > 3 and args[3]):
        unique.append(_new(first, 1, dtype=torch.int64))
    return tuple(unique) if len(unique) > 1 else unique[0]


def _new(like: Tensor, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
    return torch.empty(shape, dtype=dtype or like.dtype, device="meta")


def _places(mask: Tensor, as_tuple: bool) -> Tensor | tuple[Tensor, ...]:
    if as_tuple:
        return tuple(_new(mask, 1, dtype=torch.int64) for _ in range(mask.ndim))
    return _new(mask, 1, mask.ndim, dtype=torch.int64)


def _masked(tensor: Tensor, index: object) -> Tensor | None:
    places: list[Any] = []
    found = False
    for item in index if isinstance(index, tuple) else [index]:
        if isinstance(item, Tensor) and item.dtype in (torch.bool, torch.uint8):
            places += _places(item, True)
            found |= item.is_meta
        else:
            places.append(item)
    return _new(tensor, *tensor.shape)[tuple(places)] if found else None
