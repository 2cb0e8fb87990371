"""ONNX files of the networks that questions are about, and what onnxruntime says of them."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch


def exported(
    source: str, name: str, channels: int = 3, side: int = 128, fixed: bool = False
) -> Callable[[Path], None]:
    """Return what exports a class or a function of a Python text to a path, with open height and width.

    If `fixed`, the file declares an image of `side` px.
    """
    sides = {2: "height", 3: "width"}

    def write(path: Path) -> None:
        space: dict[str, Callable[[], torch.nn.Module]] = {}
        exec(source, space)
        torch.manual_seed(0)
        network = space[name]().eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the sizes that a skip has, which are open
            torch.onnx.export(
                network,
                (torch.zeros(1, channels, side, side),),
                path,
                input_names=["image"],
                output_names=["output"],
                dynamic_axes={} if fixed else {"image": sides},
                opset_version=17,
                dynamo=False,
            )

    return write


def nearest(path: Path, size: Sequence[int], other: int, channels: int = 3) -> list[int]:
    """Return the least height and width, from `size` on, that onnxruntime runs a file at.

    The other side is `other` px.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options)

    def runs(height: int, width: int) -> bool:
        try:
            session.run(None, {"image": np.zeros((1, channels, height, width), np.float32)})
        except Exception:
            return False
        return True

    height, width = size
    while not runs(height, other):
        height += 1
    while not runs(other, width):
        width += 1
    return [height, width]
