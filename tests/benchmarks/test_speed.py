"""How long things take, next to what they are compared with; `report.py` turns one run into ratios.

Nothing here asserts a time: machines differ, so only ratios within one run say anything.
"""

import os
import subprocess
import sys
import tracemalloc
from itertools import count, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import nn

import padviz
from padviz.sources.toml.load import parse
from tests.torch_calls import Counting

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


@pytest.mark.parametrize(("name", "size"), [*CASES, ("resnet50", 65536)])
def test_counts(benchmark: Any, name: str, size: int) -> None:
    network = padviz.load(name)
    # large maps are counted when a count is read
    benchmark(lambda: padviz.usage(network, size).at(0, 0))


@pytest.mark.parametrize(("name", "size"), CASES)
def test_pytorch(benchmark: Any, name: str, size: int) -> None:
    """Forward and backward with weights of 1, of one channel, up to the last feature map, so that both do the same."""
    torch.set_num_threads(1)
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None).requires_grad_(False).eval()
    parts = (
        ["features"]
        if name == "vgg19"
        else ["conv1", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    )
    body = nn.Sequential(*(getattr(model, part) for part in parts))

    def forward_and_backward() -> None:
        image = torch.zeros((1, 3, size, size), dtype=torch.float64, requires_grad=True)
        with Counting():
            made = body(image)
        made[:, 0].sum().backward()

    benchmark(forward_and_backward)


@pytest.mark.parametrize(("depth", "size"), [(300, 1024), (2000, 224)])
@pytest.mark.parametrize("what", ["audit", "usage"])
def test_deep_chain(benchmark: Any, what: str, depth: int, size: int) -> None:
    """Convolutions whose counts have 287 digits, and 1,909."""
    layers = [{"op": "conv", "name": f"c{i}", "kernel": 3, "padding": 1} for i in range(depth)]
    network = parse({"layers": layers}, "chain")
    run = (
        (lambda: padviz.audit(network, size))
        if what == "audit"
        else (lambda: padviz.usage(network, size).summary())
    )
    benchmark.pedantic(run, rounds=3)


@pytest.mark.parametrize("what", ["plan", "usage"])
def test_tiles(benchmark: Any, what: str) -> None:
    network = padviz.load("unet_padded")
    if what == "usage":
        benchmark(lambda: padviz.usage(network, 2048).summary())
        return
    tracemalloc.start()
    for _ in padviz.tiles(network, 100_000, 1024).plan:
        pass
    assert tracemalloc.get_traced_memory()[1] < 50_000_000  # bytes of a plan of any image
    tracemalloc.stop()
    benchmark.pedantic(lambda: list(padviz.tiles(network, 100_000, 1024).plan), rounds=5)


EXPORTED = {  # networks, sizes, paddings
    "four": (["vgg11", "vgg19", "resnet18", "resnet50"], (64, 448, 16), "zero reflect symmetric"),
    "two": (["vgg19", "resnet50"], (64, 512, 32), "zero replicate reflect circular partial"),
}


@pytest.mark.parametrize("jobs", [1, 2])
def test_export(benchmark: Any, tmp_path: Path, jobs: int) -> None:
    networks, sizes, paddings = EXPORTED["four"]
    asked = ":".join(map(str, sizes))

    def whole() -> None:
        outcomes = padviz.export(
            networks, tmp_path, size=[asked], padding=paddings.split(), jobs=jobs
        )
        assert [outcome.state for outcome in outcomes] == ["made"] * 300

    benchmark.pedantic(whole, rounds=1)


def test_shell_export(benchmark: Any, tmp_path: Path) -> None:
    """One process that the shell starts, with 150 maps of 30 sizes and networks."""
    networks, sizes, paddings = EXPORTED["two"]
    asked = ":".join(map(str, sizes))
    command = ["-m", "padviz", "-q", "export", *networks, "--size", asked, "--jobs", "1"]
    command += ["--padding", ",".join(paddings.split()), "-o", "maps"]

    def whole() -> None:
        subprocess.run([sys.executable, *command], cwd=tmp_path, check=True)

    benchmark.pedantic(whole, rounds=1)
    assert len([*(tmp_path / "maps").glob("*.png")]) == 150


@pytest.mark.parametrize("mix", EXPORTED)
def test_matplotlib_loop(benchmark: Any, tmp_path: Path, mix: str) -> None:
    networks, (first, last, step), paddings = EXPORTED[mix]
    chosen = product(networks, range(first, last + 1, step), paddings.split())
    arrays = [padviz.usage(*each).counts.astype(np.float64) for each in chosen]

    def whole() -> None:
        for i, values in enumerate(arrays):
            figure = Figure()
            FigureCanvasAgg(figure)
            axes = figure.subplots()
            figure.colorbar(axes.imshow(values, cmap="plasma"))
            figure.savefig(tmp_path / f"{i}.png")

    benchmark.pedantic(whole, rounds=1)


PROCESSES = {
    "usage": ["-m", "padviz", "usage", "vgg19", "--size", "512"],
    "first-usage": [
        "-m",
        "padviz",
        "usage",
        "vgg19",
        "--size",
        "512",
    ],  # with an empty cache of numba
    **{
        command: ["-m", "padviz", command, "resnet50", "--size", "224"]
        for command in ("audit", "uneven")
    },
    "json": ["-m", "padviz", "usage", "vgg19", "--size", "512", "--format", "json", "--no-picture"],
    "numpy": ["-c", "import numpy, click"],
    "plot": ["-c", PLOT],
    "help": ["-m", "padviz", "--help"],
    "click": ["-c", "import click"],
}


@pytest.mark.parametrize("what", PROCESSES)
def test_process(benchmark: Any, tmp_path: Path, what: str) -> None:
    process(benchmark, tmp_path, PROCESSES[what], fresh=what == "first-usage")


def process(benchmark: Any, folder: Path, command: list[str], fresh: bool = False) -> None:
    """Time a whole process; `fresh` gives each round an empty cache for numba."""
    caches = count()

    def prepare() -> tuple[tuple[()], dict[str, Any]]:
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
        if fresh:
            environment["NUMBA_CACHE_DIR"] = str(folder / f"cache{next(caches)}")
        return (), {"env": environment}

    def whole(env: dict[str, str]) -> None:
        subprocess.run(
            [sys.executable, *command], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL
        )

    benchmark.pedantic(whole, setup=prepare, rounds=15, warmup_rounds=1)
