"""What partial convolution multiplies by: taps over taps that hit real rows, on one axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Window, place


def ratios(window: Window, n: int) -> NDArray[np.float64]:
    """Divide the taps of each output over `n` rows by those that do not read padding; at least one counts.

    Source: Liu et al., "Partial Convolution based Padding", 2018.

    >>> ratios(Window(3, padding=(1, 1)), 4).tolist()
    [1.5, 1.0, 1.0, 1.5]
    """
    before, _, n_out = place(window, n)
    first = np.arange(n_out)[:, None] * window.stride - before
    rows = first + np.arange(window.kernel) * window.dilation
    hits = ((rows >= 0) & (rows < n)).sum(1)
    return np.asarray(window.kernel / np.maximum(hits, 1))
