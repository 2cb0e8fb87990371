"""How long things take, next to what they are compared with; `report.py` turns one run into ratios.

Nothing here asserts a time: machines differ, so only ratios within one run say anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import padviz
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
NETWORKS = ["vgg19", "resnet50"]


def features_of(model: nn.Module) -> nn.Module:
    """The part up to the last feature map, so that PyTorch does nothing that padviz does not."""
    if hasattr(model, "features"):
        return model.features
    return nn.Sequential(model.conv1, model.maxpool, model.layer1, model.layer2, model.layer3, model.layer4)


@pytest.mark.parametrize("name", NETWORKS)
def test_padviz_counts(benchmark: Any, name: str) -> None:
    network = padviz.load(name)
    benchmark(padviz.usage, network, 512)


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_counts(benchmark: Any, name: str) -> None:
    torch.set_num_threads(1)
    body = features_of(model_of(name))

    def forward_and_backward() -> None:
        image = torch.zeros((1, 1, 512, 512), dtype=torch.float64, requires_grad=True)
        with counting_functions():
            body(image).sum().backward()

    benchmark(forward_and_backward)


def test_even_sizes(benchmark: Any) -> None:
    network = padviz.load("resnet152")
    benchmark(padviz.even_sizes, network, 64, 4096)


def test_ledger(benchmark: Any) -> None:
    network, sizes = padviz.load("resnet152"), cycle(range(224, 1024))  # each call at a size of its own
    benchmark(lambda: padviz.ledger(network, next(sizes)))


def process(benchmark: Any, folder: Path, *command: str, fresh: bool = False) -> None:
    """Time a whole process; `fresh` gives each round an empty cache for numba."""
    rounds = iter(range(1000))

    def prepare() -> tuple[tuple[()], dict[str, Any]]:
        environment = dict(os.environ)
        if fresh:
            environment["NUMBA_CACHE_DIR"] = str(folder / f"cache{next(rounds)}")
        return (), {"env": environment}

    def whole(env: dict[str, str]) -> None:
        subprocess.run([sys.executable, *command], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)

    benchmark.pedantic(whole, setup=prepare, rounds=25, warmup_rounds=1)


def test_process_usage(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "usage", "vgg19", "--size", "512")


def test_process_first_usage(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "usage", "vgg19", "--size", "512", fresh=True)


def test_process_plot(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-c", PLOT)


def test_process_help(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "--help")


def test_process_import_click(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-c", "import click")
