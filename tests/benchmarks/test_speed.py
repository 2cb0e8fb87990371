"""How long things take, next to what they are compared with; `report.py` turns one run into ratios.

Nothing here asserts a time: machines differ, so only ratios within one run say anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from torch import nn

import padviz
from padviz.advice.verdict import audit
from padviz.counting.shares.interior import _interior, ring
from padviz.sources.toml.build import parse
from tests.torch_oracle import counting_functions, model_of

PLOT = """
import numpy as np, click
from matplotlib.figure import Figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
figure = Figure()
FigureCanvasAgg(figure)
axes = figure.subplots()
figure.colorbar(axes.imshow(np.random.rand(512, 512), cmap="plasma"))
figure.savefig("plot.png")
"""
CASES = [("vgg19", 512), ("vgg19", 2048), ("resnet50", 512), ("resnet50", 2048), ("resnet152", 512)]
SWEEP = range(64, 1025)


def features_of(model: nn.Module) -> nn.Module:
    """The part up to the last feature map, so that PyTorch does nothing that padviz does not."""
    if hasattr(model, "features"):
        return model.features
    return nn.Sequential(model.conv1, model.maxpool, model.layer1, model.layer2, model.layer3, model.layer4)


@pytest.mark.parametrize(("name", "size"), [*CASES, ("resnet50", 65536)])
def test_padviz_counts(benchmark: Any, name: str, size: int) -> None:
    network = padviz.load(name)
    benchmark(padviz.usage, network, size)


@pytest.mark.parametrize(("name", "size"), CASES)
def test_padviz_array(benchmark: Any, name: str, size: int) -> None:
    """The same with every count written out."""
    network = padviz.load(name)
    if name == "resnet152":  # Python ints: padviz keeps limbs, which numpy can count with
        benchmark(lambda: padviz.usage(network, size).expanded())
    else:
        benchmark(lambda: padviz.usage(network, size).counts)


def all_ones(name: str, threads: int) -> Callable[[int], None]:
    """PyTorch's forward and backward of the all-ones copy, at a size."""
    torch.set_num_threads(threads)
    body = features_of(model_of(name))

    def forward_and_backward(size: int) -> None:
        image = torch.zeros((1, 1, size, size), dtype=torch.float64, requires_grad=True)
        with counting_functions():
            body(image).sum().backward()

    return forward_and_backward


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("name", "size"), CASES)
def test_pytorch_counts(benchmark: Any, name: str, size: int, threads: int) -> None:
    benchmark(all_ones(name, threads), size)


def test_padviz_sweep(benchmark: Any) -> None:
    """Each round is a map of the next size: the median is of all sizes."""
    network, sizes = padviz.load("resnet50"), iter(SWEEP)
    benchmark.pedantic(padviz.usage, setup=lambda: ((network, next(sizes)), {}), rounds=len(SWEEP))


def test_pytorch_sweep(benchmark: Any) -> None:
    """Every 31st of the sizes."""
    run, sizes = all_ones("resnet50", 1), iter(SWEEP[::31])
    benchmark.pedantic(run, setup=lambda: ((next(sizes),), {}), rounds=len(SWEEP[::31]))


@pytest.mark.parametrize("size", [512, 2048])
def test_filling(benchmark: Any, size: int) -> None:
    """What no map of that size can beat: writing an array of it."""
    benchmark(lambda: np.full((size, size), 7))


def test_saving(benchmark: Any, tmp_path: Path) -> None:
    """What a picture of the map costs."""
    benchmark(matplotlib.image.imsave, tmp_path / "map.png", padviz.usage("vgg19", 512).counts)


def test_balanced_sizes(benchmark: Any) -> None:
    network = padviz.load("resnet152")
    benchmark(padviz.sizes, network, "64:4096")


def test_ledger(benchmark: Any) -> None:
    network, sizes = padviz.load("resnet152"), cycle(range(224, 1024))  # each call at a size of its own
    benchmark(lambda: padviz.uneven(network, next(sizes)))


@pytest.mark.parametrize("size", [512, 65536])
def test_fair_shares(benchmark: Any, size: int) -> None:
    """The interior and all figures, of a map that is counted already."""
    network = padviz.load("resnet50")

    def prepare() -> tuple[tuple[Any], dict[str, Any]]:
        _interior.cache_clear()
        ring.cache_clear()
        return (padviz.usage(network, size),), {}

    benchmark.pedantic(lambda counts: counts.shares.figures, setup=prepare, rounds=50, warmup_rounds=1)


@pytest.mark.parametrize("what", ["remedies", "usage"])
def test_remedies(benchmark: Any, what: str) -> None:
    network = padviz.load("resnet152")
    benchmark({"remedies": audit, "usage": padviz.usage}[what], network, (224, 224))


@pytest.mark.parametrize(("depth", "size"), [(300, 1024), (2000, 224)])
@pytest.mark.parametrize("what", ["audit", "usage"])
def test_deep_chain(benchmark: Any, what: str, depth: int, size: int) -> None:
    """Convolutions whose counts have 287 digits, and 1,909."""
    layers = [{"op": "conv", "name": f"c{i}", "kernel": 3, "padding": 1} for i in range(depth)]
    network = parse({"layers": layers}, "chain")
    run = (lambda: audit(network, size)) if what == "audit" else (lambda: padviz.usage(network, size).summary())
    benchmark.pedantic(run, rounds=3)


@pytest.mark.parametrize("size", [4096, 8192])
def test_wide_chain(benchmark: Any, size: int) -> None:
    """Three kernels that read half of the image, so that nothing repeats in it."""
    layers = [{"op": "conv", "name": f"c{i}", "kernel": 4095, "padding": 2047} for i in range(3)]
    network = parse({"layers": layers}, "chain")
    benchmark.pedantic(lambda: padviz.usage(network, size).summary(), rounds=5)


@pytest.mark.parametrize("what", ["audit", "usage"])
def test_dense_core(benchmark: Any, what: str) -> None:
    """A map whose borders reach 1,930 pixels in, so that its core is too large to be kept."""
    network = padviz.load("densenet201")
    run = audit if what == "audit" else (lambda *asked: padviz.usage(*asked).summary())
    benchmark.pedantic(run, (network, 1_000_000), rounds=3)


@pytest.mark.parametrize("heads", ["share", "sum"])
def test_many_heads(benchmark: Any, heads: str) -> None:
    layers: list[dict[str, Any]] = [{"op": "conv", "name": "stem", "kernel": 3, "padding": 1}]
    layers += [{"op": "conv", "name": f"h{i}", "from": "stem", "kernel": 3, "padding": 1} for i in range(1000)]
    network = parse({"layers": layers, "target": []}, "heads")
    names = [f"h{i}" for i in range(1000)]
    benchmark.pedantic(lambda: padviz.usage(network, 224, layer=names, heads=heads).summary(), rounds=5)


def process(benchmark: Any, folder: Path, *command: str, fresh: bool = False, rounds: int = 25) -> None:
    """Time a whole process; `fresh` gives each round an empty cache for numba."""
    caches = iter(range(1000))

    def prepare() -> tuple[tuple[()], dict[str, Any]]:
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
        if fresh:
            environment["NUMBA_CACHE_DIR"] = str(folder / f"cache{next(caches)}")
        return (), {"env": environment}

    def whole(env: dict[str, str]) -> None:
        subprocess.run([sys.executable, *command], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)

    benchmark.pedantic(whole, setup=prepare, rounds=rounds, warmup_rounds=1)


def test_process_usage(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "usage", "vgg19", "--size", "512")


def test_process_first_usage(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "usage", "vgg19", "--size", "512", fresh=True)


@pytest.mark.parametrize("size", [512, 65536])
def test_process_resnet(benchmark: Any, tmp_path: Path, size: int) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "usage", "resnet50", "--size", str(size))


@pytest.mark.parametrize("command", ["audit", "uneven"])
def test_process_resnet_at_224(benchmark: Any, tmp_path: Path, command: str) -> None:
    process(benchmark, tmp_path, "-m", "padviz", command, "resnet50", "--size", "224")


def test_process_plot(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-c", PLOT)


def test_process_help(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "--help")


def test_process_import_click(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-c", "import click")
