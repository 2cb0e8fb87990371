"""What an export is asked for: a TOML manifest, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from padviz.errors import DescriptionError, PadvizError
from padviz.sources.toml.load import read_toml
from padviz.sources.toml.schema import complaint
from padviz.trained.sessions.inputs import MOST

What = Literal["usage", "coverage", "uneven", "taps", "filters", "responses"]
WHATS: tuple[str, ...] = get_args(What)
TRAINED = ("filters", "responses")  # what is of networks with their weights
SHOWN = ("inputs", "n", "seed", "mean", "std")  # what a network is run on for its responses
DECLARED = "declared"  # the padding of each layer as the network has it

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Texts = Annotated[list[Text], Meta(min_length=1)]
Side = Annotated[int, Meta(ge=1, le=1_000_000)]
Sides = Side | Annotated[list[Side], Meta(min_length=2, max_length=2)] | Text
Few = Annotated[int, Meta(ge=1, le=31)]
Channels = Annotated[list[float], Meta(min_length=1, max_length=1000)]
Numbers = float | Channels


class Maps(Struct, forbid_unknown_fields=True):
    """The product of what is named: one item for each network, size, padding, layer and kind of map.

    Without sizes it is the network's own, without paddings the declared one, without `what` usage. `weights` are those
    of modules: the path of a file, or what a factory calls them. What follows them is of responses alone, and as in
    `padviz responses`.
    """

    models: Texts
    sizes: list[Sides] = []
    paddings: list[Text] = []
    layers: list[Text] = []
    what: list[What] = []
    weights: Annotated[str, Meta(max_length=1000)] = ""
    inputs: Text | None = None
    n: Annotated[int, Meta(ge=1, le=MOST)] | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None
    mean: Numbers | None = None
    std: Numbers | None = None


class Comparison(Struct, forbid_unknown_fields=True):
    """Maps side by side in one picture; exactly one of the lists has several values."""

    name: Text
    models: Texts
    sizes: list[Sides] = []
    paddings: list[Text] = []
    layers: list[Text] = []
    scale: Literal["share", "counts", "each"] | None = None


class Illustrated(Struct, forbid_unknown_fields=True):
    """One layer on a small image, under each padding."""

    name: Text
    kernel: Few = 3
    stride: Few = 1
    dilation: Few = 1
    size: Annotated[int, Meta(ge=1, le=16)] = 7
    paddings: list[Text] = []
    pixel: Annotated[list[Annotated[int, Meta(ge=0, le=15)]], Meta(min_length=2, max_length=2)] | None = None


class Manifest(Struct, forbid_unknown_fields=True):
    """The whole TOML file."""

    title: Annotated[str, Meta(max_length=200)] = ""
    maps: list[Maps] = []
    compare: list[Comparison] = []
    kernel: list[Illustrated] = []


def is_manifest(path: str) -> bool:
    """Tell whether a TOML file is a manifest, and not the description of a network, which has `layers`."""
    try:
        return path.lower().endswith(".toml") and "layers" not in read_toml(path)
    except PadvizError:
        return False  # who reads it as a network says what is wrong


def read_manifest(path: str | Path) -> Manifest:
    """Read an export manifest.

    Raises
    ------
    DescriptionError
        With the key that is wrong.
    """
    try:
        manifest = msgspec.convert(read_toml(path, "an export's manifest"), Manifest)
    except msgspec.ValidationError as error:
        what, at = complaint(str(error))
        key = at.lstrip(".") or "top level"
        part = {"maps": Maps, "compare": Comparison, "kernel": Illustrated}.get(key.partition("[")[0], Manifest)
        hint = f"its keys are {', '.join(part.__struct_fields__)}"
        hint += f"; what is {', '.join(WHATS)}" if part is Maps else ""
        raise DescriptionError(f"{key}: {what}", where=str(path), hint=hint) from None
    except RecursionError:
        raise DescriptionError("is nested too deeply", where=str(path)) from None
    if not (manifest.maps or manifest.compare or manifest.kernel):
        raise DescriptionError("names nothing to draw", where=str(path), hint="add [[maps]], [[compare]] or [[kernel]]")
    return manifest
