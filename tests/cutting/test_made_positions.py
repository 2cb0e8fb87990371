"""What a forward makes of the map's size: numbers that differ by position, sizes, branches on them.

A module with any of these runs layer by layer exactly. A plain plan is exact, or names the call.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from tests.cutting.drawn_networks import Call, Draw, apart
from tests.sweeps import SLOW
from tests.torch_calls import to_onnx

SIZE, TILE = 48, 24
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


def ramp(x: Tensor, axis: int = -1) -> Tensor:
    return torch.linspace(-1, 1, x.shape[axis]).to(x)


def rows_and_columns(x: Tensor) -> Tensor:
    down, along = torch.meshgrid(ramp(x, -2), ramp(x), indexing="ij")
    return torch.stack([down, along])[None]


def written(x: Tensor, rows: object, value: object) -> Tensor:
    x = x.clone()
    x[rows] = value  # type: ignore[index]
    return x


def doubled_columns(x: Tensor) -> Tensor:
    x = x.clone()
    x[..., :5].mul_(2)
    return x


def seeded(x: Tensor) -> Tensor:
    return torch.randn(x.shape[-2:], generator=torch.Generator().manual_seed(0)).to(x)


def table(x: Tensor) -> Tensor:
    numbers = torch.arange(49.0).sin().view(1, 1, 7, 7).to(x)
    return functional.interpolate(numbers, x.shape[-2:], mode="bilinear")


def sampled(x: Tensor) -> Tensor:
    grid = functional.affine_grid(torch.eye(2, 3)[None].to(x), [*x.shape], align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


MADE: dict[str, Callable[[Tensor], Tensor]] = {
    "a grid": lambda x: torch.cat([x[:, :2], rows_and_columns(x).to(x)], 1),
    "a range": lambda x: x + torch.arange(x.shape[-1]).to(x) / 10,
    "a range of rows": lambda x: x - torch.arange(x.shape[-2])[:, None].to(x) / 10,
    "a running sum of ones": lambda x: x + torch.ones_like(x).cumsum(3) / 10,
    "its width": lambda x: x / x.shape[-1],
    "its width in a tensor": lambda x: x * torch.tensor(x.shape[-1] / 10).to(x),
    "its width as a limit": lambda x: x.clamp(max=x.shape[-1] / 200),
    "a Hann window": lambda x: x * torch.hann_window(x.shape[-1]).to(x),
    "every third column": lambda x: x * (torch.arange(x.shape[-1]) % 3 == 0).to(x),
    "a resized table": lambda x: x + table(x),
    "a fixed row": lambda x: x + x[:, :, 5:6],
    "a row that is written": lambda x: written(x, (..., 0, slice(None)), 1),
    "columns in place": doubled_columns,
    "a channel that is written": lambda x: written(x, (slice(None), 0), ramp(x)),
    "seeded noise": lambda x: x + seeded(x),
    "a branch": lambda x: x.relu() if x.shape[-1] > 30 else x.sigmoid(),
    "one half": lambda x: torch.where(torch.arange(x.shape[-1]) < 20, x, -x),
    "halves apart": lambda x: torch.cat([x[..., :24] * 2, x[..., 24:]], 3),
    "rows apart": lambda x: torch.stack([x[:, :, i] * i for i in range(x.shape[2])], 2),
    "a triangle": lambda x: x.masked_fill(torch.ones(x.shape[-2:]).tril() > 0, 0),
    "a product": lambda x: torch.einsum("nchw,w->nchw", x, ramp(x)),
    "flat positions": lambda x: (x.flatten(2) * ramp(x.flatten(2))).view(x.shape),
    "sampling": sampled,
}
SAME: dict[str, Callable[[Tensor], Tensor]] = {
    "ones": lambda x: x * torch.ones_like(x),
    "zeros beside": lambda x: torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], 1),
    "one number": lambda x: x + torch.full(x.shape[-2:], 0.5).to(x),
}


def network(make: Callable[[Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential()
    model.append(nn.Conv2d(3, 4, 3, padding=1))
    model.add_module("made", Call("made", make))
    model.append(nn.Conv2d(4, 2, 3, padding=1))
    return model.requires_grad_(False).eval()


def difference(model: nn.Module, x: Tensor, norms: str | None) -> float:
    plan = padviz.tiles(model, SIZE, TILE, norms=norms).plan
    return apart(model(x), padviz.tiled(model, x, plan))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", MADE)
def test_a_plain_plan_names_what_differs_by_position(name: str, dtype: torch.dtype) -> None:
    model, x = network(MADE[name]).to(dtype), torch.rand(1, 3, SIZE, SIZE, dtype=dtype)
    assert difference(model, x, "shared") < TOLERANCES[dtype]
    with pytest.raises(PadvizError, match=r"\bmade\b"):
        padviz.tiles(model, SIZE, TILE)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", SAME)
def test_numbers_that_are_the_same_everywhere_are_tiled(name: str, dtype: torch.dtype) -> None:
    model, x = network(SAME[name]).to(dtype), torch.rand(1, 3, SIZE, SIZE, dtype=dtype)
    assert difference(model, x, None) < TOLERANCES[dtype]


NUMBERS: dict[str, Callable[[int], Tensor]] = {
    "ramp": lambda n: torch.linspace(-1, 1, n),
    "range": lambda n: torch.arange(n) / 20,
    "sum": lambda n: torch.ones(n).cumsum(0) / 20,
    "window": torch.hann_window,
    "every third": lambda n: (torch.arange(n) % 3 == 0).float(),
    "noise": lambda n: torch.randn(n, generator=torch.Generator().manual_seed(0)),
    "table": lambda n: functional.interpolate(torch.arange(5.0).sin()[None, None], n)[0, 0],
    "size": lambda n: torch.full((n,), n / 50),
    "constant": lambda n: torch.full((n,), 0.5),
    "no more than a step": lambda n: torch.arange(n).clamp(max=1).float(),
}
USES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda x, v: x + v,
    "from": lambda x, v: v - x,
    "times": lambda x, v: x * v,
    "over": lambda x, v: x / (v + 3),
    "power": lambda x, v: x.abs() ** (v + 2),
    "where": lambda x, v: torch.where(v > 0.1, x, -x),
    "most": lambda x, v: torch.maximum(x, v.expand_as(x)),
    "between": lambda x, v: torch.lerp(x, -x, v),
    "beside": lambda x, v: torch.cat([x[:, 1:], v.expand_as(x[:, :1])], 1),
    "masked": lambda x, v: x.masked_fill(v > 0.1, 0.3),
    "in place": lambda x, v: x.clone().add_(v),
    "one channel": lambda x, v: written(x, (slice(None), 0), v.expand_as(x)[:, 0]),
    "size": lambda x, v: x * (x.shape[-1] / 40),
    "half": lambda x, v: torch.cat(
        [x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :] * v[..., -1:]], 3
    ),
    "clipped by size": lambda x, v: x.clamp(max=(v * 0 + x.shape[-2] / 99).to(x)),
}


def used(draw: Draw, x: Tensor) -> nn.Module:
    """Return a module that uses numbers it makes, along rows, columns or both, in some layout."""
    number, use = draw.of([*NUMBERS]), draw.of([*USES])
    if draw.chance(0.5):
        number = "constant"
    along, layout = draw.of(["rows", "columns", "both"]), draw.of(["plain", "channels last"])

    def make(x: Tensor) -> Tensor:
        rows, columns = (NUMBERS[number](n).to(x) for n in x.shape[-2:])
        values = {"rows": rows[:, None], "columns": columns[None], "both": rows[:, None] * columns}
        value = values[along][None, None]
        if layout == "channels last" and use in ("add", "from", "times", "over", "where"):
            moved = value.permute(0, 2, 3, 1)
            return USES[use](x.permute(0, 2, 3, 1), moved).permute(0, 3, 1, 2).contiguous()
        return USES[use](x, value)

    return Call(f"{number} {use} {along} {layout}", make)


def drawn(seed: int) -> nn.Sequential:
    """Draw a network of windows and numbers that differ by position, or do not."""
    draw = Draw(seed)
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3, padding=1)]
    for _ in range(draw.between(1, 2)):
        between = [
            nn.Conv2d(4, 4, 3, padding=1),
            nn.MaxPool2d(2),
            nn.Upsample(scale_factor=2),
            nn.ReLU(),
        ]
        layers += [draw.of(between), used(draw, torch.empty(0))]
    return draw.fill(nn.Sequential(*layers, nn.Conv2d(4, 2, 3, padding=1)))  # type: ignore[return-value]


def check_drawn(seed: int) -> tuple[bool, bool]:
    """Hold the plans of a drawn network; return whether each was refused."""
    refused = []
    dtype = [torch.float64, torch.float32][seed % 2]
    model, x = drawn(seed).to(dtype), torch.rand(1, 3, SIZE, SIZE, dtype=dtype)
    for norms in (None, "shared"):
        try:
            far = difference(model, x, norms)
        except PadvizError:
            refused.append(True)
        else:
            assert far < 10 * TOLERANCES[dtype], (seed, norms, far, model)
            refused.append(False)
    return refused[0], refused[1]


def test_drawn_positions_are_never_wrong() -> None:
    plain, shared = zip(*map(check_drawn, range(20)), strict=True)
    assert not any(shared)
    assert not all(plain)


@SLOW
def test_many_drawn_positions_are_never_wrong() -> None:
    plain, shared = zip(*map(check_drawn, range(100, 400)), strict=True)
    assert sum(shared) <= 3
    assert sum(plain) <= 285


FILES = {
    "a range": "add",
    "a running sum of ones": "add",
    "its width": "div",
    "every third column": "mul",
    "a resized table": "add",
}


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=SLOW)])
@pytest.mark.parametrize("name", FILES)
def test_a_file_names_what_differs_by_position(name: str, dynamo: bool, tmp_path: Path) -> None:
    options: dict[str, object] = {"input_names": ["x"], "dynamic_axes": {"x": {2: "h", 3: "w"}}}
    if dynamo:
        free = torch.export.Dim.DYNAMIC
        options = {"dynamo": True, "external_data": False, "dynamic_shapes": ({2: free, 3: free},)}
    image = torch.rand(1, 3, SIZE, SIZE)
    path = to_onnx(network(MADE[name]), tmp_path / "net.onnx", image, **options)
    with pytest.raises(PadvizError, match=rf"(?i)[/_]{FILES[name]}(_\d+)?\b"):
        padviz.tiles(path, SIZE, TILE)


def test_a_file_of_equal_numbers_is_tiled(tmp_path: Path) -> None:
    from onnxruntime import InferenceSession

    options = {"input_names": ["x"], "dynamic_axes": {"x": {2: "h", 3: "w"}}}
    image = torch.rand(1, 3, SIZE, SIZE)
    path = to_onnx(network(SAME["one number"]), tmp_path / "net.onnx", image, **options)
    session = InferenceSession(path)

    def run(x: np.ndarray) -> np.ndarray:
        return session.run(None, {"x": x})[0]

    together = padviz.tiled(run, image.numpy(), padviz.tiles(path, SIZE, TILE).plan)
    assert np.abs(together - run(image.numpy())).max() < 1e-5


def test_run_tiles_runs_a_module_with_positions_by_layer(tmp_path: Path) -> None:
    model, x = network(MADE["a grid"]), torch.rand(3, SIZE, SIZE)
    np.save(tmp_path / "image.npy", x.numpy())
    padviz.run_tiles(model, tmp_path / "image.npy", tmp_path / "output.npy", TILE)
    output = torch.from_numpy(np.load(tmp_path / "output.npy"))
    assert apart(model(x[None])[0], output) < 1e-5
