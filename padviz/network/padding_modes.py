"""The table of padding schemes: what each reads, its names in PyTorch and ONNX, and a line that
explains it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from padviz.errors import SizeError

if TYPE_CHECKING:  # numpy loads with it, and takes time
    from padviz.network.resize import Ints

# (a, b) before the first row and after the last: p reads a * p + b
Ends = tuple[tuple[int, int], tuple[int, int]]


class Scheme(NamedTuple):
    """How padded rows are filled: the k-th from the border, from 1, copies the row at depth `first
    + step * (k - 1)`.

    `reads` is (first, step), with a step of 0 or 1; None reads nothing. Depths count from the same
    border, or from the far one if the scheme `wraps`. A scheme that `resizes` changes the number of
    padded rows, not what they read. `torch` and `onnx` are the names of the mode there, `since` the
    ONNX opset that has it.
    """

    explained: str
    reads: tuple[int, int] | None = None
    wraps: bool = False
    resizes: bool = False
    torch: str = ""
    onnx: str = ""
    since: int = 1


SCHEMES = {
    "zero": Scheme("zeros", torch="constant", onnx="constant"),
    "replicate": Scheme(
        "repeats the outermost row: aa|abc", (0, 0), torch="replicate", onnx="edge"
    ),
    "reflect": Scheme(
        "mirror image without the outermost row: cb|abc", (1, 1), torch="reflect", onnx="reflect"
    ),
    "symmetric": Scheme("mirror image with the outermost row: ba|abc", (0, 1)),
    "circular": Scheme(
        "wraps around from the opposite side: bc|abc",
        (0, 1),
        wraps=True,
        torch="circular",
        onnx="wrap",
        since=19,
    ),
    "partial": Scheme(
        "zeros, then each output is scaled by kernel taps / taps inside the image (partial "
        "convolution)"
    ),
    "valid": Scheme("no padding, in pools too", resizes=True),
    "full": Scheme("zeros, dilated kernel size - 1 on each side", resizes=True),
}
MODES = tuple(name for name, scheme in SCHEMES.items() if not scheme.resizes)
COPYING = tuple(name for name in MODES if SCHEMES[name].reads)
# row by row
RUNNING_ON = tuple(name for name, scheme in SCHEMES.items() if scheme.reads and scheme.reads[1])
OTHER = tuple(  # than zeros, what differs least from the image first
    sorted(
        MODES[1:],
        key=lambda name: (name not in COPYING, SCHEMES[name].wraps, name not in RUNNING_ON),
    )
)
EXPLORED = ("zero", *(name for name in OTHER if name != "replicate"))  # one row of it is symmetric


def fold(mode: str, n: int, before: int, after: int) -> Ends | None:
    """Return what padded rows read: position p < 0 or p >= n of the padded axis reads row a * p +
    b.

    The result is ((a, b) before the first row, (a, b) after the last), or None where padding reads
    nothing.

    Raises SizeError if the mode cannot pad that much: reflect needs pad < n, symmetric and circular
    pad <= n.

    >>> fold("reflect", 5, 1, 1)
    ((-1, 0), (-1, 8))
    """
    scheme = SCHEMES[mode]
    if scheme.reads is None:
        return None
    most = max(before, after)
    if not fits(mode, n, most):
        raise SizeError(f"its input has {n} {rows_word(n)}, too few for {mode} padding of {most}")
    first, step = scheme.reads
    if scheme.wraps:
        return (step, n - 1 - first + step), (step, first - step * n)
    return (-step, first - step), (-step, n - 1 - first + step * n)


def depth(mode: str, count: Ints) -> Ints:
    """Return the depth of the row that the outermost of `count` padded rows reads; 0 is the row at
    the border.
    """
    first, step = SCHEMES[mode].reads or (0, 0)
    return first + step * (count - 1)


def fits(mode: str, n: Ints, count: Ints) -> Ints:
    """Return whether `n` rows are enough for a mode to pad `count` rows on a side; numbers or
    arrays.
    """
    return (count <= 0) | (depth(mode, count) < n)


def native(mode: str, count: int) -> str:
    """Return a mode that PyTorch and ONNX have and that pads `count` rows in the same way; else the
    mode itself.

    >>> native("symmetric", 1), native("symmetric", 2)
    ('replicate', 'symmetric')
    """
    scheme = SCHEMES[mode]
    if scheme.reads is None or scheme.wraps or scheme.torch or count > 1:
        return mode
    alike = (name for name in COPYING if SCHEMES[name].torch and not SCHEMES[name].wraps)
    return next((name for name in alike if depth(name, 1) == depth(mode, 1)), mode)


def rows_word(n: int) -> str:
    return "row" if n == 1 else "rows"
