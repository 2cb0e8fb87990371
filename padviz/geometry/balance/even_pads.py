"""Pads shared out evenly between the sides of windows that read an even number of padded rows."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from padviz.axis.operations import Op, Window
from padviz.geometry.balance.case import Case
from padviz.geometry.balance.nearest import odd_window
from padviz.geometry.ledger import AxisPadding
from padviz.network.network import in_words


class Evened(NamedTuple):
    """A network whose pads were shared out, at the same size, and the new pads by layer: rows, columns on each side."""

    case: Case
    pads: dict[str, tuple[int, int]]


def with_even_pads(today: Case) -> Evened | None:
    """Share out the pads of uneven convolutions that consume an even number of rows; None where that mends none.

    >>> import padviz
    >>> with_even_pads(Case(padviz.load("resnet18"), (224, 224))) is None
    True
    """
    layers, pads = list(today.network.layers), {}
    for each in today.uneven:
        height, width = (_halved(row) for row in each.axes.values())
        if height is None or width is None:
            continue
        at, pads[each.layer] = today.network.index[each.layer], (height, width)
        layers[at] = replace(layers[at], ops=tuple(map(_padded, layers[at].ops, pads[each.layer])))
    changed = Case(today.network.here(layers=tuple(layers)), today.size) if pads else today
    return Evened(changed, pads) if pads and len(changed.uneven) <= len(today.uneven) - len(pads) else None


def cannot(today: Case) -> list[str]:
    """Say in sentences what neither sizes, nor pads, nor schemes can do.

    >>> import padviz
    >>> cannot(Case(padviz.load("resnet18"), (224, 224)))
    ['At 224 x 224 no pads make conv1 even: its 112 units read 5 rows of padding in all, an odd number.']
    """
    rows = [(each.layer, row) for each in today.uneven for row in each.axes.values()]
    odd = [(name, row) for name, row in rows if row.uneven and sum(row.reads) % 2]
    said = []
    if today.uneven and not today.near:
        which = odd_window(today.network, today.size)
        why = f": {which} reads an odd number of padded rows at each." if which else "."
        said.append(f"No balanced size is near{why}")
    if odd:
        name, row = odd[0]
        many = f"{sum(row.reads)} row{'' if sum(row.reads) == 1 else 's'} of padding in all, an odd number"
        at = in_words(today.size)
        said.append(f"At {at} no pads make {name} even: its {row.output} units read {many}.")
    if not today.network.pads:
        said.append("No convolution pads, so no padding scheme changes anything.")
    return said


def _halved(row: AxisPadding) -> int | None:
    """Halve the rows that a window consumes; where the axis is circular it keeps its pads. None where they are odd."""
    rows = sum(row.declared) if row.circular else sum(row.reads)
    return None if rows % 2 or (row.circular and row.declared[0] != row.declared[1]) else rows // 2


def _padded(op: Op | None, pad: int) -> Op | None:
    return replace(op, padding=(pad, pad)) if isinstance(op, Window) else op
