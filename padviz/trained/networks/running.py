"""Running a network on images in batches: its outputs, and the means of what its
convolutions make.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import prod
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from padviz.errors import SizeError
from padviz.network.network import Size, in_words

Floats = NDArray[np.float64]
Images = NDArray[np.float32]  # (images, channels, height, width), as the network reads them
Outputs = dict[str, NDArray[Any]]  # by name; images are their first dimension, if they have one


class Results(NamedTuple):
    """The results inside of a network that depend on the image, in the order of their calls.

    Those of pads are left out, since another network may pad in the layer behind. `reads` has the
    names of the results that each was computed from; "" is the image.
    """

    maps: Outputs
    reads: dict[str, set[str]]


OutputKind = Literal["map", "classes"]
# Pixels of the images that are run together: more maps at once leave the cache.
AT_ONCE = 2 * 320 * 320
MOST = 256  # images that are run together
MOST_NUMBERS = 1 << 29  # in images that are held together: 2 GiB
LINES = 12  # from each side that are measured
LEAST = 3  # rows and columns of a map that has borders and something between them


class Reduced(NamedTuple):
    """The means of a convolution's output on some images; the map itself is never kept.

    `lines` (images, channels, rows and columns) has the mean of each of the `edge_rows` over the
    middle columns, and then of each column over the middle rows. `total` (images, height, width) is
    the mean over channels, and `square` the mean square of the middle, summed over images.
    """

    layer: str
    lines: NDArray[np.float32]
    square: float
    total: NDArray[np.float32]


class Runner(Protocol):
    """A network that can be run; `where` is its file, or the name of its module."""

    where: str
    size: Size
    channels: int
    batch: int | None  # images that it takes at once, where it takes no other number

    def responses(self, images: Images) -> list[Reduced]:
        """Reduce every convolution's output, in the order in which they run."""

    def outputs(self, images: Images) -> Outputs:
        """Run the network."""

    def shuffled(self, seed: int) -> Runner:
        """Copy it, and permute the weights of each convolution: what is left is what geometry alone
        makes.
        """

    def contents(self) -> Iterator[bytes]:
        """Yield what identifies the network: its graph or code, and its weights."""

    def with_output(self, name: str) -> None:
        """Add a tensor, or the result of a module, inside the network to the outputs."""


def middle(n: int) -> slice:
    """Slice the middle half of n rows, without the outermost ones.

    >>> middle(8), middle(7), middle(3), middle(2)
    (slice(2, 6, None), slice(2, 5, None), slice(1, 2, None), slice(1, 1, None))
    """
    ends = -(-n // 4)
    return slice(ends, n - ends)


@cache
def middle_weights(n: int) -> NDArray[np.float32]:
    """Return the weights (n,) of numbers in the mean of the middle ones."""
    weights, part = np.zeros(n, np.float32), middle(n)
    weights[part] = 1 / (part.stop - part.start)
    return weights


@cache
def edge_rows(n: int) -> NDArray[np.int64]:
    """Return the outermost rows of n on both sides, those that are measured.

    >>> edge_rows(5).tolist(), len(edge_rows(100))
    ([0, 1, 2, 2, 3, 4], 24)
    """
    most = min(-(-n // 2), LINES)
    rows: NDArray[np.int64] = np.r_[:most, n - most : n]
    return rows


def mean_square(squares: NDArray[np.float32], height: int, width: int) -> float:
    """Average the squares (..., pixels) of the middle rows over the middle columns, summed over
    what comes before.
    """
    columns = squares.reshape(-1, width).sum(0, dtype=np.float64)
    return float(columns @ middle_weights(width)) / len(range(height)[middle(height)])


def has_borders(height: int, width: int) -> bool:
    """Whether a map has borders with something between them, as the 1 x 1 map of a gate has not."""
    return min(height, width) >= LEAST


def at_once(runner: Runner) -> int:
    return runner.batch or min(max(AT_ONCE // (runner.size[0] * runner.size[1]), 1), MOST)


def batches(runner: Runner, count: int) -> Iterator[slice]:
    """Slice `count` images into batches that a network runs at once."""
    most = at_once(runner)
    return (slice(start, start + most) for start in range(0, count, most))


def outputs_of(runner: Runner, images: Images) -> Outputs:
    """Run a network on any number of images; of several runs, single numbers are left out."""
    parts = []
    for part in (images[batch] for batch in batches(runner, len(images))):
        missing = (runner.batch or 0) - len(part)
        filled = part
        if missing > 0:
            filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
        outputs = runner.outputs(filled)
        parts.append(
            {
                name: values[: len(part)] if values.ndim else values
                for name, values in outputs.items()
            }
        )
    if len(parts) == 1:
        return parts[0]
    return {
        name: np.concatenate([part[name] for part in parts])
        for name, values in parts[0].items()
        if values.ndim
    }


def check_room(where: str, images: int, channels: int, size: Size) -> None:
    """Reject more images than fit into memory, before any is made."""
    shape = images, channels, *size
    if prod(shape) > MOST_NUMBERS:
        what = f"{in_words(shape)} numbers of images are too many"
        raise SizeError(what, where=where, hint="use fewer, or a smaller `size`")
