"""A PyTorch forward on tensors without data, call by call: what each call does to the maps that it reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from padviz.axis.operations import Op
from padviz.axis.resize import Resize
from padviz.network.graph import ancestors
from padviz.network.layer import CONVOLUTIONS, Channels, Kind
from padviz.sources.torch.arguments import Refused, op_of, tensors_in, without_data
from padviz.sources.torch.memory import CONSTANTS, Layers, Memory, place
from padviz.sources.tracing import calls
from padviz.sources.tracing.arranging import Arranger, Stuck, Value
from padviz.sources.tracing.attending import Step
from padviz.sources.tracing.axis_labels import (
    Dims,
    broadcast,
    has_positions,
    plain,
    ranked,
    roles_of,
    shape_of,
    size_of,
)
from padviz.sources.tracing.calls import Result
from padviz.sources.tracing.sizes.rows import bare
from padviz.sources.tracing.trace import Trace

OUT_OF_SIGHT = "reads what was made of it where padviz cannot follow, as in scripted code, torch.func or a thread"
SCRIPTED = "is scripted, so that its code cannot be followed: put the module that it was made of in its place"
SHAPED = ("to", "expand_as", "view_as", "reshape_as", "type_as")  # what reads of a second tensor its shape or its type
ALIKE = frozenset(
    ("relu", "relu6", "hardswish", "hardsigmoid", "hardtanh", "gelu", "leaky_relu", "batch_norm", "layer_norm")
)  # what they return is of the shape and type of what they read


CONVS = frozenset(("conv2d", "padded_conv2d", "convolution"))
IMAGES = CONVS | {"conv_transpose2d", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "lp_pool2d"}
RESIZES = frozenset(
    ("interpolate", "upsample", *(f"upsample_{mode}2d" for mode in ("nearest", "nearest_exact", "bilinear", "bicubic")))
)
ATTENTION = frozenset(("scaled_dot_product_attention", "multi_head_attention_forward"))
PRODUCTS = frozenset(("matmul", "rmatmul", "mm", "bmm", "baddbmm", "einsum"))


class Call(calls.Call):
    """One call: the function, what it read and returned, and the trace that its layers go to.

    `handler` is what it does to maps, where that is known; what is `whole` it reads as it is, even rows, columns and
    channels that are one dimension.
    """

    def __init__(self, tracer: Tracer, op: str, args: Any, out: Any) -> None:
        self.plan = tracer.plan
        self.op = self.what = op
        self.which = f"function {op}"
        self.out = out
        self.tracer = tracer
        self.tensors = tensors_in(args)
        self.maps = [value for tensor in self.tensors if (value := self.of(tensor))]
        self.handler: Callable[..., Result] | None = None
        self.whole = False
        self.given: tuple[Any, Any] = (), {}

    def of(self, tensor: Any) -> Value | None:
        """What a tensor holds; None for a constant."""
        return self.tracer.values.get(id(tensor), (None, None))[1]

    def map(self, tensor: Any) -> Value:
        """What a tensor holds, which must be a map."""
        value = self.of(tensor)
        if value is None:
            raise Stuck("reads a constant where padviz looks for a map")
        return value

    def pooled(self, value: Value) -> bool:
        """Whether there are no positions left in it."""
        return self.trace.pooled[value.at]

    @property
    def spatial(self) -> list[Value]:
        """The maps among what it read, without the pooled ones."""
        return [value for value in self.maps if not self.pooled(value)]

    @property
    def inputs(self) -> list[int]:
        return list(dict.fromkeys(value.at for value in self.spatial or self.maps))

    @property
    def windowed(self) -> bool:  # type: ignore[override]
        return self.op in IMAGES | RESIZES | {"pixel_shuffle", "unfold"}

    @property
    def pointwise(self) -> bool:  # type: ignore[override]
        return self.op in CONVS and self.tensors[1].shape[-2:] == (1, 1)

    @property
    def step(self) -> Step | None:  # type: ignore[override]
        if self.op in ATTENTION:
            return "attention"
        if self.op in PRODUCTS and len(self.maps) > 1:
            return "product"
        return "softmax" if "softmax" in self.op else None

    def name(self, part: str = "") -> str:
        """By the path of its module, and by the function where the path says too little."""
        path, module = self.tracer.stack[-1]
        whole = not any(True for _ in module.children())
        if part == "merge" or not part:
            short = self.op.removeprefix("padded_").split("2d")[0]
            return path if path and (part or whole) else f"{path}.{short}".lstrip(".")
        if part == "norm":
            return path if "Norm" in type(module).__name__ and path else self.inner(self.op)
        return f"{self.name()}.line" if part == "line" else self.inner({"spread": "expand"}.get(part, part))

    def inner(self, suffix: str) -> str:
        """What a further layer of this call is called."""
        return f"{self.tracer.stack[-1][0]}.{suffix}".lstrip(".")

    def lined_up(self, values: Sequence[Value], along: int | None = None) -> Dims:
        shape = [1 if axis == along else n for axis, n in enumerate(tensors_in(self.out)[0].shape)]
        padded = [ranked(value.known, len(shape)) for value in values if not self.pooled(value)]
        dims: Dims | None = padded[0]
        for each in padded[1:]:
            dims = dims and broadcast(dims, each)
        if dims is None or any(
            size_of(own) > 1 and has_positions(own) != has_positions(dim)
            for each in padded
            for own, dim in zip(each, dims, strict=True)
        ):
            raise Stuck("reads maps whose rows and columns do not line up")
        whole = [[size_of(dim) for dim, to in zip(each, dims, strict=True) if roles_of([to])] for each in padded]
        if [size_of(dim) for dim in dims if roles_of([dim])] not in whole or any(
            any(role for role, _ in dim) and size_of(dim) != n for dim, n in zip(dims, shape, strict=True)
        ):
            raise Stuck("makes a larger map of those that it reads")
        return tuple(dim if size_of(dim) == n else plain(n) for dim, n in zip(dims, shape, strict=True))

    def handled(self) -> Result:
        if self.handler is None:
            return self.unknown()
        args, kwargs = self.given
        try:
            inspect.signature(self.handler).bind(self, *args, **kwargs)
        except TypeError:
            raise Stuck("is called in a way that padviz does not follow") from None
        return self.handler(self, *args, **kwargs)

    def without_positions(self) -> Result:
        """Whatever is made of pooled vectors alone is one, but for what makes an image of them again."""
        if not self.whole:
            self._change(lambda value: self.plan.unmixed(self.name("line"), value))
        if self.spatial:
            return None
        shape = self.tensors[0].shape
        if self.op in CONVS and len(self.maps) == 1 and prod(shape[-2:]) == 1:
            return self.handled()  # it costs something
        at = self.trace.merge(self.name("merge"), "concat", self.inputs)
        tokens = ancestors(self.trace.layers, [at]) & self.trace.tokens
        self.attend(frozenset(i for token in tokens for i in self.trace.layers[token].inputs))
        if self.op in RESIZES and len(shape) == 4:
            height, width = (Resize(n) for n in self.out.shape[-2:])
            rows, cols = (((role, n),) for role, n in zip("hw", self.out.shape[-2:], strict=True))
            dims = (*map(plain, self.out.shape[:2]), rows, cols)
            return Value(dims, self.trace.add(self.name(), "resize", (at,), height, width))
        if self.op in IMAGES and prod(shape[-2:]) > 1:
            return self.broken("reads as an image what was flattened or pooled before")
        return Value(None, at)

    def settle(self) -> None:
        """Lay out what is pending in all that it reads."""
        self._change(self.plan.settled)

    def _change(self, change: Callable[[Value], Value]) -> None:
        for tensor in self.tensors:
            value = self.of(tensor)
            if value and value.dims is not None and not self.pooled(value):
                self.tracer.values[id(tensor)] = tensor, change(value)
        self.maps = [value for tensor in self.tensors if (value := self.of(tensor))]

    def image(self, tensor: Tensor, rank: int = 2) -> tuple[Value, list[str]]:
        """A map whose last dimensions are rows and columns, and which of them is which."""
        return self.plan.image(self.map(tensor), tensor.ndim - rank)

    def lay(
        self, kind: Kind, value: Value, ops: Mapping[str, Op | None], name: str = "", channels: Channels | None = None
    ) -> Value:
        """Lay one layer that reads one map, with an operation for each role."""
        given = {role: op for role, op in ops.items() if op}
        made = self.plan.lay(name or self.name(), kind, value, given, channels=channels)
        return self.shaped(made, mixes=kind in CONVOLUTIONS)

    def shaped(self, value: Value, mixes: bool = False) -> Value:
        """The value with as many channels as the call returns; where it `mixes` them, they are no places any more."""
        shape = tensors_in(self.out)[0].shape
        dims = [
            dim if roles_of([dim]) or size_of(dim) == n else plain(n) for dim, n in zip(value.known, shape, strict=True)
        ]
        if mixes:
            at = next(i for i, dim in enumerate(dims) if roles_of([dim])) - 1
            dims[at] = plain(shape[at])
        return replace(value, dims=tuple(dims))

    def pool(self, value: Value) -> Value:
        """Lay a global pool, or what is one in all but name: something that sees every position and has none."""
        return Value(None, self.trace.add(self.name(), "global", (value.at,)))


class Tracer(TorchFunctionMode):
    """While active, follows every call of a PyTorch function into the trace."""

    def __init__(self, trace: Trace, root: nn.Module, lower: Callable[[Call, Any, Any], Result]) -> None:
        super().__init__()
        self.plan = Arranger(trace, block=".block.")
        self.lower = lower
        self.names = {module: name for name, module in root.named_modules()}
        self.stack: list[tuple[str, nn.Module]] = [("", root)]
        self.values: dict[int, tuple[Tensor, Value]] = {}  # the tensors are kept, so that no id is used twice
        self.failed: Exception | None = None  # an error of this very code, and not of the module's
        self.sharing: dict[int | None, set[int]] = {}  # the ids of tensors in one memory
        self.changed: dict[int | None, str] = {}  # why nothing is known of a memory any more
        self.memory = Memory(kept_in(root))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, turns = kwargs or {}, self.plan.trace.turns
        if turns is None or not turns.on:
            return self._called(func, args, kwargs)
        turns.on = False  # the code that runs from here on is not the forward's own
        try:
            out = self._called(func, args, kwargs)
            return self._sizes(op_of(func), args, kwargs, out)
        finally:
            turns.on = True

    def _sizes(self, op: str, args: Any, kwargs: Any, out: Any) -> Any:
        """The shape of a map with what it is at other sizes; all else as it is."""
        known = self.values.get(id(args[0])) if op in ("shape", "size") and args else None
        if known is None or known[1].dims is None:
            return out
        sizes = [self.plan.rows(known[1], dim) for dim in known[1].dims]
        if [*map(bare, sizes)] != [*args[0].shape]:
            return out
        if isinstance(out, int):
            return sizes[args[1] if len(args) > 1 else kwargs["dim"]]
        return torch.Size(sizes)

    def _called(self, func: Any, args: Any, kwargs: Any) -> Any:
        if len({tensor.device for tensor in tensors_in((args, kwargs))}) > 1:
            args, kwargs = without_data(args), without_data(kwargs)
        if isinstance(self.stack[-1][1], torch.jit.ScriptModule):
            return func(*args, **kwargs)
        op = op_of(func)
        read = args[0] if op in SHAPED else (args, kwargs)
        unseen = [] if op in CONSTANTS else [*self._unseen(read)]
        self.memory.written.clear()
        quick = op in ALIKE and args and id(args[0]) in self.values  # PyTorch works long on shapes that are known
        out = torch.empty_like(args[0]) if quick else func(*args, **kwargs)
        changed = args[0] if op == "setitem" else out
        if isinstance(changed, Tensor | tuple | list) and tensors_in(changed):
            with self.plan.trace.made_by(self.stack[-1][0] or op):
                for tensor, layers in unseen:
                    self.learn(tensor, self._made_unseen(op, tensor, layers))
                call = Call(self, op, read, changed)
                if call.maps:
                    self._follow(call, args, kwargs)
        self._forget(op, {place(tensor) for tensor in tensors_in(changed)})
        return out

    def _follow(self, call: Call, args: Any, kwargs: Any) -> None:
        try:
            self._keep(call, self.lower(call, args, kwargs))
        except Refused:
            raise
        except Exception as error:
            self.failed = error
            raise

    def found(self, out: Any) -> list[Value]:
        """The maps that a forward returns, and what was made of them out of sight."""
        for tensor, layers in [*self._unseen(out)]:
            self.learn(tensor, self._made_unseen("output", tensor, layers))
        return [self.values[id(tensor)][1] for tensor in tensors_in(out) if id(tensor) in self.values]

    def _unseen(self, read: Any) -> Iterator[tuple[Tensor, Layers]]:
        """The tensors that were made of maps by what is not followed, and the layers of these."""
        for tensor in tensors_in(read):
            if id(tensor) not in self.values and (layers := self.memory.of(tensor)):
                yield tensor, layers

    def _made_unseen(self, op: str, tensor: Tensor, layers: Layers) -> Value:
        """A value that is an error once a target depends on it; what is made of vectors alone is one."""
        trace, inputs = self.plan.trace, sorted(layers, reverse=True)
        name = Call(self, op, (), tensor).name("merge")
        if all(trace.pooled[at] for at in inputs):
            return Value(tuple(map(plain, tensor.shape)), trace.merge(name, "concat", inputs))
        spoilt = next((at for at in inputs if trace.layers[at].kind == "unknown"), None)
        what = self.changed.get(place(tensor), f"{op} {OUT_OF_SIGHT}")
        return Value(None, trace.broken(name, inputs, what) if spoilt is None else spoilt)

    def _forget(self, op: str, kept: Collection[int | None]) -> None:
        """Take back what is known of tensors whose memory was written to by a call that does not return them."""
        for at in self.memory.written - {*kept}:
            self._changed(at, op)

    def _changed(self, at: int | None, op: str, but: Tensor | None = None) -> None:
        """Take back what is known of all tensors in a memory that a call wrote to, `but` for the one it returns."""
        for key in self.sharing.pop(at, set()) - {id(but)}:
            self.values.pop(key, None)
            self.changed[at] = f"{op} changes a part of a tensor in place"  # and what shares its data with it

    def _keep(self, call: Call, result: Result) -> None:
        outs = tensors_in(call.out)
        results = [result] * len(outs) if result is None or isinstance(result, Value) else result
        for tensor, value in zip(outs, results, strict=True):
            if value is None:
                self.values.pop(id(tensor), None)
                continue
            before = self.values.get(id(tensor))
            value = _checked(call, value, tensor)
            at, kind = place(tensor), call.trace.layers[value.at].kind
            if before and (before[1].at != value.at or kind == "unknown" or call.op in ("fill", "zero")):
                self._changed(at, call.op, but=tensor)
            self.learn(tensor, value)

    def learn(self, tensor: Tensor, value: Value) -> None:
        """Remember what a tensor holds."""
        self.values[id(tensor)] = tensor, value
        at = place(tensor)
        self.memory.add(tensor, frozenset({value.at}), anew=at not in self.sharing)
        self.sharing.setdefault(at, set()).add(id(tensor))

    def entering(self, module: nn.Module, args: Any) -> None:
        """A hook: a module's forward begins."""
        self.stack.append((self.names.get(module, self.stack[-1][0]), module))

    def leaving(self, module: nn.Module, args: Any, output: Any) -> None:
        """A hook: it ended."""
        if isinstance(module, torch.jit.ScriptModule):
            self._scripted(args, output)
        self.stack.pop()

    def _scripted(self, args: Any, output: Any) -> None:
        """Refuse what a scripted module made of maps."""
        call = Call(self, type(self).__name__, args, output)
        for tensor in tensors_in(output):
            if call.spatial:
                inputs = [*dict.fromkeys(value.at for value in call.spatial)]
                self.learn(tensor, Value(None, call.trace.broken(self.stack[-1][0], inputs, SCRIPTED)))


def kept_in(root: nn.Module) -> Iterator[Tensor]:
    """The tensors that a module and those inside of it keep, which are constants of a forward."""
    for module in root.modules():
        with suppress(RecursionError):  # of what contains itself
            yield from tensors_in(vars(module))


def _checked(call: Call, value: Value, tensor: Tensor) -> Value:
    """The value with the shape of its tensor, which what is known of a map must agree with."""
    shape = [*tensor.shape]
    if call.pooled(value):
        return replace(value, dims=tuple(map(plain, shape)))
    if value.dims is not None and shape_of(value.dims) != shape:
        return call.broken(f"makes {' x '.join(map(str, shape))} of it, which padviz does not follow")
    return value
