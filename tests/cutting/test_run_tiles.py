"""A network that runs on the image of a file, tile by tile: its output is that of the whole image, or no file is there."""

import errno
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import padviz
from tests.cli.test_cli import contents, run, told
from tests.cli.test_cli_foreign import conv, saved
from tests.cutting.test_shared_norms import UNet

pytestmark = pytest.mark.usefixtures("elsewhere")
SIZE = (62, 90)


class Sigmoid(UNet):
    """A U-Net whose output is not the map of its last convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(x))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(3, 4, 5, padding=2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        near = self.near(x)
        return {"logits": near, "scores": near.sigmoid(), "far": self.far(x)}


def network(make: Callable[[], nn.Module] = lambda: Sigmoid(nn.BatchNorm2d)) -> nn.Module:
    torch.manual_seed(0)
    return make().eval()


def pixels(*shape: int) -> Any:
    return np.random.default_rng(0).random(shape or (3, *SIZE))


def array(dtype: str = "float32") -> Any:
    np.save("image.npy", pixels().astype(dtype))
    return np.load("image.npy")


def whole(module: nn.Module, image: Any) -> Any:
    with torch.no_grad():
        return module(torch.from_numpy(image)[None])[0].numpy()


def apart(one: Any, other: Any) -> float:
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    return float(np.abs(one - other).max() / np.abs(other).max())


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("norms", [None, "shared"])
def test_tiles_make_what_the_whole_image_makes(norms: str | None, dtype: str, most: float) -> None:
    norm = nn.BatchNorm2d if norms is None else nn.InstanceNorm2d
    module, image = network(lambda: Sigmoid(norm)).to(getattr(torch, dtype)), array(dtype)
    steps: list[tuple[int, int]] = []
    result = padviz.run_tiles(
        module,
        "image.npy",
        "output.npy",
        tile=(32, 40),
        norms=norms,
        on_progress=lambda done, total: steps.append((done, total)),
    )
    assert [done for done, _ in steps] == [*range(1, steps[0][1] + 1)]
    assert apart(np.load("output.npy"), whole(module, image)) < most
    assert (result.shape, result.dtype, result.clipped) == ((2, *SIZE), dtype, 0)
    assert {*os.listdir()} == {"image.npy", "output.npy"}


def test_maps_of_shared_norms_take_limited_memory() -> None:
    module, image = network(lambda: Sigmoid(nn.InstanceNorm2d)), array()
    result = padviz.run_tiles(module, "image.npy", "output.npy", 32, norms="shared", memory=1)
    assert "at once for one image" in " ".join(str(result).split())
    assert apart(np.load("output.npy"), whole(module, image)) < 1e-5
    parts = {"norms": "shared", "scratch": "."}
    padviz.run_tiles(module, "image.npy", "stored.npy", 32, **parts)  # type: ignore[arg-type]
    assert apart(np.load("stored.npy"), whole(module, image)) < 1e-5
    with pytest.raises(
        padviz.PadvizError, match=r"scratch: cannot keep a map of .*; name a folder"
    ):
        padviz.run_tiles(module, "image.npy", "other.npy", 32, norms="shared", scratch="nosuch")
    with pytest.raises(padviz.PadvizError, match="scratch: keeps the maps of a plan with shared"):
        padviz.run_tiles(module, "image.npy", "other.npy", 32, scratch=".", norms="per-tile")
    assert {*os.listdir()} == {"image.npy", "output.npy", "stored.npy"}
    with pytest.raises(padviz.PadvizError, match="memory: is for `norms` shared"):
        padviz.run_tiles(module, "image.npy", "other.npy", 32, memory=1, norms="per-tile")


def test_an_onnx_file_makes_what_onnxruntime_makes_of_the_whole_image() -> None:
    from onnxruntime import InferenceSession

    pads = [1, 1, 1, 1]
    saved([conv("a", "image", pads=pads), conv("b", "a", pads=pads, strides=[2, 2])], ["b"])
    image = array()
    (output,) = InferenceSession("net.onnx").run(None, {"image": image[None]})
    done = run("run-tiles", "net.onnx", "image.npy", "--tile", "32", "-o", "output.npy")
    assert (done.exit_code, done.stderr) == (0, "")
    assert apart(np.load("output.npy"), output[0]) < 1e-5
    line = ("run-tiles", "net.onnx", "image.npy", "--tile", "32", "--layer", "a", "-o", "a.npy")
    facts = json.loads(run(*line, "--format", "json").stdout)
    assert facts["rows"][0]["shape"] == [3, *SIZE]
    assert np.load("a.npy").shape == (3, *SIZE)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_picture_becomes_a_picture(suffix: str) -> None:
    levels = np.rint(pixels(*SIZE, 3) * 255).astype(np.uint8)
    Image.fromarray(levels).save(f"image{suffix}")
    module = network(lambda: nn.Conv2d(3, 3, 3, padding=1))
    mean, std = (0.1, 0.2, 0.3), (0.5,)
    names = f"image{suffix}", f"output{suffix}"
    result = padviz.run_tiles(module, *names, 32, mean=mean, std=std)
    read = (levels.transpose(2, 0, 1) / np.float32(255) - np.float32(mean).reshape(3, 1, 1)) / 0.5
    output = whole(module, read.astype(np.float32))
    written = np.asarray(Image.open(f"output{suffix}")).transpose(2, 0, 1)
    assert np.abs(written - np.clip(output, 0, 1) * 255.0).max() < 0.501
    assert result.clipped == np.mean((output < 0) | (output > 1)) > 0.1


def test_integers_and_maps_of_one_channel_become_grey_pictures() -> None:
    class Labels(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).argmax(1)

    module, image = network(lambda: Labels(3, 5, 3, padding=1)), array()
    padviz.run_tiles(module, "image.npy", "labels.png", 32)
    padviz.run_tiles(module, "image.npy", "labels.npy", 32)
    assert (np.load("labels.npy") == whole(module, image)).all()
    assert (np.asarray(Image.open("labels.png")) == whole(module, image)).all()


def test_what_is_clipped_is_told() -> None:
    saved([conv("a", "image", pads=[1, 1, 1, 1])], ["a"])
    array()
    done = run("run-tiles", "net.onnx", "image.npy", "--tile", "32", "-o", "output.png")
    assert done.exit_code == 0
    assert done.stderr.endswith(
        "% of the values do not fit into a picture and are clipped; write an .npy file to keep them\n"
    )


def test_an_array_keeps_its_batch_of_one_and_is_mapped() -> None:
    from padviz.trained.image_files import open_image

    np.save("image.npy", array()[None])
    assert isinstance(open_image("image.npy").content, np.memmap)
    padviz.run_tiles(network(), "image.npy", "output.npy", 32)
    assert np.load("output.npy").shape == (1, 2, *SIZE)


@pytest.mark.parametrize("norms", [None, "shared"])
def test_narrower_types_and_other_orders_of_bytes_are_read(norms: str | None) -> None:
    module, image = network(lambda: nn.Conv2d(3, 2, 3, padding=1)), array()
    for dtype in (">f4", "f2"):
        np.save("image.npy", image.astype(dtype))
        padviz.run_tiles(module, "image.npy", "output.npy", 32, norms=norms, overwrite=True)
        output = whole(module, image.astype(dtype).astype("f4"))
        assert apart(np.load("output.npy"), output) < 1e-5


def test_one_of_several_outputs_is_named() -> None:
    module, image = network(Two), array()
    with pytest.raises(padviz.PadvizError, match="returns 3 maps: logits, scores, far; name one"):
        padviz.run_tiles(module, "image.npy", "output.npy", 32)
    for layer, of in (("scores", "scores"), ("far", "far"), ("near", "logits")):
        padviz.run_tiles(module, "image.npy", f"{layer}.npy", 32, layer)
        with torch.no_grad():
            output = module(torch.from_numpy(image)[None])[of][0].numpy()
        assert apart(np.load(f"{layer}.npy"), output) < 1e-5


@pytest.mark.parametrize("change", [nn.Module.train, torch.compile, nn.Module.half])
def test_modules_run_in_evaluation_mode_however_they_are_wrapped(change: Any) -> None:
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5)
    module, image = network(lambda: nn.Sequential(*layers)), array()
    output = whole(module, image)
    padviz.run_tiles(change(module), "image.npy", "output.npy", 32)
    most = 1e-5
    if change is nn.Module.half:
        most = 1e-2
    assert apart(np.load("output.npy"), output) < most


def ends_at(tile: int, act: str) -> str:
    """A module that acts when it runs on that tile."""
    return (
        "import os, signal\nfrom torch import nn\n"
        "class Net(nn.Conv2d):\n"
        "    ran = 0\n"
        "    def __init__(self): super().__init__(3, 2, 3, padding=1)\n"
        "    def forward(self, x):\n"
        "        self.ran += not x.is_meta\n"
        f"        if self.ran == {tile}:\n"
        f"            {act}\n"
        "        return super().forward(x)\n"
        "net = Net()\n"
    )


LINE = ("run-tiles", "ending:net", "image.npy", "--tile", "32", "-o", "output.npy")


def test_outputs_of_tiles_are_freed_at_once() -> None:
    def tensors() -> int:
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    array()
    module, counts = network(lambda: nn.Conv2d(3, 2, 3)), list[int]()
    gc.disable()  # which runs rarely where few objects hold much
    try:
        padviz.run_tiles(
            *(module, "image.npy", "output.npy", 32),
            on_progress=lambda done, total: counts.append(tensors()),
        )
    finally:
        gc.enable()
    assert len(counts) > 5
    assert len({*counts}) == 1


def test_an_interrupted_run_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ending.py").write_text(ends_at(3, "raise KeyboardInterrupt"))
    monkeypatch.syspath_prepend(".")
    monkeypatch.delitem(sys.modules, "ending", raising=False)
    array()
    there = contents()
    assert run(*LINE).exit_code == 130
    assert contents() == there


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGKILL", -9), ("SIGTERM", 143), ("SIGINT", 130)])
def test_a_second_run_starts_anew_where_the_first_was_ended(name: str, code: int) -> None:
    array()
    command = [sys.executable, "-m", "padviz", *LINE]
    Path("ending.py").write_text(ends_at(3, f"os.kill(os.getpid(), signal.{name})"))
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (code, "")
    left = {path.name for path in Path().iterdir()} - {"image.npy", "ending.py", "__pycache__"}
    assert all(path.startswith(".padviz-") for path in left)
    assert bool(left) == (code == -signal.SIGKILL)
    Path("ending.py").write_text(ends_at(0, "pass"))
    subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert not [*Path().glob(".padviz-*")]
    assert np.load("output.npy").shape == (2, *SIZE)


def test_a_full_disk_is_told_before_the_second_tile() -> None:
    resource = pytest.importorskip("resource")
    saved([conv("a", "image", pads=[1, 1, 1, 1])], ["a"])
    array()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        line = told("run-tiles", "net.onnx", "image.npy", "--tile", "32", "-o", "output.npy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert line == "padviz: output.npy: cannot be written (File too large); choose another place\n"


def test_a_folder_that_cannot_be_written_is_told_before_the_first_tile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved([conv("a", "image", pads=[1, 1, 1, 1])], ["a"])
    array()

    def refuses(*given: Any, **more: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    def never(*given: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("tempfile.mkdtemp", refuses)
    monkeypatch.setattr("padviz.analyses.run_tiles.tiled", never)
    line = told("run-tiles", "net.onnx", "image.npy", "--tile", "32", "-o", "output.npy")
    assert (
        line == "padviz: output.npy: cannot be written (Permission denied); choose another place\n"
    )


def test_a_module_on_two_devices_is_refused() -> None:
    array()
    module = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3, device="meta"))
    with pytest.raises(padviz.PadvizError, match=r"is on several devices: cpu .* and meta"):
        padviz.run_tiles(module, "image.npy", "output.npy", 32)


WRONG = {  # arrays, and what is said of them
    "few.npy": (np.ones((2, 40, 60), "f4"), "has 2 channels, and the network reads 3; use another"),
    "wide.npy": (np.ones((3, 40, 60)), 'holds float64, and the network reads float32; save image.astype("float32")'),
    "whole.npy": (np.ones((3, 40, 60), "u1"), "holds uint8, and the network reads float32; save"),
    "nan.npy": (np.where(np.arange(7200).reshape(3, 40, 60) == 4567, np.nan, 1).astype("f4"), "has NaN or infinities, the first at [1, 36, 7]"),
    "last.npy": (np.ones((40, 60, 3), "f4"), "has the shape (40, 60, 3), with channels last; save np.moveaxis(image, -1, 0)"),
    "grey.npy": (np.ones((40, 60), "f4"), "holds an array of float32 and of shape (40, 60); save it"),
    "batch.npy": (np.ones((2, 3, 40, 60), "f4"), "holds an array of float32 and of shape (2, 3, 40, 60)"),
    "empty.npy": (np.ones((3, 0, 60), "f4"), "holds an array of float32 and of shape (3, 0, 60)"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_arrays_that_do_not_suit_are_refused_in_one_line(name: str) -> None:
    saved([conv("a", "image", pads=[1, 1, 1, 1])], ["a"])
    values, words = WRONG[name]
    np.save(name, values)
    line = told("run-tiles", "net.onnx", name, "--tile", "32", "-o", "output.npy")
    assert line.startswith(f"padviz: {name}: {words}")
