"""What an error advises: never an option that the command lacks; `--layer`, which cuts the network; several heads."""

import json
import re
from pathlib import Path

import pytest

import padviz
from tests.cli.test_cli import run, told
from tests.cli.test_cli_foreign import mystery, two_heads
from tests.sweeps import every_third

COMMANDS = {
    "usage": "usage {} --no-picture",
    "audit": "audit {}",
    "coverage": "coverage {} --no-picture",
    "uneven": "uneven {}",
    "sizes": "sizes {} --size 7:9",
    "layers": "layers {}",
    "compare": "compare --model {},vgg11 --no-picture",
    "export": "export {} -o out --jobs 1",
    "diff": "diff {} --same",
    "convert": "convert {}",
}
HEADS = """
size = 16
target = []
layers = [{op = "conv", name = "a", kernel = 3, padding = 1}, {op = "conv", name = "b", kernel = 3, from = "a"},
          {op = "maxpool", name = "c", kernel = 30, from = "a"}]
"""
FIXED = 'size = 16\nfixed = ["height"]\nlayers = [{op = "conv", name = "a", kernel = 3, padding = 1}]\n'


@pytest.fixture(autouse=True)
def _files(elsewhere: None) -> None:
    Path("heads.toml").write_text(HEADS)
    Path("fixed.toml").write_text(FIXED)


@pytest.mark.parametrize("command", every_third(COMMANDS))
def test_no_hint_names_an_option_that_the_command_lacks(command: str) -> None:
    mystery()
    known = {*re.findall(r"--[a-z-]+", run(command, "--help").stdout)}
    failed = 0
    for model in ("vgg19", "resnet18", "heads.toml", "fixed.toml", "net.onnx", "nosuch"):
        for more in ("", "--layer nosuch", "--size 8", "--size 8 --padding valid"):
            if {word for word in more.split() if word.startswith("--")} <= known:
                result = run(*f"{COMMANDS[command].format(model)} {more}".split())
                failed += result.exit_code != 0
                assert {*re.findall(r"--[a-z][a-z-]*", result.stderr)} <= known, result.stderr
                assert "`" not in result.stderr
                assert not re.search(r"[;,:] *$", result.stderr.rstrip("\n"))
    assert failed >= 3


SHARED = "padviz: heads: its last maps b, c have the same weight; --heads sum adds them, --layer names some\n"
HEARD = {
    "usage {} --no-picture": SHARED,
    "audit {}": SHARED,
    "compare {} --padding zero,reflect --no-picture": SHARED,
    "explore {}": SHARED,
    "coverage {} --no-picture": "",
    "export {} -o out --jobs 1": "",
}


@pytest.mark.parametrize("line", HEARD)
def test_several_last_maps_have_the_same_weight_and_one_line_says_so(line: str) -> None:
    asked = [*line.format("heads.toml").split(), "--size", "40"]
    result = run(*asked)
    assert (result.exit_code, result.stderr) == (0, HEARD[line])
    if HEARD[line]:
        for more in (["--heads", "sum"], ["--layer", "b"]):
            result = run(*asked, *more)
            assert (result.exit_code, result.stderr) == (0, "")


def test_all_commands_state_the_same_figures_of_several_heads() -> None:
    path = two_heads()

    def found(line: str) -> dict:
        return json.loads(run(*line.format(path).split(), "--size", "64", "--format", "json").stdout)

    share = padviz.usage(path, 64, heads="share").summary().share
    assert run("export", path, "--size", "64", "-o", "out", "--jobs", "1").exit_code == 0
    (record,) = (json.loads(each.read_text()) for each in Path("out").glob("*usage.json"))
    told_ = [found("usage {}"), found("audit {}")["results"][0]["outcome"], record["figures"]]
    told_ += [found("repad {} --padding reflect")["before"]]
    assert {each["share"]["starved"] for each in told_} == {share.starved}
    assert share.least != padviz.usage(path, 64, heads="sum").summary().share.least


@pytest.mark.parametrize("command", ["uneven", "sizes", "layers"])
def test_a_layer_is_as_far_as_a_command_looks(command: str) -> None:
    """What lies behind it, or beside it, does not matter: an unknown operation, or a window that does not fit."""
    for model, layer in ((mystery(), "a"), ("heads.toml", "b")):
        asked = [*COMMANDS[command].format(model).split(), "--size", "16"]
        assert "--layer" in told(*asked) or command == "sizes" or model == "heads.toml"
        result = run(*asked, "--layer", layer)
        assert (result.exit_code, result.stderr) == (0, ""), result.stderr
