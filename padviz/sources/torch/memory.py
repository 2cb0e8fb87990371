"""Which memory was made of maps, seen below everything that calls PyTorch: compiled code cannot hide it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch._C import _functorch, _storage_id  # type: ignore[attr-defined]
from torch.utils._python_dispatch import TorchDispatchMode

from padviz.sources.torch.arguments import op_of, tensors_in

Layers = frozenset[int]
NONE: Layers = frozenset()
IMAGE: Layers = frozenset({0})
WITHOUT, UNREAD = -1, -2  # beside layers: made of what has no data; of no weights
CONSTANTS = frozenset((
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like", "new_zeros",
    "new_ones", "new_empty", "new_empty_strided", "new_full", "new_tensor",
))  # fmt: skip  # what reads a map's shape alone
EARLIER: WeakValueDictionary[int, Tensor] = WeakValueDictionary()  # constants of earlier forwards, as caches keep them


class Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, keeps account of which layers the memory of each tensor was made of, whoever calls PyTorch.

    Constants are made of none, as are the tensors that were there before, `known`. Memory that nobody saw being made,
    as by another thread, counts as made of the image. `written` collects the memory that was written to in place.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: dict[int, Layers] = {}
        self.written: set[int | None] = set()
        self._kept: list[tuple[Tensor, int]] = []  # so that no memory is used twice
        for tensor in known:
            self.add(tensor, NONE)

    def of(self, tensor: Tensor) -> Layers:
        """Find the layers that the memory of a tensor was made of, with WITHOUT."""
        at = place(tensor)
        if not tensor.is_meta:
            return self.layers.get(at or 0, NONE)  # what has data was made of no image, unless one was written to it
        if at not in self.layers and EARLIER.get(id(tensor)) is tensor:
            return NONE
        return self.layers.get(at or 0, IMAGE)

    def add(self, tensor: Tensor, layers: Layers, anew: bool = False) -> None:
        """Remember that the memory of a tensor is made of these layers too, or, `anew`, of these alone."""
        if (tensor.is_meta or layers) and (at := place(tensor)):
            self._kept.append((tensor, at))
            self.layers[at] = layers if anew else self.layers.get(at, NONE) | layers

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else PyTorch loads its compiler, for seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            given = NONE
            if op_of(func) not in CONSTANTS:
                given = given.union(*map(self.of, tensors_in((args, kwargs))))
            for tensor in tensors_in(out):
                self.add(tensor, given)
            if func._schema.is_mutable:
                for tensor in _written(func._schema, args, kwargs):
                    self.add(tensor, given)
                    self.written.add(place(tensor))
        return out

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        EARLIER.update({id(tensor): tensor for tensor, at in self._kept if max(self.layers[at], default=-1) < 0})


def place(tensor: Tensor) -> int | None:
    """Tell the memory of tensors apart, by a number; what torch.func wraps has the memory inside, some have none."""
    while _functorch.is_functorch_wrapped_tensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return _storage_id(tensor) if torch._C._has_storage(tensor) else None


def _written(schema: Any, args: Any, kwargs: Any) -> Iterator[Tensor]:
    """Yield the tensors that a call writes to in place."""
    for argument, value in zip(schema.arguments, args, strict=False):
        if argument.is_write:
            yield from tensors_in(value)
    for argument in schema.arguments:
        if argument.is_write and argument.name in kwargs:
            yield from tensors_in(kwargs[argument.name])
