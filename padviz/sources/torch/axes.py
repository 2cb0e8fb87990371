"""Which dimensions of a tensor are a map's rows and columns, and what reshaping does to them.

A label stands for each dimension: "H" and "W" are rows and columns, "HW" both flattened into one, "b"
the places inside of a block (`x.view(n, c, h // 2, 2, w // 2, 2)`), None anything else. Merged with
channels, the places in a block are channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Label = str | None
Axes = tuple[Label, ...]
Dim = tuple[Label, int]


@dataclass(slots=True)
class Reshaped:
    """The labels after a reshape, and what it did to "H" and "W": split into blocks, joined, merged with channels."""

    axes: list[Label] = field(default_factory=list)
    split: dict[str, int] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)


def reshape(axes: Axes, shape: Sequence[int], new: Sequence[int], size: tuple[int, int]) -> Reshaped | None:
    """Follow the labels of `shape` into the shape `new`; None where rows and columns get mixed up.

    >>> reshape((None, None, "H", "W"), (1, 8, 6, 4), (1, 8, 24), (6, 4)).axes
    [None, None, 'HW']
    >>> reshape((None, "HW", None), (1, 24, 8), (1, 3, 2, 2, 2, 8), (6, 4)).split
    {'H': 2, 'W': 2}
    """
    old: list[Dim] = []
    for label, n in zip(axes, shape, strict=True):
        old += [("H", size[0]), ("W", size[1])] if label == "HW" else [(label, n)]
    found = Reshaped()
    for dims, parts in _groups(old, new):
        if not _follow(found, dims, parts):
            return None
    found.lost |= {label for label, _ in old if label in ("H", "W")} - _seen(found.axes)
    return found


def _seen(axes: Sequence[Label]) -> set[str]:
    return set("HW") if "HW" in axes else {label for label in axes if label}


def _groups(old: Sequence[Dim], new: Sequence[int]) -> Iterator[tuple[list[Dim], list[int]]]:
    """The shortest runs of old and new dimensions that hold as many elements."""
    i = j = 0
    while i < len(old) or j < len(new):
        start, begin, n, m = i, j, 1, 1
        if i < len(old):
            n, i = old[i][1], i + 1
        if j < len(new):
            m, j = new[j], j + 1
        while n != m:
            if (n < m and i < len(old)) or j == len(new):
                n, i = n * old[i][1], i + 1
            else:
                m, j = m * new[j], j + 1
        yield list(old[start:i]), list(new[begin:j])


def _follow(found: Reshaped, dims: list[Dim], parts: list[int]) -> bool:
    """Append the labels of one run; False where it cannot be followed."""
    dims = [dim for dim in dims if dim[0] or dim[1] > 1]
    labels = [label for label, _ in dims]
    large = [k for k, n in enumerate(parts) if n > 1]
    into: list[Label] = [None] * len(parts)
    at = large[0] if large else 0
    axes = [label for label in labels if label in ("H", "W")]
    if len(dims) == 1 and len(large) <= 1 and parts:
        into[at] = labels[0]
    elif labels == ["H", "W"] and len(large) == 1:
        into[at] = "HW"
    elif len(dims) == 1 and axes and len(large) == 2:
        into[at], into[large[1]] = axes[0], "b"
        found.split[axes[0]] = parts[large[1]]
    elif len(dims) == 2 and axes == labels[:1] and labels[1] is None and len(large) == 1:
        into[at] = axes[0]
        found.joined[axes[0]] = dims[1][1]
    elif axes and (len(large) > 1 or "b" in labels):
        return False
    elif labels and set(labels) == {"b"}:
        into = ["b" if n > 1 else None for n in parts]
    found.axes += into
    return True
