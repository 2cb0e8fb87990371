"""Random modules that pad, crop and resize by rules of their own, asked at their own size and at others."""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.network.network import Network, Size
from padviz.sources.torch.load import load_module
from tests.torch_oracle import counted, sum_pool

ASKED = 5
Step = Callable[[Tensor], Tensor]
Rows = Callable[[Any], Any]
FRONTS: dict[str, Rows] = {
    "down": lambda d: d // 2,
    "up": lambda d: -(-d // 2),
    "zero": lambda d: 0 * d,
    "all": lambda d: d,
    "third": lambda d: d // 3,
    "int": lambda d: int(d / 2),
    "floor": lambda d: math.floor(d / 2),
    "ceil": lambda d: math.ceil(d / 2),
    "round": lambda d: round(d / 2),
    "clamped": lambda d: max(min(d // 2, 3), -2),
}
OUTPUTS: tuple[Callable[[Any, int], Any], ...] = (
    lambda n, s: -(-n // s),
    lambda n, s: math.ceil(n / s),
    lambda n, s: (n + s - 1) // s,
    lambda n, s: n // s + (n % s != 0),
)
BOTH = (True, True)


def sides(x: Tensor, more: Rows, front: Rows, axes: tuple[bool, bool] = BOTH) -> list[Any]:
    """The pads that make a map so many rows and columns larger, as `functional.pad` takes them."""
    pads: list[Any] = []
    for n, wanted in zip(x.shape[:1:-1], axes[::-1], strict=True):
        d = more(n) if wanted else 0
        pads += [front(d), d - front(d)]
    return pads


class Resized(nn.Module):
    """A module of random steps, each of which sees the map that it changes."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.layers, self.steps, self.told = nn.ModuleList(), list[Step](), list[str]()
        for _ in range(rng.randint(1, 5)):
            kind = rng.choice(KINDS)
            self.told.append(kind.__name__)
            self.steps.append(kind(self, rng))
        self.steps.append(conv(self, rng))

    def layer(self, made: nn.Module) -> nn.Module:
        self.layers.append(made)
        return made

    def conv(self, *options: Any, read: int = 1) -> nn.Module:
        return self.layer(nn.Conv2d(read, 1, *options, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


class Pool(nn.MaxPool2d):
    """A pool that adds its taps where gradients are taken, since paths run through all of them."""

    def forward(self, x: Tensor) -> Tensor:
        if not x.requires_grad:
            return super().forward(x)
        return sum_pool(x, self.kernel_size, self.stride, self.padding, self.ceil_mode)


def nearest(x: Tensor, size: Size) -> Tensor:
    """Resize; by exact numbers where gradients are taken, since PyTorch's of 32 bits miss a row now and then."""
    if not x.requires_grad:
        return functional.interpolate(x, size=size)
    rows, cols = (torch.arange(m) * n // m for n, m in zip(x.shape[2:], size, strict=True))
    return x[:, :, rows][..., cols]


def conv(net: Resized, rng: Random) -> Step:
    k, s = rng.randint(1, 5), rng.choice((1, 1, 2, 3, 4))
    return net.conv(k, s, rng.randint(0, k // 2), rng.choice((1, 1, 2)))


def transposed(net: Resized, rng: Random) -> Step:
    k, s = rng.randint(1, 4), rng.randint(1, 4)
    return net.layer(nn.ConvTranspose2d(1, 1, k, s, rng.randint(0, (k - 1) // 2), bias=False))


def pool(net: Resized, rng: Random) -> Step:
    k, s = rng.randint(2, 3), rng.randint(1, 3)
    return net.layer(Pool(k, s, k // 2, ceil_mode=rng.random() < 0.3))


def same(net: Resized, rng: Random) -> Step:
    """A strided convolution that is padded as SAME, by hand."""
    k, s, d = rng.randint(1, 5), rng.randint(1, 4), rng.choice((1, 1, 2))
    made, out = net.conv(k, s, 0, d), rng.choice(OUTPUTS)
    front = FRONTS[rng.choice(("down", "down", "up", "int", "zero", "third"))]
    guarded, floor = rng.random() < 0.2, rng.random() < 0.8

    def more(n: Any) -> Any:
        total = (out(n, s) - 1) * s + (k - 1) * d + 1 - n
        return max(total, 0) if floor else total

    def run(x: Tensor) -> Tensor:
        pads = sides(x, more, front)
        return made(x if guarded and not any(pads) else functional.pad(x, pads))

    return run


def multiple(net: Resized, rng: Random) -> Step:
    """A pad to the next multiple of a number, in any mode."""
    m, front = rng.randint(2, 9), FRONTS[rng.choice([*FRONTS])]
    mode = rng.choice(("constant", "constant", "constant", "reflect", "replicate", "circular"))
    axes = rng.choice((BOTH, (True, False), (False, True)))
    after = net.conv(rng.randint(1, 3), rng.randint(1, m))
    joined = rng.random() < 0.6

    def run(x: Tensor) -> Tensor:
        x = functional.pad(x, sides(x, lambda n: -n % m, front, axes), mode=mode)
        return after(x) if joined else x

    return run


def cut(net: Resized, rng: Random) -> Step:
    """A crop to a multiple of a number, of a part of the rows, or to no more than so many."""
    m, most, front = rng.randint(2, 7), rng.randint(4, 60), rng.random() < 0.3
    ends: Rows = rng.choice(
        (lambda n: n // m * m, lambda n: min(n, most), lambda n: n - n // 4, lambda n: n - 1 if n % 2 else n, None)
    )

    def run(x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        if ends is None:
            return x[:, :, h % m :: 2, : w - w % m : 2]
        return x[:, :, h - ends(h) :, w - ends(w) :] if front else x[:, :, : ends(h), : ends(w)]

    return run


def least(net: Resized, rng: Random) -> Step:
    n, front = rng.randint(2, 60), FRONTS[rng.choice([*FRONTS])]
    return lambda x: functional.pad(x, sides(x, lambda rows: max(n - rows, 0), front))


def turn(net: Resized, rng: Random) -> Step:
    """One of two convolutions, or a pad or none, by the size."""
    n, m = rng.randint(3, 80), rng.randint(2, 3)
    a, b = (net.conv(3, 1, p) for p in (0, 1))
    return rng.choice(
        (
            lambda x: (a if x.shape[3] > n else b)(x),
            lambda x: (a if x.shape[2] % m == 1 else b)(x),
            lambda x: functional.pad(x, (0, 1, 0, 1)) if x.shape[2] % m else x,
        )
    )


def resized(net: Resized, rng: Random) -> Step:
    s = rng.randint(2, 3)
    size: Rows = rng.choice((lambda n: n * s, lambda n: max(n // s, 1), lambda n: max(n, 9), lambda n: 2 * n - 1))
    return lambda x: nearest(x, (size(x.shape[2]), size(x.shape[3])))


def skip(net: Resized, rng: Random) -> Step:
    """A branch that goes down and up again, and is made to fit what it left, or the other way round."""
    s = rng.randint(1, 4)
    down = net.conv(rng.randint(1, 4), s, rng.randint(0, 1))
    up = net.layer(nn.ConvTranspose2d(1, 1, s, s, bias=False))
    how, front = rng.choice(("pad", "pad", "slice", "centre", "resize")), FRONTS[rng.choice([*FRONTS])]
    swapped, cat = rng.random() < 0.5, rng.random() < 0.3
    last = net.conv(1, read=2 if cat else 1)

    def fitted(x: Tensor, like: Tensor) -> Tensor:
        h, w = like.shape[2:]
        if how == "pad":
            dh, dw = h - x.shape[2], w - x.shape[3]
            return functional.pad(x, (front(dw), dw - front(dw), front(dh), dh - front(dh)))
        if how == "resize":
            return nearest(x, (h, w))
        top, left = ((x.shape[2] - h) // 2, (x.shape[3] - w) // 2) if how == "centre" else (0, 0)
        return x[:, :, top : top + h, left : left + w]

    def run(x: Tensor) -> Tensor:
        y = up(down(x))
        small, like = (y, x) if swapped else (x, y)
        pair = fitted(small, like), like
        return last(torch.cat(pair, 1) if cat else pair[0] + pair[1])  # type: ignore[no-any-return]

    return run


KINDS = [conv] * 3 + [pool] * 2 + [same] * 5 + [skip] * 5 + [transposed, resized, cut, multiple, least, turn]


def sizes_of(rng: Random) -> list[Size]:
    """The size that a module is read at, and five others, below and above on each axis."""
    read = rng.randint(12, 100), rng.randint(12, 100)

    def near(n: int) -> int:
        return rng.choice((rng.randint(1, n), rng.randint(max(n - 9, 1), n + 9), rng.randint(n, 3 * n)))

    return [read, *((near(read[0]), near(read[1])) for _ in range(ASKED))]


def judged(rng: Random) -> list[str]:
    """What padviz counts of a random module at its own size and at five others, against its own gradients.

    Each is "right" or "refused": by the module itself, or by padviz in one line; or else says what is wrong.
    """
    module = Resized(rng).to(torch.float64).eval()
    sizes = sizes_of(rng)
    with torch.no_grad():
        for weights in module.parameters():
            weights.fill_(1)
    network: Network | None = None
    said = []
    for size in sizes:
        about, expected = f"{module.told}, read at {sizes[0]}", None
        with suppress(RuntimeError, ValueError):  # of a size that the module itself refuses
            expected = counted(module, size)
        try:
            network = load_module(module, size=size) if network is None else network.at(size)
            found = padviz.usage(network, size, layer=network.targets or None).counts
        except PadvizError as error:
            refused = expected is None or REFUSED.search(str(error))
            said.append("refused" if refused else f"{about}: {error} at {size}")
            continue
        right = expected is not None and np.array_equal(found, expected)
        said.append("right" if right else f"{about}, is wrong at {size}")
    return said


REFUSED = re.compile("joins rows of a map in an order|takes an empty|has 0 |would have 0")  # by name, though it runs
