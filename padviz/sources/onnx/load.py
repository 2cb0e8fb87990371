"""ONNX files as networks: the graph laid out for an image of some size.

Weights are not needed, and not read: of the tensors in the file only small ones are, which shapes, pads and scales are
made of, and what a convolution is multiplied by position by position, from beside the file where it is kept there.
Shapes that a file declares for what is inside of it are not trusted.
"""

from __future__ import annotations

from pathlib import Path

from padviz.errors import DescriptionError, OptionError, printable
from padviz.network.network import AXES, Network, Size, as_size, on_axes
from padviz.sources.onnx.model import Model, open_model
from padviz.sources.onnx.run import Graph
from padviz.sources.tracing.foreign import Foreign
from padviz.sources.tracing.reading import AS_IT_IS, Reading

USUAL = {1: 16384, 2: 224, 3: 64}  # pixels of a side that the file leaves open, by the axes of an image


def load_onnx(path: str | Path, reading: Reading = AS_IT_IS, size: Size | None = None) -> Network:
    """Load an ONNX file; see `padviz.load`.

    It is read at `size`: by default at what the file declares, or at the usual size where it leaves an axis open.

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
    own = tuple(n or USUAL[axes] for n in image.size)
    try:
        pixels = as_size(on_axes(size, AXES[axes], where) if size else own)
    except OptionError as error:
        raise DescriptionError(f"input {image.name!r}: {error.what}", where=where) from None
    return Foreign(Graph(model, reading).trace, printable(Path(where).stem), where, image.size).at(pixels)
