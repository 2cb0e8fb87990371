"""A PyTorch forward on tensors without data, followed call by call into a trace.

Small constants that are no weights keep their values, and maps have none: where the shape of a result depends on the
values of maps, it has one element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from padviz.network.graph import ancestors
from padviz.network.network import in_words
from padviz.sources.torch.call import Call, Modules
from padviz.sources.torch.tensors import (
    CONSTANTS,
    MOST_KEPT,
    RECURRENT,
    Args,
    Function,
    Kwargs,
    Layers,
    Memory,
    Refused,
    hollow,
    named_tensors,
    op_of,
    tensors_in,
)
from padviz.sources.tracing.arranging import Arranger, Map
from padviz.sources.tracing.calls import Result
from padviz.sources.tracing.dims import plain
from padviz.sources.tracing.trace import Trace

OUT_OF_SIGHT = "reads what was made of it where padviz cannot follow, as in scripted code, torch.func or a thread"
WEIGHTS = "reads the values of weights, or of what is given beside the image or large"
READING = "reads the values of a map"
SCRIPTED = "is scripted, so that its code cannot be followed: put the module that it was made of in its place"
SHAPED = ("to", "expand_as", "view_as", "reshape_as", "type_as")  # what reads of a second tensor its shape or its type
ALIKE = frozenset(
    ("relu", "relu6", "hardswish", "hardsigmoid", "hardtanh", "gelu", "leaky_relu", "batch_norm", "layer_norm")
)  # their results have the shape and type of what they read
RECURRENT_ARGUMENTS = 9  # of them: the input, its states, weights, biases?, layers, dropout, training?, both ways?, ...
MAKERS = frozenset(("arange", "as_tensor", "eye", "full", "linspace", "ones", "scalar_tensor", "tensor", "zeros"))
NEW = frozenset(("new_full", "new_ones", "new_zeros"))
MOVERS = frozenset(("to", "type_as", "cpu", "cuda"))
READS = frozenset((
    "__array__", "__bool__", "__complex__", "__float__", "__index__", "__int__", "allclose", "equal", "is_nonzero",
    "item", "numpy", "tolist",
))  # fmt: skip  # what makes plain numbers of a tensor
UNIQUE = ("unique", "unique2", "unique_consecutive", "unique_dim")
OPS = frozenset(("argwhere", "getitem", "masked_select", "nms", "nonzero", "where", *UNIQUE))


class Stopped(BaseException):
    """The end of a forward by padviz; no `except Exception` of the module catches it."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error


class Tracer(TorchFunctionMode):
    def __init__(self, trace: Trace, root: nn.Module, lower: Callable[[Call, Args, Kwargs], Result]) -> None:
        super().__init__()
        self.arranger = Arranger(trace, block=".block.")
        self.lower = lower
        self.modules = Modules(root, self._check_scripted)
        self.memory = Memory(root)

    def __torch_function__(self, func: Function, types: object, args: Args = (), kwargs: Kwargs | None = None) -> Any:
        op, kwargs = op_of(func), kwargs or {}
        if op == "copy" and (held := self.memory.held.get(args[0])) and held.part:
            whole, index = held.part  # a part of a constant is written to by its place in the whole
            self.__torch_function__(Tensor.__setitem__, (), (whole, index, args[1]))
            return args[0]
        if getattr(func, "__name__", "") in READS:
            for tensor in tensors_in(args):
                self._read(op, tensor)
        if op in ("getitem", "setitem", "pad"):
            args = args[0], with_numbers(args[1], partial(self._read, op)), *args[2:]
        if op not in NEW and op not in MOVERS and len({tensor.device for tensor in tensors_in((args, kwargs))}) > 1:
            return self._without_data(func, args, kwargs)
        if self.scripted:
            return func(*args, **kwargs)
        unseen = [] if op in CONSTANTS else [*self._unseen(args[0] if op in SHAPED else (args, kwargs))]
        self.memory.written.clear()
        out, by_value = self._run(func, op, args, kwargs)
        try:
            return self._follow(op, args, kwargs, out, by_value, unseen)
        except Refused:
            raise
        except Exception as error:
            raise Stopped(error) from None

    def _without_data(self, func: Function, args: Args, kwargs: Kwargs) -> object:
        """Call a function on copies without data; what it writes to a copy is written back."""
        memory, copies = self.memory, dict[Tensor, Tensor]()

        def copy(tensor: Tensor) -> Tensor:
            if tensor not in copies:
                one = copies[tensor] = hollow(tensor)
                memory.hold(one).copy_of = tensor
                memory.add(one, memory.of(tensor).layers, memory.of(tensor).unread)
                if value := memory.value(tensor):
                    memory.learn(one, value)
            return copies[tensor]

        out = self.__torch_function__(func, (), *without_data((args, kwargs), copy))
        for tensor, one in copies.items():
            if memory.of(one) in memory.written:
                memory.forget(memory.of(tensor), "a call", tensor)
                memory.add(tensor, memory.of(one).layers, unread=True)
                if value := memory.value(one):
                    memory.learn(tensor, value)
        return out

    def _run(self, func: Function, op: str, args: Args, kwargs: Kwargs) -> tuple[object, bool]:
        if op in ALIKE and args and self.memory.value(args[0]):  # PyTorch works long on shapes that are known
            return torch.empty_like(args[0]), False
        if (returned := recurrent_result(op, args)) is not None:
            return returned, False
        if (one := pick_one(op, args, kwargs)) is not None:
            return one, True
        try:
            return run(func, op, args, kwargs), False
        except RuntimeError as error:
            if "Invalid channel dimensions" not in str(error):  # of tensors without data PyTorch says no more
                raise
            given, weight = tensors_in((args, kwargs))[:2]
            shape = in_words(tuple(weight.shape))
            raise RuntimeError(f"a convolution of weight {shape} is given {given.shape[1]} channels") from None

    def _follow(
        self, op: str, args: Args, kwargs: Kwargs, out: object, by_value: bool, unseen: Sequence[tuple[Tensor, Layers]]
    ) -> object:
        changed = args[0] if op == "setitem" else out
        changes = tensors_in(changed) if isinstance(changed, Tensor | tuple | list) else []
        apart: list[Tensor] = []
        if changes:
            with self.arranger.trace.made_by(self.modules.path or op):
                for tensor, layers in unseen:
                    self.memory.learn(tensor, self._made_unseen(op, tensor, layers))
                call = self.call(op, args[0] if op in SHAPED else (args, kwargs), changed)
                call.by_value = by_value
                if call.maps:
                    apart = self._keep(call, self.lower(call, args, kwargs))
                elif by_value:
                    raise Refused(f"{op} {WEIGHTS}")
                elif op == "getitem":
                    self.memory.hold(changes[0]).part = args[0], args[1]
        for storage in self.memory.written - {self.memory.of(tensor) for tensor in tensors_in(changed)}:
            self.memory.forget(storage, op)  # it was written to by a call that does not return it

        def moved_out(out: Any) -> Any:
            """Move constants that lie in the memory of a map out of it."""
            if isinstance(out, tuple | list):
                return type(out)(map(moved_out, out))
            if not any(out is tensor for tensor in apart):
                return out
            self.memory.add(own := hollow(out), unread=True)
            return own

        return moved_out(out) if apart else out

    def _keep(self, call: Call, result: Result) -> list[Tensor]:
        """Record what a call made; return the constants among it, which may lie in the memory of a map."""
        memory, apart = self.memory, []
        results = result if isinstance(result, Sequence) else [result] * len(tensors_in(call.out))
        for tensor, value in zip(tensors_in(call.out), results, strict=True):
            before = memory.value(tensor)
            if not isinstance(value, Map):
                memory.hold(tensor).value = None
                if call.op not in CONSTANTS:
                    apart.append(tensor)
                continue
            shape = [*tensor.shape]
            if call.trace.pooled[value.at]:
                value = replace(value, dims=tuple(map(plain, shape)))
            elif value.dims is not None and value.shape != shape:
                value = call.broken(f"makes {in_words(shape)} of it, which padviz does not follow")
            kind = call.trace.layers[value.at].kind
            if before and (before.at != value.at or kind == "unknown" or call.op in ("fill", "zero")):
                memory.forget(memory.of(tensor), call.op, tensor)
            memory.learn(tensor, value)
        return apart

    def _read(self, op: str, tensor: Tensor) -> None:
        """Check that a tensor may become plain numbers; a map ends the forward, in a head if all convolutions ran."""
        storage = self.memory.of(tensor)
        if not self.memory.value(tensor) and not storage.layers:
            if storage.unread or tensor.is_meta:
                raise Refused(f"{op} {WEIGHTS}")
            return
        self._learn_unseen(op, tensor)
        trace, call, left = self.arranger.trace, self.call(op, [tensor], tensor), self.modules.left_out()
        last = max(at for at in ancestors(trace.layers, call.inputs) if not trace.pooled[at])
        if not last:
            raise Refused(f"{op} reads the values of the image")
        read = {at for layer in trace.layers for at in layer.inputs}
        ends = {at for at in range(len(trace.layers)) if at not in read}
        with trace.made_by(self.modules.path or op):
            if left:
                what = f"{op} {READING}, and {left} has not run by then"
                trace.ends = {trace.broken(call.name(), [last, *sorted(ends)], what)}
            else:
                trace.ends = ends | {call.broken(READING, head=READING, firm=True).at}
        raise Stopped

    @property
    def scripted(self) -> bool:
        return isinstance(self.modules.stack[-1][1], torch.jit.ScriptModule)

    def call(self, op: str, args: object, out: object) -> Call:
        return Call(self.arranger, self.modules, self.memory, op, args, out)

    def outputs(self, out: object) -> dict[str, Map]:
        """Return the maps that a forward returns by their names, and what was made of them out of sight."""
        self._learn_unseen("output", out)
        named = named_tensors(out, "output").items()
        return {name: value for name, tensor in named if (value := self.memory.value(tensor))}

    def _unseen(self, read: object) -> Iterator[tuple[Tensor, Layers]]:
        """Yield the tensors that were made of maps out of sight, and the layers of these."""
        for tensor in tensors_in(read):
            if not self.memory.value(tensor) and (layers := self.memory.of(tensor).layers):
                yield tensor, layers

    def _learn_unseen(self, op: str, read: object) -> None:
        for tensor, layers in [*self._unseen(read)]:
            self.memory.learn(tensor, self._made_unseen(op, tensor, layers))

    def _made_unseen(self, op: str, tensor: Tensor, layers: Layers) -> Map:
        """Return a vector if it is made of vectors alone, and an error otherwise."""
        trace, inputs = self.arranger.trace, sorted(layers, reverse=True)
        name = self.call(op, (), tensor).name("merge")
        if all(trace.pooled[at] for at in inputs):
            return Map(tuple(map(plain, tensor.shape)), trace.merge(name, "concat", inputs))
        spoilt = next((at for at in inputs if trace.layers[at].kind == "unknown"), None)
        what = self.memory.of(tensor).why or f"{op} {OUT_OF_SIGHT}"
        return Map(None, trace.broken(name, inputs, what) if spoilt is None else spoilt)

    def _check_scripted(self, module: nn.Module, args: object, output: object) -> None:
        if isinstance(module, torch.jit.ScriptModule) and (call := self.call("", args, output)).spatial:
            for tensor in tensors_in(output):
                self.memory.learn(tensor, Map(None, call.trace.broken(self.modules.path, call.inputs, SCRIPTED)))


def without_data(value: Any, of: Callable[[Tensor], Tensor] = hollow) -> Any:
    """Replace each tensor that has data, among arguments, by one without."""
    return tree_map_only(Tensor, lambda tensor: tensor if tensor.is_meta else of(tensor), value)


def recurrent_result(op: str, args: Args) -> tuple[Tensor, ...] | None:
    """Return, without data, what a recurrent layer returns: PyTorch would work through it step by step."""
    if op not in RECURRENT or len(args) != RECURRENT_ARGUMENTS or not isinstance(args[2], list | tuple):
        return None
    states = tensors_in(args[1])
    features = states[0].shape[-1] * (2 if args[-2] else 1)
    return args[0].new_empty((*args[0].shape[:-1], features)), *map(torch.empty_like, states)


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
    """Return a result of one element if its shape depends on values; None for all other calls."""
    if op not in OPS or not _any_meta(args, kwargs):
        return None
    if op == "getitem":
        return _masked(args[0], args[1])
    if op in ("where", "nonzero", "argwhere"):
        as_tuple = op == "where" or kwargs.get("as_tuple", False)
        return _places(args[0], as_tuple) if op != "where" or len(args) == 1 else None
    first = tensors_in((args, kwargs))[0]
    if op in ("nms", "masked_select"):
        return _new(first, 1, dtype=torch.int64 if op == "nms" else None)
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
