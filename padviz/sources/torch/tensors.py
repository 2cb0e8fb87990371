"""The tensors of a PyTorch forward: what they hold, and what their memory was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import (  # type: ignore[attr-defined]
    DisableTorchFunction,
    _functorch,
    _has_storage,
    _storage_id,
)
from torch._ops import OpOverload
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from padviz.sources.tracing.arranging import Map, Stuck

Function = Callable[..., object]  # of PyTorch
Args = Sequence[Any]
Kwargs = Mapping[str, object]
PLAIN = frozenset((int, float, bool, str))  # common types besides tensors

RECURRENT = frozenset(("lstm", "gru", "rnn_tanh", "rnn_relu"))
MOST_KEPT = 1 << 22  # numbers: a mask of windows in an image of 1000 pixels a side
BY_VALUES = "picks positions by their values"
Layers = frozenset[int]
NONE: Layers = frozenset()
IMAGE: Layers = frozenset({0})
CONSTANTS = frozenset((
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like",
    "randint_like", "new_zeros", "new_ones", "new_empty", "new_empty_strided", "new_full",
    "new_tensor",
))  # fmt: skip  # what reads a map's shape alone
FILLS = frozenset(("full", "full_like", "ones", "ones_like", "zeros", "zeros_like"))
EARLIER = WeakTensorKeyDictionary()  # constants of earlier forwards, as caches keep them


def op_of(func: object) -> str:
    """Return the plain name of a function, without the marks of operators, in-place versions and
    overloads.

    >>> [op_of(func) for func in (torch.Tensor.add_, torch.Tensor.__rsub__,
    ...     torch.ops.aten.conv2d.default)]
    ['add', 'rsub', 'conv2d']
    """
    func = getattr(func, "overloadpacket", func)
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        owner = getattr(func, "__self__", None)
        name = getattr(getattr(owner, "fget", owner), "__name__", name)
    return name.rsplit(".", 1)[-1].strip("_")


def is_own(op: str) -> bool:
    """Whether a function is PyTorch's: then it is known to be elementwise, or it is not neutral."""
    places = (torch.ops.aten, torch, Tensor, nn.functional)
    return any(hasattr(place, op) for place in places)


def as_list(numbers: object) -> list[int]:
    """List one number or several, which may be given as a sequence of their own: as `2`, `(2, 3)`
    or `([2, 3],)`.
    """
    if isinstance(numbers, int):
        return [numbers]
    if not isinstance(numbers, Sequence):
        raise Stuck("is called with arguments that padviz does not support")
    if len(numbers) == 1 and not isinstance(numbers[0], int):
        return [*numbers[0]]
    return [*numbers]


def tensors_in(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    parts: Iterable[object] = ()
    if isinstance(value, list | tuple):
        parts = value
    elif isinstance(value, Mapping):
        parts = value.values()
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        parts = [getattr(value, name, None) for name in value.__dataclass_fields__]
    tensors: list[Tensor] = []
    for part in parts:
        if part is not None and type(part) not in PLAIN:
            tensors += tensors_in(part)
    return tensors


def named_tensors(output: object, name: str) -> dict[str, Tensor]:
    """Return the tensors in what a module returns, by the keys of a dict or by the `name`, and
    numbers.
    """
    if isinstance(output, Mapping):
        parts = {str(key): part for key, part in output.items()}
    else:
        parts = {name: output}
    named: dict[str, Tensor] = {}
    for key, part in parts.items():
        tensors = tensors_in(part)
        for i, tensor in enumerate(tensors):
            named[f"{key}.{i}" if len(tensors) > 1 else key] = tensor
    return named


def hollow(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta", requires_grad=False)


class Refused(RuntimeError):
    """A call that is the module's own mistake, which PyTorch does not see in tensors without data;
    what to do.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


def constants_of(root: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors of a module that are no weights and no statistics."""
    for module in root.modules():
        if isinstance(module, _NormBase):
            held = {}
        else:
            held = {**vars(module), **module._buffers}
        for value in held.values():
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                yield value


@dataclass(eq=False, slots=True)
class Storage:
    """The memory of one or more tensors: the layers that it was made of, and whether also of
    constants without data.

    All its numbers may be the `same`, and `made` is a hash of how they were made. `why` says what
    happened to it where nothing is known of it any more.
    """

    layers: Layers = NONE
    unread: bool = False
    same: bool = False
    made: int = 0
    # all that lie in it; kept, so that no memory is used twice
    tensors: list[Tensor] = field(default_factory=list)
    followed: bool = False  # whether maps in it are known
    why: str = ""


def positions_of(map_: Map) -> int:
    return prod(position.size for dim in map_.dims or () for position in dim.positions)


class Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, sees every call below all that calls PyTorch, so that compiled code cannot hide
    one.

    `written` is the memory that was written to in place.
    """

    def __init__(self, root: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values: dict[Tensor, Map] = {}
        self.parts: dict[
            Tensor, tuple[Tensor, object]
        ] = {}  # of constants: the whole, and the index there
        self.storages: dict[int, Storage] = {}
        self.written: set[Storage] = set()
        for module in root.modules():
            with suppress(RecursionError):  # of what contains itself
                for tensor in tensors_in(vars(module)):
                    self.add(tensor)
        for tensor in constants_of(root):
            if tensor.is_meta:
                self.add(tensor, unread=True)

    def of(self, tensor: Tensor) -> Storage:
        """Return the memory of a tensor; what another thread made, out of sight, counts as made of
        the image.
        """
        if storage := self.storages.get(place(tensor)):
            return storage
        return Storage(IMAGE if tensor.is_meta and tensor not in EARLIER else NONE)

    def add(self, tensor: Tensor, layers: Layers = NONE, unread: bool = False) -> None:
        if (tensor.is_meta or layers or unread) and (at := place(tensor)):
            storage = self.storages.setdefault(at, Storage())
            storage.tensors.append(tensor)
            storage.layers |= layers
            storage.unread |= unread

    def hollow_copy(self, tensor: Tensor) -> Tensor:
        """Return a copy of a constant, without data and in a memory of its own."""
        copy, storage = hollow(tensor), self.of(tensor)
        self.add(copy, storage.layers, storage.unread)
        if tensor.numel() == 1:
            self.of(copy).made = hash(repr(tensor))
        return copy

    def value(self, tensor: object) -> Map | None:
        if isinstance(tensor, Tensor):
            return self.values.get(tensor)
        return None

    def numbers(self, tensor: Tensor) -> Tensor | None:
        """Return the data of a constant; None for one that is made of weights."""
        unread = self.of(tensor).unread
        if tensor.is_meta and (isinstance(tensor, nn.Parameter) or not unread):
            return None
        if tensor.is_meta or unread:
            raise Stuck("reads numbers that are not known")
        return tensor

    def learn(self, tensor: Tensor, value: Map) -> None:
        if not (storage := self.of(tensor)).followed:
            storage.layers, storage.unread = NONE, False
        self.add(tensor, frozenset({value.at}))
        self.of(tensor).followed = True
        self.values[tensor] = value

    def holds_all(self, tensor: Tensor) -> bool:
        """Return whether a tensor has a map, and none in its memory has more positions, as `y` has
        more than `y[..., 0]`.
        """
        map_ = self.value(tensor)
        if map_ is None:
            return False
        sharing = [self.values.get(other, map_) for other in self.of(tensor).tensors]
        return positions_of(map_) == max(map(positions_of, [map_, *sharing]))

    def forget(self, storage: Storage, op: str, returned: Tensor | None = None) -> None:
        """Forget the maps in a memory that a call wrote to, which may have `returned` one of its
        tensors.
        """
        storage.followed = False
        for tensor in storage.tensors:
            if self.values.pop(tensor, None) and tensor is not returned:
                storage.why = (
                    f"{op} changes a part of a tensor in place"  # and what shares its data with it
                )

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else PyTorch loads its compiler, for seconds

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: Args = (), kwargs: Kwargs | None = None
    ) -> object:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        with DisableTorchFunction():
            if op_of(func) in CONSTANTS:
                read = []
            else:
                read = [*map(self.of, tensors_in((args, kwargs)))]
            layers, unread = (
                NONE.union(*(one.layers for one in read)),
                any(one.unread for one in read),
            )
            same, made = numbers_made(func, (*args, *kwargs.values()), read)
            for tensor in tensors_in(out):
                self.add(tensor, layers, unread)
                if self.of(tensor) not in read:  # views share what they view
                    self.of(tensor).same, self.of(tensor).made = same, made
            if func._schema.is_mutable:
                for tensor in tensors_in(written_by(func, args, kwargs)):
                    self.add(tensor, layers, unread)
                    self.of(tensor).same, self.of(tensor).made = False, made
                    self.written.add(self.of(tensor))
        return out

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for storage in self.storages.values():
            if not storage.layers:
                EARLIER.update(dict.fromkeys(storage.tensors))


def numbers_made(func: OpOverload, args: Args, read: Sequence[Storage]) -> tuple[bool, int]:
    """Return whether all numbers that a call makes of constants are the same, and a hash of how it
    makes them.
    """
    op, pointwise = op_of(func), torch.Tag.pointwise in func.tags
    if not (pointwise or op in FILLS or func._schema.is_mutable):
        return False, 0
    plain = [repr(value) for value in args if type(value) in PLAIN]
    same = op in FILLS or (pointwise and read != [] and all(one.same for one in read))
    return same, hash((op, *plain, *(one.made for one in read)))


def written_by(func: OpOverload, args: Args, kwargs: Kwargs) -> list[object]:
    """Return the arguments that a call writes to."""
    arguments = func._schema.arguments
    given = {argument.name: value for argument, value in zip(arguments, args, strict=False)}
    given.update(kwargs)
    return [given.get(argument.name) for argument in arguments if argument.is_write]


def place(tensor: Tensor) -> int:
    """Return a number for the memory of a tensor, also of one that torch.func wraps; 0 where it has
    none.
    """
    while _functorch.is_functorch_wrapped_tensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return _storage_id(tensor) if _has_storage(tensor) else 0
