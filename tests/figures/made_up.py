"""Results of networks that were run, made up at any size: their pictures are drawn without running anything."""

from dataclasses import replace

import numpy as np

from padviz.intervals import Estimate
from padviz.scoring.detections import rings_of_boxes
from padviz.scoring.matching import Scenes, boxes, select
from padviz.scoring.rings import ComparedNetwork, Rings
from padviz.trained.border_responses import BorderResponse, BorderResponses, Sides
from padviz.trained.detecting.detectability import Detectability, PositionMap
from padviz.trained.mean_filters import AxisSkew, MeanFilter, MeanFilters
from padviz.trained.networks.running import has_borders
from padviz.trained.trying.seen import Seen, edge_of
from padviz.trained.trying.trial import Trial, TrialRow

Size = tuple[int, int]
PADDINGS = (None, "reflect", "circular", "shuffled")
STRIDES = (2, 4, 8, 16, 32)


def distances(size: Size) -> np.ndarray:
    rows, cols = np.indices(size)
    nearest = np.minimum.reduce([rows, cols, size[0] - 1 - rows, size[1] - 1 - cols])
    return nearest.astype(float)


def detected(size: Size, paddings: int = 1, threshold: bool = False) -> Detectability:
    """Scores by position, low in the first row."""
    tops, lefts = (tuple(range(0, max(n - 15, 17), 16 * max(1, n // 640))) for n in size)
    values = np.full((len(tops), len(lefts)), 0.8)
    values[0] = np.inf if threshold else 0.1
    names = [None, "symmetric", "circular", "reflect"][:paddings]
    maps = tuple(PositionMap(name, values, np.zeros_like(values), threshold) for name in names)
    return Detectability(
        "net", "a network", size, "'word', 12 px high", (12, 40), 0.3, "y", 0, tops, lefts, maps
    )


def responses(size: Size) -> BorderResponses:
    """Responses that fall off towards the border, under zero padding more than under others."""
    rows = []
    for padding, energy in zip(PADDINGS, (0.5, 0.1, 0.01, 0.3), strict=True):
        for i, stride in enumerate(STRIDES):
            shape = max(min(size[0], 1024) // stride, 1), max(min(size[1], 1024) // stride, 1)
            about = f"features.{i}.conv", padding, 64, shape, 1.0
            if not has_borders(*shape):
                rows.append(BorderResponse(*about, note="too small"))
                continue
            lines = energy / (i + 1) * np.exp(-np.arange(min(12, min(shape) // 2)))
            response = 1 - energy / (i + 1) * np.exp(-distances(shape))
            rows.append(
                BorderResponse(
                    *about, Sides(*[float(lines[0])] * 4), profiles=(lines,) * 4, map=response
                )
            )
    return BorderResponses("net", "a network", size, PADDINGS, "noise", 16, tuple(rows))


def filtered(size: Size, count: int = 30) -> MeanFilters:
    random = np.random.default_rng(0)
    rows = []
    for i in range(count):
        taps, stride = (7, 2) if i == 0 else (3, 2 if i % 7 == 0 else 1)
        skew = random.normal(scale=0.02) + (0.08 if stride > 1 else 0)
        about = AxisSkew(
            skew,
            3.0,
            0.001 if stride > 1 else 0.4,
            0.1,
            0.2,
            stride,
            -1.0,
            (1, 0 if stride > 1 else 1),
        )
        mean = random.normal(size=(taps, taps))
        reads = np.full((taps, taps), 1.0)
        reads[0] = reads[:, 0] = 1 - 1 / max(min(size) // 8, 2)
        layer = (
            f"layer{i // 4}.{i % 4}.conv",
            "conv",
            (taps, taps),
            (stride, stride),
            64,
            0,
            True,
            1,
        )
        rows.append(MeanFilter(*layer, mean, np.abs(mean), reads, about, about))
    return MeanFilters("net", "a network", size, tuple(rows), {})


def seen(size: Size) -> Seen:
    """What is seen under a patch, less at the border."""
    patch = min(size) // 8
    tops, lefts = (tuple(int(at) for at in np.linspace(0, n - patch, 9)) for n in size)
    values = 1 - 0.6 * np.exp(-distances((9, 9)))
    by, edge = Estimate(0.8, 0.7, 0.9), Estimate(edge_of(values), 0.4, 0.6)
    about = "net", "a network", size, "photographs", 128, 13, "y", patch, tops, lefts
    return Seen(*about, values, values**2, values, by, by, by, edge, edge_of(values**2))


def ringed(size: Size, names: tuple[str, ...] = ("c",), network: bool = True) -> Rings:
    """Objects in images of a size, of which a detector finds few near the left border, and a network beside."""
    rng, n = np.random.default_rng(0), 900
    sides = np.array(size)[::-1]
    centre, extent = rng.uniform(0, sides, (n, 2)), sides / 8 * np.ones((n, 2))
    box = np.concatenate([centre - extent / 2, extent], axis=1)
    there = boxes(rng.integers(40, size=n), rng.integers(len(names), size=n), box)
    found = select(there, rng.random(n) < np.where(centre[:, 0] < sides[0] / 8, 0.3, 0.8))
    scored = rings_of_boxes(Scenes(np.tile(size, (40, 1)), names, there, found))
    if not network:
        return scored
    compared = ComparedNetwork("a network", [*size], Estimate(0.12, 0.08, 0.15))
    shares = zip(scored.rings, (0.6, 0.9, 1, 1), (0.3, 0.1, 0, 0), strict=False)
    rings = tuple(
        replace(ring, fair_share=share, from_padding=padding) for ring, share, padding in shares
    )
    return replace(scored, rings=rings, network=compared)


def tried(size: Size) -> Trial:
    larger = size[0] + 1, size[1] + 1

    def row(
        kind: str, at: Size, how: str | None, padding: str | None, mean: float, needs: str | None
    ) -> TrialRow:
        kept = {"kept": Estimate(mean, mean - 0.1, mean + 0.08)}
        return TrialRow(kind, at, how, padding, size, kept, needs=needs)  # type: ignore[arg-type]

    rows = (
        row("shift", size, None, None, 0.85, None),
        row("size", larger, "crop", None, 0.8, "today's weights"),
        row("size", larger, "resize", None, 0.83, "more pictures"),
        row("padding", size, None, "reflect", 0.6, "fine-tune"),
        row("padding", size, None, "circular", 0.4, "fine-tune"),
        TrialRow("padding", size, None, "partial", size, {}, note="not comparable"),
    )
    return Trial("net", "a network", size, "photographs", 128, 13, "y", "classes", rows)


def outputs(size: Size, apart: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """An output for the whole image, and one with seams so many pixels apart."""
    apart = min(apart, min(size) // 2)
    whole = np.random.default_rng(0).normal(size=(2, *size))
    error = np.random.default_rng(1).normal(size=whole.shape)
    away = (
        np.abs(np.arange(n)[:, None] + 0.5 - np.arange(apart, n, apart)).min(axis=1) for n in size
    )
    depth = np.minimum.outer(*away)
    return whole, whole + 0.3 * error * np.exp(-depth / 1.5) * (depth < 8)


def seam_files() -> None:
    for name, values in zip(("whole.npy", "tiled.npy"), outputs((200, 300), 40), strict=True):
        np.save(name, values)
