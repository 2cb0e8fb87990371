"""One layer on a small image: the pixel that each padded cell copies, and the exact uses of each
pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from string import ascii_letters

import numpy as np

from padviz.errors import OptionError, SizeError
from padviz.network.layer import Layer
from padviz.network.network import Size
from padviz.network.operations import Window, place
from padviz.network.reads import PADDING, reads, real_rows
from padviz.network.rewrites import canonical, padded_layer, schemes_of

Count = int | Fraction
CountGrid = list[list[Count]]
MOST = 16  # rows and columns of an image, to fit on a screen
EMPTY = "·"  # padding that copies no pixel


@dataclass(frozen=True, slots=True)
class Illustration:
    """A square window over an image of `size` pixels under one padding scheme, or one for each
    axis.

    `padded` is the padded image: in each cell the letter of the pixel that it copies, or its number
    where there are more than 52 pixels. `before` counts padded rows and columns at the top left,
    `uses` the uses of each pixel.
    """

    scheme: str
    windows: tuple[Window, Window]
    size: Size
    padded: list[list[str]]
    before: tuple[int, int]
    uses: CountGrid

    @property
    def fair_uses(self) -> CountGrid:
        """The uses that each pixel would have far from all borders: the numbers of taps that its
        stride phase meets.

        >>> illustrate(3, 2, 1, (3, 3), "zero").fair_uses
        [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
        """
        tall, wide = (
            [_taps_that_meet(window, first + pixel) for pixel in range(n)]
            for window, n, first in zip(self.windows, self.size, self.before, strict=True)
        )
        return _outer(tall, wide)

    def taps(self, row: int, col: int) -> CountGrid:
        """Count the reads of one pixel, including its padded copies, by each cell of the kernel."""
        if not (0 <= row < self.size[0] and 0 <= col < self.size[1]):
            what = f"{row},{col} is outside of an image of {self.size[0]} x {self.size[1]}"
            raise OptionError(what, option="pixel", hint="rows and columns count from 0")
        reads = []
        for window, n, at in zip(self.windows, self.size, (row, col), strict=True):
            units = _weighted_reads(window, n)
            taps = range(window.kernel)
            reads.append(
                [
                    sum((weight for weight, rows in units if rows[tap] == at), Fraction(0))
                    for tap in taps
                ]
            )
        return _outer(*reads)


def illustrate(kernel: int, stride: int, dilation: int, size: Size, scheme: str) -> Illustration:
    """Apply a window to a small image; padding keeps the size at stride 1, except for "valid" and
    "full".

    Raises PadvizError if the scheme is not known, or cannot pad so small an image.

    >>> symmetric = illustrate(3, 1, 1, (5, 5), "symmetric")
    >>> symmetric.padded[0]
    ['a', 'a', 'b', 'c', 'd', 'e', 'e']
    >>> symmetric.taps(0, 0)
    [[4, 2, 0], [2, 1, 0], [0, 0, 0]]
    """
    scheme = canonical(scheme) or "zero"
    windows = _windows(kernel, stride, dilation, scheme)
    try:
        units = [_weighted_reads(*window) for window in zip(windows, size, strict=True)]
    except SizeError as error:
        raise SizeError(
            error.what, where=scheme, hint="use a larger `size` or a smaller `kernel`"
        ) from None
    tall, wide = (
        [sum((weight * rows.count(row) for weight, rows in along), Fraction(0)) for row in range(n)]
        for along, n in zip(units, size, strict=True)
    )
    before = place(windows[0], size[0]).before, place(windows[1], size[1]).before
    symbols = (
        ascii_letters
        if size[0] * size[1] <= len(ascii_letters)
        else [*map(str, range(size[0] * size[1]))]
    )
    rows, cols = map(_copied, windows, size)
    padded = [
        [EMPTY if PADDING in (row, col) else symbols[row * size[1] + col] for col in cols]
        for row in rows
    ]
    return Illustration(scheme, windows, size, padded, before, _outer(tall, wide))


def padded_axis(kernel: int, dilation: int, n: int, scheme: str) -> tuple[int, list[int | None]]:
    """Return the number of padded rows before an axis of `n` pixels, and the pixel that each padded
    position copies.
    """
    window = _windows(kernel, 1, dilation, scheme)[0]
    try:
        rows = [None if row == PADDING else row for row in _copied(window, n)]
        return place(window, n).before, rows
    except SizeError as error:
        raise SizeError(error.what, where=scheme) from None


def _windows(kernel: int, stride: int, dilation: int, scheme: str) -> tuple[Window, Window]:
    window = Window(kernel, stride, dilation)
    before = (window.extent - 1) // 2
    declared = replace(window, padding=(before, window.extent - 1 - before))
    layer = padded_layer(
        Layer("window", "conv", (0,), (declared, declared)), "conv", schemes_of(scheme)
    )
    height, width = (op for op in layer.ops if isinstance(op, Window))
    return height, width


def _weighted_reads(window: Window, n: int) -> list[tuple[Fraction, list[int]]]:
    """Return for each unit the row that each of its taps reads, or PADDING, and the weight of
    these reads.

    The weight is 1, or in a partial convolution the number of taps over those that hit real rows.
    """
    units = np.arange(place(window, n).n_out)
    rows = real_rows(window, n, reads(window, n, len(units), units)[0])
    weighted = []
    for taps in rows.T.tolist():
        hits, weight = window.kernel - taps.count(PADDING), Fraction(1)
        if window.mode == "partial" and hits:
            weight = Fraction(window.kernel, hits)
        weighted.append((weight, taps))
    return weighted


def _taps_that_meet(window: Window, at: int) -> Fraction:
    """Count the taps that reach a padded row from a multiple of the stride, in endless rows."""
    starts = [at - tap * window.dilation for tap in range(window.kernel)]
    return Fraction(sum(start % window.stride == 0 for start in starts))


def _outer(tall: list[Fraction], wide: list[Fraction]) -> CountGrid:
    products = ([a * b for b in wide] for a in tall)
    return [[int(value) if value.denominator == 1 else value for value in row] for row in products]


def _copied(window: Window, n: int) -> list[int]:
    before, after, _ = place(window, n)
    rows: list[int] = real_rows(window, n, np.arange(-before, n + after)).tolist()
    return rows
