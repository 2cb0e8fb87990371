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

    def __getattr__(self, name: str) -> T:
        if name not in NAMES or name not in self.axes:
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        return self.axes[name]
