"""PyTorch's reductions, products of matrices and attention: where positions meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from padviz.sources.torch.merging import merged, pick, pointwise
from padviz.sources.torch.tracer import Call, Map, Result, tensors_in
from padviz.sources.torch.views import without

POSITIONS = {"H", "W", "HW"}


def reduce(call: Call, input: Any, *args: Any, **options: Any) -> Result:
    """Mean, sum, maximum ... over some dimensions."""
    value = call.of(input)
    dim = options.get("dim", options.get("axis", next((each for each in args if not isinstance(each, str)), None)))
    if value is None or hasattr(dim, "shape"):
        return pick(call)  # torch.max(a, b)
    if call.op in ("norm", "std", "var"):
        dim = options.get("dim", args[-1] if args and isinstance(args[-1], tuple | list) else dim)
    dims = range(input.ndim) if dim is None or dim == () else [dim] if isinstance(dim, int) else dim
    gone = {d % input.ndim for d in dims}
    lost = {label for d, label in enumerate(value.axes) if d in gone and label}
    kept = next(iter(call.out if isinstance(call.out, tuple) else [call.out])).ndim == input.ndim
    axes = tuple(label for d, label in enumerate(value.axes) if kept or d not in gone)
    if not lost:
        return replace(value, axes=axes)
    left = {label for d, label in enumerate(value.axes) if d not in gone and label in POSITIONS}
    return without(call, value, axes if left else (), lost)


def along(call: Call, input: Any, dim: Any = None, *args: Any, **options: Any) -> Result:
    """Softmax and the like over one dimension."""
    value = call.of(input)
    dim = options.get("dim", dim)
    if value is None or not isinstance(dim, int):
        return call.broken("runs along what is not known")
    label = value.axes[dim]
    if call.op == "glu" and label:
        return call.broken("joins one half of the rows or columns with the other")
    if call.op == "glu":  # a product of two slices
        return Map(call.trace.merge(call.name(merge=True), "multiply", [value.at, value.at]), value.axes)
    return mixed(call, value, value, label, f"{call.op} over positions") if label in POSITIONS else pointwise(call)


def mixed(call: Call, value: Map, like: Map, label: str = "HW", why: str = "attention") -> Map:
    """A map of which every position saw every position of another, or of its row or column."""
    axes = ["HW".index(axis) for axis in label if axis in "HW"] or [0, 1]
    return Map(call.trace.mix(call.name(), value.at, like.at, axes, why), like.axes)


def linear(call: Call, input: Any, weight: Any, bias: Any = None) -> Result:
    value = call.of(input)
    if value is None:
        return call.broken("has weights that are made of a map")
    if value.axes[-1] not in POSITIONS:
        made = (*value.part, (id(call.out),))  # other channels of the same layer
        return replace(value, axes=(*value.axes[:-1], None), part=made)
    if call.out.shape[-1] == input.shape[-1]:
        return mixed(call, value, value, str(value.axes[-1]), "linear over positions")
    return call.pool(value) if value.axes[-1] == "HW" else call.broken("makes other rows or columns of a map's")


def matmul(call: Call, input: Any, other: Any) -> Result:
    """The product of matrices, in the words of `contract`."""
    batch = "ABCDEFGH"[: max(input.ndim, other.ndim) - 2]
    first, second = batch[len(batch) - input.ndim + 2 :] + "ik", batch[len(batch) - other.ndim + 2 :] + "kj"
    return contract(call, [(input, first), (other, second)], batch + "ij")


def baddbmm(call: Call, input: Any, batch1: Any, batch2: Any, **options: Any) -> Result:
    return matmul(call, batch1, batch2)


def einsum(call: Call, equation: str, *operands: Any) -> Result:
    given = operands[0] if isinstance(operands[0], tuple | list) else operands
    read, arrow, out = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        return call.unknown()
    return contract(call, list(zip(given, read.split(","), strict=True)), out)


def contract(call: Call, operands: Sequence[tuple[Any, str]], out: str) -> Result:
    """A sum of products: operands with a letter for each dimension, and the letters that are left.

    Where the positions of two maps meet without being summed (queries and keys), those of the second are
    labelled "@" with its layer; summing over them later (values) is attention.
    """
    read = [(call.of(operand), letters) for operand, letters in operands]
    maps = [(v, dict(zip(letters, v.axes, strict=True))) for v, letters in read if v and not call.pooled(v)]
    blocks = {k for _, labels in maps for k, label in labels.items() if label == "b"}
    places = [{k for k, label in labels.items() if label not in (None, "b")} for _, labels in maps]
    summed = {letter for place in places for letter in place} - set(out)
    axes = tuple(next((labels[k] for _, labels in maps if labels.get(k)), None) for k in out)
    if blocks - set(out):  # the places in a block have met
        axes = tuple(None if label == "b" else label for label in axes)
    if not summed and all(place == places[0] for place in places):
        return Map(merged(call, "multiply", call.maps, maps[0][0]), axes)
    if not summed and len(maps) == 2 and not places[0] & places[1]:
        met = [f"@{maps[1][0].at}" if k in places[1] else label for k, label in zip(out, axes, strict=True)]
        return Map(maps[0][0].at, tuple(met))
    if len(maps) == 2 and len(summed) == 1:
        (letter,) = summed
        for a, b in ((0, 1), (1, 0)):
            if (maps[a][1].get(letter) or "").startswith("@") and places[b] == summed:
                return mixed(call, maps[b][0], Map(maps[a][0].at, axes))
    if all(place == summed for place in places):
        at = merged(call, "multiply", [value for value, _ in maps], maps[0][0])
        return Map(call.trace.add(call.name(), "global", (at,)))
    return call.broken("sums over some rows or columns only")


def attention(call: Call, query: Any, key: Any, value: Any, *args: Any, **options: Any) -> Result:
    """Scaled dot-product attention, and that with heads, whose positions are the first dimension."""
    asked, read = call.of(query), call.of(value)
    dim = 0 if "multi" in call.op else -2
    if read is None or read.axes[dim] in (None, "b"):
        found = pointwise(call)
        return Map(found.at, tuple(label if label in POSITIONS else None for label in found.axes))
    if read.axes[dim] != "HW":
        return call.broken("attends along rows or columns")
    seen = call.pool(read) if asked is None or call.pooled(asked) else mixed(call, read, asked)
    return [seen, *[Map(seen.at)] * (len(list(tensors_in(call.out))) - 1)]
