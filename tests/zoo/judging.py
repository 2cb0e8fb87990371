"""Judges how padviz reads a module: its support against the module's own gradients, its counts where those can be."""

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import padviz
from padviz.network.targets import last_maps
from tests.torch_calls import count, tensors_in

Size = tuple[int, int]
LONGEST = 80  # characters of why there are no counts


class Judgement(NamedTuple):
    """What came out for one network: how it was held, in words, and how long it took to load (s of a core)."""

    verdict: str  # "counts", "support", "refused", "wrong", "not judged"
    words: str
    seconds: float


def judge(build: Callable[[], nn.Module], sizes: Sequence[Size], channels: int = 3) -> Judgement:
    """Load a module at its first size, and hold it at every size."""
    start = time.process_time()
    try:
        network = padviz.load(build().eval(), size=sizes[0])
        seconds = time.process_time() - start
        taken = [size for size in sizes if size == sizes[0] or _takes(build, size, channels)]
        held = {_hold(build, network.at(size), size, channels) for size in taken}
    except padviz.PadvizError as error:
        return Judgement("refused", str(error), time.process_time() - start)
    held |= {_asked(build, size) for size in taken} - {None}
    worst = next(
        each
        for each in ("wrong", "not judged", "support", "counts")
        if any(v == each for v, _ in held)
    )
    words = "; ".join(sorted(w for v, w in held if v == worst and w))
    return Judgement(worst, words, seconds)


def _asked(build: Callable[[], nn.Module], size: Size) -> tuple[str, str] | None:
    """What `padviz.verify` finds wrong, which runs the module itself and shares no code with this oracle."""
    try:
        found = padviz.verify(build().eval(), size).finding
    except padviz.PadvizError:  # one that does not run alone
        return None
    return found and ("wrong", f"padviz verify: {found.layer} {found.words}")


def _takes(build: Callable[[], nn.Module], size: Size, channels: int) -> bool:
    """Whether the module itself takes images of a size."""
    try:
        with torch.no_grad():
            build().eval()(torch.zeros((1, channels, *size)))
    except Exception:
        return False
    return True


def _hold(
    build: Callable[[], nn.Module], network: padviz.Network, size: Size, channels: int
) -> tuple[str, str]:
    try:
        expected, _ = count(build(), size, channels)
        counts = padviz.usage(network, size=size).counts.astype(np.float64)
        if np.allclose(counts, expected, rtol=1e-9, atol=0):
            return "counts", ""
        why = "counts differ"
    except Exception as error:  # the counting oracle knows few functions; the support decides
        why = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
    verdict, words = _hold_support(build, network, size, channels)
    return verdict, "; ".join(filter(None, (words, f"no counts: {why}")))


def _hold_support(
    build: Callable[[], nn.Module], network: padviz.Network, size: Size, channels: int
) -> tuple[str, str]:
    ran = run(build(), size, channels)
    heads, judged = network.targets or last_maps(network), 0
    for head in heads:
        height, width = padviz.usage(network, size=size, layer=head).target.shape
        shape = height, width
        last = ran.map_of(head, shape)
        if last is None:
            continue
        judged += 1
        for unit in (None, (0, 0), (shape[0] // 2, shape[1] // 3), (shape[0] - 1, shape[1] - 1)):
            found = padviz.usage(network, size=size, layer=head, unit=unit).counts > 0
            expected = ran.reads(last, unit, shape)
            if not np.array_equal(found, expected):
                if network.gates and not (found & ~expected).any():
                    return (
                        "not judged",
                        f"what goes through {len(network.gates)} global vectors is left out",
                    )
                more, less = int((found & ~expected).sum()), int((expected & ~found).sum())
                return (
                    "wrong",
                    f"{head} {unit} at {size}: {more} px more and {less} px less than its gradient",
                )
    return ("support", "") if judged == len(heads) else ("not judged", f"{judged} of {len(heads)}")


SAME = {
    "abs", "batch_norm", "byte", "celu", "clamp", "clamp_max", "clamp_min", "dropout", "dropout1d", "dropout2d", "elu",
    "feature_dropout", "gelu", "group_norm", "hardsigmoid", "hardswish", "hardtanh", "instance_norm", "leaky_relu",
    "local_response_norm", "mish", "prelu", "relu", "relu6", "round", "rrelu", "selu", "silu", "softplus", "threshold",
}  # fmt: skip  # of which a path goes through every position by itself
# PyTorch 2.13 mixes up positions in the gradient of a batch norm whose output is flattened and transposed.
MASKED = -50  # what is added to hide a position from attention lies below
POOLS = {"mean", "sum", "amax", "max", "logsumexp"}


@dataclass(frozen=True, slots=True)
class LastMap:
    """A map (batch, ...) and the dimensions of its rows and columns, or of its tokens."""

    values: Tensor
    dims: tuple[int, ...]


class Reading(TorchFunctionMode):
    """Within, gradients show which pixels a unit of a module's last map reads.

    The module runs as it is, in float64 with random positive weights, but for what would hide a path or add one that
    padviz leaves out by name: a max pool averages, an activation gives back what it got, a normalisation over positions
    and a global vector pass nothing on. `pooled` are the maps that were pooled over all positions, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pooled: list[LastMap] = []
        self.path: list[str] = []  # of modules that run
        self.contracted: dict[
            str, LastMap
        ] = {}  # by module, the factors of a product that was summed over positions
        self.grids: set[int] = set()  # how many positions convolutions made
        self.counts: set[int] = set()  # and how many there may be in other tensors

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = (
            func.__self__.__name__ if getattr(func, "__name__", "") == "__get__" else func.__name__
        ).strip("_")
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if (
            first is not None
            and name == "float"
            and first.ndim == 3
            and not first.is_floating_point()
        ):
            return first.double()  # a grid of places, as optical flow has
        if first is None or not first.requires_grad:
            return func(*args, **kwargs)
        if first.ndim == 4:
            self.counts |= {math.prod(first.shape[d] for d in dims) for dims in _places(first)}
        if name in SAME:
            return first
        if handler := getattr(self, f"on_{name}", None):
            return handler(*args, **kwargs)
        if name in POOLS:
            return self._reduce(func, first, args, kwargs)
        if name in ("flatten", "reshape", "view"):
            return self._flatten(func, first, args, kwargs)
        return func(*args, **kwargs)

    def _reduce(self, func: Any, x: Tensor, args: Any, kwargs: Any) -> Any:
        """A sum over all positions; a vector that is made of it is a gate's, which passes nothing on."""
        dim = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
        out = func(*args, **kwargs)
        dims = {d % x.ndim for d in ([dim] if isinstance(dim, int) else dim or [])}
        places = next((p for p in _places(x) if set(p) <= dims), None)
        if places is None:
            return out
        self.pooled.append(LastMap(x, places))
        return tuple(each.detach() for each in out) if isinstance(out, tuple) else out.detach()

    def _flatten(self, func: Any, x: Tensor, args: Any, kwargs: Any) -> Any:
        out = func(*args, **kwargs)
        if x.ndim == 4 and out.ndim == 2 and x.shape[-2:] != (1, 1) and out.shape[0] == x.shape[0]:
            self.pooled.append(LastMap(x, (2, 3)))
        return out

    def on_adaptive_avg_pool2d(
        self, x: Tensor, output_size: Any, *rest: Any, **options: Any
    ) -> Tensor:
        out = functional.adaptive_avg_pool2d(x, output_size)
        if tuple(out.shape[-2:]) != (1, 1):
            return out
        self.pooled.append(LastMap(x, (x.ndim - 2, x.ndim - 1)))
        return out.detach()

    on_adaptive_max_pool2d = on_adaptive_avg_pool2d

    def on_adaptive_avg_pool1d(self, x: Tensor, output_size: Any) -> Tensor:
        """A mean over all positions, where they are one dimension."""
        out = functional.adaptive_avg_pool1d(x, output_size)
        if out.shape[-1] != 1:
            return out
        self.pooled.append(LastMap(x.mT, (1,)))
        return out.detach()

    def on_index_select(self, x: Tensor, dim: int, index: Tensor) -> Tensor:
        """Channels that training picks: any of them."""
        if dim % x.ndim != 1:
            return torch.index_select(x, dim, index)
        return x.mean(1, keepdim=True).expand(-1, len(index), *x.shape[2:])

    def on_conv2d(self, *args: Any, **options: Any) -> Tensor:
        out = functional.conv2d(*args, **options)
        self.grids.add(math.prod(out.shape[-2:]))
        return out

    def on_matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """A product of two maps, which is a vector where it is summed over all positions and has none left."""
        out, tokens = a @ b, {n + more for n in self.grids - {1} for more in (0, 1)}
        if not (
            isinstance(b, Tensor)
            and b.requires_grad
            and min(a.ndim, b.ndim) > 2
            and a.shape[-1] in tokens
        ):
            return out
        if {*out.shape[-2:]} & (tokens | self.counts):
            return out
        factors = [each.flatten(0, -3) for each in (a.mT, b)]
        if self.path and len(factors[0]) == len(factors[1]):
            self.contracted[self.path[-1]] = LastMap(torch.cat(factors, 2), (1,))
        return out.detach()

    def on_sigmoid(self, x: Tensor) -> Tensor:
        """What is bounded stays so, where a recurrence multiplies it again and again."""
        return x / (1 + x.detach().abs().max())

    on_tanh = on_sigmoid

    def on_detach(self, x: Tensor) -> Tensor:
        """What is left out of the gradient is read; half of it, so that what is added with and without it stays."""
        return (x + x.detach()) / 2

    def on_numpy(self, x: Tensor) -> Any:
        return x.detach().numpy()

    def on_softmax(self, x: Tensor, dim: int = -1, *rest: Any, **options: Any) -> Tensor:
        """Attention that is nearly even, so that no weight falls to zero but those that a mask hides."""
        hidden = x.detach() < MASKED
        scale = 1 + x.detach().masked_fill(hidden, 0).abs().max()
        return functional.softmax((x / scale).masked_fill(hidden, -torch.inf), dim)

    def on_scaled_dot_product_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        *rest: Any,
        **options: Any,
    ) -> Tensor:
        scores = self.on_matmul(query, key.mT)
        if attn_mask is not None:
            scores = scores.masked_fill(
                ~attn_mask if attn_mask.dtype == torch.bool else attn_mask < MASKED, -torch.inf
            )
        return self.on_softmax(scores) @ value

    def on_max_pool2d(
        self, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        if return_indices or dilation not in (1, (1, 1), [1, 1]):
            raise NotImplementedError("max pools that are dilated or give places")
        return functional.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, True, 1)


def _places(x: Tensor) -> list[tuple[int, ...]]:
    """The dimensions that may be positions, most likely first."""
    return {4: [(2, 3), (1, 2)], 3: [(1,)]}.get(x.ndim, [])


def _positive(module: nn.Module, seed: int) -> None:
    """Give a module weights that hide no path, and no noise that draws a path where there is none."""
    random = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        if parameter.is_floating_point():
            fan = max(1, parameter[0].numel()) if parameter.ndim > 1 else 1
            parameter.copy_(
                (torch.rand(parameter.shape, generator=random, dtype=torch.float64) + 0.5) / fan
            )
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.fill_(float(name.endswith("var")))


@dataclass(slots=True)
class Run:
    """One forward run: the image (1, channels, height, width), and the maps that could be the last."""

    image: Tensor
    last: list[LastMap]
    # by module name, what each of its calls gave
    outputs: dict[str, list[Any]] = field(default_factory=dict)
    contracted: dict[str, LastMap] = field(default_factory=dict)

    def map_of(self, name: str, shape: Size) -> LastMap | None:
        """The map of a layer: what its module gave, or the last one that was pooled or returned in that shape."""
        module, call = self._call_of(name)
        if module in self.contracted and (one := _reshaped(self.contracted[module], shape)):
            return one
        for given in tensors_in(call)[::-1]:
            if one := _shaped(given, shape):
                return one
        return next((one for each in reversed(self.last) if (one := _reshaped(each, shape))), None)

    def _call_of(self, name: str) -> tuple[str, Any]:
        """Find the module of a layer, which may follow it in the module, and what that call of it gave."""
        module = name if name in self.outputs else re.sub(r"_\d+$", "", name)
        calls = self.outputs.get(module, [None])
        number = 1 if name == module else int(name.rpartition("_")[2])
        return module, calls[min(number, len(calls)) - 1]

    def reads(self, last: LastMap, unit: Size | None, shape: Size) -> NDArray[np.bool_]:
        """Which pixels a unit of a map reads, or all its units (height, width)."""
        values = _positions_last(last, shape)
        weights = (
            torch.rand(
                values.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7)
            )
            + 0.5
        )
        kept = (values * weights)[..., unit[0], unit[1]] if unit else values * weights
        (gradient,) = torch.autograd.grad(
            kept.sum(), self.image, retain_graph=True, allow_unused=True
        )
        assert gradient is not None, "no gradient reaches the image"
        reads: NDArray[np.bool_] = (gradient[0] != 0).any(0).numpy()
        return reads


def _positions_last(last: LastMap, shape: Size) -> Tensor:
    values = last.values
    if len(last.dims) == 1:
        values = values.transpose(1, 2)[..., -shape[0] * shape[1] :]
        return values.unflatten(-1, shape)
    return values.movedim(last.dims, (-2, -1))


def _shaped(values: Tensor, shape: Size) -> LastMap | None:
    if not values.requires_grad:
        return None
    return next(
        (one for dims in _places(values) if (one := _reshaped(LastMap(values, dims), shape))), None
    )


def _reshaped(last: LastMap, shape: Size) -> LastMap | None:
    """The map itself, where its positions are as many as those of a shape."""
    sizes = tuple(last.values.shape[d] for d in last.dims)
    tokens = shape[0] * shape[1]
    return (
        last if sizes == shape or (len(sizes) == 1 and tokens <= sizes[0] <= tokens + 8) else None
    )


def _enter(path: list[str], name: str, *args: Any) -> None:
    path.append(name)


def run(module: nn.Module, size: Size, channels: int = 3, seed: int = 0) -> Run:
    """Run a module once on a random image; its weights are overwritten."""
    module = module.eval().double()
    with torch.no_grad():
        _positive(module, seed)
    outputs: dict[str, list[Any]] = {}
    reading = Reading()

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        outputs.setdefault(reading.path.pop(), []).append(output)

    hooks = []
    for name, each in module.named_modules():
        hooks += [
            each.register_forward_pre_hook(partial(_enter, reading.path, name)),
            each.register_forward_hook(keep),
        ]
    random = torch.Generator().manual_seed(seed)
    image = torch.rand((1, channels, *size), dtype=torch.float64, generator=random).requires_grad_()
    try:
        with reading:
            out = module(image)
    finally:
        for hook in hooks:
            hook.remove()
    returned = [
        LastMap(each, (2, 3)) for each in tensors_in(out) if each.ndim == 4 and each.requires_grad
    ]
    return Run(image, [*reading.pooled, *returned], outputs, reading.contracted)
