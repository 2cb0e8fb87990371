"""Small constants keep their data: what a forward decides and works out by them is followed, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import padviz
from padviz.errors import PadvizError
from padviz.sources.torch.arguments import op_of, recurrent
from tests.torch_oracle import conv, counted

SIZES = [(16, 16), (20, 33)]


class Deciding(nn.Module):
    """Two convolutions, and what a function of the module and its map makes between them."""

    def __init__(self, between: Callable[[Deciding, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.between = conv(5, padding=2), conv(padding=1), between
        self.register_buffer("strides", torch.tensor([2.0, 4.0]))
        self.times = torch.tensor(3)
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self, self.a(x)))


def each_time(module: Deciding, x: Tensor) -> Tensor:
    for _ in range(module.times):
        x = module.a(x)
    return x


def once_more(module: Deciding, x: Tensor) -> Tensor:
    module.seen += 1
    return module.a(x) if module.seen > 0 else x


def in_grids(module: Deciding, x: Tensor) -> Tensor:
    rows = torch.arange(2, device=x.device, dtype=x.dtype)
    grid = torch.stack(torch.meshgrid(rows, rows, indexing="ij")) * x.new_full((1,), module.strides[1])
    assert grid.max().item() == 4
    return x[:, :, int(grid[0, 1, 1]) :]


DECIDED: dict[str, Callable[[Deciding, Tensor], Tensor]] = {
    "item": lambda module, x: x[:, :, module.strides[1].item() // 1 == 4 :],
    "tolist": lambda module, x: x[:, :, :, int(module.strides.tolist()[0]) :],
    "index": lambda module, x: x[:, :, module.times :],
    "numpy": lambda module, x: x[:, :, : -int(module.strides.numpy().max())],
    "range": each_time,
    "in place": once_more,
    "grids": in_grids,
    "moved": lambda module, x: x[:, :, int(module.strides.to(x.device).to(x)[0].cpu()) :],
    "a type": lambda module, x: x[:, :, module.times.type_as(x).int() :],
}


@pytest.mark.parametrize("name", DECIDED)
def test_what_a_forward_makes_of_small_constants_is_followed(name: str) -> None:
    module = Deciding(DECIDED[name])
    before = {key: value.clone() for key, value in module.state_dict().items()}
    network = padviz.load(module)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    for size in SIZES:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(Deciding(DECIDED[name]), size))


def filled(x: Tensor) -> Tensor:
    whole = torch.zeros(x.shape, dtype=x.dtype)
    whole[:] = x
    return whole


def added(x: Tensor) -> Tensor:
    whole = torch.zeros(x.shape, dtype=x.dtype)
    whole.add_(x)
    return whole


def given_out(x: Tensor) -> Tensor:
    whole = torch.zeros(x.shape, dtype=x.dtype)
    torch.mul(x, 1, out=whole)
    return whole


def through_a_slice(x: Tensor) -> Tensor:
    whole = torch.zeros(x.shape, dtype=x.dtype)
    whole[:, :][:, :, 1:].copy_(x[:, :, 1:])
    return whole


def through_an_older_view(x: Tensor) -> Tensor:
    whole = torch.zeros(x.shape, dtype=x.dtype)
    view = whole[:, :]
    whole.add_(x)
    return view


def each_in_place(x: Tensor) -> Tensor:
    whole = torch.zeros(x.shape, dtype=x.dtype)
    torch._foreach_add_([whole], [x])
    return whole


@pytest.mark.parametrize("write", [filled, added, given_out])
@pytest.mark.parametrize("size", SIZES)
def test_a_map_that_is_written_to_a_constant_with_data_is_a_map(
    write: Callable[[Tensor], Tensor], size: object
) -> None:
    module = Deciding(lambda module, x: write(x) + x)  # a function of one map
    expected = counted(Deciding(lambda module, x: x), size)  # type: ignore[arg-type]
    np.testing.assert_array_equal(padviz.usage(module, size).counts, expected)


@pytest.mark.parametrize("write", [through_a_slice, through_an_older_view, each_in_place])
def test_a_part_of_a_constant_that_is_written_to_is_refused(write: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(PadvizError, match=r"`layer` .* stops before it"):
        padviz.usage(Deciding(lambda module, x: write(x) + x), 16)


def written_by_weights(module: Deciding, x: Tensor) -> Tensor:
    kept = torch.zeros(3, 3)
    kept[:] = module.b.weight[0, 0]
    return x[:, :, int(kept[0, 0]) :]


@pytest.mark.parametrize(
    "between",
    [written_by_weights, lambda module, x: x[:, :, int(module.b.weight[0, 0, 0, 0]) :]],
    ids=["copied", "read"],
)
def test_no_weight_decides(between: Callable[[Deciding, Tensor], Tensor]) -> None:
    with pytest.raises(PadvizError, match=r"^Deciding: its forward fails on .* weights"):
        padviz.usage(Deciding(between), 16)


class Detecting(nn.Module):
    """Two levels, decoded by their strides; returned with the maps that the heads read, as in training."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList([conv(padding=1, stride=2), conv(padding=1, stride=2)])
        self.heads = nn.ModuleList([conv(padding=1), conv(padding=1)])
        self.strides = torch.tensor([2.0, 4.0])

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = [x := body(x) for body in self.body]
        boxes = [head(map_).flatten(2) for head, map_ in zip(self.heads, maps, strict=True)]
        scales = [box.new_full(box.shape[2:], stride) for box, stride in zip(boxes, self.strides, strict=True)]
        return torch.cat(boxes, 2) * torch.cat(scales), maps


def test_the_heads_of_a_detector_are_no_maps_that_they_read() -> None:
    network = padviz.load(Detecting(), 32)
    skipped = "skipped cat and what follows: it joins the positions of several maps"
    assert network.notes == (f"analysed up to the heads heads.0, heads.1; {skipped}",)
    for size in [(32, 32), (40, 72)]:
        for i in range(2):
            alone = nn.Sequential(*Detecting().body[: i + 1], Detecting().heads[i])
            np.testing.assert_array_equal(padviz.usage(network, size, layer=f"heads.{i}").counts, counted(alone, size))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "batch_first": True}, {"num_layers": 2}])
def test_recurrent_layers_return_what_pytorch_does(kind: type[nn.Module], options: dict[str, bool]) -> None:
    layer, image = kind(4, 5, **options), torch.randn(3, 6, 4)
    name = {nn.LSTM: "lstm", nn.GRU: "gru", nn.RNN: "rnn_tanh"}[kind]
    seen = []

    class Seen(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            if op_of(func) == name:
                seen.append((recurrent(name, args), out))
            return out

    with Seen():
        layer(image)
    ((ours, theirs),) = seen
    assert [each.shape for each in ours] == [each.shape for each in theirs]


class Padding(nn.Module):
    """Pads its map to whole strides, as codecs do: by tensors, and by the length that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.stride = nn.Buffer(torch.tensor(3), persistent=False)
        self.a = conv(3, stride=3)

    def forward(self, x: Tensor) -> Tensor:
        frames = torch.ceil((x.shape[3] - self.stride) / self.stride + 1).to(torch.int64)
        return self.a(functional.pad(x, (self.stride // 2, frames * self.stride - x.shape[3], 0, 1)))


@pytest.mark.parametrize("size", [(24, 31), (26, 32), (31, 33)], ids=str)
def test_padding_by_tensors_follows_the_size(size: tuple[int, int]) -> None:
    network = padviz.load(Padding(), (24, 31))
    np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(Padding(), size))
