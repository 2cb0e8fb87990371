"""Arrays and axis maps in a page: each once, compressed, and folded where symmetric."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Callable
from math import prod
from typing import TypeVar

import numpy as np

from padviz.counting.walking.core import Core
from padviz.engine.apply import Array
from padviz.engine.axis_map import AxisMap
from padviz.engine.limbs import LIMB_BITS, largest, to_bytes
from padviz.errors import SizeError

T = TypeVar("T")
MOST_BYTES = 1 << 24  # of one array, uncompressed: a page holds dozens, and a browser must open it


class TooLarge(SizeError):
    """A page has no room for a map."""


class Shelf:
    """The arrays, axis maps and records of a page, numbered; equal ones have one number.

    >>> shelf = Shelf()
    >>> shelf.plane(np.array([[[1, 2], [2, 1]]])), shelf.plane(np.array([[[1, 2], [2, 1]]]))
    (0, 0)
    >>> shelf.planes[0]["folds"]
    't'
    """

    def __init__(self) -> None:
        self.planes: list[dict[str, object]] = []
        self.axes: list[dict[str, object]] = []
        self.records: list[object] = []
        self._numbers: dict[tuple[object, ...], int] = {}

    def plane(self, limbs: Array) -> int:
        """Add carried limbs of counts, or floats, of shape (limbs, height, width)."""
        check_room(limbs.shape)
        folds, part = _folded(limbs)
        head = {
            "height": limbs.shape[1],
            "width": limbs.shape[2],
            "folds": folds,
            "floats": limbs.dtype.kind == "f",
        }
        packed = zlib.compress(_bytewise(part), 6)
        key = ("plane", *head.values(), packed)
        return self._add(self.planes, key, lambda: {**head, "data": b64encode(packed).decode()})

    def axis(self, axis_map: AxisMap | None) -> int:
        """Add an axis map; -1 for the identity."""
        if axis_map is None or axis_map.identity:
            return -1
        strips = [
            [*strip[:5], float(strip.weight) if strip.weight != 1 else 1]
            for strip in axis_map.strips
        ]
        key = "axis", axis_map.n_in, axis_map.n_out, axis_map.strips
        return self._add(
            self.axes,
            key,
            lambda: {"n_in": axis_map.n_in, "n_out": axis_map.n_out, "strips": strips},
        )

    def core(self, core: Core) -> dict[str, object]:
        """Add a core, as the counts of its stem and the axis maps from there to it."""
        pulls = [[self.axis(down), self.axis(across)] for down, across in core.pulls]
        return {"plane": self.plane(core.stem), "pulls": pulls}

    def record(self, value: object) -> int:
        """Add JSON that several maps may share."""
        import msgspec

        return self._add(self.records, ("record", msgspec.json.encode(value)), lambda: value)

    def _add(self, items: list[T], key: tuple[object, ...], make: Callable[[], T]) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(items)
            items.append(make())
        return self._numbers[key]


def check_room(shape: tuple[int, ...], where: str = "") -> None:
    """Reject limbs of that shape if a page would be too large: deep networks have long counts."""
    limbs, height, width = shape
    if 8 * prod(shape) > MOST_BYTES:
        what = f"{height} x {width} counts of {limbs * LIMB_BITS} bits are too large for a page"
        raise TooLarge(what, where=where, hint="name an earlier `layer`, or use a smaller `size`")


def _folded(limbs: Array) -> tuple[str, Array]:
    """Fold limbs that equal their mirror (r: rows, c: columns) or transpose (t)."""
    folds, part = "", limbs
    if np.array_equal(part, part[:, ::-1]):
        folds, part = folds + "r", part[:, : -(-part.shape[1] // 2)]
    if np.array_equal(part, part[:, :, ::-1]):
        folds, part = folds + "c", part[:, :, : -(-part.shape[2] // 2)]
    if part.shape[1] == part.shape[2] and np.array_equal(part, part.swapaxes(1, 2)):
        rows, cols = np.triu_indices(part.shape[1])
        return folds + "t", part[:, rows, cols]
    return folds, part.reshape(len(part), -1)


def _bytewise(part: Array) -> bytes:
    """Return the lowest bytes of all counts, then the next ones, and so on."""
    if part.dtype.kind == "f":
        digits = np.ascontiguousarray(part[0], dtype="<f8").view(np.uint8).reshape(-1, 8)
    else:
        most = int(largest(part[:, None]))
        digits = to_bytes(part[:, None])[0][:, : max(1, -(-most.bit_length() // 8))]
    return np.ascontiguousarray(digits.T).tobytes()
