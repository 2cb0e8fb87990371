"""Where networks come from: each source turns what a person names into a `Network`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from padviz.errors import DescriptionError, UnknownName
from padviz.network.network import Network, Size, as_size
from padviz.sources.elsewhere import format_of, refusal
from padviz.sources.tracing.reading import AS_IT_IS, Reading

if TYPE_CHECKING:
    from torch import nn

MODULE = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*(:[\w./-]+)?")  # package.module:attribute, and what it is called with
WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors")


def load(
    source: str | Path | Network | nn.Module,
    size: int | Sequence[int] | None = None,
    reading: Reading = AS_IT_IS,
) -> Network:
    """Load a network: a name of the zoo, a TOML, ONNX, .keras or .pt2 file, a module, or a network as it is.

    `padviz.load` says what each argument is.

    >>> load("resnet18").targets
    ('layer4.1',)
    """
    if isinstance(source, Network):
        return source.at(size)
    return _loaded(source, reading, None if size is None else as_size(size)).at(size)


def _loaded(source: str | Path | nn.Module, reading: Reading, size: Size | None) -> Network:
    from padviz.sources.toml.load import load_config, zoo

    if is_keras(source):
        from padviz.sources.keras.load import load_model

        return load_model(source, reading, size)
    if is_module(source) or (isinstance(source, str) and MODULE.fullmatch(source)):
        return _from_torch(source, reading, size)
    if not isinstance(source, str | Path):
        hint = "give the module itself, or a name of the zoo, or the path of a file"
        if isinstance(source, Mapping):
            hint = "these are weights: give the module, after module.load_state_dict(...)"
        raise UnknownName(f"an object of type {type(source).__name__} is no network", hint=hint)
    kind, name = "" if str(source) in zoo() else format_of(source), str(source).lower()
    if kind == "program":
        return _from_torch(source, reading, size)
    if kind == "keras":
        from padviz.sources.keras.load import load_keras

        return load_keras(source, reading, size)
    if kind:
        raise refusal(kind, source)
    if name.endswith(".onnx"):
        from padviz.sources.onnx.load import load_onnx

        return load_onnx(source, reading, size)
    if name.endswith(".py"):
        hint = f"name it {_module_in(Path(source))}"
        raise DescriptionError("is code that makes networks", where=str(source), hint=hint)
    reading.check_alone(str(source), "a description has one input, the image")
    return load_config(source)


def _module_in(path: Path) -> str:
    """Name a module's code as package.module:attribute: the first class of a file that is made of another.

    >>> _module_in(Path("nets/mine.py"))
    'nets.mine:Net'
    """
    classes: list[str] = []
    with suppress(OSError, ValueError):
        classes = re.findall(r"^class (\w+)\(.+\)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return f"{'.'.join(path.with_suffix('').parts)}:{[*classes, 'Net'][0]}"


def _from_torch(source: nn.Module | str | Path, reading: Reading, size: Size | None) -> Network:
    try:
        from padviz.sources.torch.exported import load_program
        from padviz.sources.torch.load import load_module
    except ImportError:
        raise DescriptionError(
            "needs PyTorch", where=str(source), hint="install it: pip install 'padviz[torch]'"
        ) from None
    if isinstance(source, Path) or (isinstance(source, str) and not MODULE.fullmatch(source)):
        return load_program(source, reading, size)
    return load_module(source, reading, size)


def shadowing(source: str) -> str:
    """Warn, in a sentence, where a module in the current folder hides the installed one that a name means."""
    if not MODULE.fullmatch(source):
        return ""
    top = source.partition(":")[0].partition(".")[0]
    here = os.getcwd()
    local = PathFinder.find_spec(top, [here])
    other = PathFinder.find_spec(top, [path for path in sys.path if path not in ("", here)])
    if local is None or other is None or other.origin == local.origin:
        return ""
    return f"{source}: {top} is {local.origin or top}, of this folder, and hides the {top} that is installed"


def is_module(source: object) -> bool:
    """Tell whether it is a PyTorch module; where PyTorch is not loaded, nothing is.

    >>> is_module("resnet18")
    False
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def is_keras(source: object) -> bool:
    """Tell whether it is a model of Keras, which is not loaded for that.

    >>> is_keras("resnet18")
    False
    """
    homes = [kind.__module__.partition(".")[0] for kind in type(source).__mro__]
    return hasattr(source, "to_json") and not {*homes}.isdisjoint(("keras", "tf_keras"))


def load_at(source: str | Path | Network | nn.Module, size: int | Sequence[int] | None) -> tuple[Network, Size]:
    """Load a network, and read the size asked for: its own where none is.

    >>> load_at("inception_v3", None)[1]
    (299, 299)
    """
    network = load(source, size)
    return network, network.pixels(size)
