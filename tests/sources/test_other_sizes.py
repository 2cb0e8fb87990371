"""A module or a file is read at the size that is asked for: what it does there counts, whatever it does elsewhere."""

import re
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.network.network import Network, Size
from padviz.sources.torch.load import load_module
from tests.sweeps import REST, SLOW
from tests.torch_calls import conv, counted, sum_pool


class Doing(nn.Module):
    """Something that depends on the size, and a convolution after it."""

    def __init__(self, what: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.what, self.conv = what, conv(stride=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.what(x))  # type: ignore[no-any-return]


def test_a_size_that_a_forward_refuses_is_refused_in_its_own_words() -> None:
    def even(x: Tensor) -> Tensor:
        if x.shape[-1] % 2:
            raise ValueError("the width must be even")
        return x

    network = padviz.load(Doing(even), size=(32, 32))
    with pytest.raises(
        PadvizError, match=r"forward fails on 1 x 32 x 31: ValueError: the width must be even"
    ):
        padviz.usage(network, (32, 31))
    assert padviz.usage(network, (31, 32)).max == 1


def test_sizes_are_read_before_they_are_listed() -> None:
    module = Doing(lambda x: functional.pad(x, (1, 1, 1, 1)) if x.shape[2] < 20 else x)
    found = padviz.sizes(padviz.load(module, 32), "12:30")
    assert found.height.balanced.sizes == tuple(
        n for n in range(12, 31) if padviz.uneven(module, n).balanced
    )


def test_a_network_is_read_once_at_each_size() -> None:
    seen = []

    def counting(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[2:]))
        return x

    network = padviz.load(Doing(counting), size=(32, 32))
    for _ in range(2):
        padviz.usage(network, 32)
        padviz.usage(network, (40, 32), "reflect")
        padviz.uneven(network, (40, 32))
    assert seen == [(32, 32), (40, 32)]


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        *((str(seed), 12) for seed in range(2)),
        pytest.param("many", 300, marks=SLOW),
        pytest.param("many", 3000, marks=REST),
    ],
)
def test_random_modules_are_right_at_every_size(name: str, modules: int) -> None:
    said = [line for number in range(modules) for line in judged(Random(f"{name}/{number}"))]
    assert {*said} <= {"right", "refused"}, [
        line for line in said if line not in ("right", "refused")
    ][:9]
    assert said.count("right") > max(20, said.count("refused"))


ASKED = 5
Step = Callable[[Tensor], Tensor]
# by name, though it runs
REFUSED = re.compile("joins rows of a map in an order|takes an empty|has 0 |would have 0")


class Resized(nn.Module):
    """A module of random steps, each of which sees the map that it changes."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.layers, kinds = nn.ModuleList(), [*rng.choices(KINDS, k=rng.randint(1, 5)), window]
        self.told = [kind.__name__ for kind in kinds]
        self.steps = [kind(self, rng) for kind in kinds]

    def layer(self, made: nn.Module) -> nn.Module:
        self.layers.append(made)
        return made

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
    """Resize by the rows of float32, which padviz counts, where the gradients are of float64."""
    if not x.requires_grad:
        return functional.interpolate(x, size=size)
    ramps = (torch.arange(n, dtype=torch.float32)[None, None] for n in x.shape[2:])
    rows, cols = (
        functional.interpolate(ramp, size=m)[0, 0].long()
        for ramp, m in zip(ramps, size, strict=True)
    )
    return x[:, :, rows][..., cols]


def padded(x: Tensor, more: Callable[[int], int], front: float, mode: str = "constant") -> Tensor:
    """A map of so many rows and columns more, of which a share lies in front."""
    pads: list[int] = []
    for n in x.shape[:1:-1]:
        pads += [before := int(front * more(n)), more(n) - before]
    return functional.pad(x, pads, mode=mode)


def window(net: Resized, rng: Random) -> Step:
    k, s = rng.randint(1, 5), rng.choice((1, 1, 2, 3, 4))
    return net.layer(
        nn.Conv2d(1, 1, k, s, rng.randint(0, k // 2), rng.choice((1, 1, 2)), bias=False)
    )


def transposed(net: Resized, rng: Random) -> Step:
    k, s = rng.randint(1, 4), rng.randint(1, 4)
    return net.layer(nn.ConvTranspose2d(1, 1, k, s, rng.randint(0, (k - 1) // 2), bias=False))


def pool(net: Resized, rng: Random) -> Step:
    k, s = rng.randint(2, 3), rng.randint(1, 3)
    return net.layer(Pool(k, s, k // 2, ceil_mode=rng.random() < 0.3))


def same(net: Resized, rng: Random) -> Step:
    """A strided convolution that is padded as SAME, by hand; where it needs fewer rows than there are, it may crop."""
    k, s, d = rng.randint(1, 5), rng.randint(1, 4), rng.choice((1, 1, 2))
    made, front, least = (
        net.layer(nn.Conv2d(1, 1, k, s, 0, d, bias=False)),
        rng.choice((0, 0.3, 0.5)),
        rng.choice((0, -9)),
    )
    return lambda x: made(
        padded(x, lambda n: max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, least), front)
    )


def multiple(net: Resized, rng: Random) -> Step:
    """A pad to the next multiple of a number, in any mode."""
    m, front = rng.randint(2, 9), rng.choice((0, 0.5, 1))
    mode = rng.choice(("constant", "constant", "reflect", "replicate", "circular"))
    return lambda x: padded(x, lambda n: -n % m, front, mode)


def cut(net: Resized, rng: Random) -> Step:
    """A crop to a multiple of a number, of a part of the rows, or with strides."""
    m, front = rng.randint(2, 7), rng.random() < 0.3
    ends = rng.choice((lambda n: n // m * m, lambda n: n - n // 4, None))

    def run(x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        if ends is None:
            return x[:, :, h % m :: 2, : w - w % m : 2]
        return x[:, :, h - ends(h) :, w - ends(w) :] if front else x[:, :, : ends(h), : ends(w)]

    return run


def turn(net: Resized, rng: Random) -> Step:
    """One of two convolutions by the size."""
    n, (a, b) = (
        rng.randint(3, 80),
        (net.layer(nn.Conv2d(1, 1, 3, 1, p, bias=False)) for p in (0, 1)),
    )
    return lambda x: (a if x.shape[3] > n else b)(x)


def resized(net: Resized, rng: Random) -> Step:
    s = rng.randint(2, 3)
    size = rng.choice((lambda n: n * s, lambda n: max(n // s, 1), lambda n: 2 * n - 1))
    return lambda x: nearest(x, (size(x.shape[2]), size(x.shape[3])))


def skip(net: Resized, rng: Random) -> Step:
    """A branch that goes down and up again, and is made to fit what it left, or the other way round."""
    s, how, swapped = rng.randint(1, 4), rng.choice(("pad", "slice", "resize")), rng.random() < 0.5
    down = net.layer(nn.Conv2d(1, 1, rng.randint(1, 4), s, rng.randint(0, 1), bias=False))
    up = net.layer(nn.ConvTranspose2d(1, 1, s, s, bias=False))

    def run(x: Tensor) -> Tensor:
        small, like = (up(down(x)), x) if swapped else (x, up(down(x)))
        (h, w), (m, n) = like.shape[2:], small.shape[2:]
        if how == "resize":
            return nearest(small, (h, w)) + like
        top, left = (h - m) // 2, (w - n) // 2
        if how == "pad":
            return functional.pad(small, (left, w - n - left, top, h - m - top)) + like
        return small[:, :, max(-top, 0) :, max(-left, 0) :][:, :, :h, :w] + like

    return run


KINDS: list[Any] = (
    [window] * 3 + [pool] * 2 + [same] * 5 + [skip] * 5 + [transposed, resized, cut, multiple, turn]
)


def sizes_of(rng: Random) -> list[Size]:
    """The size that a module is read at, and five others, below and above on each axis."""
    read = rng.randint(12, 100), rng.randint(12, 100)

    def near(n: int) -> int:
        return rng.choice(
            (rng.randint(1, n), rng.randint(max(n - 9, 1), n + 9), rng.randint(n, 3 * n))
        )

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
