"""Modules against PyTorch itself: windows, fits, products of slices, writes in place, padding by rules of their own."""

import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError, SizeError
from padviz.network.axis_maps import axis_map
from padviz.network.operations import Window, out_size
from padviz.sources.toml.build import parse
from padviz.sources.toml.write import to_toml
from tests import naive
from tests.test_laws import dense
from tests.torch_attention import After
from tests.torch_oracle import SumPool, conv, counted, sum_pool

SHAPES = [(k, s, p) for k, s in product(range(1, 7), range(1, 7)) for p in range(k // 2 + 1)]


@pytest.mark.parametrize("n", range(1, 8))
def test_ceil_rounding_takes_the_inputs_that_pytorch_takes(n: int) -> None:
    longer = 0
    for kernel, stride, pad in SHAPES:
        window = Window(kernel, stride, padding=(pad, pad), ceil=True)
        image = torch.zeros((1, 1, n, n), dtype=torch.float64, requires_grad=True)
        try:
            functional.max_pool2d(image, kernel, stride, pad, ceil_mode=True)
            made = sum_pool(image, kernel, stride, pad, ceil_mode=True)
        except RuntimeError:
            with pytest.raises(SizeError):
                out_size(window, n)
            continue
        longer += n + 2 * pad < kernel
        assert out_size(window, n) == made.shape[-1]
        made.sum().backward()
        assert image.grad is not None
        rows = dense(axis_map(window, n)).sum(axis=0)
        np.testing.assert_array_equal(np.outer(rows, rows), image.grad[0, 0].numpy())
        step = {"op": "maxpool", "name": "p", "kernel": kernel, "stride": stride, "padding": pad, "ceil": True}
        assert naive.usage([step], (n, n), ["p"]) == np.outer(rows, rows).tolist()
    assert longer or n > 5


@pytest.mark.parametrize("kind", [nn.MaxPool2d, nn.AvgPool2d])
def test_a_pool_longer_than_its_input_counts_like_the_gradient(kind: Any) -> None:
    pool = kind(5, 4, 1, ceil_mode=True)
    module, ones = (nn.Sequential(conv(stride=2, padding=1), made, conv(padding=1)) for made in (pool, SumPool(pool)))
    network = padviz.load(module, size=(32, 32))
    back = parse(tomllib.loads(to_toml(network)), "back")
    for size in [(3, 3), (4, 3), (2, 9), (5, 40), (33, 7)]:
        for each in (network, back):
            np.testing.assert_array_equal(padviz.usage(each, size).counts, counted(ones, size))
        assert all(row.height.input > 0 for row in padviz.uneven(network, size).layers)
    assert padviz.uneven(network, 3).layers[1].height.overhang == 1  # of two rows and two padded ones, a fifth
    assert int(padviz.taps(network, 3)[1].grid.sum()) == 4


HALVES = {
    "chunk": lambda y: y.chunk(2, 1),
    "slice": lambda y: (y[:, :4], y[:, 4:]),
    "unbind": lambda y: y.unflatten(1, (2, 4)).unbind(1),
    "index": lambda y: (y.unflatten(1, (2, 4))[:, 0], y.unflatten(1, (2, 4))[:, -1]),
}
PRODUCTS = {
    "product": lambda a, b: a * b,
    "gated": lambda a, b: a * torch.sigmoid(b.relu()),
    "sum": lambda a, b: a + b,
}


class Joined(nn.Module):
    def __init__(self, halves: Any, joined: Any, layers: int) -> None:
        super().__init__()
        self.a = nn.ModuleList(nn.Conv2d(3, 8 // layers, 3, padding=1) for _ in range(layers))
        self.b, self.halves, self.joined = nn.Conv2d(4, 4, 3, padding=1), halves, joined

    def forward(self, x: Tensor) -> Tensor:
        parts = [layer(x) for layer in self.a]
        return self.b(self.joined(*(self.halves(parts[0]) if len(parts) == 1 else parts)))


@pytest.mark.parametrize(
    ("halves", "joined"), [*((each, "product") for each in HALVES), *(("chunk", each) for each in PRODUCTS)]
)
def test_two_slices_of_one_layer_count_as_two_layers_do(halves: str, joined: str) -> None:
    one, two = (padviz.usage(Joined(HALVES[halves], PRODUCTS[joined], n), 12) for n in (1, 2))
    np.testing.assert_array_equal(one.counts, two.counts)
    assert one.max == 2 * 81


WRITTEN = {
    "GELU": lambda y: 0.5 * y * (1 + torch.tanh(0.8 * (y + 0.044715 * y**3))),
    "Snake": lambda y: y + torch.sin(y) ** 2,
    "Mish": lambda y: y * torch.tanh(torch.log(1 + torch.exp(y))),
    "picked": lambda y: torch.where(y > 0, y, 0.1 * y),
    "twice": lambda y: y + y,
    "layer norm": lambda y: (
        (y - y.mean(1, keepdim=True)) / (y - y.mean(1, keepdim=True)).square().mean(1, keepdim=True)
    ),
    "einsum": lambda y: torch.einsum("nchw,nchw->nchw", y, y.exp()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITTEN)
def test_a_function_of_one_map_counts_it_once_in_every_format(name: str, tmp_path: Path) -> None:
    ones = torch.ones(8, 8, 3, 3)
    module = After(lambda y: y + functional.conv2d(WRITTEN[name](y), ones, padding=1)).eval()
    image = torch.rand(1, 3, 12, 12)
    torch.onnx.export(module, (image,), tmp_path / "net.onnx", opset_version=13, dynamo=False)
    program = torch.export.export(module, (image,)).module()
    for source in (module, tmp_path / "net.onnx", program):
        assert padviz.usage(source, 12).max == 9 + 81


def test_what_is_computed_from_the_size_is_converted_for_that_size_alone(tmp_path: Path) -> None:
    ones = torch.ones(8, 8, 3, 3)
    module = After(lambda y: functional.conv2d(functional.adaptive_avg_pool2d(y, max(y.shape[-1] // 4, 3)), ones))
    network = padviz.load(module, 64)
    (tmp_path / "net.toml").write_text(to_toml(network))
    says = "# Read at 64 x 64, and fixed to it: at 96 x 96 adaptive_avg_pool differs."
    assert to_toml(network).startswith(says)
    assert padviz.usage(tmp_path / "net.toml").max == padviz.usage(network).max
    with pytest.raises(PadvizError, match="its height cannot be 100: the description holds at 64 x 64"):
        padviz.usage(tmp_path / "net.toml", 100)
    assert padviz.usage(network, 100).max > 0
    plain = to_toml(padviz.load(nn.Sequential(conv(padding=1)), 64))
    assert plain.startswith("# Read at 64 x 64; the layers were the same at 65 x 65, 66 x 66, ")
    assert "fixed" not in plain
