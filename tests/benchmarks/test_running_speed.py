"""Networks that are run and measured, next to the same networks run on the same images, and nothing else."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import padviz
from padviz.trained.network import Trained
from padviz.trained.reading import read
from padviz.trained.sessions.inputs import images_of
from padviz.trained.sessions.of_model import runner_of
from padviz.trained.sessions.running import Images, at_once
from tests.wheels import real_file, real_weights

INPUTS, STEP = 16, 16
WORD: dict[str, Any] = {"stimulus": "text:word", "height": 12, "contrast": 0.25, "step": STEP}


@cache
def network(kind: str, size: int) -> Trained:
    if kind == "onnx":
        return read(real_file("ch_PP-OCRv4_det_infer"), (size, size))
    return read("torchvision.models:mobilenet_v2", (size, size), real_weights("mobilenet_v2-b0353104.pth"))


def in_parts(images: Images, most: int) -> list[Images]:
    return [images[start : start + most] for start in range(0, len(images), most)]


def forwards(trained: Trained, parts: list[Images]) -> None:
    """The bare network, already read, on images in parts; with the session that onnxruntime needs.

    padviz starts its own for each call, so that one is counted on both sides; likewise the images of `responses`.
    """
    if hasattr(trained.model, "graph"):
        from padviz.trained.sessions.onnx_runner import session

        bare = session(trained.model, "bare")
        for part in parts:
            bare.run(None, {"x": part})
        return
    with torch.no_grad():
        for part in parts:
            trained.model(torch.from_numpy(part))


@pytest.mark.parametrize(("kind", "size"), [("onnx", 320), ("torch", 224)], ids=["onnx", "torch"])
def test_responses(benchmark: Any, kind: str, size: int) -> None:
    trained = network(kind, size)
    benchmark.pedantic(padviz.border_responses, (trained,), {"n": INPUTS}, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("kind", "size"), [("onnx", 320), ("torch", 224)], ids=["onnx", "torch"])
def test_forwards(benchmark: Any, kind: str, size: int) -> None:
    trained = network(kind, size)
    most = at_once(runner_of(trained))

    def bare() -> None:
        forwards(trained, in_parts(images_of("noise", INPUTS, trained.size, 3), most))

    benchmark.pedantic(bare, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("kind", "size"), [("onnx", 160), ("torch", 96)], ids=["onnx", "torch"])
def test_detect(benchmark: Any, kind: str, size: int) -> None:
    trained = network(kind, size)
    benchmark.pedantic(padviz.detectability, (trained,), WORD, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("kind", "size"), [("onnx", 160), ("torch", 96)], ids=["onnx", "torch"])
def test_detect_forwards(benchmark: Any, kind: str, size: int) -> None:
    """As many images as positions, 32 to choose a class, and a blank and noise to choose an output."""
    trained = network(kind, size)
    found = padviz.detectability(trained, **WORD)
    count = len(found.tops) * len(found.lefts) + 32 + 3
    most = at_once(runner_of(trained))
    images = np.resize(images_of("noise", most, trained.size, 3), (count, 3, *trained.size))
    benchmark.pedantic(forwards, (trained, in_parts(images, most)), rounds=5, warmup_rounds=1)
