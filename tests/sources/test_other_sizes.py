"""A module or a file is read at the size that is asked for: what it does there counts, whatever it does elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from tests.resized import judged
from tests.sweeps import REST, SLOW
from tests.torch_oracle import conv, counted


class Doing(nn.Module):
    """Something that depends on the size, and a convolution after it."""

    def __init__(self, what: Callable[[Tensor], Tensor], kernel: int = 3, stride: int = 3) -> None:
        super().__init__()
        self.what, self.conv = what, conv(kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.what(x))  # type: ignore[no-any-return]


def exported(module: nn.Module, path: Path, size: int) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (torch.zeros((1, 1, size, size), dtype=torch.float64),), path, input_names=["x"],
            dynamic_axes={"x": {2: "h", 3: "w"}}, dynamo=False,
        )  # fmt: skip
    return path


def to_threes(x: Tensor) -> Tensor:
    return functional.pad(x, (0, -x.shape[3] % 3, 0, -x.shape[2] % 3))


def to_twenty(x: Tensor) -> Tensor:
    return functional.pad(x, (0, max(20 - x.shape[3], 0), 0, max(20 - x.shape[2], 0)))


def by_the_size(x: Tensor) -> Tensor:
    return functional.pad(x, (1, 1, 1, 1)) if x.shape[2] < 20 else x


def by_a_tensor(x: Tensor) -> Tensor:
    return x[:, :, : int(torch.tensor(x.shape[2]).div(2).floor().item())]


@pytest.mark.parametrize("what", [to_threes, to_twenty, by_the_size, by_a_tensor])
def test_a_module_that_depends_on_its_size_is_right_at_each(what: Callable[[Tensor], Tensor]) -> None:
    network = padviz.load(Doing(what), size=(32, 32))
    for size in ((32, 32), (33, 31), (12, 40), (16, 9)):
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(Doing(what), size))
    assert padviz.usage(network, 16).notes == ()


def test_a_file_of_open_size_is_right_at_each(tmp_path: Path) -> None:
    path = exported(Doing(to_threes), tmp_path / "net.onnx", 32)
    for size in ((32, 32), (33, 31), (12, 40)):
        np.testing.assert_array_equal(padviz.usage(path, size).counts, counted(Doing(to_threes), size))


def test_a_size_that_a_forward_refuses_is_refused_in_its_own_words() -> None:
    class Even(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv()

        def forward(self, x: Tensor) -> Tensor:
            if x.shape[-1] % 2:
                raise ValueError("the width must be even")
            return self.conv(x)  # type: ignore[no-any-return]

    network = padviz.load(Even(), size=(32, 32))
    with pytest.raises(PadvizError, match=r"forward fails on 1 x 32 x 31: ValueError: the width must be even"):
        padviz.usage(network, (32, 31))
    assert padviz.usage(network, (31, 32)).max == 9


def test_a_network_is_read_once_at_each_size() -> None:
    seen = []

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv()

        def forward(self, x: Tensor) -> Tensor:
            seen.append(tuple(x.shape[2:]))
            return self.conv(x)  # type: ignore[no-any-return]

    network = padviz.load(Counting(), size=(32, 32))
    for _ in range(2):
        padviz.usage(network, 32)
        padviz.usage(network, (40, 32), "reflect")
        padviz.uneven(network, (40, 32))
    assert seen == [(32, 32), (40, 32)]


@pytest.mark.parametrize("seed", range(3))
def test_random_modules_are_right_at_every_size(seed: int) -> None:
    said = [line for number in range(12) for line in judged(Random(f"{seed}/{number}"))]
    assert {*said} <= {"right", "refused"}, said
    assert said.count("right") > 20


@pytest.mark.parametrize("modules", [pytest.param(300, marks=SLOW), pytest.param(3000, marks=REST)])
def test_many_random_modules_are_right_at_every_size(modules: int) -> None:
    said = [line for number in range(modules) for line in judged(Random(f"many/{number}"))]
    assert {*said} <= {"right", "refused"}, [line for line in said if line not in ("right", "refused")][:9]
    assert said.count("right") > said.count("refused")
