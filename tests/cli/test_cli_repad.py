"""`padviz repad`: what is written pads as it was asked, JSON says what was changed, and nothing else is written."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import padviz
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
    result = run("repad", *args)
    nothing = "" if "-o" in args else "padviz: nothing is written; add -o FILE.onnx\n"
    assert (result.exit_code, result.stderr) == (0, nothing)
    return " ".join(result.stdout.split())


def test_a_file_is_written_that_pads_so_and_is_verified_at_two_sizes() -> None:
    text = said("net.onnx", "--padding", "symmetric/circular", *SIZE, "-o", "out.onnx")
    assert text.startswith("network net, 96 x 128 pixels padding zero to symmetric/circular")
    assert "could not change none" in text
    assert "in every pixel, at 96 x 128 and 144 x 192" in text
    counts = padviz.usage("out.onnx", (96, 128)).counts
    np.testing.assert_array_equal(counts, padviz.usage("net.onnx", (96, 128), "symmetric/circular").counts)


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


def test_layers_are_no_way_around_what_is_not_known() -> None:
    mystery()
    for words in (["--padding", "reflect"], ["--even"]):
        line = told("repad", "net.onnx", *words)
        assert "--neutral own.Mystery treats it as elementwise" in line
        assert "--layer" not in line
    line = told("repad", "net.onnx", "--padding", "reflect", "--neutral", "own.Mystery")
    assert line == "padviz: net: nothing can be changed: none of the selected convolutions pads\n"


def written(path: str, body: str, size: tuple[int, int] | None = (8, 10)) -> None:
    model = model_of(body, 17)
    for dim, n in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], size or (), strict=False):
        dim.ClearField("dim_param")
        dim.dim_value = n
    onnx.save(model, path)


LAST = "\n y = Conv <pads = [1, 1, 1, 1]> (a, w3x3)"


def padded(before: list[int], own: list[int]) -> str:
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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "pools"), [("resnet18", ["/maxpool/MaxPool"]), pytest.param("mobilenet_v2", [], marks=REST)]
)
def test_exports_of_torchvision_are_made_even(name: str, pools: list[str]) -> None:
    models, torch = pytest.importorskip("torchvision.models"), pytest.importorskip("torch")
    size = (96, 160)
    module = models.get_model(name, weights=None).eval()
    torch.onnx.export(module, (torch.zeros(1, 3, *size),), "real.onnx", dynamo=False, verbose=False)
    why = f"{pools[0]}: pools have no weights, and stay as they are" if pools else "none"
    assert f" uneven {why} " in f"{said('real.onnx', '--even', '-o', 'even.onnx')} "
    assert [each.layer for each in padviz.uneven("even.onnx", size).uneven] == pools
    found = json.loads(said("real.onnx", "--even", "--format", "json"))
    assert (found["uneven"], len(found["changed"])) == (pools, {"resnet18": 7, "mobilenet_v2": 5}[name])
    assert {row["pooled"] for row in found["changed"]} == {True}


def test_convert_writes_descriptions_that_pad_so() -> None:
    for scheme in ("reflect", "zero/circular", "partial"):
        assert run("convert", "unet_padded", "--padding", scheme, "-o", "net.toml", "--overwrite").exit_code == 0
        wanted = padviz.usage("unet_padded", 100, scheme).counts
        np.testing.assert_array_equal(padviz.usage("net.toml", 100).counts, wanted)
