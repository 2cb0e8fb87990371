"""Which rows a resize reads, with which weights: as PyTorch and onnxruntime compute them."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional

import padviz
from padviz.cutting.windows import FEWEST, RESIZES, _Resize, _rows_and_weights
from padviz.errors import OptionError
from padviz.network.resize import (
    GRIDS,
    ROUNDINGS,
    SMALL,
    Resize,
    Runtime,
    as_computed,
    interpolated,
    nearest_rows,
)
from padviz.network.rewrites import with_exact_resizes
from tests.sweeps import SLOW

SIDE = 300
# torchvision's float32 on processors without fused multiply-add, which round x * y - 1/2 twice
FUSED = torch.backends.cpu.get_cpu_capability() != "DEFAULT"
STYLES = {
    "nearest": Resize(),
    "nearest-exact": Resize(grid="tf_half_pixel_for_nn"),
    "bilinear": Resize(mode="linear"),
    "bilinear, corners": Resize(mode="linear", align_corners=True),
    "bicubic": Resize(mode="cubic"),
    "bicubic, corners": Resize(mode="cubic", align_corners=True),
}


def pairs(everything: bool) -> Iterator[tuple[int, int]]:
    """All pairs of sizes below 300, or some hundreds of them."""
    drawn = random.Random(3)
    for n in range(1, SIDE):
        chosen = range(1, SIDE) if everything else [drawn.randrange(1, SIDE) for _ in range(4)]
        yield from ((n, m) for m in chosen)


EACH = [pytest.param(False, id="some"), pytest.param(True, id="all", marks=SLOW)]


def read_by(op: Resize, n: int, m: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a resize makes of a signal, by the rows and weights that padviz says."""
    made = np.zeros(m)
    for units, rows, weights in interpolated(op, n, m):
        made[units] += weights * x[rows]
    return made


@pytest.mark.parametrize("everything", EACH)
@pytest.mark.parametrize("columns", [8, 200])
@pytest.mark.parametrize("style", STYLES)
def test_rows_and_weights_are_those_of_pytorch(style: str, columns: int, everything: bool) -> None:
    mode, _, corners = style.partition(", ")
    noise = np.random.default_rng(0).random(SIDE)
    for n, m in pairs(everything):
        small = m + columns <= SMALL or not FUSED
        runtime: Runtime = "PyTorch on small maps" if small else "PyTorch"
        op = as_computed(STYLES[style], n, m, runtime)
        image = torch.from_numpy(noise[:n]).float().reshape(1, 1, n, 1).expand(1, 1, n, columns)
        given = {"align_corners": True} if corners else {}
        made = functional.interpolate(image.contiguous(), (m, columns), mode=mode, **given)
        tolerance = (n + 7) * 2.0**-21
        if "nearest" in mode:
            tolerance = 1e-7
        ours = read_by(op, n, m, noise)
        assert np.abs(made[0, 0, :, 0].numpy() - ours).max() <= tolerance, (n, m)


@pytest.mark.parametrize("everything", EACH)
@pytest.mark.parametrize("grid", GRIDS)
def test_rows_of_nearest_are_those_of_onnxruntime(grid: str, everything: bool) -> None:
    for rounding in ROUNDINGS:
        session = resize_session(grid, rounding)
        for n, m in pairs(everything):
            if n == m:
                continue  # which it copies
            op = Resize(grid=grid, rounding=rounding)  # type: ignore[arg-type]
            image = np.tile(np.arange(n, dtype=np.float32)[:, None], (1, 1, 1, 8))
            (made,) = session.run(None, {"x": image, "sizes": np.array([1, 1, m, 8])})
            ours = nearest_rows(as_computed(op, n, m, "onnxruntime"), n, m)
            assert made[0, 0, :, 0].tolist() == ours.tolist(), (n, m, rounding)


def resize_session(grid: str, rounding: str) -> onnxruntime.InferenceSession:
    tensors = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, None, 8]),
        helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]),
    ]
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        coordinate_transformation_mode=grid,
        nearest_mode=rounding,
    )
    graph = helper.make_graph([node], "resize", tensors, [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", RESIZES, ids=lambda function: function.__name__)
def test_cut_maps_ask_the_call_itself(function: object, dtype: torch.dtype) -> None:
    drawn, axes = random.Random(5), int(str(function)[-2])
    channels_last = (torch.contiguous_format, torch.channels_last, torch.channels_last_3d)[axes - 1]
    for _ in range(60):
        sizes = [drawn.randrange(1, (200, 200, 12)[axes - 1]) for _ in range(axes)]
        axis, n, m = drawn.randrange(axes), drawn.randrange(1, SIDE), drawn.randrange(1, SIDE)
        sizes[axis] = m
        corners = () if "nearest" in str(function) else (drawn.random() < 0.5,)
        scale = drawn.choice([None, 1.3, 41.0, m / n, 1 / 3])
        if m in (n, 2 * n):
            scale = None  # which some kernels leave aside at these sizes
        layout = drawn.choice([torch.contiguous_format, channels_last])
        kind = dtype, torch.device("cpu"), layout
        call = _Resize(function, corners, scale, axis, (*sizes,), *kind)  # type: ignore[arg-type]
        first, weights = _rows_and_weights(call, n, m)
        rows = (first + torch.arange(len(weights))[:, None]).clamp(0, n - 1)
        x = torch.rand(n, dtype=dtype, generator=torch.Generator().manual_seed(0))
        given = [1, 1, *[1] * axes]
        given[2 + axis] = n
        scales = [None] * axes
        scales[axis] = scale  # type: ignore[call-overload]
        image = x.reshape(given).expand(1, FEWEST, *[n if i == axis else 2 for i in range(axes)])
        image = image.contiguous(memory_format=layout)
        made = function.default(image, sizes, *corners, *scales)  # type: ignore[attr-defined]
        line = made.movedim(2 + axis, -1).reshape(-1, m)[0]
        assert float((line - (x[rows] * weights).sum(0)).abs().max()) <= 8 * torch.finfo(dtype).eps


class Resized(nn.Module):
    """A convolution in front of a resize, and one behind."""

    def __init__(self, axes: int, **how: Any) -> None:
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d)[axes - 1]
        self.first, self.last = conv(1, 1, 3, padding=1), conv(1, 1, 3, padding=1)
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.last(functional.interpolate(self.first(x), **self.how))
        return made


@pytest.mark.parametrize(
    ("n", "how"),
    [
        (14, {"size": 46}),
        (24, {"size": 152}),
        (76, {"size": 224}),
        (8, {"size": 110}),
        (96, {"scale_factor": 41}),
        (128, {"size": 121, "mode": "nearest-exact"}),
    ],
    ids=str,
)
def test_usage_is_the_gradient_where_float32_rounds(n: int, how: dict[str, Any]) -> None:
    module = Resized(1, **how)
    network = padviz.load(module, n)
    for weights in module.parameters():
        nn.init.ones_(weights)
    x = torch.zeros(1, 1, n, requires_grad=True)
    module(x).sum().backward()
    assert x.grad is not None
    assert padviz.usage(network, n).counts.ravel().tolist() == x.grad.flatten().tolist()
    assert "rounds in float32" in network.notes[0]
    # The rim is that of exact arithmetic.
    exact = with_exact_resizes(network)
    assert padviz.usage(network, n).summary().rim == padviz.usage(exact, n).summary().rim


def test_plain_tiles_are_refused_where_float32_rounds() -> None:
    with pytest.raises(OptionError, match="float32 rounds by the place"):
        padviz.tiles(Resized(2, size=224), 76, tile=38)


def test_a_resize_that_two_runtimes_round_otherwise_is_named(tmp_path: Path) -> None:
    module, file = Resized(2, size=232).eval(), tmp_path / "resized.onnx"
    torch.onnx.export(module, (torch.zeros(1, 1, 72, 72),), file, dynamo=False)
    (row,) = padviz.diff(module, file, size=72).to_rows()
    said = row["layer"], row["what"], row["value"], row["other_value"]
    by = "floor in float32, by PyTorch", "floor in float32, by onnxruntime"
    assert said == ("interpolate", "rounding", *by)
