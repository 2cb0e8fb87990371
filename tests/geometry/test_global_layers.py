"""Layers that make each position depend on all: importers keep them, paths pass them, no tile is exact behind them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
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


class Attending(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        seen = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return seen.transpose(1, 2).unflatten(2, x.shape[2:])


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
    (Attending(), "1.global", "attention"),
]


@pytest.mark.parametrize(("middle", "layer", "why"), GLOBAL, ids=lambda each: str(each)[:12])
def test_each_position_depends_on_all_behind_a_global_layer(middle: nn.Module, layer: str, why: str) -> None:
    network = padviz.load(net(middle), size=(32, 32))
    first, *_, last = near_padding(network, 32)
    assert (first.height, first.barrier) == ((1, 1), None)
    assert last.barrier == (layer, why)
    with pytest.raises(padviz.PadvizError, match=f"no tiles are exact: {re.escape(layer)} .{why}"):
        padviz.tiles(network, 32, 16)


@pytest.mark.parametrize(
    "middle",
    [nn.BatchNorm2d(4), nn.InstanceNorm2d(4, track_running_stats=True), nn.LocalResponseNorm(2), nn.Softmax2d()],
)
def test_what_takes_each_position_alone_makes_no_layer(middle: nn.Module) -> None:
    network = padviz.load(net(middle), size=(32, 32))
    assert [layer.name for layer in network.layers] == ["input", "0", "2"]
    assert near_padding(network, 32)[-1].barrier is None


@pytest.mark.parametrize("middle", [nn.InstanceNorm2d(4), nn.GroupNorm(2, 4), Swishing()], ids=str)
def test_paths_pass_a_norm_over_positions(middle: nn.Module) -> None:
    plain, normed = padviz.usage(net(nn.ReLU()), 12), padviz.usage(net(middle), 12)
    np.testing.assert_array_equal(plain.counts, normed.counts)
    assert plain.target == normed.target


def test_a_norm_at_the_end_is_kept_and_the_target_stays() -> None:
    network = padviz.load(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)))
    assert (network.targets, [layer.name for layer in network.layers]) == (("0",), ["input", "0", "1"])


class ChannelsLast(nn.Module):
    """A layer norm over channels, which are last for it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


def test_a_layer_norm_over_channels_alone_is_not_global() -> None:
    assert [layer.name for layer in padviz.load(ChannelsLast()).layers] == ["input", "conv"]


def test_a_description_keeps_what_is_global(tmp_path: Path) -> None:
    for middle, _, _ in GLOBAL:
        network = padviz.load(net(middle), size=(32, 32))
        (tmp_path / "net.toml").write_text(to_toml(network))
        assert padviz.load(str(tmp_path / "net.toml")).layers == network.layers


NODES: list[tuple[str, dict[str, Any], str]] = [
    ("InstanceNormalization", {}, "instance norm"),
    ("MeanVarianceNormalization", {}, "norm over positions"),
    ("LayerNormalization", {"axis": 1}, "layer norm"),
    ("LpNormalization", {"axis": 3}, "norm over positions"),
    ("Softmax", {"axis": 3}, "softmax over positions"),
    ("LayerNormalization", {"axis": 1, "channels": True}, ""),
    ("MeanVarianceNormalization", {"axes": [1]}, ""),
    ("LpNormalization", {"axis": 1}, ""),
    ("Softmax", {"axis": 1}, ""),
    ("BatchNormalization", {}, ""),
    ("BatchNormalization", {"training_mode": 1}, "batch norm"),
    ("Relu", {}, ""),
]


@pytest.mark.parametrize(("op", "attrs", "why"), NODES, ids=lambda each: str(each)[:24])
def test_onnx_norms_over_positions_are_global(op: str, attrs: dict[str, Any], why: str, tmp_path: Path) -> None:
    channels = attrs.pop("channels", False) if "channels" in attrs else False
    vector = {"InstanceNormalization": 2, "BatchNormalization": 4, "LayerNormalization": 1}.get(op, 0)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 4, 3, 3], [1.0] * 144)
    scale = helper.make_tensor("s", TensorProto.FLOAT, [4], [1.0] * 4)
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], "first", **pads)]
    if channels:
        nodes += [
            helper.make_node("Transpose", ["a"], ["t"], "there", perm=[0, 2, 3, 1]),
            helper.make_node(op, ["t", "s"], ["u"], "middle", axis=-1),
            helper.make_node("Transpose", ["u"], ["b"], "back", perm=[0, 3, 1, 2]),
        ]
    else:
        nodes.append(helper.make_node(op, ["a", *["s"] * vector], ["b"], "middle", **attrs))
    nodes.append(helper.make_node("Conv", ["b", "w"], ["y"], "last", **pads))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 16, 16]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight, scale])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "m.onnx")
    row = near_padding(padviz.load(tmp_path / "m.onnx"))[-1]
    assert row.layer == "last"
    assert (row.barrier or ("", ""))[1] == why


@pytest.mark.parametrize(
    ("training", "kinds"),
    [(1, [("identity", "batch norm")]), (0, [("gate", "")])],
)
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
