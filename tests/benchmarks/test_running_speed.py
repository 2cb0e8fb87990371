"""Networks that are run and measured, next to the same networks run on the same images, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
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
from padviz.trained.sessions.running import at_once
from tests.wheels import real_file, real_weights

INPUTS, STEP = 16, 16
WORD: dict[str, Any] = {"stimulus": "text:word", "height": 12, "contrast": 0.25, "step": STEP}


@cache
def network(kind: str, size: int) -> Trained:
    if kind == "onnx":
        return read(real_file("ch_PP-OCRv4_det_infer"), (size, size))
    return read("torchvision.models:mobilenet_v2", (size, size), real_weights("mobilenet_v2-b0353104.pth"))


def forwards(trained: Trained, count: int) -> Callable[[], None]:
    """The bare network, in onnxruntime as padviz starts it or in PyTorch, on so many images, as many at once."""
    size = trained.size
    runner = runner_of(trained)
    images, most = images_of("noise", min(count, at_once(runner)), size, 3), at_once(runner)
    parts = [images[: min(most, count - start)] for start in range(0, count, most)]
    if hasattr(trained.model, "graph"):
        from padviz.trained.sessions.onnx_runner import session

        bare = session(trained.model, "bare")
        return lambda: [bare.run(None, {"x": part}) for part in parts]  # type: ignore[return-value]
    tensors = [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]

    def run() -> None:
        with torch.no_grad():
            for part in tensors:
                trained.model(part)

    return run


@pytest.mark.parametrize(("kind", "size"), [("onnx", 320), ("torch", 224)], ids=["onnx", "torch"])
def test_responses(benchmark: Any, kind: str, size: int) -> None:
    trained = network(kind, size)
    benchmark.pedantic(padviz.border_responses, (trained,), {"n": INPUTS}, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("kind", "size"), [("onnx", 320), ("torch", 224)], ids=["onnx", "torch"])
def test_forwards(benchmark: Any, kind: str, size: int) -> None:
    benchmark.pedantic(forwards(network(kind, size), INPUTS), rounds=5, warmup_rounds=1)


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
    benchmark.pedantic(forwards(trained, count), rounds=5, warmup_rounds=1)
