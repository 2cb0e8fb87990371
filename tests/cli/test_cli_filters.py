"""`padviz filters` from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from onnx import helper
from torch import nn

import padviz
import padviz.trained.weights
from tests.cli.test_cli import run, told
from tests.cli.test_cli_foreign import conv, plain, saved

NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, (1, 5)))

def pointwise():
    return nn.Conv2d(3, 8, 1)
"""


def network() -> nn.Sequential:
    """What NET makes, in the layout of its weights."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, (1, 5)))


@pytest.fixture(autouse=True)
def _files(elsewhere: None) -> None:
    Path("filtered_net.py").write_text(NET)


def test_weights_that_are_given_or_made_before_are_not_doubted() -> None:
    torch.save(network().state_dict(), "w.pth")
    Path("made_net.py").write_text("import filtered_net\n\nnet = filtered_net.net()\n")
    for more in (["filtered_net:net", "--weights", "w.pth"], ["made_net:net"]):
        assert run("filters", "--size", "32", *more).stderr == ""


def test_what_is_dead_or_broken_or_unread_is_told() -> None:
    net = network()
    net[0].weight.data[:2] = 0
    net[3].weight.data[0, 0, 0, 0] = torch.inf
    torch.save(net.state_dict(), "w.pth")
    said = run("filters", "filtered_net:net", "--weights", "w.pth", "-o", "broken.png").stdout
    assert "Left out: 2 channels with weights below 1e-4 of the median channel's, of 0." in said
    assert "Nothing can be measured of 3: weights are NaN or infinite." in said
    calculated = [helper.make_node("Mul", ["w3", "w3"], ["m"]), conv("a", "image"), conv("b", "a")]
    calculated[2].input[1] = "m"
    said = run("filters", saved(calculated, ["b"])).stdout
    assert "Not read: b, its weights are calculated, by Mul." in said
    assert "No batch normalisation follows: it was folded into the weights, or there is none; D is the same." in said


def test_what_rounds_to_zero_has_no_minus() -> None:
    net = network()
    for layer in (net[0], net[3]):
        layer.weight.data[:] = 1
        layer.weight.data[..., -1] -= 1e-4
    torch.save(net.state_dict(), "w.pth")
    said = run("filters", "filtered_net:net", "--weights", "w.pth", "-o", "f.svg").stdout
    assert said.count("+0.000") >= 4
    assert "-0.000" not in said + Path("f.svg").read_text()


LEANING = """
from torch import nn

def down(*pads):
    conv = nn.Conv2d(3, 3, (3, 1), (2, 1))
    conv.weight.data[:] = 1
    conv.weight.data[:, :, 2] = 2
    return nn.Sequential(nn.ZeroPad2d((0, 0, *pads)), conv)

one = nn.Sequential(down(1, 0), down(1, 0))
both = nn.Sequential(down(1, 0), down(0, 1), down(0, 1))
"""


@pytest.mark.parametrize(
    ("name", "off", "with_", "line"),
    [
        ("one", 2, None, "Off-centre grids: all offsets lie on one side: nothing is tested."),
        (
            "both", 3, 1,
            "Off-centre grids: D's sign went with the offset, larger weights away from it, on 1 of 3 axes; it is "
            "positive on 3 of them, so 'always positive' explains more; where the offset turns, it is wrong on 0 of 1.",
        ),
    ],
)  # fmt: skip
def test_how_often_d_went_with_the_offset_is_said_where_both_signs_occur(
    name: str, off: int, with_: int | None, line: str
) -> None:
    Path("leaning_net.py").write_text(LEANING)
    asked = ["filters", f"leaning_net:{name}", "--size", "64"]
    assert " ".join(run(*asked).stdout.split()).endswith(line)
    found = json.loads(run(*asked, "--format", "json").stdout)
    assert (found["off_centre"], found["went_with"]) == (off, with_)


def test_of_a_layer_without_finite_weights_the_geometry_is_right() -> None:
    net = network()
    options = ("filters", "filtered_net:net", "--weights", "w.pth")
    net[0].weight.data[0, 0, 0, 0] = torch.nan
    torch.save(net.state_dict(), "w.pth")
    first = json.loads(run(*options, "--format", "json").stdout)["layers"][0]
    assert (first["strided"], first["stride"], first["height"]) == (True, [2, 2], None)
    assert first["why"] == "weights are NaN or infinite"
    assert "0* 3/2 8" in [" ".join(line.split()) for line in run(*options).stdout.splitlines()]
    net[3].weight.data[:] = torch.nan
    torch.save(net.state_dict(), "w.pth")
    line = "filtered_net:net: nothing can be measured: 0: its weights are NaN or infinite, and 1 more like it; use"
    assert told(*options).startswith(f"padviz: {line}")


MISSING = {
    "onnx": "net.onnx: reading it needs the package onnx; install it: pip install 'padviz[onnx]'",
    "torch": "filtered_net:net: needs PyTorch; install it: pip install 'padviz[torch]'",
    "safetensors": "w.safetensors: needs the package safetensors; install it: pip install 'padviz[trained]'",
    "onnxruntime": "net.onnx: running it needs the package onnxruntime; install it: pip install 'padviz[trained]'",
}


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("onnx", "filters net.onnx"),
        ("torch", "filters filtered_net:net"),
        ("safetensors", "filters filtered_net:net --weights w.safetensors"),
        ("onnxruntime", "responses net.onnx"),
        ("onnxruntime", "detect net.onnx"),
    ],
)
def test_a_missing_extra_is_named(missing: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain("net.onnx")
    Path("w.safetensors").write_text("")
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "torch":
        monkeypatch.delitem(sys.modules, "padviz.trained.weights.torch_weights", raising=False)
        monkeypatch.delattr(padviz.trained.weights, "torch_weights", raising=False)
    assert told(*line.split()) == f"padviz: {MISSING[missing]}\n"
