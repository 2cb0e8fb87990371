"""Inputs beside the image: the image is the first that no shape is given for, and the others are constants."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

import padviz
from tests.cli.test_cli import run
from tests.keras_files import functional, image, layer, written
from tests.torch_oracle import conv, counted

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


OTHERS: list[dict[str, Any]] = [
    {"timestep": 1, "other": (1, 1, "H", "W")},
    {"timestep": 0.5, "sample": (1, 1, "H", "W")},
    {"timestep": (1,), "other": (1, 1, 1, 1)},
]


@pytest.mark.parametrize("shapes", OTHERS, ids=str)
def test_one_input_is_the_image_and_the_others_are_constants(shapes: dict[str, Any]) -> None:
    network = padviz.load(Denoising(), 16, shape=shapes)
    for size in SIZES:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(Alone(), size))


def test_an_input_that_is_missing_is_asked_for() -> None:
    with pytest.raises(padviz.PadvizError, match=r"missing 2 .*; padviz.load\(.*shape=.\"timestep\": 1.\) gives"):
        padviz.load(Denoising(), 16)
    with pytest.raises(padviz.PadvizError, match=r"no input 'times'.*timestep"):
        padviz.load(Denoising(), 16, shape={"times": 1})
    with pytest.raises(padviz.PadvizError, match="has one input, the image, and no 'timestep'"):
        padviz.load("resnet18", 16, shape={"timestep": 1})


class Stepped(Alone):
    """One moved by a batch of time steps, of which the first counts."""

    def forward(self, sample: Tensor, t: Tensor) -> Tensor:  # type: ignore[override]
        return self.b(self.a(sample)) * t[:1, None, None, None]


def test_a_module_that_fails_with_a_number_is_told_of_a_vector() -> None:
    says = r"not subscriptable; that is with t=1, a number: padviz.load\(.*shape=.\"t\": \(1,\).\) gives it as"
    with pytest.raises(padviz.PadvizError, match=says):
        padviz.load(Stepped(), 16, shape={"t": 1})
    network = padviz.load(Stepped(), 16, shape={"t": (1,)})
    for size in SIZES:
        np.testing.assert_array_equal(padviz.usage(network, size).counts, counted(Alone(), size))
    with pytest.raises(padviz.PadvizError, match="it was given t beside the image; try another shape of these"):
        padviz.load(Stepped(), 16, shape={"t": (3, 5)})


def test_no_value_of_another_input_decides() -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = conv()

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.a(x[:, :, int(y.sum()) :])

    with pytest.raises(padviz.PadvizError, match=r"reads the values of .* given beside the image"):
        padviz.load(Deciding(), 16, shape={"y": (1,)})


NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image, other, t):
        return self.a(image) + self.a(other) * t
"""


def test_commands_take_inputs_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two_inputs_net.py").write_text(NET)
    asked = ["uneven", "two_inputs_net:Net", "--size", "32"]
    assert run(*asked, "--shape", "other=1x3xHxW", "--shape", "t=2").exit_code == 0
    assert "--shape: 'other=y' is no input; write NAME=1x3xHxW" in run(*asked, "--shape", "other=y").stderr
    assert "; --shape other=1 gives it a number, --shape other=1x3xHxW a tensor" in run(*asked).stderr


ADDED = """
    a = Conv <pads = [2, 2, 2, 2]> (left, w5x5)
    b = Conv <pads = [1, 1, 1, 1], strides = [1, 1]> (right, w3x3)
    moved = Mul (b, t)
    added = Add (a, moved)
    y = Conv <strides = [2, 2]> (added, w3x3)
"""
CUT = """
    rows = Shape <start = 2, end = 3> (right)
    fewer = Sub (rows, one)
    a = Conv <pads = [2, 2, 2, 2]> (left, w5x5)
    cut = Slice (a, one, fewer, two)
    moved = Mul (cut, t)
    y = Conv <strides = [2, 2]> (moved, w3x3)
"""


def two_images(body: str, right: str = "N, 1, H, W") -> onnx.ModelProto:
    inputs = f"float[N, 1, H, W] left, float[{right}] right, float t"
    lines = " ".join(line.strip() for line in body.split("\n"))
    head = '<ir_version: 8, opset_import: ["" : 17]> g'
    model = onnx.parser.parse_model(f"{head} ({inputs}) => (float[] y) {{ {lines} }}")
    stored = {"w3x3": np.ones((1, 1, 3, 3)), "w5x5": np.ones((1, 1, 5, 5)), "one": np.array([1]), "two": np.array([2])}
    kinds = {name: np.float32 if name[0] == "w" else np.int64 for name in stored}
    model.graph.initializer.extend(numpy_helper.from_array(a.astype(kinds[n]), n) for n, a in stored.items())
    return model


def reactions(model: onnx.ModelProto, image: str, size: tuple[int, int]) -> np.ndarray:
    """How much the sum of the output reacts to each pixel of an image, as onnxruntime runs it; the other is black."""
    n = size[0] * size[1]
    images = dict.fromkeys(("left", "right"), np.zeros((n, 1, *size), np.float32))
    images[image] = np.eye(n, dtype=np.float32).reshape(n, 1, *size)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    used = {value.name for value in session.get_inputs()}
    fed = {name: value for name, value in {**images, "t": np.array(1, np.float32)}.items() if name in used}
    return session.run(None, fed)[0].sum((1, 2, 3)).reshape(size)


@pytest.mark.parametrize("size", [(6, 8), (9, 7)], ids=str)
def test_a_file_has_one_image_and_constants_beside_it(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    model = two_images(ADDED)
    onnx.save(model, path)
    for name, given in (
        ("left", {}),
        ("right", {"input_": "right"}),
        ("right", {"shape": {"left": (1, 1, "H", "W")}}),
    ):
        network = padviz.load(path, 12, **given)  # type: ignore[arg-type]
        np.testing.assert_array_equal(padviz.usage(network, size).counts, reactions(model, name, size))


@pytest.mark.parametrize("size", [(6, 8), (9, 7)], ids=str)
def test_the_shape_of_another_input_follows_the_image(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    model = two_images(CUT)
    onnx.save(model, path)
    network = padviz.load(path, size)
    np.testing.assert_array_equal(padviz.usage(network, size).counts, reactions(model, "left", size))
    np.testing.assert_array_equal(padviz.usage(network, (11, 13)).counts, reactions(model, "left", (11, 13)))
    onnx.save(two_images(CUT, "N, 1, K, L"), path)  # whose shape is its own
    assert any(layer.note for layer in padviz.load(path, size).layers)
    given = padviz.load(path, size, shape={"right": (1, 1, "H", "W")})
    np.testing.assert_array_equal(padviz.usage(given, size).counts, reactions(model, "left", size))


def test_inputs_of_a_file_are_known_by_name(tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    onnx.save(two_images(ADDED, "N, 1, 8, 8"), path)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"input_": "up"}, "no input 'up'; its inputs are 'left', 'right', 't'"),
        ({"input_": "t"}, "its input 't' has not four dimensions"),
        ({"shape": {"up": 1}}, "no input 'up'; its inputs are 'left', 'right', 't'"),
        ({"shape": {"left": 1}, "input_": "left"}, "'left' is the image"),
        ({"shape": {"right": (1, 1, "D", 8)}}, "has a side D, and the image has H, W"),
        ({"shape": {"right": (1, 1, 9, 8)}}, "'right' is declared as 1x1x8x8"),
        ({"shape": {"right": 1}}, "'right' has 64 numbers"),
    ]
    for given, why in wrong:
        with pytest.raises(padviz.PadvizError, match=re.escape(why)):
            padviz.load(path, 16, **given)


def test_programs_and_keras_files_name_their_image(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(padding=1), conv(5, padding=2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.a(x) + self.b(y)

    kept, path = Two().float(), tmp_path / "two.pt2"
    torch.export.save(torch.export.export(kept, (torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16))), path)
    layers = [image(16, 16, 1), image(16, 16, 1)]
    layers[1]["name"] = layers[1]["config"]["name"] = "mask"
    for name, kernel, read in (("a", 3, "image"), ("b", 5, "mask")):
        layers.append(layer("Conv2D", name, read, filters=1, kernel_size=[kernel, kernel], padding="same"))
    described = functional([*layers, layer("Add", "c", ["a", "b"])], "c")
    described["config"]["input_layers"] = [["image", 0, 0], ["mask", 0, 0]]
    file = written(tmp_path / "two.keras", described)
    for net, first, second in ((path, "x", "y"), (file, "image", "mask")):
        for given, window in (({}, 9), ({"input_": first}, 9), ({"input_": second}, 25)):
            assert padviz.usage(padviz.load(net, **given)).max == window  # type: ignore[arg-type]
        with pytest.raises(padviz.PadvizError, match=f"no input 'z'; its inputs are '{first}', '{second}'"):
            padviz.load(net, input_="z")
        with pytest.raises(padviz.PadvizError, match=f"the shape of '{second}' is the file's"):
            padviz.load(net, shape={second: (1, 1, 16, 16)})


@pytest.mark.parametrize("command", ["layers", "sizes", "filters", "repad --padding reflect"])
def test_commands_take_the_inputs_of_a_file(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(two_images(ADDED), "two.onnx")
    name, *more = command.split()
    size = "16:64" if name == "sizes" else "32"
    answers = [
        run(name, "two.onnx", "--size", size, "--format", "json", *more, *given).output
        for given in ((), ("--input", "left"), ("--input", "right"), ("--shape", "left=1x1xHxW"), ("--input", "up"))
    ]
    assert answers[0] == answers[1] != answers[2] == answers[3]
    assert "two.onnx: has no input 'up'; its inputs are 'left', 'right', 't'" in answers[4]


def test_other_commands_take_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(two_images(ADDED), "two.onnx")
    asked = ["two.onnx", "--input", "right"]
    for command in (
        ["tiles", *asked, "--size", "64", "--tile", "32"],
        ["diff", *asked, "--size", "32", "--padding", "reflect"],
        ["compare", *asked, "--size", "16,32", "-o", "compared.png"],
        ["usage", *asked, "--size", "32"],
        ["export", *asked, "--size", "32", "--what", "usage,filters", "-o", "maps"],
    ):
        assert run(*command).exit_code == 0, command
    assert Path("two-32-input_right-usage.png").exists()
    assert "has further inputs: 'left', 't'" in run("audit", *asked, "--size", "32", "--images", ".").stderr
