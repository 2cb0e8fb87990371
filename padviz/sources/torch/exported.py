"""Programs that torch.export saved, as .pt2 files: their graph is followed, and nothing in them is
unpickled.

What torch.export.load makes of a file can run code in it: weights and constants may be pickled,
sizes are expressions that are evaluated, and an operation may be any function by its name. So the
graph is read of its JSON here; weights and constants are tensors without data, and only PyTorch's
own operations on tensors are called.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from padviz.errors import DescriptionError, printable
from padviz.files.archives import BROKEN, member, unpacked
from padviz.network.network import Network, Size, as_size
from padviz.sources.torch.load import trace
from padviz.sources.torch.tensors import Args, Function, Kwargs
from padviz.sources.tracing.arranging import Malformed
from padviz.sources.tracing.reading import AS_IT_IS, Reading
from padviz.sources.tracing.trace import foreign_network

Json = Mapping[str, Any]  # of a file: what it lacks raises one of `WORN`
Known = Mapping[str, object]  # results by name
PATH = re.compile(r"\w+(?:\.\w+){0,63}", re.ASCII)
GRAPHS = re.compile(r"(?:[^/]+/)?(?:models/[^/]+\.json|serialized_exported_program\.json)")
MOST_BYTES = 1 << 24  # of a graph
MOST_CALLS = 10_000
HINT = "save it again: torch.export.save(torch.export.export(module, (image,)), FILE)"
DTYPES = dict(
    enumerate(
        (
            torch.uint8,
            torch.int8,
            torch.int16,
            torch.int32,
            torch.int64,
            torch.half,
            torch.float,
            torch.double,
        ),
        1,
    )
) | {12: torch.bool, 13: torch.bfloat16}
WORN = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
)  # of JSON that is malformed
MOST_PARTS = 1 << 16  # that a tensor may be split into
MOST_NUMBER = 1 << 62
OPEN = 2**63 - 1  # the end of a slice that has none, as PyTorch 2.7 writes it
ATEN = re.compile(r"torch\.ops\.aten\.([a-z_]\w*)\.(\w+)", re.ASCII)
FACTORIES = frozenset(
    (
        "arange",
        "empty",
        "eye",
        "full",
        "linspace",
        "ones",
        "rand",
        "randint",
        "randn",
        "scalar_tensor",
        "zeros",
    )
)
CHECKS = frozenset(
    (
        "_assert_async",
        "_assert_scalar",
        "_assert_tensor_metadata",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    )
)
ON_NUMBERS = (
    "add",
    "sub",
    "mul",
    "floordiv",
    "truediv",
    "mod",
    "neg",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
)
NUMBERS: Mapping[str, Function] = {
    f"_operator.{name}": getattr(operator, name) for name in ON_NUMBERS
} | {
    "math.trunc": int,
    "torch.sym_float": float,
    "torch.sym_int": int,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_not": operator.not_,
}
SETTINGS = {"as_none": None, "as_device": torch.device("meta"), "as_layout": torch.strided}
FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}


def load_program(
    path: str | Path, reading: Reading = AS_IT_IS, size: Size | None = None
) -> Network:
    """Load a .pt2 file of torch.export.save; errors name the file, and the operation where there is
    one.
    """
    where = str(path)
    with unpacked(path, "a .pt2 file") as archive:
        names = [name for name in archive.namelist() if GRAPHS.fullmatch(name)]
        if len(names) != 1:
            what = f"holds {len(names)} graphs" if names else "holds no graph of torch.export"
            raise DescriptionError(what, where=where, hint=HINT)
        try:
            content = member(archive, names[0], MOST_BYTES)
        except BROKEN:
            raise DescriptionError(
                "has a graph that cannot be read", where=where, hint=HINT
            ) from None
    try:
        program = Program(json.loads(content), reading, where).eval()
    except RecursionError:
        raise DescriptionError("is nested too deeply", where=where) from None
    except (Malformed, *WORN) as error:
        what = f"has a malformed graph ({' '.join(str(error).split())[:120]})"
        raise DescriptionError(what, where=where, hint=HINT) from None
    follow = partial(trace, program, where, Reading(reading.neutral), program.channels)
    pixels = as_size(size or program.exported_at)
    return foreign_network(follow, printable(Path(path).stem), pixels, where, program.size)


def _empty(meta: Json) -> Tensor:
    return torch.empty([*map(_hinted, meta["sizes"])], dtype=DTYPES[meta["dtype"]], device="meta")


def _hinted(size: Json) -> int:
    """Read a size, or, of an open one, that of the example which was exported."""
    return _whole(size["as_int"] if "as_int" in size else size["as_expr"]["hint"]["as_int"])


def _whole(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise Malformed("a size is not a whole number, or too large")
    return value


def _tensors(args: Sequence[Json]) -> list[str]:
    return [arg["as_tensor"]["name"] for arg in args if "as_tensor" in arg]


def _path(node: Json) -> str:
    stack = str((node.get("metadata") or {}).get("nn_module_stack", "")).split(";")[-1].split(",")
    if len(stack) > 1 and PATH.fullmatch(stack[1]):
        return stack[1]
    return ""


class Submodule(nn.Module):
    """A module of the program, within which its operations are called."""

    def forward(self, op: Function, args: Args, kwargs: Kwargs) -> object:
        return op(*args, **kwargs)


class Program(nn.Module):
    """A graph as a module whose forward calls its operations in order; tensors that it `kept` have
    no data.

    The `size` of the image is 0 where it is open; `exported_at` is that of the example.
    """

    def __init__(self, content: Json, reading: Reading, where: str) -> None:
        super().__init__()
        graph, signature = (content["graph_module"][key] for key in ("graph", "signature"))
        self.nodes = graph["nodes"]
        if not isinstance(self.nodes, list) or len(self.nodes) > MOST_CALLS:
            raise Malformed(f"it has no nodes, or more than {MOST_CALLS}")
        metas = graph["tensor_values"]
        given = _tensors(
            [spec.get("user_input", {}).get("arg", {}) for spec in signature["input_specs"]]
        )
        reading.check(given, where, shaped=False)
        able = given
        if reading.image:
            able = [reading.image]
        self.image = next(
            (name for name in able if len(metas.get(name, {}).get("sizes", ())) == 4), ""
        )
        if not self.image:
            raise Malformed("it has no image")
        names = _tensors(graph["inputs"])
        self.kept = {name: _empty(metas[name]) for name in names if name != self.image}
        sizes = metas[self.image]["sizes"]
        (_, channels, *size), (_, _, *hinted) = (
            [_whole(n.get("as_int", 0)) for n in sizes],
            [*map(_hinted, sizes)],
        )
        self.channels, self.size, self.exported_at = channels or 3, tuple(size), tuple(hinted)
        self.outputs = _tensors(graph["outputs"])
        dtype = _empty(metas[self.image]).dtype
        self.of_image = nn.Parameter(
            torch.empty(0, dtype=dtype, device="meta"), requires_grad=False
        )
        self.parts = self._add_submodules({_path(node) for node in self.nodes} - {""})

    def _add_submodules(self, paths: set[str]) -> dict[str, nn.Module]:
        """Add a module at each path, within which operations are called; return them by path."""
        if sum(path.count(".") for path in paths) > 10 * MOST_CALLS:
            raise Malformed("its modules are nested too deeply")
        parts: dict[str, nn.Module] = {}
        for path in sorted(paths):
            module: nn.Module = self
            for name in path.split("."):
                module = cast("nn.Module", module._modules.setdefault(name, Submodule()))
            parts[path] = module
        return parts

    def forward(self, image: Tensor) -> list[Tensor]:
        known: dict[str, object] = {**self.kept, self.image: image}
        for node in self.nodes:
            try:
                result = self._call(node, known)
            except Malformed as error:
                raise Malformed(f"{node.get('target')}: {error}") from None
            known |= by_name(node["outputs"], result)
        outputs = (known.get(name) for name in self.outputs)
        return [output for output in outputs if isinstance(output, Tensor)]

    def _call(self, node: Json, known: Known) -> object:
        target = str(node["target"])
        given = [(str(arg["name"]), value_of(arg["arg"], known)) for arg in node["inputs"]]
        if target in NUMBERS:
            values = [value for _, value in given]
            if not all(isinstance(value, int | float) for value in values):
                # of text or lists, arithmetic could make any length
                raise Malformed("takes numbers only")
            return number(NUMBERS[target](*values))
        op = operation(target)
        if op is None:
            return None
        if op is torch.ops.aten.sym_size.int:
            return cast("Tensor", given[0][1]).shape[cast("int", given[1][1])]
        args, kwargs = arguments(op, given)
        path = _path(node)
        if path:
            return self.parts[path](op, args, kwargs)
        return op(*args, **kwargs)


def operation(target: str) -> OpOverload | None:
    """Return an operation of PyTorch on tensors; None for a check, which does nothing."""
    match = ATEN.fullmatch(target)
    op = None
    if match:
        op = getattr(getattr(torch.ops.aten, match[1], None), match[2], None)
    if match and match[1] in CHECKS:
        return None
    if not isinstance(op, OpOverload):
        raise Malformed("is not an operation of PyTorch's own")
    reads = any(
        str(arg.type) in ("Tensor", "List[Tensor]", "List[Optional[Tensor]]")
        for arg in op._schema.arguments
    )
    if not reads and match and match[1] not in FACTORIES:
        raise Malformed("is not an operation on tensors")
    return op


def arguments(
    op: OpOverload, given: Sequence[tuple[str, object]]
) -> tuple[list[object], dict[str, object]]:
    """Sort arguments as the operation takes them; all that it makes has no data."""
    schema = {arg.name: arg for arg in op._schema.arguments}
    args = list[object]()
    for (name, value), expected in zip(given, op._schema.arguments, strict=False):
        if name != expected.name or expected.kwarg_only:
            break
        args.append(value)
    kwargs = dict(given[len(args) :])
    if not kwargs.keys() <= schema.keys():
        raise Malformed("takes other arguments")
    if "device" in schema and "device" not in [name for name, _ in given[: len(args)]]:
        kwargs["device"] = torch.device("meta")
    if _makes_lists(op):
        tensors = [value for value in args if isinstance(value, Tensor)]
        if max((max(tensor.shape, default=0) for tensor in tensors), default=0) > MOST_PARTS:
            raise Malformed(f"may make more than {MOST_PARTS} parts")
    return args, kwargs


def _makes_lists(op: OpOverload) -> bool:
    kinds = [str(out.type) for out in op._schema.returns]
    return any("[]" in kind or "List" in kind for kind in kinds)


def value_of(arg: Json, known: Known) -> object:
    ((kind, value),) = arg.items()
    match kind:
        case "as_tensor":
            return known[value["name"]]
        case "as_name":
            return known[value]
        case "as_tensors":
            return [known[one["name"]] for one in value]
        case "as_optional_tensors" | "as_sym_ints" | "as_sym_floats" | "as_sym_bools":
            return [value_of(one, known) for one in value]
        case "as_sym_int" | "as_sym_float" | "as_sym_bool":
            return value_of(value, known)
        case "as_int" | "as_float" | "as_bool":
            return number(value)
        case "as_ints" | "as_floats" | "as_bools":
            return [*map(number, value)]
        case "as_string":
            return str(value)
        case "as_memory_format" | "as_scalar_type":
            return (DTYPES if kind == "as_scalar_type" else FORMATS)[value]
        case _ if kind in SETTINGS:
            return SETTINGS[kind]
    raise Malformed("takes an argument that is not known")


def number(value: object) -> int | float:
    if not isinstance(value, int | float):
        raise Malformed("is not a number")
    if value == OPEN:
        return MOST_NUMBER
    if isinstance(value, int) and abs(value) > MOST_NUMBER:
        raise Malformed("has a number that is too large")
    return value


def by_name(outputs: Sequence[Json], result: object) -> dict[str, object]:
    values: Sequence[object] = [result]
    if isinstance(result, list | tuple) and len(outputs) != 1:
        values = result
    named: dict[str, object] = {}
    for output, value in zip(outputs, values, strict=False):
        ((kind, target),) = output.items()
        if kind == "as_tensors":
            parts = cast("Sequence[object]", value)
            named |= {one["name"]: part for one, part in zip(target, parts, strict=False)}
        elif kind in ("as_tensor", "as_sym_int", "as_sym_bool", "as_sym_float"):
            named[target.get("name", target.get("as_name", ""))] = value
    return named
