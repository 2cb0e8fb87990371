"""Faults of tilers with the right answer of each, drawn at random, and pairs of outputs without seams."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

Values = NDArray[Any]
Area = tuple[tuple[int, int], ...]
Random = np.random.Generator


class Pair(NamedTuple):
    """Two outputs, and the right answer: kind, periods, the last line of each axis, the worst tile and its figures."""

    whole: Values
    tiled: Values
    kind: str
    periods: tuple[int, ...] = ()
    tile: Area | None = None
    lasts: tuple[int, ...] = ()
    figures: Mapping[str, Any] = MappingProxyType({})


class Tiler(NamedTuple):
    """A network, an image of 4 to 6 tiles a side, and where tiles start."""

    whole: Values
    network: nn.Module
    image: Tensor
    step: int

    def areas(self) -> list[Area]:
        starts = [
            pairwise([*range(0, n - self.step // 2, self.step), n]) for n in self.whole.shape[1:]
        ]
        rows, columns = map(list, starts)
        return [(row, column) for row in rows for column in columns]

    def inner(self, rng: Random, count: int = 1) -> list[Area]:
        """Tiles that have the full size, at random."""
        full = [area for area in self.areas() if all(b - a == self.step for a, b in area)]
        return [full[k] for k in rng.permutation(len(full))[:count]]


def picture(rng: Random, height: int, width: int) -> Tensor:
    """Waves, texture that grows towards a corner, and flat areas with edges."""
    y, x = np.mgrid[:height, :width]
    values = np.sin(y / rng.uniform(15, 30)) + np.cos(x / rng.uniform(15, 30))
    values = values + rng.normal(size=(3, height, width)) * (0.1 + (y / height) * (x / width))
    for top, left in rng.integers(0, (height, width), (8, 2)):
        values[:, top : top + height // 7, left : left + width // 5] += rng.normal(size=(3, 1, 1))
    return torch.from_numpy(values)[None]


def network(
    rng: Random, depth: int = 3, dilation: int = 1, norm: int = -1, mode: str = "zeros"
) -> nn.Sequential:
    """Convolutions that reach `depth` x `dilation` px; an instance norm after that of number `norm`."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    layers, before = list[nn.Module](), 3
    for k in range(depth):
        after = 3 if k == depth - 1 else 6
        layers += [nn.Conv2d(before, after, 3, 1, dilation, dilation, padding_mode=mode)]
        layers += [nn.InstanceNorm2d(after)] if k == norm else []
        layers += [nn.Tanh()] if k < depth - 1 else []
        before = after
    return nn.Sequential(*layers).double().eval()


@torch.no_grad()
def run(model: nn.Module, image: Tensor) -> Values:
    values: Values = model(image)[0].numpy()
    return values


def tiler(rng: Random, model: nn.Module | None = None) -> Tiler:
    step = int(rng.integers(44, 80))
    size = (int(rng.integers(4, 6)) * step + int(rng.integers(8, step)) for _ in range(2))
    image, model = picture(rng, *size), model or network(rng)
    return Tiler(run(model, image), model, image, step)


@torch.no_grad()
def stitched(
    made: Tiler,
    context: int,
    weights: Callable[[Tensor], Tensor] | None = None,
    pushed: bool = False,
) -> Values:
    """Run tile by tile with px around, and keep the middle of each, or blend all; the last is pushed back, or cut."""
    out = torch.zeros(made.whole.shape).double()
    total = torch.zeros(made.whole.shape[1:]).double()
    step, sizes = made.step, made.whole.shape[1:]
    for y in range(0, sizes[0], step):
        for x in range(0, sizes[1], step):
            keeps, reads = [], []
            for at, n in zip((y, x), sizes, strict=True):
                first = min(at, n - step) if pushed else at
                keeps.append((first, min(first + step, n)))
                reads.append((max(first - context, 0), min(first + step + context, n)))
            (top, bottom), (left, right) = reads
            part = made.network(made.image[..., top:bottom, left:right])[0]
            if weights:
                weight = weights(torch.arange(bottom - top) + 0.5)[:, None] * weights(
                    torch.arange(right - left) + 0.5
                )
                out[:, top:bottom, left:right] += part * weight
                total[top:bottom, left:right] += weight
            else:
                rows, columns = (slice(*each) for each in keeps)
                inner = [slice(a - c, b - c) for (a, b), (c, _) in zip(keeps, reads, strict=True)]
                out[:, rows, columns] = part[:, inner[0], inner[1]]
                total[rows, columns] = 1
    values: Values = (out / total).numpy()
    return values


def within(area: Area) -> tuple[slice, ...]:
    return (slice(None), *(slice(*each) for each in area))


def too_short(by: int, dilation: int = 1) -> Callable[[Random], Pair]:
    def make(rng: Random) -> Pair:
        made = tiler(rng, network(rng, dilation=dilation))
        return Pair(made.whole, stitched(made, 3 * dilation - by), "context", (made.step,) * 2)

    return make


def norm_last(rng: Random) -> Pair:
    made = tiler(rng, network(rng, norm=2))
    return Pair(made.whole, stitched(made, 3), "gain", (made.step,) * 2)


def norm_inside(rng: Random) -> Pair:
    made = tiler(rng, network(rng, norm=int(rng.integers(2))))
    return Pair(made.whole, stitched(made, 3), "tiles", (made.step,) * 2)


def feathered(rng: Random) -> Pair:
    made = tiler(rng)
    overlap = int(rng.integers(2, 9))
    ramp = lambda at: torch.minimum(at, len(at) - at).clamp(max=2 * overlap)  # noqa: E731
    return Pair(made.whole, stitched(made, overlap, ramp), "context", (made.step,) * 2)


def gaussian(rng: Random) -> Pair:
    made = tiler(rng)
    bell = lambda at: torch.exp(-(((at - len(at) / 2) / (len(at) / 8)) ** 2) / 2)  # noqa: E731
    return Pair(made.whole, stitched(made, made.step // 6, bell), "context", (made.step,) * 2)


def reflected(rng: Random) -> Pair:
    made = tiler(rng)
    other = network(rng, mode="reflect")
    other.load_state_dict(made.network.state_dict())
    return Pair(made.whole, stitched(made._replace(network=other), 0), "context", (made.step,) * 2)


def in_a_tile(
    change: Callable[[Values, Random], Any], kind: str, **figures: Any
) -> Callable[[Random], Pair]:
    def make(rng: Random) -> Pair:
        made = tiler(rng)
        (area,) = made.inner(rng)
        tiled = made.whole.copy()
        tiled[within(area)] = change(made.whole[within(area)], rng)
        return Pair(made.whole, tiled, kind, tile=area, figures=figures)

    return make


def swapped(rng: Random) -> Pair:
    made = tiler(rng)
    first, second = made.inner(rng, 2)
    tiled = made.whole.copy()
    tiled[within(first)], tiled[within(second)] = (
        made.whole[within(second)],
        made.whole[within(first)],
    )
    apart = [abs(b - a) for (a, _), (b, _) in zip(first, second, strict=True)]
    if sorted(apart) == [0, made.step]:  # the seam between neighbours is not seen
        both = tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))
        axis = ("height", "width")[apart[1] > 0]
        return Pair(
            made.whole,
            tiled,
            "swapped",
            tile=both,
            figures={"turned": f"its halves swapped along the {axis}"},
        )
    return Pair(made.whole, tiled, "swapped", figures={"tiles": {first, second}})


def small_move(rng: Random, most: int) -> tuple[int, int]:
    while not any(moved := tuple(int(n) for n in rng.integers(-most, most + 1, 2))):
        pass
    return moved[0], moved[1]


def moved_tile(rng: Random) -> Pair:
    made, by = tiler(rng), small_move(rng, 4)
    (area,) = made.inner(rng)
    tiled = made.whole.copy()
    tiled[within(area)] = np.roll(made.whole, by, (1, 2))[within(area)]
    return Pair(made.whole, tiled, "shift", tile=area, figures={"shift": by})


def all_moved(rng: Random) -> Pair:
    """Each tile is written 1 px off, from the second on."""
    made, by = tiler(rng), small_move(rng, 1)
    tiled = made.whole.copy()
    for area in made.areas()[1:]:
        tiled[within(area)] = np.roll(made.whole, by, (1, 2))[within(area)]
    return Pair(made.whole, tiled, "shift", figures={"shift": by})


def all_swapped_channels(rng: Random) -> Pair:
    made = tiler(rng)
    return Pair(made.whole, made.whole[[2, 1, 0]], "swapped", figures={"channels": (2, 1, 0)})


def one_row_late(rng: Random) -> Pair:
    made = tiler(rng, network(rng, depth=12))
    tiled = np.zeros_like(made.whole)
    tiled[:, 1:] = made.whole[:, :-1]
    return Pair(made.whole, tiled, "shift", figures={"shift": (1, 0)})


def at_the_border(rows: bool, columns: bool) -> Callable[[Random], Pair]:
    def make(rng: Random) -> Pair:
        made, depth = tiler(rng), int(rng.integers(1, 4))
        tiled = made.whole.copy()
        area = (
            (slice(-depth, None) if rows else slice(None)),
            (slice(-depth, None) if columns else slice(None)),
        )
        tiled[:, area[0], area[1]] *= rng.normal(1, 0.3, tiled[:, area[0], area[1]].shape)
        return Pair(made.whole, tiled, "border")

    return make


def jpeg(rng: Random) -> Pair:
    """Without grain, in which blocks are not seen."""
    y, x = np.mgrid[: int(rng.integers(200, 400)), : int(rng.integers(200, 400))]
    waves = [np.sin(y / rng.uniform(5, 30) + k) * np.cos(x / rng.uniform(5, 30)) for k in range(6)]
    pixels = (127 + 20 * np.sum(waves, axis=0)).round().clip(0, 255).astype(np.uint8)
    pixels = np.stack([pixels, 255 - pixels, pixels], axis=-1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(40, 90)))
    return Pair(pixels, np.asarray(Image.open(file)), "blocks")


def pushed_back(rng: Random) -> Pair:
    made = tiler(rng)
    sizes = [
        each - each % made.step + int(rng.integers(12, made.step - 12))
        for each in made.whole.shape[1:]
    ]
    image = picture(rng, *sizes)
    made = made._replace(image=image, whole=run(made.network, image))
    lasts = tuple(n - made.step for n in sizes)
    return Pair(
        made.whole, stitched(made, 0, pushed=True), "context", (made.step,) * 2, lasts=lasts
    )


def by_tile(gains: float, offsets: float) -> Callable[[Random], Pair]:
    def make(rng: Random) -> Pair:
        made = tiler(rng)
        tiled = made.whole.copy()
        for area in made.areas():
            tiled[within(area)] *= rng.normal(1, gains)
            tiled[within(area)] += rng.normal(0, offsets)
        return Pair(made.whole, tiled, "gain", (made.step,) * 2)

    return make


def other_weights(model: nn.Module, rng: Random) -> nn.Module:
    other = network(rng)
    other.load_state_dict(model.state_dict())
    for each in other.parameters():
        each.data += 0.02 * torch.from_numpy(rng.normal(size=each.shape))
    return other


def half_equal(rng: Random) -> Pair:
    made = tiler(rng)
    width = made.whole.shape[2]
    tiled = run(other_weights(made.network, rng), made.image)
    tiled[..., : width // 2] = made.whole[..., : width // 2]
    return Pair(made.whole, tiled, "part", tile=((0, made.whole.shape[1]), (width // 2, width)))


def differ_everywhere(rng: Random) -> Pair:
    made = tiler(rng)
    return Pair(made.whole, run(other_weights(made.network, rng), made.image), "everywhere")


def two_periods(rng: Random) -> Pair:
    """The denser one has its period named; where the other's lines fall beside it, they do not count."""
    made = tiler(rng)
    second = made._replace(step=int(made.step * rng.uniform(0.55, 0.8)))
    made_twice = stitched(made, 0) + stitched(second, 0) - made.whole
    return Pair(made.whole, made_twice, "context", (second.step,))


FAULTS: dict[str, Callable[[Random], Pair]] = {
    "context 1 px too short": too_short(1),
    "context 2 px too short": too_short(2),
    "context 8 px too short": too_short(8, dilation=4),
    "norm per tile, last layer": norm_last,
    "norm per tile, inside the network": norm_inside,
    "feathered": feathered,
    "Gaussian weights": gaussian,
    "reflect-padded tiles": reflected,
    "constant tile": in_a_tile(lambda part, rng: rng.normal(), "constant", gain=0.0),
    "zero tile": in_a_tile(lambda part, rng: 0, "constant", gain=0.0, offset=0.0),
    "noisy tile": in_a_tile(lambda part, rng: part + rng.normal(0, 0.05, part.shape), "part"),
    "two tiles swapped": swapped,
    "transposed tile": in_a_tile(
        lambda part, rng: part.transpose(0, 2, 1), "swapped", turned="transposed"
    ),
    "flipped tile": in_a_tile(
        lambda part, rng: part[:, ::-1], "swapped", turned="flipped along the height"
    ),
    "tile moved": moved_tile,
    "all tiles 1 px off": all_moved,
    "channels swapped": all_swapped_channels,
    "one row late": one_row_late,
    "last rows differ": at_the_border(True, False),
    "last columns differ": at_the_border(False, True),
    "corner differs": at_the_border(True, True),
    "JPEG": jpeg,
    "last tile pushed back": pushed_back,
    "gain by tile": by_tile(0.1, 0),
    "offset by tile": by_tile(0, 0.1),
    "half is equal": half_equal,
    "other weights": differ_everywhere,
    "two periods": two_periods,
}


def fp16(values: Values, rng: Random) -> Values:
    return values.astype(np.float16).astype(np.float64)


def drift(values: Values, rng: Random) -> Values:
    y, x = np.mgrid[: values.shape[1], : values.shape[2]]
    return values * (1 + 0.1 * np.sin(y / 90)) + 0.1 * np.cos(x / rng.uniform(60, 200))


SEAMLESS: dict[str, Callable[[Values, Random], Values]] = {
    "identical": lambda values, rng: values,
    "noise": lambda values, rng: values + rng.normal(0, 0.01, values.shape),
    "noise of the size of the output": lambda values, rng: (
        values * rng.normal(1, 0.01, values.shape)
    ),
    "heavy tails": lambda values, rng: values + 0.01 * rng.standard_t(2, values.shape),
    "single pixels": lambda values, rng: values + (rng.random(values.shape) > 0.999),
    "smooth drift": drift,
    "fp16": fp16,
    "levels": lambda values, rng: (50 * values).round() / 50,
    "ripple": lambda values, rng: (
        values + 0.05 * np.sin(np.arange(values.shape[2]) / rng.uniform(2, 9))
    ),
    "blur": lambda values, rng: (values + np.roll(values, 1, 1)) / 2,
}
