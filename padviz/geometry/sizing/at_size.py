"""What a network makes of one size of its image: whether it runs, stretches an output, and reads
padding evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from padviz.errors import ForwardError, PadvizError, SizeError
from padviz.geometry.balance.balanced_sizes import balance_on
from padviz.network.layer import CONVOLUTIONS, WINDOWS
from padviz.network.network import FILES, Network, Size, in_words
from padviz.network.operations import Adaptive, Fit, Op, Transposed, Window, fit_shift, place
from padviz.network.reads import rate_of
from padviz.network.resize import Resize, origin_of
from padviz.network.rewrites import padded_windows
from padviz.network.sizes import Resolved, resolve, sizes_of_each
from padviz.network.targets import output_layers

CLOSE = Fraction(1, 1000)  # px: a stretch below this is none
# accepted, unstretched, balanced, and balanced without a remainder
Properties = tuple[bool, bool, bool, bool]


class AtSize(NamedTuple):
    """What a network makes of one side of its image.

    `refusal` is why it does not run. The far end of an output, or of a map that is merged with
    another, lies `stretch` pixels beyond where the strides put it, first in the layer `moved_by`.
    No output reads the last `unread` rows. `even` is whether every window reads its padding evenly,
    and `whole` whether none has a remainder either. `windows` is a hash of the convolutions and the
    pads before them, which a module may choose by the size.
    """

    refusal: PadvizError | None = None
    stretch: float = 0
    unread: int = 0
    even: bool = False
    whole: bool = False
    windows: int = 0
    moved_by: str = ""

    @property
    def accepted(self) -> bool:
        return self.refusal is None

    @property
    def unknown(self) -> bool:
        """Whether padviz cannot read the network there, which says nothing of whether it runs."""
        return self.refusal is not None and not isinstance(self.refusal, SizeError | ForwardError)

    @property
    def unstretched(self) -> bool:
        return self.accepted and not self.stretch and not self.unread

    @property
    def properties(self) -> Properties:
        """Whether it is accepted, unstretched, balanced, and balanced without a remainder."""
        return self.accepted, self.unstretched, self.even, self.even and self.whole


def together(along: Sequence[AtSize]) -> AtSize:
    """Return what a network makes of a square from what it makes of its sides."""
    return AtSize(
        along[0].refusal,
        max((side.stretch for side in along), key=abs),
        max(side.unread for side in along),
        all(side.even for side in along),
        all(side.whole for side in along),
        hash(tuple(side.windows for side in along)),
    )


def at_size(network: Network, size: Size) -> tuple[AtSize, ...]:
    """Read a network at a size, and return what it makes of it on each axis."""
    exported = exported_for_another(network, size)
    if exported is not None:
        return (AtSize(exported),) * len(size)
    try:
        # a loaded network's own `at` would search sizes for its error
        there = Network.at(network, size)
        return tuple(_side(there, axis, n) for axis, n in enumerate(size))
    except PadvizError as error:
        return (AtSize(_refusal(network, size, error)),) * len(size)


@lru_cache(1024)
def _side(network: Network, axis: int, n: int) -> AtSize:
    """Return what a network makes of one side; of a description, which holds at all sizes, each is
    read once.
    """
    resolved = resolve(network, axis, n)
    balance = balance_on(network, axis, np.array([n]))
    stretch, moved_by = _stretch(network, axis, resolved)
    convolutions = (layer for layer in padded_windows(network) if layer.kind == "conv")
    return AtSize(
        stretch=float(stretch),
        unread=_unread(network, resolved),
        even=bool(balance.even[0]),
        whole=bool(balance.whole[0]),
        windows=hash(tuple(layer.ops[axis] for layer in convolutions)),
        moved_by=moved_by,
    )


def exported_for_another(network: Network, size: Size) -> SizeError | None:
    """Return the error of a file that fixes its input at another size."""
    fixed = tuple(declared or n for declared, n in zip_longest(network.declared, size, fillvalue=0))
    if fixed == size:
        return None
    what = f"the file declares an input of {in_words(fixed)}"
    return SizeError(
        what, where=network.name, hint="export it again with open axes, or resize the image"
    )


def _refusal(network: Network, size: Size, error: PadvizError) -> PadvizError:
    """Return why a network does not take a size: by the rows of its layers, known from another
    size, if these tell.

    They name a layer where a module's forward only raises, and where a file is read on though its
    maps do not fit.
    """
    is_file = network.source.lower().endswith(FILES)
    # A module ran up to what padviz cannot read, by layers that it may choose by the size.
    if AtSize(error).unknown and not is_file:
        return error
    try:
        sizes_of_each(network, size)
    except SizeError as by_rows:
        return by_rows
    except PadvizError:
        pass
    return error


class Grid(NamedTuple):
    """Where the units of a map lie on an axis, in input pixels: the centre of the first one, and
    the step to the next.

    `nominal` is the step by the strides alone; a resize to a given size makes another `step` where
    the numbers of rows are no multiples.
    """

    first: Fraction
    step: Fraction
    nominal: Fraction

    def stretch(self, units: int) -> Fraction:
        """Return how far the last unit lies beyond where the strides put it."""
        return (self.step - self.nominal) * (units - 1)


def grids_of(network: Network, axis: int, resolved: Resolved) -> list[Grid | None]:
    """Return the grid of each layer's units; None behind adaptive pools, whose units have no step.

    Of merged maps, the most stretched one counts.
    """
    grids: list[Grid | None] = [Grid(Fraction(0), Fraction(1), Fraction(1))]
    windowed = [False]  # whether a window lies before the layer's units
    for i, layer in enumerate(network.layers[1:], start=1):
        op, n_in, n_out = layer.ops[axis], resolved.sizes[layer.inputs[0]], resolved.sizes[i]
        windowed.append(
            layer.kind in WINDOWS | CONVOLUTIONS or any(windowed[j] for j in layer.inputs)
        )
        entering = [grid for j in layer.inputs if (grid := grids[j]) is not None]
        if not entering or isinstance(op, Adaptive):
            grids.append(None)
            continue
        grid, *others = entering
        for other in others:
            if abs(other.step - other.nominal) > abs(grid.step - grid.nominal):
                grid = other
        if op is not None:
            start, rate = _placed(op, n_in, n_out)
            nominal = grid.nominal * rate
            # Resizing the image itself, in front of all windows, is sampling: the nominal step is
            # the real one.
            if isinstance(op, Resize) and windowed[i]:
                followed = None
                if layer.like is not None:
                    followed = grids[layer.like]
                nominal = _nominal(op, grid, followed, nominal)
            grid = Grid(grid.first + grid.step * start, grid.step * rate, nominal)
        grids.append(grid)
    return grids


def _nominal(op: Resize, grid: Grid, followed: Grid | None, real: Fraction) -> Fraction:
    """Return the nominal step behind a resize: by its factor, or that of the map whose size it
    follows.
    """
    if op.scale is not None:
        return grid.nominal / op.scale
    if followed is None:
        return real
    return followed.nominal


def _placed(op: Op, n_in: int, n_out: int) -> tuple[Fraction, Fraction]:
    """Return the input row at the centre of the first unit, and how many rows further on that of
    the next one lies.
    """
    rate = rate_of(op, n_in, n_out)
    if isinstance(op, Window):
        return Fraction(op.extent - 1, 2) - place(op, n_in).before, rate
    if isinstance(op, Transposed):
        return (op.padding[0] - Fraction(op.extent - 1, 2)) * rate, rate
    if isinstance(op, Fit):
        return Fraction(-fit_shift(n_in, n_out, op.odd)), rate
    return origin_of(op, n_in, n_out) if isinstance(op, Resize) else Fraction(0), rate


def _stretch(network: Network, axis: int, resolved: Resolved) -> tuple[Fraction, str]:
    """Return by how many pixels the far end of the worst merged map or output lies beyond its
    place, and the first layer whose units do.
    """
    grids = grids_of(network, axis, resolved)
    judged = {network.index[name] for name in output_layers(None, network)}
    for layer in network.layers:
        if len(layer.inputs) > 1:
            judged.update(layer.inputs)
    stretches = [grid.stretch(resolved.sizes[i]) for i in judged if (grid := grids[i]) is not None]
    worst = max(stretches, key=abs, default=Fraction(0))
    if abs(worst) < CLOSE:
        return Fraction(0), ""
    moved = [i for i, grid in enumerate(grids) if grid and grid.step != grid.nominal]
    return worst, network.layers[moved[0]].name


def _unread(network: Network, resolved: Resolved) -> int:
    """Count the rows at the far end of the image that no output reads, beyond those that strides
    skip everywhere.
    """
    ends = {network.index[name] for name in output_layers(None, network)}
    read = [np.full(n, i in ends) for i, n in enumerate(resolved.sizes)]
    for i in range(len(read) - 1, 0, -1):
        axis_map = resolved.maps[i]
        if axis_map is None:
            before = read[i]
        else:
            before = axis_map.rows_read(read[i])
        for j in network.layers[i].inputs:
            read[j] |= before
    rows = np.flatnonzero(read[0])
    if not rows.size:
        return 0
    skipped = int(np.diff(rows).max(initial=1)) - 1
    return max(0, len(read[0]) - 1 - int(rows[-1]) - max(skipped, int(rows[0])))
