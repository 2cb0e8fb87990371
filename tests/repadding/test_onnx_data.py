"""Files with weights beside a model: repadded models find them wherever they are named, and never replace one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from padviz.errors import OptionError
from padviz.sources.onnx.constants.external import locations
from tests.cli.test_cli import told
from tests.onnx_by_hand import run_file
from tests.repadding.saving import repad_to

SIZE = (12, 16)
WEIGHTS = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype(np.float32)
Place = Callable[[Any], tuple[list[Any], dict[str, Any]]]


def conv(name: str, reads: str, weight: str, makes: str) -> Any:
    return helper.make_node("Conv", [reads, weight], [makes], name=name, pads=[1, 1, 1, 1])


def of_graph(tensor: Any) -> tuple[list[Any], dict[str, Any]]:
    return [conv("b", "a", "v", "c")], {"initializer": [tensor]}


def of_constant(tensor: Any) -> tuple[list[Any], dict[str, Any]]:
    return [helper.make_node("Constant", [], ["v"], value=tensor), conv("b", "a", "v", "c")], {}


def of_branch(tensor: Any) -> tuple[list[Any], dict[str, Any]]:
    def out(name: str) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, *SIZE])]

    then = helper.make_graph([conv("b", "a", "v", "t")], "then", [], out("t"), [tensor])
    other = helper.make_graph([helper.make_node("Identity", ["a"], ["e"])], "else", [], out("e"))
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    return [yes, helper.make_node("If", ["yes"], ["c"], then_branch=then, else_branch=other)], {}


def of_function(tensor: Any) -> tuple[list[Any], dict[str, Any]]:
    nodes = [helper.make_node("Constant", [], ["v"], value=tensor), conv("b", "x", "v", "y")]
    function = helper.make_function("own", "F", ["x"], ["y"], nodes, [helper.make_opsetid("", 17)])
    return [helper.make_node("F", ["a"], ["c"], domain="own")], {"functions": [function]}


PLACES: list[Place] = [of_graph, of_constant, of_branch, of_function]


def model(path: Path, place: Place, location: str) -> Path:
    """A file of two convolutions; the weights of the second one are in another file."""
    tensor = numpy_helper.from_array(WEIGHTS, "v")
    set_external_data(tensor, location, offset=0, length=WEIGHTS.nbytes)
    tensor.ClearField("raw_data")
    path.parent.mkdir(exist_ok=True)
    (path.parent / location).write_bytes(WEIGHTS.tobytes())
    nodes, more = place(tensor)
    image, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, *SIZE]) for name in ("image", "c"))
    weights = [numpy_helper.from_array(WEIGHTS, "w"), *more.get("initializer", ())]
    graph = helper.make_graph([conv("a", "image", "w", "a"), *nodes], "net", [image], [made], weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    found = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=more.get("functions"))
    path.write_bytes(found.SerializeToString())
    return path


def made(path: Path) -> Any:
    """What onnxruntime makes of an image; weights beside the file are read by it."""
    (found,) = run_file(path, np.linspace(0, 1, 2 * 12 * 16, dtype=np.float32).reshape(1, 2, *SIZE))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("place", PLACES)
def test_the_result_runs_in_the_same_folder_and_is_refused_in_another(place: Place, tmp_path: Path) -> None:
    path, out = model(tmp_path / "net.onnx", place, "net.data"), tmp_path / "out.onnx"
    os.rename(tmp_path / "net.data", tmp_path / "kept")  # never opened
    found = repad_to(out, path, "reflect", layers=["a"])
    os.rename(tmp_path / "kept", tmp_path / "net.data")
    before, after = (onnx.load(each, load_external_data=False) for each in (path, out))
    assert found.beside == locations(before) == locations(after) == ("net.data",)
    assert before.graph.initializer == after.graph.initializer
    np.testing.assert_array_equal(made(out)[..., 3:-3, 3:-3], made(path)[..., 3:-3, 3:-3])
    (tmp_path / "other").mkdir()
    with pytest.raises(OptionError, match=r"the weights in 'net.data' lie beside .* write into the same folder"):
        repad_to(tmp_path / "other" / "out.onnx", path, "reflect")
    assert os.listdir(tmp_path / "other") == []


@pytest.mark.parametrize("place", PLACES)
def test_data_that_the_model_reads_are_never_replaced(place: Place, elsewhere: None) -> None:
    model(Path("wo.onnx"), place, "w.onnx")
    words = ["repad", "wo.onnx", "--padding", "reflect", "--overwrite", "-o", "w.onnx"]
    line = "padviz: w.onnx: holds the weights of 'wo.onnx', which names it 'w.onnx'; name another file\n"
    assert told(*words) == line
    Path("w.onnx").unlink()  # no more there, and still no place for a model
    assert told(*words) == line


def test_links_lead_to_data_too(tmp_path: Path) -> None:
    path = model(tmp_path / "net.onnx", of_graph, "net.data")
    os.rename(tmp_path / "net.data", tmp_path / "stored.onnx")
    (tmp_path / "net.data").symlink_to("stored.onnx")
    (tmp_path / "linked.onnx").symlink_to("net.data")
    os.link(tmp_path / "stored.onnx", tmp_path / "twin.onnx")
    (tmp_path / "here").symlink_to(tmp_path)
    for name in ("stored.onnx", "linked.onnx", "twin.onnx", "here/stored.onnx", "../" + tmp_path.name + "/stored.onnx"):
        with pytest.raises(OptionError, match=r"holds the weights of '.*net\.onnx', which names it 'net\.data'"):
            repad_to(tmp_path / name, path, "reflect", overwrite=True)
    assert (tmp_path / "stored.onnx").read_bytes() == WEIGHTS.tobytes()


def test_a_model_behind_a_link_has_its_data_beside_the_link(tmp_path: Path) -> None:
    """As a cache of downloads has it: names in one folder, contents in another."""
    names, blobs = tmp_path / "names", tmp_path / "blobs"
    path = model(names / "net.onnx", of_branch, "net.data")
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


def test_data_of_an_absolute_name_are_found_from_any_folder(tmp_path: Path) -> None:
    path = model(tmp_path / "net.onnx", of_function, str(tmp_path / "stored.onnx"))
    (tmp_path / "other").mkdir()
    found = repad_to(tmp_path / "other" / "out.onnx", path, "reflect")
    assert found.beside == (str(tmp_path / "stored.onnx"),)
    with pytest.raises(OptionError, match="holds the weights of"):
        repad_to(tmp_path / "stored.onnx", path, "reflect", overwrite=True)


def test_several_models_may_share_their_data(tmp_path: Path) -> None:
    one, two = (model(tmp_path / name, of_branch, "shared.data") for name in ("one.onnx", "two.onnx"))
    repad_to(two, one, "reflect", overwrite=True)
    assert (tmp_path / "shared.data").read_bytes() == WEIGHTS.tobytes()
    np.testing.assert_array_equal(made(one)[..., 5:-5, 5:-5], made(two)[..., 5:-5, 5:-5])
