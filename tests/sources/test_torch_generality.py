"""Modules that write in place, pad by rules of their own, or branch on the size: never a wrong count without a word."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from padviz.sources.toml.write import to_toml
from tests.cli.test_cli import run
from tests.torch_oracle import conv, counted


class Doing(nn.Module):
    """Two convolutions with something between them, which may read the image too."""

    def __init__(self, what: Callable[..., Tensor], first: nn.Module | None = None, second: nn.Module | None = None):
        super().__init__()
        self.a, self.b, self.what = first or conv(padding=1), second or conv(padding=1), what

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.what(self.a(x), x))


def emptied(y: Tensor, x: Tensor) -> Tensor:
    y[:, :, :, :2] = 0
    return y


def rewritten(y: Tensor, x: Tensor) -> Tensor:
    y[..., 1:] = y[..., :-1].clone()
    return y


def scaled(y: Tensor, x: Tensor) -> Tensor:
    y[:, :, ::2] *= 3
    return y


@pytest.mark.parametrize("what", [emptied, rewritten, scaled, lambda y, x: (y[:, :, 0].zero_(), y)[1]])
def test_writing_into_rows_or_columns_is_refused(what: Callable[..., Tensor]) -> None:
    with pytest.raises(PadvizError, match="`layer`"):
        padviz.usage(Doing(what), 16)


def fitted(y: Tensor, x: Tensor) -> Tensor:
    """Give back the columns that a window took, as many as ever, and the row that pooling lost, if it did."""
    y = functional.interpolate(functional.avg_pool2d(y, (2, 1), divisor_override=1), scale_factor=(2.0, 1.0))
    return functional.pad(y, (1, 1, 0, x.shape[2] - y.shape[2]))


FOLLOWED: dict[str, Callable[[], nn.Module]] = {
    "the whole of a tensor is written": lambda: Doing(lambda y, x: y.relu_().mul_(2).add_(1)),
    "a vector that is added": lambda: Doing(lambda y, x: y + x.sum((2, 3), keepdim=True)),
    "a pad that is SAME along columns alone": lambda: Doing(fitted, conv((1, 3)), conv()),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_is_done_between_convolutions_is_followed(name: str) -> None:
    module = FOLLOWED[name]()
    network = padviz.load(module)
    ones = Doing(lambda y, x: y) if "written" in name else module
    for size in [(24, 25), (25, 24)]:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(ones, size))


class Same(nn.Module):
    """TensorFlow's SAME, worked out by hand before each convolution: kernel, stride and dilation."""

    def __init__(self, *shapes: tuple[int, int, int]) -> None:
        super().__init__()
        self.shapes = shapes
        self.layers = nn.ModuleList(conv(k, stride=s, dilation=d) for k, s, d in shapes)

    def forward(self, x: Tensor) -> Tensor:
        for layer, (k, s, d) in zip(self.layers, self.shapes, strict=True):
            pads: list[int] = []
            for n in (x.shape[3], x.shape[2]):
                total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
                pads += [total // 2, total - total // 2]
            x = layer(functional.pad(x, pads))
        return x


SAMES = [((5, 3, 1),), ((3, 2, 1), (5, 3, 1), (3, 2, 2)), ((7, 3, 1), (3, 2, 1), (5, 2, 1)), ((3, 2, 1),) * 5]


@pytest.mark.parametrize("shapes", SAMES, ids=str)
def test_padding_worked_out_by_hand_holds_at_all_sizes(shapes: tuple[tuple[int, int, int], ...]) -> None:
    module = Same(*shapes)
    network = padviz.load(module)
    for size in [(n, n + 7) for n in range(33, 45)] + [(31, 224), (101, 99)]:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(module, size))


def test_what_is_computed_from_the_size_is_converted_for_that_size_alone(tmp_path: Path) -> None:
    module = Doing(lambda y, x: functional.adaptive_avg_pool2d(y, max(x.shape[-1] // 4, 3)))
    network = padviz.load(module, 64)
    (tmp_path / "net.toml").write_text(to_toml(network))
    says = "# Read at 64 x 64, and fixed to it: at 96 x 96 adaptive_avg_pool is otherwise."
    assert to_toml(network).startswith(says)
    assert padviz.usage(tmp_path / "net.toml").max == padviz.usage(network).max
    with pytest.raises(PadvizError, match="its height cannot be 100: the description holds at 64 x 64"):
        padviz.usage(tmp_path / "net.toml", 100)
    assert padviz.usage(network, 100).max > 0
    plain = to_toml(padviz.load(nn.Sequential(conv(padding=1)), 64))
    assert plain.startswith("# Read at 64 x 64; the layers were the same at 65 x 65, 66 x 66, ")
    assert "fixed" not in plain


BRANCHING = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.c = nn.Conv2d(3, 3, 3, stride=2)

    def forward(self, x):
        print("noise on stdout")
        assert x.shape[-1] != 25, "odd"
        return self.b(self.a(x)) if x.shape[-1] > 40 else self.c(self.a(x))
"""


@pytest.fixture
def branching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "branching_net", raising=False)
    Path("branching_net.py").write_text(BRANCHING)
    return "branching_net:Net"


@pytest.mark.parametrize("sizes", ["32,25,64", "25,64,32"])
def test_a_size_that_a_module_refuses_fails_alone(branching: str, sizes: str) -> None:
    result = run("export", branching, "--size", sizes, "-o", "out", "--jobs", "1")
    assert result.exit_code == 3
    assert result.stdout.split()[:6] == ["made", "2", "kept", "0", "failed", "1"]
    assert result.stderr.startswith("padviz: Net-25-usage: branching_net:Net: its forward fails on 3 x 25 x 25")
    assert result.stderr.count("\n") == 1
    for size, most in ((32, 25), (64, 81)):
        (record,) = Path("out").glob(f"*-{size}-usage.json")
        assert json.loads(record.read_text())["figures"]["max"] == most


def test_sizes_are_read_before_they_are_listed(branching: str) -> None:
    found = padviz.sizes(padviz.load(branching, 64), "32:70")
    assert found.balanced == tuple(n for n in range(32, 71) if padviz.uneven(branching, n).balanced)


def test_softmax_over_columns_sees_its_row() -> None:
    counts = padviz.usage(nn.Sequential(conv(1), nn.Softmax(dim=3)), (4, 5), unit=(2, 3)).counts
    assert [len({*axis}) for axis in np.nonzero(counts)] == [1, 5]


def test_one_half_of_the_columns_gating_the_other_is_refused() -> None:
    with pytest.raises(PadvizError, match="one half of the rows or columns"):
        padviz.usage(nn.Sequential(conv(1), nn.GLU(dim=3), conv(1)), 16)


def test_a_compiled_module_is_the_module_inside() -> None:
    module = nn.Sequential(conv(padding=1))
    assert (padviz.usage(torch.compile(module), 9).counts == padviz.usage(module, 9).counts).all()
