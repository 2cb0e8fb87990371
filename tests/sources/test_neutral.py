"""What `--neutral` may be said of: never of operations that move positions, in ONNX files and modules alike."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.overrides import get_testing_overrides

import padviz
from padviz.errors import PadvizError
from padviz.sources.torch.call import stem_of
from padviz.sources.torch.functions import TABLE
from padviz.sources.torch.tensors import CONSTANTS, op_of
from padviz.sources.tracing.reading import moves
from tests.sources.test_onnx_ops import model_of, saved
from tests.torch_attention import After

MOVING = [
    "Gather", "GatherElements", "GatherND", "ScatterND", "ScatterElements", "ReverseSequence", "Col2Im", "MaxUnpool",
    "NonMaxSuppression", "GridSample", "DeformConv", "Scan", "Loop", "If", "RoiAlign", "MaxRoiPool", "CumSum", "DFT",
    "STFT", "TopK", "Compress", "Trilu", "Conv", "AveragePool", "own.DeformConv2d", "com.microsoft.CropAndResize",
    "CenterCropPad", "Unique", "LSTM", "gather", "conv3d", "grid_sampler_2d", "nms", "lstm", "im2col", "foreach_add",
    "own.SumPositions",
]  # fmt: skip
STAYING = [
    "Foo", "own.Mystery", "Erf", "Gelu", "lgamma", "erfinv", "i0", "sinc", "heaviside", "frac",
    "com.microsoft.BiasGelu", "own.Clip6", "IsNaN", "digamma", "hypot", "own.FakeQuantize",
]  # fmt: skip


def test_operations_that_move_positions_are_told_by_their_words() -> None:
    assert [op for op in MOVING if not moves(op)] == []
    assert [op for op in STAYING if moves(op)] == []


@pytest.mark.parametrize("op", ["GridSample", "rot90"])
def test_neutral_is_neither_hinted_nor_taken_where_positions_move(op: str, tmp_path: Path) -> None:
    network: Any = After(lambda x: x.rot90(2, (2, 3)))
    if op != "rot90":
        network = saved(model_of(f"conv = Conv (x, w3x3)\n b = {op} (conv, conv)\n y = Conv (b, w3x3)", 18), tmp_path)
    with pytest.raises(PadvizError, match=f"{op} .*is not known, and moves .*; `layer` conv stops") as error:
        padviz.usage(network, 32)
    assert "neutral=" not in str(error.value)
    with pytest.raises(PadvizError, match=f"neutral: '{op}' moves positions or joins them"):
        padviz.load(network, neutral=[op])


def test_a_neutral_operation_of_several_maps_sees_all_of_them(tmp_path: Path) -> None:
    nodes = "a = Conv (x, w3x3)\n b = Conv <dilations = [1, 1]> (x, w3x3)\n c = {} (a, b)\n y = Conv (c, w3x3)"
    taken = padviz.load(saved(model_of(nodes.format("Fuse"), 18), tmp_path), neutral="Fuse")
    added = padviz.load(saved(model_of(nodes.format("Add"), 18), tmp_path))
    assert [layer.kind for layer in taken.layers] == ["input", "conv", "conv", "add", "conv"]
    assert (padviz.usage(taken, 32).counts == padviz.usage(added, 32).counts).all()


def test_what_makes_another_shape_is_not_elementwise() -> None:
    net = padviz.load(After(lambda y: functional.mse_loss(y, y.sin())), size=16, neutral=["mse_loss"])
    with pytest.raises(PadvizError, match=r"mse_loss makes .* of 1 x 8 x 16 x 16, so it is not elementwise; `layer`"):
        padviz.usage(net)


def joins(function: Callable[..., Any], args: Sequence[Any]) -> bool:
    """Whether a function of maps makes one of their size that depends, at a position, on others."""
    torch.manual_seed(0)
    one = torch.rand(1, 2, 6, 6) + 0.1
    other = one.clone()
    other[:, :, 2, 3] += 0.37
    try:
        made = [function(*(image.clone() if each == "map" else each for each in args)) for image in (one, one, other)]
        first, again, changed = (each if isinstance(each, torch.Tensor) else each[0] for each in made)
        if first.shape[-2:] != (6, 6) or not first.eq(again).all():
            return False  # another size, or random
        differs = first.ne(changed).reshape(-1, 6, 6).any(0)
    except Exception:
        return False
    differs[2, 3] = False
    return bool(differs.any())


@pytest.mark.filterwarnings("ignore")
def test_no_function_of_pytorch_that_joins_positions_can_be_called_neutral() -> None:
    functions = {op_of(each): each for each in get_testing_overrides()}
    asked = {
        op: each for op, each in functions.items() if stem_of(op) not in TABLE and op not in CONSTANTS and not moves(op)
    }
    ways = [["map"], ["map", "map"], ["map", 2], ["map", "map", "map"]]
    assert [op for op, each in asked.items() for args in ways if joins(each, args)] == []
    assert joins(torch.cdist, ["map", "map"])
    assert len(asked) > 300
