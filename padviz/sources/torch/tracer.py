"""A PyTorch forward on tensors without data, followed call by call into a trace.

Small constants that are no weights keep their values, and maps have none: where the shape of a
result depends on the values of maps, it has one element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from padviz.network.network import in_words
from padviz.sources.torch.call import SHAPED, Call, Modules
from padviz.sources.torch.functions import lower
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
    as_list,
    hollow,
    named_tensors,
    op_of,
    tensors_in,
)
from padviz.sources.tracing.arranging import Arranger, Map
from padviz.sources.tracing.dims import plain

OUT_OF_SIGHT = (
    "reads what was made of it where padviz cannot follow, as in scripted code, torch.func or a "
    "thread"
)
WEIGHTS = "reads the values of weights, or of what is given beside the image or large"
READING, BRANCHING = "reads the values of", "takes a branch by the values of"
SCRIPTED = (
    "is scripted, so that its code cannot be followed: put the module that it was made of in its "
    "place"
)
ALIKE = frozenset(
    (
        "relu",
        "relu6",
        "hardswish",
        "hardsigmoid",
        "hardtanh",
        "gelu",
        "leaky_relu",
        "batch_norm",
        "layer_norm",
    )
)  # their results have the shape and type of what they read
# of them: the input, its states, weights, biases?, layers, dropout, training?, both ways?, ...
RECURRENT_ARGUMENTS = 9
MAKERS = frozenset(
    ("arange", "as_tensor", "eye", "full", "linspace", "ones", "scalar_tensor", "tensor", "zeros")
)
NEW = frozenset(("new_full", "new_ones", "new_zeros"))
MOVERS = frozenset(("to", "type_as", "cpu", "cuda"))
READS = frozenset((
    "__array__", "__bool__", "__complex__", "__float__", "__index__", "__int__",
    "allclose", "equal", "is_nonzero", "item", "numpy", "tolist",
))  # fmt: skip  # what makes plain numbers of a tensor
PLAIN_OF: dict[str, Callable[[float], object]] = {
    "float": float,
    "complex": complex,
    **dict.fromkeys(("int", "index"), int),
    **dict.fromkeys(("allclose", "bool", "equal", "is_nonzero"), bool),
}
OWN_MODULE = "write the branch to count as a module of its own, without the test"
AS_TENSOR = "keep it a tensor, as x.amax() is, or load the module behind it"
MOST_ANSWERS = 100
LARGE = 1000.0  # a value above any threshold
UNIQUE = ("unique", "unique2", "unique_consecutive", "unique_dim")
PICKING = frozenset(("argwhere", "getitem", "masked_select", "nms", "nonzero", "where", *UNIQUE))


class Stopped(BaseException):
    """The end of a forward by padviz; no `except Exception` of the module catches it."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error


class Tracer(TorchFunctionMode):
    """Follows a forward until it reads the values of a map; with an `answer`, that stands for all
    values it reads.
    """

    def __init__(self, trace: Arranger, root: nn.Module, answer: bool | None = None) -> None:
        super().__init__()
        self.trace, self.answer = trace, answer
        self.modules = Modules(root, self._check_scripted)
        self.memory = Memory(root)
        # The arguments of the call that runs; those of the last one where that fails.
        self.running: list[Any] = []
        self.read: Call | None = None  # what read the values of a map
        self.answers = 0

    def __torch_function__(
        self,
        func: Function,
        types: object,
        args: Args = (),
        kwargs: Kwargs | None = None,
    ) -> object:
        """Check what a call reads, run it on tensors without data, and record what it made."""
        self.running = [*args, *(kwargs or {}).values()]
        out = self._checked(func, args, kwargs or {})
        self.running = []
        return out

    def _checked(self, func: Function, args: Args, kwargs: Kwargs) -> object:
        op = op_of(func)
        if self.modules.again:
            raise Stopped
        if op == "copy":
            part = self.memory.parts.get(args[0])
            if part:
                # A part of a constant is written to by its place in the whole.
                whole, index = part
                self._checked(Tensor.__setitem__, (whole, index, args[1]), {})
                return args[0]
        if self.scripted:
            return func(*args, **kwargs)

        if getattr(func, "__name__", "") in READS:
            for tensor in tensors_in(args):
                self._read(op, tensor)
                if self.answer is not None and not self._has_data(tensor):
                    return self._answer(op, tensor, self.answer)
        if op in ("getitem", "setitem", "pad"):
            args = args[0], with_numbers(args[1], partial(self._read, op)), *args[2:]
        unseen: list[tuple[Tensor, Layers]] = []
        if op not in CONSTANTS:
            read: object = (args, kwargs)
            if op in SHAPED:
                read = args[0]
            unseen = self._unseen(read)

        self.memory.written.clear()
        out: object = pick_one(op, args, kwargs)
        picked = out is not None
        if not picked:
            out = self._run(func, op, args, kwargs)
        return self._learn_call(op, args, kwargs, out, picked, unseen)

    def _learn_call(
        self,
        op: str,
        args: Args,
        kwargs: Kwargs,
        out: object,
        picked: bool,
        unseen: list[tuple[Tensor, Layers]],
    ) -> object:
        """Record what a call made, and what it wrote to; return its result.

        Three stores of the memory know of it. `values` has the map that each tensor holds.
        `storages` has the layers that each piece of memory was made of. `written` is the memory
        that this call wrote to. `y = x; y[0] += 1` is three calls, which change them like this:

        - `y = x` is no call: both are one tensor.
        - `t = y[0]`, getitem: t lies in the storage of y, and gets a map of its own in `values`.
        - `t += 1`, add: the storage is written to. The map of t stays on its layer, since an
          activation adds none, so that y still holds what it held.
        - `y[0] = t`, setitem: the storage is written to. Nothing is returned, so what changed is
          the first argument, y. Its map is on a new layer now, and the storage is made of that
          layer alone. t is forgotten: what reads it becomes an error that names the setitem.
        """
        changed = out
        if op == "setitem":
            changed = args[0]
        tensors: list[Tensor] = []
        if isinstance(changed, Tensor | tuple | list):
            tensors = tensors_in(changed)
        constants: list[Tensor] = []
        if tensors:
            call = partial(self.call, op, args, kwargs, changed, picked)
            constants = self._followed(op, call, unseen)

        # What else it wrote to, as `out=` or a function that changes an argument do.
        memory = self.memory
        for storage in memory.written - {memory.of(tensor) for tensor in tensors}:
            memory.forget(storage, op)
        return self._moved_out(out, constants)

    def _followed(
        self,
        op: str,
        call: Callable[[], Call],
        unseen: list[tuple[Tensor, Layers]],
    ) -> list[Tensor]:
        """Record what a call made, or end the forward with what is wrong.

        Returns what `_follow` does.
        """
        try:
            with self.trace.made_by(self.modules.path or op):
                self._learn_unseen(op, unseen)
                return self._follow(call())
        except Refused:
            raise
        except Exception as error:
            raise Stopped(error) from None

    def _moved_out(self, out: object, constants: Sequence[Tensor]) -> object:
        """Move constants out of the memory of a map."""
        if not constants:
            return out
        moved = {tensor: hollow(tensor) for tensor in constants}
        for constant in moved.values():
            self.memory.add(constant, unread=True)
        return tree_map_only(Tensor, lambda tensor: moved.get(tensor, tensor), out)

    def _run(self, func: Function, op: str, args: Args, kwargs: Kwargs) -> object:
        """Call a function; where some arguments have data and others have none, on copies without
        data of the first.
        """
        memory, copies = self.memory, dict[Tensor, Tensor]()
        # PyTorch works long on shapes that are known.
        if op in ALIKE and args and memory.holds_all(args[0]) and weights_fit(op, *args):
            return torch.empty_like(args[0])
        if (
            op in NEW
            or op in MOVERS
            or len({tensor.device for tensor in tensors_in((args, kwargs))}) < 2
        ):
            return run(func, op, args, kwargs)

        def copy(tensor: Tensor) -> Tensor:
            if tensor not in copies and not tensor.is_meta:
                copies[tensor] = memory.hollow_copy(tensor)
            return copies.get(tensor, tensor)

        out = run(func, op, *tree_map_only(Tensor, copy, (args, kwargs)))
        for tensor, one in copies.items():
            if memory.of(one) in memory.written:  # what is written to a copy is written back
                memory.add(tensor, memory.of(one).layers, unread=True)
                memory.written.add(memory.of(tensor))
        return next((tensor for tensor, one in copies.items() if one is out), out)

    def _follow(self, call: Call) -> list[Tensor]:
        """Record what a call made.

        Returns the constants that it made of maps, which may lie in the memory of a map.
        """
        memory, tensors = self.memory, tensors_in(call.out)
        if not call.maps:
            if call.by_value:
                raise Refused(f"{call.op} {WEIGHTS}")
            if call.op == "getitem":
                memory.parts[tensors[0]] = call.args[0], call.args[1]
            return []
        values = lower(call)
        if not isinstance(values, Sequence):
            values = [values] * len(tensors)
        constants: list[Tensor] = []
        for tensor, value in zip(tensors, values, strict=True):
            if isinstance(value, Map):
                self._learn_map(call, tensor, value)
                continue
            memory.values.pop(tensor, None)
            if call.op not in CONSTANTS:
                constants.append(tensor)
        return constants

    def _learn_map(self, call: Call, tensor: Tensor, value: Map) -> None:
        """Record the map that a tensor holds now, and forget what shared its memory
        with another.
        """
        memory, layers, shape = self.memory, call.trace.layers, [*tensor.shape]
        before, holds_all = memory.value(tensor), memory.holds_all(tensor)
        if layers[value.at].pooled:
            if any(dim.stacked for dim in value.dims or ()):
                value = replace(value, layer=call.trace.marked_unlike(value.at))
            value = replace(value, dims=tuple(map(plain, shape)))
        elif value.dims is not None and value.shape != shape:
            what = f"makes {in_words(shape)} of it, which padviz does not follow"
            value = call.broken(what)
        if before is not None:
            storage = memory.of(tensor)
            is_unknown = layers[value.at].kind == "unknown"
            is_other = before.at != value.at or is_unknown or call.op in ("fill", "zero")
            if is_other or (storage in memory.written and not holds_all):
                memory.forget(storage, call.op, tensor)
        memory.learn(tensor, value)

    def _has_data(self, tensor: Tensor) -> bool:
        return not self.memory.value(tensor) and not self.memory.of(tensor).layers

    def _read(self, op: str, tensor: Tensor) -> None:
        """Check that a tensor may become plain numbers; a map ends the forward, in a head if all
        convolutions ran.
        """
        if self._has_data(tensor):
            if self.memory.of(tensor).unread or tensor.is_meta:
                raise Refused(f"{op} {WEIGHTS}")
            return
        if self.answer is not None:
            return
        self._learn_unseen(op, self._unseen(tensor))
        trace, self.read = self.trace, self.call(op, (tensor,), {}, tensor)
        reads = BRANCHING if op == "bool" else READING
        if not self._last_map:
            raise Refused(f"{op} {reads} the image", hint=OWN_MODULE if op == "bool" else AS_TENSOR)
        if left := self.modules.left_out():
            self.refuse(f"{left} has not run by then")
        else:
            head = f"{reads} a map"
            ends = self._ends
            with trace.made_by(self.modules.path or op):
                trace.ends = ends | {self.read.broken(head, head=head, firm=True).at}
        raise Stopped

    def refuse(self, why: str) -> None:
        """End the trace in an error, since what follows a read of values is no mere ending."""
        assert self.read is not None
        op, ends = self.read.op, self._ends
        for head in ends & self.trace.heads:
            ends |= {*self.trace.layers[head].inputs}
        inputs = [self._last_map, *sorted(ends - self.trace.heads)]
        what = f"{op} {BRANCHING if op == 'bool' else READING} a map, and {why}"
        with self.trace.made_by(self.modules.path or op):
            self.trace.ends = {self.trace.broken(self.read.name(), inputs, what)}
        self.read = None

    @property
    def _last_map(self) -> int:
        """The last map that what is read was made of."""
        inputs = () if self.read is None else self.read.inputs
        return self.trace.last_map(inputs)

    @property
    def _ends(self) -> set[int]:
        layers = self.trace.layers
        return {*range(len(layers))} - {at for layer in layers for at in layer.inputs}

    def _answer(self, op: str, tensor: Tensor, answer: bool) -> object:
        """Return plain numbers in place of the values of a map; those of a loop without an end end
        the forward.
        """
        self.answers += 1
        if self.answers > MOST_ANSWERS:
            raise Stopped
        self.modules.known = self.modules.known or {*self.modules.entered}
        number: float = answer * (LARGE if tensor.is_floating_point() else 1)
        numbers = torch.full(tensor.shape, number, dtype=tensor.dtype)
        if op in ("array", "numpy"):
            return numbers.numpy()
        if op == "tolist":
            return numbers.tolist()
        if op in PLAIN_OF:
            return PLAIN_OF[op](number)
        return numbers.flatten()[0].item()

    @property
    def scripted(self) -> bool:
        return isinstance(self.modules.stack[-1][1], torch.jit.ScriptModule)

    def call(
        self, op: str, args: Args, kwargs: Kwargs, out: object, by_value: bool = False
    ) -> Call:
        return Call(self.trace, self.modules, self.memory, op, args, kwargs, out, by_value)

    def outputs(self, out: object) -> dict[str, Map]:
        self._learn_unseen("output", self._unseen(out))
        maps: dict[str, Map] = {}
        for name, tensor in named_tensors(out, "output").items():
            if value := self.memory.value(tensor):
                self.trace.note_layout(name, value)
                maps[name] = value
        return maps

    def _unseen(self, read: object) -> list[tuple[Tensor, Layers]]:
        """List the tensors that were made of maps out of sight, and the layers of these."""
        unseen: list[tuple[Tensor, Layers]] = []
        for tensor in tensors_in(read):
            if self.memory.value(tensor):
                continue
            if layers := self.memory.of(tensor).layers:
                unseen.append((tensor, layers))
        return unseen

    def _learn_unseen(self, op: str, unseen: Sequence[tuple[Tensor, Layers]]) -> None:
        """Record each as a vector if it was made of vectors alone, and as an error otherwise."""
        trace = self.trace
        for tensor, layers in unseen:
            inputs, name = sorted(layers, reverse=True), self.call(op, (), {}, tensor).name("merge")
            if all(trace.layers[at].pooled for at in inputs):
                value = Map(tuple(map(plain, tensor.shape)), trace.merge(name, "concat", inputs))
            else:
                spoilt = next((at for at in inputs if trace.layers[at].kind == "unknown"), None)
                what = self.memory.of(tensor).why or f"{op} {OUT_OF_SIGHT}"
                value = Map(None, trace.broken(name, inputs, what) if spoilt is None else spoilt)
            self.memory.learn(tensor, value)

    def _check_scripted(self, module: nn.Module, args: Args, output: object) -> None:
        if (
            isinstance(module, torch.jit.ScriptModule)
            and (call := self.call("", args, {}, output)).spatial
        ):
            for tensor in tensors_in(output):
                self.memory.learn(
                    tensor, Map(None, call.trace.broken(self.modules.path, call.inputs, SCRIPTED))
                )


def weights_fit(op: str, x: Tensor, *args: object) -> bool:
    """Whether the weights of a norm, if any, are those of as many channels as a map has."""
    if op == "layer_norm":
        return bool(args) and [*x.shape[-len(as_list(args[0])) :]] == as_list(args[0])
    return all(weight.numel() == x.shape[1] for weight in tensors_in(args))


def run(func: Function, op: str, args: Args, kwargs: Kwargs) -> object:
    """Call a function; a small constant that it makes or moves onto the image's device keeps its
    data.
    """
    if op in MOVERS:
        for value in (*args[1:], *kwargs.values()):
            if isinstance(value, torch.dtype):
                return args[0].to(value)
            if isinstance(value, Tensor):
                return args[0].to(value.dtype)
        return args[0].to(args[0].dtype)
    if op in RECURRENT and len(args) == RECURRENT_ARGUMENTS and isinstance(args[2], list | tuple):
        states = tensors_in(args[1])  # PyTorch would work through it step by step
        features = states[0].shape[-1] * (2 if args[-2] else 1)
        return args[0].new_empty((*args[0].shape[:-1], features)), *map(torch.empty_like, states)
    try:
        out = func(*args, **kwargs)
    except RuntimeError as error:
        # of tensors without data PyTorch says no more
        if "Invalid channel dimensions" not in str(error):
            raise
        given, weight = tensors_in((args, kwargs))[:2]
        groups: Any = next(iter(args[6:7]), kwargs.get("groups", 1))
        read = weight.shape[1] * groups
        raise RuntimeError(f"a convolution of {read} channels is given {given.shape[1]}") from None
    if (
        _makes_constant(op, args, kwargs)
        and isinstance(out, Tensor)
        and out.is_meta
        and out.numel() <= MOST_KEPT
    ):
        return func(*args, **{**kwargs, "device": "cpu"})
    return out


def _makes_constant(op: str, args: Args, kwargs: Kwargs) -> bool:
    """Whether a call makes a tensor of numbers that are all known."""
    if op in NEW:
        return not _any_meta(args[1:], kwargs)
    return op in MAKERS and not _any_meta(args, kwargs)


def _any_meta(args: Args, kwargs: Kwargs) -> bool:
    return any(tensor.is_meta for tensor in tensors_in((args, kwargs)))


def with_numbers(index: object, read: Callable[[Tensor], None]) -> object:
    """Turn the single whole numbers in an index to plain ones; each of them is `read`, and must
    have data.
    """
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
    if op not in PICKING or not _any_meta(args, kwargs) or (op == "where" and len(args) > 1):
        return None
    if op == "getitem":
        return _masked(args[0], args[1] if isinstance(args[1], tuple) else (args[1],))
    first = tensors_in((args, kwargs))[0]
    if op == "where" or (op in ("nonzero", "argwhere") and kwargs.get("as_tuple")):
        return tuple(_place() for _ in first.shape)
    if op in ("nonzero", "argwhere"):
        return _place(1, first.ndim)
    if op == "nms":
        return _place()
    picked = torch.empty(1, dtype=first.dtype, device="meta")
    if op in UNIQUE:
        return _unique(picked, first, args, kwargs)
    return picked


def _unique(
    picked: Tensor, first: Tensor, args: Args, kwargs: Kwargs
) -> Tensor | tuple[Tensor, ...]:
    """Return the one value that is `picked`, with the places and the count that are asked for."""
    results = [picked]
    if kwargs.get("return_inverse", len(args) > 2 and args[2]):
        results.append(_place(*first.shape))
    if kwargs.get("return_counts", len(args) > 3 and args[3]):
        results.append(_place())
    if len(results) > 1:
        return tuple(results)
    return picked


def _place(*shape: int) -> Tensor:
    return torch.empty(shape or 1, dtype=torch.int64, device="meta")


def _masked(tensor: Tensor, index: tuple[object, ...]) -> Tensor | None:
    """Index by masks, each of which picks one position; None if there are none without data."""
    masks = [
        item
        for item in index
        if isinstance(item, Tensor) and item.dtype in (torch.bool, torch.uint8)
    ]
    if not any(mask.is_meta for mask in masks):
        return None
    places: list[object] = []
    for item in index:
        is_mask = any(item is mask for mask in masks)
        places += [_place() for _ in item.shape] if is_mask and isinstance(item, Tensor) else [item]
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")[
        cast("tuple[Tensor, ...]", tuple(places))
    ]
