"""The commands on ONNX files, modules and networks of several heads: what they ask for, warn of and advise."""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import padviz
from tests.cli.test_cli import lay, run, told
from tests.sweeps import every_third


@pytest.fixture(autouse=True)
def _files(elsewhere: None) -> None:
    lay("foreign_net.py", "heads.toml", "fixed.toml")


def conv(name: str, reads: str, kernel: int = 3, **attrs: Any) -> Any:
    return helper.make_node(
        "Conv", [reads, f"w{kernel}"], [name], name=name, kernel_shape=[kernel] * 2, **attrs
    )


def saved(
    nodes: list[Any], outputs: list[str], path: str = "net.onnx", size: tuple[Any, Any] = ("h", "w")
) -> str:
    """A file of one image input, with open sizes, and weights of three channels."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *size])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    weights = [
        helper.make_tensor(f"w{k}", TensorProto.FLOAT, [3, 3, k, k], [1.0] * 9 * k * k)
        for k in (1, 3)
    ]
    graph = helper.make_graph(nodes, "net", [image], made, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


def plain(path: str = "net.onnx") -> str:
    pads = [1, 1, 1, 1]
    nodes = [
        conv("a", "image", pads=pads, strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["r"], name="r"),
    ]
    return saved(
        [*nodes, conv("b", "r", pads=pads), helper.make_node("GlobalAveragePool", ["b"], ["out"])],
        ["out"],
        path,
    )


def two_heads() -> str:
    pads = [1, 1, 1, 1]
    return saved(
        [conv("a", "image", pads=pads), conv("big", "a", pads=pads), conv("small", "a", 1)],
        ["big", "small"],
    )


def mystery() -> str:
    strange = helper.make_node("Mystery", ["a"], ["m"], name="strange", domain="own")
    return saved([conv("a", "image"), strange, conv("b", "m")], ["b"])


@pytest.mark.parametrize(
    "line", ["usage {}", "uneven {}", "layers {}", "coverage {}", "convert {}"]
)
def test_an_unknown_operation_names_its_node_and_the_ways_out(line: str) -> None:
    asked = [*line.format(mystery()).split(), "--size", "32"]
    words = told(*asked)
    for text in ("strange", "own.Mystery", "opset 1", "--neutral own.Mystery"):
        assert text in words
    assert ("--layer a" in words) == (asked[0] != "convert")  # which has none
    assert run(*asked, "--neutral", "own.Mystery").exit_code == 0


HOSTILE = "a' `x`;touch${IFS}RAN;\"b"  # of a layer, an operation, or a file
ADVISED = {
    "usage MODEL --size 32": ("unknown", ["--neutral", "--layer"]),
    "usage MODEL --layer zzz": ("known", ["padviz layers"]),
    "MODEL": ("known", ["padviz audit"]),
    "audit MODEL": ("known", ["padviz seen"]),
    "uneven MODEL --layer zzz": ("known", ["padviz layers"]),
}


@pytest.mark.parametrize("line", ADVISED)
def test_names_in_a_line_to_be_typed_are_quoted(line: str) -> None:
    model, advised = ADVISED[line]
    file, pads = f"{model} {HOSTILE}.onnx", [1, 1, 1, 1]
    node = helper.make_node("Relu", [HOSTILE], ["m"])
    if model == "unknown":
        node = helper.make_node(HOSTILE, [HOSTILE], ["m"], name="strange", domain="own")
    saved([conv(HOSTILE, "image", pads=pads), node, conv("b", "m", pads=pads)], ["b"], file)
    result = run(*(file if word == "MODEL" else word for word in line.split()))
    said = re.sub(r"\s+", " ", result.stdout + result.stderr)
    names = {"--neutral": f"own.{HOSTILE}", "--layer": HOSTILE}
    for command in advised:
        assert f"{command} {shlex.quote(names.get(command, file))}" in said


def test_a_module_that_goes_to_another_folder_when_it_is_imported() -> None:
    code = "import os\nfrom torch import nn\nos.mkdir('away')\nos.chdir('away')\nnet = nn.Conv2d(3, 1, 3)\n"
    Path("wandering_net.py").write_text(code)
    before = [*sys.path]
    assert run("layers", "wandering_net:net", "--size", "8").exit_code == 0
    assert sys.path == before


COMMANDS = {
    "usage": "usage {} --no-picture",
    "audit": "audit {}",
    "coverage": "coverage {} --no-picture",
    "uneven": "uneven {}",
    "sizes": "sizes {} --size 7:9",
    "layers": "layers {}",
    "compare": "compare {} vgg11",
    "export": "export {} -o out --jobs 1",
    "diff": "diff {} --same",
    "convert": "convert {}",
}


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
    "compare {} --padding zero,reflect": SHARED,
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
        return json.loads(
            run(*line.format(path).split(), "--size", "64", "--format", "json").stdout
        )

    share = padviz.usage(path, 64, heads="share").summary().share
    assert run("export", path, "--size", "64", "-o", "out", "--jobs", "1").exit_code == 0
    (record,) = (json.loads(each.read_text()) for each in Path("out").glob("*usage.json"))
    told_ = [each["rows"][0] for each in (found("usage {}"), found("audit {}"), record)]
    told_ += [found("repad {} --padding reflect")["before"]]
    assert {each["starved"] for each in told_} == {share.starved}
    assert share.min != padviz.usage(path, 64, heads="sum").summary().share.min


@pytest.mark.parametrize("command", ["uneven", "sizes", "layers"])
def test_a_layer_is_as_far_as_a_command_looks(command: str) -> None:
    """What lies behind it, or beside it, does not matter: an unknown operation, or a window that does not fit."""
    for model, layer in ((mystery(), "a"), ("heads.toml", "b")):
        asked = [*COMMANDS[command].format(model).split(), "--size", "16"]
        assert "--layer" in told(*asked) or command == "sizes" or model == "heads.toml"
        result = run(*asked, "--layer", layer)
        assert (result.exit_code, result.stderr) == (0, ""), result.stderr
