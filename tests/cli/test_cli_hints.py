"""What an error advises: never an option that the command lacks; and `--layer`, which cuts the network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import padviz
from padviz.network.targets import upto
from tests.cli.test_cli import run, told
from tests.cli.test_cli_foreign import mystery, two_heads
from tests.sweeps import every_third

COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "usage": lambda model: ["usage", model],
    "audit": lambda model: ["audit", model],
    "coverage": lambda model: ["coverage", model],
    "uneven": lambda model: ["uneven", model],
    "sizes": lambda model: ["sizes", model, "--size", "7:9"],
    "layers": lambda model: ["layers", model],
    "compare": lambda model: ["compare", "--model", f"{model},vgg11"],
    "export": lambda model: ["export", model, "-o", "out", "--jobs", "1"],
    "diff": lambda model: ["diff", model, "--same"],
    "convert": lambda model: ["convert", model],
}
CUT = ("uneven", "sizes", "layers")
HEADS = """
size = 16
target = []
layers = [{op = "conv", name = "a", kernel = 3, padding = 1}, {op = "conv", name = "b", kernel = 3, from = "a"},
          {op = "maxpool", name = "c", kernel = 30, from = "a"}]
"""
FIXED = 'size = 16\nfixed = ["height"]\nlayers = [{op = "conv", name = "a", kernel = 3, padding = 1}]\n'


pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize("command", every_third(COMMANDS))
def test_no_hint_names_an_option_that_the_command_lacks(command: str) -> None:
    Path("heads.toml").write_text(HEADS)
    Path("fixed.toml").write_text(FIXED)
    mystery()
    args = COMMANDS[command]
    known = {*re.findall(r"--[a-z-]+", run(args("")[0], "--help").stdout)}
    beside = [["--layer", "nosuch"], ["--size", "8"], ["--size", "8", "--padding", "valid"]]
    failed = 0
    for model in ("vgg19", "resnet50", "heads.toml", "fixed.toml", "net.onnx", "nosuch"):
        for more in ([], *beside):
            if not {word for word in more if word.startswith("--")} <= known:
                continue
            result = run(*args(model), *more)
            failed += result.exit_code != 0
            named = {*re.findall(r"--[a-z][a-z-]*", result.stderr)}
            assert named <= known, result.stderr
            assert "`" not in result.stderr
            assert not re.search(r"[;,:] *$", result.stderr.rstrip("\n"))
    assert failed >= 3


SHARED = "padviz: heads: its last maps b, c have the same weight; --heads sum adds them, --layer names some\n"
HEARD = {"usage": SHARED, "audit": SHARED, "schemes": SHARED, "explore": SHARED, "coverage": "", "export": ""}


@pytest.mark.parametrize("command", HEARD)
def test_several_last_maps_have_the_same_weight_and_one_line_says_so(command: str) -> None:
    Path("heads.toml").write_text(HEADS)
    args = {
        **COMMANDS,
        "schemes": lambda model: ["compare", model, "--padding", "zero,reflect"],
        "explore": lambda model: ["explore", model],
    }[command]
    result = run(*args("heads.toml"), "--size", "40")
    assert (result.exit_code, result.stderr) == (0, HEARD[command])
    if HEARD[command]:
        for more in (["--heads", "sum"], ["--heads", "share"], ["--layer", "b"]):
            asked = run(*args("heads.toml"), "--size", "40", *more)
            assert (asked.exit_code, asked.stderr) == (0, "")


def test_all_commands_state_the_same_figures_of_several_heads() -> None:
    path = two_heads()
    share = padviz.usage(path, 64, heads="share").summary()
    starved = json.loads(run("usage", path, "--size", "64", "--format", "json").stdout)["share"]["starved"]
    audit = json.loads(run("audit", path, "--size", "64", "--format", "json").stdout)["results"][0]
    repad = json.loads(run("repad", path, "--size", "64", "--padding", "reflect", "--format", "json").stdout)
    assert run("export", path, "--size", "64", "-o", "out", "--jobs", "1").exit_code == 0
    (export,) = (json.loads(each.read_text()) for each in Path("out").glob("*usage.json"))
    assert (
        starved == share.share.starved == audit["outcome"]["share"]["starved"] == export["figures"]["share"]["starved"]
    )
    assert starved == repad["before"]["share"]["starved"]
    assert share.share.least != padviz.usage(path, 64, heads="sum").summary().share.least


@pytest.mark.parametrize("command", CUT)
def test_a_layer_is_as_far_as_a_command_looks(command: str) -> None:
    """What lies behind it, or beside it, does not matter: an unknown operation, or a window that does not fit."""
    Path("heads.toml").write_text(HEADS)
    args = COMMANDS[command]
    if command != "sizes":
        assert "--layer" in told(*args(mystery()), "--size", "32")
    for model, layer in ((mystery(), "a"), ("heads.toml", "b")):
        whole = run(*args(model), "--size", "16")
        assert whole.exit_code == 2
        result = run(*args(model), "--size", "16", "--layer", layer)
        assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    assert "did you mean" in told(*args("vgg19"), "--layer", "features.366")


def test_the_cut_network_is_the_one_that_is_looked_at() -> None:
    part = upto(padviz.load("resnet50"), ("layer2.3",))
    text = run("uneven", "resnet50", "--size", "224", "--layer", "layer2.3").stdout
    assert text.startswith("ResNet-50 up to layer2.3, 224 x 224\n")
    assert "Reported" not in text
    (entry,) = json.loads(run("uneven", "resnet50", "--layer", "layer2.3", "--format", "json").stdout)["results"]
    assert [row["layer"] for row in entry["layers"]] == [row.layer for row in padviz.uneven(part, 224).layers]
    assert "reported" not in entry
    found = json.loads(run("sizes", "resnet50", "--layer", "layer2.3", "--format", "json").stdout)
    assert (found["rule"], padviz.sizes(part).rule) == ("8*i + 1", "8*i + 1")
    rows = json.loads(run("layers", "resnet50", "--layer", "layer2.3", "--format", "json").stdout)["layers"]
    assert [row["layer"] for row in rows] == [layer.name for layer in part.layers[1:]]
