"""`padviz repad`: what is written pads as it was asked, JSON says what was changed, and nothing else is written."""

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

SIZE = ["--size", "96x128"]
ONES = [1, 1, 1, 1]


@pytest.fixture(autouse=True)
def _elsewhere(elsewhere: None) -> None:
    plain()


def said(*args: str) -> str:
    """The words of a repad that went well."""
    result = run("repad", *args)
    nothing = "" if "-o" in args else "padviz: nothing is written; -o FILE.onnx says where to\n"
    assert (result.exit_code, result.stderr) == (0, nothing)
    return " ".join(result.stdout.split())


def test_a_file_is_written_that_pads_so_and_is_verified_at_two_sizes() -> None:
    text = said("net.onnx", "--padding", "symmetric/circular", *SIZE, "-o", "out.onnx")
    assert text.startswith("network net, 96 x 128 pixels padding zero to symmetric/circular")
    assert "could not change none" in text
    assert "in every pixel, at 96 x 128 and 144 x 192" in text
    counts = padviz.usage("out.onnx", (96, 128)).counts
    np.testing.assert_array_equal(counts, padviz.usage("net.onnx", (96, 128), "symmetric/circular").counts)


def test_a_larger_size_is_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def even_ones(network: Network, axis: int, n: int) -> list[int]:
        if n % 16:
            raise SizeError("cannot be halved")
        return [n]

    planned = plan(padviz.load("vgg11"), "reflect", (80, 96))
    monkeypatch.setattr(verify, "sizes_of", even_ones)
    assert verify.larger_size(planned) == (128, 144)
    monkeypatch.setattr(verify, "larger_size", lambda plan: None)
    text = said("net.onnx", "--padding", "reflect", *SIZE)
    assert "at 96 x 128 alone: no larger size near it runs" in text


def test_what_differs_at_the_larger_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "same", lambda one, other: one.shape == (96, 128))
    assert "is not what was planned" in told("repad", "net.onnx", "--padding", "reflect", *SIZE)


def test_json_says_what_was_changed_and_has_the_figures_of_usage() -> None:
    found = json.loads(said("net.onnx", "--padding", "reflect", *SIZE, "-o", "out.onnx", "--format", "json"))
    names = [layer.name for layer in padviz.load("net.onnx").layers if layer.kind == "conv"]
    assert (found["schema_version"], found["size"], found["left"], found["files"]) == (2, [96, 128], [], ["out.onnx"])
    assert [row["layer"] for row in found["changed"]] == names
    assert found["changed"][0]["now"] == [{"mode": "reflect", "padding": [1, 1], "stride": 2}] * 2
    for when, path in (("before", "net.onnx"), ("after", "out.onnx")):
        counted = json.loads(run("usage", path, *SIZE, "--format", "json").stdout)
        assert found[when]["share"] == counted["share"]
    assert found["before"]["share"] != found["after"]["share"]


def test_what_was_verified_is_not_counted_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []

    def usage(network: Any, *args: Any, **options: Any) -> Any:
        counted.append(network.name)
        return count(network, *args, **options)

    monkeypatch.setattr("padviz.repadding.verify.usage", usage)
    monkeypatch.setattr("padviz.analyses.repad.usage", usage)
    assert run("repad", "net.onnx", "--padding", "reflect", *SIZE).exit_code == 0
    assert len(counted) == 5  # what was asked for and what was made, at two sizes, and what was before


def test_where_all_pads_so_already_the_report_says_so_and_the_file_is_written() -> None:
    text = said("net.onnx", "--padding", "zero", "--size", "224", "-o", "out.onnx")
    assert "padding zero already changed 0 of 2 layers that pad could not change none" in text
    assert Path("out.onnx").exists()


def test_check_fails_where_a_layer_is_left_alone() -> None:
    one_dimensional(Path("line.onnx"))
    chosen = ["line.onnx", "--padding", "reflect", "--size", "12x16", "-o", "out.onnx"]
    result = run("repad", *chosen, "--check")
    assert (result.exit_code, result.stderr.count("exit code 1\n")) == (1, 1)
    assert "it is one-dimensional" in result.stdout
    chosen.append("--overwrite")
    github = run("repad", *chosen, "--check", "--format", "github")
    assert github.exit_code == 1
    assert re.fullmatch("::error title=Unchanged::.*: .*it is one-dimensional.*\n", github.stdout)
    assert json.loads(said(*chosen, "--format", "json"))["uneven"] == []
    assert run("repad", *chosen, "--check", "--except", "y").exit_code == 0


@pytest.mark.parametrize("layers", [12, 13])
def test_twelve_layers_that_are_left_alone_are_shown_and_the_others_counted(layers: int) -> None:
    lines = ["a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)", "r0 = ReduceMean <axes = [2], keepdims = 0> (a)"]
    lines += [f"r{i + 1} = Conv <pads = [1, 1]> (r{i}, w)" for i in range(layers)]
    model = model_of("\n".join([*lines, f"y = Relu (r{layers})"]), 13)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 1, 3), dtype=np.float32), "w"))
    onnx.save(model, "lines.onnx")
    result = run("repad", "lines.onnx", "--padding", "reflect", "--size", "12x16")
    assert result.stdout.count("it is one-dimensional") == 12
    assert ("and 1 more: --format json" in result.stdout) == (layers == 13)


def test_layers_are_no_way_around_what_is_not_known() -> None:
    mystery()
    for words in (["--padding", "reflect"], ["--even"]):
        line = told("repad", "net.onnx", *words)
        assert "--neutral own.Mystery treats it as elementwise" in line
        assert "--layer" not in line
    line = told("repad", "net.onnx", "--padding", "reflect", "--neutral", "own.Mystery")
    assert line == "padviz: net: nothing can be changed: no convolution that was asked for pads\n"


def written(path: str, body: str, size: tuple[int, int] | None = (8, 10)) -> None:
    """Write a file of some nodes, with a size of its own."""
    model = model_of(body, 17)
    for dim, n in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], size or (), strict=False):
        dim.ClearField("dim_param")
        dim.dim_value = n
    onnx.save(model, path)


LAST = "\n y = Conv <pads = [1, 1, 1, 1]> (a, w3x3)"


def padded(before: list[int], own: list[int]) -> str:
    """A window whose padding is of a Pad and of its own."""
    return f"""p = Constant <value_ints = [0, 0, {before[0]}, {before[1]}, 0, 0, {before[2]}, {before[3]}]> ()
 q = Pad (x, p)
 a = Conv <pads = {own}, strides = [2, 2]> (q, w4x4){LAST}"""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            f"a = Conv <pads = [0, 0, 2, 2], strides = [2, 2]> (x, w4x4){LAST}",
            "changed 1: a (pads 0+2 x 0+2 to 1+1 x 1+1) uneven none phase units of y lie off the image's centre: from "
            "+1 to +0 px in height, from +1 to +0 px in width",
        ),
        (padded([1, 1, 0, 0], [0, 0, 3, 3]), "a (pads 1+3 x 1+3 to 2+2 x 2+2)"),
    ],
)
def test_even_shares_pads_out(body: str, says: str) -> None:
    """Two rows of padding, both on the far side; and some by a Pad before the window, some by itself."""
    written("far.onnx", body)
    text = said("far.onnx", "--even", "-o", "even.onnx")
    assert says in text
    assert "is what was asked for, in every pixel, at" not in text
    assert padviz.uneven("even.onnx", (8, 10)).balanced
    counts = padviz.usage("even.onnx", (8, 10)).counts
    np.testing.assert_array_equal(counts, bright_pixels(onnx.load("even.onnx"), (8, 10)))


def test_even_takes_no_rows_from_a_pad_before() -> None:
    written("more.onnx", padded([0, 0, 2, 2], [0, 0, 0, 0]))
    line = "padviz: more: nothing can be changed: a: a pad before it has more rows than it should\n"
    assert told("repad", "more.onnx", "--even") == line


def test_even_tells_the_phase_of_each_axis() -> None:
    written("tall.onnx", "a = Conv <pads = [0, 0, 2, 0], strides = [2, 2]> (x, w4x1)\n y = Conv (a, w1x3)", None)
    text = said("tall.onnx", "--even", "--size", "8x10")
    assert "changed 1: a (pads 0+2 x 0+0 to 1+1 x 0+0)" in text
    assert "off the image's centre: from +1 to +0 px in height, from -0.5 to -0.5 px in width" in text


def test_even_moves_strides_into_pools() -> None:
    nodes = [conv("a", "image", pads=ONES, strides=[2, 2]), helper.make_node("Relu", ["a"], ["r"], name="r")]
    nodes += [conv("b", "r", pads=ONES, strides=[2, 2]), conv("s", "r", 1, strides=[2, 2])]
    nodes.append(helper.make_node("Add", ["b", "s"], ["sum"], name="sum"))
    saved(nodes, ["sum"], "two.onnx", (32, 48))
    text = said("two.onnx", "--even", "-o", "even.onnx")
    assert "changed 3: a (stride 1, then an average of 2 x 2), b (stride 1, then an average of 2 x 2)" in text
    assert "from -1.5 to +0 px in height" in text
    assert padviz.uneven("even.onnx", (32, 48)).balanced
    model, before = onnx.load("even.onnx"), onnx.load("two.onnx")
    assert model.graph.initializer == before.graph.initializer
    pooled = ["Conv", "AveragePool"]
    assert [node.op_type for node in model.graph.node] == [*pooled, "Relu", *pooled * 2, "Add"]


EXPORTS = [
    pytest.param(name, size, new, marks=REST if new or size[0] == size[1] or name != "resnet18" else ())
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
    pools = POOLS.get((name, new), [])
    why = f"{pools[0]}: pools have no weights, and stay as they are" if pools else "none"
    assert f" uneven {why} " in f"{said('real.onnx', '--even', '-o', 'even.onnx')} "
    assert [each.layer for each in padviz.uneven("even.onnx", size).uneven] == pools
    found = json.loads(said("real.onnx", "--even", "--format", "json"))
    assert (found["uneven"], len(found["changed"])) == (pools, {"resnet18": 7, "mobilenet_v2": 5}[name])
    assert {row["pooled"] for row in found["changed"]} == {True}
    session = onnxruntime.InferenceSession("even.onnx", providers=["CPUExecutionProvider"])
    image = np.zeros((1, 3, *size), dtype=np.float32)
    assert session.run(None, {session.get_inputs()[0].name: image})[0].shape == (1, 1000)


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
