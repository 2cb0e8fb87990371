"""The part of a map that a picture shows: every position, means of blocks, or border and middle
with breaks between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padviz.counting.count_map import CountMap
from padviz.counting.walking.tiling import Tiling
from padviz.figures.canvas import DPI, SMALL
from padviz.figures.layout import tick_room, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

CRISP = 0.8  # screen pixels of a position below which means are drawn
LEAST = 100  # cells of the longer axis that means leave at least
NARROW = 12  # screen pixels below which a border is not visible
REACH, LEAST_REACH = 4, 48  # positions of a piece: times the border's depth, and at least
GAP = 0.03  # width of a break, over that of all cells
FRAME = 0.6  # points of the line around a map
BROKEN = 2000  # positions of an axis from which on it may have breaks


@dataclass(frozen=True)
class AxisView:
    """The part of an axis of `n` positions that is drawn: pieces, in cells of `block` positions
    each.

    >>> AxisView(65536, (range(64), range(32736, 32800), range(65472, 65536))).cells
    204
    """

    n: int
    pieces: tuple[range, ...]
    block: int = 1

    @cached_property
    def cells(self) -> int:
        """The number of cells, including those of breaks."""
        return self._starts[-1] - self._gap

    @property
    def broken(self) -> bool:
        """Whether positions are left out."""
        return len(self.pieces) > 1

    @property
    def breaks(self) -> list[tuple[float, float]]:
        """The ends of each break, in cells."""
        return [(start - self._gap - 0.5, start - 0.5) for start in self._starts[1:-1]]

    @cached_property
    def _gap(self) -> int:
        return max(1, round(GAP * sum(-(-len(piece) // self.block) for piece in self.pieces)))

    @cached_property
    def _starts(self) -> list[int]:
        """The first cell of each piece, and of one that would follow."""
        lengths = (-(-len(piece) // self.block) + self._gap for piece in self.pieces)
        return [*accumulate(lengths, initial=0)]

    def at(self, position: float) -> float:
        """Convert a position to cells; NaN if it is left out.

        >>> (AxisView(100, (range(100),), block=10).at(-0.5),
        ...  AxisView(9, (range(3), range(6, 9))).at(7))
        (-0.5, 5.0)
        """
        for piece, start in zip(self.pieces, self._starts, strict=False):
            if piece.start - 0.5 <= position <= piece.stop - 0.5:
                return start + (position - piece.start + 0.5) / self.block - 0.5
        return float("nan")

    def cell(self, position: int) -> int:
        """Return the cell of a position that is drawn."""
        return int(np.floor(self.at(position) + 0.5))

    def windows(self) -> Iterator[tuple[int, int, int]]:
        """Yield each cell that is not a break, with its first position and the end of its
        positions.
        """
        for piece, start in zip(self.pieces, self._starts, strict=False):
            for k, first in enumerate(range(piece.start, piece.stop, self.block)):
                yield start + k, first, min(first + self.block, piece.stop)

    def weights(self, tiling: Tiling) -> NDArray[np.float64]:
        """Return the weight of each row of the core in each cell's mean, shape (cells, kept)."""
        weights = np.zeros((self.cells, tiling.kept))
        for cell, first, last in self.windows():
            weights[cell] = np.bincount(tiling.index[first:last], minlength=tiling.kept) / (
                last - first
            )
        return weights

    def ticks(self, pixels: float, across: bool) -> list[int]:
        """Choose the positions of ticks, as room allows: the ends of all pieces, or quarters."""
        last, cell_width = self.n - 1, pixels / self.cells
        if self.broken:  # labels are within their piece
            ends = [(piece[0], piece[-1]) for piece in self.pieces]
            fit = all(
                (self.at(b) - self.at(a)) * cell_width
                >= tick_room(a, across) + tick_room(b, across)
                for a, b in ends
            )
            if fit:
                return [end for pair in ends for end in pair]
            return [0, last]
        quarters = [self.n * k // 4 for k in range(4)]
        return ticks([*quarters, last], (-0.5, self.cells * self.block - 0.5), pixels, across)


class View(NamedTuple):
    """The part of a map that is drawn."""

    down: AxisView
    across: AxisView

    @property
    def positions(self) -> tuple[int, int]:
        """The size of the drawing, (rows, columns), in positions of the map."""
        return self.down.cells * self.down.block, self.across.cells * self.across.block

    @property
    def broken(self) -> tuple[bool, bool]:
        """Whether rows, and columns, are left out."""
        return self.down.broken, self.across.broken

    def values(self, counts: CountMap, share: bool) -> NDArray[np.float64]:
        """Return the mean of each cell: fair shares, or shares of the coverage; else counts over
        the largest. Cells of breaks are NaN.
        """
        if not any(self.broken) and self.down.block == self.across.block == 1:
            if share:
                return counts.share()
            return counts.relative()
        down, across = self.down.weights(counts.rows), self.across.weights(counts.cols)
        if not share or counts.full is not None:
            values = counts.core.shares(counts.max if counts.full is None else counts.full)
            means = np.asarray(down @ values @ across.T)
            # A break stands for no position: without weights, its sum would be 0.
            means[~down.any(axis=1)] = np.nan
            means[:, ~across.any(axis=1)] = np.nan
            return means
        return counts.shares.weighted_means(down, across)


def words_of(views: Sequence[View]) -> list[str]:
    """Return a note for means, and one for positions left out."""
    blocks = {(view.down.block, view.across.block) for view in views} - {(1, 1)}
    means = [
        "drawn as means of " + " or ".join(f"{down} x {across}" for down, across in sorted(blocks))
    ]
    broken = ["only the border and the middle are drawn, with breaks between"]
    return means * bool(blocks) + broken * any(any(view.broken) for view in views)


def view_of(counts: CountMap, pixels: float) -> View:
    """Choose the view of a map whose longer side has `pixels` screen pixels."""
    return views_of([counts], [pixels])[0]


def views_of(maps: Sequence[CountMap], pixels: Sequence[float]) -> list[View]:
    """Choose the views of maps side by side: all with breaks, or none, and as much of the border.

    Where the border would not be visible, it and the middle are drawn, with breaks between.
    """
    down, across = (max(depths) for depths in zip(*map(borders, maps), strict=True))
    for border in ((down, across), (0, 0)):
        views = []
        for counts, wide in zip(maps, pixels, strict=True):
            zoom = wide / max(counts.shape)
            if zoom >= CRISP:
                zoom = max(round(zoom), 1)
            rows, cols = (
                _axis_view(counts.rows, border[0], zoom, wide),
                _axis_view(counts.cols, border[1], zoom, wide),
            )
            views.append(View(rows, cols))
        if len({view.broken for view in views}) == 1:
            break
    return views


def _axis_view(tiling: Tiling, border: int, zoom: float, pixels: float) -> AxisView:
    n = tiling.n
    reach = max(REACH * border, LEAST_REACH)
    if border and border * zoom < NARROW and n >= max(BROKEN, 6 * reach):
        block = block_of(tiling, ceil(3 * reach * CRISP / pixels))
        reach = ceil(reach / block) * block
        middle = (n - reach) // 2
        return AxisView(
            n, (range(reach), range(middle, middle + reach), range(n - reach, n)), block
        )
    return AxisView(n, (range(n),), block_of(tiling, ceil(CRISP / zoom)))


def borders(counts: CountMap) -> tuple[int, int]:
    """Return the depth of the border on both axes: that of the rims, or else of what precedes the
    repetition inside.
    """
    if counts.full is None:
        rims = [rim for rim in counts.rims or () if any(rim.depths)]
    else:
        rims = []
    down = max((max(rim.height) for rim in rims), default=0)
    across = max((max(rim.width) for rim in rims), default=0)
    if down or across:
        return down, across
    rows, cols = counts.rows, counts.cols
    return rows.start if rows.copies else 0, cols.start if cols.copies else 0


def block_of(tiling: Tiling, least: int) -> int:
    """Choose the size of the blocks whose means draw an axis.

    Where the map repeats, blocks are whole periods or whole parts of one: others would beat with it
    and draw stripes that are not there.

    >>> import padviz
    >>> (block_of(padviz.usage("resnet50", 65536).rows, 97),
    ...  block_of(padviz.usage("resnet50", 1024).rows, 2))
    (128, 2)
    """
    most = max(1, tiling.n // LEAST)
    least = min(least, most)
    if least >= tiling.period:
        return -(-least // tiling.period) * tiling.period
    parts = [part for part in range(1, most + 1) if tiling.period % part == 0]
    return next((part for part in parts if part >= least), parts[-1])


def put_ticks(ax: Axes, view: View) -> None:
    """Set ticks of positions on axes whose data are cells; labels next to a break do not reach into
    it.
    """
    frame_around(ax)
    ax.set_axisbelow(True)  # the ends of ticks would hide the outermost cells
    screen = DPI / ax.figure.dpi
    for along, axis, pixels in (
        (view.across, ax.xaxis, ax.bbox.width),
        (view.down, ax.yaxis, ax.bbox.height),
    ):
        shown = along.ticks(pixels * screen, axis is ax.xaxis)
        axis.set_ticks([along.at(at) for at in shown], [str(at) for at in shown])
        for k, label in enumerate(axis.get_ticklabels() if along.broken else ()):
            label.set(
                **(
                    {"ha": ("left", "right")[k % 2]}
                    if axis is ax.xaxis
                    else {"va": ("top", "bottom")[k % 2]}
                )
            )
    ax.tick_params(labelsize=SMALL)


def frame_around(ax: Axes) -> None:
    """Draw a thin frame just outside of the cells, which shows where white ones end.

    It lies below the cells, of which it would hide the outermost ones.
    """
    for spine in ax.spines.values():
        spine.set_position(("outward", FRAME))
        spine.set(linewidth=FRAME, color="0.7", zorder=0)


def draw_cells(
    ax: Axes, values: NDArray[np.float64], view: View | None, colours: ScalarMappable
) -> None:
    """Draw cells, crisp where each has whole screen pixels, with white breaks."""
    from padviz.figures.maps.cells import Cells

    cell_width = ax.bbox.width / values.shape[1]
    crisp = cell_width > 3 or abs(cell_width - max(round(cell_width), 1)) < 0.001
    Cells(ax, values, colours, "nearest" if crisp else "antialiased")
    for along, span in ((view.across, ax.axvspan), (view.down, ax.axhspan)) if view else ():
        for first, last in along.breaks:
            # The edge hides where the grey of no value blends in.
            span(first, last, color="white", lw=1, zorder=3)
