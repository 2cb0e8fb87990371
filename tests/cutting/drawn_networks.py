"""Random networks of images, with all that PyTorch has for maps. Layers that do not fit are drawn again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves

from padviz.errors import PadvizError
from padviz.nn import PaddedConv2d, SymmetricPad2d

TOLERANCE = 1e-10  # of the largest value, in float64
CHANNELS = 3  # of the image
MOST_ROWS, MOST_CHANNELS, MOST_TOKENS = 64, 24, 1200
TRIES = 40
SCHEMES = ("symmetric", "zero/circular", "circular", "reflect/zero", "replicate", "partial", "zero")
WINDOWS = (nn.modules.conv._ConvNd, nn.MaxPool2d, nn.AvgPool2d, nn.MaxPool1d, nn.AvgPool1d)
T = TypeVar("T")
Layer = Callable[["Draw", Tensor], nn.Module]
Kinds = dict[str, tuple[int, Layer]]  # by name, how often each is drawn, and what makes it


class Draw:
    """What is random of a network, the same for a seed on every machine."""

    def __init__(self, seed: int) -> None:
        self.numbers = np.random.default_rng(seed)

    def of(self, values: Sequence[T]) -> T:
        return values[int(self.numbers.integers(len(values)))]

    def between(self, least: int, most: int) -> int:
        return int(self.numbers.integers(least, max(least, most) + 1))

    def chance(self, share: float) -> bool:
        return bool(self.numbers.random() < share)

    def noise(self, *shape: int) -> Tensor:
        return torch.from_numpy(self.numbers.standard_normal(shape))

    def fill(self, module: nn.Module) -> nn.Module:
        """Give a module weights that keep the size of values."""
        for name, weight in module.named_parameters():
            fan_in = weight[0].numel() if weight.ndim > 1 else 1
            values = self.noise(*weight.shape) / sqrt(fan_in)
            if weight.ndim == 1:
                values = 0.3 * values + (0.0 if name.endswith("bias") else 1.0)
            weight.data = values
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.data = 0.3 * self.noise(*buffer.shape)
            if name.endswith("running_var"):
                buffer.data = 1 + 0.3 * self.noise(*buffer.shape).abs()
        return module.double().requires_grad_(False).eval()


class Call(nn.Module):
    """A module of one function, with a name for what is printed."""

    def __init__(self, name: str, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.name, self.function = name, function

    def extra_repr(self) -> str:
        return self.name

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def _either(draw: Draw, values: dict[str, Callable[[Tensor], Any]]) -> nn.Module:
    name = draw.of([*values])
    return Call(name, values[name])


# Windows


def _steps(draw: Draw, x: Tensor, pools: bool = False) -> list[tuple[int, int, int, int]]:
    """Return kernel, stride, dilation and padding of each axis; half the time the same of both."""
    axes = []
    for n in x.shape[2:]:
        kernel = draw.of([2, 2, 3, 3, 4]) if pools else draw.of([1, 2, 3, 3, 3, 4, 5])
        near = max(1, (n - draw.between(0, 3)) // max(1, kernel - 1))  # about as long as the map
        dilation = draw.of([1, 1, 1, 1, 2, 3, near])
        stride = draw.of([1, 1, 1, 2, 2, 3, 4])
        extent = dilation * (kernel - 1) + 1
        pads = [0, (extent - 1) // 2, extent // 2, draw.between(0, 3), extent + draw.between(0, 2)]
        if pools:
            pads = [0, draw.between(0, kernel // 2)]
        axes.append((kernel, stride, dilation, draw.of(pads)))
    if draw.chance(0.5):
        axes[1] = axes[0]
    return axes


def _convolution(draw: Draw, x: Tensor) -> nn.Module:
    kernel, stride, dilation, padding = map(tuple, zip(*_steps(draw, x), strict=True))
    channels, out = x.shape[1], draw.of([2, 4, 4, 6])
    options: dict[str, Any] = {"dilation": dilation, "groups": 1, "bias": draw.chance(0.7)}
    if draw.chance(0.2):
        options["groups"] = out = channels  # depthwise
    if draw.chance(0.15):
        stride, padding = 1, "same"
    layer = nn.Conv2d
    if draw.chance(0.3) and padding != "same":
        layer = partial(PaddedConv2d, scheme=draw.of(SCHEMES))
    else:
        options["padding_mode"] = draw.of(["zeros"] * 4 + ["reflect", "replicate", "circular"])
    return layer(channels, out, kernel, stride, padding, **options)


def _transposed(draw: Draw, x: Tensor) -> nn.Module:
    kernel, stride, dilation, padding = zip(*_steps(draw, x), strict=True)
    more = [draw.between(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
    out = draw.of([2, 4])
    return nn.ConvTranspose2d(x.shape[1], out, kernel, stride, padding, more, dilation=dilation)


def _pads(draw: Draw, x: Tensor) -> nn.Module:
    amounts = tuple(draw.of([0, 1, 2, 3, 5]) for _ in range(4))
    pad = draw.of(
        [
            nn.ZeroPad2d,
            nn.ReflectionPad2d,
            nn.ReplicationPad2d,
            nn.CircularPad2d,
            SymmetricPad2d,
            partial(nn.ConstantPad2d, value=0.7),
        ]
    )
    if draw.chance(0.3):  # negative amounts crop
        amounts = tuple(draw.between(-2, 4) for _ in range(4))
        return Call(f"pad {amounts}", lambda x: functional.pad(x, amounts))
    return pad(amounts)


def _max_pool(draw: Draw, x: Tensor) -> nn.Module:
    kernel, stride, dilation, padding = zip(*_steps(draw, x, pools=True), strict=True)
    return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=draw.chance(0.5))


def _mean_pool(draw: Draw, x: Tensor) -> nn.Module:
    kernel, stride, _, padding = zip(*_steps(draw, x, pools=True), strict=True)
    divisor = draw.of([None, None, None, 3])
    return nn.AvgPool2d(kernel, stride, padding, draw.chance(0.5), draw.chance(0.5), divisor)


def _adaptive_pool(draw: Draw, x: Tensor) -> nn.Module:
    to = draw.between(1, 7), draw.between(1, 7)
    return draw.of([nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])(to)


def _resize(draw: Draw, x: Tensor) -> nn.Module:
    mode, corners = draw.of(
        [
            ("nearest", None),
            ("nearest-exact", None),
            ("bilinear", False),
            ("bilinear", True),
            ("bicubic", False),
            ("bicubic", True),
        ]
    )
    if draw.chance(0.4):
        size = tuple(max(2, n + draw.between(-6, 12)) for n in x.shape[2:])
        return nn.Upsample(size=size, mode=mode, align_corners=corners)
    scale = draw.of([2.0, 2.0, 2, 3.0, 1.5, 0.5, 0.7, (2.0, 1.0), (1.5, 2.0)])
    again = draw.of([None, None, True])
    return nn.Upsample(
        scale_factor=scale, mode=mode, align_corners=corners, recompute_scale_factor=again
    )


def _shuffle(draw: Draw, x: Tensor) -> nn.Module:
    return draw.of([nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.PixelUnshuffle(3)])


def _crop(draw: Draw, x: Tensor) -> nn.Module:
    top, bottom, left, right = (draw.between(0, 4) for _ in range(4))
    down, along = draw.of([(1, 1), (1, 1), (2, 1), (1, 3), (2, 2)])

    def crop(x: Tensor) -> Tensor:
        return x[..., top : x.shape[-2] - bottom : down, left : x.shape[-1] - right : along]

    return Call(f"crop {top}, {bottom}, {left}, {right} by {down}, {along}", crop)


def _pointwise(draw: Draw, x: Tensor) -> nn.Module:
    channels = x.shape[1]
    order = [int(i) for i in draw.numbers.permutation(channels)]
    return draw.of(
        [
            nn.GELU(),
            nn.SiLU(),
            nn.LeakyReLU(0.2),
            nn.PReLU(channels),
            nn.BatchNorm2d(channels),
            nn.Dropout(0.5),
            nn.Softmax(1),
            nn.Hardswish(inplace=True),
            Call("channels in another order", lambda x: x[:, order]),
            Call("gated channels", lambda x: functional.glu(torch.cat([x, x.flip(1)], 1), 1)),
            Call("beside its channels' mean", lambda x: torch.cat([x, x.mean(1, True)], 1)),
        ]
    )


# What pools over positions

POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "adaptive average": lambda x: functional.adaptive_avg_pool2d(x, 1)[..., 0, 0],
    "adaptive maximum": lambda x: functional.adaptive_max_pool2d(x, 1).flatten(1),
    "mean": lambda x: x.mean((2, 3)),
    "mean of each axis": lambda x: x.mean(-1).mean(-1),
    "flat mean": lambda x: x.flatten(2).mean(-1),
    "mean of a view": lambda x: x.view(x.shape[0], x.shape[1], -1).mean(2),
    "mean of channels last": lambda x: x.permute(0, 2, 3, 1).mean((1, 2)),
    "mean of tokens": lambda x: x.flatten(2).transpose(1, 2).mean(1),
    "window of the map": lambda x: functional.avg_pool2d(x, x.shape[2:]).squeeze(-1).squeeze(-1),
    "sum": lambda x: x.sum((2, 3)) / (x.shape[2] * x.shape[3]),
    "amax": lambda x: x.amax((2, 3)),
    "amin": lambda x: x.flatten(2).amin(-1),
    "max of the flat map": lambda x: x.flatten(2).max(-1)[0],
    "logsumexp": lambda x: x.logsumexp((2, 3)),
    "flat logsumexp": lambda x: x.flatten(2).logsumexp(-1),
    "deviation": lambda x: x.std((2, 3)),
    "length": lambda x: x.norm(dim=(2, 3)) / sqrt(x.shape[2] * x.shape[3]),
    "powers": lambda x: (x.abs() + 0.1).pow(3).mean((-2, -1)).pow(1 / 3),
    "softmax weights": lambda x: (x * x.flatten(2).softmax(-1).reshape(x.shape)).sum((2, 3)),
    "context": lambda x: (x.flatten(2) @ x[:, :1].flatten(2).softmax(-1).transpose(1, 2)).squeeze(
        -1
    ),
}


class Gate(nn.Module):
    """Scale channels by what a pool makes of the map."""

    def __init__(self, channels: int, pool: str) -> None:
        super().__init__()
        self.pool, self.inner, self.outer = pool, nn.Linear(channels, 2), nn.Linear(2, channels)

    def extra_repr(self) -> str:
        return f"pool={self.pool!r}"

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.outer(functional.silu(self.inner(POOLS[self.pool](x))))
        return x * pooled.sigmoid()[:, :, None, None]


class Squeeze(nn.Module):
    """A gate of convolutions, as mobile networks have them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.inner = nn.Sequential(
            nn.Conv2d(channels, 2, 1), nn.ReLU(), nn.Conv2d(2, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.inner(self.pool(x))


def _gate(draw: Draw, x: Tensor) -> nn.Module:
    if draw.chance(0.25):
        return Squeeze(x.shape[1])
    return Gate(x.shape[1], draw.of([*POOLS]))


def _standardised(x: Tensor) -> Tensor:
    return (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True) + 0.1)


def _norm(draw: Draw, x: Tensor) -> nn.Module:
    channels = x.shape[1]
    groups = draw.of([n for n in (1, 2, 3, channels) if channels % n == 0])
    norms: list[Callable[[], nn.Module]] = [
        lambda: nn.GroupNorm(groups, channels),
        lambda: nn.GroupNorm(groups, channels, affine=False),
        lambda: nn.InstanceNorm2d(channels, affine=draw.chance(0.5)),
        lambda: nn.BatchNorm2d(channels, track_running_stats=False),
        lambda: nn.LayerNorm([*x.shape[1:]]),
        lambda: nn.LayerNorm([*x.shape[2:]]),
        lambda: ChannelsLast(nn.LayerNorm(channels)),
        lambda: Call("standardised", _standardised),
    ]
    return draw.of(norms)()


class ChannelsLast(nn.Module):
    """A module of tokens of channels on a map."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


SOFTMAXES: dict[str, Callable[[Tensor], Any]] = {
    "flat softmax": lambda x: x.flatten(2).softmax(-1).reshape(x.shape) * (x.shape[2] * x.shape[3]),
    "softmax of rows": lambda x: x.softmax(-1) * x.shape[-1],
    "softmax of columns": lambda x: functional.softmax(x, 2) * x.shape[2],
    "log-softmax": lambda x: functional.log_softmax(x.flatten(2), -1).view(x.shape),
}
SORTS: dict[str, Callable[[Tensor], Any]] = {
    "flat sort": lambda x: x.flatten(2).sort(-1)[0].reshape(x.shape),
    "sort of columns": lambda x: x.sort(2)[0],
    "sort of rows": lambda x: torch.sort(x, -1, descending=True)[0],
}
SCANS: dict[str, Callable[[Tensor], Any]] = {
    "cumsum of columns": lambda x: x.cumsum(2) / x.shape[2],
    "cumsum of rows": lambda x: torch.cumsum(x, -1) / x.shape[-1],
    "flat cumsum": lambda x: x.flatten(2).cumsum(-1).reshape(x.shape) / (x.shape[2] * x.shape[3]),
}


# Attention


class Attention(nn.Module):
    """Attention over positions, added to the map; `kind` says how it is written."""

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.norm = nn.GroupNorm(1, channels)
        self.query, self.key, self.value, self.last = (
            nn.Conv2d(channels, channels, 1) for _ in range(4)
        )
        if kind == "module":
            self.module = nn.MultiheadAttention(channels, 1, batch_first=True)
        if kind == "tokens first":
            self.module = nn.MultiheadAttention(channels, channels // 2 or 1)
        if kind == "reduced":
            self.reduce = nn.Conv2d(channels, channels, 2, 2)

    def extra_repr(self) -> str:
        return self.kind

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if height * width > MOST_TOKENS:
            raise ValueError("too many positions")
        normed = self.norm(x)
        reads = normed
        if self.kind == "reduced":
            reads = self.reduce(normed)
        query = self.query(normed).flatten(2).transpose(1, 2)
        key, value = (layer(reads).flatten(2).transpose(1, 2) for layer in (self.key, self.value))
        attended = self.attend(query, key, value)
        return x + self.last(attended.transpose(1, 2).reshape(x.shape))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if self.kind in ("fused", "reduced"):
            return functional.scaled_dot_product_attention(query, key, value)
        if self.kind == "heads":
            heads = [
                each.reshape(*each.shape[:2], 1, -1).transpose(1, 2) for each in (query, key, value)
            ]
            made = functional.scaled_dot_product_attention(*heads)
            return made.transpose(1, 2).flatten(2)
        if self.kind == "module":
            return self.module(query, key, value, need_weights=False)[0]
        if self.kind == "tokens first":
            tokens = [each.transpose(0, 1) for each in (query, key, value)]
            return self.module(*tokens)[0].transpose(0, 1)
        if self.kind == "linear":
            return query.softmax(-1) @ (key.softmax(1).transpose(1, 2) @ value)
        if self.kind == "batched":
            scores = torch.bmm(query, key.transpose(1, 2)) * query.shape[-1] ** -0.5
            return torch.bmm(scores.softmax(-1), value)
        scores = query @ key.transpose(-2, -1) / sqrt(query.shape[-1])
        return scores.softmax(-1) @ value


class Axial(nn.Module):
    """Attention along rows or columns."""

    def __init__(self, channels: int, rows: bool) -> None:
        super().__init__()
        self.rows, self.value = rows, nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1) if self.rows else x.permute(0, 3, 2, 1)
        made = functional.scaled_dot_product_attention(tokens, tokens, self.value(tokens))
        return made.permute(0, 3, 1, 2) if self.rows else made.permute(0, 3, 2, 1)


ATTENTIONS = (
    "written out",
    "batched",
    "fused",
    "heads",
    "module",
    "tokens first",
    "reduced",
    "linear",
)


def _attention(draw: Draw, x: Tensor) -> nn.Module:
    if draw.chance(0.15):
        return Axial(x.shape[1], draw.chance(0.5))
    return Attention(x.shape[1], draw.of(ATTENTIONS))


class Mixer(nn.Module):
    """A linear layer over positions."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.mix = nn.Linear(tokens, tokens)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(x.flatten(2)).reshape(x.shape)


def _mixer(draw: Draw, x: Tensor) -> nn.Module:
    return Mixer(x.shape[2] * x.shape[3])


# Branches


class Skip(nn.Module):
    """Layers beside what they read; `how` the two are made equal in size, and joined."""

    def __init__(self, inner: nn.Module, how: str, join: str) -> None:
        super().__init__()
        self.inner, self.how, self.join = inner, how, join

    def extra_repr(self) -> str:
        return f"{self.how}, {self.join}"

    def forward(self, x: Tensor) -> Tensor:
        made = self.inner(x)
        if self.how == "resized":
            made = functional.interpolate(made, x.shape[2:], mode="nearest")
        elif self.how == "resized with corners":
            made = functional.interpolate(
                made, size=x.shape[-2:], mode="bilinear", align_corners=True
            )
        elif self.how == "padded":
            down, along = x.shape[2] - made.shape[2], x.shape[3] - made.shape[3]
            halves = (along // 2, along - along // 2, down // 2, down - down // 2)
            made = functional.pad(made, halves)
        else:
            height, width = (min(sides) for sides in zip(x.shape[2:], made.shape[2:], strict=True))
            x, made = x[:, :, :height, :width], made[:, :, :height, :width]
        if self.join == "concatenated":
            return torch.cat([x, made], 1)
        if self.join == "multiplied":
            return x * made.sigmoid()
        return x + made


def _skip(draw: Draw, x: Tensor) -> nn.Module:
    inner = nn.Sequential()
    size = x
    for _ in range(draw.between(1, 2)):
        _, layer, size = fitting(draw, size, KINDS)
        inner.append(layer)
    channels = x.shape[1]
    join = draw.of(["added", "concatenated", "multiplied"])
    if join != "concatenated" and size.shape[1] not in (1, channels):
        inner.append(draw.fill(nn.Conv2d(size.shape[1], channels, 1)))
    return Skip(inner, draw.of(["resized", "resized with corners", "padded", "cropped"]), join)


# Ends


class Head(nn.Module):
    """A vector of the map, and a linear layer behind."""

    def __init__(self, x: Tensor, pool: str) -> None:
        super().__init__()
        self.pool = pool
        self.last = nn.Linear(x[0].numel() if pool == "flat" else x.shape[1], 5)

    def extra_repr(self) -> str:
        return f"pool={self.pool!r}"

    def forward(self, x: Tensor) -> Tensor:
        if self.pool == "flat":
            return self.last(torch.flatten(x, 1))
        return self.last(POOLS[self.pool](x))


def _head(draw: Draw, x: Tensor) -> nn.Module:
    return Head(x, draw.of(["flat", "flat", "flat", *POOLS]))


OUTPUTS: dict[str, Callable[[Tensor], Any]] = {
    "map and mean": lambda x: (x, x.mean((2, 3))),
    "by name": lambda x: {"map": x * 2, "rows": x.amax(-1)},
    "tokens": lambda x: x.flatten(2).transpose(1, 2),
    "first position": lambda x: x[:, :, 0, 0],
    "coordinates": lambda x: torch.stack(
        [
            (x.flatten(2).softmax(-1).view(x.shape).sum(2) * torch.arange(x.shape[3])).sum(-1),
            (x.flatten(2).softmax(-1).view(x.shape).sum(3) * torch.arange(x.shape[2])).sum(-1),
        ],
        -1,
    ),
}

KINDS: Kinds = {
    "conv": (16, _convolution),
    "transposed": (4, _transposed),
    "pads": (4, _pads),
    "max_pool": (3, _max_pool),
    "mean_pool": (3, _mean_pool),
    "adaptive": (1, _adaptive_pool),
    "resize": (6, _resize),
    "shuffle": (2, _shuffle),
    "crop": (3, _crop),
    "pointwise": (6, _pointwise),
    "norm": (5, _norm),
    "gate": (3, _gate),
    "softmax": (1, lambda draw, x: _either(draw, SOFTMAXES)),
    "attention": (3, _attention),
    "sort": (1, lambda draw, x: _either(draw, SORTS)),
    "scan": (1, lambda draw, x: _either(draw, SCANS)),
    "mixer": (1, _mixer),
    "skip": (6, _skip),
}
ENDS: Kinds = {
    "norm": (3, _norm),
    "head": (4, _head),
    "attention": (1, _attention),
    "softmax": (1, lambda draw, x: _either(draw, SOFTMAXES)),
    "sort": (1, lambda draw, x: _either(draw, SORTS)),
    "scan": (1, lambda draw, x: _either(draw, SCANS)),
    "crop": (1, _crop),
    "resize": (1, _resize),
    "outputs": (1, lambda draw, x: _either(draw, OUTPUTS)),
}


def fitting(draw: Draw, x: Tensor, kinds: Kinds) -> tuple[str, nn.Module, Any]:
    """Draw a layer that takes a map, and return its kind, the layer, and what it makes of the map."""
    names = [name for name, (weight, _) in kinds.items() for _ in range(weight)]
    for _ in range(TRIES):
        name = draw.of(names)
        try:
            layer = draw.fill(kinds[name][1](draw, x))
            made = layer(x)
        except (RuntimeError, ValueError, PadvizError):
            continue
        if not all(leaf.numel() and leaf.abs().max() > 1e-6 for leaf in tree_leaves(made)):
            continue
        if kinds is ENDS or _goes_on(made, x.ndim):
            return name, layer, made
    windows = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
    layer = draw.fill(windows[x.ndim](x.shape[1], 4, 1))
    return "conv", layer, layer(x)


def _goes_on(made: Tensor, ndim: int) -> bool:
    """Return whether a map is small enough for further layers, and a signal long enough."""
    if made.ndim != ndim or made.shape[1] > MOST_CHANNELS:
        return False
    if ndim == 3:
        return made.shape[2] > 3
    return max(made.shape[2:]) <= MOST_ROWS


class Drawn(NamedTuple):
    """A network, an input, and what the network makes of it."""

    seed: int
    draw: Draw
    model: nn.Module
    x: Tensor
    whole: Any


def accepted(model: nn.Module, x: Tensor, whole: Any, draw: Draw) -> bool:
    """Return whether a network has a window, and rounding stays rounding: norms of an even map return nothing else."""
    if not any(isinstance(layer, WINDOWS) for layer in model.modules()):
        return False
    moved = model(x * (1 + 1e-14 * draw.noise(*x.shape).sign()))
    return apart(whole, moved) < TOLERANCE / 10


def apart(one: Any, other: Any) -> float:
    """Return the largest difference over the largest value of each output, infinite where shapes differ."""
    differences = []
    outputs, others = tree_leaves(one), tree_leaves(other)
    if len(outputs) != len(others):
        return float("inf")
    for a, b in zip(outputs, others, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return float("inf")
        difference = float((a - b).abs().max() / a.abs().max())
        differences.append(float("inf") if np.isnan(difference) else difference)
    return max(differences)


@torch.no_grad()
def drawn_network(seed: int) -> Drawn:
    """Draw a network of 3 to 9 layers and an image that it takes."""
    draw = Draw(seed)
    while True:
        model = nn.Sequential()
        image = draw.noise(1, CHANNELS, draw.between(14, 44), draw.between(14, 44))
        # brighter on one side, so that statistics of tiles differ
        x = map_ = image * torch.linspace(0.5, 2, image.shape[3]) + torch.linspace(
            -1, 2, image.shape[2]
        ).reshape(-1, 1)
        layers = draw.between(3, 9)
        for k in range(layers):
            kinds = KINDS
            if k == layers - 1 and draw.chance(0.6):
                kinds = ENDS
            name, layer, map_ = fitting(draw, map_, kinds)
            model.add_module(f"{name}_{k}", layer)
        if accepted(model.eval(), x, whole := model(x), draw):
            return Drawn(seed, draw, model, x, whole)
