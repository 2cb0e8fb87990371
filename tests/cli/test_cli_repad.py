"""`padviz repad`: one screen, JSON, every bad input in one line, and nothing written that should not be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import padviz
from padviz.counting.usage import usage as count
from padviz.errors import SizeError
from padviz.network.network import Network
from padviz.repadding import verify
from padviz.repadding.plan import plan
from tests.cli.test_cli import run, told
from tests.cli.test_cli_foreign import conv, mystery, plain, saved
from tests.repadding.test_onnx_file import one_dimensional
from tests.sources.test_onnx_ops import bright_pixels, model_of
from tests.sweeps import REST

SIZE = "96x128"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain()


def test_a_file_is_written_that_pads_so() -> None:
    result = run("repad", "net.onnx", "--padding", "symmetric/circular", "--size", SIZE, "-o", "out.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:2] == ["network           net, 96 x 128 pixels", "padding           zero to symmetric/circular"]
    assert "could not change  none" in lines
    assert any("in every pixel" in line for line in lines)
    counts = padviz.usage("out.onnx", (96, 128)).counts
    np.testing.assert_array_equal(counts, padviz.usage("net.onnx", (96, 128), "symmetric/circular").counts)


def test_a_file_with_an_open_size_is_verified_at_two() -> None:
    shown = " ".join(run("repad", "net.onnx", "--padding", "reflect", "--size", SIZE).stdout.split())
    assert "in every pixel, at 96 x 128 and 144 x 192" in shown
    odd_pads("far.onnx")
    shown = " ".join(run("repad", "far.onnx", "--even").stdout.split())
    assert "is what was asked for, in every pixel, at" not in shown


def test_a_larger_size_is_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def even_ones(network: Network, axis: int, n: int) -> list[int]:
        if n % 16:
            raise SizeError("cannot be halved")
        return [n]

    planned = plan(padviz.load("vgg11"), "reflect", (80, 96))
    monkeypatch.setattr(verify, "sizes_of", even_ones)
    assert verify.larger_size(planned) == (128, 144)
    monkeypatch.setattr(verify, "larger_size", lambda plan: None)
    shown = " ".join(run("repad", "net.onnx", "--padding", "reflect", "--size", SIZE).stdout.split())
    assert "at 96 x 128 alone: no larger size near it runs" in shown


def test_what_differs_at_the_larger_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "same", lambda one, other: one.shape == (96, 128))
    assert "is not what was planned" in told("repad", "net.onnx", "--padding", "reflect", "--size", SIZE)


def test_json_says_what_was_changed_and_has_the_figures_of_usage() -> None:
    run("repad", "net.onnx", "--padding", "reflect", "--size", SIZE, "-o", "out.onnx")
    found = json.loads(run("repad", "net.onnx", "--padding", "reflect", "--size", SIZE, "--format", "json").stdout)
    names = [layer.name for layer in padviz.load("net.onnx").layers if layer.kind == "conv"]
    assert (found["schema_version"], found["size"], found["left"], found["files"]) == (2, [96, 128], [], [])
    assert [row["layer"] for row in found["changed"]] == names
    assert found["changed"][0]["now"] == [{"mode": "reflect", "padding": [1, 1], "stride": 2}] * 2
    before, after = (
        json.loads(run("usage", path, "--size", SIZE, "--format", "json").stdout) for path in ("net.onnx", "out.onnx")
    )
    assert found["before"]["share"] == before["share"]
    assert found["after"]["share"] == after["share"]
    assert found["before"]["share"] != found["after"]["share"]


def test_what_was_verified_is_not_counted_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def usage(network: Any, *args: Any, **options: Any) -> Any:
        counted.append(network.name)
        return count(network, *args, **options)

    monkeypatch.setattr("padviz.repadding.verify.usage", usage)
    monkeypatch.setattr("padviz.reports.maps.repad.usage", usage)
    assert run("repad", "net.onnx", "--padding", "reflect", "--size", SIZE).exit_code == 0
    assert len(counted) == 5  # what was asked for and what was made, at two sizes, and what was before


def test_where_all_pads_so_already_the_report_says_so_and_the_file_is_written() -> None:
    result = run("repad", "net.onnx", "--padding", "zero", "-o", "out.onnx")
    assert (result.exit_code, Path("out.onnx").exists()) == (0, True)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[1:4] == ["padding zero already", "changed 0 of 2 layers that pad", "could not change none"]


def test_check_fails_where_a_layer_is_left_alone() -> None:
    one_dimensional(Path("line.onnx"))
    chosen = ["--padding", "reflect", "--size", "12x16", "-o", "out.onnx"]
    result = run("repad", "line.onnx", *chosen, "--check")
    assert (result.exit_code, result.stderr.count("exit code 1\n")) == (1, 1)
    assert "it is one-dimensional" in result.stdout
    assert run("repad", "line.onnx", *chosen, "--overwrite").exit_code == 0
    github = run("repad", "line.onnx", *chosen, "--overwrite", "--check", "--format", "github")
    assert github.exit_code == 1
    assert re.fullmatch("::error title=Unchanged::.*: .*it is one-dimensional.*\n", github.stdout)
    assert json.loads(run("repad", "line.onnx", *chosen, "--overwrite", "--format", "json").stdout)["uneven"] == []
    assert run("repad", "line.onnx", *chosen, "--overwrite", "--check", "--except", "y").exit_code == 0
    assert [*Path().glob("out.onnx")]


def test_layers_are_no_way_around_what_is_not_known() -> None:
    mystery()
    for words in (["--padding", "reflect"], ["--even"]):
        line = told("repad", "net.onnx", *words)
        assert "--neutral own.Mystery treats it as elementwise" in line
        assert "--layer" not in line
    line = told("repad", "net.onnx", "--padding", "reflect", "--neutral", "own.Mystery")
    assert line == "padviz: net: nothing can be changed: no convolution that was asked for pads\n"


def odd_pads(path: str) -> Any:
    """A window that reads two rows of padding, both on the far side, and its file."""
    body = "a = Conv <pads = [0, 0, 2, 2], strides = [2, 2]> (x, w4x4)\n y = Conv <pads = [1, 1, 1, 1]> (a, w3x3)"
    model = model_of(body, 17)
    for dim, n in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], (8, 10), strict=True):
        dim.ClearField("dim_param")
        dim.dim_value = n
    onnx.save(model, path)
    return model


def test_even_shares_pads_out() -> None:
    odd_pads("far.onnx")
    result = run("repad", "far.onnx", "--even", "-o", "even.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "changed   1: a (pads 0+2 x 0+2 to 1+1 x 1+1)" in result.stdout
    assert (
        "units of y lie off the image's centre: from +1 to +0 px in height, from +1 to +0 px in width" in result.stdout
    )
    assert "uneven    none" in result.stdout
    assert padviz.uneven("even.onnx", (8, 10)).balanced
    np.testing.assert_array_equal(
        padviz.usage("even.onnx", (8, 10)).counts, bright_pixels(onnx.load("even.onnx"), (8, 10))
    )


def test_even_tells_the_phase_of_each_axis() -> None:
    model = model_of("a = Conv <pads = [0, 0, 2, 0], strides = [2, 2]> (x, w4x1)\n y = Conv (a, w1x3)", 17)
    onnx.save(model, "tall.onnx")
    result = run("repad", "tall.onnx", "--even", "--size", "8x10")
    assert "changed   1: a (pads 0+2 x 0+0 to 1+1 x 0+0)" in result.stdout
    assert "off the image's centre: from +1 to +0 px in height, from -0.5 to -0.5 px in width" in result.stdout


def padded_before(path: str, before: list[int], own: list[int]) -> None:
    """A window whose padding is of a Pad and of its own, in a file."""
    body = f"""p = Constant <value_ints = [0, 0, {before[0]}, {before[1]}, 0, 0, {before[2]}, {before[3]}]> ()
 q = Pad (x, p)
 a = Conv <pads = {own}, strides = [2, 2]> (q, w4x4)
 y = Conv <pads = [1, 1, 1, 1]> (a, w3x3)"""
    model = model_of(body, 17)
    for dim, n in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], (8, 10), strict=True):
        dim.ClearField("dim_param")
        dim.dim_value = n
    onnx.save(model, path)


def test_even_adds_to_the_rows_of_a_pad_before() -> None:
    padded_before("both.onnx", [1, 1, 0, 0], [0, 0, 3, 3])
    result = run("repad", "both.onnx", "--even", "-o", "even.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "a (pads 1+3 x 1+3 to 2+2 x 2+2)" in result.stdout
    model = onnx.load("even.onnx")
    assert padviz.uneven("even.onnx", (8, 10)).balanced
    np.testing.assert_array_equal(padviz.usage("even.onnx", (8, 10)).counts, bright_pixels(model, (8, 10)))
    padded_before("more.onnx", [0, 0, 2, 2], [0, 0, 0, 0])
    line = "padviz: more: nothing can be changed: a: a pad before it has more rows than it should\n"
    assert told("repad", "more.onnx", "--even") == line


def test_even_moves_strides_into_pools() -> None:
    nodes = [conv("a", "image", pads=[1, 1, 1, 1], strides=[2, 2]), helper.make_node("Relu", ["a"], ["r"], name="r")]
    down = conv("s", "r", 1, strides=[2, 2])
    saved(
        [
            *nodes,
            conv("b", "r", pads=[1, 1, 1, 1], strides=[2, 2]),
            down,
            helper.make_node("Add", ["b", "s"], ["sum"], name="sum"),
        ],
        ["sum"],
        "two.onnx",
        (32, 48),
    )
    result = run("repad", "two.onnx", "--even", "-o", "even.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        "changed   3: a (stride 1, then an average of 2 x 2), b (stride 1, then an average of 2 x 2)" in result.stdout
    )
    assert "from -1.5 to +0 px in height" in result.stdout
    assert padviz.uneven("even.onnx", (32, 48)).balanced
    model, before = onnx.load("even.onnx"), onnx.load("two.onnx")
    assert model.graph.initializer == before.graph.initializer
    assert [node.op_type for node in model.graph.node] == [
        "Conv",
        "AveragePool",
        "Relu",
        *["Conv", "AveragePool"] * 2,
        "Add",
    ]


EXPORTS = [
    pytest.param(name, size, new, marks=REST if new or size[0] == size[1] else ())
    for name in ("resnet18", "mobilenet_v2")
    for size in ((224, 224), (96, 160))
    for new in (False, True)
]
POOLS = {("resnet18", False): ["/maxpool/MaxPool"], ("resnet18", True): ["node_max_pool2d"]}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "size", "new"), EXPORTS)
def test_exports_of_torchvision_are_made_even(name: str, size: tuple[int, int], new: bool) -> None:
    models, torch = pytest.importorskip("torchvision.models"), pytest.importorskip("torch")
    if new:
        pytest.importorskip("onnxscript")
    module = models.get_model(name, weights=None).eval()
    torch.onnx.export(module, (torch.zeros(1, 3, *size),), "real.onnx", dynamo=new, verbose=False)
    result = run("repad", "real.onnx", "--even", "-o", "even.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    pools = POOLS.get((name, new), [])
    said = f"{pools[0]}: pools have no weights, and stay as they are" if pools else "none"
    assert f"\nuneven    {said}\n" in result.stdout
    assert [each.layer for each in padviz.uneven("even.onnx", size).uneven] == pools
    found = json.loads(run("repad", "real.onnx", "--even", "--format", "json").stdout)
    assert (found["uneven"], len(found["changed"])) == (pools, {"resnet18": 7, "mobilenet_v2": 5}[name])
    assert {row["pooled"] for row in found["changed"]} == {True}
    session = onnxruntime.InferenceSession("even.onnx", providers=["CPUExecutionProvider"])
    image = np.zeros((1, 3, *size), dtype=np.float32)
    assert session.run(None, {session.get_inputs()[0].name: image})[0].shape == (1, 1000)


def test_what_files_call_their_layers_does_no_harm() -> None:
    name = "\x1b[31m\u202e" + "n" * 2000
    model = onnx.load("net.onnx")
    for node in model.graph.node:
        node.name = name + node.name
    onnx.save(model, "named.onnx")
    result = run("repad", "named.onnx", "--padding", "reflect", "--size", "64", "-o", "out.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


def test_convert_writes_descriptions_that_pad_so() -> None:
    for scheme in ("reflect", "zero/circular", "partial"):
        assert run("convert", "unet_padded", "--padding", scheme, "-o", "net.toml", "--overwrite").exit_code == 0
        wanted = padviz.usage("unet_padded", 100, scheme).counts
        np.testing.assert_array_equal(padviz.usage("net.toml", 100).counts, wanted)
    pads = helper.make_node("Constant", [], ["p"], value=numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    padded = helper.make_node("Pad", ["image", "p"], ["q"], name="q")
    saved([pads, padded, conv("c", "q")], ["c"], "pad.onnx")
    text = run("convert", "pad.onnx", "--padding", "reflect").stdout
    assert '{op = "conv", name = "c", out = 3, kernel = 3, padding = 1, mode = "reflect"}' in text
    assert "identity" not in text
