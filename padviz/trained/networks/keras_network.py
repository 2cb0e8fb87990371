"""The weights in a .keras file: of each convolution, what its layer keeps in model.weights.h5."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED

import numpy as np
from numpy.typing import NDArray

from padviz.errors import DescriptionError
from padviz.files.archives import BROKEN, member, unpacked
from padviz.network.layer import Layer
from padviz.network.network import Size
from padviz.sources.keras.load import Model, Step, load_keras, model_in
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.trained.networks.trained_network import Stored, Trained, Unread, Unrun, kernels_of

if TYPE_CHECKING:
    from h5py import Dataset, Group

WEIGHTS = "model.weights.h5"
MOST_BYTES = 1 << 31
GROUP = 64  # bytes that a group takes in a file, at least
DEEPEST = 40  # groups inside of one another
Array = NDArray[Any]


def read(path: Path, size: Size | None = None, reading: Reading = AS_IT_IS) -> Trained:
    network = load_keras(path, reading, size)
    stored = _stored(path)
    steps = dict(_steps(model_in(path)))
    normed = set[str]()
    for step in steps.values():
        if step.kind == "BatchNormalization":
            normed.update(ref.layer for ref in step.refs)

    def kernel(layer: Layer) -> Stored:
        if layer.origin:
            title = layer.origin.name
        else:
            title = layer.name
        arrays = stored.get(title, [])
        norm = title.rpartition("/")[2] in normed
        depthwise = steps[title].kind == "DepthwiseConv2D"
        if steps[title].kind == "SeparableConv2D":  # one layer of Keras, and two convolutions
            depthwise = layer.name.endswith(".depthwise")
            if depthwise:
                arrays = arrays[:1]
            else:
                arrays = arrays[1:]
            norm = norm and not depthwise
        if not arrays:
            raise Unread("the file names none of its weights: save it again")
        groups = 1
        if layer.channels:
            groups = layer.channels.groups
        return _in_order(arrays[0], depthwise), groups, norm, layer.name

    model = Unrun(str(path), "export it to .onnx for that")
    return Trained(network, size or network.size, model, str(path), 0, *kernels_of(network, kernel))


def _in_order(array: Array, depthwise: bool) -> Array:
    """Arrange weights as (channels out, channels in / groups, height, width)."""
    if array.ndim != 4 or array.dtype.kind != "f":
        raise Unread("unexpected shape or type of weights")
    if not depthwise:
        return array.transpose(3, 2, 0, 1)
    height, width, channels, times = array.shape
    return array.transpose(2, 3, 0, 1).reshape(channels * times, 1, height, width)


def _steps(model: Model, path: str = "") -> Iterator[tuple[str, Step]]:
    for step in model.steps:
        yield f"{path}{step.name}", step
        if step.model and not step.call:
            yield from _steps(step.model, f"{path}{step.name}/")


def _stored(path: Path) -> dict[str, list[Array]]:
    """Read the numbers of each layer, by its path."""
    where = str(path)
    try:
        import h5py
    except ImportError:
        hint = "install it: pip install 'padviz[keras]'"
        raise DescriptionError(
            "reading its weights needs the package h5py", where=where, hint=hint
        ) from None
    with unpacked(path, "a .keras file") as archive:
        try:
            if archive.getinfo(WEIGHTS).compress_type != ZIP_STORED:
                raise DescriptionError(
                    "has compressed weights, which Keras never writes", where=where
                )
            content = member(archive, WEIGHTS, MOST_BYTES)
        except BROKEN:
            raise DescriptionError(
                f"has no {WEIGHTS}, or one that cannot be read", where=where
            ) from None
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return dict(_layers(file, h5py, "", [len(content)]))
    except Exception as error:  # of HDF5, which has many
        line = " ".join(str(error).split())[:120]
        raise DescriptionError(f"has weights that cannot be read ({line})", where=where) from None


def _layers(
    group: Group, h5py: ModuleType, path: str, left: list[int], depth: int = 0
) -> Iterator[tuple[str, list[Array]]]:
    """List the numbers of all layers in a group; links to elsewhere are not followed.

    `left` has the bytes that may still be read: with links, a small file could hold any number of
    groups and numbers.
    """
    _spend(left, GROUP)
    if depth > DEEPEST:
        raise ValueError("groups are nested too deeply")
    variables = _subgroup(group, "vars", h5py)
    if variables is None:
        name = ""
    else:
        name = str(variables.attrs.get("name", ""))
    title = ""
    if depth:
        title = f"{path}{name}"
    if variables is not None and depth:
        yield (
            title,
            [
                _numbers(variables[key], left)
                for key in sorted(variables, key=lambda key: (len(key), key))
            ],
        )
    for part in ("layers", "layer"):
        if (inner := _subgroup(group, part, h5py)) is None:
            continue
        if part == "layer":  # of a wrapper, which gives it its name
            yield (
                title,
                next((numbers for _, numbers in _layers(inner, h5py, "", left, depth + 1)), []),
            )
            continue
        for key in inner:
            if (child := _subgroup(inner, key, h5py)) is not None:
                yield from _layers(child, h5py, f"{title}/" if title else "", left, depth + 1)


def _subgroup(group: Group, name: str, h5py: ModuleType) -> Group | None:
    """Open a group inside, unless it is a link to elsewhere."""
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.HardLink) and isinstance(group[name], h5py.Group):
        return group[name]
    return None


def _numbers(dataset: Dataset, left: list[int]) -> Array:
    plain = dataset.dtype.kind in "fiub" and dataset.shape is not None
    if not plain or dataset.chunks or dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} is stored as Keras never does")
    _spend(left, dataset.nbytes)
    return np.asarray(dataset[()])


def _spend(left: list[int], size: int) -> None:
    left[0] -= size
    if left[0] < 0:
        raise ValueError("more numbers than the file has bytes")
