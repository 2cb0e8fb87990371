"""How a foreign network is read.

Which operations are elementwise, which input is the image, and what others are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from padviz.errors import OptionError
from padviz.network.network import Size

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
MOVES = """
    adjoint align aminmax argsort attention bincount cdist cholesky chunk compress concat conv
    convolution corr corrcoef correlation cosine cov crop cum cummax cummin cumprod cumsum deform
    depth det dft diag diagonal diff distance dsplit dstack eig fbgemm fft flip fliplr flipud fold
    foreach gather geqrf gradient grid gru hist histc histogram histogramdd hsplit hstack if im
    index inner interpolate inv inverse irfft kron kthvalue linalg lobpcg logcumsumexp logdet
    logsumexp loop lowrank lstm lstsq lu mat matmul matrix mean mode nanmean nanmedian nanquantile
    nansum nms nonzero outer pad pairwise pdist permute pinverse pixel pool pooling put qr
    quantile renorm resample resize reverse reversed rfft rnn roi roll rot sample sampler scan
    scatter searchsorted select sequence similarity slice slogdet softmax solve sort space split
    stack std stft strided sum suppression svd svdvals take top topk trace transpose trapezoid
    trapz tril trilu triu unbind unfold unique unpool upsample var vecdot vsplit vstack warp
"""  # positions, or joins them: words in names of operations
MOVING = frozenset(MOVES.split())
Shape = int | float | tuple[int | str, ...]  # of another input; letters are the image's sides
SIDES = {1: "L", 2: "HW", 3: "DHW"}  # by its axes
NAMED = 8  # inputs, in a line
CHANNELS = (1, 3, 4)  # of an image


@dataclass(frozen=True, slots=True)
class Reading:
    """`neutral` operations, the input that is the `image` ("" for the first), `shapes` of inputs.

    Shapes are of inputs other than the image. Those for a module may include the image's, for its
    channels.
    """

    neutral: tuple[str, ...] = ()
    image: str = ""
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, str]:
        options = dict.fromkeys(self.shapes, "shape")
        if self.image:
            options[self.image] = "input"
        return options

    def check(
        self,
        inputs: Iterable[str],
        where: str,
        shaped: bool = True,
        image: bool = False,
    ) -> None:
        """Reject unknown inputs, and shapes unless inputs may be `shaped`, and the `image` too."""
        known = [*inputs]
        for name, option in self.options.items():
            if name not in known:
                hint = f"its inputs are {', '.join(map(repr, known[:NAMED]))}"
                raise OptionError(f"has no input {name!r}", option=option, where=where, hint=hint)
        if self.image in self.shapes and not image:
            what, hint = f"{self.image!r} is the image", "say its `size`, or another `input`"
            raise OptionError(what, option="shape", where=where, hint=hint)
        if self.shapes and not shaped:
            what = f"the shape of {next(iter(self.shapes))!r} is the file's"
            raise OptionError(what, option="shape", where=where, hint="leave it out")

    def image_among(self, inputs: Iterable[str]) -> str:
        """Return the input that is the image.

        The first that has no shape, or, if all have, the first of them.

        >>> Reading(shapes={"t": 1}).image_among(["t", "x"])
        'x'
        >>> Reading(shapes={"x": (1, 5, "L")}).image_among(["x"])
        'x'
        """
        names = [*inputs]
        unshaped = [name for name in names if name not in self.shapes]
        return self.image or [*unshaped, *names, ""][0]

    def channels_of(self, image: str, where: str) -> tuple[int, int] | None:
        """Return the channels and the axes that the shape of the image says, or None."""
        shape = self.shapes.get(image)
        if shape is None:
            return None
        for axes, letters in SIDES.items():
            if isinstance(shape, tuple) and len(shape) == axes + 2:
                batch, channels, *sides = shape
                is_image = batch == 1 and sides == [*letters]
                if is_image and isinstance(channels, int) and channels > 0:
                    return channels, axes
        form = f"{image}=1xCxHxW, or 1xCxL of a signal, with a number for C"
        hint = f"write it as {form}; its `size` says the rest"
        raise OptionError(f"{image!r} is the image", option="shape", where=where, hint=hint)

    def check_alone(self, where: str, what: str) -> None:
        for name, option in self.options.items():
            what = f"{what}, and no {name!r}"
            raise OptionError(what, option=option, where=where, hint="leave it out")


AS_IT_IS = Reading()


def shape_at(name: str, shape: Shape, size: Size, where: str) -> int | float | tuple[int, ...]:
    """Replace the letters in the shape of an input by the sides of the image.

    >>> shape_at("mask", (1, 1, "H", "W"), (24, 33), "net.onnx")
    (1, 1, 24, 33)
    >>> shape_at("t", 0.5, (24, 33), "net.onnx")
    0.5
    """
    if not isinstance(shape, tuple):
        return shape
    sides = dict(zip(SIDES[len(size)], size, strict=True))
    for n in shape:
        if isinstance(n, str) and n not in sides:
            what = f"{name!r} has a side {n}, and the image has {', '.join(sides)}"
            raise OptionError(what, option="shape", where=where, hint="use these, or numbers")
    return tuple(sides[n] if isinstance(n, str) else n for n in shape)


def as_reading(
    neutral: str | Iterable[str] = (),
    shape: Mapping[str, Shape] | None = None,
    input_: str | None = None,
) -> Reading:
    ops = neutral
    if isinstance(neutral, str):
        ops = [neutral]
    return Reading((*sorted(checked_neutral(ops)),), input_ or "", {**(shape or {})})


def moves(op: str) -> bool:
    """Whether an operation, by its name, moves or joins positions, and so is not elementwise."""
    return not MOVING.isdisjoint(word.lower() for word in WORD.findall(op.rsplit(".", 1)[-1]))


def checked_neutral(ops: Iterable[str]) -> frozenset[str]:
    neutral = frozenset(ops)
    for op in sorted(filter(moves, neutral)):
        what = f"{op!r} moves positions or joins them, so it is not elementwise"
        raise OptionError(what, option="neutral", hint="`layer` NAME stops before it")
    return neutral
