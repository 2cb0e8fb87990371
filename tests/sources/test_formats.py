"""Files of other tools get one line, with the road that works: by what is in them, whatever they are called."""

import os
import signal
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import padviz
from padviz.errors import DescriptionError, PadvizError
from padviz.exports.manifest import read_manifest
from padviz.files.opened import read_file
from tests.cli.test_cli import told
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
    "saved": (
        _folder,
        "is a SavedModel; convert it: python -m tf2onnx.convert --saved-model {} --output x.onnx",
    ),
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
    with pytest.raises(
        PadvizError, match=r"net\.pt2: is read without its weights; export it to \.onnx, with them"
    ):
        padviz.filters(tmp_path / "net.pt2")


KIND = "a TOML description"


IN_TIME = pytest.mark.usefixtures("in_time")


@pytest.fixture
def in_time(elsewhere: None) -> Iterator[None]:
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits for a pipe"))
    signal.alarm(20)
    yield
    signal.alarm(0)


READERS = {
    "description": (["usage"], ".toml"),
    "onnx": (["uneven"], ".onnx"),
    "manifest": (["export", "-o", "out"], ".toml"),
}


@IN_TIME
@pytest.mark.parametrize("reader", READERS)
def test_only_files_are_read(reader: str) -> None:
    (command, *more), suffix = READERS[reader]
    os.mkfifo("pipe" + suffix)
    Path("device" + suffix).symlink_to("/dev/zero")
    for path in ("pipe" + suffix, "device" + suffix):
        assert told(command, *more, path).startswith(
            f"padviz: {path}: is not a file; give the path of a"
        )


@IN_TIME
def test_counts_are_read_from_files_only() -> None:
    os.mkfifo("pipe.npz")
    Path("folder.npy").mkdir()
    for path in (
        "pipe.npz",
        "folder.npy",
        "/dev/zero",
        "missing.npz",
        "a\0b.npz",
        "x" * 300 + ".npz",
    ):
        with pytest.raises(DescriptionError) as refused:
            padviz.read_counts(path)
        assert str(refused.value).isprintable()


@IN_TIME
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    os.mkfifo("pipe")
    Path("file").write_bytes(b"hello")
    before = os.stat("file")
    # looked at before it was replaced
    monkeypatch.setattr("padviz.files.opened.os.stat", lambda path: before)
    assert read_file("pipe", KIND, 100) == b""
    assert read_file("/proc/self/pagemap", KIND, 5) == b""  # 256 GB, of which it says 0


@IN_TIME
def test_a_manifest_has_a_largest_size() -> None:
    Path("big.toml").write_text("maps = 1\n" + "#" * (5 << 20))
    with pytest.raises(DescriptionError, match=r"big\.toml: has more than 4194304 bytes"):
        padviz.export("big.toml", "out")
    assert os.listdir() == ["big.toml"]


@IN_TIME
@pytest.mark.parametrize(
    "text",
    [
        "a." * 1_000_000 + "b = 1",
        "[" + '"a" . ' * 600_000 + "b]",
        "a = {" + "'a'. " * 600_000 + "b = 1}",
    ],
)
def test_a_key_of_a_million_parts_is_refused_at_once(text: str) -> None:
    Path("deep.toml").write_text(text)
    start = time.monotonic()
    for read in (padviz.load, read_manifest):
        with pytest.raises(
            DescriptionError, match=r"deep\.toml: is nested too deeply; give each key a few parts"
        ):
            read("deep.toml")
    assert time.monotonic() - start < 5


@IN_TIME
def test_an_error_is_no_longer_than_a_person_reads() -> None:
    Path("long.toml").write_text("k" * 100_000 + " = 1")
    assert len(told("usage", "long.toml")) < 1100
