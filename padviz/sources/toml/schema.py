"""The schema of network descriptions: one msgspec structure per op, and plain messages for what
does not fit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct, field

from padviz.errors import DescriptionError, nearest
from padviz.network.operations import Fill, Odd, Same
from padviz.network.padding_modes import COPYING, MODES
from padviz.network.resize import Grid, Rounding

Positive = Annotated[int, Meta(ge=1, le=100_000)]
Kernel = Annotated[int, Meta(ge=1, le=4096)]
Text = Annotated[str, Meta(max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=100_000)]
# lists, since msgspec 0.22 crashes on a number or a fixed-length tuple
Two = Meta(min_length=2, max_length=2)
Pair = Positive | Annotated[list[Positive], Two]
Kernels = Kernel | Annotated[list[Kernel], Two]
Counts = Count | Annotated[list[Count], Two]
Pads = Count | Annotated[list[Counts], Two]
PadRule = Count | Annotated[list[Counts | Same], Two] | Same
Signed = Annotated[int, Meta(ge=-100_000, le=100_000)]
Sides = Signed | Annotated[list[Signed | Annotated[list[Signed], Two]], Two]
Factor = (
    Annotated[float, Meta(gt=0, le=1000)]
    | Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}(/[1-9][0-9]{0,8})?$")]
)
Factors = Factor | Annotated[list[Factor], Two]
if TYPE_CHECKING:
    Mode = str
    Fold = str
else:
    Mode, Fold = (
        Literal[MODES],
        Literal["zero", *COPYING],
    )  # of a convolution, and of a pad on its own
Modes = Mode | Annotated[list[Mode], Two]
Folds = Fold | Annotated[list[Fold], Two]
Fills = Fill | Annotated[list[Fill], Two]


class AnyStep(Struct, forbid_unknown_fields=True, tag_field="op", kw_only=True):
    name: Text = ""
    from_: str | list[str] | None = field(default=None, name="from")


class Convolution(AnyStep):
    out: Positive | None = None
    in_: Positive | None = field(default=None, name="in")
    groups: Positive | Literal["depthwise"] | None = None


class Conv(Convolution, tag="conv"):
    kernel: Kernels = 1
    stride: Pair = 1
    dilation: Pair = 1
    padding: PadRule = 0
    mode: Modes = "zero"


class ConvTranspose(Convolution, tag="convtranspose", kw_only=True):
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


class MaxPool(Pool, tag="maxpool"): ...


class AvgPool(Pool, tag="avgpool"):
    fill: Fills = 0


class Everywhere(AnyStep, kw_only=True):
    global_: Text = field(default="", name="global")


class AdaptivePool(Everywhere, tag="adaptive"):
    output: Pair
    maximum: bool = False


class GlobalPool(Everywhere, tag="global"): ...


class Pad(AnyStep, tag="pad"):
    padding: Sides
    mode: Folds = "zero"
    fill: Fills = 0


class Crop(AnyStep, tag="crop"):
    padding: Sides | None = None
    stride: Pair = 1
    like: str | None = None
    odd: Odd | Annotated[list[Odd], Two] = "end"


class Interpolate(AnyStep, tag="resize"):
    scale: Factors | None = None
    size: Pair | None = None
    like: str | None = None
    mode: Literal["nearest", "linear", "cubic"] = "nearest"
    align_corners: bool = False
    grid: Grid | None = None
    rounding: Rounding = "floor"


class Gate(AnyStep, tag="gate"): ...


class Mixing(Everywhere, tag="mixing"):
    size: Counts
    step: Counts = 1
    first: Counts = 0


class Identity(Everywhere, tag="identity"): ...


class Merge(AnyStep):
    branches: list[list[Step]] = []
    in_: Positive | None = field(default=None, name="in")


class Add(Merge, tag="add"): ...


class Concat(Merge, tag="concat"): ...


class Multiply(Merge, tag="multiply"): ...


class Block(AnyStep, tag="block"):
    use: str
    repeat: Positive = 1
    first: Count = 0
    with_: dict[str, object] = field(default_factory=dict, name="with")


Step = (
    Conv
    | ConvTranspose
    | MaxPool
    | AvgPool
    | AdaptivePool
    | GlobalPool
    | Pad
    | Crop
    | Interpolate
    | Gate
    | Mixing
    | Identity
    | Add
    | Concat
    | Multiply
    | Block
)


STEPS: dict[str, type[AnyStep]] = {
    step.__struct_config__.tag: step for step in get_args(Step)
}  # by op


class Description(Struct, forbid_unknown_fields=True):
    """The whole TOML file."""

    layers: list[Step]
    title: Text = ""
    source: Text = ""
    size: Pair = 224
    target: str | list[str] | None = None
    fixed: list[Literal["height", "width"]] = []
    blocks: dict[str, list[dict[str, object]]] = {}


T = TypeVar("T")
WORDED = {
    "Object contains unknown field": "has an unknown key",
    "Object missing required field": "lacks the key",
    " | null": "",
    "`": "'",
}


def convert(raw: object, kind: type[T], path: str, where: str) -> T:
    """Convert decoded TOML to a structure; `path` is its place in the file, called `where` in
    errors.
    """
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        what, at = complaint(str(error))
        hint = _nearest(what, at, raw)
        raise DescriptionError(
            f"{(path + at).lstrip('.') or 'top level'}: {what}", where=where, hint=hint
        ) from None
    except RecursionError:
        raise DescriptionError("is nested too deeply", where=where) from None


def complaint(text: str) -> tuple[str, str]:
    """Split a message of msgspec into the mistake and its key, without backticks (which are for
    options) and null.

    >>> complaint("Object contains unknown field `size` - at `$.maps[0]`")
    ("has an unknown key 'size'", '.maps[0]')
    """
    what, _, at = " ".join(text.split()).partition(" - at ")
    for theirs, ours in WORDED.items():
        what = what.replace(theirs, ours)
    return what, at.strip("`").removeprefix("$")


def _nearest(what: str, at: str, raw: Any) -> str:
    name = what.rpartition(" ")[2].strip("'")
    if at.endswith(".op") and what.startswith("Invalid value"):
        return nearest(name, STEPS, 1)
    if "unknown key" not in what:
        return ""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", at):
        raw = raw[key or int(index)]
    op = raw.get("op")
    kind: type[Struct] = Description
    if isinstance(op, str):
        kind = STEPS.get(op, Description)
    return nearest(name, kind.__struct_encode_fields__, 1)
