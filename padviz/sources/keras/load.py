"""Keras models as networks: the architecture alone, of a .keras file or of a model in memory. Keras is not needed.

No weight is read, and nothing of what a file holds is run: a layer whose code is another's is not known.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from padviz.errors import DescriptionError, OptionError, printable
from padviz.files.packed import BROKEN, member, unpacked
from padviz.network.network import Network, Size, as_size
from padviz.sources.keras.model import Malformed, Model, model_of
from padviz.sources.keras.run import Image, image_of, trace
from padviz.sources.tracing.foreign import Foreign
from padviz.sources.tracing.reading import AS_IT_IS, Reading

USUAL = 224  # pixels of a side that a model leaves open
MOST_BYTES = 1 << 23  # of a description
EXPORT = 'save it from Keras 3, as model.save("x.keras"), or export it to .onnx'


def load_keras(path: str | Path, reading: Reading = AS_IT_IS, size: Size | None = None) -> Network:
    """Load a .keras file; see `padviz.load`.

    It is read at `size`: by default at what the file declares, or at the usual size where it leaves an axis open.

    Raises
    ------
    DescriptionError
        Naming the file, and the layer where there is one.
    """
    return _laid_out(model_in(path), printable(Path(path).stem), str(path), reading, size)


def load_model(model: Any, reading: Reading = AS_IT_IS, size: Size | None = None) -> Network:
    """Load a Keras model that is in memory, by what it says of itself."""
    where = str(getattr(model, "name", None) or type(model).__name__)
    try:
        content = model.to_json()
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        raise DescriptionError(f"does not say how it is built: {line}", where=where, hint=EXPORT) from None
    return _laid_out(_parsed(content, where), where, where, reading, size)


def model_in(path: str | Path) -> Model:
    """Read the architecture in a .keras file."""
    with unpacked(path, "a .keras file") as archive:
        try:
            content = member(archive, "config.json", MOST_BYTES)
        except BROKEN:
            what = "has no config.json, or one that cannot be read"
            raise DescriptionError(what, where=str(path), hint=EXPORT) from None
    return _parsed(content, str(path))


def _parsed(content: str | bytes, where: str) -> Model:
    try:
        return model_of(json.loads(content))
    except Malformed as error:
        raise DescriptionError(str(error), where=where, hint=EXPORT) from None
    except RecursionError:
        raise DescriptionError("is nested too deeply", where=where) from None
    except ValueError:
        raise DescriptionError("describes no model: its config is no JSON", where=where, hint=EXPORT) from None


def _laid_out(model: Model, name: str, where: str, reading: Reading, size: Size | None) -> Network:
    image = _image(model, where, reading)
    try:
        pixels = as_size(size or tuple(n or USUAL for n in image.size))
    except OptionError as error:
        raise DescriptionError(f"its input: {error.what}", where=where) from None
    follow = partial(trace, model, where, frozenset(reading.neutral), image)
    return Foreign(follow, name, where, image.size).at(pixels)


def _image(model: Model, where: str, reading: Reading) -> Image:
    reading.check_unshaped([ref.layer for ref in model.inputs], where)
    try:
        return image_of(model, reading.image)
    except Malformed as error:
        raise DescriptionError(str(error), where=where) from None
