"""The nodes of an ONNX graph while they are edited: their makers, free names, and new nodes to insert."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from padviz.axis.padding_modes import SCHEMES
from padviz.sources.onnx.external import is_external, numbers, within
from padviz.sources.onnx.model import Constants, Model, reads, title

if TYPE_CHECKING:
    from onnx import NodeProto

INPUTS_SINCE, AXES_SINCE, STEPS_SINCE, SLICE_INPUTS_SINCE = 11, 18, 10, 10  # opsets


class EditedGraph:
    """The nodes of a model's main graph: edits are collected in `front`, `behind` and `gone`, and `finish` makes them.

    New constants are Constant nodes right before their readers, so initializers stay as they are.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.opset = model.opset
        self.maker = {name: at for at, node in enumerate(self.nodes) for name in node.output if name}
        self.titled: dict[str, list[int]] = defaultdict(list)
        for at, node in enumerate(self.nodes):
            self.titled[title(node)].append(at)
        self.constants = Constants(model.graph)
        self.front: dict[int, list[NodeProto]] = defaultdict(list)
        self.behind: dict[int, list[NodeProto]] = defaultdict(list)
        self.gone: set[int] = set()
        self._taken: Counter[str] = Counter()
        for graph in within(model.graph):
            self._taken.update(v.name for v in (*graph.initializer, *graph.input, *graph.output, *graph.value_info))
            for node in graph.node:
                self._taken.update((node.name, *node.input, *node.output))

    def free(self, name: str) -> str:
        """Return a name that nothing in the model has yet, and reserve it."""
        self._taken[name] += 1
        numbered = name if self._taken[name] == 1 else f"{name}_{self._taken[name]}"
        return numbered if numbered == name else self.free(numbered)

    def node(self, op: str, inputs: Sequence[str], output: str, name: str, **attributes: Any) -> NodeProto:
        """Make a new node with a free name."""
        from onnx import helper

        return helper.make_node(op, inputs, [output], name=self.free(name), **attributes)

    def constant(self, array: NDArray[Any], name: str) -> NodeProto:
        """Make a new Constant node; its output has its name."""
        from onnx import helper, numpy_helper

        name = self.free(name)
        return helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(array))

    def integers(self, name: str) -> list[int] | None:
        """Read the numbers of a small constant tensor; None if it is computed."""
        name = self.constants.behind(name, ("Identity", "Cast"))
        proto = self.constants.tensor(name)
        if proto is not None:
            return None if is_external(proto) else [int(n) for n in numbers(proto).reshape(-1)]
        node = self.constants.makers.get(name)
        if node is None or node.op_type != "Constant":
            return None
        ints = next((attr for attr in node.attribute if attr.name in ("value_ints", "value_int")), None)
        return None if ints is None else [*ints.ints] or [ints.i]

    def has(self, mode: str) -> bool:
        """Return whether Pad has a mode in the opset of the model."""
        return bool(SCHEMES[mode].onnx) and self.opset >= SCHEMES[mode].since

    def finish(self) -> None:
        """Insert the new nodes and remove the old ones."""
        for at in sorted({*self.front, *self.behind, *self.gone}, reverse=True):
            for node in reversed(self.behind[at]):
                self.model.graph.node.insert(at + 1, node)
            if at in self.gone:
                del self.model.graph.node[at]
            for node in reversed(self.front[at]):
                self.model.graph.node.insert(at, node)

    def release(self, names: Iterable[str]) -> None:
        """Remove the nodes that make these tensors, if nothing reads them any more, and the nodes only they read."""
        names = [name for name in names if name in self.maker and self.maker[name] not in self.gone]
        used = self._used()
        for name in names:
            at = self.maker[name]
            if at not in self.gone and used.isdisjoint(self.nodes[at].output):
                self.gone.add(at)
                self.release([name for name in self.nodes[at].input if name])

    def _used(self) -> set[str]:
        kept = [node for at, node in enumerate(self.nodes) if at not in self.gone]
        new = [node for more in (*self.front.values(), *self.behind.values()) for node in more]
        return {name for node in (*kept, *new) for name in reads(node)} | {o.name for o in self.model.graph.output}


def set_pads(node: NodeProto, pads: Sequence[int]) -> None:
    """Set explicit pads, or none if all are 0, in place of any others or of auto_pad."""
    from onnx import helper

    for i in reversed(range(len(node.attribute))):
        if node.attribute[i].name == "auto_pad" or (node.attribute[i].name == "pads" and not any(pads)):
            del node.attribute[i]
    attr = next((attr for attr in node.attribute if attr.name == "pads"), None)
    if attr is not None:
        attr.ints[:] = pads
    elif any(pads):
        node.attribute.append(helper.make_attribute("pads", pads))
