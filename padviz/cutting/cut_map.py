"""Maps that are cut along dimensions, and how the operations of PyTorch find their rules.

A module's own forward runs on them, call by call. The table in `calls` says which rows of its maps
a call reads: a span of them for some rows of its result, or all; or what sums over positions it
needs. What is not in the table is run once, on the whole maps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from math import prod
from typing import Any, ClassVar, NamedTuple, Self, TypeVar
from weakref import ref

import torch
from torch import Tensor

# Private names of PyTorch, and why: the guard under which functions do not ask a subclass
# again, ...
from torch._C import DisableTorchFunctionSubclass as DisableTorchFunctionSubclass

# ... which kernel a convolution gets, ...
from torch._C import _select_conv_backend

# ... its table of what an operation is made of, ...
from torch._decomp import decomposition_table as decomposition_table

# ... the type of an operation as it is dispatched, with its schema, ...
from torch._ops import OpOverload as OpOverload
from torch._ops import OpOverloadPacket as OpOverloadPacket

# ... tensors without data that are laid out as on a device, which those of "meta" are not, ...
from torch._subclasses import FakeTensorMode as FakeTensorMode

# ... a mode that counts memory, and what hides calls from it, ...
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode
from torch.utils._python_dispatch import _disable_current_modes

# ... and the leaves of arguments that are nested, as PyTorch itself nests them. Beside these
# stands `_make_wrapper_subclass`, a tensor with a shape and no data.
from torch.utils._pytree import tree_flatten as tree_flatten
from torch.utils._pytree import tree_leaves as tree_leaves
from torch.utils._pytree import tree_map_only as tree_map_only
from torch.utils._pytree import tree_unflatten as tree_unflatten

from padviz.cutting.exact_units import Span
from padviz.network.operations import Op, sized
from padviz.network.reads import span

aten = torch.ops.aten
select_conv_backend, uncounted = _select_conv_backend, _disable_current_modes
T = TypeVar("T")
Function = Callable[..., Any]
WHOLE = "run it on the whole image"


class Refused(Exception):
    """A map that is cut does not allow what a layer does; the message says what, and `hint` what to
    do.
    """

    def __init__(self, what: str, hint: str = WHOLE) -> None:
        super().__init__(what)
        self.hint = hint


class Rule(NamedTuple):
    """How rows along one dimension are made of rows along another.

    Of n rows `rows(n)` are made. Rows [first, end) of these read the span `reads(first, end)` of an
    endless axis; its rows beyond the n are filled with a number, or as a padding mode does. When
    the map ends, the last `read_at_end` rows may be read once more.
    """

    rows: Callable[[int], int]
    reads: Callable[[int, int], Span]
    fill: float | str = 0.0
    read_at_end: int = 0


class Link(NamedTuple):
    """The rule by which rows along dimension `out` of a result read rows along `dim` of a map.

    Without an `out`, all of the result reads the same rows.
    """

    out: int | None
    dim: int
    rule: Rule


class Rows(NamedTuple):
    """The rows [first, end) of a result that are to be made, of a region whose first row is
    `at`.
    """

    at: int
    first: int
    end: int


SAME = Rule(lambda n: n, lambda first, end: (first, end))
Operand = tuple[Tensor, Sequence[Link]]
# makes rows of a result, by its dimensions, from a region of each operand
Make = Callable[[list[Tensor], Mapping[int, Rows]], Any]
Pooled = list[tuple[int, Any]]  # the number of positions of each part, and what became of them


def reading(op: Op, fill: float | str = 0.0, read_at_end: int = 0) -> Rule:
    """Return the rule of an operation of a network, whose padding does not follow the size."""
    return Rule(partial(sized, op), partial(span, op, 0, 0), fill, read_at_end)


def only(first: int, end: int) -> Rule:
    """Return the rule by which all rows read the same span."""
    return Rule(lambda n: 1, lambda *_: (first, end))


class CutMap(Tensor):
    """A map whose rows along the dimensions `cut` lie in several places. Its shape is that of the
    whole map.
    """

    rules: ClassVar[dict[object, Function]] = {}
    # by what makes a view: what a map becomes if that view of it is written into
    written_back: ClassVar[dict[object, Function]] = {}
    # itself and the maps that share its memory in the whole run
    family: list[ref[CutMap]]
    # of a view: the map that it is of, and what that becomes if it is written into
    origin: tuple[CutMap, Function, Sequence[object]] | None
    # the call that made it; its results do not overlap
    call: object

    @classmethod
    def shell(
        cls,
        shape: Sequence[int],
        dtype: torch.dtype,
        device: torch.device,
        strides: Sequence[int] | None = None,
    ) -> Self:
        """Return a map with a shape, and without any data. It is contiguous by default."""
        empty: Self = Tensor._make_wrapper_subclass(
            cls, shape, strides=strides, dtype=dtype, device=device
        )
        empty.family, empty.origin, empty.call = [ref(empty)], None, object()
        return empty

    @property
    def cut(self) -> Collection[int]:
        """The dimensions along which it is cut."""
        raise NotImplementedError

    def spans(self, operands: Sequence[Operand], make: Make, *, costly: int = 0) -> Any:
        """Return what a call makes of spans of rows: one map, or several.

        Of a dimension that is cut and has no link, all rows are read. What takes `costly`
        multiplications for each value is not made again for each of its readers.
        """
        raise NotImplementedError

    def pooled(self, part: Function, join: Callable[[Pooled], object]) -> object:
        """Return what is pooled over all positions: `join` joins what `part` makes of each part."""
        raise NotImplementedError

    def gathered(
        self,
        function: Function,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        along: Sequence[int] | None = None,
    ) -> object:
        """Call a function once, on whole maps, and cut its results along dimensions: by default
        those along which the map is cut, where there are as many.
        """
        raise NotImplementedError

    def replace(self, other: CutMap) -> CutMap:
        """Become another map, as what is written in place does."""
        raise NotImplementedError

    def with_strides(self, strides: Sequence[int]) -> CutMap:
        """Return the same map with other strides."""
        raise NotImplementedError

    def uncut(self, view: Tensor) -> CutMap:
        """Return a view of this map that is not cut, such as a single row, as a map."""
        raise NotImplementedError

    def __repr__(self) -> str:  # type: ignore[override]
        along = ", ".join(map(str, self.cut))
        return f"<{type(self).__name__} {tuple(self.shape)}, cut along dimensions {along}>"

    @classmethod
    def __torch_function__(
        cls,
        function: Function,
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = {**(kwargs or {})}
        if function == Tensor.data.__set__:  # type: ignore[attr-defined]
            raise Refused("sets the `data` of a map")
        rule = None
        if not isinstance(function, OpOverloadPacket):
            rule = cls.rules.get(function)
        if rule:
            if "input" in kwargs:
                args = (kwargs.pop("input"), *args)
            return rule(function, *args, **kwargs)
        with DisableTorchFunctionSubclass():
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
        if any(argument.is_out for argument in function._schema.arguments):
            raise Refused("writes into what is given as `out`")
        rule = cls.rules.get(function.overloadpacket)
        if not rule and is_pointwise(function):
            rule = pointwise
        if rule:
            return _laid_out(function, args, kwargs, rule(function, *args, **kwargs))
        is_made_of_calls = function._can_decompose()
        if torch.Tag.nondeterministic_seeded in function.tags and not is_made_of_calls:
            raise Refused("draws random numbers: call .eval() on the module")
        decompose = decomposition_table.get(function, function.decompose)
        result = decompose(*args, **kwargs)
        if result is NotImplemented:
            result = whole(function, *args, **kwargs)
        elif is_made_of_calls:
            return result  # which these calls have laid out
        return _laid_out(function, args, kwargs, result)


def rule_of(*keys: object) -> Callable[[Function], Function]:
    """Return a decorator for the rule of functions of PyTorch, or of operations that it dispatches.

    A rule takes the function and its arguments.
    """

    def register(rule: Function) -> Function:
        CutMap.rules.update(dict.fromkeys(keys, rule))
        return rule

    return register


def maps_in(*args: object) -> list[CutMap]:
    """Return the maps that are cut among some arguments, each once."""
    return [*{id(leaf): leaf for leaf in tree_leaves(args) if isinstance(leaf, CutMap)}.values()]


def _laid_out(
    function: OpOverload, args: Sequence[object], kwargs: Mapping[str, object], result: object
) -> object:
    """Return the result of a call with the strides of the whole run, by which PyTorch decides
    whether later calls copy; and its views as views.
    """
    schema = function._schema
    are_views = any(value.alias_info for value in schema.returns)
    # Weights count, too: by channels-last ones a convolution makes a channels-last map.
    in_order = all(map(_is_in_order, tree_leaves((args, kwargs))))
    if schema.is_mutable or (in_order and not are_views and not kwargs.get("memory_format")):
        return result
    leaves, layout = tree_flatten(result)
    base, call = maps_in(args)[0], object()
    whole_run = _without_data(function, args, kwargs, result, are_views)
    write_back = CutMap.written_back.get(function.overloadpacket)
    for i, (leaf, strided) in enumerate(zip(leaves, tree_leaves(whole_run), strict=True)):
        if are_views and not isinstance(leaf, CutMap):
            leaf = base.uncut(leaf)
        # What calls have made of it is laid out already.
        if isinstance(leaf, CutMap) and leaf.family is not base.family:
            leaf = leaf.with_strides(strided.stride())
            if are_views:
                leaf.family = base.family
                leaf.family.append(ref(leaf))
                if write_back:
                    leaf.origin = base, write_back, args[1:]
        if are_views:
            leaf.call = call
        leaves[i] = leaf
    return tree_unflatten(leaves, layout)


def _is_in_order(leaf: object) -> bool:
    """Return whether a tensor among arguments has the strides of a new one; PyTorch calls others
    contiguous, too, but lays results out by them.
    """
    if not isinstance(leaf, Tensor):
        return True
    return leaf.stride() == tuple([prod(leaf.shape[dim + 1 :]) for dim in range(leaf.ndim)])


@uncounted()
def _without_data(
    function: OpOverload,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    result: object,
    are_views: bool,
) -> object:
    """Return what a call makes in the whole run, but for its values."""

    def empty(x: Tensor) -> Tensor:
        device = x.device
        if are_views:
            device = torch.device("meta")
        elif device.type == "meta":  # of a plan
            device = torch.device("cpu")
        return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=device)

    try:
        # Views are laid out alike on all devices, and this mode takes long to begin.
        with nullcontext() if are_views else FakeTensorMode():
            given, more = tree_map_only(Tensor, empty, (args, kwargs))
            return function(*given, **more)
    except RuntimeError:  # what PyTorch cannot run without data
        return result


def whole(function: Function, *args: object, **kwargs: object) -> object:
    """Call a function once, on the whole maps."""
    schema = getattr(function, "_schema", None)
    if schema and schema.is_mutable and isinstance(args[0], CutMap):
        raise Refused(f"writes into a map by {function.__name__}")
    return maps_in(args, kwargs)[0].gathered(function, args, kwargs)


def is_pointwise(function: OpOverload) -> bool:
    """Return whether PyTorch tags an operation, or the one that it does in place, as pointwise and
    returning a map.
    """
    packet = getattr(aten, function.overloadpacket.__name__.removesuffix("_"), None)
    tags = {*function.tags, *getattr(packet, function._overloadname, function).tags}
    return torch.Tag.pointwise in tags and torch.Tag.data_dependent_output not in tags


def broadcast(tensor: Tensor, ndim: int, dims: Collection[int]) -> list[Link]:
    """Return the links, row by row, from dimensions of a result to those of one of its tensors."""
    shift = ndim - tensor.ndim
    return [
        Link(dim, dim - shift, SAME)
        for dim in sorted(dims)
        if dim >= shift and tensor.shape[dim - shift] != 1
    ]


def pointwise(function: OpOverload, *args: object, **kwargs: object) -> object:
    """Broadcast from the last dimension. A plain tensor with a value for each row is cut like the
    maps.
    """
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    ndim = max(tensor.ndim for tensor in tensors)
    cut = {dim + ndim - tensor.ndim for tensor in maps_in(tensors) for dim in tensor.cut}

    def links(tensor: Tensor) -> list[Link]:
        return broadcast(tensor, ndim, cut)

    costly = int(len(maps_in(tensors)) > 1)
    if not function._schema.is_mutable:
        return linked(function, args, kwargs, links, costly=costly)
    target = args[0]
    if not isinstance(target, CutMap):
        return whole(function, *args, **kwargs)
    _check_alone(target)

    def written(first: Tensor, *others: object, **more: object) -> object:
        return function(first.clone(memory_format=torch.contiguous_format), *others, **more)

    target.replace(linked(written, args, kwargs, links, costly=costly))
    view = target
    while view.origin:
        base, write_back, given = view.origin
        base.replace(write_back(base, view, *given))
        view = base
    return target


def _check_alone(target: CutMap) -> None:
    """Refuse to write into a map while another one shares its memory, but for those that it is a
    view of.
    """
    bases, view = [target], target
    while view.origin:
        view = view.origin[0]
        bases.append(view)
    for other in target.family:
        kin = other()
        if kin is not None and kin.call is not target.call and all(kin is not x for x in bases):
            raise Refused("writes into a map that shares its memory with another")


def counting_writes(x: Tensor) -> Tensor:
    """Return a tensor that counts how often it is written into; one of inference mode is copied,
    since it does not.
    """
    if not x.is_inference():
        return x
    with torch.inference_mode(False):
        return x.clone()


def check_unwritten(x: Tensor, version: int) -> None:
    if x._version != version:
        raise Refused("reads a tensor that was written into since")


def linked(
    function: Function,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    links_of: Callable[[Tensor], Sequence[Link]],
    *,
    costly: int = 0,
) -> Any:
    """Call a function on rows of its tensors: those that links choose.

    Tensors without a link are passed as they are, if they are not cut.
    """
    leaves, layout = tree_flatten((args, {**kwargs}))
    maps = maps_in(leaves)
    if not maps:
        return function(*args, **kwargs)
    operands: list[Operand] = []
    # by their places among the leaves
    versions: dict[int, int] = {}
    places: dict[int, int] = {}
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            links = links_of(leaf)
            if links or isinstance(leaf, CutMap):
                places[place] = len(operands)
                operands.append((leaf, links))
                leaves[place] = None  # which would keep the map
            elif leaf.numel() == 1:
                # A counter of the module may go on before this is run.
                leaves[place] = leaf.clone()
            else:
                leaves[place] = counting_writes(leaf)
                versions[place] = leaves[place]._version

    def make(regions: list[Tensor], rows: object) -> object:
        device = regions[0].device
        filled = [*leaves]
        for place, leaf in enumerate(leaves):
            if place in places:
                filled[place] = regions[places[place]]
            elif isinstance(leaf, Tensor):
                if place in versions:
                    check_unwritten(leaf, versions[place])
                filled[place] = leaf.to(device)
        args, kwargs = tree_unflatten(filled, layout)
        return function(*args, **kwargs)

    return maps[0].spans(operands, make, costly=costly)


def moved(
    function: Function,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    to: Callable[[int], int | None],
) -> object:
    """Call what works on each position alone: dimension `dim` of its maps becomes `to(dim)`, or is
    read whole.
    """

    def links(tensor: Tensor) -> list[Link]:
        found = []
        if isinstance(tensor, CutMap):
            for dim in tensor.cut:
                out = to(dim)
                if out is not None:
                    found.append(Link(out, dim, SAME))
        return found

    return linked(function, args, kwargs, links)


def local(function: Function, *args: object, **kwargs: object) -> object:
    """Call what works on each position alone, and leaves all where it is."""
    return moved(function, args, kwargs, lambda dim: dim)


def first_of(function: OpOverload, *args: object, **kwargs: object) -> tuple[object, ...]:
    """Call what works on each position alone, and returns other things behind the map."""
    first = local(lambda *parts, **more: function(*parts, **more)[0], *args, **kwargs)
    return (first, *[torch.empty(0)] * (len(function._schema.returns) - 1))


def arguments_of(function: OpOverload, *args: object, **kwargs: object) -> dict[str, Any]:
    """Return the arguments of a call by the names in its schema, with their defaults."""
    defaults = {argument.name: argument.default_value for argument in function._schema.arguments}
    return defaults | dict(zip(defaults, args, strict=False)) | kwargs


def dims_of(x: Tensor, dims: int | Sequence[int] | None) -> list[int]:
    """Return dimensions, counted from the first and in order; all of them for None or an empty
    list.
    """
    if isinstance(dims, int):
        dims = [dims]
    return sorted({dim % x.ndim for dim in dims or range(x.ndim)})


def put(values: Sequence[T], i: int, value: T) -> list[T]:
    return [value if j == i else other for j, other in enumerate(values)]
