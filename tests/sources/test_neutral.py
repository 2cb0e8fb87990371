"""What `--neutral` may be said of: never of operations that move positions, in ONNX files and modules alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import padviz
from padviz.sources.tracing.moving import moves
from tests.cli.test_cli import told
from tests.sources.test_onnx_ops import model_of, saved

pytestmark = pytest.mark.usefixtures("elsewhere")

MOVING = [
    "Gather", "GatherElements", "GatherND", "ScatterND", "ScatterElements", "ReverseSequence", "Col2Im", "MaxUnpool",
    "NonMaxSuppression", "GridSample", "DeformConv", "Scan", "Loop", "If", "RoiAlign", "MaxRoiPool", "CumSum", "DFT",
    "STFT", "TopK", "Compress", "Trilu", "Conv", "AveragePool", "own.DeformConv2d", "com.microsoft.CropAndResize",
    "CenterCropPad", "Unique", "LSTM", "roll", "flip", "fliplr", "rot90", "unfold", "fold", "gather", "scatter_add",
    "index_put", "take_along_dim", "conv3d", "conv_transpose1d", "avg_pool1d", "max_pool3d", "max_unpool2d",
    "adaptive_avg_pool1d", "grid_sample", "grid_sampler_2d", "deform_conv2d", "roi_align", "nms", "sort", "topk",
    "cumsum", "fft_fft2", "lstm", "gru", "as_strided", "tril", "diagonal", "im2col",
]  # fmt: skip
STAYING = [
    "Foo", "own.Mystery", "Erf", "Gelu", "lgamma", "erfinv", "i0", "sinc", "heaviside", "frac",
    "com.microsoft.BiasGelu", "own.Clip6", "IsNaN", "digamma", "hypot", "own.FakeQuantize",
]  # fmt: skip


def test_operations_that_move_positions_are_told_by_their_words() -> None:
    assert [op for op in MOVING if not moves(op)] == []
    assert [op for op in STAYING if moves(op)] == []


@pytest.mark.parametrize("op", ["GatherElements", "ReverseSequence", "GridSample", "Col2Im", "MaxUnpool", "DeformConv"])
def test_neutral_is_neither_hinted_nor_taken_where_positions_move(op: str, tmp_path: Path) -> None:
    path = saved(model_of(f"a = Conv (x, w3x3)\n b = {op} (a, a)\n y = Conv (b, w3x3)", 18), tmp_path)
    with pytest.raises(
        padviz.PadvizError, match=f"{op} .opset 18. is not known, and moves .*; `layer` a stops"
    ) as error:
        padviz.usage(path, 32)
    assert "`neutral`" not in str(error.value)
    with pytest.raises(padviz.PadvizError, match=f"neutral: '{op}' moves positions or joins them"):
        padviz.load(path, neutral=[op])


class Rolled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.roll(self.conv(x), 1, 2)


def test_neutral_is_neither_hinted_nor_taken_for_a_function_that_moves_positions() -> None:
    with pytest.raises(padviz.PadvizError, match=r"function roll is not known, and moves .*; `layer` conv") as error:
        padviz.usage(Rolled(), 32)
    assert "`neutral`" not in str(error.value)
    with pytest.raises(padviz.PadvizError, match="neutral: 'roll' moves positions or joins them"):
        padviz.load(Rolled(), neutral=["roll"])


@pytest.mark.parametrize("command", ["usage", "uneven", "sizes", "layers"])
def test_commands_refuse_what_moves_positions_as_neutral(command: str, tmp_path: Path) -> None:
    path = saved(model_of("a = Conv (x, w3x3)\n y = GridSample (a, a)", 18), tmp_path)
    line = told(command, str(path), "--neutral", "GridSample")
    assert "neutral: 'GridSample' moves positions or joins them" in line
