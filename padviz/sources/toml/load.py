"""The networks of the zoo, and TOML files."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from padviz.errors import DescriptionError, UnknownName, nearest, printable
from padviz.files.opened import read_file
from padviz.network.network import Network
from padviz.sources.toml.build import DEEPEST, parse

_HERE = Path(__file__).resolve().parents[2]
CONFIGS = next((p for p in (_HERE / "configs", _HERE.parent / "configs") if p.is_dir()), _HERE / "configs")
MOST_BYTES = 4 << 20  # of a description, or of a manifest
TORCHVISION = {  # modules and names of its networks; importing it to look them up takes seconds
    "torchvision.models.detection": r"(fasterrcnn|fcos|keypointrcnn|maskrcnn|retinanet)_\w+|ssdlite\w+",
    "torchvision.models.segmentation": r"(deeplabv3|fcn|lraspp)_\w+",
    "torchvision.models": r"convnext_\w+|efficientnet_\w+|regnet_\w+|resnext\w+|swin_(v2_)?[tsb]|vit_[bhl]_\d+",
}
LONG_KEY = re.compile(  # a.b.c..., on which tomllib takes quadratic time
    rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{DEEPEST}}}"""
)


def zoo() -> list[str]:
    return sorted(path.stem for path in (CONFIGS / "networks").glob("*.toml"))


def load_config(name_or_path: str | Path) -> Network:
    """Load a network of the zoo by name, or a TOML description by path; raise `UnknownName` for anything else.

    >>> load_config("ResNet-50").title
    'ResNet-50'
    """
    text = str(name_or_path)
    if text not in zoo() and "\0" not in text and text and os.path.isdir(text):
        raise UnknownName("is a folder, not a network", where=text, hint="name a .onnx or .toml file in it")
    if isinstance(name_or_path, Path) or text.lower().endswith(".toml") or "/" in text:
        return read_network(Path(text), text)
    name = {_plain(name): name for name in zoo()}.get(_plain(text))
    if name:
        return read_network(CONFIGS / "networks" / f"{name}.toml", name)
    raise UnknownName(f"no network is called {text!r}", hint=_suggestion(text))


def _suggestion(text: str) -> str:
    if re.fullmatch(r"\d+", text):
        return f"write `size` 224x{text} for a size, or 224,{text} for several"
    if text.endswith("()"):
        return "leave out the brackets"
    if re.fullmatch(r"[a-z]\w*(\.\w+)+", text) and not text.endswith((".onnx", ".keras", ".pt2")):
        return f"write a colon before a module's name: {':'.join(text.rsplit('.', 1))}"
    if text.lower().startswith("yolo"):
        return f"write ultralytics:YOLO:{text}.yaml, or export it to ONNX and give that file"
    for home, names in TORCHVISION.items():
        if re.fullmatch(names, text):
            return f"write {home}:{text}"
    near = nearest(text.lower(), zoo())
    if not near or re.match("(vit|swin|detr|unet)", text.lower()):
        near = "export it to ONNX and give that file, or write torchvision.models:NAME;"
    return f"{near} padviz layers lists all names; a file of your own ends in .onnx, .keras, .pt2 or .toml"


def _plain(name: str) -> str:
    """Drop what people spell differently: capitals, hyphens and blanks."""
    return re.sub(r"[-_ .]", "", name).lower()


def read_network(path: Path, where: str) -> Network:
    raw = read_toml(path)
    if "layers" not in raw and not raw.keys().isdisjoint(("maps", "compare", "kernel")):
        raise DescriptionError("is an export's manifest, not a network", where=where, hint="give it to padviz export")
    return parse(raw, printable(path.stem), where)


def read_toml(path: str | Path, kind: str = "a TOML description") -> dict[str, Any]:
    try:
        text = read_file(path, kind, MOST_BYTES).decode()
        if LONG_KEY.search(text):
            raise DescriptionError("is nested too deeply", where=str(path), hint="give each key a few parts")
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        what = f"is not valid TOML: {' '.join(str(error).split())}"
        raise DescriptionError(what, where=str(path), hint="fix it there") from None
