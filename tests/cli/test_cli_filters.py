"""`padviz filters` from the command line."""

import sys
from pathlib import Path

import pytest
import torch
from onnx import helper
from torch import nn

import padviz
import padviz.trained.networks
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
    assert "No batch normalisation found (folded or absent); D does not depend on it." in said


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
        monkeypatch.delitem(sys.modules, "padviz.trained.networks.torch_network", raising=False)
        monkeypatch.delattr(padviz.trained.networks, "torch_network", raising=False)
    assert told(*line.split()) == f"padviz: {MISSING[missing]}\n"
