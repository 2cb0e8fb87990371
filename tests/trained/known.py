"""Figures that have to be there before they are compared, and modules turned and mirrored."""

import copy
from typing import TypeVar

from torch import nn

from padviz.intervals import Estimate

Module = TypeVar("Module", bound=nn.Module)


def known(value: float | None) -> float:
    """The figure; a missing one fails the test, where `value or 0` would pass it."""
    assert value is not None
    return value


def ends_of(figure: Estimate) -> tuple[float, float]:
    """The ends of an interval that must be there."""
    return known(figure.low), known(figure.high)


def turned(net: Module) -> Module:
    """A network with height and width exchanged."""
    made = copy.deepcopy(net)
    for each in made.modules():
        if isinstance(each, nn.ZeroPad2d):
            each.padding = (*each.padding[2:], *each.padding[:2])  # left, right, top, bottom
        if isinstance(each, nn.Conv2d):
            each.weight.data = each.weight.data.transpose(2, 3).contiguous()
            for name in ("kernel_size", "stride", "padding"):
                setattr(each, name, getattr(each, name)[::-1])
    return made


def mirrored(net: Module, axis: int) -> Module:
    """A network for images upside down (axis 0), or with left and right exchanged (1)."""
    made = copy.deepcopy(net)
    for each in made.modules():
        if isinstance(each, nn.ZeroPad2d):
            left, right, top, bottom = each.padding
            each.padding = (right, left, top, bottom) if axis else (left, right, bottom, top)
        if isinstance(each, nn.Conv2d):
            each.weight.data = each.weight.data.flip(2 + axis)
    return made
