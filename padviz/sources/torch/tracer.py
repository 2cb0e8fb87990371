"""A PyTorch forward on tensors without data, call by call: what each call does to the maps that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from padviz.network.graph import ancestors
from padviz.sources.torch.arguments import Refused, hollow, op_of, recurrent, tensors_in, without_data
from padviz.sources.torch.call import Call, Values
from padviz.sources.torch.data import MOVERS, NEW, READS, found, made, unread_of, with_numbers
from padviz.sources.torch.memory import CONSTANTS, UNREAD, WITHOUT, Layers, Memory, place
from padviz.sources.torch.modules import Modules
from padviz.sources.tracing.arranging import Arranger, Map, Stuck
from padviz.sources.tracing.axis_labels import plain, shape_of
from padviz.sources.tracing.calls import Result
from padviz.sources.tracing.trace import Trace

OUT_OF_SIGHT = "reads what was made of it where padviz cannot follow, as in scripted code, torch.func or a thread"
WEIGHTS = "reads the values of weights, or of what is given beside the image or large"
READING = "reads the values of a map"
SCRIPTED = "is scripted, so that its code cannot be followed: put the module that it was made of in its place"
SHAPED = ("to", "expand_as", "view_as", "reshape_as", "type_as")  # what reads of a second tensor its shape or its type
ALIKE = frozenset(
    ("relu", "relu6", "hardswish", "hardsigmoid", "hardtanh", "gelu", "leaky_relu", "batch_norm", "layer_norm")
)  # what they return is of the shape and type of what they read


class Halted(BaseException):
    """The end of a forward that cannot go on without the values of a map."""


class Tracer(TorchFunctionMode):
    """While active, follows every call of a PyTorch function into the trace."""

    def __init__(self, trace: Trace, root: nn.Module, lower: Callable[[Call, Any, Any], Result]) -> None:
        super().__init__()
        self.arranger = Arranger(trace, block=".block.")
        self.lower = lower
        self.modules = Modules(root, self._left)
        self.values: Values = {}
        self.failed: Exception | None = None  # an error of this very code, and not of the module's
        self.sharing: dict[int | None, set[int]] = {}  # the ids of tensors in one memory
        self.changed: dict[int | None, str] = {}  # why nothing is known of a memory any more
        self.parts: dict[int, tuple[Tensor, Tensor, Any]] = {}  # of constants: each with the whole and its index there
        self.memory = Memory(kept_in(root))
        self.copies: dict[int, tuple[Tensor, Tensor]] = {}  # without data, and of what, while a call reads them
        self.apart: set[int] = set()  # the ids of constants that a call made in the memory of a map
        for tensor in unread_of(root):
            self.memory.add(tensor, frozenset({UNREAD}))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        op, kwargs = op_of(func), kwargs or {}
        if op == "copy" and id(args[0]) in self.parts:
            return self._placed(*args[:2])
        args = self._plain(func, op, args)
        if op not in NEW and op not in MOVERS and len({tensor.device for tensor in tensors_in((args, kwargs))}) > 1:
            with self._copied((args, kwargs)) as (args, kwargs):
                return self.__torch_function__(func, (), args, kwargs)
        if self.scripted:
            return func(*args, **kwargs)
        read = args[0] if op in SHAPED else (args, kwargs)
        unseen = [] if op in CONSTANTS else [*self._unseen(read)]
        self.memory.written.clear()
        out, by_value = self._run(func, op, args, kwargs)
        changed = args[0] if op == "setitem" else out
        if isinstance(changed, Tensor | tuple | list) and tensors_in(changed):
            with self.arranger.trace.made_by(self.modules.path or op):
                for tensor, layers in unseen:
                    self.learn(tensor, self._made_unseen(op, tensor, layers))
                call = self.call(op, read, changed)
                call.by_value = by_value
                self._follow(call, args, kwargs)
        for at in self.memory.written - {place(tensor) for tensor in tensors_in(changed)}:
            self._changed(at, op)  # it was written to by a call that does not return it
        return self._taken_apart(out) if self.apart else out

    def _taken_apart(self, out: Any) -> Any:
        """Give constants that lie in the memory of a map one of their own."""
        if isinstance(out, tuple | list):
            return type(out)(map(self._taken_apart, out))
        if id(out) not in self.apart:
            return out
        self.apart.remove(id(out))
        self.memory.add(own := hollow(out), frozenset({WITHOUT}), anew=True)
        return own

    def _plain(self, func: Any, op: str, args: Any) -> Any:
        """Read the plain numbers that a call makes of tensors, and those in an index, or in amounts of padding."""
        if getattr(func, "__name__", "") in READS:
            for tensor in tensors_in(args):
                self._read(op, tensor)
        if op not in ("getitem", "setitem", "pad"):
            return args
        return args[0], with_numbers(args[1], partial(self._read, op)), *args[2:]

    def _placed(self, part: Tensor, new: Any) -> Tensor:
        """Write to a part of a constant, by its place in the whole."""
        _, whole, index = self.parts[id(part)]
        self.__torch_function__(Tensor.__setitem__, (), (whole, index, new))
        return part

    def _run(self, func: Any, op: str, args: Any, kwargs: Any) -> tuple[Any, bool]:
        """Make what a call returns, and tell whether its shape is a matter of values."""
        if op in ALIKE and args and id(args[0]) in self.values:  # PyTorch works long on shapes that are known
            return torch.empty_like(args[0]), False
        if (returned := recurrent(op, args)) is not None:
            return returned, False
        if (one := found(op, args, kwargs)) is not None:
            return one, True
        return made(func, op, args, kwargs), False

    @contextmanager
    def _copied(self, given: Any) -> Iterator[Any]:
        """Replace tensors with data, among arguments, by copies without; what is written to these is written back."""
        copies: dict[int, tuple[Tensor, Tensor]] = {}
        self.copies = {}
        yield without_data(given, partial(self._copy, copies))
        for tensor, copy in copies.values():
            if place(copy) not in self.memory.written:
                continue
            self._changed(place(tensor), "a call", but=tensor)
            self.memory.add(tensor, self.memory.of(copy) | {WITHOUT})
            if id(copy) in self.values:
                self.learn(tensor, self.values[id(copy)][1])

    def _copy(self, copies: dict[int, tuple[Tensor, Tensor]], tensor: Tensor) -> Tensor:
        """Copy a tensor without its data, of which the same is known; one copy for each."""
        if id(tensor) not in copies:
            copies[id(tensor)] = tensor, (copy := hollow(tensor))
            self.copies[id(copy)] = copy, tensor
            self.memory.add(copy, self.memory.of(tensor))
            if id(tensor) in self.values:
                self.learn(copy, self.values[id(tensor)][1])
        return copies[id(tensor)][1]

    def numbers(self, tensor: Tensor) -> Tensor | None:
        """Look up the data of a constant; None for one that is made of weights."""
        tensor = self.copies.get(id(tensor), (tensor, tensor))[1]
        if tensor.is_meta and (isinstance(tensor, nn.Parameter) or not self.memory.of(tensor) & {UNREAD, WITHOUT}):
            return None
        if tensor.is_meta or self.memory.of(tensor) & {UNREAD, WITHOUT}:
            raise Stuck("reads numbers that are not known")
        return tensor

    def _read(self, op: str, tensor: Tensor) -> None:
        """Take account of plain numbers that are made of a tensor."""
        made_of = self.memory.of(tensor)
        if id(tensor) in self.values or max(made_of, default=-1) >= 0:
            self._halt(op, tensor)
        if WITHOUT in made_of or tensor.is_meta:
            raise Refused(f"{op} {WEIGHTS}")

    def _halt(self, op: str, tensor: Tensor) -> None:
        """End a forward that goes on by the values of a map: that is a head if all convolutions have run."""
        for own, layers in [*self._unseen(tensor)]:
            self.learn(own, self._made_unseen(op, own, layers))
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
                trace.ends = ends | {call.ended(READING).at}
        raise Halted

    @property
    def scripted(self) -> bool:
        """Whether the module that runs is scripted."""
        return isinstance(self.modules.stack[-1][1], torch.jit.ScriptModule)

    def call(self, op: str, args: Any, out: Any) -> Call:
        """Make a call within the module that runs."""
        return Call(self.arranger, self.modules, self.values, self.numbers, op, args, out)

    def _follow(self, call: Call, args: Any, kwargs: Any) -> None:
        if call.by_value and not call.maps:
            raise Refused(f"{call.op} {WEIGHTS}")
        if call.op == "getitem" and not call.maps:
            self.parts[id(call.out)] = call.out, *args
        if not call.maps:
            return
        try:
            self._keep(call, self.lower(call, args, kwargs))
        except Refused:
            raise
        except Exception as error:
            self.failed = error
            raise

    def outputs(self, out: Any) -> list[Map]:
        """List the maps that a forward returns, and what was made of them out of sight."""
        for tensor, layers in [*self._unseen(out)]:
            self.learn(tensor, self._made_unseen("output", tensor, layers))
        return [self.values[id(tensor)][1] for tensor in tensors_in(out) if id(tensor) in self.values]

    def _unseen(self, read: Any) -> Iterator[tuple[Tensor, Layers]]:
        """Yield the tensors that were made of maps by what is not followed, and the layers of these."""
        for tensor in tensors_in(read):
            if id(tensor) not in self.values and (layers := self.memory.of(tensor) - {UNREAD, WITHOUT}):
                yield tensor, layers

    def _made_unseen(self, op: str, tensor: Tensor, layers: Layers) -> Map:
        """Make a value that is an error once a target depends on it; what is made of vectors alone is one."""
        trace, inputs = self.arranger.trace, sorted(layers, reverse=True)
        name = self.call(op, (), tensor).name("merge")
        if all(trace.pooled[at] for at in inputs):
            return Map(tuple(map(plain, tensor.shape)), trace.merge(name, "concat", inputs))
        spoilt = next((at for at in inputs if trace.layers[at].kind == "unknown"), None)
        what = self.changed.get(place(tensor), f"{op} {OUT_OF_SIGHT}")
        return Map(None, trace.broken(name, inputs, what) if spoilt is None else spoilt)

    def _changed(self, at: int | None, op: str, but: Tensor | None = None) -> None:
        """Take back what is known of all tensors in a memory that a call wrote to, `but` for the one it returns."""
        for key in self.sharing.pop(at, set()) - {id(but)}:
            self.values.pop(key, None)
            self.changed[at] = f"{op} changes a part of a tensor in place"  # and what shares its data with it

    def _keep(self, call: Call, result: Result) -> None:
        outs = tensors_in(call.out)
        results = result if isinstance(result, Sequence) else [result] * len(outs)
        for tensor, value in zip(outs, results, strict=True):
            if not isinstance(value, Map):
                self.values.pop(id(tensor), None)
                if call.op not in CONSTANTS:
                    self.apart.add(id(tensor))
                continue
            before = self.values.get(id(tensor))
            value = _checked(call, value, tensor)
            at, kind = place(tensor), call.trace.layers[value.at].kind
            if before and (before[1].at != value.at or kind == "unknown" or call.op in ("fill", "zero")):
                self._changed(at, call.op, but=tensor)
            self.learn(tensor, value)

    def learn(self, tensor: Tensor, value: Map) -> None:
        """Remember what a tensor holds."""
        self.values[id(tensor)] = tensor, value
        at = place(tensor)
        self.memory.add(tensor, frozenset({value.at}), anew=at not in self.sharing)
        self.sharing.setdefault(at, set()).add(id(tensor))

    def constant(self, value: Any) -> None:
        """Take what is given beside the image as a constant, whose values are not known."""
        for tensor in tensors_in(value):
            self.memory.add(tensor, frozenset({UNREAD}))

    def _left(self, module: nn.Module, args: Any, output: Any) -> None:
        """Refuse what a scripted module made of maps."""
        if isinstance(module, torch.jit.ScriptModule) and (call := self.call("", args, output)).spatial:
            for tensor in tensors_in(output):
                self.learn(tensor, Map(None, call.trace.broken(self.modules.path, call.inputs, SCRIPTED)))


def kept_in(root: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors that a module and those inside of it keep, which are constants of a forward."""
    for module in root.modules():
        with suppress(RecursionError):  # of what contains itself
            yield from tensors_in(vars(module))


def _checked(call: Call, value: Map, tensor: Tensor) -> Map:
    """Give the value the shape of its tensor, which what is known of a map must agree with."""
    shape = [*tensor.shape]
    if call.pooled(value):
        return replace(value, dims=tuple(map(plain, shape)))
    if value.dims is not None and shape_of(value.dims) != shape:
        return call.broken(f"makes {' x '.join(map(str, shape))} of it, which padviz does not follow")
    return value
