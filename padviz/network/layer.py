"""A layer: one spatial operation, on each axis, and the layers it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeVar

from padviz.network.operations import Adaptive, Blocks, Op

T = TypeVar("T")
Kind = Literal[
    "input",
    "conv",
    "convtranspose",
    "maxpool",
    "avgpool",
    "adaptive",
    "global",
    "pad",
    "crop",
    "resize",
    "add",
    "concat",
    "multiply",
    "gate",
    "roll",
    "mixing",
    "identity",
    "unknown",
]
POOLS: frozenset[Kind] = frozenset({"maxpool", "avgpool", "adaptive", "global"})
WINDOWS: frozenset[Kind] = frozenset({"conv", "maxpool", "avgpool"})
# windows with weights; pools have none
CONVOLUTIONS: frozenset[Kind] = frozenset({"conv", "convtranspose"})
MERGES: frozenset[Kind] = frozenset({"add", "concat", "multiply"})


class Origin(NamedTuple):
    """The source of a layer: an ONNX node, a PyTorch module, or a function called outside of any.

    `pads` are the names of the pads merged into the layer, in order. `dims` has the dimension of
    its tensor for each axis of the image, -1 for an axis without one. Height and width behind the
    channels are (2, 3). They are known of windows, pads and resizes.
    """

    name: str
    pads: tuple[str, ...] = ()
    dims: tuple[int, ...] = ()

    def after(self, pad: Origin) -> Origin:
        """Return the origin with a preceding pad merged in."""
        return self._replace(pads=(*pad.pads, pad.name, *self.pads))


class Channels(NamedTuple):
    """The input and output channels of a convolution and its groups; only costs depend on them."""

    in_: int
    out: int
    groups: int = 1

    @property
    def products(self) -> int:
        """The multiply-adds of one tap at one position."""
        return self.in_ // self.groups * self.out


class Act(NamedTuple):
    """An elementwise call on a layer's map: its name, and the function and numbers it is given.

    It `varies` if these numbers differ by position, as a grid of coordinates does.
    """

    name: str
    given: tuple[str, ...] = ()
    varies: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """One spatial operation; `inputs` and `like` are positions in `Network.layers`, always earlier
    ones.

    `ops` is the operation on each axis, in the order of `Network.axes`: (height, width) of an
    image. It is None where a position reads only itself: merges, gates, activations; a network
    fills it in where all are None. A mixing computes each row of a block from the whole block, as
    attention in windows does. A gate multiplies its input by a vector that global pooling made of
    it; paths leave that vector out. `like` is the layer whose size a resize or a crop follows. An
    unknown layer's `note` is the error to raise if anything depends on it. `everywhere` names an
    operation by which each position depends on all, though paths ignore it: "instance norm".
    `origin` is None for the image and for described networks, `channels` for all but convolutions
    and where unknown. `acts` are the elementwise calls on its map, where it was traced. Layers
    compare without these three.

    >>> import padviz
    >>> padviz.load("vgg11").layers[1].ops[0].kernel
    3
    """

    name: str
    kind: Kind
    inputs: tuple[int, ...]
    ops: tuple[Op | None, ...] = ()
    like: int | None = None
    note: str = ""
    everywhere: str = ""
    origin: Origin | None = field(default=None, compare=False, repr=False)
    channels: Channels | None = field(default=None, compare=False, repr=False)
    acts: tuple[Act, ...] = field(default=(), compare=False, repr=False)

    def followed(self, values: Sequence[T] | Mapping[int, T]) -> T | None:
        """Return the value of the layer whose size it follows, of one value for each layer; None if
        it follows none.
        """
        if self.like is None:
            return None
        return values[self.like]

    def moved(self, places: Sequence[int] | Mapping[int, int]) -> Layer:
        """Return the layer in a network in which each layer has another position."""
        inputs = tuple([places[i] for i in self.inputs])
        return replace(self, inputs=inputs, like=self.followed(places))

    def whole(self, axis: int) -> str:
        """Return the operation by which each row on an axis depends on all rows that it reads, or
        "".
        """
        if self.everywhere or self.kind == "gate":
            return self.everywhere or "gate"
        op = self.ops[axis]
        if isinstance(op, Blocks) and not op.is_local:
            return "grid attention"
        if not isinstance(op, Adaptive):
            return ""
        if op.output == 1:
            return "global pooling"
        return "adaptive pooling"
