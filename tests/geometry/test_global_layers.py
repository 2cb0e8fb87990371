"""Layers that make each position depend on all: importers keep them, paths pass them, no tile is exact behind them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import padviz
from padviz.geometry.reaching.near_padding import near_padding
from padviz.sources.toml.write import to_toml
from tests.sources.test_onnx_ops import model_of, saved


def net(*middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *middle, nn.Conv2d(4, 4, 3, padding=1))


class Gated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


class Swishing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.norm(x))


GLOBAL = [
    (nn.InstanceNorm2d(4), "1", "instance norm"),
    (nn.GroupNorm(2, 4), "1", "group norm"),
    (nn.LayerNorm([4, 32, 32]), "1", "layer norm"),
    (nn.BatchNorm2d(4, track_running_stats=False), "1", "batch norm"),
    (Swishing(), "1.norm", "group norm"),
    (Gated(), "1_2", "gate"),
]


@pytest.mark.parametrize(("middle", "layer", "why"), GLOBAL, ids=lambda each: str(each)[:12])
def test_each_position_depends_on_all_behind_a_global_layer(
    middle: nn.Module, layer: str, why: str, tmp_path: Path
) -> None:
    network = padviz.load(net(middle), size=(32, 32))
    first, *_, last = near_padding(network, (32, 32))
    assert (first.height, first.barrier) == ((1, 1), None)
    assert last.barrier == (layer, why)
    with pytest.raises(padviz.PadvizError, match=f"no tiles are exact: {re.escape(layer)} .{why}"):
        padviz.tiles(network, 32, 16)
    (tmp_path / "net.toml").write_text(to_toml(network))
    assert padviz.load(str(tmp_path / "net.toml")).layers == network.layers
    if "norm" in why:  # which paths pass
        plain, normed = padviz.usage(net(nn.ReLU()), 32), padviz.usage(network, 32)
        np.testing.assert_array_equal(plain.counts, normed.counts)
        assert plain.target == normed.target


class ChannelsLast(nn.Module):
    """A layer norm over channels, which are last for it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


LOCAL = [
    nn.BatchNorm2d(4),
    nn.InstanceNorm2d(4, track_running_stats=True),
    nn.LocalResponseNorm(2),
    nn.Softmax2d(),
    ChannelsLast(),
]


@pytest.mark.parametrize("middle", LOCAL)
def test_what_takes_each_position_alone_makes_no_layer(middle: nn.Module) -> None:
    network = padviz.load(net(middle), size=(32, 32))
    assert [layer.name for layer in network.layers] == ["input", "0", "2"]
    assert near_padding(network, (32, 32))[-1].barrier is None


LAST = "t = Transpose <perm = [0, 2, 3, 1]> (a)\n u = LayerNormalization <axis = -1> (t, s)\n"
NODES = {
    "b = InstanceNormalization (a, s, s)": "instance norm",
    "b = MeanVarianceNormalization (a)": "norm over positions",
    "b = LayerNormalization <axis = 1> (a, s)": "layer norm",
    "b = LayerNormalization <axis = -1> (a, s)": "layer norm",
    "b = GroupNormalization <num_groups = 1> (a, [1.0], [0.0])": "group norm",
    "b = LpNormalization <axis = 3> (a)": "norm over positions",
    "b = Softmax <axis = 3> (a)": "softmax over positions",
    f"{LAST} b = Transpose <perm = [0, 3, 1, 2]> (u)": "",
    "b = MeanVarianceNormalization <axes = [1]> (a)": "",
    "b = LpNormalization <axis = 1> (a)": "",
    "b = Softmax <axis = 1> (a)": "",
    "b = BatchNormalization (a, s, s, s, s)": "",
    "b = BatchNormalization <training_mode = 1> (a, s, s, s, s)": "batch norm",
    "b = Relu (a)": "",
}


@pytest.mark.parametrize("nodes", NODES)
def test_onnx_norms_over_positions_are_global(nodes: str, tmp_path: Path) -> None:
    body = f"""s = Constant <value = float[4] {{1, 1, 1, 1}}> ()\n a = Conv <pads = [1, 1, 1, 1]> (x, f3x3x4)
    {nodes}\n y = Conv <pads = [1, 1, 1, 1]> (b, w3x3x4)"""
    row = near_padding(padviz.load(saved(model_of(body, 18), tmp_path), size=(16, 16)), (16, 16))[-1]
    assert (row.layer, (row.barrier or ("", ""))[1]) == ("y", NODES[nodes])


@pytest.mark.parametrize(("training", "kinds"), [(1, [("identity", "batch norm")]), (0, [("gate", "")])])
def test_a_batch_norm_by_computed_statistics_is_global(
    training: int, kinds: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Exporters write both where PyTorch tracks none; in training mode the statistics are only updated."""
    body = f"""s = Constant <value = float[4] {{1, 1, 1, 1}}> ()\n a = Conv <pads = [1, 1, 1, 1]> (x, f3x3x4)
    m = ReduceMean <axes = [0, 2, 3], keepdims = 0> (a)
    b = BatchNormalization <training_mode = {training}> (a, s, s, m, m)\n y = Conv (b, w3x3x4)"""
    network = padviz.load(saved(model_of(body, 17), tmp_path))
    assert [(layer.kind, layer.everywhere) for layer in network.layers[1:]] == [("conv", ""), *kinds, ("conv", "")]


def test_a_norm_of_what_is_pooled_makes_no_layer(tmp_path: Path) -> None:
    """Scores that are a mean over all positions belong to the head, though each is of one that is looked at."""
    body = """shape = Constant <value = int64[3] {1, 4, 48}> ()\n rows = Constant <value = int64[1] {1}> ()
    scale = Constant <value = float[1] {1.0}> ()\n a = Conv <pads = [1, 1, 1, 1]> (x, f3x3x4)
    k = Reshape (a, shape)\n q = Transpose <perm = [0, 2, 1]> (k)\n scores = MatMul (q, k)
    mean = ReduceMean (scores, rows)\n y = LayerNormalization (mean, scale)"""
    network = padviz.load(saved(model_of(body, 18), tmp_path), size=(6, 8))
    assert (network.targets, [layer.name for layer in network.layers]) == (("a",), ["input", "a"])
