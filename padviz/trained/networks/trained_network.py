"""A trained network: its layers and weights, what holds and what runs it, and the images it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, Literal, NamedTuple, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError, SizeError
from padviz.network.layer import CONVOLUTIONS, Layer
from padviz.network.network import Network, Size, in_words

Reals = NDArray[np.floating]
Images = NDArray[np.float32]  # (images, channels, height, width), as the network reads them
Outputs = dict[str, NDArray[Any]]  # by name; images are their first dimension, if they have one
OutputKind = Literal["map", "classes"]
NEIGHBOURS, COLOURS = 0.95, 0.9  # correlation in photographs: of pixels side by side, and of the channels of one
CLOSE = 0.1  # how far the running means may lie from what one image explains, in running deviations
SINGULAR = 0.03  # of the largest singular value: colours that the filters do not tell apart
AT_ONCE = 2 * 320 * 320  # pixels of the images that are run together: more maps at once leave the cache
MOST = 256  # images that are run together
MOST_NUMBERS = 1 << 29  # in images that are held together: 2 GiB
LEAST = 3  # rows and columns of a map that has borders and something between them


class Unread(Exception):
    """The weights of a convolution cannot be read; the message says why."""


class Unrun:
    """In place of a model that padviz follows and cannot run: any use of it is an error."""

    def __init__(self, where: str, hint: str) -> None:
        self.where, self.hint = where, hint

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise DescriptionError("can be analysed but not run", where=self.where, hint=self.hint)


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """The weights of one convolution: `weights` of shape (channels out, channels in / groups, height, width).

    Those of a transposed convolution are in the same order, and as they are laid over its output. `norm` is true where
    a batch normalisation of its own follows: then it is not folded into the weights. Convolutions that share their
    weights have the same `key`.
    """

    layer: str
    weights: Reals
    norm: bool
    key: str


@dataclass(frozen=True)
class TrainedOn:
    """The mean, by channel, and the deviation, over all, of the images that a convolution was trained on."""

    layer: str
    mean: tuple[float, ...]
    std: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network at a size, and the ONNX model or the PyTorch module, in evaluation mode, that holds its weights.

    `where` is the file, or the name of the module. `kernels` are those of all convolutions that padviz found, and
    `unread` says by layer why there are none. `notes` say what is not known of the weights. `trained_on` is None where
    no batch normalisation follows a convolution that reads the image itself.
    """

    network: Network
    size: Size
    model: Any  # a padviz.sources.onnx.model.Model, a torch.nn.Module, or Unrun
    where: str
    kernels: tuple[Kernel, ...]
    unread: dict[str, str]
    notes: tuple[str, ...] = ()
    trained_on: TrainedOn | None = None


def as_kernel(layer: Layer, weights: Reals, groups: int, norm: bool, key: str) -> Kernel:
    """Convert weights as they are stored to the kernel of a layer."""
    if layer.kind == "convtranspose":  # from (in, out / groups, ...)
        into, out = weights.shape[:2]
        if groups < 1 or into % groups:
            raise Unread(f"its {into} channels do not make {groups} groups")
        parts = weights.reshape(groups, into // groups, out, *weights.shape[2:])
        weights = parts.swapaxes(1, 2).reshape(groups * out, into // groups, *weights.shape[2:])
    if weights.ndim == 3:  # over rows alone, or columns
        weights = np.expand_dims(weights, 3 if layer.ops[-1] is None else 2)
    if weights.ndim != 4 or not weights.size:
        raise Unread(f"its weights have {weights.ndim} dimensions, or no values")
    return Kernel(layer.name, weights, norm, key)


def kernels_of(network: Network, kernel: Callable[[Layer], Kernel]) -> tuple[tuple[Kernel, ...], dict[str, str]]:
    """Read the kernel of each convolution; return all, and by layer why there is none."""
    kernels, unread = [], {}
    for layer in (layer for layer in network.layers if layer.kind in CONVOLUTIONS):
        try:
            kernels.append(kernel(layer))
        except Unread as why:
            unread[layer.name] = str(why)
    return tuple(kernels), unread


def infer_images(layer: str, weights: Reals, bias: Reals | float, mean: Reals, variance: Reals) -> TrainedOn | None:
    """Solve the running statistics (channels out,) of a convolution's map for those of the image that it reads.

    The mean of a map is, by channel, the sums of its filter times the mean of the image, whatever that shows. Its
    variance is that of filtered photographs: nearly all of it comes from filters that blur, which hardly depend on how
    sharp they are. None where nothing was trained, or where no image explains the running means.

    >>> blur = np.ones((1, 1, 1, 1))
    >>> infer_images("conv", blur, 0.0, np.array([0.4]), np.array([0.09]))
    TrainedOn(layer='conv', mean=(0.4,), std=0.3)
    """
    if not (np.isfinite(mean).all() and np.isfinite(variance).all() and np.isfinite(weights).all()):
        return None
    if (variance < 0).any() or not variance.any() or (not mean.any() and (variance == 1).all()):
        return None  # not trained
    _, channels, height, width = weights.shape
    taps = np.argwhere(np.ones((height, width)))
    distances = np.linalg.norm(taps[:, None] - taps[None], axis=-1)
    correlations = np.kron(np.where(np.eye(channels, dtype=bool), 1.0, COLOURS), NEIGHBOURS**distances)
    flat = weights.reshape(len(weights), -1)
    filtered = np.einsum("oi,ij,oj->o", flat, correlations, flat)
    scale = np.sqrt(variance + variance.mean() * CLOSE**2)
    sums = weights.sum((2, 3)) / scale[:, None]
    wanted = (mean - bias) / scale
    image, *_ = np.linalg.lstsq(sums, wanted, rcond=SINGULAR)
    if not filtered.any() or np.sqrt(np.mean((sums @ image - wanted) ** 2)) > CLOSE:
        return None
    std = float(np.sqrt(variance.sum() / filtered.sum()))
    return TrainedOn(layer, tuple(float(f"{value:.6g}") for value in image), float(f"{std:.6g}"))


class Reduced(NamedTuple):
    """The means of a convolution's output on some images; the map itself is never kept.

    `lines` (images, channels, rows and columns) has the mean of each row over the middle columns, and then of each
    column over the middle rows. `total` (images, height, width) is the mean over channels, and `square` the mean square
    of the middle, summed over images.
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
        """Copy it, and permute the weights of each convolution: what is left is what geometry makes without training.

        Biases and norms stay, and each layer keeps its weights' mean, deviation and number of zeros.
        """

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
        filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing > 0 else part
        outputs = runner.outputs(filled)
        parts.append({name: values[: len(part)] if values.ndim else values for name, values in outputs.items()})
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([each[name] for each in parts]) for name, values in parts[0].items() if values.ndim}


def check_room(where: str, images: int, channels: int, size: Size) -> None:
    """Reject more images than fit into memory, before any is made."""
    shape = images, channels, *size
    if prod(shape) > MOST_NUMBERS:
        what = f"{in_words(shape)} numbers of images are too many"
        raise SizeError(what, where=where, hint="use fewer, or a smaller `size`")
