"""Inputs beside the image: the image is the first that no shape is given for, and the others are constants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import padviz
from tests.cli.test_cli import run
from tests.torch_oracle import conv, counted

SIZES = [(16, 16), (24, 33)]


class Denoising(nn.Module):
    """A convolution of an image and of another one beside it, moved by the embedding of a time."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.time = conv(5, padding=2), conv(padding=1, stride=2), nn.Linear(1, 1)

    def forward(self, sample: Tensor, timestep: Tensor | float, other: Tensor) -> Tensor:
        if not torch.is_tensor(timestep):
            timestep = torch.tensor([timestep], dtype=sample.dtype, device=sample.device)
        moved = self.time(timestep.view(1, 1).to(self.time.weight.dtype)).to(sample.dtype)
        return self.b(self.a(sample) + moved[..., None, None] + self.a(other))


class Alone(Denoising):
    """The same of one image: what is constant has no gradient."""

    def forward(self, sample: Tensor) -> Tensor:  # type: ignore[override]
        return self.b(self.a(sample))


OTHERS: list[dict[str, Any]] = [
    {"timestep": 1, "other": (1, 1, "H", "W")},
    {"timestep": 0.5, "sample": (1, 1, "H", "W")},
    {"timestep": (1,), "other": (1, 1, 1, 1)},
]


@pytest.mark.parametrize("shapes", OTHERS, ids=str)
def test_one_input_is_the_image_and_the_others_are_constants(shapes: dict[str, Any]) -> None:
    network = padviz.load(Denoising(), 16, shape=shapes)
    assert network.fixed == ()
    for size in SIZES:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(Alone(), size))


def test_an_input_that_is_missing_is_asked_for() -> None:
    with pytest.raises(padviz.PadvizError, match=r"missing 2 .*; `shape` timestep=1x3xHxW, or a number as timestep=1"):
        padviz.load(Denoising(), 16)
    with pytest.raises(padviz.PadvizError, match=r"no input 'times'.*timestep"):
        padviz.load(Denoising(), 16, shape={"times": 1})
    with pytest.raises(padviz.PadvizError, match="only inputs of a PyTorch module"):
        padviz.load("resnet18", 16, shape={"timestep": 1})


def test_no_value_of_another_input_decides() -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = conv()

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.a(x[:, :, int(y.sum()) :])

    with pytest.raises(padviz.PadvizError, match=r"reads the values of .* given beside the image"):
        padviz.load(Deciding(), 16, shape={"y": (1,)})


NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image, other, t):
        return self.a(image) + self.a(other) * t
"""


def test_commands_take_inputs_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two_inputs_net.py").write_text(NET)
    asked = ["uneven", "two_inputs_net:Net", "--size", "32"]
    assert run(*asked, "--shape", "other=1x3xHxW", "--shape", "t=2").exit_code == 0
    assert "--shape: 'other=y' is no input; write NAME=1x3xHxW" in run(*asked, "--shape", "other=y").stderr
    assert "; --shape other=1x3xHxW, or a number as other=1" in run(*asked).stderr
