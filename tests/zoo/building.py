"""Builds networks that others wrote, with random weights: one of each family of the atlas, and those of networks.txt."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from experiments import atlas_networks
from padviz.advice.atlas import AtlasRow, atlas

Size = tuple[int, int]
LIST = Path(__file__).with_name("networks.txt")
DRAWN = ("timm", "torchvision", "smp", "monai", "ultralytics", "diffusers")
LARGEST = 300  # pixels of a side at which an oracle is quick
SMALLER = (128, 192)  # for networks that are made for larger images


class Entry(NamedTuple):
    """A network that others wrote, and the sizes to hold it at: the first is the one it is read at."""

    library: str
    name: str
    sizes: tuple[Size, ...]
    quick: bool  # a star in front: `make test` reads it, too


def entries() -> list[Entry]:
    """Those of networks.txt, and the first row of each family of the atlas that the list does not have."""
    lines = LIST.read_text().splitlines()
    listed = [_entry(line) for line in lines if not line.startswith("#")]
    families = {atlas_networks.family_of(entry.name) for entry in listed}
    for row in atlas():
        if row.family not in families:
            families.add(row.family)
            listed += drawn(row)
    return listed


def drawn(row: AtlasRow) -> list[Entry]:
    """A row of the atlas by the first name that a library other than padviz has; none for a network of padviz alone."""
    size = (row.size, row.size) if row.size <= LARGEST else SMALLER
    for library, (name, *_) in row.names.items():
        if library in DRAWN:
            quick = library in ("timm", "torchvision") and row.rim is not None
            return [Entry(library, name, (size,), quick)]
    return []


def _entry(line: str) -> Entry:
    library, name, *texts = line.removeprefix("*").split()
    sizes = [[*map(int, text.split("x"))] for text in texts]
    return Entry(
        library, name, tuple((height, width) for height, width in sizes), line.startswith("*")
    )


MODULES = atlas_networks.MODULES | {"pytorchcv": "pytorchcv.model_provider"}


def library_of(entry: Entry) -> str:
    """The name of a library, without the part of it that a network comes from."""
    return entry.library.partition("-")[0]


def load_library(entry: Entry) -> None:
    """Import the library of an entry; raises ImportError where it is not installed."""
    importlib.import_module(MODULES.get(library_of(entry), library_of(entry)))


def build(entry: Entry) -> nn.Module:
    library = library_of(entry)
    if library in BUILDERS:
        torch.manual_seed(0)
        return BUILDERS[library](entry).eval()
    family = atlas_networks.family_of(entry.name)
    module: nn.Module = atlas_networks.build(
        atlas_networks.Entry(library, entry.name, family, entry.sizes[0])
    )
    return module


class _Grey(nn.Sequential):
    """A network of grey images, which is given colours."""

    def forward(self, image: Tensor) -> Any:
        return super().forward(image.mean(1, keepdim=True))


def _transformers(entry: Entry) -> nn.Module:
    import transformers

    name = {"Focalnet": "FocalNet", "LeViT": "Levit", "Swiftformer": "SwiftFormer"}.get(
        entry.name, entry.name
    )
    config = getattr(transformers, f"{name}Config")()
    kind = getattr(transformers, f"{name}Model", None) or getattr(
        transformers, f"{name}ForSemanticSegmentation"
    )
    model: nn.Module = kind(config)
    return model


def _pytorchcv(entry: Entry) -> nn.Module:
    from pytorchcv.model_provider import get_model

    if entry.name == "raft_small":
        return atlas_networks.Beside(get_model(entry.name), torch.ones_like)
    options = {} if entry.sizes[0] == (224, 224) else {"in_size": entry.sizes[0]}
    model: nn.Module = get_model(entry.name, **options)
    return _Grey(model) if entry.name in ("pfpcnet", "superpointnet") else model


BUILDERS: dict[str, Callable[[Entry], nn.Module]] = {
    "transformers": _transformers,
    "pytorchcv": _pytorchcv,
}
