"""A PyTorch forward on tensors without data, call by call: what each call does to the maps that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from padviz.axis.operations import Op
from padviz.network.layer import CONVOLUTIONS, Channels, Kind
from padviz.sources.tracing.arranging import Arranger, Stuck, Value
from padviz.sources.tracing.axis_labels import plain, roles_of, shape_of, size_of
from padviz.sources.tracing.trace import Trace

ALIKE = frozenset(
    ("relu", "relu6", "hardswish", "hardsigmoid", "hardtanh", "gelu", "leaky_relu", "batch_norm", "layer_norm")
)  # what they return is of the shape and type of what they read


Result = Value | list[Value | None] | None  # of a call: one value for all that it returns, one each, or a constant


class Call:
    """One call: the function, what it read and returned, and the trace that its layers go to."""

    def __init__(self, tracer: Tracer, op: str, args: Any, out: Any) -> None:
        self.plan = tracer.plan
        self.trace = tracer.plan.trace
        self.op = op
        self.out = out
        self.tracer = tracer
        self.tensors = list(tensors_in(args))
        self.maps = [value for tensor in self.tensors if (value := self.of(tensor))]

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

    def name(self, merge: bool = False) -> str:
        """What a layer of this call is called: its module's path, and the function where the path says too little."""
        path, module = self.tracer.stack[-1]
        alone = merge or not any(True for _ in module.children())
        return path if path and alone else f"{path}.{self.short}".lstrip(".")

    def inner(self, suffix: str) -> str:
        """What a further layer of this call is called."""
        return f"{self.tracer.stack[-1][0]}.{suffix}".lstrip(".")

    @property
    def short(self) -> str:
        return self.op.removeprefix("padded_").split("2d")[0]

    def settle(self) -> None:
        """Lay out what is pending in all that it reads."""
        self._change(self.plan.settled)

    def unmix(self) -> None:
        """Pool, in all that it reads, rows and columns that are one dimension with channels."""
        self._change(lambda value: self.plan.unmixed(f"{self.name()}.line", value))

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
        shape = next(tensors_in(self.out)).shape
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

    def broken(self, what: str) -> Value:
        """A value that is an error once a target depends on it."""
        inputs = list(dict.fromkeys(value.at for value in self.spatial or self.maps))
        return Value(None, self.trace.broken(self.name(), inputs, f"{self.op} {what}"))

    def head(self, what: str, why: str = "") -> Value:
        """A value that is broken, and that a network may be cut before."""
        inputs = list(dict.fromkeys(value.at for value in self.spatial or self.maps))
        return Value(None, self.trace.head(self.name(), inputs, f"{self.op} {what}", why or what))

    def unknown(self) -> Value:
        """The value of a function that is not known."""
        inputs = list(dict.fromkeys(value.at for value in self.spatial or self.maps))
        return Value(None, self.trace.unknown(self.name(), inputs, f"function {self.op}", self.op))


class Tracer(TorchFunctionMode):
    """While active, follows every call of a PyTorch function into the trace."""

    def __init__(self, trace: Trace, root: nn.Module, lower: Callable[[Call, Any, Any], Result]) -> None:
        super().__init__()
        self.plan = Arranger(trace, block=".block.")
        self.lower = lower
        self.names = {module: name for name, module in root.named_modules()}
        self.stack: list[tuple[str, nn.Module]] = [("", root)]
        self.values: dict[int, tuple[Tensor, Value]] = {}  # the tensors are kept, so that no id is used twice

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if len({tensor.device for tensor in tensors_in((args, kwargs))}) > 1:
            args, kwargs = without_data(args), without_data(kwargs)
        op = op_of(func)
        quick = op in ALIKE and args and id(args[0]) in self.values  # PyTorch works long on shapes that are known
        out = torch.empty_like(args[0]) if quick else func(*args, **kwargs)
        changed = args[0] if op == "setitem" else out
        if isinstance(changed, Tensor | tuple | list):
            call = Call(self, op, args[0] if op.endswith("_as") else (args, kwargs), changed)  # the other's shape alone
            if call.maps and any(True for _ in tensors_in(changed)):
                with call.trace.made_by(self.stack[-1][0] or op):
                    self._keep(call, self.lower(call, args, kwargs))
        return out

    def _keep(self, call: Call, result: Result) -> None:
        outs = list(tensors_in(call.out))
        results = result if isinstance(result, list) else [result] * len(outs)
        for tensor, value in zip(outs, results, strict=True):
            if value is None:
                self.values.pop(id(tensor), None)
                continue
            before = self.values.get(id(tensor))
            value = _checked(call, value, tensor)
            self.values[id(tensor)] = tensor, value
            if before and tensor._base is not None and (whole := call.of(tensor._base)):
                kind = call.trace.layers[value.at].kind
                if before[1].at != value.at or kind == "unknown" or call.op in ("fill", "zero"):
                    note = f"{call.op} changes a part of a tensor in place"  # and what shares its data with it
                    broken = Value(None, call.trace.broken(call.name(), (whole.at, value.at), note))
                    self.values[id(tensor._base)] = tensor._base, broken

    def entering(self, module: nn.Module, args: Any) -> None:
        """A hook: a module's forward begins."""
        self.stack.append((self.names.get(module, self.stack[-1][0]), module))

    def leaving(self, module: nn.Module, args: Any, output: Any) -> None:
        """A hook: it ended."""
        self.stack.pop()


def _checked(call: Call, value: Value, tensor: Tensor) -> Value:
    """The value with the shape of its tensor, which what is known of a map must agree with."""
    shape = [*tensor.shape]
    if call.pooled(value):
        return replace(value, dims=tuple(map(plain, shape)))
    if value.dims is not None and shape_of(value.dims) != shape:
        return call.broken(f"makes {' x '.join(map(str, shape))} of it, which padviz does not follow")
    return value


def op_of(func: Any) -> str:
    """The plain name of a function, without the marks of operators and of in-place versions.

    >>> [op_of(func) for func in (torch.Tensor.add_, torch.Tensor.__rsub__, torch.conv2d)]
    ['add', 'rsub', 'conv2d']
    """
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        name = func.__self__.__name__
    return name.rsplit(".", 1)[-1].strip("_")


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in arguments or results, however nested."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)
    elif hasattr(value, "__dataclass_fields__"):
        yield from tensors_in(list(vars(value).values()))


def without_data(value: Any) -> Any:
    """Arguments with every tensor that has data replaced by one that has none."""
    if isinstance(value, Tensor):
        return value if value.is_meta else torch.empty_like(value, device="meta")
    if isinstance(value, dict):
        return {key: without_data(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(without_data, value))
    return value
