"""Operations that an exported program may call: PyTorch's own on tensors, and arithmetic on sizes."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from padviz.sources.programs.reading import DTYPES, Malformed

MOST_PARTS = 1 << 16  # that a tensor may be split into
MOST_NUMBER = 1 << 62
ATEN = re.compile(r"torch\.ops\.aten\.([a-z_]\w*)\.(\w+)", re.ASCII)
FACTORIES = frozenset(
    ("arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "scalar_tensor", "zeros")
)
CHECKS = frozenset(("_assert_async", "_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range",
                    "sym_constrain_range_for_size"))  # fmt: skip
ON_NUMBERS = ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge")
NUMBERS: Mapping[str, Callable[..., Any]] = {
    **{f"_operator.{name}": getattr(operator, name) for name in ON_NUMBERS},
    "math.trunc": int,
    "torch.sym_float": float,
    "torch.sym_int": int,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_not": operator.not_,
}
FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}


def operation(target: str) -> OpOverload | None:
    """Find an operation of PyTorch's own on tensors; None for a check, which does nothing."""
    match = ATEN.fullmatch(target)
    op = getattr(getattr(torch.ops.aten, match[1], None), match[2], None) if match else None
    if match and match[1] in CHECKS:
        return None
    if not isinstance(op, OpOverload):
        raise Malformed("is no operation of PyTorch's own")
    reads = any(str(arg.type) in ("Tensor", "List[Tensor]", "List[Optional[Tensor]]") for arg in op._schema.arguments)
    if not reads and match and match[1] not in FACTORIES:
        raise Malformed("is no operation on tensors")
    return op


def arguments(op: OpOverload, given: Sequence[tuple[str, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """Sort arguments as the operation takes them; all that it makes has no data."""
    schema = {arg.name: arg for arg in op._schema.arguments}
    args, kwargs = list[Any](), dict[str, Any]()
    for (name, value), expected in zip(given, op._schema.arguments, strict=False):
        if name != expected.name or expected.kwarg_only:
            break
        args.append(value)
    kwargs = dict(given[len(args) :])
    if not kwargs.keys() <= schema.keys():
        raise Malformed("takes other arguments")
    if "device" in schema and "device" not in [name for name, _ in given[: len(args)]]:
        kwargs["device"] = torch.device("meta")
    if any("[]" in str(out.type) or "List" in str(out.type) for out in op._schema.returns):
        sides = [n for value in args if isinstance(value, Tensor) for n in value.shape]
        if max(sides, default=0) > MOST_PARTS:
            raise Malformed(f"may make more than {MOST_PARTS} parts")
    return args, kwargs


def compute(target: str, values: Sequence[Any]) -> Any:
    """Compute with sizes; of text or lists, arithmetic could make any length."""
    if not all(isinstance(value, int | float) for value in values):
        raise Malformed("is for numbers")
    return number(NUMBERS[target](*values))


def value_of(arg: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """Read one argument: a number, a tensor that is known, or a list of them."""
    ((kind, value),) = arg.items()
    if kind in PLAIN:
        return PLAIN[kind](value)
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
    raise Malformed("takes an argument that is not known")


def number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise Malformed("is no number")
    if isinstance(value, int) and abs(value) > MOST_NUMBER:
        raise Malformed("counts too far")
    return value


def _numbers(values: Sequence[Any]) -> list[Any]:
    return [*map(number, values)]


PLAIN: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("as_int", "as_float", "as_bool"), number),
    "as_string": str,
    **dict.fromkeys(("as_ints", "as_floats", "as_bools"), _numbers),
    "as_device": lambda value: torch.device("meta"),
    "as_layout": lambda value: torch.strided,
    "as_memory_format": FORMATS.__getitem__,
    "as_none": lambda value: None,
    "as_scalar_type": DTYPES.__getitem__,
}


def named(outputs: Sequence[Mapping[str, Any]], made: Any) -> dict[str, Any]:
    """Give what an operation makes the names that it has in the program."""
    values = made if isinstance(made, list | tuple) else [made]
    named: dict[str, Any] = {}
    for output, value in zip(outputs, [made] if len(outputs) == 1 else values, strict=False):
        ((kind, target),) = output.items()
        if kind == "as_tensors":
            named |= {one["name"]: part for one, part in zip(target, value, strict=False)}
        elif kind in ("as_tensor", "as_sym_int", "as_sym_bool", "as_sym_float"):
            named[target.get("name", target.get("as_name", ""))] = value
    return named
