"""ONNX files as networks: the graph laid out for an image of some size.

Weights are not needed, and not read: of the tensors in the file only small ones are, which shapes, pads and scales are
made of, and what a convolution is multiplied by position by position, from beside the file where it is kept there.
Shapes that a file declares for what is inside of it are not trusted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from padviz.errors import DescriptionError, OptionError, printable
from padviz.network.network import AXES, Network, Size, as_size, in_words, on_axes
from padviz.sources.onnx.model import Model, open_model
from padviz.sources.onnx.run import Graph
from padviz.sources.tracing.general import About, general
from padviz.sources.tracing.reading import AS_IT_IS, Reading

USUAL = {1: 16384, 2: 224, 3: 64}  # pixels of a side that the file leaves open, by the axes of an image


def load_onnx(path: str | Path, reading: Reading = AS_IT_IS, size: Size | None = None) -> Network:
    """Load an ONNX file; see `padviz.load`.

    `size` is what the image is laid out at where the file leaves an axis of it open.

    Raises
    ------
    DescriptionError
        Naming the file, and the node where there is one.
    """
    return laid_out(open_model(path, reading), reading, size)


def laid_out(model: Model, reading: Reading = AS_IT_IS, size: Size | None = None) -> Network:
    """Lay out the network of a model, as `load_onnx` gives it; the model stays as it is."""
    image, where = model.image, model.where
    axes = len(image.size)
    asked = on_axes(size, AXES[axes], where) if size else (USUAL[axes],) * axes
    try:
        pixels = as_size(tuple(own or given for own, given in zip(image.size, asked, strict=True)))
    except OptionError as error:
        raise DescriptionError(f"input {image.name!r}: {error.what}", where=where) from None
    network = general(Graph(model, reading).trace, pixels, About(printable(Path(where).stem), source=where))
    network = replace(network, declared=tuple(axis for axis, n in enumerate(image.size) if n))
    return _with_size_doubted(network) if size is None and 0 in image.size else network


def _with_size_doubted(network: Network) -> Network:
    """Add to what cannot be followed that it may be due to the size taken, which the file leaves open."""
    doubt = f", and `size` may say another size than {in_words(network.size)}, which the file leaves open"
    layers = (replace(layer, note=layer.note + doubt) if layer.note else layer for layer in network.layers)
    return replace(network, layers=tuple(layers))
