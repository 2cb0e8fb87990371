"""Keras's own networks: as a file, as a model in memory, and as what tf2onnx exports of them, at two parities.

They are skipped where Keras, TensorFlow and tf2onnx are not installed.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import padviz

keras = pytest.importorskip("keras")
tensorflow = pytest.importorskip("tensorflow")
tf2onnx = pytest.importorskip("tf2onnx")
NAMES = (
    "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2",
    "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet50V2", "VGG16", "Xception",
)  # fmt: skip
SIZES = ((96, 128), (97, 131))


def exported(model: Any, size: tuple[int, int], path: Path) -> Path:
    """An ONNX file of a model; some constants that TensorFlow captured are further inputs of it."""
    image = tensorflow.TensorSpec((1, *size, 3), tensorflow.float32, name="image")
    function = tensorflow.function(lambda x: model(x, training=False))
    proto, _ = tf2onnx.convert.from_function(function, input_signature=[image], opset=17)
    onnx.save(proto, path)
    return path


def windows(network: Any) -> Counter[Any]:
    """What convolutions read of their padding; tf2onnx joins pools that are alike."""
    rows = [row for row in padviz.uneven(network, network.size) if "pool" not in row.kind]
    return Counter((row.height, row.width) for row in rows)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_a_model_and_its_export_agree(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(*size, 3))
    model.save(tmp_path / "net.keras")
    file = padviz.load(tmp_path / "net.keras")
    assert padviz.load(model).layers == file.layers
    export = padviz.load(exported(model, size, tmp_path / "net.onnx"))
    np.testing.assert_array_equal(padviz.usage(file).counts, padviz.usage(export).counts)
    assert padviz.costs(file, size).macs == padviz.costs(export, size).macs
    assert windows(file) == windows(export)


def test_convnext_is_read() -> None:
    model = keras.applications.ConvNeXtTiny(weights=None, include_top=False)
    torchvision = pytest.importorskip("torchvision")
    for size in (96, 128), (97, 131):
        counts = padviz.usage(torchvision.models.convnext_tiny(weights=None), size).counts
        np.testing.assert_array_equal(padviz.usage(model, size).counts, counts)
