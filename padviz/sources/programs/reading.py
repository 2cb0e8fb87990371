"""The graph in a .pt2 file of torch.export.save, read of its JSON: nothing is unpickled, and no size is evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor

from padviz.errors import DescriptionError
from padviz.files.packed import BROKEN, member, unpacked
from padviz.network.network import Size
from padviz.sources.tracing.reading import AS_IT_IS, Reading

GRAPHS = re.compile(r"(?:[^/]+/)?(?:models/[^/]+\.json|serialized_exported_program\.json)")
MOST_BYTES = 1 << 24  # of a graph
MOST_CALLS = 10_000
HINT = "save it anew: torch.export.save(torch.export.export(module, (image,)), FILE)"
DTYPES = dict(enumerate(
    (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.half, torch.float, torch.double), 1
)) | {12: torch.bool, 13: torch.bfloat16}  # fmt: skip
WORN = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)  # of JSON that is malformed


class Malformed(Exception):
    """What a file says makes no sense, or is not called here."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A graph: its nodes, tensors that are `kept` without data, what it returns, and its image.

    The `size` of that is 0 where it is open; then it was `exported_at` another.
    """

    nodes: Sequence[Mapping[str, Any]]
    kept: Mapping[str, Tensor]
    image: str
    channels: int
    size: Size
    exported_at: Size
    dtype: torch.dtype
    outputs: Sequence[str]


def program_in(path: str | Path, reading: Reading = AS_IT_IS) -> Program:
    """Read the graph in a .pt2 file."""
    with unpacked(path, "a .pt2 file") as archive:
        content = _graph_in(archive, str(path))
    try:
        return _program(json.loads(content), reading, str(path))
    except RecursionError:
        raise DescriptionError("is nested too deeply", where=str(path)) from None
    except (Malformed, *WORN) as error:
        what = f"has a graph that makes no sense ({' '.join(str(error).split())[:120]})"
        raise DescriptionError(what, where=str(path), hint=HINT) from None


def _graph_in(archive: ZipFile, where: str) -> bytes:
    names = [name for name in archive.namelist() if GRAPHS.fullmatch(name)]
    if len(names) != 1:
        what = f"holds {len(names)} graphs" if names else "holds no graph of torch.export"
        raise DescriptionError(what, where=where, hint=HINT)
    try:
        return member(archive, names[0], MOST_BYTES)
    except BROKEN:
        raise DescriptionError("has a graph that cannot be read", where=where, hint=HINT) from None


def _program(content: Any, reading: Reading, where: str) -> Program:
    graph, signature = (content["graph_module"][key] for key in ("graph", "signature"))
    nodes = graph["nodes"]
    if not isinstance(nodes, list) or len(nodes) > MOST_CALLS:
        raise Malformed(f"it has no nodes, or more than {MOST_CALLS}")
    metas = graph["tensor_values"]
    given = [_user_input(spec) for spec in signature["input_specs"]]
    reading.check_unshaped(filter(None, given), where)
    able = [reading.image] if reading.image else given
    images = [name for name in able if name and len(metas.get(name, {}).get("sizes", ())) == 4]
    if not images:
        raise Malformed("it has no image")
    names = [arg["as_tensor"]["name"] for arg in graph["inputs"] if "as_tensor" in arg]
    kept = {name: _empty(metas[name]) for name in names if name != images[0]}
    sizes = metas[images[0]]["sizes"]
    (_, channels, *size), (_, _, *hinted) = [_whole(n.get("as_int", 0)) for n in sizes], [*map(_hinted, sizes)]
    outputs = [arg["as_tensor"]["name"] for arg in graph["outputs"] if "as_tensor" in arg]
    image = _empty(metas[images[0]]).dtype
    return Program(nodes, kept, images[0], channels or 3, (size[0], size[1]), (hinted[0], hinted[1]), image, outputs)


def _user_input(spec: Mapping[str, Any]) -> str:
    """Name the tensor that a user gives; nothing where the program has it."""
    arg = spec.get("user_input", {}).get("arg", {})
    return str(arg["as_tensor"]["name"]) if "as_tensor" in arg else ""


def _empty(meta: Mapping[str, Any]) -> Tensor:
    return torch.empty([*map(_hinted, meta["sizes"])], dtype=DTYPES[meta["dtype"]], device="meta")


def _hinted(size: Mapping[str, Any]) -> int:
    """Read a size, or, of an open one, that of the example which was exported."""
    return _whole(size["as_int"] if "as_int" in size else size["as_expr"]["hint"]["as_int"])


def _whole(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise Malformed("a size is no whole number, or too large a one")
    return value
