"""A converter fuses a pad into a convolution and loses its top row where top and left are equal."""

from pathlib import Path

from tests.questions.question import Question

NET = """
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 5, 2)
        self.layers = nn.Sequential(
            *[nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(7)]
        )

    def forward(self, x):
        return self.layers(self.stem(functional.pad(x, (1, 2, 1, 2))).relu())
"""


def fused(top: int, path: Path) -> None:
    """Write the network with its pad in the first convolution, as a converter does."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    weights = [numpy_helper.from_array(np.ones((4, 3, 5, 5), np.float32), "w0")]
    nodes = [
        helper.make_node(
            "Conv",
            ["x", "w0"],
            ["y0"],
            "stem",
            kernel_shape=[5, 5],
            strides=[2, 2],
            pads=[top, 1, 2, 2],
        )
    ]
    for number in range(1, 8):
        weights.append(numpy_helper.from_array(np.ones((4, 4, 3, 3), np.float32), f"w{number}"))
        nodes.append(helper.make_node("Relu", [f"y{number - 1}"], [f"r{number}"], f"relu{number}"))
        nodes.append(
            helper.make_node(
                "Conv",
                [f"r{number}", f"w{number}"],
                [f"y{number}"],
                f"layers{number}",
                kernel_shape=[3, 3],
                pads=[1, 1, 1, 1],
            )
        )
    nodes.append(helper.make_node("Relu", ["y7"], ["y"], "relu8"))
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, None, None])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4, None, None])
    graph = helper.make_graph(nodes, "fused", [x], [y], weights)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def rows_of_both(folder: Path) -> list[str]:
    """Run both networks: how many rows does each make of 64?"""
    import numpy as np
    import onnxruntime
    import torch

    space: dict[str, type[torch.nn.Module]] = {}
    exec((folder / "net.py").read_text(), space)
    original = space["Net"]()(torch.zeros(1, 3, 64, 64)).shape[2]
    session = onnxruntime.InferenceSession((folder / "fused.onnx").read_bytes())
    (output,) = session.run(None, {"x": np.zeros((1, 3, 64, 64), np.float32)})
    assert original == output.shape[2] + 1
    return [f"output {output.shape[2]} {original}"]


QUESTION = Question(
    number=49,
    group="Ports and exports",
    asked="A converter fuses F.pad(x, (1, 2, 1, 2)) into the convolution behind it, and outputs are wrong. Which side?",
    threads=("Tencent/ncnn#6661",),
    ended="the pad at the top stayed 0 where it was equal to that on the left; now it is written.",
    files={"net.py": NET, "fused.onnx": lambda path: fused(0, path)},
    control={"fused.onnx": lambda path: fused(1, path)},
    commands=("padviz diff fused.onnx net:Net --size 64",),
    answer=(
        "stem   height  padding       0+2    1+2          pad 1 before and 2 after",
        "stem   height  output        31     32",
    ),
    cause=("stem height padding 0+2", "pad 1 before and 2 after"),
    do="Set the pads of that convolution as the answer says, or convert without the fusion. padviz does not read "
    "ncnn's files: we wrote what the converter made as ONNX.",
    truth=rows_of_both,
)
