"""Random modules whose windows are spelled in every way, held against the gradients of a twin of plain calls."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from tests.torch_calls import conv

Function = Callable[[Tensor], Tensor]
Step = tuple[nn.Module, Function]  # as it is spelled, and its twin
SEEDS, SIZES = range(40), 3


class Call(nn.Module):
    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


class Draw(random.Random):
    def pair(self, low: int, high: int) -> tuple[int, int]:
        return self.randint(low, high), self.randint(low, high)

    def spelled(self, numbers: Sequence[int]) -> Any:
        """As one number where they are equal, a tuple, or a list."""
        one = numbers[0] if len({*numbers}) == 1 else tuple(numbers)
        return self.choice([one, tuple(numbers), [*numbers]])


def padding(draw: Draw, size: tuple[int, int]) -> Step:
    mode = draw.choice(["constant", "reflect", "replicate", "circular"])
    rows = [
        draw.randint(-1 if mode == "constant" else 0, min(2, size[1 - i // 2] - 1))
        for i in range(4)
    ]
    named = {
        "constant": "Zero",
        "reflect": "Reflection",
        "replicate": "Replication",
        "circular": "Circular",
    }[mode]
    as_module = getattr(nn, f"{named}Pad2d")(tuple(rows))
    spelled = draw.choice([as_module, Call(lambda x: functional.pad(x, rows, mode))])
    return spelled, lambda x: functional.pad(x, rows, mode)


def convolution(draw: Draw, size: tuple[int, int]) -> Step:
    kernel, stride = draw.pair(1, 4), draw.choice([(1, 1), draw.pair(1, 3)])
    # some are as dilated as the map is large, and some pads are beyond the kernel
    dilation = draw.choice(
        [(1, 1), draw.pair(1, 3), tuple(max(1, n - draw.randint(0, 2)) for n in size)]
    )
    pads = draw.choice(
        [draw.pair(0, 2), tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))]
    )
    options = {"stride": stride, "padding": pads, "dilation": dilation}
    twin, spelled = (
        conv(kernel, **options),
        {name: draw.spelled(pair) for name, pair in options.items()},
    )
    weight = twin.weight.detach()
    as_call = Call(lambda x: functional.conv2d(x, weight.to(x), **spelled))
    as_module = conv(
        draw.choice([kernel, [*kernel]]), **{name: tuple(pair) for name, pair in options.items()}
    )
    return draw.choice([as_call, as_module]), twin


def transposed(draw: Draw, size: tuple[int, int]) -> Step:
    kernel, stride = draw.pair(1, 4), draw.pair(1, 3)
    options = {
        "stride": stride,
        "padding": tuple(draw.randint(0, k - 1) for k in kernel),
        "output_padding": tuple(draw.randint(0, s - 1) for s in stride),
    }
    weight = torch.ones(1, 1, *kernel, dtype=torch.float64)
    spelled = {name: draw.spelled(pair) for name, pair in options.items()}
    as_call = Call(lambda x: functional.conv_transpose2d(x, weight.to(x), **spelled))
    return as_call, lambda x: functional.conv_transpose2d(x, weight, **options)


def pool(draw: Draw, size: tuple[int, int]) -> Step:
    kernel = draw.choice([draw.pair(2, 3), tuple(n + draw.randint(0, 1) for n in size)])
    pads = draw.choice([(0, 0), tuple(draw.randint(0, k // 2) for k in kernel)])
    stride, ceil = draw.choice([kernel, draw.pair(1, 3)]), draw.random() < 0.3
    given = [draw.spelled(pair) for pair in (kernel, stride, pads)]
    named = dict(zip(("kernel_size", "stride", "padding"), given, strict=True))
    spelled = draw.choice([
        nn.MaxPool2d(*given, ceil_mode=ceil),
        nn.AvgPool2d(**named, ceil_mode=ceil, count_include_pad=False),
        Call(lambda x: functional.max_pool2d(x, **named, ceil_mode=ceil)),
        Call(lambda x: functional.avg_pool2d(x, *given, ceil)),
    ])  # fmt: skip
    return spelled, lambda x: functional.avg_pool2d(x, kernel, stride, pads, ceil, True, 1)


def resizing(draw: Draw, size: tuple[int, int]) -> Step:
    scale = draw.choice([2, 3, (2, 3), (1, 2)])
    factors = scale if isinstance(scale, tuple) else (scale, scale)
    spelled = draw.choice([
        nn.Upsample(scale_factor=scale),
        Call(lambda x: functional.interpolate(x, scale_factor=scale, mode="nearest-exact")),
        Call(lambda x: functional.interpolate(x, [n * k for n, k in zip(x.shape[2:], factors, strict=True)])),
        Call(lambda x: x.repeat_interleave(factors[0], 2).repeat_interleave(factors[1], -1)),
    ])  # fmt: skip
    return spelled, lambda x: x.repeat_interleave(factors[0], 2).repeat_interleave(factors[1], 3)


def crop(draw: Draw, size: tuple[int, int]) -> Step:
    first, last, step = draw.randint(0, 1), draw.randint(0, 1), draw.randint(1, 2)
    rows = slice(first, -last or None, step)
    spelled = draw.choice([
        Call(lambda x: x[:, :, rows]),
        Call(lambda x: x[..., rows, :]),
        Call(lambda x: x.narrow(2, first, x.shape[2] - first - last)[:, :, ::step]),
        Call(lambda x: x.transpose(2, 3)[..., rows].mT),
    ])  # fmt: skip
    return spelled, lambda x: x[:, :, rows]


STEPS = (convolution, convolution, transposed, pool, pool, padding, resizing, crop)


def drawn(seed: int) -> tuple[list[Step], tuple[int, int]]:
    """A convolution and up to four more steps that fit an image of a size, and that size."""
    draw = Draw(seed)
    size, steps = draw.pair(4, 9), [(conv(padding=1), conv(padding=1))]
    x = torch.zeros(1, 1, *size, dtype=torch.float64)
    for make in draw.choices(STEPS, k=4):
        spelled, twin = make(draw, (x.shape[2], x.shape[3]))
        try:
            made = twin(x)
        except RuntimeError:
            continue
        if min(made.shape[2:]) > 1 and max(made.shape[2:]) < 40:
            steps.append((spelled, twin))
            x = made.detach()
    # behind the last step, so that no pool ends the network
    return [*steps, (conv(padding=1), conv(padding=1))], size


@pytest.mark.parametrize("seed", SEEDS)
def test_random_modules_count_as_their_gradients_say(seed: int) -> None:
    steps, size = drawn(seed)
    network = padviz.load(nn.Sequential(*(spelled for spelled, _ in steps)), size=size)
    draw = Draw(seed)
    for at in [size, *(draw.pair(3, 20) for _ in range(SIZES - 1))]:
        image = made = torch.zeros(1, 1, *at, dtype=torch.float64, requires_grad=True)
        try:
            for _, twin in steps:
                made = twin(made)
        except (RuntimeError, IndexError):
            with pytest.raises(PadvizError):
                padviz.usage(network, at)
            continue
        made.sum().backward()
        assert image.grad is not None
        np.testing.assert_array_equal(
            padviz.usage(network, at).counts, image.grad[0, 0].numpy(), str(at)
        )
