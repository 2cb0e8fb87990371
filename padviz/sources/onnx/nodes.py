"""Nodes of ONNX graphs: what they are called, do, read and have as attributes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

DEEPEST = 20  # functions and branches inside of one another
Proto = Any


def title(node: Proto) -> str:
    """Name a node: by its own name, or else by what it makes."""
    return str(node.name or next((name for name in node.output if name), node.op_type))


def op_of(node: Proto) -> str:
    """Name what a node does, with its domain in front where that is not ONNX's own."""
    return ("" if node.domain in ("", "ai.onnx") else f"{node.domain}.") + str(node.op_type)


def attributes(protos: Iterable[Proto]) -> dict[str, Any]:
    """Read the attributes of a node, or the defaults of a function's, as Python values by name."""
    return {each.name: _value(each) for each in protos}


def _value(proto: Proto) -> Any:
    """An attribute as a Python value; tensors and graphs as they are, and None where it refers to a function's."""
    if proto.ref_attr_name:
        return None
    kind = proto.type
    if kind == 3:
        return proto.s.decode("utf-8", "replace")
    if kind in (6, 7):
        return list(proto.floats if kind == 6 else proto.ints)
    single = {1: "f", 2: "i", 4: "t", 5: "g"}.get(kind)
    return getattr(proto, single) if single else None


def needed(graph: Proto) -> list[Proto]:
    """List the nodes that outputs of the graph depend on, in their order."""
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if not wanted.isdisjoint(node.output):
            wanted.update(reads(node))
            kept.append(node)
    return kept[::-1]


def reads(node: Proto, depth: int = 0) -> Iterable[str]:
    """List the names that a node reads, those of its inner graphs included."""
    yield from node.input
    for each in node.attribute:
        if each.HasField("g") and depth < DEEPEST:
            for inner in each.g.node:
                yield from reads(inner, depth + 1)
            yield from (output.name for output in each.g.output)


class Constants:
    """The tensors that a graph stores, and the nodes that make all others."""

    def __init__(self, graph: Proto) -> None:
        self.stored = {each.name: each for each in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output if name}

    def tensor(self, name: str) -> Proto | None:
        """Find the tensor with a name that is stored, or that a Constant node holds; None for all others."""
        node = self.makers.get(name)
        if name in self.stored or node is None or node.op_type != "Constant":
            return self.stored.get(name)
        return next((each.t for each in node.attribute if each.name == "value"), None)

    def behind(self, name: str, passed: Collection[str]) -> str:
        """Follow a tensor back through nodes of the types that are `passed`, to the name of what they are made of."""
        while name not in self.stored and name in self.makers and self.makers[name].op_type in passed:
            name = self.makers[name].input[0]
        return name
