"""Nodes of an ONNX graph with the tensors and attributes that they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from padviz.network.operations import Same, Window
from padviz.sources.onnx.constants import Array, Attrs, Budget, Unread, evaluate, integers
from padviz.sources.tracing import calls
from padviz.sources.tracing.arranging import Constant, Malformed, Stuck, Value, from_front

CONVS = ("Conv", "ConvInteger", "QLinearConv", "com.microsoft.FusedConv")
RECURRENT = ("LSTM", "GRU", "RNN")
WEIGHT = {"QLinearConv": 3}  # which input the weights are; the second of all others
SAME: dict[str, Same] = {"SAME_UPPER": "same_upper", "SAME_LOWER": "same_lower"}


@dataclass(eq=False, kw_only=True)
class Node(calls.Call):
    """A node with the tensors that it reads; `op` starts with the domain unless that is
    ONNX's own.
    """

    budget: Budget
    version: int
    attrs: Attrs
    outputs: int = 1

    @property
    def what(self) -> str:
        return f"node {self.title}: {self.op} (opset {self.version})"

    @property
    def which(self) -> str:
        if self.op == "If":
            return f"node {self.title}: an If, whose branch the image decides,"
        return f"node {self.title}: the operation {self.op} (opset {self.version})"

    @property
    def pointwise(self) -> bool:  # type: ignore[override]
        if self.op not in CONVS:
            return False
        kernel = self.numbers("kernel_shape", self.weight.shape[2:])
        return all(window == Window(1) for window in self.windows(kernel))

    @property
    def has_vectors(self) -> bool:  # type: ignore[override]
        return self.op not in RECURRENT  # which keep positions

    @property
    def weight(self) -> Value:
        return self.tensor(WEIGHT.get(self.op, 1))

    def array_of(self, value: object) -> Array | None:
        if not isinstance(value, Constant):
            return None
        if value.array is None and value.later is None:
            raise Stuck("masks attention with numbers that are not known")
        try:
            return evaluate(value, self.budget)
        except Unread as error:
            raise Stuck(f"masks attention with numbers that {error}") from None

    def arrays(self, start: int) -> list[Array | None]:
        """Read the inputs from `start` on as small constants; raise `Stuck` for any other."""
        arrays: list[Array | None] = []
        for x in self.read[start:]:
            array = None
            if isinstance(x, Constant):
                array = x.array
            if x is not None and array is None:
                raise Stuck("has an input that is not a small constant")
            arrays.append(array)
        return arrays

    def numbers(self, key: str, default: Sequence[int]) -> list[int]:
        return [int(n) for n in self.attrs.get(key) or default]

    @property
    def keeps_dims(self) -> bool:
        return bool(self.attrs.get("keepdims", 1))

    def numbers_or(self, key: str, default: int, count: int) -> list[int]:
        numbers = self.numbers(key, [default] * count)
        if len(numbers) < count:
            raise Malformed(f"its {key} has {len(numbers)} numbers instead of {count}")
        return numbers

    def required(self, key: str) -> Any:
        if key not in self.attrs:
            raise Malformed(f"it has no {key}")
        return self.attrs[key]

    def axis(self, rank: int, default: int) -> int:
        return from_front(int(self.attrs.get("axis", default)), rank)

    def ints(self, i: int) -> list[int]:
        if i < len(self.read):
            return integers(self.arrays(i)[0])
        return []

    def windows(self, kernel: Sequence[int], ceil: bool = False) -> list[Window]:
        k, rule = len(kernel), self.attrs.get("auto_pad", "NOTSET")
        strides, dilations = self.numbers_or("strides", 1, k), self.numbers_or("dilations", 1, k)
        pads = self.numbers_or("pads", 0, 2 * k)
        if rule == "VALID":
            pads = [0] * 2 * k
        elif rule not in SAME and rule not in ("NOTSET", ""):
            raise Stuck(f"has an auto_pad {rule!r}")
        sizes = zip(kernel, strides, dilations, pads, pads[k:], strict=False)
        return [
            Window(taps, stride, dilation, SAME.get(rule, (before, after)), ceil=ceil)
            for taps, stride, dilation, before, after in sizes
        ]

    def checked_kernel(self, kernel: Sequence[int], x: Value) -> Sequence[int]:
        if len(kernel) != len(x.known) - 2 or not kernel:
            raise Stuck(f"has a kernel of {len(kernel)} dimensions over {len(x.known) - 2}")
        return kernel


Handler = Callable[[Node, Value], calls.Result]  # of a node and its first input
