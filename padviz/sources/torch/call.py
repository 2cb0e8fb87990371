"""One call of a PyTorch function, as a call of a foreign graph."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import cast

import numpy as np
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.utils._pytree import tree_leaves, tree_map_only

from padviz.network.network import in_words
from padviz.network.resize import Resize
from padviz.sources.torch.tensors import Args, Kwargs, Memory, is_own, tensors_in
from padviz.sources.tracing import calls
from padviz.sources.tracing.arranging import Arranger, Constant, Map, Stuck, Value
from padviz.sources.tracing.calls import Numbers, Result
from padviz.sources.tracing.dims import Dims, broadcast_all, plain, whole, with_channels
from padviz.sources.tracing.reading import moves

JOINS = "joins the positions of several maps"
AXES_IN = re.compile(r"([123])d")  # the name of a function
CONVS = frozenset(("conv", "convolution", "padded_conv"))
IMAGES = CONVS | {"conv_transpose", "max_pool", "max_pool_with_indices", "avg_pool", "lp_pool"}
ADAPTIVE = {f"adaptive_{pool}" for pool in ("avg_pool", "max_pool", "max_pool_with_indices")}
SLIDING = IMAGES | ADAPTIVE | {"pad", "constant_pad_nd", "padded", "pixel_shuffle", "unfold"}
PARTS = frozenset((
    "cat", "chunk", "concat", "concatenate", "getitem", "glu", "linear", "narrow", "select",
    "slice", "split", "split_with_sizes", "stack", "tensor_split", "unbind",
))  # fmt: skip  # what makes parts of a vector, or other vectors
PADS = frozenset(("pad", "constant_pad_nd", "padded"))
MODES = ("nearest", "nearest_exact", "linear", "bilinear", "trilinear", "bicubic")
RESIZES = frozenset(("interpolate", "upsample", *(f"upsample_{mode}" for mode in MODES)))
SHAPED = (
    "to",
    "expand_as",
    "view_as",
    "reshape_as",
    "type_as",
)  # what reads of a second tensor its shape or its type
WINDOWED = IMAGES | RESIZES | {"pixel_shuffle", "unfold"}


def stem_of(op: str) -> str:
    """Return the name of a function without its number of axes, as max_pool of max_pool2d."""
    return AXES_IN.sub("", op)


def as_map(value: Value) -> Map:
    if not isinstance(value, Map):
        raise Stuck("reads a constant instead of a feature map")
    return value


class Modules:
    """While active, a stack of the modules that run, with their paths in `root`; others are of the
    one that calls them.

    `on_exit` is called with each module that ends, its arguments and its result. One whose forward
    fails stays on the stack, to tell where that was, unless it is `always` taken off.
    """

    def __init__(
        self,
        root: nn.Module,
        on_exit: Callable[[nn.Module, Args, object], None] | None = None,
        always: bool = False,
    ) -> None:
        self.names = {module: name for name, module in root.named_modules()}
        self.stack = [("", root)]
        self.on_exit, self.always = on_exit, always
        self.entered = {root}
        # those that had run before the values of a map were read
        self.known: set[nn.Module] = set()
        self.again = ""  # the first of these that has weights and runs again

    @property
    def path(self) -> str:
        return self.stack[-1][0]

    @property
    def kind(self) -> str:
        return type(self.stack[-1][1]).__name__

    def left_out(self) -> str:
        """Return the path of the first convolution that has not run; "" if all have."""
        convs = (module for module in self.names if isinstance(module, nn.modules.conv._ConvNd))
        return next((self.names[module] for module in convs if module not in self.entered), "")

    def __enter__(self) -> None:
        leaving = hooks.register_module_forward_hook(self._leaving, always_call=self.always)
        self.handles = [hooks.register_module_forward_pre_hook(self._entering), leaving]

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _entering(self, module: nn.Module, args: object) -> None:
        self.entered.add(module)
        if module in self.known and not self.again and any(True for _ in module.parameters()):
            self.again = self.names.get(module, "")
        self.stack.append((self.names.get(module, self.path), module))

    def _leaving(self, module: nn.Module, args: Args, out: object) -> None:
        if self.on_exit:
            self.on_exit(module, args, out)
        self.stack.pop()


class Call(calls.Call):
    """One call: the function, what it read and returned, and the trace that its layers go to.

    What is `whole` reads rows, columns and channels that are one dimension as they are; the size of
    what is made `by_value` depends on values.
    """

    has_vectors = False

    def __init__(
        self,
        trace: Arranger,
        modules: Modules,
        memory: Memory,
        op: str,
        args: Args,
        kwargs: Kwargs,
        out: object,
        by_value: bool = False,
    ) -> None:
        self.trace, self.modules, self.memory = trace, modules, memory
        self.op, self.stem, self.args, self.kwargs, self.out = op, stem_of(op), args, kwargs, out
        said = AXES_IN.search(op)
        self.axes = int(said[1]) if said else len(trace.axes)
        self.windowed = self.is_one_of(WINDOWED)
        self.tensors = tensors_in(args[0] if op in SHAPED else (args, kwargs))
        self.read_tensors()
        self.handler: Callable[..., Result] | None = None
        self.whole, self.by_value = False, by_value

    def read_tensors(self) -> None:
        self.read = tuple(map(self.value, self.tensors))
        self.__post_init__()

    def is_one_of(self, stems: Collection[str]) -> bool:
        return self.stem in stems and self.axes == len(self.trace.axes)

    @property
    def slides(self) -> bool:
        return self.is_one_of(SLIDING | RESIZES)

    @property
    def output(self) -> Tensor:
        return tensors_in(self.out)[0]

    def array_of(self, value: object) -> Numbers | None:
        """Return the numbers of a constant; None for a map, and for what is made of weights."""
        if isinstance(value, Value):
            numbers = self.numbers_of(value)
            if numbers is None:
                return None
            if numbers.is_complex():
                raise Stuck("reads complex numbers")
            return numbers.detach().double().numpy()
        return np.asarray(value, dtype=np.float64)

    def numbers_of(self, value: object) -> Tensor | None:
        """Return the tensor of a constant; None for a map, and for what is made of weights."""
        if isinstance(value, Constant):
            return self.memory.numbers(cast("Tensor", value.later))
        return None

    @property
    def plain(self) -> list[object]:
        leaves = tree_leaves((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, int | float | complex | np.generic)]

    def made(self, x: Constant) -> tuple[bool, str]:
        storage = self.memory.of(cast("Tensor", x.later))
        return storage.same, str(storage.made)

    def value(self, tensor: Tensor) -> Value:
        return self.memory.value(tensor) or Constant(tuple(map(plain, tensor.shape)), later=tensor)

    @property
    def pointwise(self) -> bool:  # type: ignore[override]
        return self.is_one_of(CONVS) and prod(self.tensors[1].shape[2:]) == 1

    def name(self, part: str = "") -> str:
        """Return a name for its layer: the path of its module, and the function where the path is
        ambiguous.
        """
        path, module = self.modules.stack[-1]
        childless = not {name for name, _ in module.named_children()} - {"parametrizations"}
        if part == "merge" or not part:
            short = AXES_IN.split(self.op.removeprefix("padded_"))[0]
            if path and (part or childless):
                return path
            return f"{path}.{short}".lstrip(".")
        if part == "norm" and "Norm" in self.modules.kind and path:
            return path
        if part == "pad" and "Pad" in self.modules.kind:
            return self.name()
        if part == "line":
            return f"{self.name()}.line"
        suffix = {"norm": self.op, "spread": "expand"}.get(part, part)
        return f"{path}.{suffix}".lstrip(".")

    def broadcast(self, values: Sequence[Map], along: int | None = None) -> Dims:
        shape = [1 if axis == along else n for axis, n in enumerate(self.output.shape)]
        maps = [value.known for value in values if self.trace.is_spatial(value)]
        dims = broadcast_all(maps, [(plain(1),) * len(shape)])
        if dims is None:
            raise Stuck("reads maps whose rows and columns do not match")
        if len(dims) > len(shape) or any(
            dim.size != n and dim.kind != "channels" for dim, n in zip(dims, shape, strict=True)
        ):
            written, known = (in_words(n) or "a number" for n in (shape, values[0].shape))
            raise Stuck(f"makes {written} of {known}, so it is not elementwise")
        return tuple(dim if dim.size == n else plain(n) for dim, n in zip(dims, shape, strict=True))

    def unknown(self) -> Map:
        try:
            self.broadcast(self.maps)
        except Stuck as error:
            if not moves(self.op):  # and still `neutral` would not help
                what = f"{self.which} is not known, and {error}"
                return Map(None, self.trace.broken(self.name(), self.inputs, what))
        if is_own(self.op) and not moves(self.op):
            what = f"{self.which} is not known"
            return Map(None, self.trace.broken(self.name(), self.inputs, what))
        return super().unknown()

    def run_handler(self, handler: Callable[..., Result]) -> Result:
        args, kwargs = tree_map_only(Tensor, self.value, (self.args, self.kwargs))
        try:
            inspect.signature(handler).bind(self, *args, **kwargs)
        except TypeError:
            raise Stuck("is called with arguments that padviz does not support") from None
        return handler(self, *args, **kwargs)

    def without_positions(self) -> Result:
        """Return a vector if it reads pooled vectors alone; None if it reads positions, or makes an
        image again.
        """
        if not self.whole:
            self.without_mixed()
        if self.spatial:
            return None
        shape, axes = self.tensors[0].shape, len(self.trace.axes)
        is_image, slides = len(shape) == axes + 2, self.is_one_of(SLIDING)
        if (
            slides
            and self.handler
            and is_image
            and len(self.maps) == 1
            and prod(shape[-axes:]) == 1
        ):
            return (
                None  # a convolution costs something, and others may make several positions of one
            )
        if is_image and self._resizes:
            return self._resized_vector()
        if slides and prod(shape[-axes:]) > 1 and isinstance(self.given[0], Map):
            return self._with_positions(self.given[0], is_image)
        if self.handler and self.stem in PARTS:
            with suppress(Stuck):
                return self.run_handler(self.handler)
        return self.vector()

    @property
    def _resizes(self) -> bool:
        repeats = self.stem == "repeat_interleave" and prod(self.output.shape[2:]) > 1
        return repeats or self.stem in RESIZES

    def _with_positions(self, vector: Map, is_image: bool) -> Result:
        """Return an image of a vector, of which each position sees all, before a window reads it.

        A pad alone makes an image only of what has the dimensions of one.
        """
        if self.stem not in PADS or is_image:
            self.memory.values[self.tensors[0]] = self.spread_vector(vector, len(self.trace.axes))
            return None
        padded = as_map(self.vector())
        return replace(padded, layer=self.trace.marked_unlike(padded.at))

    def _resized_vector(self) -> Map:
        """Return a vector that was resized to a map: each position sees all of it."""
        batch, channels, *sizes = self.output.shape
        dims = plain(batch), plain(channels), *map(whole, self.trace.axes, sizes)
        ops = [Resize(n) for n in sizes]
        vector = self.vector().at
        if prod(self.tensors[0].shape[2:]) > 1:
            self.check_alike([vector])
        return Map(dims, self.trace.add(self.name(), "resize", (vector,), ops))

    def without_mixed(self) -> None:
        for tensor, x in zip(self.tensors, self.given, strict=True):
            if self.trace.is_spatial(x) and x.dims is not None:
                self.memory.values[tensor] = self.trace.without_mixed(self.name("line"), x)
        self.read_tensors()

    def with_channels(self, value: Map) -> Map:
        return replace(value, dims=with_channels(value.known, self.output.shape))

    def join_flattened(self, maps: Sequence[Map]) -> Value:
        if len(maps) > 1:
            return self.broken(JOINS, head=JOINS)
        pooled = self.pool(*maps)  # tokens beside positions
        self.trace.mark(pooled.at, from_tokens=True)
        return pooled
