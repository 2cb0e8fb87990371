"""A layer: one spatial operation, on each axis, and the layers it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from padviz.axis.operations import Adaptive, Blocks, Op

Kind = Literal[
    "input", "conv", "convtranspose", "maxpool", "avgpool", "adaptive", "global", "pad", "crop", "resize",
    "add", "concat", "multiply", "gate", "roll", "mixing", "identity", "unknown",
]  # fmt: skip
POOLS: frozenset[Kind] = frozenset({"maxpool", "avgpool", "adaptive", "global"})
WINDOWS: frozenset[Kind] = frozenset({"conv", "maxpool", "avgpool"})
CONVOLUTIONS: frozenset[Kind] = frozenset({"conv", "convtranspose"})  # windows with weights; pools have none
MERGES: frozenset[Kind] = frozenset({"add", "concat", "multiply"})


@dataclass(frozen=True, slots=True)
class Origin:
    """What a layer was read from: an ONNX node or a PyTorch module, or a function where it is called outside of any.

    `pads` are the names of the pads whose rows the layer has as its own, the first one first. A `swapped` layer has
    width before height, since the image was transposed.
    """

    name: str
    pads: tuple[str, ...] = ()
    swapped: bool = False

    def after(self, pad: Origin) -> Origin:
        """Add the rows of a pad before it, which it has as its own.

        >>> Origin("conv1").after(Origin("pad"))
        Origin(name='conv1', pads=('pad',), swapped=False)
        """
        return Origin(self.name, (*pad.pads, pad.name, *self.pads), self.swapped)


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels that a convolution reads and makes, in so many groups; costs ask for them, counts never do."""

    in_: int
    out: int
    groups: int = 1

    @property
    def products(self) -> int:
        """Multiply-adds of one tap at one position.

        >>> Channels(64, 128).products, Channels(64, 64, groups=64).products
        (8192, 64)
        """
        return self.in_ // self.groups * self.out


@dataclass(frozen=True, slots=True)
class Layer:
    """One spatial operation; `inputs` and `like` are positions in `Network.layers`, always earlier ones.

    `ops` is the operation on each axis, in the order of `Network.axes`: (height, width) of an image. It is None where
    a position reads only itself: merges, gates, activations; a network fills it in where all are.
    A mixing makes each row of a block of all of it, as attention in windows does.
    A gate multiplies its input by a vector that global pooling made of it; paths leave that vector out.
    `like` is the layer whose size a resize or a crop follows. An unknown layer's `note` is the error that it is
    where anything depends on it. `everywhere` says what makes each position depend on all, though paths pass it by:
    "instance norm". `origin` is None for the image and for described networks, and `channels` for all but
    convolutions, and for those whose channels nobody says; layers compare without the two.

    Examples
    --------
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

    def whole(self, axis: int) -> str:
        """Say what makes each row of it on an axis depend on all of what it reads; nothing where they do not.

        >>> Layer("pool", "global", (0,), (Adaptive(1), Adaptive(1))).whole(0)
        'global pooling'
        """
        if self.everywhere or self.kind == "gate":
            return self.everywhere or "gate"
        op = self.ops[axis]
        if isinstance(op, Blocks) and not op.is_local:
            return "grid attention"
        if not isinstance(op, Adaptive):
            return ""
        return "global pooling" if op.output == 1 else "adaptive pooling"
