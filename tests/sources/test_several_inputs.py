"""Inputs beside the image: the image is the first that no shape is given for, and the others are constants."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import padviz
from tests.cli.test_cli import run
from tests.keras_files import functional, image, layer, written
from tests.onnx_oracle import session_of
from tests.sources.test_onnx_ops import model_of
from tests.torch_calls import conv, counted

SIZES = [(16, 16), (24, 33)]


class Denoising(nn.Module):
    """A convolution of an image and of another one beside it, moved by the embedding of a time."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.time = conv(5, padding=2), conv(padding=1, stride=2), nn.Linear(1, 1)

    def forward(self, sample: Tensor, timestep: Tensor | float, other: Tensor) -> Tensor:
        if not torch.is_tensor(timestep):
            timestep = torch.tensor([timestep], dtype=sample.dtype, device=sample.device)
        moved = self.time(timestep.view(1, 1).to(self.time.weight.dtype)).to(sample.dtype)
        return self.b(self.a(sample) + moved[..., None, None] + self.a(other))


class Alone(Denoising):
    """The same of one image: what is constant has no gradient."""

    def forward(self, sample: Tensor) -> Tensor:  # type: ignore[override]
        return self.b(self.a(sample))


class Stepped(Alone):
    """One moved by a batch of time steps, of which the first counts."""

    def forward(self, sample: Tensor, t: Tensor) -> Tensor:  # type: ignore[override]
        return self.b(self.a(sample)) * t[:1, None, None, None]


class Deciding(Alone):
    """One that takes as many rows as another input says."""

    def forward(self, sample: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return self.a(sample[:, :, int(y.sum()) :])


GIVEN: list[tuple[Callable[[], nn.Module], dict[str, Any]]] = [
    (Denoising, {"timestep": 1, "other": (1, 1, "H", "W")}),
    (Denoising, {"timestep": 0.5, "sample": (1, 1, "H", "W")}),
    (Denoising, {"timestep": (1,), "other": (1, 1, 1, 1)}),
    (Stepped, {"t": (1,)}),
]


@pytest.mark.parametrize(("module", "shapes"), GIVEN, ids=str)
def test_one_input_is_the_image_and_the_others_are_constants(
    module: Any, shapes: dict[str, Any]
) -> None:
    network = padviz.load(module(), 16, shape=shapes)
    for size in SIZES:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(Alone(), size))


WRONG: list[tuple[Any, dict[str, Any] | None, str]] = [
    (Denoising, {"times": 1}, r"no input 'times'.*timestep"),
    (lambda: "resnet18", {"timestep": 1}, "has one input, the image, and no 'timestep'"),
    (
        Stepped,
        {"t": 1},
        r"not subscriptable \(.*, line \d+\); that is with t=1, a number: padviz.load\(.*shape=.\"t\": \(1,\).\) gives",
    ),
    (Stepped, {"t": (3, 5)}, "it was given t beside the image; try another shape of these"),
    (Deciding, {"y": (1,)}, r"reads the values of .* given beside the image"),
]


@pytest.mark.parametrize(("module", "shapes", "message"), WRONG)
def test_an_input_that_is_missing_or_does_not_fit_is_asked_for(
    module: Any, shapes: Any, message: str
) -> None:
    with pytest.raises(padviz.PadvizError, match=message):
        padviz.load(module(), 16, shape=shapes)


class Beside(nn.Module):
    """A convolution of an image and of the same image blurred."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.cat([x, nn.functional.avg_pool2d(x, 3, 1, 1)], 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_channels_of_an_image_joined_with_itself_are_tried(channels: int) -> None:
    assert padviz.usage(Beside(channels), 16).max == 1 + 9


class Mapped(nn.Module):
    """A convolution, of any number of axes, behind a check of its own."""

    def __init__(self, kind: Any = nn.Conv1d) -> None:
        super().__init__()
        self.conv = kind(1, 8, 3)

    def forward(self, x: Tensor, more: Tensor | None = None) -> Tensor:
        if x.shape[1] != 5:
            raise ValueError("its channels must be those of the sensor")
        return self.conv(x.mean(1, keepdim=True))


# 1 and 8, the channels of the weights, and the usual ones have been tried.
SHAPES = {nn.Conv1d: (1, 5, "L"), nn.Conv2d: (1, 5, "H", "W"), nn.Conv3d: (1, 5, "D", "H", "W")}


@pytest.mark.parametrize("kind", SHAPES)
def test_the_shape_of_a_modules_image_says_its_channels(kind: Any) -> None:
    what, shape = {nn.Conv1d: "signal", nn.Conv2d: "image", nn.Conv3d: "volume"}[kind], SHAPES[kind]
    sides = ", ".join(f'"{side}"' for side in shape[2:])
    hint = f'try another size, or say its channels: padviz.load(network, shape={{"x": (1, 9, {sides})}})'
    with pytest.raises(padviz.PadvizError, match=re.escape(f"it must take one {what}; {hint}")):
        padviz.load(Mapped(kind), 16)
    network = padviz.load(Mapped(kind), 16, shape={"x": shape})
    assert padviz.fields(network, 16)[-1].offsets == (0,) * (len(shape) - 2)


@pytest.mark.parametrize("shape", [(5, "L"), (1, "L", "L"), (2, 5, "L"), (1, 5, 64), 5])
def test_the_shape_of_an_image_has_channels_and_sides(shape: Any) -> None:
    with pytest.raises(
        padviz.PadvizError, match="'x' is the image; write it as x=1xCxHxW, or 1xCxL of a signal"
    ):
        padviz.load(Mapped(), 64, shape={"x": shape})


def test_a_module_without_convolutions_takes_a_signal_of_one_side() -> None:
    assert padviz.load(nn.Sequential(nn.MaxPool1d(3)), (64,)).axes == ("length",)


ADDED = """a = Conv <pads = [2, 2, 2, 2]> (left, w5x5)\n b = Conv <pads = [1, 1, 1, 1]> (right, w3x3)
 moved = Mul (b, t)\n added = Add (a, moved)\n y = Conv <strides = [2, 2]> (added, w3x3)"""
CUT = """rows = Shape <start = 2, end = 3> (right)\n fewer = Sub (rows, 1)\n a = Conv <pads = [2, 2, 2, 2]> (left, w5x5)
 cut = Slice (a, [1], fewer, [2])\n moved = Mul (cut, t)\n y = Conv <strides = [2, 2]> (moved, w3x3)"""


def two_images(body: str, right: str = "N, 1, H, W", path: Path = Path("two.onnx")) -> Any:
    model = model_of(body, 17, inputs=f"float[N, 1, H, W] left, float[{right}] right, float t")
    onnx.save(model, path)
    return model


def reactions(model: Any, image: str, size: tuple[int, int]) -> np.ndarray:
    """How much the sum of the output reacts to each pixel of an image, as onnxruntime runs it; the other is black."""
    n = size[0] * size[1]
    fed = {
        "left": np.zeros((n, 1, *size), np.float32),
        "right": np.zeros((n, 1, *size), np.float32),
    }
    fed[image] = np.eye(n, dtype=np.float32).reshape(n, 1, *size)
    session, fed["t"] = session_of(model), np.array(1, np.float32)
    (made,) = session.run(None, {each.name: fed[each.name] for each in session.get_inputs()})
    return made.sum((1, 2, 3)).reshape(size)  # type: ignore[no-any-return]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("two.onnx")


def test_a_file_has_one_image_and_constants_beside_it(path: Path) -> None:
    model = two_images(ADDED)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("left", {}), ("right", {"input_": "right"}), ("right", {"shape": {"left": (1, 1, "H", "W")}}),
    ]  # fmt: skip
    for name, given in asked:
        for size in ((6, 8), (9, 7)):
            counts = padviz.usage(padviz.load(path, 12, **given), size).counts
            np.testing.assert_array_equal(counts, reactions(model, name, size))


@pytest.mark.parametrize("size", [(6, 8), (9, 7)], ids=str)
def test_the_shape_of_another_input_follows_the_image(size: tuple[int, int], path: Path) -> None:
    model = two_images(CUT)
    network = padviz.load(path, size)
    for each in (size, (11, 13)):
        np.testing.assert_array_equal(
            padviz.usage(network, each).counts, reactions(model, "left", each)
        )
    two_images(CUT, "N, 1, K, L")  # whose shape is its own
    assert any(layer.note for layer in padviz.load(path, size).layers)
    given = padviz.load(path, size, shape={"right": (1, 1, "H", "W")})
    np.testing.assert_array_equal(padviz.usage(given, size).counts, reactions(model, "left", size))


MISNAMED: list[tuple[dict[str, Any], str]] = [
    ({"input_": "up"}, "no input 'up'; its inputs are 'left', 'right', 't'"),
    ({"input_": "t"}, "its input 't' does not have four dimensions"),
    ({"shape": {"up": 1}}, "no input 'up'; its inputs are 'left', 'right', 't'"),
    ({"shape": {"left": 1}, "input_": "left"}, "'left' is the image"),
    ({"shape": {"right": (1, 1, "D", 8)}}, "has a side D, and the image has H, W"),
    ({"shape": {"right": (1, 1, 9, 8)}}, "'right' is declared as 1x1x8x8"),
    ({"shape": {"right": 1}}, "'right' has 64 numbers"),
]


@pytest.mark.parametrize(("given", "why"), MISNAMED)
def test_inputs_of_a_file_are_known_by_name(given: dict[str, Any], why: str, path: Path) -> None:
    two_images(ADDED, "N, 1, 8, 8")
    with pytest.raises(padviz.PadvizError, match=re.escape(why)):
        padviz.load(path, 16, **given)


class Two(Denoising):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        return self.a(self.a(x)) + self.a(y)


def test_programs_and_keras_files_name_their_image(tmp_path: Path) -> None:
    images = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    torch.export.save(torch.export.export(Two().float(), images), tmp_path / "two.pt2")
    layers = [image(16, 16, 1), image(16, 16, 1)]
    layers[1]["name"] = layers[1]["config"]["name"] = "mask"
    for name, kernel, read in (("a", 3, "image"), ("b", 5, "mask")):
        layers.append(
            layer("Conv2D", name, read, filters=1, kernel_size=[kernel, kernel], padding="same")
        )
    described = functional([*layers, layer("Add", "c", ["a", "b"])], "c")
    described["config"]["input_layers"] = [["image", 0, 0], ["mask", 0, 0]]
    file = written(tmp_path / "two.keras", described)
    for net, first, second, most in (
        (tmp_path / "two.pt2", "x", "y", 625),
        (file, "image", "mask", 9),
    ):
        for given, expected in (({}, most), ({"input_": first}, most), ({"input_": second}, 25)):
            assert padviz.usage(padviz.load(net, **given)).max == expected  # type: ignore[arg-type]
        with pytest.raises(
            padviz.PadvizError, match=f"no input 'z'; its inputs are '{first}', '{second}'"
        ):
            padviz.load(net, input_="z")
        with pytest.raises(padviz.PadvizError, match=f"the shape of '{second}' is the file's"):
            padviz.load(net, shape={second: (1, 1, 16, 16)})


def test_commands_take_the_inputs_of_a_file(path: Path) -> None:
    two_images(ADDED)
    asked = ["two.onnx", "--size", "32", "--format", "json"]
    given = (), ("--input", "left"), ("--input", "right"), ("--shape", "left=1x1xHxW")
    answers = [run("usage", *asked, *each).stdout for each in given]
    assert answers[0] == answers[1] != answers[2] == answers[3]
    run("usage", *asked[:3], "--input", "right")
    assert Path("two-32-input_right-usage.png").exists()
    assert (
        "has further inputs: 'left', 't'"
        in run("audit", *asked, "--input", "right", "--images", ".").stderr
    )
