"""The networks of the atlas: which ones six libraries have, and how each is built."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Size = tuple[int, int]
SAMPLED = 80  # pairs of an encoder and a decoder, beyond each with a common partner
SMP = "Unet UnetPlusPlus MAnet Linknet FPN PSPNet PAN DeepLabV3 DeepLabV3Plus UPerNet Segformer DPT"
MODULES = {
    "padviz": "padviz",
    "timm": "timm",
    "torchvision": "torchvision",
    "smp": "segmentation_models_pytorch",
    "monai": "monai.networks.nets",
    "ultralytics": "ultralytics",
    "diffusers": "diffusers",
}
# what a name of timm or torchvision begins with that says who trained or changed the network
VARIANT = r"(?:tf_|dm_|eca_|ese_|legacy_|test_|gc_|lambda_|wide_)*"
FAMILY = re.compile(VARIANT + r"([a-z]+?(?:\d[a-z]{3,})?(?:v\d)?)(?=[\d_.-]|$)")
ARGUMENTS = Path(__file__).with_name("atlas_arguments.toml")


@dataclass(frozen=True)
class Entry:
    """A network of a library, by the name that the library gives it.

    `size` is the size that it was made for, `channels` those of its image.
    """

    library: str
    name: str
    family: str
    size: Size
    channels: int = 3


def entries(libraries: list[str]) -> list[Entry]:
    """List the networks of some libraries: one of each family first, then the others."""
    listed = [entry for library in libraries for entry in LISTS[library]()]
    first: dict[str, Entry] = {}
    for entry in listed:
        first.setdefault(entry.family, entry)
    leading = {*first.values()}
    return [*first.values(), *(entry for entry in listed if entry not in leading)]


def load_library(library: str) -> None:
    """Import a library; raises ImportError where it is not installed."""
    import_module(MODULES[library])


def build(entry: Entry) -> Any:
    """Build a network with random weights, on the device that is the default."""
    torch.manual_seed(0)
    network = BUILDERS[entry.library](entry)
    if isinstance(network, nn.Module):
        return network.eval()
    return network


def family_of(name: str) -> str:
    """Return the letters by which a network is called, without its depth, width and variant.

    >>> [family_of(name) for name in ("resnet50", "tf_efficientnet_b0", "mobilenetv2_100")]
    ['resnet', 'efficientnet', 'mobilenetv2']
    >>> [family_of(name) for name in ("res2net50_26w_4s", "vgg16_bn", "yolov8n-seg")]
    ['res2net', 'vgg', 'yolov8']
    """
    match = FAMILY.match(name)
    if match is None:
        return name
    return match[1]


def _padviz() -> Iterator[Entry]:
    from padviz.sources.toml.load import load_config, zoo

    for name in zoo():
        height, width = load_config(name).size
        yield Entry("padviz", name, family_of(name), (height, width))


def _timm() -> Iterator[Entry]:
    import timm

    for name in timm.list_models():
        size = timm.get_pretrained_cfg(name).input_size[1:]
        yield Entry("timm", name, family_of(name), size)


def _torchvision() -> Iterator[Entry]:
    from torchvision import models

    usual = {"inception_v3": 299, "ssd300_vgg16": 300}
    rooms = [
        (models, 224),
        (models.segmentation, 520),
        (models.detection, 800),
        (models.optical_flow, 360),
    ]
    for room, side in rooms:
        for name in models.list_models(module=room):
            if "_320_" in name or name.startswith("ssdlite320"):
                size = (320, 320)
            else:
                size = (usual.get(name, side),) * 2
            yield Entry("torchvision", name, family_of(name), size)


def _smp() -> Iterator[Entry]:
    from segmentation_models_pytorch import encoders

    decoders, usual = SMP.split(), "resnet34"
    names = encoders.get_encoder_names()
    pairs = [*((decoder, usual) for decoder in decoders), *(("Unet", name) for name in names)]
    every = [(decoder, name) for decoder in decoders for name in names]
    drawn = random.Random(0).sample(every, SAMPLED)
    for decoder, encoder in dict.fromkeys([*pairs, *drawn]):
        if decoder == "DPT":  # which takes transformers alone
            continue
        yield Entry("smp", f"{decoder} {encoder}", decoder, (512, 512))


def _listed(library: str) -> Iterator[Entry]:
    """Yield the networks of a library that are listed with their arguments."""
    for name, given in tomllib.loads(ARGUMENTS.read_text())[library].items():
        side = given.get("size", 256)
        channels = given.get("channels", 3)
        kind = re.sub(r"\d+$", "", given.get("class", name))
        yield Entry(library, name, kind, (side, side), channels)


def _ultralytics() -> Iterator[Entry]:
    import ultralytics

    folder = Path(ultralytics.__file__).parent / "cfg" / "models"
    for path in sorted(folder.rglob("*.yaml")):
        side = 224 if "-cls" in path.stem else 640
        match = re.match(r"(yolov?\d+)(?!\d*[a-z])(.*)", path.stem)
        names = [path.stem]
        if match and "scales:" in path.read_text():
            names = [f"{match[1]}{scale}{match[2]}" for scale in "nsmlx"]
        for name in names:
            family = re.match(r"yolo(?:e|v?\d+)|[a-z]+", name)
            assert family is not None
            yield Entry("ultralytics", name, family[0], (side, side))


LISTS: dict[str, Callable[[], Iterator[Entry]]] = {
    "padviz": _padviz,
    "timm": _timm,
    "torchvision": _torchvision,
    "smp": _smp,
    "monai": lambda: _listed("monai"),
    "ultralytics": _ultralytics,
    "diffusers": lambda: _listed("diffusers"),
}


class Beside(nn.Module):
    """A network of an image and something beside it, which is made for each image; of several
    answers, the last.
    """

    def __init__(self, inner: nn.Module, beside: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.beside = inner, beside

    def forward(self, image: Tensor) -> Any:
        out = self.inner(image, self.beside(image))
        return out[-1] if isinstance(out, list) else out


class RoundTrip(nn.Module):
    """What an autoencoder makes of an image: encoded, and decoded again."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image: Tensor) -> Any:
        return self.inner(image).sample


def _build_padviz(entry: Entry) -> Any:
    import padviz

    return padviz.load(entry.name)


def _build_timm(entry: Entry) -> nn.Module:
    import timm

    return timm.create_model(entry.name, pretrained=False)


def _build_torchvision(entry: Entry) -> nn.Module:
    from torchvision import models

    options: dict[str, Any] = {"weights": None}
    if entry.name in models.list_models(module=models.segmentation):
        options["weights_backbone"] = None
    detector = entry.name in models.list_models(module=models.detection)
    if detector:
        options["weights_backbone"] = None
    if entry.name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    network: Any = models.get_model(entry.name, **options)
    if detector:
        return network.backbone  # what stands before the anchors, whose number depends on weights
    if entry.name.startswith("raft"):
        return Beside(network, torch.ones_like)
    return network


def _build_smp(entry: Entry) -> nn.Module:
    import segmentation_models_pytorch as smp

    decoder, encoder = entry.name.split()
    return getattr(smp, decoder)(encoder, encoder_weights=None, classes=2)


def _build_listed(entry: Entry) -> nn.Module:
    """Build a network from the class and the arguments in the list."""
    given = tomllib.loads(ARGUMENTS.read_text())[entry.library][entry.name]
    kind = getattr(import_module(MODULES[entry.library]), given.get("class", entry.name))
    arguments = {key: _as_tuple(value) for key, value in given.get("with", {}).items()}
    network = kind(**arguments)
    part = given.get("part")
    if part == "round trip":
        return RoundTrip(network)
    return getattr(network, part) if part else network


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_as_tuple, value))
    return value


def _build_ultralytics(entry: Entry) -> nn.Module:
    from ultralytics import RTDETR, YOLO
    from ultralytics.utils import LOGGER

    LOGGER.setLevel("ERROR")
    kind = RTDETR if "rtdetr" in entry.name else YOLO
    return kind(f"{entry.name}.yaml").model


BUILDERS: dict[str, Callable[[Entry], Any]] = {
    "padviz": _build_padviz,
    "timm": _build_timm,
    "torchvision": _build_torchvision,
    "smp": _build_smp,
    "monai": _build_listed,
    "ultralytics": _build_ultralytics,
    "diffusers": _build_listed,
}
