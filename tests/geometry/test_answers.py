"""The sentences of `layers`, `stream` and `uneven` on receptive fields, delay and lost samples, against PyTorch."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.nn import functional

import padviz
from padviz.cli.group import cli


def screen(result: object) -> str:
    return " ".join(str(result).split())


def seen_by(module: nn.Module, size: tuple[int, ...], unit: int) -> list[tuple[int, int]]:
    """The first and the last input row on each axis of which a unit has a gradient, where all weights are 1."""
    for weight in module.parameters():
        nn.init.ones_(weight)
    image = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
    out = module.double()(image)[0, 0]
    out[(unit,) * len(size)].backward()
    assert image.grad is not None
    places = np.nonzero(image.grad[0, 0].numpy())
    return [(int(rows.min()), int(rows.max())) for rows in places]


def test_layers_answers_with_the_field_stride_and_first_centre_of_both_axes() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 1, (5, 3), stride=(1, 2), padding=(2, 1)),
        nn.Conv2d(1, 1, 3, stride=2, padding=1),
        nn.AvgPool2d(2),
        nn.Conv2d(1, 1, 3, padding=2, dilation=2),
    )
    first, second = (seen_by(module, (96, 192), unit) for unit in (10, 11))
    sizes = [last - first + 1 for first, last in first]
    strides = [second[axis][0] - first[axis][0] for axis in range(2)]
    centres = [sum(first[axis]) / 2 - 10 * strides[axis] for axis in range(2)]
    said = (
        f"Receptive field of 3: {sizes[0]} x {sizes[1]} px (height x width), "
        f"stride {strides[0]} x {strides[1]}, "
        f"centre of the first unit at {centres[0]:g} x {centres[1]:g} px."
    )
    assert said in screen(padviz.layers(module, (96, 192), layer="3"))


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_narrow_terminals_keep_the_field_and_the_stride(columns: int) -> None:
    run = CliRunner().invoke(
        cli, ["layers", "resnet50", "--size", "224"], env={"COLUMNS": str(columns)}
    )
    assert run.exit_code == 0
    headings = next(line for line in run.output.split("\n") if line.startswith(" layer"))
    assert {"field", "stride"} <= {*headings.split()}


class Fusion(nn.Module):
    """A stem of stride 4, and a branch of stride 8 that is added to it."""

    def __init__(self, align_corners: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(*(nn.Conv2d(1, 1, 3, 2, 1, bias=False) for _ in range(2)))
        self.fine = nn.Conv2d(1, 1, 3, 1, 1, bias=False)
        self.coarse = nn.Conv2d(1, 1, 3, 2, 1, bias=False)
        self.align_corners = align_corners

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        stem = self.stem(image)
        fine = self.fine(stem)
        mode = {"mode": "bilinear", "align_corners": self.align_corners}
        return fine + functional.interpolate(self.coarse(stem), fine.shape[-2:], **mode)


def test_layers_says_where_branches_with_different_centres_meet() -> None:
    said = screen(padviz.layers(Fusion(False), 256))
    assert (
        "meet at add: fine (stride 4, offset -1.5) and interpolate (stride 4, offset -3.5)." in said
    )
    # the control: aligned corners at a balanced size
    assert "different centres" not in screen(padviz.layers(Fusion(True), 257))
    mirrored = Fusion(True).double()
    image = torch.rand(1, 1, 257, 257, dtype=torch.float64)
    for weight in mirrored.parameters():
        nn.init.ones_(weight)
    torch.testing.assert_close(mirrored(image.flip(-1)), mirrored(image).flip(-1))


@pytest.mark.parametrize("size", [224, 225])
def test_layers_says_how_far_off_the_map_of_a_mirrored_image_lies(size: int) -> None:
    module = nn.Sequential(*(nn.Conv2d(1, 1, 3, 2, 1) for _ in range(3)))
    units = module(torch.zeros(1, 1, size, size)).shape[-1]
    low, high = seen_by(module, (size, size), units // 2)[1]
    # the unit that mirrors this one sees other rows of the image
    start, stop = seen_by(module, (size, size), units - 1 - units // 2)[1]
    off = abs((low + high) / 2 - (size - 1 - (start + stop) / 2))
    said = screen(padviz.layers(module, size))
    assert ("mirrored image" in said) == (off > 0)
    if off:
        assert f"The map of a mirrored image lies {off:g} px off" in said
