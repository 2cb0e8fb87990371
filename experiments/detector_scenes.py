"""Made scenes for experiments/detector.py: handwritten digits on smooth ground, some with their quarters swapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grid_offset import digits
from numpy.typing import NDArray
from torch.nn import functional

SIDES = (8, 14)  # px of a digit
DIGITS, CLUTTER = 6, 4  # in an image
TRAINED = 4000  # digits; the others are for the test
FIELD = 512  # px of the ground that images are cut from, anywhere: it is in phase with no stride

Marks = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Pictures:
    """Images (n, size, size), and the boxes of the digits in each, cut by the border, (n, digits, 4)."""

    pixels: NDArray[np.float32]
    box: NDArray[np.float64]


def scaled(marks: NDArray[np.float32]) -> Marks:
    """Scale all digits to each side that a digit may have."""
    whole = torch.from_numpy(marks)[:, None]
    sides = range(SIDES[0], SIDES[1] + 1)
    small = [
        functional.interpolate(whole, (side, side), mode="bilinear", antialias=True)
        for side in sides
    ]
    return [each[:, 0].numpy() for each in small]


def pictures(marks: Marks, n: int, size: int, seed: int, inside: int = 0) -> Pictures:
    """Make scenes of digits whose centres are anywhere, or `inside` so many px from the border; clutter is anywhere."""
    rng = np.random.default_rng(seed)
    field, pixels, box = (
        ground(rng),
        np.empty((n, size, size), np.float32),
        np.empty((n, DIGITS, 4)),
    )
    for k in range(n):
        top, left = rng.integers(FIELD, size=2)
        rows, columns = np.arange(top, top + size) % FIELD, np.arange(left, left + size) % FIELD
        pixels[k] = field[np.ix_(rows, columns)] + 0.05 * rng.standard_normal(
            (size, size), np.float32
        )
        for j in range(DIGITS + CLUTTER):
            mark, real = marks[rng.integers(len(marks))], j < DIGITS
            mark = mark[rng.integers(len(mark))]
            side = len(mark)
            lo, hi = (inside, size - inside) if real else (0, size)
            at = rng.integers(lo - side // 2, hi - side // 2, 2)
            seen = paste(
                pixels[k], mark if real else np.roll(mark, (side // 2, side // 2), (0, 1)), at, rng
            )
            if real:
                box[k, j] = seen
    return Pictures(pixels, box)


def ground(rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise whose waves grow with their length, periodic."""
    waves = np.fft.rfft2(rng.standard_normal((FIELD, FIELD)))
    length = np.hypot(np.fft.fftfreq(FIELD)[:, None], np.fft.rfftfreq(FIELD)[None])
    smooth = np.fft.irfft2(waves / np.maximum(length, 0.02), s=(FIELD, FIELD))
    return (0.25 * smooth / smooth.std()).astype(np.float32)


def paste(
    pixels: NDArray[np.float32],
    mark: NDArray[np.float32],
    at: NDArray[Any],
    rng: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Add a digit whose top left is `at`, and tell the box of what is seen of it: left, top, width, height."""
    (top, left), size = at.tolist(), len(pixels)
    first, last = np.maximum(at, 0), np.minimum(at + len(mark), size)
    rows, columns = (slice(a, b) for a, b in zip(first, last, strict=True))
    pixels[rows, columns] += (
        rng.uniform(0.5, 1) * mark[first[0] - top : last[0] - top, first[1] - left : last[1] - left]
    )
    return int(first[1]), int(first[0]), int(last[1] - first[1]), int(last[0] - first[0])


@lru_cache(maxsize=2)
def seen_in(path: Path, size: int, inside: int, seed: int, images: int) -> Pictures:
    """Make the scenes that detectors train on."""
    return pictures(scaled(digits(path)[0].numpy()[:TRAINED]), images, size, seed, inside)


def unseen(path: Path, size: int, seed: int, images: int) -> Pictures:
    """Make scenes of other digits, anywhere."""
    return pictures(scaled(digits(path)[0].numpy()[TRAINED:]), images, size, 1000 + seed)
