"""A trained network: its layers and weights, what holds and what runs it, and the images it was
trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.network.layer import CONVOLUTIONS, Layer
from padviz.network.network import Network, Size

Reals = NDArray[np.floating]
# Weights as they are stored, their groups, and `norm` and `key` of the kernel.
Stored = tuple[Reals, int, bool, str]
# Correlation in photographs: of pixels side by side, and of the channels of one.
NEIGHBOURS, COLOURS = 0.95, 0.9
CLOSE = 0.1  # how far the running means may lie from what one image explains, in running deviations
SINGULAR = 0.03  # of the largest singular value: colours that the filters do not tell apart


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
    """The weights of one convolution: `weights` of shape (channels out, channels in / groups,
    height, width).

    Those of a transposed convolution are in the same order, and as they are laid over its output.
    `norm` is true where a batch normalisation of its own follows: then it is not folded into the
    weights. Convolutions that share their weights have the same `key`.
    """

    layer: str
    weights: Reals
    norm: bool
    key: str


@dataclass(frozen=True)
class TrainedOn:
    """The mean, by channel, and the deviation, over all, of the images that a convolution was
    trained on.
    """

    layer: str
    mean: tuple[float, ...]
    std: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network at a size, and the ONNX model or the PyTorch module, in evaluation mode, that holds
    its weights.

    `where` is the file, or the name of the module; it reads images of `channels`. `kernels` are
    those of all convolutions that padviz found, and `unread` says by layer why there are none.
    `notes` say what is not known of the weights. `trained_on` is None where no batch normalisation
    follows a convolution that reads the image itself.
    """

    network: Network
    size: Size
    model: Any  # a padviz.sources.onnx.model.Model, a torch.nn.Module, or Unrun
    where: str
    channels: int
    kernels: tuple[Kernel, ...]
    unread: dict[str, str]
    notes: tuple[str, ...] = ()
    trained_on: TrainedOn | None = None


def kernels_of(
    network: Network, stored: Callable[[Layer], Stored]
) -> tuple[tuple[Kernel, ...], dict[str, str]]:
    """Read the kernel of each convolution; return all, and by layer why there is none."""
    kernels, unread = [], {}
    for layer in (layer for layer in network.layers if layer.kind in CONVOLUTIONS):
        try:
            weights, groups, norm, key = stored(layer)
            kernels.append(Kernel(layer.name, _in_order(layer, weights, groups), norm, key))
        except Unread as why:
            unread[layer.name] = str(why)
    return tuple(kernels), unread


def _in_order(layer: Layer, weights: Reals, groups: int) -> Reals:
    """Arrange weights as they are stored as those of a kernel."""
    if weights.ndim not in (3, 4) or not weights.size:
        raise Unread(f"its weights have {weights.ndim} dimensions, or no values")
    if layer.kind == "convtranspose":  # from (in, out / groups, ...)
        into, out = weights.shape[:2]
        if groups < 1 or into % groups:
            raise Unread(f"its {into} channels do not make {groups} groups")
        parts = weights.reshape(groups, into // groups, out, *weights.shape[2:])
        weights = parts.swapaxes(1, 2).reshape(groups * out, into // groups, *weights.shape[2:])
    if weights.ndim == 3:  # over rows alone, or columns
        weights = np.expand_dims(weights, 3 if layer.ops[-1] is None else 2)
    return weights


def infer_images(
    layer: str, weights: Reals, bias: Reals | float, mean: Reals, variance: Reals
) -> TrainedOn | None:
    """Solve the running statistics (channels out,) of a convolution's map for those of the image
    that it reads.

    The mean of a map is, by channel, the sums of its filter times the mean of the image, whatever
    that shows. Its variance is that of filtered photographs: nearly all of it comes from filters
    that blur, which hardly depend on how sharp they are. None where nothing was trained, or where
    no image explains the running means.

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
    correlations = np.kron(
        np.where(np.eye(channels, dtype=bool), 1.0, COLOURS), NEIGHBOURS**distances
    )
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
