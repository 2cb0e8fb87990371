"""Drawn modules that take rows apart and put them together: refused, or right by their own gradients."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from tests.sources.test_onnx_exports import SINCE_2_5
from tests.sweeps import SLOW
from tests.torch_calls import to_onnx

Step = Callable[[Tensor], Tensor]
Rows = list[Tensor]
SEEDS = 30  # of one test; about 25 of their modules run
TESTS, FILES = 22, 4  # of all modules, and of the files of each exporter
READ = 0.3  # the least share of one test that is read, rather than refused


class Draw(random.Random):
    """Draws functions of a map of some `channels` along an axis, `d`, in which every path counts once."""

    d, axes, channels = 2, 2, 1

    def conv(self, axes: int = 0, into: int = 0, out: int = 0, parts: int = 1) -> Step:
        """A convolution that averages channels, of which there are several `parts` to be added."""
        axes, into = axes or self.axes, into or self.channels
        shape = [out or self.channels, into * parts, *[3] * axes]
        weight = torch.full(shape, 1 / into, dtype=torch.float64)
        convolve = [functional.conv1d, functional.conv2d][axes - 1]
        return lambda x: convolve(x, weight.to(x.dtype), padding=1)

    def linear(self) -> Step:
        """Mixes the channels of a row, or of a sample."""
        weight = torch.full([self.channels] * 2, 1 / self.channels, dtype=torch.float64)

        def run(row: Tensor) -> Tensor:
            mixed = functional.linear(row.transpose(1, row.ndim - 1), weight.to(row.dtype))
            return mixed.transpose(1, row.ndim - 1)

        return run

    def window(self) -> Step:
        """What reads the rows that were put together."""
        d = self.d

        def pooled(x: Tensor) -> Tensor:
            pool = functional.avg_pool1d if x.ndim == 3 else functional.avg_pool2d
            return pool(x, 2, 2) * 2 ** (x.ndim - 2)

        def padded(x: Tensor) -> Tensor:
            return functional.pad(x, (1, 0) * (x.ndim - 2), "replicate")

        def resized(x: Tensor) -> Tensor:
            return functional.interpolate(x, scale_factor=2)

        def shrunk(x: Tensor) -> Tensor:
            return x.unflatten(d, (-1, 2)).sum(d + 1)

        return self.choice([self.conv(), self.conv(), pooled, padded, resized, shrunk])

    def apart(self) -> Callable[[Tensor], Rows]:
        d = self.d
        return self.choice([
            lambda x: list(x.unbind(d)),
            lambda x: [x.select(d, i) for i in range(x.shape[d])],
            lambda x: [x[(slice(None),) * d + (i,)] for i in range(x.shape[d])],
            lambda x: [row.squeeze(d) for row in x.split(1, d)],
            lambda x: [row.squeeze(d) for row in x.chunk(x.shape[d], d)],
            lambda x: list(x.movedim(d, 0)),
        ])  # fmt: skip

    def order(self) -> Callable[[Rows], Rows]:
        same: Callable[[Rows], Rows] = list
        return self.choice([
            *[same] * 14,
            lambda rows: rows[::-1],
            lambda rows: rows[::2],
            lambda rows: rows[1:-1],
            lambda rows: rows[1:] + rows[:1],
            lambda rows: [rows[0], *rows, rows[-1]],
            lambda rows: rows[::2] + rows[1::2],
            lambda rows: [rows[0]] * len(rows),
        ])  # fmt: skip

    def each(self) -> Callable[[Rows], Rows]:
        linear = convolved = self.linear()
        weight = torch.full([self.channels] * 2, 1 / self.channels, dtype=torch.float64)
        if self.axes > 1:
            convolved = self.conv(axes=1)

        def recurrent(rows: Rows) -> Rows:
            states = rows[:1]
            for row in rows[1:]:
                states.append(row + linear(states[-1]))
            return states

        def passed_on(rows: Rows) -> Rows:
            rows = [*rows]
            for i in range(1, len(rows)):
                rows[i] = rows[i] + convolved(rows[i - 1]).relu()
            return rows

        def cells(rows: Rows) -> Rows:
            """A cell of a recurrent network for each step, or for each number of a row."""
            weights = [weight.to(rows[0].dtype)] * 2
            states = rows[:1]
            for row in rows[1:]:
                numbers, state = (x.movedim(1, -1).flatten(0, -2) for x in (row, states[-1]))
                made = torch.rnn_relu_cell(numbers, state, *weights)
                states.append(made.view(row.movedim(1, -1).shape).movedim(-1, 1))
            return states

        same: Callable[[Rows], Rows] = list
        return self.choice([
            *[same] * 12,
            lambda rows: [row.relu() for row in rows],
            lambda rows: [linear(row) for row in rows],
            lambda rows: [linear(row).relu() for row in rows],
            lambda rows: [convolved(row) for row in rows],
            lambda rows: [linear(row) if i % 2 else row for i, row in enumerate(rows)],
            recurrent, cells, passed_on,
        ])  # fmt: skip

    def together(self) -> Callable[[Rows], Tensor]:
        d = self.d

        def as_channels(rows: Rows) -> Tensor:
            joined = torch.cat(rows, 1).unflatten(1, (len(rows), -1))
            return joined.movedim(1, d)

        return self.choice([
            lambda rows: torch.stack(rows, d),
            lambda rows: torch.stack(rows, d),
            lambda rows: torch.stack(rows).movedim(0, d),
            lambda rows: torch.stack(rows, -1).movedim(-1, d),
            lambda rows: torch.cat([row.unsqueeze(d) for row in rows], d),
            as_channels,
        ])  # fmt: skip

    def apart_and_together(self) -> Step:
        apart, together = self.apart(), self.together()
        steps = [self.order(), self.each()]
        self.shuffle(steps)
        return lambda x: together(steps[1](steps[0](apart(x))))

    def halves(self) -> Step:
        d, conv, both = self.d, self.conv(), self.conv(parts=2)

        def joined(change: Callable[[Rows], Sequence[Tensor]], at: int = d) -> Step:
            return lambda x: torch.cat([*change(list(x.chunk(2, at)))], at)

        def blended(x: Tensor) -> Tensor:
            """Halves as channels, and a convolution over both."""
            return both(torch.cat(x.chunk(2, d), 1))

        return self.choice([
            joined(lambda parts: parts),
            joined(lambda parts: parts[::-1]),
            joined(lambda parts: [part.relu() for part in parts]),
            joined(lambda parts: [conv(part) for part in parts]),
            joined(lambda parts: [parts[0].flip(d), parts[1]]),
            lambda x: torch.add(*x[(slice(None),) * d + (slice(x.shape[d] // 2 * 2),)].chunk(2, d)),
            lambda x: torch.cat(x.chunk(2, d), 1)[:, : x.shape[1]],
            blended,
        ])  # fmt: skip

    def even(self) -> Step:
        d = self.d
        return lambda x: x.narrow(d, 0, x.shape[d] // 2 * 2)

    def turned(self) -> Step:
        """What einops writes: rows split into blocks, moved and joined."""
        d, both, even = self.d, self.conv(parts=2), self.even()

        def to_channels(x: Tensor) -> Tensor:
            blocks = even(x).unflatten(d, (-1, 2)).movedim(d + 1, 2).flatten(1, 2)
            return both(blocks)

        def halves_to_channels(x: Tensor) -> Tensor:
            blocks = even(x).unflatten(d, (2, -1)).movedim(d, 2).flatten(1, 2)
            return both(blocks)

        def interleaved(x: Tensor) -> Tensor:
            return even(x).unflatten(d, (2, -1)).transpose(d, d + 1).flatten(d, d + 1)

        def through_channels(x: Tensor) -> Tensor:
            parts = torch.cat(even(x).chunk(2, d), 1).unflatten(1, (2, -1))
            return parts.movedim(1, d + 1).flatten(d, d + 1)

        return self.choice([
            lambda x: even(x).unflatten(d, (-1, 2)).relu().flatten(d, d + 1),
            lambda x: x.transpose(1, d).relu().transpose(1, d),
            lambda x: x.flatten(2).relu().view(x.shape),
            lambda x: x.flatten(1).relu().view(x.shape),
            lambda x: torch.cat(x.flatten(1).chunk(2, 1)[::-1], 1).view(x.shape),
            to_channels, halves_to_channels, interleaved, through_channels,
        ])  # fmt: skip

    def lines(self) -> Step:
        """Rows, windows or positions as images of a batch, and back, as einops writes it."""
        d, conv, even, alone = self.d, self.conv(), self.even(), self.linear()
        row = self.conv(axes=1) if self.axes > 1 else alone

        def rows(x: Tensor) -> Tensor:
            lines = row(x.movedim(d, 1).flatten(0, 1))
            return lines.unflatten(0, (-1, x.shape[d])).movedim(1, d)

        def windows(x: Tensor) -> Tensor:
            parts = even(x).unflatten(d, (2, -1)).movedim(d, 1).flatten(0, 1)
            return conv(parts).unflatten(0, (-1, 2)).movedim(1, d).flatten(d, d + 1)

        def mirrored_too(x: Tensor) -> Tensor:
            both = conv(torch.cat([x, x.flip(d)]))
            return torch.add(*both.chunk(2))

        return self.choice([
            rows, windows, mirrored_too,
            lambda x: torch.cat(conv(torch.cat(even(x).chunk(2, d))).chunk(2), d),
            lambda x: torch.cat(torch.cat(x.split(1, d)).relu().split(1), d),
            lambda x: alone(x.flatten(2)).view(x.shape),
            lambda x: conv(x.transpose(2, x.ndim - 1)).transpose(2, x.ndim - 1),
        ])  # fmt: skip

    def copied(self) -> Step:
        d = self.d

        def twice(x: Tensor, at: int) -> Tensor:
            copies = torch.stack([x, x], at)
            return copies.flatten(d, d + 1)

        def times(x: Tensor) -> list[int]:
            return [1] * d + [2] + [1] * (x.ndim - d - 1)

        return self.choice([
            lambda x: x.repeat_interleave(2, d),
            lambda x: x.repeat(times(x)),
            lambda x: torch.tile(x, times(x)),
            lambda x: twice(x, d + 1),
            lambda x: twice(x, d),
            lambda x: x.sum(d, keepdim=True).expand_as(x) + x,
            lambda x: x.unsqueeze(d + 1).expand(*x.shape[: d + 1], 2, *x.shape[d + 1 :]).mean(d + 1),
        ])  # fmt: skip

    def picked(self) -> Step:
        """Rows by their indices."""
        d = self.d
        order: Callable[[int], list[int]] = self.choice([
            lambda n: [*range(n)],
            lambda n: [*range(n)],
            lambda n: [*range(1, n)],
            lambda n: [*range(0, n, 2)],
            lambda n: [*reversed(range(n))],
            lambda n: [i // 2 for i in range(2 * n)],
            lambda n: [i // 2 for i in range(n)],
        ])  # fmt: skip

        def index(x: Tensor) -> Tensor:
            return torch.tensor(order(x.shape[d]))

        def gathered(x: Tensor) -> Tensor:
            rows = index(x).view(-1, *[1] * (x.ndim - d - 1))
            return x.gather(d, rows.expand(*x.shape[:d], -1, *x.shape[d + 1 :]))

        return self.choice([
            gathered,
            lambda x: x.index_select(d, index(x)),
            lambda x: x[(slice(None),) * d + (index(x),)],
            lambda x: x[(slice(None),) * d + (order(x.shape[d]),)],
            lambda x: torch.cat([x.narrow(d, i, 1) for i in order(x.shape[d])], d),
        ])  # fmt: skip

    def of_channels(self) -> Step:
        """Channels that are joined anew: paths through each of them are counted."""
        n = self.channels
        return self.choice([
            lambda x: n * torch.stack([channel.relu() for channel in x.unbind(1)], 1),
            lambda x: n * torch.stack([torch.stack(x.unbind(1)).sum(0)] * n, 1),
            lambda x: n * torch.cat(x.split(1, 1)[::-1], 1),
            lambda x: 2 * torch.stack([x, x.relu()], 2).flatten(1, 2)[:, ::2],
            lambda x: 2 * torch.stack([x, x.relu()], 1).transpose(1, 2).flatten(1, 2)[:, :n],
            lambda x: x.flip(1),
        ])  # fmt: skip

    def two_levels(self) -> Step:
        """Rows of parts, or numbers of rows."""
        d, inner, each = self.d, self.apart_and_together(), self.each()

        def row(x: Tensor) -> Tensor:
            return torch.stack(each(list(x.unbind(-1))), -1)

        return self.choice([
            lambda x: torch.cat([*map(inner, x.chunk(2, d))], d),
            lambda x: inner(inner(x)),
            lambda x: torch.stack([*map(row, x.unbind(2))], 2) if x.ndim > 3 else row(x),
        ])  # fmt: skip

    def other(self) -> Step:
        d = self.d
        return self.choice([
            lambda x: x.flip(d).relu().flip(d),
            lambda x: x.roll(2, d),
            lambda x: torch.stack([x.sum(d), x.relu().sum(d)], d),
            lambda x: torch.stack([x, x.relu() + x.roll(1, d)], d).sum(d),
            lambda x: torch.stack(x.unbind(d)[::-1], d).narrow(d, 1, 3).sum(d, keepdim=True) + x,
            lambda x: x + x.select(d, 1).unsqueeze(d),
            lambda x: x.index_select(d, torch.arange(x.shape[d] - 1)),
            lambda x: x.sum(d, keepdim=True).repeat_interleave(5, d),
        ])  # fmt: skip


class Drawn(nn.Module):
    """A convolution, one to three drawn steps each with a window behind, and a convolution to one channel."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = Draw(seed)
        self.size = draw.choice([(draw.randint(5, 9), draw.randint(5, 9)), (draw.randint(6, 12),)])
        draw.axes, draw.channels = len(self.size), draw.randint(1, 2)
        self.steps: list[Step] = [draw.conv(into=1)]
        for _ in range(draw.choice([1, 1, 1, 2])):
            draw.d = draw.randint(2, len(self.size) + 1)
            others = [draw.halves, draw.turned, draw.lines, draw.copied, draw.picked]
            others += [draw.of_channels, draw.two_levels, draw.other]
            kind = draw.choice([draw.apart_and_together] * 4 + others)
            self.steps += [kind(), draw.window()]
        self.steps.append(draw.conv(out=1))

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


@torch.inference_mode(False)
def truth(module: nn.Module, size: tuple[int, ...]) -> tuple[list[int], NDArray[np.float64]]:
    """The shape of what a module makes, and the gradient of its sum."""
    image = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    made = module(image)
    made.sum().backward()
    assert image.grad is not None
    return [*made.shape[2:]], image.grad[0, 0].numpy()


def runs(seed: int) -> bool:
    """Whether a module runs; a map that was taken apart may be too small for what follows."""
    module = Drawn(seed)
    try:
        shape, _ = truth(module, module.size)
    except (RuntimeError, IndexError, ValueError):
        return False
    return min(shape) > 1


def is_read(source: nn.Module | Path, module: nn.Module, size: tuple[int, ...]) -> bool:
    """Whether padviz reads a module, or its file: then each pixel's usage is its gradient."""
    shape, wanted = truth(module, size)
    try:
        usage = padviz.usage(source, size)
    except PadvizError:
        return False
    assert [*usage.target.shape][-len(shape) :] == shape
    np.testing.assert_array_equal(usage.counts.reshape(wanted.shape), wanted)
    return True


def drawn(test: int) -> list[Drawn]:
    return [Drawn(seed) for seed in range(test * SEEDS, (test + 1) * SEEDS) if runs(seed)]


@pytest.mark.parametrize("test", [pytest.param(i, marks=SLOW if i else ()) for i in range(TESTS)])
def test_rows_that_are_put_together_are_right_or_refused(test: int) -> None:
    modules = drawn(test)
    with torch.inference_mode(test % 3 == 0):
        read = [is_read(module, module, module.size) for module in modules]
    assert sum(read) >= READ * len(read)


@SLOW
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=SINCE_2_5)])
@pytest.mark.parametrize("test", range(FILES))
def test_files_of_rows_put_together_are_right_or_refused(
    test: int, dynamo: bool, tmp_path: Path
) -> None:
    read: list[bool] = []
    for module in drawn(test):
        image = torch.ones(1, 1, *module.size, dtype=torch.float64)
        path = to_onnx(module, tmp_path / "net.onnx", image, dynamo=dynamo)
        read.append(is_read(path, module, module.size))
    assert sum(read) >= READ / 2 * len(read)


def mirrored(rows: Rows) -> Rows:
    return rows[::-1]


def one_by_one(rows: Rows) -> Rows:
    """A recurrence along the rows."""
    states = rows[:1]
    for row in rows[1:]:
        states.append(torch.tanh(row + states[-1]))
    return states


def message(rows: Rows) -> Rows:
    """Each row is convolved, and added to the next, as SCNN has it."""
    conv, rows = Draw().conv(axes=1), [*rows]
    for i in range(1, len(rows)):
        rows[i] = rows[i] + conv(rows[i - 1].view(1, 1, -1)).view_as(rows[i])
    return rows


ROWS: dict[str, Callable[[Rows], Rows]] = {
    "as they are": list,
    "linear": lambda rows: [*map(Draw().linear(), rows)],
    "every second": lambda rows: rows[::2],
    "mirrored": mirrored,
    "recurrent": one_by_one,
    "message passing": message,
}
TOGETHER: dict[str, Callable[[Tensor, Rows], Tensor]] = {
    "stack": lambda x, rows: torch.stack(rows, 2),
    "unsqueeze and cat": lambda x, rows: torch.cat([row.unsqueeze(2) for row in rows], 2),
    "channels": lambda x, rows: torch.cat(rows, 1).unflatten(1, (len(rows), 1)).transpose(1, 2),
    "mean and maximum": lambda x, rows: torch.stack([x.mean(2), x.amax(2)], 2),
    "picked again": lambda x, rows: x + torch.stack(rows, 2)[:, :, 1:2],
}


class Stacked(nn.Module):
    """Rows, or samples, of a convolution that are stacked before another."""

    def __init__(self, size: tuple[int, ...], change: str, together: str) -> None:
        super().__init__()
        self.change, self.together = ROWS[change], TOGETHER[together]
        self.conv = Draw().conv(axes=len(size))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.conv(self.together(x, self.change([*x.unbind(2)])))


@pytest.mark.parametrize("size", [(6, 9), (9,)], ids=["image", "signal"])
@pytest.mark.parametrize("together", TOGETHER)
@pytest.mark.parametrize("change", ROWS)
def test_stacked_rows_are_rows_in_their_order_alone(
    change: str, together: str, size: tuple[int, ...], tmp_path: Path
) -> None:
    module = Stacked(size, change, together)
    path = to_onnx(module, tmp_path / "net.onnx", torch.ones(1, 1, *size, dtype=torch.float64))
    in_order = change in ("as they are", "linear", "every second")
    for source in (module, path):
        if in_order and together != "mean and maximum":
            assert is_read(source, module, size)
            continue
        with pytest.raises(PadvizError, match=r"height or width|picks rows or columns; .* stops"):
            padviz.usage(source, size)


@pytest.mark.parametrize("size", [(6, 9), (9,)], ids=["image", "signal"])
def test_a_vector_that_is_repeated_and_returned_is_a_map(size: tuple[int, ...]) -> None:
    class Repeated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = Draw().conv(axes=len(size))

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x).sum(tuple(range(2, x.ndim)), keepdim=True)
            for axis in range(2, x.ndim):
                x = x.repeat_interleave(4, axis)
            return x

    assert is_read(Repeated(), Repeated(), size)
