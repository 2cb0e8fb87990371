"""A network that was trained: its layers, and what holds its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.network.layer import Layer
from padviz.network.network import Network, Size


class Unread(Exception):
    """Why the weights of a convolution cannot be read."""


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
    `unread` says by layer why there are none. `notes` say what is not known of the weights.
    """

    network: Network
    size: Size
    model: Any  # an onnx.ModelProto without its external data, or a torch.nn.Module
    where: str
    kernels: tuple[Kernel, ...]
    unread: dict[str, str]
    notes: tuple[str, ...] = ()


def turned(weights: NDArray[Any], groups: int) -> NDArray[Any]:
    """The weights of a transposed convolution, (in, out / groups, ...), as (out, in / groups, ...).

    >>> turned(np.zeros((8, 3, 2, 2)), 4).shape
    (12, 2, 2, 2)
    """
    into, out = weights.shape[:2]
    if groups < 1 or into % groups:
        raise Unread(f"its {into} channels do not make {groups} groups")
    parts = weights.reshape(groups, into // groups, out, *weights.shape[2:])
    return parts.swapaxes(1, 2).reshape(groups * out, into // groups, *weights.shape[2:])


def as_kernel(layer: Layer, weights: NDArray[Any], groups: int, norm: bool, key: str) -> Kernel:
    """The kernel of a layer, from weights as they are stored."""
    if layer.kind == "convtranspose":
        weights = turned(weights, groups)
    if weights.ndim == 3:  # over rows alone, or columns
        weights = np.expand_dims(weights, 3 if layer.width is None else 2)
    if weights.ndim != 4 or not weights.size:
        raise Unread(f"its weights have {weights.ndim} dimensions, or none of them")
    return Kernel(layer.name, weights, norm, key)
