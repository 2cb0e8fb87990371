"""What is copied along rows, columns or both: strips, pooled vectors, images that a fully connected layer makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from tests.sources.test_moving import check_supports
from tests.sources.test_torch_functions import After

SIZE = (12, 16)


def strips(x: Tensor) -> tuple[Tensor, Tensor]:
    return functional.adaptive_avg_pool2d(x, (None, 1)), functional.adaptive_avg_pool2d(x, (1, None))


def bottleneck(x: Tensor) -> Tensor:
    """A fully connected layer that makes an image again."""
    made = functional.linear(x.flatten(1), torch.rand(2 * 12 * 16, 8 * 12 * 16).to(x))
    return functional.conv2d(made.view(1, 2, 12, 16), torch.rand(3, 2, 3, 3).to(x), padding=1)


SPREAD: dict[str, Callable[[Tensor], Tensor]] = {
    "expand_as": lambda x: x * sum(each.expand_as(x) for each in strips(x)).sigmoid(),
    "expand": lambda x: x + strips(x)[0].expand(-1, -1, -1, x.shape[3]),
    "repeat": lambda x: x + strips(x)[1].repeat(1, 1, x.shape[2], 1),
    "repeat channels": lambda x: functional.conv2d(x.repeat(1, 2, 1, 1), torch.rand(2, 16, 3, 3).to(x)),
    "broadcast": lambda x: x * sum(strips(x)).sigmoid(),
    "a vector": lambda x: x + functional.conv2d(
        functional.adaptive_avg_pool2d(x, 1).expand_as(x), torch.rand(8, 8, 1, 1).to(x)
    ),
    "fully connected": bottleneck,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SPREAD)
def test_what_is_copied_is_seen_from_all_its_copies(name: str, tmp_path: Path) -> None:
    module = After(SPREAD[name])
    network = padviz.load(module, size=SIZE)
    check_supports(module, network, SIZE)
    if name == "fully connected":
        return  # what the exporter makes of random weights has no shape
    image = torch.rand(1, 3, *SIZE)
    torch.onnx.export(module.float(), (image,), path := tmp_path / "net.onnx", opset_version=17, dynamo=False)
    np.testing.assert_array_equal(padviz.usage(path, SIZE).counts, padviz.usage(network, SIZE).counts)


def coordinates(x: Tensor) -> Tensor:
    """Coordinate attention: pooled rows and pooled columns as one dimension."""
    rows, columns = strips(x)
    both = functional.relu(torch.cat([rows, columns.transpose(2, 3)], 2))
    return x * both[:, :, : x.shape[2]].sigmoid() * both[:, :, x.shape[2] :].transpose(2, 3).sigmoid()


def patches(x: Tensor) -> Tensor:
    """Patches as a batch, each convolved with its own padding."""
    n, c, h, w = x.shape
    parts = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, 4, 4)
    return functional.conv2d(parts, torch.rand(8, 8, 3, 3).to(x), padding=1)


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "coordinate attention": (coordinates, "puts rows beside columns, as coordinate attention does"),
    "patches": (patches, "convolves inside of windows, each padded by itself|reads parts of an image as a batch"),
    "flip": (lambda x: functional.conv2d(x.flip(3), torch.rand(8, 8, 3, 3).to(x)), "mirrors|reverses the order of"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused_by_name(name: str, tmp_path: Path) -> None:
    function, said = REFUSED[name]
    module = After(function)
    torch.onnx.export(module, (torch.rand(1, 3, *SIZE),), path := tmp_path / "net.onnx", opset_version=17, dynamo=False)
    for source in (module, path):
        with pytest.raises(padviz.PadvizError, match=said):
            padviz.usage(source, SIZE)


@pytest.mark.filterwarnings("ignore")
def test_a_recurrence_that_runs_one_way_is_refused(tmp_path: Path) -> None:
    class Codec(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lstm = nn.Conv1d(1, 8, 7, 2, 3), nn.LSTM(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            y, _ = self.lstm(self.conv(x).permute(2, 0, 1))
            return y.permute(1, 2, 0)

    torch.onnx.export(Codec(), (torch.rand(1, 1, 64),), path := tmp_path / "net.onnx", dynamo=False)
    for source in (Codec(), path):
        with pytest.raises(padviz.PadvizError, match="sees what comes before each position alone"):
            padviz.usage(source, 64)
