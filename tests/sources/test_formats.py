"""Files of other tools get one line, with the road that works: by what is in them, whatever they are called."""

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import padviz
from padviz.errors import PadvizError
from tests.keras_files import image, layer, sequential, written
from tests.sources.test_programs import saved


def _scripted(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Conv2d(3, 2, 3), torch.zeros(1, 3, 9, 9)), path)


def _checkpoint(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", b"\x80\x02cultralytics.nn.tasks\nDetectionModel\n.")
        archive.writestr("best/version", b"3")


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\x08\x01")


def _state(zipped: bool) -> Callable[[Path], Any]:
    state = nn.Conv2d(3, 2, 3).state_dict()
    return lambda path: torch.save(state, path, _use_new_zipfile_serialization=zipped)


ROADS = "name the code that makes the module, as package.module:attribute, or export it to .onnx"
WEIGHTS = f"holds weights, or pickled code that padviz does not run; {ROADS}"
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(8)
FILES: dict[str, tuple[Any, str]] = {  # what makes the file, or its bytes
    "scripted.pt": (
        _scripted,
        f"is TorchScript, whose code cannot be followed; {ROADS} or by torch.export.save to .pt2",
    ),
    "best.pt": (
        _checkpoint,
        "is a checkpoint of Ultralytics, pickled code that padviz does not run; "
        "export it: yolo export model={} format=onnx",
    ),
    "state.pth": (_state(True), WEIGHTS),
    "old.pth": (_state(False), WEIGHTS),
    "net.safetensors": (b'\x02\0\0\0\0\0\0\0{"', f"holds weights without the network; {ROADS}"),
    "net.tflite": (
        b"\x1c\0\0\0TFL3" + bytes(8),
        "is TFLite; convert it: python -m tf2onnx.convert --tflite {} --output x.onnx",
    ),
    "saved": (_folder, "is a SavedModel; convert it: python -m tf2onnx.convert --saved-model {} --output x.onnx"),
    "net.h5": (
        HDF5,
        "is HDF5, in which Keras kept models before .keras; save it again: "
        'keras.models.load_model("{}").save("x.keras")',
    ),
    "net.weights.h5": (
        HDF5,
        'holds weights without the network; save the model as a whole: model.save("x.keras")',
    ),
    "net.mlmodel": (b"\x08\x04", "is CoreML; export the model that it was made of to .onnx"),
}
BY_NAME = ("net.weights.h5", "net.mlmodel")  # alone


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_read_gets_the_road_that_works(name: str, tmp_path: Path) -> None:
    make, message = FILES[name]
    for path in (tmp_path / name, *([] if name in BY_NAME else [tmp_path / "net.bin"])):
        path.write_bytes(make) if isinstance(make, bytes) else make(path)
        with pytest.raises(PadvizError) as error:
            padviz.load(path)
        assert str(error.value) == f"{path}: {message.format(path)}"


def test_a_file_that_is_read_may_have_another_name(tmp_path: Path) -> None:
    conv = layer("Conv2D", "c", filters=2, kernel_size=[3, 3])
    assert padviz.usage(written(tmp_path / "net.zip", sequential([image(), conv])), 9).max == 9
    saved(nn.Conv2d(3, 2, 3), tmp_path / "net.pt2").rename(tmp_path / "net.bin")
    assert padviz.usage(tmp_path / "net.bin").max == 9


def test_weights_that_are_not_read_get_the_road_that_works(tmp_path: Path) -> None:
    saved(nn.Conv2d(3, 2, 3), tmp_path / "net.pt2")
    with pytest.raises(PadvizError, match=r"net\.pt2: is read without its weights; export it to \.onnx, with them"):
        padviz.filters(tmp_path / "net.pt2")
