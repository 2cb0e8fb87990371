"""Axis maps as matrices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.engine.axis_map import AxisMap


def dense(made: AxisMap) -> NDArray[Any]:
    matrix: NDArray[Any] = np.zeros((made.n_out, made.n_in), dtype=np.int64 if made.exact else np.float64)
    for strip in made.strips:
        i = np.arange(strip.length)
        np.add.at(matrix, (strip.dst + i * strip.dst_step, strip.src + i * strip.src_step), strip.weight)
    return matrix
