"""Which rows of its input a unit of an operation reads."""

from __future__ import annotations

from padviz.axis.operations import Fit, Op, Transposed, Window, fit_shift, place
from padviz.axis.resize import Resize as Resize
from padviz.axis.resize import origin_of, ratio_of, span_of
from padviz.engine.axis_map import AxisMap as AxisMap


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
