"""Operations on one axis: what they are, where their windows lie, and how many outputs
they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Literal, NamedTuple

from padviz.errors import SizeError
from padviz.network.padding_modes import rows_word
from padviz.network.resize import Ints, Resize

Same = Literal["same", "same_upper", "same_lower"]
Odd = Literal["end", "front", "down", "up"]
Fill = float | Literal["none"]

MOST_ROWS = 1 << 22  # of any layer
CACHED = 4096  # windows and axis maps kept; a network has some tens of distinct ones per size


@dataclass(frozen=True, slots=True)
class Window:
    """A window that slides along an axis: convolution, pooling, and with kernel 1 also pad, crop
    and slice.

    `padding` is the rows added (before, after), negative for a crop, or a rule that depends on the
    input: "same" (PyTorch), "same_upper" (TensorFlow, ONNX) or "same_lower". `mode` says what the
    padding reads. `ceil` rounds the output size up. `mean` weighs each tap by 1 / kernel. `fill` is
    the value of padding that reads nothing: "none" where an average leaves it out, or a pad is
    -inf. It changes no count. A max pool always leaves its own padding out.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] | Same = (0, 0)
    mode: str = "zero"
    ceil: bool = False
    mean: bool = False
    fill: Fill = 0

    @property
    def extent(self) -> int:
        """Rows from the first tap to the last, dilation included."""
        return self.dilation * (self.kernel - 1) + 1


@dataclass(frozen=True, slots=True)
class Transposed:
    """A transposed convolution: each input row adds to `kernel` output rows, `stride` apart."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    output_padding: int = 0

    @property
    def extent(self) -> int:
        """Rows from the first tap to the last, dilation included."""
        return self.dilation * (self.kernel - 1) + 1


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Pooling to a fixed number of outputs; `output` 1 is global pooling, which sees every row.

    `maximum` says that it is no average, which changes no count.
    """

    output: int
    mean: bool = False
    maximum: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """A centred crop, or zero padding, to the size of another layer: the skips of a U-Net.

    `odd` says on which side an odd row is added or removed: at the "end", in "front"; or "down",
    which adds it at the end and removes it in front, as rounding half of the difference down does,
    or "up", the other way round.
    """

    odd: Odd = "end"


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows that see each other, as attention in windows has them: `size` rows, `step` apart; each
    makes one row.

    Blocks of neighbours lie one after the other; the first of them has `first` rows, where it is
    shorter, and the last those that are left. A `step` of 0 is as large as `size` blocks leave it
    (a grid of `size` rows), and a `size` of 0 takes every row that is some steps away.
    """

    size: int
    step: int = 1
    first: int = 0

    @property
    def is_local(self) -> bool:
        """Whether the rows of a block are neighbours."""
        return self.step == 1 and self.size > 0

    def of(self, n: int) -> tuple[int, int]:
        """Return the size and the step for `n` rows."""
        return self.size or n // self.step, self.step or n // self.size

    def around(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return the first and last row of the local block around a row, or each of an array of
        rows.
        """
        start = rows - (rows - self.first) % self.size
        return start, start + self.size - 1


Op = Window | Transposed | Adaptive | Resize | Fit | Blocks


class Placement(NamedTuple, Generic[Ints]):
    """Where a window lies over an input: rows of padding before and after, and the number of
    outputs.
    """

    before: Ints | int
    after: Ints | int
    n_out: Ints


@lru_cache(CACHED)
def place(window: Window, n: int) -> Placement[int]:
    """Place `window` over `n` rows.

    Raises SizeError if the padded input is shorter than the window, by more than ceil rounding
    makes up for.

    >>> place(Window(7, stride=2, padding=(3, 3)), 224)
    Placement(before=3, after=3, n_out=112)
    >>> place(Window(3, stride=2, padding="same_upper"), 224)
    Placement(before=0, after=1, n_out=112)
    >>> # as in PyTorch, a single window may overhang
    >>> place(Window(3, stride=2, ceil=True), 2).n_out
    1
    """
    before, after, n_out = placed = placement(window, n)
    if n_out > MOST_ROWS:
        raise SizeError(f"its input has {n} {rows_word(n)} and its output would have {n_out}")
    if before < 0 and n + before + after < window.extent:
        raise SizeError(f"its input has {n} {rows_word(n)}, and it would remove {-before - after}")
    if n_out < 1:
        pads = f" with padding {before}+{after}" if before or after else ""
        raise SizeError(
            f"its input has {n} {rows_word(n)} and its window spans {window.extent}{pads}"
        )
    return placed


def placement(window: Window, n: Ints) -> Placement[Ints]:
    """Place a window without the checks of `place`, for one size or an array of sizes."""
    before, after = pads_at(window, n)
    room = n + before + after - window.extent
    if not window.ceil:
        return Placement(before, after, room // window.stride + 1)
    n_out = -(-room // window.stride) + 1
    # PyTorch's rule: a window that would start in the far padding is left out.
    return Placement(before, after, n_out - ((n_out - 1) * window.stride >= n + before))


def pads_at(window: Window, n: Ints) -> tuple[Ints | int, Ints | int]:
    """Return the rows padded (before, after), for one size or an array of sizes."""
    if isinstance(window.padding, tuple):
        return window.padding
    total: Ints | int
    if window.padding == "same":
        total = window.extent - 1
    else:
        n_out = -(-n // window.stride)
        total = (n_out - 1) * window.stride + window.extent - n
        total = total * (total > 0)
    small, large = total // 2, total - total // 2
    if window.padding == "same_lower":
        return (large, small)
    return (small, large)


@lru_cache(CACHED)
def out_size(op: Op, n: int, like: int | None = None) -> int:
    """Count the output rows of `op` on `n` input rows; `like` is the size of the layer
    it follows.
    """
    if isinstance(op, Window):
        return place(op, n).n_out
    n_out: int = sized(op, n, like)
    if not 1 <= n_out <= MOST_ROWS:
        raise SizeError(f"its input has {n} {rows_word(n)} and its output would have {n_out}")
    return n_out


def taps_of(op: Op | None) -> int:
    """Count the taps, or pooled regions, of an operation."""
    if isinstance(op, Window | Transposed):
        return op.kernel
    if isinstance(op, Adaptive):
        return op.output
    if isinstance(op, Blocks):
        return op.size
    return 0


def sized(op: Op, n: Ints, like: Ints | None = None) -> Any:
    """Count output rows without the checks of `out_size`, for one size or an array of sizes."""
    if isinstance(op, Window):
        return placement(op, n).n_out
    if isinstance(op, Adaptive):
        return op.output
    if isinstance(op, Blocks):
        return n
    if isinstance(op, Transposed):
        return (n - 1) * op.stride - sum(op.padding) + op.extent + op.output_padding
    if isinstance(op, Resize) and op.scale is not None:
        return n * op.scale.numerator // op.scale.denominator
    if isinstance(op, Resize) and op.size is not None:
        return op.size
    return like


def fit_shift(n: int, n_out: int, odd: Odd) -> int:
    """Return how many rows a `Fit` of `n` rows to `n_out` adds in front, or removes if negative.

    >>> [(fit_shift(4, 7, odd), fit_shift(7, 4, odd)) for odd in ("end", "front", "down", "up")]
    [(1, -1), (2, -2), (1, -2), (2, -1)]
    """
    more = n_out - n
    up = odd == "up" or odd == ("end" if more < 0 else "front")
    if up:
        return -(-more // 2)
    return more // 2
