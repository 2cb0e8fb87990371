"""The nodes of an ONNX graph while they are edited: who makes what, names that are free, nodes put in between."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.axis.padding_modes import SCHEMES, native
from padviz.sources.onnx.constants.external import is_external, numbers, within
from padviz.sources.onnx.model import Constants, Model, reads, title

INPUTS_SINCE, AXES_SINCE, STEPS_SINCE, SLICE_INPUTS_SINCE = 11, 18, 10, 10  # opsets
TO_THE_END, TO_THE_FRONT = (1 << 31) - 1, -(1 << 31) + 1
Proto = Any


class Rows(NamedTuple):
    """What a pad adds along one axis of a tensor: rows before and after, and what they read."""

    before: int
    after: int
    mode: str

    @property
    def native(self) -> str:
        """The mode that Pad may have: an edge that is repeated once is replicated.

        >>> Rows(1, 1, "symmetric").native, Rows(2, 1, "symmetric").native
        ('replicate', 'symmetric')
        """
        return native(self.mode, max(self.before, self.after))


class Graph:
    """The nodes of a model's main graph: edits are collected, and `finish` puts them in.

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
        self.stored = self.constants.stored
        self.front: dict[int, list[Proto]] = defaultdict(list)
        self.behind: dict[int, list[Proto]] = defaultdict(list)
        self.gone: set[int] = set()
        self._taken = _names(model.graph)

    def free(self, name: str) -> str:
        """Choose a name that nothing in the model has yet; from now on it is taken."""
        self._taken[name] += 1
        numbered = name if self._taken[name] == 1 else f"{name}_{self._taken[name]}"
        return numbered if numbered == name else self.free(numbered)

    def node(self, op: str, inputs: Sequence[str], output: str, name: str, **attributes: Any) -> Proto:
        """Make a new node with a free name."""
        from onnx import helper

        return helper.make_node(op, inputs, [output], name=self.free(name), **attributes)

    def constant(self, array: NDArray[Any], name: str) -> Proto:
        """Make a new Constant node; its output has its name."""
        from onnx import helper, numpy_helper

        name = self.free(name)
        return helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(array))

    def integers(self, name: str) -> list[int] | None:
        """Read the numbers of a small constant tensor, wherever it is kept; None where it is computed."""
        name = self.constants.behind(name, ("Identity", "Cast"))
        proto = self.constants.tensor(name)
        if proto is not None:
            return None if is_external(proto) else [int(n) for n in numbers(proto).reshape(-1)]
        node = self.constants.makers.get(name)
        if node is None or node.op_type != "Constant":
            return None
        ints = next((attr for attr in node.attribute if attr.name in ("value_ints", "value_int")), None)
        return None if ints is None else [*ints.ints] or [ints.i]

    def chain(self, x: str, output: str, rows: Mapping[int, Rows], rank: int | None, name: str) -> list[Proto]:
        """Make nodes that make `output` of `x`, with rows added along axes.

        Axes of one mode are one Pad, where Pad has it; other modes are slices joined by a Concat, an axis at a time.
        """
        groups: list[dict[int, Rows]] = []
        for mode in dict.fromkeys(added.native for added in rows.values()):
            axes = {axis: added for axis, added in rows.items() if added.native == mode}
            groups += [axes] if self.has(mode) else [{axis: added} for axis, added in axes.items()]
        nodes: list[Proto] = []
        for i, axes in enumerate(groups):
            out = output if i == len(groups) - 1 else self.free(f"{name}_output")
            make = self._pad if self.has(next(iter(axes.values())).native) else self._joined
            nodes += make(x, out, axes, rank, name)
            x = out
        return nodes

    def has(self, mode: str) -> bool:
        """Tell whether Pad has a mode in the opset of the model."""
        return bool(SCHEMES[mode].onnx) and self.opset >= SCHEMES[mode].since

    def _pad(self, x: str, output: str, rows: Mapping[int, Rows], rank: int | None, name: str) -> list[Proto]:
        mode = SCHEMES[next(iter(rows.values())).native].onnx
        ends = [[added[side] for added in rows.values()] for side in (0, 1)]
        if self.opset >= AXES_SINCE:
            amounts = self.constant(np.array(ends[0] + ends[1], dtype=np.int64), f"{name}_pads")
            axes = self.constant(np.array([*rows], dtype=np.int64), f"{name}_axes")
            inputs = [x, amounts.output[0], "", axes.output[0]]
            return [amounts, axes, self.node("Pad", inputs, output, name, mode=mode)]
        assert rank is not None
        whole = [0] * 2 * rank
        for axis, added in rows.items():
            whole[axis], whole[rank + axis] = added.before, added.after
        if self.opset >= INPUTS_SINCE:
            amounts = self.constant(np.array(whole, dtype=np.int64), f"{name}_pads")
            return [amounts, self.node("Pad", [x, amounts.output[0]], output, name, mode=mode)]
        return [self.node("Pad", [x], output, name, mode=mode, pads=whole)]

    def _joined(self, x: str, output: str, rows: Mapping[int, Rows], rank: int | None, name: str) -> list[Proto]:
        ((axis, (before, after, mode)),) = rows.items()
        slices, parts = [], []
        for start, end, step in _pieces(before, after, mode, self.opset >= STEPS_SINCE):
            if step == 0:
                parts.append(x)
                continue
            parts.append(self.free(f"{name}_rows"))
            slices += self._slice(x, parts[-1], axis, start, end, step)
        return [*slices, self.node("Concat", parts, output, name, axis=axis)]

    def _slice(self, x: str, output: str, axis: int, start: int, end: int, step: int) -> list[Proto]:
        if self.opset < SLICE_INPUTS_SINCE:
            return [self.node("Slice", [x], output, output, starts=[start], ends=[end], axes=[axis])]
        numbers = [
            self.constant(np.array([n], dtype=np.int64), f"{output}_{what}")
            for what, n in (("starts", start), ("ends", end), ("axes", axis), ("steps", step))
        ]
        return [*numbers, self.node("Slice", [x, *(constant.output[0] for constant in numbers)], output, output)]

    def finish(self) -> None:
        """Put the new nodes in, and take out the old ones, and constants that only those read."""
        for at in sorted({*self.front, *self.behind, *self.gone}, reverse=True):
            for node in reversed(self.behind[at]):
                self.model.graph.node.insert(at + 1, node)
            if at in self.gone:
                del self.model.graph.node[at]
            for node in reversed(self.front[at]):
                self.model.graph.node.insert(at, node)

    def release(self, names: Iterable[str]) -> None:
        """Take out the nodes that make these tensors, where nothing reads them any more, and what only they read."""
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


def set_pads(node: Proto, pads: list[int]) -> None:
    """Set explicit pads in place of those there were, or of a rule."""
    from onnx import helper

    for i in reversed(range(len(node.attribute))):
        if node.attribute[i].name == "auto_pad" or (node.attribute[i].name == "pads" and not any(pads)):
            del node.attribute[i]
    attr = next((attr for attr in node.attribute if attr.name == "pads"), None)
    if attr is not None:
        attr.ints[:] = pads
    elif any(pads):
        node.attribute.append(helper.make_attribute("pads", pads))


def _pieces(before: int, after: int, mode: str, steps: bool) -> list[tuple[int, int, int]]:
    """List slices (start, end, step) of which a padded axis is made; step 0 is the axis itself.

    >>> _pieces(2, 1, "circular", True), _pieces(2, 1, "symmetric", False)
    ([(-2, 2147483647, 1), (0, 0, 0), (0, 1, 1)], [(1, 2, 1), (0, 1, 1), (0, 0, 0), (-1, 2147483647, 1)])
    """
    first, step = SCHEMES[mode].reads or (0, 0)
    if SCHEMES[mode].wraps:
        head = [(-before - first, -first or TO_THE_END, 1)][:before]
        tail = [(first, first + after, 1)][:after]
    elif steps and step:
        head = [(first + before - 1, first - 1 if first else TO_THE_FRONT, -1) if before > 1 else (first, first + 1, 1)]
        tail = [(-1 - first, -first - after - 1, -1) if after > 1 else (-1 - first, -first or TO_THE_END, 1)]
        head, tail = head[:before], tail[:after]
    else:
        head = [(i, i + 1, 1) for i in (first + step * k for k in reversed(range(before)))]
        tail = [(-1 - i, -i or TO_THE_END, 1) for i in (first + step * k for k in range(after))]
    return [*head, (0, 0, 0), *tail]


def _names(whole: Proto) -> Counter[str]:
    """Count all names of nodes and tensors in a graph, those of inner graphs included."""
    names: Counter[str] = Counter()
    for graph in within(whole):
        names.update(value.name for value in (*graph.initializer, *graph.input, *graph.output, *graph.value_info))
        for node in graph.node:
            names.update((node.name, *node.input, *node.output))
    return names
