"""What a network description may hold, as msgspec structures: one per op, told apart by `op`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from padviz.axis import Mode, Same
from padviz.resize import Grid, Rounding

Positive = Annotated[int, Meta(ge=1, le=100_000)]
Kernel = Annotated[int, Meta(ge=1, le=4096)]
Text = Annotated[str, Meta(max_length=200)]
Count = Annotated[int, Meta(ge=0, le=100_000)]
Two = Meta(min_length=2, max_length=2)  # lists, since msgspec 0.22 crashes on a number or a fixed-length tuple
Pair = Positive | Annotated[list[Positive], Two]
Kernels = Kernel | Annotated[list[Kernel], Two]
Counts = Count | Annotated[list[Count], Two]
Pads = Count | Annotated[list[Counts], Two]
PadRule = Count | Annotated[list[Counts], Two] | Same
Factor = Annotated[float, Meta(gt=0, le=1000)]
Factors = Factor | Annotated[list[Factor], Two]


class AnyStep(Struct, forbid_unknown_fields=True, tag_field="op", kw_only=True):
    name: Text = ""
    from_: str | list[str] | None = field(default=None, name="from")


class Conv(AnyStep, tag="conv"):
    kernel: Kernels = 1
    stride: Pair = 1
    dilation: Pair = 1
    padding: PadRule = 0
    mode: Mode = "zero"


class ConvTranspose(AnyStep, tag="convtranspose"):
    kernel: Kernels
    stride: Pair = 1
    dilation: Pair = 1
    padding: Pads = 0
    output_padding: Counts = 0


class Pool(AnyStep):
    kernel: Kernels
    stride: Pair | None = None
    dilation: Pair = 1
    padding: PadRule = 0
    ceil: bool = False


class MaxPool(Pool, tag="maxpool"):
    pass


class AvgPool(Pool, tag="avgpool"):
    pass


class AdaptivePool(AnyStep, tag="adaptive"):
    output: Pair


class GlobalPool(AnyStep, tag="global"):
    pass


class Pad(AnyStep, tag="pad"):
    padding: Pads
    mode: Literal["zero", "replicate", "reflect", "symmetric", "circular"] = "zero"


class Crop(AnyStep, tag="crop"):
    padding: Pads | None = None
    like: str | None = None


class Interpolate(AnyStep, tag="resize"):
    scale: Factors | None = None
    size: Pair | None = None
    like: str | None = None
    mode: Literal["nearest", "linear", "cubic"] = "nearest"
    align_corners: bool = False
    grid: Grid | None = None
    rounding: Rounding = "floor"


class Gate(AnyStep, tag="gate"):
    pass


class Identity(AnyStep, tag="identity"):
    pass


class Merge(AnyStep):
    branches: list[list[Step]] = []


class Add(Merge, tag="add"):
    pass


class Concat(Merge, tag="concat"):
    pass


class Multiply(Merge, tag="multiply"):
    pass


class Block(AnyStep, tag="block"):
    use: str
    repeat: Positive = 1
    first: Count = 0
    with_: dict[str, Any] = field(default_factory=dict, name="with")


Step = (
    Conv | ConvTranspose | MaxPool | AvgPool | AdaptivePool | GlobalPool | Pad | Crop | Interpolate
    | Gate | Identity | Add | Concat | Multiply | Block
)  # fmt: skip


class Description(Struct, forbid_unknown_fields=True):
    """The whole TOML file."""

    layers: list[Step]
    title: Text = ""
    source: Text = ""
    size: Pair = 224
    target: str | list[str] | None = None
    blocks: dict[str, list[dict[str, Any]]] = {}
