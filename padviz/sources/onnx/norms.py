"""ONNX's normalisations: paths pass them by, but those over positions make each depend on all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from padviz.sources.onnx.constants.folding import from_front
from padviz.sources.onnx.tensors import Node, Plan
from padviz.sources.tracing.arranging import Stuck, Value
from padviz.sources.tracing.axis_labels import has_positions

Made = Value | list[Value]


def norm(why: str, over: Callable[[Node, int], Sequence[int]]) -> Callable[[Plan, Node], Made]:
    """A normalisation over the dimensions that `over` says, of so many."""

    def run(plan: Plan, node: Node) -> Made:
        x = node.tensor(0)
        if any(not each.is_constant for each in node.given[1:]):
            raise Stuck("joins several maps")
        linear = node.op == "BatchNormalization"
        made = x if linear else replace(x, acted=True, array=None)
        if x.layer is not None and x.dims and any(has_positions(x.dims[i]) for i in over(node, len(x.dims))):
            made = replace(made, layer=plan.trace.normalise(node.name, x.layer, why))
        return [made] * node.outputs if node.outputs > 1 else made

    return run


def _images(node: Node, rank: int) -> Sequence[int]:
    return range(2, rank)


def _last(node: Node, rank: int) -> Sequence[int]:
    return range(from_front(int(node.attrs.get("axis", -1)), rank), rank)


def _one(node: Node, rank: int) -> Sequence[int]:
    return [from_front(int(node.attrs.get("axis", -1)), rank)]


def _listed(node: Node, rank: int) -> Sequence[int]:
    return [from_front(int(axis), rank) for axis in node.numbers("axes", [0, 2, 3])]


def _in_training(node: Node, rank: int) -> Sequence[int]:
    return range(2, rank) if node.attrs.get("training_mode") else ()


NORMS: dict[str, Callable[[Plan, Node], Made]] = {
    "BatchNormalization": norm("batch norm", _in_training),
    "GroupNormalization": norm("group norm", _images),
    "InstanceNormalization": norm("instance norm", _images),
    "LayerNormalization": norm("layer norm", _last),
    "LpNormalization": norm("norm over positions", _one),
    "MeanVarianceNormalization": norm("norm over positions", _listed),
    "RMSNormalization": norm("rms norm", _last),
    "com.microsoft.GroupNorm": norm("group norm", lambda node, rank: range(1, rank)),
}
