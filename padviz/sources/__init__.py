"""Readers of networks, from the zoo, files and modules."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from padviz.errors import DescriptionError, UnknownName
from padviz.network.network import Network, Size, as_size
from padviz.sources.formats import format_of, refusal
from padviz.sources.tracing.reading import AS_IT_IS, Reading

if TYPE_CHECKING:
    from torch import nn

    from padviz.sources.keras.load import KerasModel

Source: TypeAlias = "str | Path | Network | nn.Module"  # a network, or what it is read from
# package.module:attribute, and :argument
MODULE = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*(:[\w./-]+)?")
WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors")


def load(
    source: Source, size: int | Sequence[int] | None = None, reading: Reading = AS_IT_IS
) -> Network:
    """Load a network from a name of the zoo, a TOML, ONNX, .keras or .pt2 file, or a module; see
    `padviz.load`.
    """
    if isinstance(source, Network):
        return source.at(size)
    return _read(source, reading, None if size is None else as_size(size)).at(size)


def _read(source: str | Path | nn.Module, reading: Reading, size: Size | None) -> Network:
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
        raise UnknownName(f"an object of type {type(source).__name__} is not a network", hint=hint)
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
    """Guess the package.module:attribute of a network in a file: its first derived class.

    >>> _module_in(Path("nets/mine.py"))
    'nets.mine:Net'
    """
    derived = None
    with suppress(OSError, ValueError):
        derived = re.search(r"^class (\w+)\(.+\)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return f"{'.'.join(path.with_suffix('').parts)}:{derived[1] if derived else 'Net'}"


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
    """Return a warning if a module in the current folder hides an installed one of the same name,
    or "".
    """
    if not MODULE.fullmatch(source):
        return ""
    top = source.partition(":")[0].partition(".")[0]
    here = os.getcwd()
    local = PathFinder.find_spec(top, [here])
    other = PathFinder.find_spec(top, [path for path in sys.path if path not in ("", here)])
    if local is None or other is None or other.origin == local.origin:
        return ""
    return (
        f"{source}: {top} is {local.origin or top}, of this folder, and hides the {top} that is "
        "installed"
    )


def is_module(source: object) -> TypeGuard[nn.Module]:
    """Return whether it is a PyTorch module; PyTorch is not imported for that."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def is_keras(source: object) -> TypeGuard[KerasModel]:
    """Return whether it is a Keras model; Keras is not imported for that."""
    homes = [kind.__module__.partition(".")[0] for kind in type(source).__mro__]
    return hasattr(source, "to_json") and not {*homes}.isdisjoint(("keras", "tf_keras"))


def load_at(
    source: str | Path | Network | nn.Module, size: int | Sequence[int] | None
) -> tuple[Network, Size]:
    """Load a network, and return it with the size asked for, by default its own."""
    network = load(source, size)
    return network, network.pixels(size)
