"""MODEL with its weights: an ONNX file, a PyTorch module, or the code that makes one and a file of weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.errors import DescriptionError, OptionError, UnknownName
from padviz.network.network import Network, Size, as_size
from padviz.sources import MODULE, is_module
from padviz.sources.formats import format_of, refusal
from padviz.sources.toml.load import load_config, zoo
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.weights.trained_network import Trained

if TYPE_CHECKING:
    from torch import nn

HINT = "name an .onnx file, or package.module:attribute and its `weights`"


def as_trained(
    network: str | Path | nn.Module | Network | Trained, size: int | Sequence[int] | None, weights: str | Path | None
) -> Trained:
    """Read a network with its weights, unless that was done already."""
    if isinstance(network, Trained):
        return network
    pixels = None if size is None else as_size(size)
    if isinstance(network, Network) and network.origin is not None:
        return read(network.origin, pixels or network.size, weights, network.reading)
    return read(network, pixels, weights)


def read(
    source: object, size: Size | None = None, weights: str | Path | None = None,
    reading: Reading = AS_IT_IS,
) -> Trained:  # fmt: skip
    """Read a network with its weights: an ONNX or .keras file, a PyTorch module, or the name of what makes one.

    `weights` is a .safetensors or .pth file of a module's parameters; or, for a factory that takes `weights`, their
    name, as "DEFAULT".
    """
    if not isinstance(source, Path) and (is_module(source) or (isinstance(source, str) and MODULE.fullmatch(source))):
        try:
            from padviz.trained.weights import torch_weights
        except ImportError:
            hint = "install it: pip install 'padviz[torch]'"
            raise DescriptionError("needs PyTorch", where=str(source), hint=hint) from None
        return torch_weights.read(source, size, weights, reading)
    if weights is not None:
        hint = "name one as package.module:attribute, as torchvision.models:resnet50"
        raise OptionError(f"{str(weights)!r} needs a PyTorch module", option="weights", hint=hint)
    where = str(source)
    if where.lower().endswith(".onnx"):
        from padviz.trained.weights import onnx_weights

        return onnx_weights.read(Path(where), size, reading)
    kind = format_of(where) if where not in zoo() else ""
    if kind in ("torch", "safetensors"):
        hint = f"name the code that makes the module, as package.module:attribute, and `weights` {where}"
        raise DescriptionError("holds weights without the network", where=where, hint=hint)
    if kind == "keras":
        from padviz.trained.weights import keras_weights

        return keras_weights.read(Path(where), size, reading)
    if kind == "program":
        raise DescriptionError("is read without its weights", where=where, hint="export it to .onnx, with them")
    if kind:
        raise refusal(kind, where)
    if isinstance(source, str | Path):
        described = where.lower().endswith(".toml") or where in zoo()
        what = "a description has no weights" if described else "is neither a network with weights nor a module's name"
        origin = load_config(where).source if where in zoo() else ""
        home, _, name = origin.rpartition(".")
        hint = f"name an .onnx file, or {home}:{name} with `weights`" if home.startswith("torchvision.") else HINT
        raise UnknownName("is a folder" if os.path.isdir(where) else what, where=where, hint=hint)
    raise UnknownName(f"an object of type {type(source).__name__} is not a network with weights", hint=HINT)
