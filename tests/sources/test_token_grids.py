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


class Tokens(nn.Module):
    """A grid of patches, a token beside them or their mean alone, and what becomes of both."""

    def __init__(self, then: Callable[[Tensor], Tensor], token: bool = True) -> None:
        super().__init__()
        self.grid, self.then, self.token = nn.Conv2d(3, 8, 4, 4), then, token

    def forward(self, x: Tensor) -> Tensor:
        x = self.grid(x).flatten(2).transpose(1, 2)
        x = torch.cat([torch.zeros(1, 1, 8), x], 1) if self.token else x.mean(1, keepdim=True)
        return self.then(x)[:, 0]


def written(x: Tensor) -> Tensor:
    return (x @ x.transpose(1, 2)).softmax(-1) @ x


MODULES: dict[str, tuple[nn.Module, bool]] = {  # and whether counting stops at the grid
    "written": (Tokens(written), True),
    "summed": (
        Tokens(lambda x: torch.einsum("bij,bjc->bic", torch.einsum("bic,bjc->bij", x, x).softmax(2), x)), True
    ),
    "batched": (Tokens(lambda x: torch.bmm(functional.softmax(torch.bmm(x, x.transpose(1, 2)), -1), x)), True),
    "called": (Tokens(lambda x: functional.scaled_dot_product_attention(x, x, x)), True),
    "nothing": (Tokens(lambda x: x.relu()), False),
    "one product": (Tokens(lambda x: (x @ x.transpose(1, 2)).softmax(-1)), False),
    "softmax first": (Tokens(lambda x: x.softmax(-1) @ x.transpose(1, 2) @ x), False),
    "products only": (Tokens(lambda x: (x @ x.transpose(1, 2)) @ x), False),
    "weights": (Tokens(lambda x: (x @ torch.ones(8, 8)).softmax(-1) @ torch.ones(8, 8)), False),
    "pooled vectors": (Tokens(written, token=False), False),
}  # fmt: skip


def file_of(module: nn.Module, folder: Path, exporter: str = "old") -> Path:
    path = folder / "net.onnx"
    old = {"dynamo": False, "opset_version": 14}
    options = old if exporter == "old" else {"dynamo": True, "verbose": False, "external_data": False}
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, 32, 32),), path, **options)
    logging.disable(logging.NOTSET)
    return path


@pytest.mark.parametrize("exporter", ["old", pytest.param("new", marks=[SINCE_2_5, SLOW])])
def test_commands_say_once_that_a_file_stops_at_its_patches(exporter: str, tmp_path: Path, elsewhere: None) -> None:
    vit = VisionTransformer(32, 8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=16, num_classes=3).eval()
    path = file_of(vit, tmp_path, exporter)
    note = NOTE.format(padviz.load(path).targets[0])
    for command in ("usage", "layers", "uneven"):
        result = run(command, str(path))
        assert result.exit_code == 0, result.output
        assert result.stderr == f"padviz: net: {note}\n"


@pytest.mark.parametrize("name", MODULES)
def test_attention_is_told_by_its_steps(name: str, tmp_path: Path) -> None:
    module, stops = MODULES[name]
    for net in (padviz.load(module, size=(32, 32)), padviz.load(file_of(module, tmp_path))):
        assert net.notes == ((NOTE.format(net.targets[0]),) if stops else ())


def test_attention_that_is_followed_stops_nothing() -> None:
    class Attended(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return written(x.transpose(1, 2)).transpose(1, 2).unflatten(2, (8, 8))

    net = padviz.load(nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), Attended()), size=(32, 32))
    assert net.notes == ()
    assert any(layer.everywhere == "attention" for layer in net.layers)
