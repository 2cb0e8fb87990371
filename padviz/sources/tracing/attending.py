"""Attention in heads, told by its steps: a product of what maps became, a softmax of it, and a product again."""

from __future__ import annotations

from typing import Literal

Step = Literal["product", "softmax", "attention"]
Maps = frozenset[int]


class Attending:
    """The maps that tokens were made of which attend to each other, in a graph that is gone through in order.

    Examples
    --------
    >>> found = Attending()
    >>> for step in ("softmax", "product", "softmax"):
    ...     found.step(frozenset({3}), step)
    >>> found.maps
    set()
    >>> found.step(frozenset({3}), "product")
    >>> found.maps
    {3}
    """

    def __init__(self) -> None:
        self.maps: set[int] = set()
        self._last: dict[Maps, Step] = {}

    def step(self, maps: Maps, step: Step) -> None:
        """Take the next step of a head that is made of some maps."""
        last = self._last.get(maps)
        if step == "attention" or (last, step) == ("softmax", "product"):
            self.maps |= maps
        if step != "softmax" or last == "product":
            self._last[maps] = step
