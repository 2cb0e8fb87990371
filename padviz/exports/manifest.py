"""Manifests of exports: TOML files, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from padviz.errors import DescriptionError, PadvizError
from padviz.sources.toml.load import read_toml
from padviz.sources.toml.schema import complaint
from padviz.trained.images import MOST

What = Literal["usage", "coverage", "uneven", "taps", "filters", "responses"]
WHATS: tuple[str, ...] = get_args(What)
MAPS = ("usage", "coverage")  # of counts
TRAINED = ("filters", "responses")  # need a network's weights
RUNNING = ("images", "n", "seed", "mean", "std", "blank")  # keys for responses alone
# Keys of maps that only some kinds take: the option that a message names, and the kinds.
EFFECTIVE = {
    "paddings": ("padding", (*MAPS, "responses")),
    "weights": ("weights", TRAINED),
    **{key: (key, ("responses",)) for key in RUNNING},
}
DECLARED = "declared"  # the network's own padding

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Texts = Annotated[list[Text], Meta(min_length=1)]
Side = Annotated[int, Meta(ge=1, le=1_000_000)]
Sides = Side | Annotated[list[Side], Meta(min_length=2, max_length=2)] | Text
Few = Annotated[int, Meta(ge=1, le=31)]
Channels = Annotated[list[float], Meta(min_length=1, max_length=1000)]
Numbers = float | Channels


class Maps(Struct, forbid_unknown_fields=True):
    """One item for each combination of network, size, padding, layer and kind.

    The defaults are the network's own size and padding, and usage. `weights` is the path of a
    module's weights, or a factory's name for them. The keys after it are for responses alone, as in
    `padviz responses`.
    """

    models: Texts
    sizes: list[Sides] = []
    paddings: list[Text] = []
    layers: list[Text] = []
    what: list[What] = []
    weights: Annotated[str, Meta(max_length=1000)] = ""
    images: Text | None = None
    n: Annotated[int, Meta(ge=1, le=MOST)] | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    blank: bool | None = None


class Comparison(Struct, forbid_unknown_fields=True):
    """Maps side by side in one picture; exactly one list has several values."""

    name: Text
    models: Texts
    sizes: list[Sides] = []
    paddings: list[Text] = []
    layers: list[Text] = []
    scale: Literal["share", "counts", "each"] | None = None


class KernelPicture(Struct, forbid_unknown_fields=True):
    """One layer on a small image, under each padding."""

    name: Text
    kernel: Few = 3
    stride: Few = 1
    dilation: Few = 1
    size: Annotated[int, Meta(ge=1, le=16)] = 7
    paddings: list[Text] = []
    pixel: (
        Annotated[list[Annotated[int, Meta(ge=0, le=15)]], Meta(min_length=2, max_length=2)] | None
    ) = None


class Manifest(Struct, forbid_unknown_fields=True):
    """The whole TOML file."""

    title: Annotated[str, Meta(max_length=200)] = ""
    maps: list[Maps] = []
    compare: list[Comparison] = []
    kernel: list[KernelPicture] = []


def is_manifest(path: str) -> bool:
    """Return whether a TOML file is a manifest; descriptions of networks have `layers`."""
    try:
        return path.lower().endswith(".toml") and "layers" not in read_toml(path)
    except PadvizError:
        return False  # who reads it as a network reports the error


def read_manifest(path: str | Path) -> Manifest:
    """Read an export manifest."""
    try:
        manifest = msgspec.convert(read_toml(path, "an export's manifest"), Manifest)
    except msgspec.ValidationError as error:
        what, at = complaint(str(error))
        key = at.lstrip(".") or "top level"
        part = {"maps": Maps, "compare": Comparison, "kernel": KernelPicture}.get(
            key.partition("[")[0], Manifest
        )
        hint = f"its keys are {', '.join(part.__struct_fields__)}"
        hint += f"; what is {', '.join(WHATS)}" if part is Maps else ""
        raise DescriptionError(f"{key}: {what}", where=str(path), hint=hint) from None
    except RecursionError:
        raise DescriptionError("is nested too deeply", where=str(path)) from None
    if not (manifest.maps or manifest.compare or manifest.kernel):
        raise DescriptionError(
            "lists nothing to draw", where=str(path), hint="add [[maps]], [[compare]] or [[kernel]]"
        )
    return manifest
