"""Networks that are run and measured, next to the same networks run on the same images, and nothing else."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import padviz
from padviz.trained.sessions.inputs import images_of
from padviz.trained.sessions.of_model import runner_of
from padviz.trained.sessions.running import AT_ONCE, Images, at_once
from padviz.trained.trying.crops import Crops, Frame
from padviz.trained.weights.reading import read
from padviz.trained.weights.trained_network import Trained
from tests.wheels import photographs, real_file, real_weights

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

    padviz starts its own for each call, so that one is counted on both sides; likewise the images of all but `detect`.
    """
    if hasattr(trained.model, "graph"):
        from padviz.trained.sessions.onnx_runner import session

        bare = session(trained.model.proto, "bare")
        for part in parts:
            bare.run(None, {"x": part})
        return
    with torch.no_grad():
        for part in parts:
            trained.model(torch.from_numpy(part))


@pytest.mark.parametrize(("kind", "size"), [("onnx", 320), ("torch", 224)], ids=["onnx", "torch"])
def test_responses(benchmark: Any, kind: str, size: int) -> None:
    trained = network(kind, size)
    benchmark.pedantic(padviz.responses, (trained,), {"n": INPUTS}, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("kind", "size"), [("onnx", 320), ("torch", 224)], ids=["onnx", "torch"])
def test_forwards(benchmark: Any, kind: str, size: int) -> None:
    trained = network(kind, size)
    most = at_once(runner_of(trained))

    def bare() -> None:
        """As trained, and with shuffled weights."""
        parts = in_parts(images_of("noise", INPUTS, trained.size, 3), most)
        for _ in range(2):
            forwards(trained, parts)

    benchmark.pedantic(bare, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("kind", "size"), [("onnx", 160), ("torch", 96)], ids=["onnx", "torch"])
def test_detect(benchmark: Any, kind: str, size: int) -> None:
    trained = network(kind, size)
    benchmark.pedantic(padviz.detect, (trained,), WORD, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("kind", "size"), [("onnx", 160), ("torch", 96)], ids=["onnx", "torch"])
def test_detect_forwards(benchmark: Any, kind: str, size: int) -> None:
    """As many images as positions, 32 to choose a class, and a blank and noise to choose an output."""
    trained = network(kind, size)
    found = padviz.detect(trained, **WORD)
    count = len(found.tops) * len(found.lefts) + 32 + 3
    most = at_once(runner_of(trained))
    images = np.resize(images_of("noise", most, trained.size, 3), (count, 3, *trained.size))
    benchmark.pedantic(forwards, (trained, in_parts(images, most)), rounds=5, warmup_rounds=1)


CROPS, GRID = 13, 5
TRIED: dict[str, tuple[int, int]] = {"onnx": (160, 192), "torch": (224, 225)}  # as trained, and a size that is tried


@pytest.mark.parametrize("kind", TRIED)
def test_trial(benchmark: Any, kind: str) -> None:
    own, other = TRIED[kind]
    options = {"size": [other], "padding": ["symmetric"], "n": CROPS}
    benchmark.pedantic(padviz.trial, (network(kind, own), photographs()), options, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("kind", TRIED)
def test_trial_forwards(benchmark: Any, kind: str) -> None:
    """Crops as they are, shifted and padded anew, and of another size cropped and resized: a session for each."""
    own, other = TRIED[kind]
    benchmark.pedantic(bare_runs, (kind, [(own, CROPS, 3 * CROPS), (other, CROPS, 2 * CROPS)]), rounds=3)


@pytest.mark.parametrize("kind", TRIED)
def test_seen(benchmark: Any, kind: str) -> None:
    trained, options = network(kind, TRIED[kind][0]), {"grid": GRID, "n": 4}
    benchmark.pedantic(padviz.seen, (trained, photographs()), options, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("kind", TRIED)
def test_seen_forwards(benchmark: Any, kind: str) -> None:
    """Each crop as it is, and with the patch at every place."""
    benchmark.pedantic(bare_runs, (kind, [(TRIED[kind][0], 4, 4 * (1 + GRID**2))]), rounds=3)


def bare_runs(kind: str, runs: list[tuple[int, int, int]]) -> None:
    """Make so many crops at each size, and run so many images of them, as many at once as padviz does."""
    for size, count, images in runs:
        frame = Frame(0, 0, size, size)
        crops = [crop.scene(frame) for crop in Crops(photographs(), (size, size), count, frame, 3)]
        parts = in_parts(np.resize(crops, (images, 3, size, size)), max(AT_ONCE // size**2, 1))
        forwards(network(kind, size), parts)
