"""An average pool with ceil_mode and counted padding: ONNX Runtime divides its last windows by the whole kernel."""

from pathlib import Path

from tests.questions.question import Question

NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            *[nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU()) for _ in range(4)],
            nn.AvgPool2d(3, 2, 1, ceil_mode=True),
            *[nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU()) for _ in range(4)],
        )
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.125)
"""


def exported(padded: bool, path: Path) -> None:
    """Write the network as an exporter does, with the pool that PyTorch has, or with one that pads as many rows
    at the end as `ceil_mode` needs and divides by all of its 9 positions, as the runtime of the thread did.
    """
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    nodes = []
    before = "x"
    for number in range(9):
        after = f"y{number}"
        if number == 4:
            nodes.append(
                helper.make_node(
                    "AveragePool",
                    [before],
                    [after],
                    "pool",
                    kernel_shape=[3, 3],
                    strides=[2, 2],
                    pads=[1, 1, 2, 2] if padded else [1, 1, 1, 1],
                    ceil_mode=0 if padded else 1,
                    count_include_pad=1,
                )
            )
        else:
            conv = helper.make_node(
                "Conv", [before, "w", "b"], [f"c{number}"], f"conv{number}", pads=[1, 1, 1, 1]
            )
            nodes += [conv, helper.make_node("Relu", [f"c{number}"], [after], f"relu{number}")]
        before = after
    nodes.append(helper.make_node("Identity", [before], ["y"], "out"))
    weights = [
        numpy_helper.from_array(np.full((1, 1, 3, 3), 0.125, np.float32), "w"),
        numpy_helper.from_array(np.full(1, 0.125, np.float32), "b"),
    ]
    x, y = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, None, None])
        for name in "xy"
    )
    graph = helper.make_graph(nodes, "net", [x], [y], weights)
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def last_row_and_column(folder: Path) -> list[str]:
    """Both sides of the thread, by PyTorch: which windows of the 3 x 3 that it prints differ?"""
    import torch
    from torch.nn import functional

    x = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    right = functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True)[0, 0]
    made = functional.avg_pool2d(functional.pad(x, (1, 2, 1, 2)), 3, 2)[0, 0]
    assert torch.allclose(right[:, 2], torch.tensor([2.0, 6.0, 4.0]))  # as in the thread
    assert torch.allclose(made[:, 2], torch.tensor([4 / 3, 4.0, 16 / 9]))  # as in the thread
    differ = ~torch.isclose(right, made)
    assert not differ[:2, :2].any()
    assert differ[2].all()
    assert differ[:, 2].all()
    return ["only at the border: last row and last column"]


QUESTION = Question(
    number=48,
    group="Ports and exports",
    asked="Is my exported file right at the border? An average pool with ceil_mode gives 1.33 there where PyTorch has 2.",
    threads=("pytorch/pytorch#183528",),
    ended="closed. Windows at the right and bottom were divided by 9; onnxruntime 1.32 divides as PyTorch does.",
    files={"net.py": NET, "exported.onnx": lambda path: exported(True, path)},
    control={"exported.onnx": lambda path: exported(False, path)},
    commands=("padviz diff exported.onnx net:Net --size 16 --run",),
    answer=(
        "Not equal: pool differs in rounding, down in A and up in B. First to differ: y4\n"
        "(4 in B), only at the border: last row and last column. Equal up to y3.",
        "pool: in PyTorch ceil_mode=True.",
    ),
    cause=("only at the border", "ceil_mode=True"),
    do="Update the runtime. Or choose sizes at which ceil_mode adds no window: odd ones for this pool.",
    truth=last_row_and_column,
)
