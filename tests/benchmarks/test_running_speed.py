"""Networks that are run, next to bare runs on the same images; rings, next to pycocotools' evaluation of the same."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch

import padviz
from padviz.scoring.rings.detected import rings_of
from padviz.trained.sessions.inputs import images_of
from padviz.trained.sessions.of_model import runner_of
from padviz.trained.sessions.running import AT_ONCE, Images, at_once
from padviz.trained.trying.crops import Crops, Frame
from padviz.trained.weights.reading import read
from padviz.trained.weights.trained_network import Trained
from tests.scoring.made import as_coco, scenes
from tests.wheels import photographs, real_file, real_weights

SIZES = {
    "responses": {"onnx": 320, "torch": 224},
    "detect": {"onnx": 160, "torch": 96},
    "trial": {"onnx": 160, "torch": 224},
}
CASES = [(what, kind) for what, sizes in SIZES.items() for kind in sizes]
OTHER = {"onnx": 192, "torch": 225}  # a size that is tried
INPUTS, CROPS = 16, 13
WORD: dict[str, Any] = {"stimulus": "text:word", "height": 12, "contrast": 0.25, "step": 16}


@cache
def network(kind: str, size: int) -> Trained:
    if kind == "onnx":
        return read(real_file("ch_PP-OCRv4_det_infer"), (size, size))
    return read("torchvision.models:mobilenet_v2", (size, size), real_weights("mobilenet_v2-b0353104.pth"))


@pytest.mark.parametrize(("what", "kind"), CASES)
def test_measured(benchmark: Any, what: str, kind: str) -> None:
    trained = network(kind, SIZES[what][kind])
    asked: dict[str, Callable[[], Any]] = {
        "responses": partial(padviz.responses, trained, n=INPUTS),
        "detect": partial(padviz.detect, trained, **WORD),
        "trial": partial(padviz.trial, trained, photographs(), size=[OTHER[kind]], padding=["symmetric"], n=CROPS),
    }
    benchmark.pedantic(asked[what], rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("what", "kind"), CASES)
def test_forwards(benchmark: Any, what: str, kind: str) -> None:
    size = SIZES[what][kind]
    bare: dict[str, Callable[[], Any]] = {
        "responses": partial(of_noise, network(kind, size)),
        "detect": partial(
            forwards, network(kind, size), images_of_detect(network(kind, size)) if what == "detect" else []
        ),
        # crops as they are, shifted and padded anew, and of another size cropped and resized: a session for each
        "trial": partial(of_crops, kind, [(size, CROPS, 3 * CROPS), (OTHER[kind], CROPS, 2 * CROPS)]),
    }
    benchmark.pedantic(bare[what], rounds=5, warmup_rounds=1)


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


def in_parts(images: Images, most: int) -> list[Images]:
    return [images[start : start + most] for start in range(0, len(images), most)]


def of_noise(trained: Trained) -> None:
    """As trained, and with shuffled weights."""
    parts = in_parts(images_of("noise", INPUTS, trained.size, 3), at_once(runner_of(trained)))
    for _ in range(2):
        forwards(trained, parts)


def images_of_detect(trained: Trained) -> list[Images]:
    """As many images as positions, 32 to choose a class, and a blank and noise to choose an output."""
    found, most = padviz.detect(trained, **WORD), at_once(runner_of(trained))
    shape = len(found.tops) * len(found.lefts) + 32 + 3, 3, *trained.size
    return in_parts(np.resize(images_of("noise", most, trained.size, 3), shape), most)


def of_crops(kind: str, runs: list[tuple[int, int, int]]) -> None:
    """Make so many crops at each size, and run so many images of them, as many at once as padviz does."""
    for size, count, images in runs:
        frame = Frame(0, 0, size, size)
        crops = [crop.scene(frame) for crop in Crops(photographs(), (size, size), count, frame, 3)]
        parts = in_parts(np.resize(crops, (images, 3, size, size)), max(AT_ONCE // size**2, 1))
        forwards(network(kind, size), parts)


MADE = scenes(0, images=2500, categories=20, each=22, false=1.0)


def test_rings(benchmark: Any) -> None:
    assert 90_000 < len(MADE.detections) < 110_000
    tracemalloc.start()
    rings_of(MADE)
    assert tracemalloc.get_traced_memory()[1] < 400_000_000
    tracemalloc.stop()
    benchmark.pedantic(lambda: rings_of(MADE), rounds=3)


def test_pycocotools(benchmark: Any) -> None:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    instances, results = as_coco(MADE)
    with contextlib.redirect_stdout(io.StringIO()):
        there = coco.COCO()
        there.dataset = instances
        there.createIndex()
        found = there.loadRes(results)

        def judged() -> None:
            judge = cocoeval.COCOeval(there, found, "bbox")
            judge.evaluate()
            judge.accumulate()

        benchmark.pedantic(judged, rounds=3)
