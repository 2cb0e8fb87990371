"""Figures of a layer that are one for each axis of its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from padviz.network.network import AXES

T = TypeVar("T")
NAMES = frozenset(name for names in AXES.values() for name in names)


class AlongAxes(Generic[T]):
    """What holds a figure for each axis of a network, in `axes` by name; each is an attribute, too.

    >>> import padviz
    >>> row = padviz.uneven("resnet18", 224).layers[0]
    >>> [*row.axes], row.height is row.axes["height"]
    (['height', 'width'], True)
    """

    __slots__ = ()
    axes: Mapping[str, T]

    def _along(self, axis: str) -> T:
        if axis not in self.axes:
            raise AttributeError(f"{type(self).__name__} has no {axis!r}")
        return self.axes[axis]

    @property
    def height(self) -> T:
        """Its figure along the height."""
        return self._along("height")

    @property
    def width(self) -> T:
        """Its figure along the width."""
        return self._along("width")

    @property
    def depth(self) -> T:
        """Its figure along the depth of a volume."""
        return self._along("depth")

    @property
    def length(self) -> T:
        """Its figure along the length of a signal."""
        return self._along("length")
