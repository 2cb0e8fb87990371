"""One axis of a spatial operation: how its window lies over the input, and what it reads.

Height and width never mix, so a layer is two `Op` values, one per axis. At a given input size an
operation becomes an `AxisMap`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from padviz.errors import SizeError
from padviz.resize import Resize as Resize
from padviz.resize import origin_of, ratio_of, reads, span_of
from padviz.strips import AxisMap as AxisMap
from padviz.strips import Strip

Same = Literal["same", "same_upper", "same_lower"]
Mode = Literal["zero", "replicate", "reflect", "symmetric", "circular", "partial"]
Odd = Literal["end", "front", "down", "up"]
ODDS: tuple[Odd, ...] = get_args(Odd)
MODES: tuple[str, ...] = get_args(Mode)

MOST_ROWS = 1 << 22  # of any layer
CACHED = 4096  # axis maps kept; a network has some tens of distinct ones per size


@dataclass(frozen=True, slots=True)
class Window:
    """A window that slides along an axis: convolution, pooling, and with kernel 1 also pad, crop and slice.

    `padding` is the rows added (before, after), negative for a crop, or a rule that depends on the
    input: "same" (PyTorch), "same_upper" (TensorFlow, ONNX) or "same_lower". `mode` says what the
    padding reads. `ceil` rounds the output size up. `mean` weighs each tap by 1 / kernel.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] | Same = (0, 0)
    mode: Mode = "zero"
    ceil: bool = False
    mean: bool = False

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


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Pooling to a fixed number of outputs; `output` 1 is global pooling, which sees every row."""

    output: int
    mean: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """A centred crop, or zero padding, to the size of another layer: the skips of a U-Net.

    `odd` says on which side an odd row is added or removed: at the "end", in "front"; or "down", which adds it at the
    end and removes it in front, as rounding half of the difference down does, or "up", the other way round.
    """

    odd: Odd = "end"


Op = Window | Transposed | Adaptive | Resize | Fit


class Placement(NamedTuple):
    """A window laid over an input: rows of padding before and after, and the number of outputs."""

    before: int
    after: int
    n_out: int


def place(window: Window, n: int) -> Placement:
    """Lay `window` over `n` rows.

    Raises
    ------
    SizeError
        If the padded input is shorter than the window, by more than ceil rounding makes up for.

    Examples
    --------
    >>> place(Window(7, stride=2, padding=(3, 3)), 224)
    Placement(before=3, after=3, n_out=112)
    >>> place(Window(3, stride=2, padding="same_upper"), 224)
    Placement(before=0, after=1, n_out=112)
    >>> place(Window(3, stride=2, ceil=True), 2).n_out  # as in PyTorch, a single window may overhang
    1
    """
    placed = placement(window, n)
    before, after, n_out = placed
    if n_out > MOST_ROWS:
        raise SizeError(f"its input has {n} {_rows(n)} and its output would have {n_out}")
    if before < 0 and n + before + after < window.extent:
        raise SizeError(f"its input has {n} {_rows(n)}, and it would remove {-before - after}")
    if n_out < 1:
        pads = f" with padding {before}+{after}" if before or after else ""
        raise SizeError(f"its input has {n} {_rows(n)} and its window spans {window.extent}{pads}")
    return placed


def placement(window: Window, n: Any) -> Placement:
    """The arithmetic of `place` without its check, for one size or for an array of sizes."""
    before, after = _padding(window, n)
    room = n + before + after - window.extent
    if not window.ceil:
        return Placement(before, after, room // window.stride + 1)
    n_out = -(-room // window.stride) + 1
    # PyTorch's rule: a window that would start in the far padding is left out.
    return Placement(before, after, n_out - ((n_out - 1) * window.stride >= n + before))


def _padding(window: Window, n: Any) -> tuple[Any, Any]:
    if isinstance(window.padding, tuple):
        return window.padding
    if window.padding == "same":
        total = window.extent - 1
    else:
        n_out = -(-n // window.stride)
        total = (n_out - 1) * window.stride + window.extent - n
        total = total * (total > 0)
    small, large = total // 2, total - total // 2
    return (large, small) if window.padding == "same_lower" else (small, large)


def out_size(op: Op, n: int, like: int | None = None) -> int:
    """The number of output rows of `op` on `n` input rows; `like` is the size of the layer it follows.

    >>> out_size(Transposed(2, stride=2), 14)
    28
    """
    if isinstance(op, Window):
        return place(op, n).n_out
    n_out: int = sized(op, n, like)
    if not 1 <= n_out <= MOST_ROWS:
        raise SizeError(f"its input has {n} {_rows(n)} and its output would have {n_out}")
    return n_out


def taps_of(op: Op | None) -> int:
    """How many taps, or pooled regions, an operation has.

    >>> taps_of(Window(7)), taps_of(Adaptive(6)), taps_of(None)
    (7, 6, 0)
    """
    return op.kernel if isinstance(op, Window | Transposed) else op.output if isinstance(op, Adaptive) else 0


def sized(op: Op, n: Any, like: Any = None) -> Any:
    """The arithmetic of `out_size` without its checks, for one size or for an array of sizes."""
    if isinstance(op, Window):
        return placement(op, n).n_out
    if isinstance(op, Adaptive):
        return op.output
    if isinstance(op, Transposed):
        extent = op.dilation * (op.kernel - 1) + 1
        return (n - 1) * op.stride - sum(op.padding) + extent + op.output_padding
    if isinstance(op, Resize) and op.scale is not None:
        return n * op.scale.numerator // op.scale.denominator
    return op.size if isinstance(op, Resize) and op.size is not None else like


@lru_cache(CACHED)
def axis_map(op: Op, n: int, like: int | None = None) -> AxisMap:
    """What `op` reads of `n` input rows, as an `AxisMap`.

    Raises
    ------
    SizeError
        If the input is too small for the window, or for the padding mode.

    Examples
    --------
    >>> axis_map(Window(3, padding=(1, 1), mode="reflect"), 4).dense()
    array([[1, 2, 0, 0],
           [1, 1, 1, 0],
           [0, 1, 1, 1],
           [0, 0, 2, 1]])
    """
    n_out = out_size(op, n, like)
    strips: Iterable[Strip]
    if isinstance(op, Window):
        strips = _window_strips(op, n, n_out)
    elif isinstance(op, Transposed):
        strips = _transposed_strips(op, n, n_out)
    elif isinstance(op, Adaptive):
        strips = _adaptive_strips(op, n)
    elif isinstance(op, Resize):
        strips = _resize_strips(op, n, n_out)
    else:
        before = fit_shift(n, n_out, op.odd)
        strips = _tap_strips(Window(1, padding=(before, n_out - n - before)), n, n_out, before)
    return AxisMap(n, n_out, tuple(strips))


def fit_shift(n: int, n_out: int, odd: Odd = "end") -> int:
    """The rows that a fit of `n` rows to `n_out` adds in front, or takes off if negative.

    >>> [(fit_shift(4, 7, odd), fit_shift(7, 4, odd)) for odd in ODDS]
    [(1, -1), (2, -2), (1, -2), (2, -1)]
    """
    more = n_out - n
    up = odd == "up" or odd == ("end" if more < 0 else "front")
    return -(-more // 2) if up else more // 2


def rows_read(op: Op, n: int, n_out: int) -> tuple[list[tuple[int, int]], int]:
    """Rows (first, last) that the units of one period read of the layer before, and how far the next period is.

    Far from any end, and not for adaptive pools, whose units read by no steady rate.

    >>> rows_read(Window(7, stride=2, padding=(3, 3)), 224, 112)
    ([(-3, 3)], 2)
    """
    if isinstance(op, Window):
        before = place(op, n).before
        return [(-before, op.extent - 1 - before)], op.stride
    if isinstance(op, Fit):
        shift = fit_shift(n, n_out, op.odd)
        return [(-shift, -shift)], 1
    if isinstance(op, Transposed):
        extent = op.dilation * (op.kernel - 1) + 1
        places = [unit + op.padding[0] for unit in range(op.stride)]
        return [(min(-((extent - 1 - p) // op.stride), p // op.stride), p // op.stride) for p in places], 1
    assert isinstance(op, Resize)
    ratio, origin = ratio_of(op, n, n_out), origin_of(op, n, n_out)
    around = [span_of(op, origin + unit * ratio) for unit in range(ratio.denominator)]
    return around, ratio.numerator


def fold(mode: Mode, n: int, before: int, after: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Where padded rows read from: position p < 0 or p >= n of the padded axis reads row a * p + b.

    Returns ((a, b) before the first row, (a, b) after the last), or None where padding reads nothing.

    Raises
    ------
    SizeError
        If the mode cannot pad that much: reflect needs pad < n, symmetric and circular pad <= n.

    Examples
    --------
    >>> fold("reflect", 5, 1, 1)
    ((-1, 0), (-1, 8))
    """
    if mode in ("zero", "partial"):
        return None
    if mode == "replicate":
        return (0, 0), (0, n - 1)
    if max(before, after) > most_padding(mode, n):
        raise SizeError(f"its input has {n} {_rows(n)}, too few for {mode} padding of {max(before, after)}")
    if mode == "reflect":
        return (-1, 0), (-1, 2 * (n - 1))
    if mode == "symmetric":
        return (-1, -1), (-1, 2 * n - 1)
    return (1, n), (1, -n)


def most_padding(mode: Mode, n: Any) -> Any:
    """The most rows that a mode that copies can add on a side, where it has a limit."""
    return n - 1 if mode == "reflect" else n


def _window_strips(window: Window, n: int, n_out: int) -> list[Strip]:
    before = place(window, n).before
    strips = list(_tap_strips(window, n, n_out, before))
    if window.mode == "partial" and window.kernel > 1:
        hits = np.zeros(n_out, dtype=np.int64)
        for strip in strips:
            hits[strip.dst : strip.dst + strip.length] += 1
        strips = list(_reweighed(strips, window.kernel / np.maximum(hits, 1)))
    if window.mean:
        strips = [strip._replace(weight=strip.weight / window.kernel) for strip in strips]
    return strips


def _tap_strips(window: Window, n: int, n_out: int, before: int) -> Iterator[Strip]:
    """Each tap reads an arithmetic progression: its part inside, and what its ends in the padding fold onto."""
    after = _padding(window, n)[1]
    outside = fold(window.mode, n, before, after) if before > 0 or after > 0 else None
    step = window.stride
    for tap in range(window.kernel):
        first = tap * window.dilation - before
        enter = min(max(-(first // step), 0), n_out)  # the first output whose tap is inside
        leave = min(max(-((first - n) // step), enter), n_out)  # the first whose tap is beyond
        if outside and enter:
            a, b = outside[0]
            yield Strip(0, 1, a * first + b, a * step, enter)
        if leave > enter:
            yield Strip(enter, 1, first + enter * step, step, leave - enter)
        padded = min(max(-((first - n - after) // step), leave), n_out)  # the first past the padding: ceil overhangs
        if outside and padded > leave:
            a, b = outside[1]
            yield Strip(leave, 1, a * (first + leave * step) + b, a * step, padded - leave)


def _reweighed(strips: list[Strip], weights: NDArray[np.float64]) -> Iterator[Strip]:
    """Split strips so that each has one weight: `weights[dst]`."""
    edges = np.flatnonzero(np.diff(weights)) + 1
    for strip in strips:
        inside = edges[(edges > strip.dst) & (edges < strip.dst + strip.length)]
        starts = [strip.dst, *inside.tolist()]
        for start, stop in zip(starts, [*starts[1:], strip.dst + strip.length], strict=True):
            src = strip.src + (start - strip.dst) * strip.src_step
            yield Strip(start, 1, src, strip.src_step, stop - start, float(weights[start]))


def _transposed_strips(op: Transposed, n: int, n_out: int) -> Iterator[Strip]:
    window = Window(op.kernel, op.stride, op.dilation)
    for dst, dst_step, src, src_step, length, _ in _tap_strips(window, n_out, n, op.padding[0]):
        yield Strip(src, src_step, dst, dst_step, length)


def _adaptive_strips(op: Adaptive, n: int) -> Iterator[Strip]:
    for j in range(op.output):
        start, stop = j * n // op.output, -(-(j + 1) * n // op.output)
        yield Strip(j, 0, start, 1, stop - start, 1 / (stop - start) if op.mean else 1)


def _resize_strips(op: Resize, n: int, n_out: int) -> Iterator[Strip]:
    period = min(ratio_of(op, n, n_out).denominator, n_out)
    for dst, src, weights in reads(op, n, n_out):
        yield from _runs(dst, src, weights if op.mean else np.ones(weights.shape), period)


def _runs(dst: NDArray[np.int64], src: NDArray[np.int64], weight: NDArray[np.float64], period: int) -> Iterator[Strip]:
    """Group reads into strips: rows of one phase of the period advance evenly, so they make long runs."""
    order = np.argsort(dst % period, kind="stable")
    d, s, w = (values[order].tolist() for values in (dst, src, weight))
    start = 0
    while start < len(d):
        step = s[start + 1] - s[start] if start + 1 < len(s) else 0
        stop = start + 1
        while (
            stop < len(d) and d[stop] - d[stop - 1] == period and s[stop] - s[stop - 1] == step and w[stop] == w[start]
        ):
            stop += 1
        yield Strip(d[start], period, s[start], step if stop - start > 1 else 0, stop - start, w[start])
        start = stop


def _rows(n: int) -> str:
    return "row" if n == 1 else "rows"
