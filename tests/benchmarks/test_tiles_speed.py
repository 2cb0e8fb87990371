"""Plans of tiles next to one usage, and tiles run by a plan next to bare forwards."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import torch

import padviz
from tests.cutting.test_plan import UNet, seeded

MOST_BYTES = 50_000_000  # of a plan of any image


@pytest.mark.parametrize("what", ["plan", "usage"])
def test_tiles(benchmark: Any, what: str) -> None:
    network = padviz.load("unet_padded")
    if what == "usage":
        benchmark(lambda: padviz.usage(network, 2048).summary())
        return
    tracemalloc.start()
    for _ in padviz.tiles(network, 100_000, 1024):
        pass
    assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    tracemalloc.stop()
    benchmark.pedantic(lambda: list(padviz.tiles(network, 100_000, 1024)), rounds=5)


@pytest.mark.parametrize("what", ["tiled", "bare"])
def test_tiles_run(benchmark: Any, what: str) -> None:
    module, image = seeded(UNet(1)).float(), torch.rand(1, 1, 1024, 1024)
    plan = padviz.tiles(padviz.load(module, size=(1024, 1024)), 1024, 256)

    def bare() -> None:
        for tile in plan:
            module(image[(..., *tile.read)])

    with torch.no_grad():
        benchmark.pedantic(bare if what == "bare" else lambda: padviz.tiled(module, image, plan), rounds=7)
