"""The commands on ONNX files and PyTorch modules: all of them run, ask for what they need, and warn."""

import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.test_cli import run, told

NET = """
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.body = nn.Conv2d(8, 8, 5, padding="same")

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        return F.relu(x + self.body(x)).mean((2, 3))

ready = Net()
number = 3
"""


@pytest.fixture(autouse=True)
def _files(elsewhere: None) -> None:
    Path("foreign_net.py").write_text(NET)


def conv(name: str, reads: str, kernel: int = 3, **attrs: Any) -> Any:
    return helper.make_node("Conv", [reads, f"w{kernel}"], [name], name=name, kernel_shape=[kernel] * 2, **attrs)


def saved(nodes: list[Any], outputs: list[str], path: str = "net.onnx", size: tuple[Any, Any] = ("h", "w")) -> str:
    """A file of one image input, with open sizes, and weights of three channels."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *size])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    weights = [helper.make_tensor(f"w{k}", TensorProto.FLOAT, [3, 3, k, k], [1.0] * 9 * k * k) for k in (1, 3)]
    graph = helper.make_graph(nodes, "net", [image], made, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


def plain(path: str = "net.onnx") -> str:
    pads = [1, 1, 1, 1]
    nodes = [conv("a", "image", pads=pads, strides=[2, 2]), helper.make_node("Relu", ["a"], ["r"], name="r")]
    return saved(
        [*nodes, conv("b", "r", pads=pads), helper.make_node("GlobalAveragePool", ["b"], ["out"])], ["out"], path
    )


def two_heads() -> str:
    pads = [1, 1, 1, 1]
    return saved([conv("a", "image", pads=pads), conv("big", "a", pads=pads), conv("small", "a", 1)], ["big", "small"])


def mystery() -> str:
    strange = helper.make_node("Mystery", ["a"], ["m"], name="strange", domain="own")
    return saved([conv("a", "image"), strange, conv("b", "m")], ["b"])


@pytest.mark.parametrize("line", ["usage {}", "uneven {}", "layers {}", "coverage {}", "convert {}"])
def test_an_unknown_operation_names_its_node_and_the_ways_out(line: str) -> None:
    asked = [*line.format(mystery()).split(), "--size", "32"]
    words = told(*asked)
    for text in ("strange", "own.Mystery", "opset 1", "--neutral own.Mystery"):
        assert text in words
    assert ("--layer a" in words) == (asked[0] != "convert")  # which has none
    assert run(*asked, "--neutral", "own.Mystery").exit_code == 0


def test_a_module_that_goes_to_another_folder_when_it_is_imported() -> None:
    code = "import os\nfrom torch import nn\nos.mkdir('away')\nos.chdir('away')\nnet = nn.Conv2d(3, 1, 3)\n"
    Path("wandering_net.py").write_text(code)
    before = [*sys.path]
    assert run("layers", "wandering_net:net", "--size", "8").exit_code == 0
    assert sys.path == before
