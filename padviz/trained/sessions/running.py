"""The interface of a runner of networks: images in, outputs or reduced responses out."""

from __future__ import annotations

from math import prod
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from padviz.errors import SizeError
from padviz.network.network import Size, in_words

Images = NDArray[np.float32]  # (images, channels, height, width), as the network reads them
Outputs = dict[str, NDArray[Any]]  # by name; images are their first dimension, if they have one
OutputKind = Literal["map", "classes"]
AT_ONCE = 2 * 320 * 320  # pixels of the images that are run together: more maps at once leave the cache
MOST = 256  # of them
LINES = 12  # from each side that are measured
MOST_NUMBERS = 1 << 29  # in images that are held together: 2 GiB
LEAST = 3  # rows and columns of a map that has borders and something between them


class Reduced(NamedTuple):
    """The means of a convolution's output on some images; the map itself is never kept.

    `rows` are the means over the middle columns, of shape (images, channels, rows), of all rows or of the outermost
    `LINES` on each side; `columns` those of all columns over the middle rows, and `total` is the mean over
    channels, of shape (images, height, width). `square` is the mean square of the middle, a sum over the images.
    """

    layer: str
    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
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

    def twin(self, model: Any) -> Runner:
        """Return a runner of a copy of the model that differs only in its weights."""

    def outputs(self, images: Images) -> Outputs:
        """Run the network."""

    def with_output(self, name: str) -> None:
        """Add a tensor, or the result of a module, inside the network to the outputs."""


def middle(n: int) -> slice:
    """Slice the middle half of n rows, without the outermost ones.

    >>> middle(8), middle(7), middle(3), middle(2)
    (slice(2, 6, None), slice(2, 5, None), slice(1, 2, None), slice(1, 1, None))
    """
    ends = -(-n // 4)
    return slice(ends, n - ends)


def middle_weights(n: int) -> NDArray[np.float32]:
    """Return the weights of n numbers in the mean of the middle ones, of shape (1, n).

    >>> middle_weights(4).tolist()
    [[0.0, 0.5, 0.5, 0.0]]
    """
    weights, part = np.zeros((1, n), np.float32), middle(n)
    weights[:, part] = 1 / (part.stop - part.start)
    return weights


def has_borders(height: int, width: int) -> bool:
    """Whether a map has borders with something between them, as the 1 x 1 map of a gate has not."""
    return min(height, width) >= LEAST


def at_once(runner: Runner) -> int:
    """Return how many images to run together."""
    return runner.batch or min(max(AT_ONCE // (runner.size[0] * runner.size[1]), 1), MOST)


def outputs_of(runner: Runner, images: Images) -> Outputs:
    """Run a network on no more images than it takes at once."""
    real = len(images)
    if runner.batch and real < runner.batch:
        images = np.concatenate([images, np.repeat(images[-1:], runner.batch - real, axis=0)])
    return {name: values[:real] if values.ndim else values for name, values in runner.outputs(images).items()}


def check_room(where: str, images: int, channels: int, size: Size) -> None:
    """Reject more images than fit into memory, before any is made.

    >>> check_room("net", 1_000_000, 3, (224, 224))
    Traceback (most recent call last):
        ...
    padviz.errors.SizeError: net: 1000000 x 3 x 224 x 224 numbers of images are too many; use fewer, or a smaller `size`
    """
    shape = images, channels, *size
    if prod(shape) > MOST_NUMBERS:
        what = f"{in_words(shape)} numbers of images are too many"
        raise SizeError(what, where=where, hint="use fewer, or a smaller `size`")
