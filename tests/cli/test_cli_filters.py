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
from tests.wheels import real_weights

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
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("filtered_net.py").write_text(NET)


def test_weights_of_a_module_are_given_beside_it() -> None:
    path = str(real_weights("mobilenet_v2-b0353104.pth"))
    result = run(
        "filters", "torchvision.models:mobilenet_v2", "--weights", path, "--size", "224", "--layer", "features.0.0"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Strided: D +0.121, above 0 on 2 of 2 axes." in result.stdout


def test_that_nothing_tells_of_a_training_is_said_once() -> None:
    line = "padviz: filtered_net:net: its weights are those that it is made with; --weights FILE gives it others\n"
    for options in (["filters"], ["responses", "--padding", "trained", "-n", "2"]):
        said = run(*options, "filtered_net:net", "--size", "32")
        assert (said.exit_code, said.stderr) == (0, line)
    torch.save(network().state_dict(), "w.pth")
    assert run("filters", "filtered_net:net", "--size", "32", "--weights", "w.pth").stderr == ""
    Path("made_net.py").write_text("import filtered_net\n\nnet = filtered_net.net()\n")
    assert run("filters", "made_net:net", "--size", "32").stderr == ""


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
    assert "-0.000" not in said
    assert said.count("+0.000") >= 4
    assert "-0.000" not in Path("f.svg").read_text()


def test_how_often_d_went_with_the_offset_is_said_where_both_signs_occur() -> None:
    Path("leaning_net.py").write_text(
        "from torch import nn\n\n"
        "def down(*pads):\n"
        "    conv = nn.Conv2d(3, 3, (3, 1), (2, 1))\n"
        "    conv.weight.data[:] = 1\n"
        "    conv.weight.data[:, :, 2] = 2\n"
        "    return nn.Sequential(nn.ZeroPad2d((0, 0, *pads)), conv)\n\n"
        "one = nn.Sequential(down(1, 0), down(1, 0))\n"
        "both = nn.Sequential(down(1, 0), down(0, 1), down(0, 1))\n"
    )
    one, both = (
        " ".join(run("filters", f"leaning_net:{name}", "--size", "64").stdout.split()) for name in ("one", "both")
    )
    assert one.endswith("Off-centre grids: all offsets lie on one side: nothing is tested.")
    line = (
        "Off-centre grids: D's sign went with the offset, larger weights away from it, on 1 of 3 axes; it is "
        "positive on 3 of them, so 'always positive' explains more; where the offset turns, it is wrong on 0 of 1."
    )
    assert both.endswith(line)
    found = json.loads(run("filters", "leaning_net:one", "--size", "64", "--format", "json").stdout)
    assert (found["off_centre"], found["went_with"]) == (2, None)
    found = json.loads(run("filters", "leaning_net:both", "--size", "64", "--format", "json").stdout)
    assert (found["off_centre"], found["went_with"]) == (3, 1)


def test_of_a_layer_without_finite_weights_the_geometry_is_right() -> None:
    net = network()
    net[0].weight.data[0, 0, 0, 0] = torch.nan
    torch.save(net.state_dict(), "w.pth")
    options = ("filters", "filtered_net:net", "--weights", "w.pth")
    first = json.loads(run(*options, "--format", "json").stdout)["layers"][0]
    assert (first["strided"], first["stride"], first["height"]) == (True, [2, 2], None)
    assert first["why"] == "weights are NaN or infinite"
    lines = [" ".join(line.split()) for line in run(*options).stdout.splitlines()]
    assert "0* 3/2 8" in lines
    assert "Nothing can be measured of 0: weights are NaN or infinite." in lines
    net[3].weight.data[:] = torch.nan
    torch.save(net.state_dict(), "w.pth")
    assert told(*options).startswith(
        "padviz: filtered_net:net: nothing can be measured: 0: its weights are NaN or infinite, and 1 more like it; use"
    )


@pytest.mark.parametrize(
    ("missing", "arguments", "line"),
    [
        ("onnx", ["net.onnx"], "net.onnx: reading it needs the package onnx; install it: pip install 'padviz[onnx]'"),
        ("torch", ["filtered_net:net"], "filtered_net:net: needs PyTorch; install it: pip install 'padviz[torch]'"),
        (
            "safetensors", ["filtered_net:net", "--weights", "w.safetensors"],
            "w.safetensors: needs the package safetensors; install it: pip install 'padviz[trained]'",
        ),
    ],
)  # fmt: skip
def test_a_missing_extra_is_named(
    missing: str, arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain("net.onnx")
    Path("w.safetensors").write_text("")
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "torch":
        monkeypatch.delitem(sys.modules, "padviz.trained.weights.torch_weights", raising=False)
        monkeypatch.delattr(padviz.trained.weights, "torch_weights", raising=False)
    assert told("filters", *arguments) == f"padviz: {line}\n"
