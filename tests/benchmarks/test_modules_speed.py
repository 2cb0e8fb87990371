"""Modules and ONNX files: read, repadded, their filters, and tiled, next to what others do with the same."""

import contextlib
import io
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torchvision

import padviz
from padviz.scoring.detections import rings_of_boxes
from padviz.trained.images import Inputs, images_of
from padviz.trained.networks.onnx_network import session
from padviz.trained.networks.reading import read, runner_of
from padviz.trained.networks.running import at_once
from padviz.trained.networks.trained_network import Trained
from tests.benchmarks.test_speed import process
from tests.cutting.test_shared_norms import Decoder, UNet
from tests.scoring.made import as_coco, scenes
from tests.wheels import real_file, real_weights

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("what", ["load", "build"])
def test_reading(benchmark: Any, what: str) -> None:
    module = torchvision.models.resnet50(weights=None).eval()
    load, build = (
        partial(padviz.load, module, size=224),
        partial(torchvision.models.resnet50, weights=None),
    )
    benchmark(load if what == "load" else build)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("resnet50")
    model = torchvision.models.resnet50(weights=None).eval()
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), place / "resnet50.onnx", dynamo=False)
    return place


@pytest.mark.parametrize("scheme", [None, "replicate", "reflect", "circular", "symmetric"])
def test_repadded_forward(benchmark: Any, scheme: str | None) -> None:
    module = torchvision.models.resnet50(weights=None).eval()
    if scheme is not None:
        module = padviz.repad(module, scheme, size=224)
    image = torch.randn(8, 3, 224, 224)
    with torch.inference_mode():
        benchmark.pedantic(module, (image,), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("norms", ["shared", "per-tile"])
@pytest.mark.parametrize("name", ["unet", "decoder"])
def test_tiled(benchmark: Any, name: str, norms: str) -> None:
    """Nine tiles with context, or four that share their norms, of 512 pixels or 128 latents."""
    model = UNet(partial(torch.nn.GroupNorm, 4)) if name == "unet" else Decoder(32)
    model.eval()
    size = 512 if name == "unet" else 128
    image = torch.rand(1, 3, size, size)
    plan = padviz.tiles(model, size, size // 2, norms=norms).plan
    with torch.inference_mode():
        benchmark.pedantic(padviz.tiled, (model, image, plan), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("scheme", ["reflect", "symmetric", "partial"])
def test_repad(benchmark: Any, tmp_path: Path, folder: Path, scheme: str) -> None:
    benchmark(
        lambda: padviz.repad(folder / "resnet50.onnx", scheme).save(
            tmp_path / "out.onnx", overwrite=True
        )
    )


def test_onnx_load_and_save(benchmark: Any, tmp_path: Path, folder: Path) -> None:
    benchmark(lambda: onnx.save(onnx.load(folder / "resnet50.onnx"), tmp_path / "out.onnx"))


PROCESSES = {
    "uneven": ["-m", "padviz", "uneven", "resnet50.onnx"],
    "load": ["-c", "import onnx; onnx.load('resnet50.onnx')"],
}


@pytest.mark.parametrize("what", PROCESSES)
def test_process_resnet(benchmark: Any, folder: Path, what: str) -> None:
    process(benchmark, folder, PROCESSES[what])


SIZES = {"onnx": 320, "torch": 224}
INPUTS = 16


def network(kind: str) -> Trained:
    size = SIZES[kind], SIZES[kind]
    if kind == "onnx":
        return read(real_file("ch_PP-OCRv4_det_infer"), size)
    return read("torchvision.models:mobilenet_v2", size, real_weights("mobilenet_v2-b0353104.pth"))


@pytest.mark.parametrize("kind", SIZES)
def test_responses(benchmark: Any, kind: str) -> None:
    asked = {"padding": (), "n": INPUTS}
    benchmark.pedantic(padviz.responses, (network(kind),), asked, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("kind", SIZES)
def test_forwards(benchmark: Any, kind: str) -> None:
    """The bare network as trained, and as with shuffled weights, on as many images at once as padviz runs.

    It is already read; the session that onnxruntime needs is started on both sides, and the images are made on both.
    """
    trained = network(kind)
    most = at_once(runner_of(trained))

    def bare() -> None:
        images = images_of(Inputs(n=INPUTS), trained.size, 3)
        for _ in range(2):
            run = runs_of(trained)
            for start in range(0, INPUTS, most):
                run(images[start : start + most])

    with torch.no_grad():
        benchmark.pedantic(bare, rounds=5, warmup_rounds=1)


def runs_of(trained: Trained) -> Callable[[Any], Any]:
    if not hasattr(trained.model, "graph"):
        return lambda images: trained.model(torch.from_numpy(images))
    bare = session(trained.model.proto, "bare")
    return lambda images: bare.run(None, {"x": images})


MADE = scenes(0, images=2500, categories=20, each=22, false=1.0)


def test_rings(benchmark: Any) -> None:
    assert 90_000 < len(MADE.detections) < 110_000
    tracemalloc.start()
    rings_of_boxes(MADE)
    assert tracemalloc.get_traced_memory()[1] < 400_000_000
    tracemalloc.stop()
    benchmark.pedantic(lambda: rings_of_boxes(MADE), rounds=3)


def test_pycocotools(benchmark: Any) -> None:
    coco, cocoeval = (
        pytest.importorskip("pycocotools.coco"),
        pytest.importorskip("pycocotools.cocoeval"),
    )
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
