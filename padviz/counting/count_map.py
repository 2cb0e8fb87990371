"""The result of counting: a map of paths, its figures and its fair shares."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike, NDArray

from padviz.counting.shares.fair_share import NoInterior, Shares, beyond_bounds, flagged, interior
from padviz.counting.shares.rims import rims
from padviz.counting.shares.summary import Corners, PerAxis, Rim, Summary, Target
from padviz.counting.walking.core import Core
from padviz.counting.walking.tiling import Selection, Tiling, positions
from padviz.counting.walking.walks import Weights
from padviz.engine.apply import Array
from padviz.engine.limbs import to_ints
from padviz.errors import SizeError
from padviz.network.network import Network, Size, notes_on

OBJECT = 56  # bytes of a large Python int and of the reference to it, about


@dataclass(frozen=True, eq=False, repr=False)
class CountMap:
    """Paths counted at each position: exact integers, or floats in rational modes.

    The positions of a usage map are input pixels, from each of which paths lead to the target.
    Those of a coverage map are the target's units, which paths from the input reach; `full` is the
    count of a unit far from all padding.

    A map that repeats inside is kept as its `core`; `rows` and `cols` map its positions to those of
    the core, and `tally` is the core's counts as (limbs, height, width), see `padviz.engine.limbs`.
    All figures and pictures come from the core; `counts` is the whole map, built when it is read.
    `walked` is the network with the requested padding and pooling. `weights` are what a path to
    each target counts where several targets share; counts are then floats.

    Examples
    --------
    >>> import padviz
    >>> padviz.usage("vgg19", 512).max == 9**16
    True
    >>> huge = padviz.usage("resnet50", 65536)
    >>> huge[0], huge.tally.shape
    (<CountMap resnet50 65536x65536 2397971307776..5625490089369600 paths>, (1, 448, 448))
    >>> huge.counts_at([0, -1], [0, 30_000]).tolist()
    [[59303702250160, 480057408321520], [11902225391184, 96434459193600]]
    """

    network: Network
    size: Size
    padding: str | None
    pooling: str
    target: Target
    unit: list[list[int]] | list[int] | None
    core: Core
    rows: Tiling
    cols: Tiling
    walked: Network
    full: int | float | None = None
    weights: Weights = None

    @cached_property
    def counts(self) -> Array:
        """Shape (height, width), read-only: int64, or Python ints where int64 cannot hold them, or
        float64.

        Raises
        ------
        SizeError
            If the map does not fit into memory; `counts_at` gives parts of it.
        """
        counts = self.counts_at(slice(None), slice(None))
        counts.flags.writeable = False  # callers share it
        return counts

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return the counts, for NumPy.

        >>> import padviz
        >>> np.asarray(padviz.usage("resnet18", (32, 48))).shape
        (32, 48)
        """
        if copy is None:
            return np.asarray(self.counts, dtype)
        return np.array(self.counts, dtype, copy=copy)

    def counts_at(self, rows: Selection, cols: Selection) -> Array:
        """Return the exact counts where rows and columns cross: a position, several, a range or a
        slice of each.

        >>> import padviz
        >>> padviz.usage("vgg19", 4096).counts_at(range(2), slice(-2, None)).shape
        (2, 2)
        """
        limbs = self.expanded(rows, cols)
        with self._within_memory(
            limbs[0].size * (8 if len(limbs) == 1 else OBJECT + 8 * len(limbs))
        ):
            return to_ints(limbs)

    def expanded(self, rows: Selection = slice(None), cols: Selection = slice(None)) -> Array:
        """Return the limbs of the counts where rows and columns cross, shape (limbs, rows,
        columns).
        """
        whole = all(isinstance(which, slice) and which == slice(None) for which in (rows, cols))
        if whole and not self.tiled:
            return self.tally
        down, across = (
            positions(self.rows.index, rows, "rows"),
            positions(self.cols.index, cols, "columns"),
        )
        with self._within_memory(8 * len(self.tally) * len(down) * len(across)):
            return self.tally[:, down][:, :, across]

    @property
    def tally(self) -> Array:
        """The counts of the core."""
        return self.core.limbs

    @property
    def shape(self) -> Size:
        """(height, width) of the map: pixels, or units for coverage."""
        return self.rows.n, self.cols.n

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats in whole sentences, as for an exported file that is counted at another size than
        its own.
        """
        return tuple(notes_on(self.network))

    @property
    def tiled(self) -> bool:
        """Whether only a core was counted, which is smaller than the map."""
        return self.rows.copies > 0 or self.cols.copies > 0

    @property
    def max(self) -> int | float:
        """The largest count, a Python int."""
        return self.core.extremes[1]

    @property
    def min(self) -> int | float:
        """The smallest count, a Python int."""
        return self.core.extremes[0]

    @cached_property
    def total(self) -> int | float:
        """The sum over all positions, a Python int."""
        return self._totals[0][0]

    def share(self, blocks: Size = (1, 1)) -> NDArray[np.float64]:
        """Return the share of each position, shape (height, width), or means over blocks of rows
        and columns.

        In a usage map it is the fair share: usage over that of an interior pixel at the same stride
        phase, NaN where that is 0. In a coverage map it is the share of a unit's paths that start
        at real pixels.

        Raises
        ------
        NoInterior
            For a usage map that does not repeat with the strides, with the reason.

        Examples
        --------
        >>> import padviz
        >>> shares = padviz.usage("resnet50", 225, padding="replicate").share()
        >>> round(float(shares.min()), 3), round(float(shares.max()), 2)
        (1.0, 8.05)
        """
        if self.full is not None:
            return self.relative(blocks) * (self.max / self.full)
        height, width = self.shape
        with self._within_memory(16 * -(-height // blocks[0]) * -(-width // blocks[1])):
            return self.shares.means(blocks)

    @cached_property
    def share_reason(self) -> str | None:
        """Why the map has no fair shares; None if it has them."""
        try:
            _ = self.shares
        except NoInterior as error:
            return str(error)
        return None

    @cached_property
    def shares(self) -> Shares:
        """The fair shares of a usage map.

        Raises
        ------
        NoInterior
            Where there are none, with the reason.
        """
        if self.full is not None or self.unit is not None:
            raise NoInterior(
                "only usage by all units of a layer has fair shares", where=self.network.name
            )
        pattern = interior(self.walked, self.size, self._targets, weights=self.weights)
        return Shares(self.core, self.rows, self.cols, pattern)

    @cached_property
    def rims(self) -> tuple[Rim, Rim] | None:
        """The starved and the overused rim of a usage map, in pixels; None without fair shares.

        >>> import padviz
        >>> padviz.usage("resnet50", 225, padding="replicate").rims
        (Rim(height=[0, 0], width=[0, 0]), Rim(height=[8, 8], width=[8, 8]))
        """
        if self.share_reason:
            return None
        try:
            return rims(self.walked, self.size, self._targets, self.weights)
        except NoInterior:
            return None

    @property
    def _targets(self) -> tuple[int, ...]:
        return tuple([self.walked.index[name] for name in self.target.names])

    def relative(self, blocks: Size = (1, 1)) -> NDArray[np.float64]:
        """Divide counts by the largest, as float64, or return means of that over blocks of rows and
        columns.

        >>> import padviz
        >>> padviz.usage("vgg19", 65536).relative((4096, 65536)).round(3).ravel()[[0, 1, -1]]
        array([0.995, 0.999, 0.995])
        """
        height, width = self.shape
        with self._within_memory(8 * -(-height // blocks[0]) * -(-width // blocks[1])):
            return self.cols.means(
                self.rows.means(self.core.shares(self.max), blocks[0]).T, blocks[1]
            ).T

    def border_use(self, ring: Size) -> float:
        """Return the mean usage of the pixels within `ring` of the border, over that of all pixels.

        >>> import padviz
        >>> round(padviz.usage("vgg19", 224).border_use((32, 32)), 2)
        0.64
        """
        inside = []
        for margin, tiling in zip(ring, (self.rows, self.cols), strict=True):
            inside.append(
                tiling.times_within([slice(None), slice(margin, max(tiling.n - margin, margin))])
            )
        sums, pixels = self.core.totals(*inside), inside[0].sum(1) * inside[1].sum(1)
        if not sums[0][0] or pixels[0] == pixels[1]:
            return 0.0
        share = (sums[0][0] - sums[1][1]) / sums[0][0]
        return float(share * pixels[0] / (pixels[0] - pixels[1]))

    def at(self, row: int, col: int) -> int | float:
        """Return the count at one position, a Python number."""
        cell = positions(self.rows.index, row, "rows"), positions(self.cols.index, col, "columns")
        count: int | float = self.core.at(*cell).item()
        return count

    def summary(self) -> Summary:
        """Return the figures of the map; see `Summary`."""
        return self._summary

    def forget_arrays(self) -> None:
        """Free the arrays that figures and pictures were computed from: whoever has hundreds of
        maps needs few at once.

        Figures are kept; arrays are computed again when they are needed.
        """
        vars(self).pop("counts", None)
        self.core.forget_arrays()
        if "shares" in vars(self):
            vars(self.shares).pop("values", None)

    @cached_property
    def _summary(self) -> Summary:
        height, width = self.shape
        at, rims = self.at, self.rims or (None, None)
        down = across = self.core.difference(*self.rows.mirrored(), 1)
        if not self.core.symmetric or self.rows != self.cols:
            across = self.core.difference(*self.cols.mirrored(), 2)
        asymmetry, marginalised = PerAxis(0.0, 0.0), 0.0
        if self.max:
            asymmetry = PerAxis(down / self.max, across / self.max)
            below_half, _ = beyond_bounds(
                self.core, self.core.shares(self.max), lambda rows, cols: self.max
            )
            marginalised = flagged(below_half, self.rows, self.cols) / (height * width)
        return Summary(
            network=self.network.name,
            size=[*self.size],
            padding=self.padding,
            pooling=self.pooling,
            target=self.target,
            heads="sum" if self.weights is None else "share",
            unit=self.unit,
            min=self.min,
            max=self.max,
            mean=_mean(self.total, height * width),
            centre=at(height // 2, width // 2),
            corners=Corners(at(0, 0), at(0, -1), at(-1, 0), at(-1, -1)),
            marginalised=marginalised,
            asymmetry=asymmetry,
            skew=self._skew(),
            share=None if self.share_reason else self.shares.figures,
            share_reason=self.share_reason,
            rim=rims[0],
            overused_rim=rims[1],
            gates_left_out=len(self.network.gates),
            method="tiled" if self.tiled else "dense",
            notes=[*self.notes],
        )

    def _skew(self) -> PerAxis:
        """Return the second half minus the first over the sum, on each axis; of floats without
        their last digits.
        """
        if not self.total:
            return PerAxis(0.0, 0.0)
        sums = self._totals
        down, across = (
            (sums[2][0] - sums[1][0]) / self.total,
            (sums[0][2] - sums[0][1]) / self.total,
        )
        if isinstance(self.total, float):
            return PerAxis(round(down, 12), round(across, 12))
        return PerAxis(down, across)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"<CountMap {self.network.name} {height}x{width} {self.min}..{self.max} paths>"

    @contextmanager
    def _within_memory(self, needed: int) -> Iterator[None]:
        """Refuse what takes more bytes than the machine has."""
        try:
            if needed > machine_memory():
                raise MemoryError
            yield
        except MemoryError:
            what = f"these positions of {self.shape[0]} x {self.shape[1]} do not fit into memory"
            hint = "counts_at(rows, cols) gives parts of them"
            raise SizeError(what, where=self.network.name, hint=hint) from None

    @cached_property
    def _row_times(self) -> list[NDArray[np.int64]]:
        """How often the whole map, its first and its second half have each row of the core; the
        same of columns.
        """
        return [
            tiling.times_within([slice(None), slice(n // 2), slice(n - n // 2, n)])
            for tiling, n in zip((self.rows, self.cols), self.shape, strict=True)
        ]

    @cached_property
    def _totals(self) -> list[list[int | float]]:
        """Sums over all rows, the first and the second half of them, for the same parts of the
        columns.
        """
        return self.core.totals(*self._row_times)


def machine_memory() -> float:
    """Return the memory of the machine in bytes; infinity where the system does not tell.

    >>> machine_memory() > 0
    True
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _mean(total: int | float, n: int) -> float:
    try:
        return total / n
    # too large for a float; the fraction that an integer loses is beyond its digits
    except OverflowError:
        return total // n
