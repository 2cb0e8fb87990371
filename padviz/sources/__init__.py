"""Readers of networks, from the zoo, files and modules."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from padviz.errors import DescriptionError, UnknownName, typed
from padviz.network.network import Network, Size, as_size
from padviz.phrases import some_names
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
        raise _not_a_network(source)
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
        hint = f"name one{_made_in(Path(source))}"
        raise DescriptionError("is code that makes networks", where=str(source), hint=hint)
    code = Path(f"{str(source).rstrip(':')}.py")
    if str(source) not in zoo() and code.is_file():
        hint = f"name one of {typed(code)}{_made_in(code)}"
        raise UnknownName(f"no network is called {str(source)!r}", hint=hint)
    reading.check_alone(str(source), "a description has one input, the image")
    return load_config(source)


def _not_a_network(source: object) -> UnknownName:
    what = f"an object of type {type(source).__name__} is not a network"
    hint = "give the module itself, or a name of the zoo, or the path of a file"
    if isinstance(source, type):
        what = f"{source.__name__} is a class, not a network"
        hint = f"give {source.__name__}()"
    elif isinstance(source, ModuleType):
        what = f"{source.__name__} is a Python module, not a network"
        hint = "give one of the networks in it"
    elif isinstance(source, Mapping):
        hint = "these are weights: give the module, after module.load_state_dict(...)"
    return UnknownName(what, hint=hint)


def _made_in(path: Path) -> str:
    """List the package.module:attribute of the networks in a file of code, as far as its text tells
    them.

    >>> _made_in(Path("nets/mine.py"))
    ', such as nets.mine:Net'
    """
    home = ".".join(path.with_suffix("").parts)
    tree = ast.Module([], [])
    with suppress(OSError, ValueError, SyntaxError):
        tree = ast.parse(path.read_bytes())
    names = _networks_in(tree)
    if names:
        return f": {some_names([typed(f'{home}:{name}') for name in names])}"
    return f", such as {typed(f'{home}:Net')}"


def _networks_in(tree: ast.Module) -> list[str]:
    """Return the names of PyTorch modules that are defined, or else of functions and variables."""
    modules: list[str] = []
    others: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            if any(base.endswith("Module") or base in modules for base in bases):
                modules.append(node.name)
        elif isinstance(node, ast.FunctionDef):
            others.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            others.append(node.targets[0].id)
    return modules or [name for name in others if not name.startswith("_")]


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
