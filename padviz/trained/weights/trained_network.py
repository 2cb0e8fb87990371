"""A network that was trained: its layers, and what holds its weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Transposed, Window
from padviz.errors import DescriptionError
from padviz.geometry.ledger import axis_padding, windows_of
from padviz.geometry.receptive_fields import grid_offsets
from padviz.geometry.tap_exposure import tap_exposure
from padviz.network.layer import Layer
from padviz.network.network import Network, Size
from padviz.trained.weights.trained_on import TrainedOn

Pads = tuple[int, int]


class Unread(Exception):
    """Why the weights of a convolution cannot be read."""


class Unrun:
    """The place of a model that padviz follows and does not run: whatever is asked of it is refused."""

    def __init__(self, where: str, hint: str) -> None:
        self.where, self.hint = where, hint

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise DescriptionError("is followed, and not run", where=self.where, hint=self.hint)


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """The weights of one convolution: `weights` of shape (channels out, channels in / groups, height, width).

    Those of a transposed convolution are in the same order, and as they are laid over what it makes. `norm` says
    whether a batch normalisation of its own follows: then it is not folded into the weights. Convolutions that share
    their weights have the same `key`.
    """

    layer: str
    weights: NDArray[np.floating[Any]]
    norm: bool
    key: str


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network at a size, and the ONNX model or the PyTorch module, in evaluation mode, that holds its weights.

    `where` is the file, or the name of the module. `kernels` are those of all convolutions that padviz found, and
    `unread` says by layer why there are none. `notes` say what is not known of the weights, and `trained_on` what its
    first batch normalisation tells of the images; None where none follows a convolution that reads the image itself.
    """

    network: Network
    size: Size
    model: Any  # a padviz.sources.onnx.model.Model, or a torch.nn.Module
    where: str
    kernels: tuple[Kernel, ...]
    unread: dict[str, str]
    notes: tuple[str, ...] = ()
    trained_on: TrainedOn | None = None


class Places:
    """Where layers lie: their grid offsets, the padding that they read, and what their taps read."""

    def __init__(self, network: Network, size: Size) -> None:
        self.network = network
        self.offsets = grid_offsets(network, size)
        self.windows = {layer.name: windows for layer, windows in windows_of(network, size)}
        self.taps = {row.layer: row.grid / row.units for row in tap_exposure(network, size) if row.units}

    def axis(self, names: Iterable[str], axis: int) -> tuple[int, float | None, Pads | None]:
        """Find stride, grid offset and consumed padding on one axis; None where layers of the same weights differ."""
        figures = [self._axis(self.network.find(name), axis) for name in names]
        offsets, pads = {figure[1] for figure in figures}, {figure[2] for figure in figures}
        return figures[0][0], offsets.pop() if len(offsets) == 1 else None, pads.pop() if len(pads) == 1 else None

    def _axis(self, layer: Layer, axis: int) -> tuple[int, float | None, Pads | None]:
        op, offset = layer.ops[axis], self.offsets.get(layer.name, (None, None))[axis]
        stride = op.stride if isinstance(op, Window | Transposed) else 1
        if layer.name not in self.windows:
            return stride, offset, None
        return stride, offset, axis_padding(*self.windows[layer.name][axis]).reads


def turned(weights: NDArray[Any], groups: int) -> NDArray[Any]:
    """Turn the weights of a transposed convolution, (in, out / groups, ...), into (out, in / groups, ...).

    >>> turned(np.zeros((8, 3, 2, 2)), 4).shape
    (12, 2, 2, 2)
    """
    into, out = weights.shape[:2]
    if groups < 1 or into % groups:
        raise Unread(f"its {into} channels do not make {groups} groups")
    parts = weights.reshape(groups, into // groups, out, *weights.shape[2:])
    return parts.swapaxes(1, 2).reshape(groups * out, into // groups, *weights.shape[2:])


def as_kernel(layer: Layer, weights: NDArray[Any], groups: int, norm: bool, key: str) -> Kernel:
    """Make the kernel of a layer, from weights as they are stored."""
    if layer.kind == "convtranspose":
        weights = turned(weights, groups)
    if weights.ndim == 3:  # over rows alone, or columns
        weights = np.expand_dims(weights, 3 if layer.ops[-1] is None else 2)
    if weights.ndim != 4 or not weights.size:
        raise Unread(f"its weights have {weights.ndim} dimensions, or none of them")
    return Kernel(layer.name, weights, norm, key)
