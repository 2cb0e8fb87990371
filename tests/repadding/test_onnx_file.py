"""Repadding ONNX files: nothing else changes, what cannot be done is said by name, and what is wrong is not written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

import padviz
from padviz.errors import OptionError, PadvizError
from padviz.network.layer import Origin
from padviz.network.padding_modes import SCHEMES
from padviz.repadding import onnx_graph
from padviz.repadding.onnx_file import Repadded, repad_file
from padviz.repadding.plan import same_counts
from padviz.sources.onnx.constants import locations
from tests.cli.test_cli import told
from tests.onnx_oracle import run_file
from tests.sources.test_onnx_ops import model_of

SIZE = (12, 16)
PADS = [1, 1, 1, 1]


def repad_to(
    out: Path, path: Path, padding: str, *, overwrite: bool = False, **options: Any
) -> Repadded:
    repadded = repad_file(path, padding, **options)
    repadded.save(out, overwrite=overwrite)
    return repadded


def conv(name: str, reads: str, weight: str = "w", **attrs: Any) -> Any:
    return helper.make_node("Conv", [reads, weight], [f"{name}_out"], name=name, **attrs)


def saved(nodes: list[Any], path: Path, size: tuple[Any, Any] = SIZE, **more: Any) -> Path:
    """A file of one image of two channels, with random weights of 3 x 3 taps."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, *size])
    made = helper.make_tensor_value_info("c_out", TensorProto.FLOAT, [None] * 4)
    weights = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        nodes, "net", [image], [made], [numpy_helper.from_array(weights, "w")], **more
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="somebody")
    helper.set_model_props(model, {"trained by": "somebody", "classes": "2"})
    onnx.save(model, path)
    return path


def chain(path: Path, names: str = "abc", **more: Any) -> Path:
    reads = ("image", "a_out", "b_out")
    nodes = [conv(name, read, pads=PADS) for name, read in zip("abc", reads, strict=True)]
    for node, name in zip(nodes, names, strict=True):
        node.name = name
    return saved(nodes, path, **more)


def test_all_else_in_the_file_stays_as_it_is(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.onnx")
    found = repad_to(tmp_path / "out.onnx", path, "reflect/circular")
    before, after = onnx.load(path), onnx.load(tmp_path / "out.onnx")
    assert found.changed == ("a", "b", "c")
    for field in ("ir_version", "producer_name", "opset_import", "metadata_props", "functions"):
        assert getattr(before, field) == getattr(after, field)
    for field in ("name", "input", "output", "initializer"):
        assert getattr(before.graph, field) == getattr(after.graph, field)
    convs = [node for node in after.graph.node if node.op_type == "Conv"]
    assert [(node.name, node.output) for node in convs] == [
        (node.name, node.output) for node in before.graph.node
    ]
    assert {node.op_type for node in after.graph.node} == {
        "Conv",
        "Constant",
        "Pad",
        "Gather",
        "Concat",
    }


def test_only_some_layers_or_all_but_some(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.onnx")
    assert repad_file(path, "reflect", layers=["b"]).changed == ("b",)
    assert repad_file(path, "circular", without=["b_out"]).changed == (
        "a",
        "c",
    )  # named by the tensor that it makes


def test_a_pad_that_two_share_is_changed_for_both_or_for_none(tmp_path: Path) -> None:
    amounts = helper.make_node("Constant", [], ["p"], value_ints=[0, 0, 1, 1, 0, 0, 1, 1])
    nodes = [
        amounts,
        helper.make_node("Pad", ["image", "p"], ["q"], name="q"),
        conv("a", "q"),
        conv("b", "q"),
    ]
    path = saved(
        [*nodes, helper.make_node("Add", ["a_out", "b_out"], ["c_out"])], tmp_path / "net.onnx"
    )
    assert (
        repad_file(path, "reflect").changed
        == repad_file(path, "reflect", layers=["q"]).changed
        == ("a", "b")
    )
    said = "nothing can be changed: a: it shares its pad with a layer that cannot be changed"
    with pytest.raises(PadvizError, match=said):
        repad_file(path, "reflect", layers=["a"])


@pytest.mark.parametrize("opset", [7, 9])
def test_an_old_file_gets_no_initializers_that_it_would_have_to_list_as_inputs(
    opset: int, tmp_path: Path
) -> None:
    path = chain(tmp_path / "net.onnx")
    model = onnx.load(path)
    model.ir_version, model.opset_import[0].version = 3, opset
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 2, 3, 3]))
    model.graph.input.append(helper.make_tensor_value_info("bias", TensorProto.FLOAT, [2]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, dtype=np.float32), "bias"))
    model.graph.node[0].input.append("bias")
    onnx.save(model, path)
    for scheme in ("reflect", "symmetric", "circular", "partial"):
        found = repad_file(path, scheme).content
        onnx.checker.check_model(onnx.load_model_from_string(found), full_check=True)
        assert run_file(found, np.zeros((1, 2, *SIZE), dtype=np.float32))[0].shape == (1, 2, *SIZE)


def branch(path: Path) -> Path:
    """A convolution inside of a branch that is always taken, and one outside."""
    inner = helper.make_graph(
        [conv("b", "a_out", pads=PADS)], "then", [], [onnx.ValueInfoProto(name="b_out")]
    )
    same = helper.make_node("Identity", ["a_out"], ["e"])
    other = helper.make_graph([same], "else", [], [onnx.ValueInfoProto(name="e")])
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    taken = helper.make_node(
        "If", ["yes"], ["c_out"], name="if", then_branch=inner, else_branch=other
    )
    return saved([conv("a", "image", pads=PADS), yes, taken], path)


def of_nodes(body: str, opset: int = 13) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        onnx.save(model_of(body, opset), path)
        return path

    return write


def one_dimensional(path: Path) -> Path:
    body = """a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)
 r = ReduceMean <axes = [2], keepdims = 0> (a)
 y = Conv <pads = [1, 1]> (r, w)"""
    model = model_of(body, 13)
    model.graph.initializer.append(
        numpy_helper.from_array(np.ones((1, 1, 3), dtype=np.float32), "w")
    )
    onnx.save(model, path)
    return path


# Rows of zeros by a Pad and by the convolution itself: of copies, the second ones would copy the first.
PADDED_TWICE = of_nodes("""p = Constant <value_ints = [0, 0, 1, 0, 0, 0, 1, 0]> ()
 q = Pad (x, p)
 d = Conv <pads = [1, 0, 0, 0]> (q, w3x3)
 y = Conv <pads = [0, 1, 0, 1]> (d, w3x3)""")
OLD_RULE = of_nodes(
    """a = Conv <pads = [1, 1, 1, 1]> (x, w3x3)
 b = Conv <auto_pad = "SAME_LOWER"> (a, w4x3)
 y = Conv <auto_pad = "SAME_UPPER", strides = [1, 2]> (b, w3x3)""",
    10,
)  # whose Pad cannot compute
LEFT: list[tuple[Callable[[Path], Path], str, dict[str, str], tuple[str, ...]]] = [
    (branch, "reflect", {"b": "its node is inside a function or a branch"}, ("a",)),
    (lambda path: chain(path, "att"), "reflect", {"t": "several nodes have its name"}, ("a",)),
    (PADDED_TWICE, "reflect", {"d": "it is padded in two places, by itself and by a pad before it"}, ("y",)),
    (PADDED_TWICE, "zero/reflect", {}, ("y",)),
    (one_dimensional, "circular", {"y": "it is one-dimensional"}, ("a",)),
    (OLD_RULE, "reflect",
     {"y": "its SAME_UPPER padding depends on the size, which the file leaves open"}, ("a", "b")),
]  # fmt: skip


@pytest.mark.parametrize(("write", "scheme", "left", "changed"), LEFT)
def test_what_cannot_be_changed_is_left_alone_and_named(
    write: Callable[[Path], Path],
    scheme: str,
    left: dict[str, str],
    changed: tuple[str, ...],
    tmp_path: Path,
) -> None:
    found = repad_file(write(tmp_path / "net.onnx"), scheme, size=SIZE)
    assert {each.layer.removesuffix("_2"): each.why for each in found.left} == left
    assert found.changed == changed


@pytest.mark.parametrize("scheme", ["reflect", "symmetric", "circular"])
def test_maps_smaller_than_the_pad_are_refused_alike(scheme: str, tmp_path: Path) -> None:
    path = saved(
        [conv("c", "image", pads=[3, 3, 3, 3], dilations=[3, 3])],
        tmp_path / "net.onnx",
        size=(2, 2),
    )
    with pytest.raises(
        PadvizError, match=f"nothing can be changed: c: its input has 2 rows, too few for {scheme}"
    ):
        repad_file(path, scheme)


@pytest.mark.parametrize("scheme", ["reflect", "circular", "partial"])
def test_a_result_that_breaks_the_law_is_not_written(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = chain(tmp_path / "net.onnx")
    monkeypatch.setitem(SCHEMES, "reflect", SCHEMES["reflect"]._replace(onnx="edge"))
    monkeypatch.setattr(onnx_graph, "copies", lambda *_: ([0], [0]))
    monkeypatch.setattr(
        "padviz.repadding.onnx_edits.partial_weights", lambda op, n: np.full(n, 1.5)
    )
    with pytest.raises(
        PadvizError, match="usage by c is not what was planned, so nothing was written"
    ):
        repad_to(tmp_path / "out.onnx", path, scheme)
    assert os.listdir(tmp_path) == ["net.onnx"]


def test_an_interrupted_run_leaves_no_file_and_one_that_exists_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Path, content: bytes) -> None:
        with open(self, "wb") as file:
            file.write(content[:100])
        raise KeyboardInterrupt

    path = chain(tmp_path / "net.onnx")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            repad_to(tmp_path / "out.onnx", path, "reflect")
    assert os.listdir(tmp_path) == ["net.onnx"]
    with pytest.raises(PadvizError, match=r"net\.onnx: exists; add `overwrite`"):
        repad_to(path, path, "reflect")
    repad_to(path, path, "reflect", overwrite=True)
    assert repad_file(path, "reflect").changed == ()


def test_what_else_reads_the_sums_of_a_partial_convolution_reads_no_partial_one(
    tmp_path: Path,
) -> None:
    """What is no partial convolution is in tests/sources/test_onnx_hostile.py."""
    rows = np.array([1.5] + [1.0] * 10 + [1.5], dtype=np.float32).reshape(1, 1, -1, 1)
    factor = helper.make_node("Constant", [], ["f"], value=numpy_helper.from_array(rows))
    nodes = [
        conv("a", "image", pads=PADS),
        factor,
        helper.make_node("Mul", ["a_out", "f"], ["m"], name="m"),
    ]
    nodes += [helper.make_node("Add", ["a_out", "m"], ["c_out"])]
    net = padviz.load(saved(nodes, tmp_path / "net.onnx"))
    convs = [(layer.name, layer.ops[0].mode) for layer in net.layers if layer.kind == "conv"]
    assert convs == [("a.sums", "zero"), ("a", "partial")]
    assert net.find("a").origin == Origin("a", dims=(2, 3))
    assert padviz.usage(net, SIZE).counts[0, 8] == 6 + 1.5 * 3 + 3


@pytest.mark.parametrize("one", ["zero", "symmetric", "zero/reflect"])
@pytest.mark.parametrize("other", ["zero", "circular", "zero/reflect", "zero/symmetric"])
def test_maps_are_the_same_if_all_their_counts_are(one: str, other: str) -> None:
    maps = [padviz.usage("resnet18", (300, 520), padding) for padding in (one, other)]
    assert maps[0].tiled
    assert same_counts(*maps) == np.array_equal(maps[0].counts, maps[1].counts) == (one == other)


def test_a_huge_file_is_verified_by_what_does_not_repeat(tmp_path: Path) -> None:
    nodes = "a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w3x3)\ny = Conv (a, w3x3)"
    assert padviz.repad(of_nodes(nodes)(tmp_path / "net.onnx"), "reflect", 1_000_000).changed == (
        "a",
    )


def test_the_network_before_is_that_of_the_file_at_every_size(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.onnx", size=("h", "w"))
    source = repad_file(path, "reflect", size=SIZE).source
    for size in (SIZE, (20, 30)):
        assert same_counts(padviz.usage(source, size), padviz.usage(path, size))


def test_a_file_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    path, parse = chain(tmp_path / "net.onnx"), onnx.load_model_from_string
    monkeypatch.setattr(
        onnx, "load_model_from_string", lambda *args: calls.append("parsed") or parse(*args)
    )
    repad_to(tmp_path / "out.onnx", path, "circular")
    assert calls == ["parsed"]


def test_signals_are_refused_with_a_scheme_and_evenly(tmp_path: Path) -> None:
    nodes = "y = Conv <pads = [1, 1], strides = [2]> (x, w)"
    model = model_of(nodes, 13, inputs="float[1, 1, 64] x")
    model.graph.initializer.append(
        numpy_helper.from_array(np.ones((1, 1, 3), dtype=np.float32), "w")
    )
    onnx.save(model, tmp_path / "net.onnx")
    for scheme in ("reflect", None):
        with pytest.raises(PadvizError, match="net: its input has length, and only images"):
            repad_file(tmp_path / "net.onnx", scheme)


def test_what_reads_the_same_rows_is_left_as_it_is(tmp_path: Path) -> None:
    """With one row of padding ONNX's edge is symmetric padding, so that a second repadding has nothing to do."""
    once = repad_to(tmp_path / "once.onnx", chain(tmp_path / "one.onnx"), "symmetric")
    again = repad_file(tmp_path / "once.onnx", "symmetric")
    assert (once.changed, again.changed) == (("a", "b", "c"), ())
    assert again.content == once.content


WEIGHTS = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype(np.float32)
Place = Callable[[Any], tuple[list[Any], dict[str, Any]]]


def of_graph(tensor: Any) -> tuple[list[Any], dict[str, Any]]:
    return [conv("c", "a_out", "v", pads=PADS)], {"initializer": [tensor]}


def of_branch(tensor: Any) -> tuple[list[Any], dict[str, Any]]:
    shape = [1, 2, *SIZE]
    made, same = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("t_out", "e")
    )
    then = helper.make_graph([conv("t", "a_out", "v", pads=PADS)], "then", [], [made], [tensor])
    other = helper.make_graph([helper.make_node("Identity", ["a_out"], ["e"])], "else", [], [same])
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    return [
        yes,
        helper.make_node("If", ["yes"], ["c_out"], then_branch=then, else_branch=other),
    ], {}


def of_function(tensor: Any) -> tuple[list[Any], dict[str, Any]]:
    nodes = [helper.make_node("Constant", [], ["v"], value=tensor), conv("y", "x", "v", pads=PADS)]
    function = helper.make_function(
        "own", "F", ["x"], ["y_out"], nodes, [helper.make_opsetid("", 17)]
    )
    return [helper.make_node("F", ["a_out"], ["c_out"], domain="own")], {"functions": [function]}


def beside(path: Path, place: Place, location: str) -> Path:
    """A file of two convolutions; the weights of the second one are in another file."""
    tensor = numpy_helper.from_array(WEIGHTS, "v")
    set_external_data(tensor, location, offset=0, length=WEIGHTS.nbytes)
    tensor.ClearField("raw_data")
    path.parent.mkdir(exist_ok=True)
    (path.parent / location).write_bytes(WEIGHTS.tobytes())
    nodes, more = place(tensor)
    image, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, *SIZE])
        for name in ("image", "c_out")
    )
    weights = [numpy_helper.from_array(WEIGHTS, "w"), *more.get("initializer", ())]
    graph = helper.make_graph(
        [conv("a", "image", pads=PADS), *nodes], "net", [image], [made], weights
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    found = helper.make_model(
        graph, opset_imports=opsets, ir_version=8, functions=more.get("functions")
    )
    path.write_bytes(found.SerializeToString())
    return path


def made(path: Path) -> Any:
    """What onnxruntime makes of an image; weights beside the file are read by it."""
    image = np.linspace(0, 1, 2 * 12 * 16, dtype=np.float32).reshape(1, 2, *SIZE)
    return run_file(path, image)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [of_graph, of_branch, of_function])
def test_the_result_runs_in_the_same_folder_and_is_refused_in_another(
    place: Place, tmp_path: Path
) -> None:
    path, out = beside(tmp_path / "net.onnx", place, "net.data"), tmp_path / "out.onnx"
    os.rename(tmp_path / "net.data", tmp_path / "kept")  # never opened
    found = repad_to(out, path, "reflect", layers=["a"])
    os.rename(tmp_path / "kept", tmp_path / "net.data")
    before, after = (onnx.load(each, load_external_data=False) for each in (path, out))
    assert found.beside == locations(before) == locations(after) == ("net.data",)
    assert before.graph.initializer == after.graph.initializer
    np.testing.assert_allclose(made(out)[..., 3:-3, 3:-3], made(path)[..., 3:-3, 3:-3], atol=1e-5)
    (tmp_path / "other").mkdir()
    with pytest.raises(
        OptionError, match=r"the weights in 'net.data' lie beside .* write into the same folder"
    ):
        repad_to(tmp_path / "other" / "out.onnx", path, "reflect")
    assert os.listdir(tmp_path / "other") == []


def test_data_that_the_model_reads_are_never_replaced(elsewhere: None) -> None:
    beside(Path("wo.onnx"), of_graph, "w.onnx")
    words = ["repad", "wo.onnx", "--padding", "reflect", "--overwrite", "-o", "w.onnx"]
    line = "padviz: w.onnx: holds the weights of 'wo.onnx', which names it 'w.onnx'; name another file\n"
    assert told(*words) == line
    Path("w.onnx").unlink()  # no more there, and still no place for a model
    assert told(*words) == line


def test_links_lead_to_data_too(tmp_path: Path) -> None:
    path = beside(tmp_path / "net.onnx", of_graph, "net.data")
    os.rename(tmp_path / "net.data", tmp_path / "stored.onnx")
    (tmp_path / "net.data").symlink_to("stored.onnx")
    (tmp_path / "linked.onnx").symlink_to("net.data")
    os.link(tmp_path / "stored.onnx", tmp_path / "twin.onnx")
    (tmp_path / "here").symlink_to(tmp_path)
    for name in (
        "stored.onnx",
        "linked.onnx",
        "twin.onnx",
        "here/stored.onnx",
        "../" + tmp_path.name + "/stored.onnx",
    ):
        with pytest.raises(
            OptionError, match=r"holds the weights of '.*net\.onnx', which names it 'net\.data'"
        ):
            repad_to(tmp_path / name, path, "reflect", overwrite=True)
    assert (tmp_path / "stored.onnx").read_bytes() == WEIGHTS.tobytes()


def test_a_model_behind_a_link_has_its_data_beside_the_link(tmp_path: Path) -> None:
    """As a cache of downloads has it: names in one folder, contents in another."""
    names, blobs = tmp_path / "names", tmp_path / "blobs"
    path = beside(names / "net.onnx", of_branch, "net.data")
    blobs.mkdir()
    for name in ("net.onnx", "net.data"):
        os.rename(names / name, blobs / f"of {name}")
        (names / name).symlink_to(blobs / f"of {name}")
    repad_to(names / "out.onnx", path, "reflect", layers=["a"])
    assert not (names / "out.onnx").is_symlink()
    with pytest.raises(OptionError, match="lie beside"):
        repad_to(blobs / "out.onnx", path, "reflect")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "net.data").symlink_to("../names/net.data")  # carried along by a link
    repad_to(tmp_path / "other" / "out.onnx", path, "reflect")


def test_several_models_may_share_their_data(tmp_path: Path) -> None:
    one, two = (
        beside(tmp_path / name, of_branch, "shared.data") for name in ("one.onnx", "two.onnx")
    )
    repad_to(two, one, "reflect", overwrite=True)
    assert (tmp_path / "shared.data").read_bytes() == WEIGHTS.tobytes()
    np.testing.assert_allclose(made(one)[..., 5:-5, 5:-5], made(two)[..., 5:-5, 5:-5], atol=1e-5)
