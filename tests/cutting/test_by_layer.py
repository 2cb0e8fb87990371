"""Modules that run layer by layer on maps that are cut: as on the whole, or refused by name."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves

import padviz
from padviz.cutting import by_layer, cut_map, windows
from padviz.cutting.by_layer import sharded
from padviz.cutting.cut_map import SAME, Link
from padviz.cutting.nodes import Team
from padviz.cutting.segments import choose
from padviz.cutting.shards import owned
from padviz.cutting.streaming import Site, Streamed
from padviz.errors import DescriptionError, OptionError
from padviz.network.operations import Window
from padviz.network.reads import real_rows
from padviz.nn import padded, padded_conv2d
from tests import signals


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


class Call(nn.Module):
    """A module of one function."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def image(*shape: int, seed: int = 0) -> Tensor:
    """Noise that is brighter and rougher on one side."""
    made = torch.Generator().manual_seed(seed)
    noise = torch.randn(shape, generator=made, dtype=torch.float64)
    return noise * torch.linspace(0.5, 2, shape[-1]) + torch.linspace(-1, 3, shape[-2])[:, None]


def apart(one: Tensor, other: Tensor) -> float:
    """Return the largest difference over the largest value."""
    assert one.shape == other.shape
    return float((one - other).abs().max() / one.abs().max())


def tiles_of(model: nn.Module, x: Tensor, rows: int, columns: int) -> Any:
    return by_layer.by_layer(model, x, {-2: rows, -1: columns})


def planned(model: nn.Module, x: Tensor, parts: dict[int, int]) -> Any:
    """Run a module on parts, storing no more maps than was planned without data."""
    tried = by_layer.dry_run(model, x.shape[1], x.shape[2:], parts)
    assert tried.notes
    segments = choose(tried.notes, inf, lambda segments: 0)
    return by_layer.by_layer(model, x, parts, segments=segments)


GRID = torch.linspace(0, 1, 12, dtype=torch.float64)
KERNEL = torch.linspace(-1, 1, 3 * 5, dtype=torch.float64).reshape(3, 5)
CALLS: dict[str, Callable[[Tensor], Any]] = {
    "hardswish": functional.hardswish,
    "in place": lambda x: functional.hardswish(x * 1, inplace=True).mul_(2),
    "glu": lambda x: functional.glu(torch.cat([x, x * 2], 1), 1),
    "stack": lambda x: torch.stack([x, x * 2], 1).sum(1),
    "select": lambda x: x[:, 1],
    "maximum over channels": lambda x: x.max(1)[0],
    "moments": lambda x: (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True),
    "one axis": lambda x: x / x.std((2,), keepdim=True),
    "extremes": lambda x: (x - x.amin((2, 3), keepdim=True)) / x.amax((2, 3), keepdim=True),
    "norm": lambda x: x / x.norm(p=2, dim=(2, 3), keepdim=True),
    "layer norm": lambda x: functional.layer_norm(
        x, x.shape[1:], torch.ones(x.shape[1:], dtype=x.dtype) * GRID
    ),
    "channels last": lambda x: functional.layer_norm(x.permute(0, 2, 3, 1), (3,)).permute(
        0, 3, 1, 2
    ),
    "instance norm": functional.instance_norm,
    "values by position": lambda x: x * GRID,
    "softmax": lambda x: x.softmax(1),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "shuffle channels": nn.ChannelShuffle(3),
    "adaptive": lambda x: functional.adaptive_avg_pool2d(x, (5, 1)),
    "global": lambda x: functional.adaptive_avg_pool2d(x, 1).flatten(1),
    "crop": lambda x: x[:, :, 2:-1, 1::2],
    "pad": lambda x: functional.pad(x, (1, -2, 3, 4), value=2.0),
    "dilated": lambda x: functional.conv2d(
        x, KERNEL.T[:, :, None, None].expand(5, 3, 3, 2), padding=9, dilation=(5, 7)
    ),
    "image as kernel": lambda x: functional.conv2d(x, x.mean((0, 2, 3)).reshape(1, 3, 1, 1)),
    "matmul": lambda x: x.permute(0, 2, 3, 1) @ KERNEL,
    "transpose": lambda x: x.transpose(2, 3).movedim(1, -1),
    "area": lambda x: functional.interpolate(x, size=(9, 6), mode="area"),
    "ceil": lambda x: (
        functional.avg_pool2d(x, 3, 2, ceil_mode=True)
        + functional.avg_pool2d(x, 4, 2, 1, count_include_pad=False)
    ),
    "ceil with padding": lambda x: functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "ceil beyond the padding": lambda x: functional.avg_pool2d(
        x, (5, 4), (4, 3), (2, 1), ceil_mode=True
    ),
    "adaptive max": lambda x: functional.adaptive_max_pool2d(x, (5, 1)),
    "global max": lambda x: functional.adaptive_max_pool2d(x, 1),
    "average of all": lambda x: functional.avg_pool2d(x, x.shape[2:]).flatten(1),
    "average of a column": lambda x: functional.avg_pool2d(x, (18, 3), 2, (0, 1)),
    "channels in another order": lambda x: (
        x[:, [2, 1, 0]] + x.index_select(1, torch.tensor([0, 0, 1]))
    ),
    "norm of the batch": lambda x: functional.batch_norm(
        x, None, None, KERNEL[0, :3], KERNEL[1, :3], training=True
    ),
    "batch norm of channels that are cut": lambda x: functional.batch_norm(
        (x.reshape(54, 12) * 2).reshape(1, 3, 18, 12), KERNEL[0, :3], KERNEL[1, :3] ** 2 + 1
    ),
    "max": lambda x: functional.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "max of integers": lambda x: functional.max_pool2d((x * 10).int(), 3, 1, 1).double(),
    "valid": lambda x: functional.conv2d(
        x, KERNEL[:, :, None, None].expand(3, 5, 3, 2)[:, :3], padding="valid"
    ),
    "keywords": lambda x: functional.linear(
        bias=None, weight=KERNEL.T[:, :3], input=x.movedim(1, -1)
    ),
    "vector": lambda x: KERNEL[0, :3] @ x.permute(2, 0, 1, 3),
    "matrix for each row": lambda x: (
        x.permute(0, 2, 3, 1) @ (KERNEL * torch.arange(18.0)[:, None, None])
    ),
    "matrices in front": lambda x: KERNEL.T[:, :3].expand(2, 1, 1, 5, 3) @ x.permute(0, 2, 1, 3),
    "squeeze of one row": lambda x: x[:, :, :7].squeeze(2),
    "circular crop": lambda x: functional.pad(x, (-1, 2, 3, -2), mode="circular"),
    "pad by nothing": lambda x: (lambda y: (functional.pad(y, (0, 0)).mul_(2), y)[1])(x * 1),
    "pixels": lambda x: functional.pixel_shuffle(functional.pixel_unshuffle(x, 2), 2),
    **{
        f"pad {mode}": lambda x, mode=mode: functional.pad(x, (2, 1, 4, 0), mode)
        for mode in ("reflect", "replicate", "circular")
    },
    **{
        f"padded convolution, {schemes[0]} and {schemes[1]}": lambda x, schemes=schemes: (
            padded_conv2d(
                x,
                KERNEL[:, :, None, None].expand(3, 5, 4, 3)[:, :3],
                KERNEL[:, 0],
                1,
                ((2, 3), (2, 2)),
                1,
                1,
                schemes,
            )
        )
        for schemes in product(
            ("zero", "circular", "symmetric", "reflect", "replicate", "partial"), repeat=2
        )
    },
    "pads and crops by a scheme": lambda x: padded(
        x, ((3, -1), (-2, 4)), ("symmetric", "zero"), value=2.0
    ),
    "a row padded by schemes": lambda x: padded(
        x[:, :, 4:5], ((1, 0), (2, 3)), ("symmetric", "circular")
    ),
    "columns in front of rows": lambda x: padded(
        x, ((3, 2), (2, 4)), ("symmetric", "circular"), (-1, -2)
    ),
}
RESIZES: dict[str, Callable[[Tensor], Any]] = {
    "resize of one row": lambda x: functional.interpolate(x[:, :, 4:5], (3, 7), mode="bilinear"),
    "resize to one row": lambda x: functional.interpolate(x, (1, 7), mode="bilinear"),
    "resize to the same": lambda x: (
        lambda y: (functional.interpolate(y, scale_factor=1).mul_(2), y)[1]
    )(x * 1),
    **{
        f"{mode} {size}{' corners' * bool(corners)}": lambda x, mode=mode, size=size, corners=corners: (
            functional.interpolate(
                x,
                mode=mode,
                align_corners=corners,
                **{"scale_factor" if isinstance(size, float) else "size": size},
            )
        )
        for mode, corners in (
            ("nearest", None),
            ("bilinear", False),
            ("bilinear", True),
            ("bicubic", False),
        )
        for size in (2.0, 3.0, 0.5, 2.3, (41, 29))
    },
}


PARTS = ({-2: 3, -1: 2}, {-1: 5}, {-2: 7})


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("parts", PARTS)
def test_calls_on_parts_are_calls_on_the_whole(name: str, parts: dict[int, int]) -> None:
    x, model = image(1, 3, 18, 12), Call(CALLS[name])
    assert apart(CALLS[name](x), by_layer.by_layer(model, x, parts)) < 1e-12


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", RESIZES)
@pytest.mark.parametrize("parts", PARTS)
def test_resizes_on_parts_are_resizes_of_the_whole(name: str, parts: dict[int, int]) -> None:
    x, model = image(1, 3, 18, 12), Call(RESIZES[name])
    assert apart(RESIZES[name](x), by_layer.by_layer(model, x, parts)) < 1e-12


@pytest.mark.parametrize("parts", [{2: 2}, {3: 2, 4: 3}])
def test_a_volume_is_resized_by_the_kernel_of_its_layout(parts: dict[int, int]) -> None:
    """Of nine columns PyTorch takes others at this scale if channels are last."""
    x = image(1, 4, 6, 5, 9).contiguous(memory_format=torch.channels_last_3d)
    model = nn.Upsample(scale_factor=(1.0, 1.0, 1.1))
    assert apart(model(x), by_layer.by_layer(model, x, parts)) == 0


def written(write: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """Return what writes into a copy, and returns it."""

    def call(x: Tensor) -> Tensor:
        y = x * 1
        write(y)
        return y * 3

    return call


def filled(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :1] = x[:, 2:]
    y[:, 1:] = x[:, :2]
    return y


def woven(x: Tensor) -> Tensor:
    y = x.new_empty(*x.shape[:3], 2 * x.shape[3])
    y[..., ::2] = x * 2
    y[..., 1::2] = x * 3
    return y


def viewed_or(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a view, or a map as it is where it has no such view."""
    try:
        return x.view(*shape)
    except RuntimeError:
        return x


def weight(kernel: int) -> Tensor:
    return KERNEL[:, :3, None, None].expand(3, 3, kernel, kernel).contiguous()


def doubled_copy(x: Tensor) -> Tensor:
    """Add a copy that is written into; of a channels-last map it is the map itself."""
    return x + x.permute(0, 2, 3, 1).contiguous().mul_(2).permute(0, 3, 1, 2)


def normed_and_mixed(x: Tensor) -> Tensor:
    """Normalise a channels-last map by groups, which copies it without data alone."""
    y = functional.layer_norm(x.permute(0, 2, 3, 1), (3,)).permute(0, 3, 1, 2)
    y = functional.group_norm(y, 1)
    for _ in range(3):
        y = functional.conv2d(y, weight(1))
    return y


IN_PARTS: dict[str, Callable[[Tensor], Any]] = {
    "channel": written(lambda y: y[:, 1].zero_()),
    "rows": written(lambda y: y[:, :, 2:7].mul_(2)),
    "last rows": written(lambda y: y[:, :, -3:, :4].add_(y[:, :1, -3:, :4] * 1)),
    "row": written(lambda y: y[:, :, 5].fill_(7)),
    "reshaped": written(lambda y: y.view(1, 3, 18, 12, 1)[:, 0].mul_(2)),
    "turned": written(lambda y: y.permute(0, 2, 3, 1)[..., 0].mul_(2)),
    "transposed": written(lambda y: y.transpose(1, 2)[:, 3].neg_()),
    "chunks": lambda x: (lambda a, b, c: a.mul_(2) + b + c.exp_())(*(x * 1).chunk(3, 1)),
    "filled": filled,
    "masked": written(lambda y: y.__setitem__(y < 0, 0.0)),
    "number": written(lambda y: y.__setitem__((..., 0, slice(None)), 7.0)),
    "view that fails": lambda x: (lambda y: viewed_or(y, (1, 3, -1, 7)) * 2)(x * 1),
    "woven": woven,
    "last column": written(lambda y: y[..., -1].fill_(7)),
    "first column": written(lambda y: y[..., :1].mul_(2)),
    "channel of a column": written(lambda y: y[..., 0][:, 1].fill_(7)),
    "column of a channel": written(lambda y: y[:, 1][..., 0].fill_(7)),
    "column of a mean": written(lambda y: y[..., 0].copy_(y.mean(-1))),
    "token": lambda x: (lambda t: (t[:, 0].zero_(), t)[1])(x.flatten(2).transpose(1, 2) * 1),
    "columns by index": written(lambda y: y.__setitem__((..., torch.tensor([0, 3])), 7.0)),
    "column of the unbound": written(lambda y: y.unbind(-1)[1].mul_(2)),
    "copy of the permuted": lambda x: (
        lambda y: y.permute(0, 2, 3, 1).contiguous().mul_(2).sum(-1) + y.sum(1)
    )(x * 1),
    "copy of the reshaped": lambda x: (lambda y: (y.transpose(1, 3).reshape(-1).mul_(2), y)[1])(
        x * 1
    ),
    "channels last": lambda x: (
        lambda y: (y.contiguous(memory_format=torch.channels_last).mul_(2), y)[1]
    )((x * 1).contiguous(memory_format=torch.channels_last)),
    "convolution of channels last": lambda x: doubled_copy(
        functional.conv2d(x.contiguous(memory_format=torch.channels_last), weight(1))
    ),
    "pointwise weights of channels last": lambda x: doubled_copy(
        functional.conv2d(x, weight(1).to(memory_format=torch.channels_last))
    ),
    "weights of channels last": lambda x: doubled_copy(
        functional.conv2d(x, weight(3).to(memory_format=torch.channels_last))
    ),
    "group norm of channels last": normed_and_mixed,
    "windows of channels last": lambda x: (
        functional.conv2d(x.contiguous(memory_format=torch.channels_last), weight(3))
        .unfold(2, 3, 1)
        .mean(-1)
    ),
    "activation of a part": lambda x: torch.cat(
        [functional.relu((x * 1)[:, :1], inplace=True), x[:, 1:]], 1
    ),
}


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", IN_PARTS)
@pytest.mark.parametrize("parts", PARTS)
def test_parts_of_maps_are_written_into(name: str, parts: dict[int, int]) -> None:
    x, model = image(1, 3, 18, 12), Call(IN_PARTS[name])
    assert apart(IN_PARTS[name](x), by_layer.by_layer(model, x, parts)) < 1e-12
    assert apart(IN_PARTS[name](x), planned(model, x, parts)) < 1e-12


RESIZED: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "nearest 32 -> 214": ((32, 3), {"size": (214, 3)}),
    "nearest 147 -> 516": ((147, 3), {"scale_factor": (516 / 147, 1.0)}),
    "nearest 8 -> 110": ((8, 8), {"size": 110}),
    "nearest 72 -> 232": ((72, 12), {"size": (232, 100)}),
    "nearest, a signal by 41": ((96,), {"scale_factor": 41}),
    "nearest, a volume": ((10, 12, 8), {"size": (23, 31, 47)}),
    "nearest-exact 108 -> 169": ((108, 3), {"size": (169, 3), "mode": "nearest-exact"}),
    "nearest-exact 14 -> 365": (
        (14, 3),
        {"scale_factor": (365 / 14, 1.0), "mode": "nearest-exact"},
    ),
    "linear, long": ((3000,), {"size": 11111, "mode": "linear"}),
    "bilinear by 2": ((30, 20), {"scale_factor": 2, "mode": "bilinear"}),
    "bilinear, corners": ((30, 20), {"size": (77, 9), "mode": "bilinear", "align_corners": True}),
    "bicubic by 5/2": ((30, 20), {"scale_factor": 2.5, "mode": "bicubic"}),
    "area": ((30, 20), {"size": (17, 90), "mode": "area"}),
}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", RESIZED)
def test_resizes_are_those_of_the_whole_map(name: str, dtype: torch.dtype, mode: Any) -> None:
    """Rows and weights are rounded by the map's type, and by their place in the whole map."""
    size, given = RESIZED[name]
    x = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    model = Call(lambda x: functional.interpolate(x, **given))
    with mode():
        parts = dict.fromkeys(range(-len(size), 0), 3)
        difference = apart(model(x), by_layer.by_layer(model, x, parts))
    assert difference <= 8 * torch.finfo(dtype).eps


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_a_pad_that_copies_other_rows_is_refused(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_on(window: Window, n: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return real_rows(window, n, rows + 1)

    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode)).eval()
    monkeypatch.setattr(windows, "real_rows", one_on)
    with pytest.raises(DescriptionError, match="0: cannot be cut: it pads with other rows"):
        sharded(module, torch.zeros(1, 3, 20, 24), 2)


def test_integers_are_resized_as_in_the_whole() -> None:
    x = (image(1, 3, 18, 12) * 40).abs().to(torch.uint8)
    model = Call(lambda x: functional.interpolate(x, size=(25, 31), mode="bilinear"))
    assert torch.equal(model(x), tiles_of(model, x, 3, 2))


GATHERED: dict[str, Callable[[Tensor], Any]] = {
    "attention": lambda x: functional.scaled_dot_product_attention(x, x, x),
    "attention over positions": lambda x: attended(x) + x,
    "masked attention": lambda x: functional.scaled_dot_product_attention(
        x, x, x, attn_mask=torch.arange(18)[:, None] > torch.arange(18)
    ),
    "attention of two widths": lambda x: functional.scaled_dot_product_attention(
        x, x, x[..., :5] * 2
    ),
    "attention by products": lambda x: (
        (x.flatten(2).transpose(1, 2) @ x.flatten(2)).softmax(-1) @ x.flatten(2).transpose(1, 2)
    ),
    "products": lambda x: x @ x.transpose(2, 3),
    "product with itself": lambda x: x[..., :12, :] @ x[..., :12, :],
    "flatten": lambda x: x.flatten(2),
    "flatten all": lambda x: functional.linear(x.flatten(1), GRID.new_ones(2, 648)),
    "gate of flattened rows": lambda x: x * x.flatten(2).mean(-1)[..., None, None],
    "softmax": lambda x: x.softmax(-1),
    "softmax over positions": lambda x: x.flatten(2).softmax(-1),
    "log of a softmax": lambda x: x.log_softmax(2),
    "log of a sum": lambda x: x - x.logsumexp((2, 3), keepdim=True),
    "roll": lambda x: x.roll(1, 2),
    "mirror": lambda x: x.flip(2) + x.flip(3),
    "running sum": lambda x: x.cumsum(3),
    "sorted columns": lambda x: x.sort(3)[0],
    "grid": lambda x: functional.grid_sample(
        x, torch.zeros(1, 4, 4, 2).double(), align_corners=False
    ),
    "row": lambda x: x[:, :, 0],
    "antialias": lambda x: functional.interpolate(x, size=(9, 6), mode="bilinear", antialias=True),
    "linear": lambda x: functional.linear(x, KERNEL.new_ones(2, 12)),
    "indices": lambda x: functional.max_pool2d(x, 2, return_indices=True)[0],
    "indices of the largest": lambda x: functional.adaptive_max_pool2d(x, 1, return_indices=True)[
        0
    ],
    "rows in another order": lambda x: x[:, :, [2, 1, 0]],
    "rows by index": lambda x: x.index_select(2, torch.tensor([0, 0, 1])),
    "numpy": lambda x: torch.from_numpy(x.numpy()),
    "comparison": lambda x: x if torch.equal(x, x) else -x,
    "single row": lambda x: x[:, :, :1].squeeze(2),
    "expanded row": lambda x: x[:, :, :1].expand(1, 3, 18, 12) * 1,
    "unbound rows": lambda x: x.unbind(2)[0],
    "complex": lambda x: (x * 1j).std((2, 3)),
    "join": lambda x: torch.cat([x[..., -2:], x, x[..., :3]], 3),
    "join of rows": lambda x: torch.cat([x, x], 2),
    "windows": lambda x: x.reshape(1, 3, 3, 6, 2, 6).transpose(3, 4).softmax(-1).sum(-2),
    "values": lambda x: x * float(x.max()),
    "counts": lambda x: x.argmax(3),
    "turned": lambda x: x[..., :12, :] + x[..., :12, :].transpose(2, 3),
    "median": lambda x: x - x.median(),
}


def attended(x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    made = functional.scaled_dot_product_attention(tokens, tokens * 2, tokens)
    return made.transpose(1, 2).reshape(x.shape)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", GATHERED)
@pytest.mark.parametrize("parts", PARTS)
def test_what_reads_all_positions_is_put_together(name: str, parts: dict[int, int]) -> None:
    x = image(1, 3, 18, 12)
    whole = GATHERED[name](x)
    found = by_layer.by_layer(Call(GATHERED[name]), x, parts)
    assert found.dtype == whole.dtype
    assert apart(whole, found) < 1e-12


REFUSED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "given": (lambda x: torch.mul(x, 2, out=x * 1), "writes into what is given as `out`"),
    "data": (lambda x: setattr(x, "data", x.new_zeros(x.shape)), "sets the `data` of a map"),
    "with a view": (
        lambda x: (lambda y: (y[:, :2], y.mul_(2)))(x * 1),
        "writes into a map that shares its memory",
    ),
    "overlapping views": (
        lambda x: (lambda y: (y[:, :2], y[:, 1:].mul_(2)))(x * 1),
        "writes into a map that shares its memory",
    ),
    "every other row": (lambda x: (x * 1)[:, :, ::2].mul_(2), "writes into every few rows"),
    "dropout": (lambda x: functional.dropout(x, 0.5, True), "draws random numbers: call .eval()"),
    "training": (
        lambda x: functional.batch_norm(x, KERNEL[0, :3] * 1, KERNEL[1, :3] * 1, training=True),
        "training mode: call .eval()",
    ),
    "with a row": (
        lambda x: (lambda y: (y[:, :, 0], y.mul_(2)))(x * 1),
        "writes into a map that shares its memory",
    ),
    "empty": (lambda x: x[:, :, :0].mean(), "an empty map"),
}


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_cut_is_refused_by_name(name: str) -> None:
    function, says = REFUSED[name]
    model = nn.Sequential(nn.Identity(), Call(function))
    for parts in PARTS[0], {-2: 3}:
        with pytest.raises(DescriptionError, match=r"^1: cannot be cut: ") as caught:
            by_layer.by_layer(model, image(1, 3, 18, 12), parts)
        assert says in str(caught.value)


class Counting(nn.Module):
    """A module with a counter, casts, and several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 8)
        self.norm, self.calls = nn.GroupNorm(2, 8), torch.zeros(())

    def forward(self, x: Tensor) -> dict[str, Any]:
        y = self.conv(x).relu()
        with torch.autocast("cpu", torch.bfloat16):
            mixed = y * y.mean()
            z = self.linear(mixed.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            z = functional.interpolate(z, scale_factor=2, mode="bilinear")
        self.calls += 1
        counted = z * self.calls
        self.calls += 1
        return {"norm": self.norm(counted.float()), "others": (y, z)}


def test_casts_counters_and_hooks_are_as_in_the_whole() -> None:
    torch.manual_seed(0)
    model, x, seen = Counting().eval(), image(1, 3, 18, 12).float(), list[int]()
    assert by_layer.dry_run(model, 3, (18, 12), {-2: 3, -1: 2}).notes
    assert float(model.calls) == 0
    model.conv.register_forward_hook(lambda *_: seen.append(1))
    whole = model(x)
    model.calls.zero_()
    found = tiles_of(model, x, 3, 2)
    assert (float(model.calls), len(seen)) == (2, 2)
    for one, other in zip(tree_leaves(whole), tree_leaves(found), strict=True):
        assert one.dtype == other.dtype
        assert apart(one.float(), other.float()) < 0.02
    with torch.autocast("cpu", torch.bfloat16):
        assert apart(model.conv(x).float(), tiles_of(model.conv, x, 3, 2).float()) < 0.01
    with torch.inference_mode():
        assert tiles_of(model.conv, x, 3, 2).shape == (1, 8, 18, 12)


class Keeping(nn.Module):
    """A module that adds the map of the call before, which it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.kept = nn.Conv2d(3, 4, 3, padding=1), list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        self.kept.append(y)
        return sum(self.kept[:-1], y)


def test_what_a_module_keeps_between_calls_is_whole() -> None:
    torch.manual_seed(0)
    model, x = Keeping().double().eval(), image(1, 3, 18, 12)
    whole = [model(x), model(x)]
    model.kept.clear()
    found = [tiles_of(model, x, 3, 2), tiles_of(model, x, 2, 2)]
    for one, other in zip(whole, found, strict=True):
        assert apart(one, other) < 1e-12
    assert apart(model.kept[0], model.conv(x)) < 1e-12


KEPT: dict[str, Tensor] = {}


class Outside(nn.Module):
    """A module that keeps its map in a dict of the process."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        KEPT["map"] = self.conv(x)
        return KEPT["map"] * 2


def test_what_is_kept_outside_of_the_module_is_refused() -> None:
    with pytest.raises(DescriptionError, match="Outside: cannot be cut: it keeps a map outside of"):
        padviz.tiles(Outside(), 32, 16, norms="shared")
    KEPT.clear()


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 18, 12)])
def test_a_tensor_that_is_written_into_later_is_not_read(shape: tuple[int, ...]) -> None:
    def written(x: Tensor) -> Tensor:
        bias = torch.linspace(0, 1, prod(shape), dtype=x.dtype).reshape(shape)
        y = x + bias
        bias += 1
        return y

    x = image(1, 3, 18, 12)
    if torch.is_inference_mode_enabled():  # which counts no writes, so the tensor is copied
        assert apart(written(x), tiles_of(Call(written), x, 3, 2)) < 1e-12
        return
    with pytest.raises(DescriptionError, match="reads a tensor that was written into since"):
        tiles_of(Call(written), x, 3, 2)


def test_a_module_that_runs_otherwise_is_planned_again() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 3, 3, padding=1), None

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x)
            if self.last is not None:
                y = self.conv(y + self.last)
            self.last = y
            return y

    torch.manual_seed(0)
    model, x = Twice().double().eval(), image(1, 3, 18, 12)
    first = padviz.tiles(model, (18, 12), (9, 6), norms="shared").plan
    y = model.conv(x)
    assert apart(y, padviz.tiled(model, x, first)) < 1e-12
    second = padviz.tiles(model, (18, 12), (9, 6), norms="shared").plan
    assert apart(model.conv(y + y), padviz.tiled(model, x, second)) < 1e-12
    model.last = None
    with pytest.raises(DescriptionError, match="runs otherwise than when it was planned; plan it"):
        padviz.tiled(model, x, second)


@dataclass(frozen=True)
class Decoded:
    sample: Tensor


class Decoding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Decoded, None, int, Tensor]:
        return Decoded(self.conv(x)), None, 3, self.conv(x)


def test_what_is_returned_in_objects_and_beside_others_is_whole() -> None:
    model, x = Decoding().double(), image(1, 3, 18, 12)
    conv, found = model.conv, planned(model, x, {-2: 3, -1: 2})
    assert type(found[0].sample) is Tensor
    assert found[1:3] == (None, 3)
    assert apart(conv(x), found[0].sample) < 1e-12
    out = torch.empty(1, 4, 18, 12).double()
    by_layer.by_layer(model, x, {-2: 3}, out=[out])
    assert apart(conv(x), out) < 1e-12


WRAPPED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "parallel": nn.DataParallel,
    "scripted": torch.jit.script,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "branch": lambda model: Call(lambda x: model(x) if x.mean() > 0 else -model(x)),
    "frozen": lambda model: model.requires_grad_(False),
}


@pytest.mark.usefixtures("mode")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_modules_are_cut(name: str) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(True), nn.Upsample(scale_factor=2), nn.GroupNorm(2, 4)
    model, x = WRAPPED[name](nn.Sequential(*layers).double().eval()), image(1, 3, 18, 12)
    assert apart(model(x), tiles_of(model, x, 3, 2)) < 1e-12


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_traced_module_is_cut() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()).double(), image(1, 3, 18, 12)
    assert apart(model(x), tiles_of(torch.jit.trace(model, x), x, 3, 2)) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norms_in_half_precision_do_not_overflow(dtype: torch.dtype) -> None:
    x = (image(1, 4, 200, 100) * 8 + 30).to(dtype)
    for model in (nn.GroupNorm(1, 4).to(dtype), Call(lambda x: x.std((2, 3)))):
        assert apart(model(x), tiles_of(model, x, 3, 2)) < 0.01


def test_maps_of_one_row_are_not_mixed_up() -> None:
    x = image(1, 3, 1, 12)
    model = Call(lambda x: x + x.transpose(2, 3)).eval()
    assert apart(model(x), sharded(model, x, 2, axis="width")) < 1e-12


def random_layers(seed: int, signal: bool = False) -> nn.Module:
    """Return a few layers of all kinds: dilation near the map's size, pads beyond the kernel, norms at the end."""
    made = torch.manual_seed(seed)

    def pick(*values: Any) -> Any:
        return values[int(torch.randint(len(values), (1,), generator=made))]

    conv, up, pool = (
        (nn.Conv1d, nn.ConvTranspose1d, nn.MaxPool1d)
        if signal
        else (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d)
    )
    average = nn.AvgPool1d if signal else nn.AvgPool2d
    layers: list[nn.Module] = []
    for _ in range(pick(2, 3, 4)):
        k, s, d, p = pick(1, 2, 3, 5), pick(1, 1, 2, 3), pick(1, 1, 2, 6), pick(0, 1, 2, 7)
        kinds: list[Callable[[], nn.Module]] = [
            lambda k=k, s=s, d=d, p=p: conv(4, 4, k, s, p, d),
            lambda k=k, d=d: conv(
                4,
                4,
                k,
                padding="same",
                dilation=d,
                padding_mode=pick("zeros", "reflect", "replicate"),
            ),
            lambda k=k, s=s, d=d, p=p: up(4, 4, k, s, min(p, d * (k - 1)), dilation=d),
            lambda s=s: pool(3, s, 1, ceil_mode=pick(True, False)),
            lambda s=s: average(2, s),
            lambda: nn.Upsample(
                scale_factor=pick(2, 3), mode=pick("nearest", "linear" if signal else "bilinear")
            ),
            lambda: nn.GELU(),
        ]
        layers.append(pick(*kinds)())
    if not signal:
        layers.append(pick(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.Identity()))
    return nn.Sequential(*layers).double().eval()


def runs(model: nn.Module, x: Tensor) -> Tensor | None:
    try:
        return model(x)  # type: ignore[no-any-return]
    except RuntimeError:
        return None  # the image is too small


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("seed", range(20))
def test_random_layers_on_shards_are_the_whole(seed: int) -> None:
    model, x = random_layers(seed), image(1, 4, 23 + seed % 7, 31, seed=seed)
    whole = runs(model, x)
    if whole is None:
        return
    for n in (2, 3, 5):
        assert apart(whole, sharded(model, x, n)) < 1e-12
        assert apart(whole, sharded(model, x, n, axis="width")) < 1e-12
    assert apart(whole, tiles_of(model, x, 3, 4)) < 1e-12


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("seed", range(20))
def test_random_layers_on_streams_are_the_whole(seed: int) -> None:
    model, x = random_layers(seed, signal=True), image(1, 4, 97 + seed, seed=seed)
    whole = runs(model, x)
    if whole is None:
        return
    for chunk in (1, 13, 64):
        stream = Streamed(model)
        pieces = [*map(stream, x.split(chunk, -1)), stream.flush()]
        assert apart(whole, torch.cat(pieces, -1)) < 1e-12


def test_each_part_runs_on_no_more_than_a_tile_and_its_halo() -> None:
    sizes = []

    def watched(x: Tensor, kernel: Tensor) -> Tensor:
        sizes.append(tuple(x.shape[-2:]))
        return functional.relu(x)

    class Watching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return cut_map.linked(
                watched,
                (x, KERNEL),
                {},
                lambda tensor: [Link(dim, dim, SAME) for dim in getattr(tensor, "cut", ())],
            )

    model = nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=2), Watching(), nn.Conv2d(4, 4, 5, padding=2), nn.GroupNorm(2, 4)
    ).double()
    tiles_of(model, image(1, 3, 40, 60), 4, 3)
    assert max(height for height, _ in sizes) == 10 + 4
    assert max(width for _, width in sizes) == 20 + 4


@pytest.mark.parametrize("seed", range(8))
def test_one_row_less_of_halo_differs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 5, 1 + seed % 2, 2), nn.ReLU(), nn.ConvTranspose2d(4, 4, 4, 2, 1)
    )
    model, x = model.double().eval(), image(1, 3, 40, 16, seed=seed)
    whole, rows = model(x), Team.rows
    assert apart(whole, sharded(model, x, 3)) < 1e-12

    def less(self: Team, x: Tensor, n: int, dim: int, wanted: Any, k: int) -> Tensor:
        found = rows(self, x, n, dim, wanted, k)
        if wanted(k)[0][1] > owned(n, 3)[k][1]:  # the last row that it has of another
            found = found.clone()
            found.narrow(dim, found.shape[dim] - 1, 1).zero_()
        return found

    monkeypatch.setattr(Team, "rows", less)
    assert apart(whole, sharded(model, x, 3)) > 1e-3


SIGNALS = {
    "tcn": (signals.Tcn, 1),
    "encoder": (signals.encoder, 1),
    "decoder": (signals.decoder, 8),
    "causal decoder": (signals.CausalDecoder, 8),
    "demucs": (signals.Demucs, 1),
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("chunk", [1, 7, 97, 1000])
def test_streams_are_the_whole(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    build, channels = SIGNALS[name]
    torch.manual_seed(1)
    model, x = build().double().eval(), image(1, channels, 320)
    stream = Streamed(model)
    for _ in range(2):  # a stream begins anew after its end
        pieces = [*map(stream, x.split(chunk, -1)), stream.flush()]
        assert apart(model(x), torch.cat(pieces, -1)) < 1e-12
    if chunk == 97:
        drop = Site.drop

        def forget(self: Site, row: int, maps: Any) -> None:
            drop(self, row, maps)
            for (at, rows), each in zip(self.buffers, maps, strict=True):
                if at == row and rows.shape[each.along]:
                    rows.narrow(each.along, 0, 1).zero_()

        monkeypatch.setattr(Site, "drop", forget)
        pieces = [*map(stream, x.split(chunk, -1)), stream.flush()]
        assert apart(model(x), torch.cat(pieces, -1)) > 1e-6


def test_a_causal_network_holds_nothing_back() -> None:
    stream = Streamed(signals.Tcn().double())
    assert [stream(image(1, 1, 10)).shape[-1] for _ in range(3)] == [10, 10, 10]
    assert stream.flush().shape[-1] == 0


STREAMED = {
    "norm": (
        nn.Sequential(nn.Conv1d(1, 2, 3), nn.GroupNorm(1, 2)),
        "1: cannot be cut: it pools all positions",
    ),
    "recurrence": (
        signals.Demucs(recurrent=True),
        "lstm: cannot be cut: it has a value for each position",
    ),
    "wraps": (nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), "pads circularly"),
    "two axes": (Call(lambda x: x + x.transpose(1, 2)), "reads all positions, also those to come"),
    "positions": (Call(lambda x: x * torch.arange(64.0)), "has a value for each position"),
    "as many samples": (
        Call(lambda x: x + torch.zeros(x.shape)),
        "Call: cannot be cut: RuntimeErr",
    ),
    "each sample": (Call(lambda x: sum(x.split(1, -1))), "depends on the length of the signal"),
    "one sample": (Call(lambda x: (x * 1)[..., 0].mul_(2)), "reads all positions, also those to"),
}


@pytest.mark.parametrize("counts_padding", [True, False])
@pytest.mark.parametrize("n", [40, 41, 42])
def test_streams_count_the_taps_of_a_mean_at_the_end(n: int, counts_padding: bool) -> None:
    model, x = nn.AvgPool1d(4, 3, 2, True, counts_padding), image(1, 1, n)
    for chunk in (1, 7, 50):
        stream = Streamed(model)
        pieces = [*map(stream, x.split(chunk, -1)), stream.flush()]
        assert apart(model(x), torch.cat(pieces, -1)) < 1e-12


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", STREAMED)
def test_what_cannot_be_streamed_is_refused_by_name(name: str) -> None:
    model, says = STREAMED[name]
    with pytest.raises(DescriptionError) as caught:
        Streamed(model.double())(image(1, 1, 64))
    assert says in str(caught.value)


def test_bad_input_gets_a_line() -> None:
    model = nn.Conv2d(3, 4, 3).double().eval()
    with pytest.raises(OptionError, match="n: 0: must be an integer, at least 1"):
        sharded(model, image(1, 3, 8, 8), 0)
    for axis in ("rows", "depth", "length"):
        with pytest.raises(
            OptionError, match=f"axis: the image has height x width, not '{axis}'; name one of them"
        ):
            sharded(model, image(1, 3, 8, 8), 2, axis=axis)
    with pytest.raises(
        OptionError, match="image: must have a batch, channels and one to three axes; give a tensor"
    ):
        sharded(model, image(8, 8), 2)
    with pytest.raises(
        DescriptionError, match=r"^Conv2d: cannot be cut: .* to have 3 channels, but"
    ):
        sharded(model, image(1, 4, 8, 8), 2)
    with pytest.raises(OptionError, match="image: must be a tensor"):
        sharded(model, image(1, 3, 8, 8).numpy(), 2)
    apart_weights = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, device="meta")).eval()
    with pytest.raises(OptionError, match="model: has weights on several devices: cpu, meta; move"):
        sharded(apart_weights, image(1, 3, 8, 8).float(), 2)


@pytest.mark.parametrize("seed", range(12))
def test_shards_fetch_what_the_plan_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = random_layers(seed), image(1, 4, 41, 31, seed=seed)
    if runs(model, x) is None:
        return
    sent: dict[str, list[int]] = {}
    plan = {layer.layer: layer for layer in padviz.shards(model, 3, (41, 31)).layers}
    layer = [""]
    for name, module in model.named_children():
        module.register_forward_pre_hook(lambda *_, name=name: layer.__setitem__(0, name))
    rows = Team.rows

    def counted(self: Team, x: Tensor, n: int, dim: int, wanted: Any, k: int) -> Tensor:
        first, end = owned(n, 3)[k]
        own = sum(max(0, min(hi, first) - lo) + max(0, hi - max(lo, end)) for lo, hi in wanted(k))
        sent.setdefault(layer[0], [0, 0, 0])[k] += own
        return rows(self, x, n, dim, wanted, k)

    monkeypatch.setattr(Team, "rows", counted)
    sharded(model, x, 3)
    for name, fetched in sent.items():
        if name not in plan:  # what works on each position alone
            continue
        planned = [sum(run.stop - run.first for run in part.fetches) for part in plan[name].parts]
        module = model.get_submodule(name)
        plain = getattr(module, "padding_mode", "zeros") == "zeros" and getattr(
            module, "dilation", 1
        ) in (1, (1, 1))
        if plain:  # others are sent rows between taps, or rows again that padding reads
            assert planned == fetched, name


IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "residual": lambda x: functional.conv1d(x, KERNEL[:1, None, :], padding=2).add_(x),
    "ahead": lambda x: (x * 1).add_(functional.conv1d(x, KERNEL[:1, None, :], padding=2)),
    "product": lambda x: (x * 1).addcmul_(x, x),
    "copy": lambda x: (
        torch.zeros_like(x).copy_(functional.conv1d(x, KERNEL[:1, None, :], padding=2)).relu_()
    ),
    "copy of the transposed": lambda x: (
        lambda y: y.transpose(1, 2).contiguous().mul_(2).transpose(1, 2) + y
    )(torch.cat([x, x * 3], 1)),
}


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", IN_PLACE)
def test_streams_write_in_place(name: str) -> None:
    stream, x = Streamed(Call(IN_PLACE[name])), image(1, 1, 40)
    assert (
        apart(IN_PLACE[name](x), torch.cat([*map(stream, x.split(7, -1)), stream.flush()], -1))
        < 1e-12
    )


def test_a_stream_refuses_what_does_not_fit() -> None:
    stream, x = Streamed(nn.Conv1d(1, 1, 3).double()), image(1, 1, 40)
    with pytest.raises(OptionError, match="chunk: none came before flush"):
        stream.flush()
    stream(x)
    for chunk in (x.expand(2, 1, 40), x[0], x.float(), x.numpy(), torch.tensor(1.0)):
        with pytest.raises(
            OptionError, match=r"chunk: must be a tensor \(..., samples\), like those before"
        ):
            stream(chunk)  # type: ignore[arg-type]
    assert (
        apart(
            stream.model(torch.cat([x, x], -1))[..., 38:],
            torch.cat([stream(x), stream.flush()], -1),
        )
        < 1e-12
    )


@pytest.mark.parametrize("axis", ["depth", "height", "width", None])
def test_shards_of_volumes_are_cut_along_the_axis_that_is_named(axis: str | None) -> None:
    model, x = nn.Conv3d(2, 3, 3, padding=1).double().eval(), image(1, 2, 7, 6, 5)
    assert apart(model(x), sharded(model, x, 3, axis=axis)) < 1e-12


def test_streams_refuse_what_follows_the_length() -> None:
    stream = Streamed(Call(lambda x: x[..., :200]))
    stream(image(1, 1, 40))
    with pytest.raises(DescriptionError, match="depends on the length of the signal"):
        stream.flush()
    with pytest.raises(DescriptionError, match="depends on the length of the signal"):
        Streamed(Call(lambda x: sum(x[..., 4 * i : 4 * i + 4] for i in range(x.shape[-1] // 4))))(
            image(1, 1, 40)
        )


def test_a_stream_has_the_channels_that_its_shape_says() -> None:
    layers = nn.Sequential(
        nn.BatchNorm1d(5), Call(lambda x: x.mean(1, keepdim=True)), nn.Conv1d(1, 1, 3)
    ).eval()
    for network in (layers, padviz.load(layers, 64, shape={"input": (1, 5, "L")})):
        stream = padviz.streamed(network, 16)
        assert stream(torch.rand(1, 5, 16)).shape == (1, 1, 14)


def test_streamed_checks_a_module_first() -> None:
    stream = padviz.streamed(signals.encoder(), 100)
    assert stream(torch.rand(1, 1, 256)).shape[-1] > 20
    with pytest.raises(DescriptionError, match="lstm sees only what comes before"):
        padviz.streamed(signals.Demucs(recurrent=True), 100)
    with pytest.raises(DescriptionError, match="returns nothing before the signal ends"):
        padviz.streamed(
            nn.Sequential(nn.Conv1d(1, 1, 3), Call(lambda x: x[..., : x.shape[-1] // 2])), 100
        )
    with pytest.raises(DescriptionError, match="streams are of signals"):
        padviz.streamed(nn.Conv2d(1, 1, 3), 100)
    with pytest.raises(OptionError, match="chunk: 0: must be an integer"):
        padviz.streamed(signals.Tcn(), 0)


def test_a_stream_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    drop = Site.drop
    monkeypatch.setattr(
        Site,
        "drop",
        lambda self, row, maps: (drop(self, row, maps), [b.zero_() for _, b in self.buffers]),
    )
    with pytest.raises(DescriptionError, match="it differs from the whole"):
        padviz.streamed(signals.Tcn(), 100)


def test_private_names_of_pytorch_are_imported_in_one_place() -> None:
    folder = Path(cut_map.__file__).parent
    private = [
        (path.name, line)
        for path in folder.glob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"\btorch\.(utils\.)?_", line)
    ]
    assert private
    assert {name for name, _ in private} == {"cut_map.py"}
    assert all(line.startswith("from ") for _, line in private)
