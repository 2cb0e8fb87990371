"""Programs that torch.export saved, as .pt2 files: their graph is followed, and nothing in them is unpickled.

What torch.export.load makes of a file can run code in it: weights and constants may be pickled, sizes are expressions
that are evaluated, and an operation may be any function by its name. So the graph is read of its JSON here; weights and
constants are tensors without data, and only PyTorch's own operations on tensors are called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from padviz.errors import printable
from padviz.network.network import Network, Size, as_size
from padviz.sources.programs.calling import NUMBERS, arguments, compute, named, operation, value_of
from padviz.sources.programs.reading import Malformed, Program, program_in
from padviz.sources.torch.load import trace
from padviz.sources.tracing.foreign import Foreign
from padviz.sources.tracing.reading import AS_IT_IS, Reading

PATH = re.compile(r"\w+(?:\.\w+)*", re.ASCII)


class Part(nn.Module):
    """A module of the program, by whose path its operations are called; `inner` are those inside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = 0

    def children(self) -> Iterator[nn.Module]:
        return iter([self] * self.inner)

    def forward(self, op: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return op(*args, **kwargs)


class Followed(nn.Module):
    """A program as a module whose forward calls its operations in order."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        self.of_image = nn.Parameter(torch.empty(0, dtype=program.dtype, device="meta"), requires_grad=False)
        paths = {_path(node) for node in program.nodes} - {""}
        self.parts = {path: Part() for path in sorted(paths)}
        for path in paths:
            if (outer := path.rpartition(".")[0]) in self.parts:
                self.parts[outer].inner = 1

    def named_modules(self, *args: Any, **options: Any) -> Iterator[tuple[str, nn.Module]]:
        yield "", self
        yield from self.parts.items()

    def forward(self, image: Tensor) -> Any:
        known: dict[str, Any] = {**self.program.kept, self.program.image: image}
        for node in self.program.nodes:
            try:
                made = self._called(node, known)
            except Malformed as error:
                raise Malformed(f"{node.get('target')}: {error}") from None
            known |= named(node["outputs"], made)
        return [known[name] for name in self.program.outputs if isinstance(known.get(name), Tensor)]

    def _called(self, node: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
        target = str(node["target"])
        given = [(str(arg["name"]), value_of(arg["arg"], known)) for arg in node["inputs"]]
        if target in NUMBERS:
            return compute(target, [value for _, value in given])
        op = operation(target)
        if op is None:
            return None
        if op is torch.ops.aten.sym_size.int:
            return given[0][1].shape[given[1][1]]
        args, kwargs = arguments(op, given)
        part = self.parts.get(_path(node))
        return part(op, args, kwargs) if part else op(*args, **kwargs)


def load_program(path: str | Path, reading: Reading = AS_IT_IS, size: Size | None = None) -> Network:
    """Load a .pt2 file of torch.export.save; see `padviz.load`.

    Raises
    ------
    DescriptionError
        Naming the file, and the operation where there is one.
    """
    where, program = str(path), program_in(path, reading)
    module = Followed(program).eval()
    follow = partial(trace, module, where, Reading(reading.neutral), program.channels)
    network = Foreign(follow, printable(Path(path).stem), where, program.size)
    return network.at(as_size(size or program.exported_at))


def _path(node: Mapping[str, Any]) -> str:
    """Name the module that an operation is called in, as the program remembers it."""
    stack = str((node.get("metadata") or {}).get("nn_module_stack", "")).split(";")[-1].split(",")
    return stack[1] if len(stack) > 1 and PATH.fullmatch(stack[1]) else ""
