"""A detector exported with open sizes joins a map that it doubled with a deeper one: the sizes must divide by 32."""

from itertools import count
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.questions.question import Question


def detector(path: Path, doubled: bool) -> None:
    """Write a detector of five strided convolutions, whose three last maps are joined on the way up.

    Where `doubled` is False, a map is resized to the rows and columns of the one that it joins.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def constant(name: str, values: np.ndarray) -> str:
        weights.append(onnx.numpy_helper.from_array(values, name))
        return name

    def node(kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def convolution(source: str, channels: int, name: str, stride: int = 1) -> str:
        weight = constant(f"{name}.weight", np.full((4, channels, 3, 3), 0.1, np.float32))
        convolved = node(
            "Conv", [source, weight], name, strides=[stride] * 2, pads=[1] * 4, kernel_shape=[3, 3]
        )
        return node("Relu", [convolved], f"{name}_relu")

    steps = [convolution("images", 3, "Conv_0", 2)]
    for level in range(1, 5):
        steps.append(convolution(steps[-1], 4, f"Conv_{level}", 2))
    x = steps[-1]
    for level in (3, 2):
        scales = constant(f"scales_{level}", np.array([1, 1, 2, 2], np.float32))
        inputs = [x, "", scales]
        if not doubled:
            channels = constant(f"channels_{level}", np.array([1, 4]))
            shape = node("Shape", [steps[level]], f"Shape_{level}", start=2)
            inputs = [x, "", "", node("Concat", [channels, shape], f"sizes_{level}", axis=0)]
        resized = node("Resize", inputs, f"Resize_{level}", mode="nearest")
        joined = node("Concat", [resized, steps[level]], f"Concat_{level}", axis=1)
        x = convolution(joined, 8, f"Conv_up_{level}")
    sides = ["height", "width"]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *sides])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)],
        weights,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )


def nearest_that_run(folder: Path) -> list[str]:
    """Run the file itself on every size from 720 on."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(folder / "best.onnx", options)

    def runs(height: int, width: int) -> bool:
        try:
            session.run(None, {"images": np.zeros((1, 3, height, width), np.float32)})
        except Exception:
            return False
        return True

    height = next(side for side in count(720) if runs(side, 32))
    width = next(side for side in count(720) if runs(32, side))
    return [f"pad to {height} x {width}"]


QUESTION = Question(
    number=3,
    group="Sizes",
    asked="Exported with open sizes, an ONNX file fails in a Concat at 720 x 720, with 45 and 46. Which sizes does it take?",
    threads=("ultralytics/yolov5#10172", "ultralytics/yolov5#7268"),
    ended="720 px is resized to 736, a multiple of 32 (#10172); #7268 names no cause.",
    files={"best.onnx": lambda path: detector(path, doubled=True)},
    control={"best.onnx": lambda path: detector(path, doubled=False)},
    commands=("padviz sizes best.onnx --size 720x720",),
    answer=(
        "refused by  Concat_3: its branches disagree in height: Resize_3 has 46, Conv_3",
        "            has 45",
        "accepts     multiples of 32 or up to 7 px less",
        "pad to      729 x 729: 9 px at the bottom, 9 px at the right",
    ),
    cause=(
        "Resize_3 has 46",
        "multiples of 32",
    ),
    do="Pad the image to 729 x 729 before the file gets it: the least that it runs. 736 x 736, which the thread "
    "takes, runs as well.",
    truth=nearest_that_run,
)
