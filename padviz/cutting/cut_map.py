"""Maps that are cut along a dimension, and how the operations of PyTorch find their handlers.

An operation is handled as PyTorch dispatches it, with the arguments of its schema. One that is not
known is refused, unless PyTorch tags it as pointwise or decomposes it. Handlers take the function
and its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeVar

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves, tree_map_only

from padviz.cutting.exact_units import Span

aten = torch.ops.aten
T = TypeVar("T")
Function = Callable[..., Any]
Pooled = list[tuple[int, Any]]  # the rows of each part, and what a function makes of it

HANDLERS: dict[object, Function] = {}


def handles(*keys: object) -> Callable[[Function], Function]:
    """Return a decorator for what handles functions of PyTorch, or operations that it
    dispatches.
    """

    def register(handler: Function) -> Function:
        HANDLERS.update(dict.fromkeys(keys, handler))
        return handler

    return register


class Refused(Exception):
    """A map that is cut does not allow what a layer does; the message says what."""


class Rule(NamedTuple):
    """How an operation makes rows along the dimension that is cut.

    It makes `rows(n)` rows of n. Rows [first, end) read the span `reads(first, end)` of an endless
    axis, and `run(region, at, first, end)` makes them of that span, whose first row is `at`. Rows
    beyond the ends are filled with a number, or as a padding mode does. When the map ends, the last
    `read_at_end` rows may be read once more.
    """

    rows: Callable[[int], int]
    reads: Callable[[int, int], Span]
    run: Callable[[Tensor, int, int, int], Tensor]
    fill: float | str = 0.0
    alias: bool = False
    read_at_end: int = 0


class CutMap(Tensor):
    """A map whose rows along dimension `along` lie in several places. Its shape is that of the
    whole map.
    """

    along: int
    alias: bool  # whether it may share memory with another map, row by row

    @classmethod
    def shell(cls, part: Tensor, along: int, n: int, alias: bool) -> Self:
        """Return a map with the shape of a part but n rows, and without any data."""
        shape = put(part.shape, along, n)
        empty: Self = Tensor._make_wrapper_subclass(
            cls, shape, dtype=part.dtype, device=part.device
        )
        empty.along, empty.alias = along, alias
        return empty

    @property
    def n(self) -> int:
        """The number of its rows."""
        return self.shape[self.along]

    @property
    def behind(self) -> int:
        """The number of dimensions from its rows to the last."""
        return self.ndim - self.along

    def __repr__(self) -> str:  # type: ignore[override]
        return f"<{type(self).__name__} {tuple(self.shape)}, cut along dimension {self.along}>"

    def windowed(self, rule: Rule) -> CutMap:
        """Return the map that a rule makes of this one."""
        raise NotImplementedError

    def each(
        self,
        function: Function,
        args: Sequence[object],
        kwargs: Mapping[str, object] | None = None,
        along: int = -1,
    ) -> CutMap | list[CutMap]:
        """Call a function on the parts of all maps in its arguments. The result has its rows along
        `along`.
        """
        raise NotImplementedError

    def pooled(
        self, function: Function, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> Pooled:
        """Call a function on each part, and return the number of its rows with the result."""
        raise NotImplementedError

    def narrowed(self, tensor: Tensor, dim: int) -> Tensor:
        """Cut a tensor, which has a value for each row along `dim`, as this map is cut."""
        raise NotImplementedError

    def fitted(self, tensor: Tensor) -> Tensor:
        """Cut a tensor that is broadcast to this map, if it has a value for each row."""
        dim = tensor.ndim - self.behind
        if isinstance(tensor, CutMap) and tensor.behind == self.behind:
            return tensor
        if dim >= 0 and tensor.shape[dim] != 1:
            return self.narrowed(tensor, dim)
        return tensor

    @classmethod
    def __torch_function__(
        cls,
        function: Function,
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = {**(kwargs or {})}
        if (handle := HANDLERS.get(function)) and not isinstance(
            function, torch._ops.OpOverloadPacket
        ):
            return handle(
                function, *([kwargs.pop("input")] if "input" in kwargs else []), *args, **kwargs
            )
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        function: OpOverload,
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if handle := HANDLERS.get(function.overloadpacket):
            return handle(function, *args, **kwargs)
        if is_pointwise(function):
            return pointwise(function, *args, **kwargs)
        decompose = decomposition_table.get(function, function.decompose)
        if (result := decompose(*args, **kwargs)) is NotImplemented:
            raise Refused(f"runs {function.overloadpacket.__name__} over positions that are cut")
        return result


def cuts_in(*args: object) -> list[CutMap]:
    """Return the maps that are cut among some arguments, each once."""
    return [*{id(leaf): leaf for leaf in tree_leaves(args) if isinstance(leaf, CutMap)}.values()]


def is_pointwise(function: OpOverload) -> bool:
    """Return whether PyTorch tags an operation, or the one that it does in place, as pointwise and
    returning a map.
    """
    packet = getattr(aten, function.overloadpacket.__name__.removesuffix("_"), None)
    tags = {*function.tags, *getattr(packet, function._overloadname, function).tags}
    return torch.Tag.pointwise in tags and torch.Tag.data_dependent_output not in tags


def pointwise(function: OpOverload, *args: object, **kwargs: object) -> object:
    """Broadcast from the last dimension. A plain tensor with a value for each row is cut like the
    maps.
    """
    like = max(cuts_in(args, kwargs), key=lambda cut: cut.behind)
    if function._schema.is_mutable and (args[0] is not like or like.alias):
        raise Refused("writes into a part of a map")
    fitted_args, fitted_kwargs = tree_map_only(Tensor, like.fitted, (args, kwargs))
    ndim = max(leaf.ndim for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
    result = like.each(function, fitted_args, fitted_kwargs, ndim - like.behind)
    if function._schema.is_mutable:  # a stream then holds the rows that all of its operands have
        vars(args[0]).update(vars(result), alias=False)
        return args[0]
    return result


def _local(function: Function, *args: object, **kwargs: object) -> CutMap | list[CutMap]:
    """Call what works on each position alone."""
    return cuts_in(args, kwargs)[0].each(function, args, kwargs)


def first_of(function: OpOverload, *args: object, **kwargs: object) -> tuple[object, ...]:
    """Call what works on each position alone, and returns other things behind the map."""
    first = _local(lambda *parts, **more: function(*parts, **more)[0], *args, **kwargs)
    return (first, *[torch.empty(0)] * (len(function._schema.returns) - 1))


def arguments_of(function: OpOverload, *args: object, **kwargs: object) -> dict[str, Any]:
    """Return the arguments of a call by the names in its schema, with their defaults."""
    defaults = {argument.name: argument.default_value for argument in function._schema.arguments}
    return defaults | dict(zip(defaults, args, strict=False)) | kwargs


def _along_dims(function: OpOverload, x: CutMap, *args: object, **kwargs: object) -> object:
    """Call what works along the dimensions in its schema's `dim` or `dims`, if the rows are none of
    them.
    """
    given = arguments_of(function, x, *args, **kwargs)
    if x.along in dims_of(x, given.get("dim", given.get("dims"))):
        raise Refused(f"runs {function.overloadpacket.__name__} along positions that are cut")
    return x.each(function, (x, *args), kwargs)


def dims_of(x: Tensor, dims: int | Sequence[int] | None) -> list[int]:
    """Return dimensions, counted from the first and in order; all of them for None or an empty
    list.
    """
    return sorted(
        {dim % x.ndim for dim in ([dims] if isinstance(dims, int) else dims or range(x.ndim))}
    )


def put(values: Sequence[T], i: int, value: T) -> list[T]:
    return [value if j == i else other for j, other in enumerate(values)]


def padded(x: Tensor, along: int, before: int, after: int, value: float) -> Tensor:
    """Pad rows with a value."""
    rows = [0, 0] * (x.ndim - 1 - along) + [before, after]
    wider: Tensor = aten.constant_pad_nd(x, rows, value)
    return wider


handles(aten.copy_)(pointwise)
handles(aten._native_batch_norm_legit_no_training)(first_of)
handles(aten.alias, aten.clone, aten.detach, aten._to_copy)(_local)
handles(aten.zeros_like, aten.ones_like, aten.empty_like, aten.full_like)(_local)
handles(aten._softmax, aten._log_softmax, aten.cumsum, aten.topk, aten.flip, aten.roll)(_along_dims)
handles(aten.split, aten.split_with_sizes, aten.index_select)(_along_dims)
