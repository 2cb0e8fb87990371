"""Kernels that are computed from the image: gates, whichever function or file convolves by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from tests.sources.test_onnx_ops import model_of
from tests.torch_oracle import conv, counted

Made = Callable[[Tensor, Tensor, nn.Linear], Tensor]  # of a map, the vector of its means, and a layer that makes 8 x 72


def _patches(y: Tensor, v: Tensor, lin: nn.Linear) -> Tensor:
    return functional.linear(y.flatten(2).mT, lin(v)[0, :64].view(8, 8)).mT.reshape(y.shape)


KERNELS: dict[str, Made] = {
    "depthwise": lambda y, v, lin: functional.conv2d(y, lin(v).view(8, 1, 3, 3), padding=1, groups=8),
    "transposed": lambda y, v, lin: functional.conv_transpose2d(y, lin(v).view(8, 1, 3, 3), padding=1, groups=8),
    "rows alone": lambda y, v, lin: functional.conv1d(y.mean(2), lin(v)[0, :24].view(8, 1, 3), groups=8, padding=1),
    "linear": lambda y, v, lin: functional.linear(y.permute(0, 2, 3, 1), lin(v)[0, :64].view(8, 8)),
    "linear over patches": _patches,
    "codebook": lambda y, v, lin: functional.embedding(y.argmax(1), lin(v).view(8, 9)).permute(0, 3, 1, 2),
    "bias": lambda y, v, lin: functional.conv2d(y, lin.weight[:8].view(8, 8, 1, 1), lin(v)[0, :8]),
}


class Computed(nn.Module):
    def __init__(self, made: Made) -> None:
        super().__init__()
        self.conv, self.lin, self.made = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 72), made

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.made(y, y.mean((2, 3)), self.lin)


@pytest.mark.parametrize("name", KERNELS)
def test_no_tile_is_exact_where_a_kernel_is_computed(name: str) -> None:
    module = Computed(KERNELS[name]).double()
    image = torch.rand(1, 3, 24, 32, dtype=torch.float64, requires_grad=True)
    module(image)[..., 5].sum().backward()
    assert image.grad is not None
    assert image.grad[0, 0].all()  # it is global indeed
    with pytest.raises(PadvizError, match=r"no tiles are exact: .*(gate|global pooling)"):
        padviz.tiles(module, 96, 48)


def test_a_computed_kernel_counts_as_any_other() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = conv(padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            ones = y.detach().mean((2, 3)).mul(0).add(1) if x.requires_grad else y.mean((2, 3))
            return functional.conv2d(y, ones.view(1, 1, 1, 1).expand(1, 1, 3, 3), padding=1)

    network = padviz.load(Twice(), size=(12, 16))
    assert network.gates == ("conv.gate",)
    assert (padviz.usage(network, size=(12, 16)).counts == counted(Twice(), (12, 16))).all()


REFUSED: dict[str, tuple[Made, str]] = {
    "a map": (
        lambda y, v, lin: functional.conv2d(y[:, :1], y[0, :, None, :3, :3]),
        "conv2d has a kernel that is made of a map",
    ),
    "picked": (lambda y, v, lin: y[:, v[0].topk(3).indices], "picks channels by the values of a map"),
    "selected": (lambda y, v, lin: y.index_select(1, v[0].topk(3).indices), "picks channels by the values of a map"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_kernels_and_channels_by_the_values_of_a_map_are_refused(name: str) -> None:
    made, says = REFUSED[name]
    with pytest.raises(PadvizError, match=says):
        padviz.usage(Computed(made), size=24)


GRAPHS = {
    "conv": "k = Conv (p, f1x1x9)\nw = Reshape (k, s)\nz = Conv <pads = [1, 1, 1, 1]> (a, w)",
    "transposed": "k = Conv (p, f1x1x9)\nw = Reshape (k, s)\nz = ConvTranspose <pads = [1, 1, 1, 1]> (a, w)",
    "a bias": "k = Squeeze (p, t)\nz = Conv (a, w1x1, k)",
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graphs_computed_kernel_is_a_gate(name: str, tmp_path: Path) -> None:
    constants = "s = Constant <value = int64[4] {1, 1, 3, 3}> ()\nt = Constant <value = int64[3] {0, 2, 3}> ()\n"
    body = f"{constants}a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)\np = GlobalAveragePool (a)\n{GRAPHS[name]}\n"
    onnx.save(model_of(body + "y = Identity (z)", 17), path := tmp_path / "net.onnx")
    network = padviz.load(path, size=(24, 32))
    with pytest.raises(PadvizError, match=r"no tiles are exact: .*(gate|global pooling)"):
        padviz.tiles(network, 96, 48)
    if name != "a bias":
        twice = nn.Sequential(conv(padding=1), conv(padding=1))
        assert (padviz.usage(network, size=24).counts == counted(twice, (24, 24))).all()
