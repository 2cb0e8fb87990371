"""ONNX files as networks: the image among the inputs, its layout and its size, and the graph laid out for it.

Weights are not needed, and not read: of the tensors in the file only small ones are, which shapes, pads and scales are
made of, and what a convolution is multiplied by position by position, from beside the file where it is kept there.
Shapes that a file declares for what is inside of it are not trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from padviz.errors import DescriptionError, OptionError, PadvizError, let_through, printable
from padviz.files.opened import read_file
from padviz.network.network import Network, Size, as_size
from padviz.sources.onnx.constants.stored import BROKEN
from padviz.sources.onnx.run import MOST_NODES, Graph
from padviz.sources.tracing.axis_labels import Dims, plain
from padviz.sources.tracing.general import About, general
from padviz.sources.tracing.sizes.rows import Probes
from padviz.sources.tracing.trace import Trace

MOST_BYTES = 1 << 31  # that protobuf takes
OLDEST = 7  # opset
USUAL = 224  # pixels of a side that the file leaves open
CHANNELS = (1, 3, 4)  # of an image
NHWC_TO_NCHW = [0, 3, 1, 2]
Proto = Any


def load_onnx(path: str | Path, neutral: Iterable[str] = (), size: Size | None = None) -> Network:
    """Load an ONNX file; `neutral` names operations to treat as acting on each position alone.

    `size` is what the image is laid out at where the file leaves its height or its width open.

    Raises
    ------
    DescriptionError
        Naming the file, and the node where there is one.
    """
    return laid_out(read(Path(path), str(path)), path, neutral, size)


def laid_out(model: Proto, path: str | Path, neutral: Iterable[str] = (), size: Size | None = None) -> Network:
    """The network of a model that was read of a file, as `load_onnx` gives it; the model stays as it is."""
    where = str(path)
    image, shape = image_of(model, where)
    nhwc = is_nhwc(model, image, shape)
    at = (1, 2) if nhwc else (2, 3)
    height, width = (shape[i] or asked for i, asked in zip(at, size or (USUAL, USUAL), strict=True))
    try:
        pixels = as_size((height, width))
    except OptionError as error:
        raise DescriptionError(f"input {image.name!r}: {error.what}", where=where) from None
    channels = plain(shape[3 if nhwc else 1] or 3)

    def tracer(size: Size, probes: Probes | None) -> Trace:
        rows, cols = ("h", size[0]), ("w", size[1])
        batch = plain(shape[0] or 1)
        dims: Dims = (batch, (rows,), (cols,), channels) if nhwc else (batch, channels, (rows,), (cols,))
        return graph.trace(dims, size, probes)

    try:
        graph = Graph(model, where, image, neutral)
        network = general(tracer, pixels, About(printable(Path(where).stem), source=where))
    except PadvizError:
        raise
    except BROKEN as error:
        raise DescriptionError(f"makes no sense ({' '.join(str(error).split())[:120]})", where=where) from None
    network = replace(network, declared=tuple(axis for axis, i in enumerate(at) if shape[i]))
    assumed = size is None and 0 in (shape[i] for i in at)
    return _with_size_doubted(network) if assumed else network


def _with_size_doubted(network: Network) -> Network:
    """Where the file leaves its size open, what cannot be followed may be due to the size that was taken."""
    height, width = network.size
    doubt = f", and `size` may say another size than {height} x {width}, which the file leaves open"
    layers = (replace(layer, note=layer.note + doubt) if layer.note else layer for layer in network.layers)
    return replace(network, layers=tuple(layers))


def read(path: Path, where: str) -> Proto:
    """The model in a file, without its external data."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        hint = "install it: pip install 'padviz[onnx]'"
        raise DescriptionError("reading it needs the package onnx", where=where, hint=hint) from None
    return parsed(read_file(path, "an ONNX file", MOST_BYTES), where)


def parsed(content: bytes, where: str) -> Proto:
    """The model that the content of a file is."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError, MemoryError) as error:
        let_through(error)
        raise DescriptionError("is not an ONNX file, or only a part of one", where=where) from None
    if not model.graph.node:
        raise DescriptionError("is not an ONNX file, or has no nodes", where=where)
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)
    if opset < OLDEST:
        hint = f"padviz reads opset {OLDEST} and newer: export it anew"
        raise DescriptionError(f"is of opset {opset}", where=where, hint=hint)
    if len(model.graph.node) > MOST_NODES:
        raise DescriptionError(f"has more than {MOST_NODES} nodes", where=where)
    return model


def image_of(model: Proto, where: str) -> tuple[Proto, list[int]]:
    """The image among the inputs: the one of four dimensions that is no initializer; and its shape, 0 where open."""
    stored = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in stored]
    found = [each for each in inputs if len(each.type.tensor_type.shape.dim) == 4]
    if len(found) != 1:
        names = ", ".join(repr(each.name) for each in found[:8])
        what = f"has several inputs of four dimensions: {names}" if found else "has no input of four dimensions"
        raise DescriptionError(what, where=where, hint="padviz looks for one image, as batch, channels, height, width")
    return found[0], [max(dim.dim_value, 0) for dim in found[0].type.tensor_type.shape.dim]


def is_nhwc(model: Proto, image: Proto, shape: list[int]) -> bool:
    """Whether channels come last: by their number, or else by the transpose that brings them to the front."""
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first != last:
        return last
    for node in model.graph.node:
        if image.name in node.input and node.op_type == "Transpose":
            return any(each.name == "perm" and [*each.ints] == NHWC_TO_NCHW for each in node.attribute)
    return False
