"""Networks as options ask for them: in SAME's convention, up to some layers, padded otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.network.network import Network, Size
from padviz.sources import load_at

if TYPE_CHECKING:
    from torch import nn


def names(layer: str | Iterable[str] | None) -> tuple[str, ...]:
    """List layers that are named: one, several, or none.

    >>> names("conv1"), names(["conv1", "fc"]), names(None)
    (('conv1',), ('conv1', 'fc'), ())
    """
    return (layer,) if isinstance(layer, str) else tuple(layer or ())


def asked(
    network: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    padding: str | None = None,
    same: bool = False,
    layer: str | Iterable[str] | None = None,
) -> tuple[Network, Size]:
    """Load a network, cut to some layers, and the size asked for: its own where none is.

    >>> network, size = asked("vgg11", 64, "reflect", layer="features.3")
    >>> network.layers[-1].name, network.layers[-1].ops[0].mode, network.title
    ('features.3', 'reflect', 'VGG-11 up to features.3, reflect padding')
    """
    from padviz.network.rewrites import cut_and_pad, with_same

    loaded, pixels = load_at(network, size)
    return cut_and_pad(with_same(loaded) if same else loaded, names(layer), padding), pixels
