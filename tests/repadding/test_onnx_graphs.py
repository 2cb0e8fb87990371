"""Every small graph repadded: what onnxruntime makes of single bright pixels is usage of the graph with the scheme."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import padviz
from padviz.errors import PadvizError
from padviz.network.padding_modes import MODES
from padviz.repadding.onnx_file import repad_file
from tests.onnx_oracle import image_of, session_of
from tests.sources.test_onnx_ops import GRAPHS, PADDED, bright_pixels, model_of
from tests.sweeps import REST

SIZE = (6, 8)
CASES = [*(each for each in GRAPHS if "Conv " in each[2] or "Pad " in each[2]), *PADDED]


def sized(model: Any, size: tuple[int, int]) -> Any:
    for dim, n in zip(image_of(model).type.tensor_type.shape.dim[2:], size, strict=True):
        dim.ClearField("dim_param")
        dim.dim_value = n
    return model


def saved(name: str, opset: str, body: str, folder: Path) -> Path:
    model = model_of(body, int(opset.partition(" | ")[0]))
    path = folder / f"{name.replace(' ', '_').replace(',', '')}.onnx"
    rank = len(session_of(model).run(None, {"x": np.zeros((1, 1, *SIZE), dtype=np.float32)})[0].shape)
    shape = model.graph.output[0].type.tensor_type.shape
    shape.SetInParent()
    for _ in range(rank):
        shape.dim.add()
    onnx.save(sized(model, SIZE), path)
    return path


def is_valid(model: Any) -> bool:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):  # old versions know no `value_ints`
        return False
    return True


SCHEMES = [*MODES, "zero/circular", "symmetric/partial"]
ONE_UNIT = "its map has one unit, where a file cannot tell partial convolution from a scale"
CANNOT = {  # the schemes that change nothing in a file, and the reason
    "pad, channels too": (
        [each for each in SCHEMES if each not in ("zero", "zero/circular")],
        "y: its pad also pads channels",
    ),
    "transposed image": (SCHEMES[1:], "y: it has width before height"),
    "a row that is padded above and below": (["reflect"], "y: its input has 1 row, too few for reflect padding of 1"),
    "a map of one unit": (["partial", "symmetric/partial"], f"y: {ONE_UNIT}"),
}


FIFTHS = [
    pytest.param(*case, scheme, marks=REST if (i + j) % 5 else (), id=f"{case[0]}-{scheme}")
    for i, case in enumerate(CASES)
    for j, scheme in enumerate(SCHEMES)
]  # each graph with some schemes, and each scheme with a fifth of the graphs


@pytest.mark.parametrize(("name", "opset", "body", "scheme"), FIFTHS)
def test_files_read_what_usage_says_of_the_scheme(
    name: str, opset: str, body: str, scheme: str, tmp_path: Path
) -> None:
    path = saved(name, opset, body, tmp_path)
    wanted = padviz.load(path)
    schemes, why = CANNOT.get(name, ([], ""))
    if scheme in schemes or not wanted.pads:
        with pytest.raises(PadvizError, match="nothing can be changed: ") as caught:
            repad_file(path, scheme)
        assert str(caught.value).endswith(why or "none of the selected convolutions pads")
        return
    found = repad_file(path, scheme)
    assert found.left == ()
    model = onnx.load_model_from_string(found.content)
    if is_valid(onnx.load(path)):
        onnx.checker.check_model(model, full_check=True)
    counts = padviz.usage(wanted, SIZE, scheme).counts
    np.testing.assert_array_equal(counts, padviz.usage(found.network, SIZE).counts)
    channels = int(opset.partition(" | ")[2] or 1)
    np.testing.assert_allclose(counts * channels, bright_pixels(model, SIZE), rtol=1e-5 if "partial" in scheme else 0)
