"""A page with all its maps, next to pictures of the same maps side by side, each as a whole process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from padviz.axis.padding_modes import EXPLORED
from padviz.pages.explorer import SIZES
from tests.benchmarks.test_speed import process

COMPARES = """
from padviz.cli import cli
for size in {sizes}:
    try:
        cli(["compare", "resnet50", "--size", str(size), "--padding", "{paddings}", "-o", "maps.png", "--overwrite"])
    except SystemExit:
        pass
"""


def test_process_explore(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-m", "padviz", "explore", "resnet50", "-o", "page.html", "--overwrite", rounds=7)


def test_process_compare(benchmark: Any, tmp_path: Path) -> None:
    process(benchmark, tmp_path, "-c", COMPARES.format(sizes=SIZES, paddings=",".join(EXPLORED)), rounds=7)
