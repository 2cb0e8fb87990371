"""Rewrites of a network: another padding scheme, another framework's convention, another way to count pools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Literal, cast, get_args

from padviz.axis import Adaptive, Mode, Op, Resize, Window
from padviz.errors import OptionError, PadvizError
from padviz.network import POOLS, WINDOWS, Kind, Layer, Network

Scheme = Literal[Mode, "valid", "full"]  # what --padding takes
SCHEMES: tuple[str, ...] = get_args(Scheme)


@lru_cache(64)
def with_padding(network: Network, scheme: str | None) -> Network:
    """The network with every convolution's padding done by `scheme`; None leaves it as declared.

    The fold modes and "partial" change what the padding reads. "valid" removes all padding, of
    pooling too; "full" pads every convolution by its extent - 1 on both sides. Pooling ignores its
    padding whatever the scheme. Transposed convolutions and crops stay as they are.
    """
    if scheme is None:
        return network
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise OptionError(f"{scheme!r} is not a padding scheme", where="--padding", hint=f"use {', '.join(SCHEMES)}")
    if scheme == "partial" and any(layer.kind == "pad" for layer in network.layers):
        pads = [layer.name for layer in network.layers if layer.kind == "pad"]
        raise PadvizError(
            f"partial convolution needs padding that belongs to a convolution, and {pads[0]} pads on its own",
            where=network.name,
            hint="give the padding to the convolution that follows it",
        )

    return replace(network, layers=tuple(padded_layer(layer, scheme) for layer in network.layers))


def padded_layer(layer: Layer, scheme: str) -> Layer:
    """One layer as `with_padding` rewrites it."""
    windowed = layer.kind in ("conv", "pad") or (scheme == "valid" and layer.kind in POOLS)
    return _map_windows(layer, lambda w: _padded(w, layer.kind, scheme)) if windowed else layer


@lru_cache(64)
def with_mean_pooling(network: Network) -> Network:
    """The network with pooling and interpolation taps weighed, so that each output's weights sum to 1."""

    def rewrite(layer: Layer) -> Layer:
        if layer.kind in POOLS or layer.kind == "resize":
            return replace(layer, height=_averaged(layer.height), width=_averaged(layer.width))
        return layer

    return replace(network, layers=tuple(rewrite(layer) for layer in network.layers))


@lru_cache(64)
def with_same(network: Network) -> Network:
    """The network as TensorFlow's and Keras's SAME would pad it: windows that pad put the odd row on the far side.

    >>> import padviz
    >>> with_same(padviz.load("resnet18")).find("conv1").height.padding
    'same_upper'
    """

    def convention(window: Window) -> Window:
        return window if window.padding == (0, 0) else replace(window, padding="same_upper")

    def rewrite(layer: Layer) -> Layer:
        return _map_windows(layer, convention) if layer.kind in WINDOWS else layer

    return replace(network, layers=tuple(rewrite(layer) for layer in network.layers))


def _padded(window: Window, kind: Kind, scheme: str) -> Window:
    if scheme == "valid" or (scheme == "full" and kind == "pad"):
        return replace(window, padding=(0, 0))
    if scheme == "full":
        return replace(window, padding=(window.extent - 1, window.extent - 1), mode="zero")
    return replace(window, mode=cast(Mode, scheme))


def _map_windows(layer: Layer, change: Callable[[Window], Window]) -> Layer:
    def changed(op: Op | None) -> Op | None:
        return change(op) if isinstance(op, Window) else op

    return replace(layer, height=changed(layer.height), width=changed(layer.width))


def _averaged(op: Op | None) -> Op | None:
    return replace(op, mean=True) if isinstance(op, Window | Adaptive | Resize) else op
