"""ONNX's normalisations: paths pass them by, but those over positions make each depend on all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from padviz.sources.onnx.constants.folding import from_front
from padviz.sources.onnx.tensors import Node
from padviz.sources.tracing.arranging import Stuck
from padviz.sources.tracing.axis_labels import has_positions
from padviz.sources.tracing.calls import Result


def norm(node: Node) -> Result:
    """A normalisation over some dimensions, as the table says; that with running statistics makes no activation."""
    x, (why, over) = node.tensor(0), NORMS[node.op]
    if any(not each.is_constant for each in node.given[1:]):
        raise Stuck("joins several maps")
    made = x if node.op == "BatchNormalization" else replace(x, acted=True, array=None)
    if x.layer is not None and x.dims and any(has_positions(x.dims[i]) for i in over(node, len(x.dims))):
        return node.norm(made, why)
    return made


def _axis(node: Node, rank: int) -> int:
    return from_front(int(node.attrs.get("axis", -1)), rank)


def _images(node: Node, rank: int) -> Sequence[int]:
    return range(2, rank)


def _last(node: Node, rank: int) -> Sequence[int]:
    return range(_axis(node, rank), rank)


def _listed(node: Node, rank: int) -> Sequence[int]:
    return [from_front(int(axis), rank) for axis in node.numbers("axes", [0, 2, 3])]


NORMS: dict[str, tuple[str, Callable[[Node, int], Sequence[int]]]] = {
    "BatchNormalization": ("batch norm", lambda node, rank: range(2, rank) if node.attrs.get("training_mode") else ()),
    "GroupNormalization": ("group norm", _images),
    "InstanceNormalization": ("instance norm", _images),
    "LayerNormalization": ("layer norm", _last),
    "LpNormalization": ("norm over positions", lambda node, rank: [_axis(node, rank)]),
    "MeanVarianceNormalization": ("norm over positions", _listed),
    "RMSNormalization": ("rms norm", _last),
    "com.microsoft.GroupNorm": ("group norm", lambda node, rank: range(1, rank)),
}
