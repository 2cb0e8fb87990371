"""Builds the networks of networks.txt with random weights, by the library that they come from."""

import importlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Size = tuple[int, int]
LIST = Path(__file__).with_name("networks.txt")


class Entry(NamedTuple):
    """A network that others wrote, and the sizes to hold it at: the first is the one it is read at."""

    library: str
    name: str
    sizes: tuple[Size, ...]
    quick: bool  # a star in front: `make test` reads it, too


def entries() -> list[Entry]:
    return [_entry(line) for line in LIST.read_text().splitlines() if not line.startswith("#")]


def _entry(line: str) -> Entry:
    library, name, *texts = line.removeprefix("*").split()
    sizes = [[*map(int, text.split("x"))] for text in texts]
    return Entry(
        library, name, tuple((height, width) for height, width in sizes), line.startswith("*")
    )


MODULES = {
    "smp": "segmentation_models_pytorch",
    "monai": "monai.networks.nets",
    "pytorchcv": "pytorchcv.model_provider",
}


def library_of(entry: Entry) -> str:
    """The name of a library, without the part of it that a network comes from."""
    return entry.library.partition("-")[0]


def load_library(entry: Entry) -> None:
    """Import the library of an entry; raises ImportError where it is not installed."""
    importlib.import_module(MODULES.get(library_of(entry), library_of(entry)))


def arguments_of(entry: Entry) -> dict[str, Any]:
    """What arguments.toml gives a network, with tuples for its lists."""
    given = tomllib.loads(LIST.with_name("arguments.toml").read_text())[library_of(entry)].get(
        entry.name, {}
    )
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}


def build(entry: Entry) -> nn.Module:
    torch.manual_seed(0)
    return BUILDERS[library_of(entry)](entry).eval()


def _torchvision(entry: Entry) -> nn.Module:
    import torchvision

    options: dict[str, Any] = {"weights": None}
    if "-" in entry.library:
        options["weights_backbone"] = None
    if entry.library.endswith("optical_flow"):
        return _Beside(torchvision.models.get_model(entry.name, weights=None), torch.ones_like)
    if entry.name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    return torchvision.models.get_model(entry.name, **options)


class _Beside(nn.Module):
    """A network of an image and something beside it, which is made for each image; of several answers, the last."""

    def __init__(self, inner: nn.Module, made: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.made = inner, made

    def forward(self, image: Tensor) -> Any:
        out = self.inner(image, self.made(image))
        return out[-1] if isinstance(out, list) else out


class _Grey(nn.Sequential):
    """A network of grey images, which is given colours."""

    def forward(self, image: Tensor) -> Any:
        return super().forward(image.mean(1, keepdim=True))


def _timm(entry: Entry) -> nn.Module:
    import timm

    return timm.create_model(entry.name, pretrained=False)


def _ultralytics(entry: Entry) -> nn.Module:
    from ultralytics import RTDETR, YOLO
    from ultralytics.utils import LOGGER

    LOGGER.setLevel("ERROR")
    kind = RTDETR if entry.name.startswith("rtdetr") else YOLO
    model: nn.Module = kind(f"{entry.name}.yaml").model
    return model


def _smp(entry: Entry) -> nn.Module:
    import segmentation_models_pytorch as smp

    encoder = {"Segformer": "mit_b0", "DPT": "tu-vit_tiny_patch16_224"}.get(entry.name, "resnet18")
    model: nn.Module = getattr(smp, entry.name)(encoder, encoder_weights=None, classes=2)
    return model


def _monai(entry: Entry) -> nn.Module:
    from monai.networks import nets

    model: nn.Module = getattr(nets, entry.name)(**arguments_of(entry))
    return model


def _diffusers(entry: Entry) -> nn.Module:
    import diffusers

    model: nn.Module = getattr(diffusers, entry.name)(**arguments_of(entry))
    return _Beside(model, lambda image: 1) if entry.name == "UNet2DModel" else model


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
        return _Beside(get_model(entry.name), torch.ones_like)
    options = {} if entry.sizes[0] == (224, 224) else {"in_size": entry.sizes[0]}
    model: nn.Module = get_model(entry.name, **options)
    return _Grey(model) if entry.name in ("pfpcnet", "superpointnet") else model


BUILDERS: dict[str, Callable[[Entry], nn.Module]] = {
    "torchvision": _torchvision, "timm": _timm, "ultralytics": _ultralytics, "smp": _smp, "monai": _monai,
    "diffusers": _diffusers, "transformers": _transformers, "pytorchcv": _pytorchcv,
}  # fmt: skip
