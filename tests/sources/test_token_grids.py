"""Networks whose last map is a grid of patches, since attention joins its positions with tokens: a note says so."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.vision_transformer import VisionTransformer

import padviz
from tests.cli.test_cli import run
from tests.sources.test_onnx_exports import SINCE_2_5
from tests.sweeps import SLOW

NOTE = "counting stops at {}, the grid of patches before attention"


def vit() -> nn.Module:
    return VisionTransformer(32, 8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=16, num_classes=3).eval()


class Tokens(nn.Module):
    """A grid of patches, a token beside them, and what becomes of both."""

    def __init__(self, then: Callable[[Tensor], Tensor], token: bool = True) -> None:
        super().__init__()
        self.grid, self.then, self.token = nn.Conv2d(3, 8, 4, 4), then, token

    def forward(self, x: Tensor) -> Tensor:
        x = self.grid(x).flatten(2).transpose(1, 2)
        x = torch.cat([torch.zeros(1, 1, 8), x], 1) if self.token else x.mean(1, keepdim=True)
        return self.then(x)[:, 0]


def written(x: Tensor) -> Tensor:
    return (x @ x.transpose(1, 2)).softmax(-1) @ x


ATTENDING = {
    "written": written,
    "summed": lambda x: torch.einsum("bij,bjc->bic", torch.einsum("bic,bjc->bij", x, x).softmax(2), x),
    "batched": lambda x: torch.bmm(functional.softmax(torch.bmm(x, x.transpose(1, 2)), -1), x),
    "called": lambda x: functional.scaled_dot_product_attention(x, x, x),
}
OTHERS = {
    "nothing": lambda x: x.relu(),
    "one product": lambda x: (x @ x.transpose(1, 2)).softmax(-1),
    "softmax first": lambda x: x.softmax(-1) @ x.transpose(1, 2) @ x,
    "products only": lambda x: (x @ x.transpose(1, 2)) @ x,
    "weights": lambda x: (x @ torch.ones(8, 8)).softmax(-1) @ torch.ones(8, 8),
}


def file_of(module: nn.Module, exporter: str, folder: Path) -> Path:
    path = folder / "net.onnx"
    old = {"dynamo": False, "opset_version": 14}
    options = old if exporter == "old" else {"dynamo": True, "verbose": False, "external_data": False}
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, 32, 32),), path, **options)
    logging.disable(logging.NOTSET)
    return path


@pytest.mark.parametrize("name", ["vit_b_16", "vit_h_14"])
def test_a_transformer_of_torchvision_stops_at_its_patches(name: str) -> None:
    counts = padviz.usage(f"torchvision.models:{name}")
    assert counts.target.layer == "conv_proj"
    assert counts.notes == (NOTE.format("conv_proj"),)


@pytest.mark.parametrize("exporter", ["old", pytest.param("new", marks=[SINCE_2_5, SLOW])])
def test_its_file_does_so_too_and_commands_say_it_once(
    exporter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = file_of(vit(), exporter, tmp_path)
    net = padviz.load(path)
    note = NOTE.format(net.targets[0])
    assert net.notes == (note,)
    for command in ("usage", "layers", "uneven"):
        result = run(command, str(path))
        assert result.exit_code == 0, result.output
        assert result.stderr == f"padviz: net: {note}\n"


@pytest.mark.parametrize("name", [*ATTENDING, *OTHERS])
def test_attention_is_told_by_its_steps(name: str, tmp_path: Path) -> None:
    module = Tokens({**ATTENDING, **OTHERS}[name])
    nets = [padviz.load(module, size=(32, 32)), padviz.load(file_of(module, "old", tmp_path))]
    for net in nets:
        assert net.notes == ((NOTE.format(net.targets[0]),) if name in ATTENDING else ())


def test_attention_among_pooled_vectors_stops_at_no_grid(tmp_path: Path) -> None:
    module = Tokens(written, token=False)
    assert padviz.load(module, size=(32, 32)).notes == padviz.load(file_of(module, "old", tmp_path)).notes == ()


def test_attention_that_is_followed_stops_nothing() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), Attended())
    net = padviz.load(module, size=(32, 32))
    assert net.notes == ()
    assert any(layer.everywhere == "attention" for layer in net.layers)


class Attended(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return written(x.transpose(1, 2)).transpose(1, 2).unflatten(2, (8, 8))
