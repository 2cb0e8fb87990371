"""The sentences of `layers`, `stream` and `uneven` on receptive fields, delay and lost samples, against PyTorch."""

import re

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


class Padded(nn.Module):
    """A convolution of a signal behind a pad of its own, as causal layers are written."""

    def __init__(self, kernel: int, stride: int, pads: tuple[int, int], dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, stride, dilation=dilation, bias=False)
        self.pads = pads

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.pad(signal, self.pads))


def encoder(timely: bool, strides: tuple[int, ...] = (4, 4, 4, 2)) -> nn.Sequential:
    """Sixteen bands of audio, and causal layers that pad too much in front unless they are timely."""
    layers: list[nn.Module] = [Padded(64, 16, (48, 0))]
    for stride in strides:
        pads = (stride, stride - 1) if timely else (2 * stride - 1, 0)
        layers += [Padded(3, 1, (4, 0), dilation=2), Padded(2 * stride, stride, pads)]
    return nn.Sequential(*layers, Padded(3, 1, (2, 0)))


@pytest.mark.parametrize("timely", [False, True])
def test_stream_says_what_too_much_padding_in_front_costs(timely: bool) -> None:
    module = encoder(timely)
    # the last sample that the unit of the tenth stride sees
    (_, last), *_ = seen_by(module, (20 * 2048,), 9)
    missed = 10 * 2048 - 1 - last
    said = screen(padviz.stream(module, rate=48000))
    assert ("Too much padding in front" in said) == (missed > 0) == (not timely)
    if missed:
        assert f"read the last {missed:,} input samples ({missed / 48:.1f} ms) of a stride" in said
        assert "Pad 2.conv 4+3 instead of 7+0" in said
        assert padviz.stream(module).late == missed == 2032  # 42 ms at 48 kHz


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(15, 6, 1), (5, 2, 1), (5, 2, 2)])
def test_the_pads_that_are_named_read_every_sample_and_no_later_one(
    kernel: int, stride: int, dilation: int
) -> None:
    lost = nn.Sequential(Padded(kernel, stride, (dilation * (kernel - 1), 0), dilation))
    said = screen(padviz.uneven(lost, 20 * stride))
    named = re.search(r"leaves the last (\d+) of \d+ samples unread: pad 0.conv (\d+)\+(\d+)", said)
    assert named, said
    unread, first, last = map(int, named.groups())
    assert seen_by(lost, (20 * stride,), 19)[0][1] == 20 * stride - 1 - unread
    mended = nn.Sequential(Padded(kernel, stride, (first, last), dilation))
    assert [seen_by(mended, (20 * stride,), unit)[0][1] for unit in (10, 19)] == [
        11 * stride - 1,
        20 * stride - 1,
    ]
    assert "unread" not in screen(padviz.uneven(mended, 20 * stride))


def test_uneven_names_the_samples_of_a_signal_that_are_left_and_how_many_to_add() -> None:
    windows = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
    module = nn.Sequential(*(Padded(kernel, stride, (0, 0)) for kernel, stride in windows))
    said = screen(padviz.uneven(module, 3200))
    assert re.findall(r"(\S+) leaves the last (\d+) of (\d+) samples unread: pad (\d+)", said) == [
        ("5.conv", "1", "39", "1"),
        ("6.conv", "1", "19", "1"),
    ]
    assert "skewed" not in said
    for at in (5, 6):
        module[at].pads = (0, 1)
    sizes = [module[: at + 1](torch.zeros(1, 1, 3200)).shape[-1] for at in (4, 5, 6)]
    assert sizes == [39, 20, 10]
    assert "unread" not in screen(padviz.uneven(module, 3200))


class Trimmed(nn.Module):
    """A transposed convolution without its last samples, or without its first as well."""

    def __init__(self, stride: int, both: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(1, 1, 2 * stride, stride, bias=False)
        self.ends = (stride * both, stride)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        made = self.conv(signal)
        return made[..., self.ends[0] : made.shape[-1] - self.ends[1]]


def decoder(both: bool) -> nn.Sequential:
    """Frames to 1,920 samples each, causal but for what is trimmed."""
    layers: list[nn.Module] = [nn.ConvTranspose1d(1, 1, 2, 2), nn.ConvTranspose1d(1, 1, 2, 2)]
    for stride in (8, 5, 4, 3):
        layers += [Trimmed(stride, both), Padded(7, 1, (6, 0))]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("both", [False, True])
def test_stream_says_how_short_a_chunk_is_that_is_run_alone(both: bool) -> None:
    module = decoder(both)
    lacking = 25 * 1920 - module(torch.zeros(1, 1, 25)).shape[-1]
    stream = padviz.stream(module, 25, size=100, rate=24000)
    said = screen(stream)
    assert ("run alone" in said) == (lacking > 0) == both
    if both:
        assert lacking == 555
        assert f"is short of 1.16 % of 9.conv: {lacking} samples (23.1 ms) at each boundary" in said
        grows = [layer.short for layer in stream if layer.layer.endswith("slice")]
        assert grows == [8, 45, 184, 555]


def test_milliseconds_are_those_of_the_denser_end() -> None:
    smooth = nn.Sequential(nn.Conv1d(1, 1, 5, padding=2), nn.Conv1d(1, 1, 8, 4, padding=2))
    (row,) = (row for row in padviz.stream(smooth, 16, rate=16000).to_rows() if row["layer"] == "1")
    assert row["lag_ms"] == row["lag"] / 16
    upwards = nn.ConvTranspose1d(1, 1, 8, 4, padding=2)
    (row,) = padviz.stream(upwards, 16, rate=16000).to_rows()
    assert row["lag_ms"] == row["lag"] * 4 / 16


@pytest.mark.parametrize("rate", [0, -1, 1.5, True])
def test_a_rate_is_a_positive_integer(rate: float) -> None:
    with pytest.raises(padviz.PadvizError, match=r"rate: .*must be an integer, at least 1"):
        padviz.stream(nn.Conv1d(1, 1, 3), rate=rate)
