"""What the dimensions of a tensor are made of: which of them, or which part of one, is height or width.

A dimension is a tuple of atoms (role, size), the outermost first; its size is their product. A role is
"h" or "w" for the rows and columns of the layer that the tensor came from, "h." or "w." for the inner part
of a height or width that was split, "h:" or "w:" for that inner part once it became channels, ":" for a part of
those, "H" or "W" for the positions that attention looks at, and "" for all else: batch, channels, groups. So a
transpose, and a reshape there and back, lose nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import prod

Atom = tuple[str, int]
Dim = tuple[Atom, ...]
Dims = tuple[Dim, ...]
AXES = {"h": 0, "w": 1}
PLACES = {"h.": "h:", "w.": "w:"}
CHANNELS = frozenset(("", ":", *PLACES.values()))


def plain(n: int) -> Dim:
    """Make a dimension of `n` without a role."""
    return () if n == 1 else (("", n),)


def size_of(dim: Dim) -> int:
    """Multiply out how large a dimension is."""
    return prod(size for _, size in dim)


def shape_of(dims: Dims) -> list[int]:
    """Read the shape of a tensor, as its framework sees it.

    >>> shape_of(((("h", 4), ("w", 5)), plain(3)))
    [20, 3]
    """
    return [size_of(dim) for dim in dims]


def roles_of(dims: Iterable[Dim]) -> list[str]:
    """List the roles in some dimensions, in their order, without those of channels."""
    return [role for dim in dims for role, _ in dim if role not in CHANNELS]


def has_positions(dim: Dim) -> bool:
    """Tell whether a dimension tells rows or columns apart."""
    return any(n > 1 and roles_of([((role, n),)]) for role, n in dim)


def has_parts(dims: Dims) -> bool:
    """Tell whether rows or columns are split into an outer and an inner part.

    >>> has_parts(((("h", 2),), (("h.", 4),))), has_parts(((("h", 8),),))
    (True, False)
    """
    return any(role.endswith(".") and n > 1 for dim in dims for role, n in dim)


def has_places(dims: Iterable[Dim]) -> bool:
    """Tell whether some channels are places in blocks of rows or columns."""
    return any(role and role in CHANNELS for dim in dims for role, _ in dim)


def regrouped(dims: Sequence[Dim], n: int) -> Dim:
    """Make `n` channels out of other dimensions, picked or side by side: their places are no whole blocks any more."""
    return ((":", n),) if has_places(dims) else plain(n)


def is_positions(dim: Dim) -> bool:
    """Tell whether a dimension is made of rows and columns alone, be they single ones."""
    return bool(dim) and all(role not in CHANNELS for role, _ in dim)


def is_mixed(dim: Dim) -> bool:
    """Tell whether rows or columns and channels are one dimension.

    >>> is_mixed((("", 8), ("h", 4))), is_mixed((("h", 4), ("w", 5)))
    (True, False)
    """
    return has_positions(dim) and any(role in CHANNELS and n > 1 for role, n in dim)


def is_flattened(dims: Dims) -> bool:
    """Tell whether rows and columns are one dimension.

    >>> is_flattened((plain(8), (("h", 4), ("w", 5)))), is_flattened((plain(8), (("h", 4),), (("w", 5),)))
    (True, False)
    """
    return any(AXES.keys() <= {*roles_of([dim])} for dim in dims)


def upper(dim: Dim) -> Dim:
    """Mark a dimension of positions as those that are looked at, rather than those that look."""
    return tuple((role if role in CHANNELS else role.upper(), size) for role, size in dim)


def alone(dim: Dim) -> str:
    """Find the role that a dimension consists of, but for single rows and columns; or "".

    >>> alone((("h", 1), ("w", 5))), alone((("h", 4), ("w", 5)))
    ('w', '')
    """
    large = [role for role, n in dim if n > 1] or [role for role, _ in dim]
    return large[0] if len(large) == 1 else ""


def reshaped(dims: Dims, shape: Sequence[int]) -> Dims | None:
    """Reshape dimensions to `shape`; None where a size does not divide, or a part is split again.

    >>> reshaped((plain(8), (("h", 4),), (("w", 5),)), [2, 4, 20])
    ((('', 2),), (('', 4),), (('h', 4), ('w', 5)))
    """
    left = [*joined(atom for dim in dims for atom in dim)][::-1]  # the next one last
    split = {role[:-1] for role, _ in left if role.endswith(".")}
    out: list[Dim] = []
    for wanted in shape:
        dim = _taken(left, wanted, split)
        if dim is None:
            return None
        out.append(dim)
    if any(size > 1 for _, size in left):
        return None
    looked = tuple(atom for atom in left[::-1] if atom[0].isupper())  # what scores were summed over
    return (*out[:-1], out[-1] + looked) if looked and out else tuple(out)


def _taken(left: list[Atom], wanted: int, split: Collection[str]) -> Dim | None:
    """Take the atoms off the end that make a dimension of a size; the last is split, unless it is or was already."""
    if wanted == 1 and left and left[-1][1] == 1:
        return joined([left.pop()])
    dim: list[Atom] = []
    while (have := size_of(tuple(dim))) < wanted:
        if not left or wanted % have:
            return None
        role, size = left.pop()
        taken = min(size, wanted // have)
        if taken < 1 or size % taken:
            return None
        if taken < size:
            if role in split or role.endswith("."):
                return None
            outer, inner = (role[-1:],) * 2 if role in CHANNELS else (role, f"{role}.")
            left.append((inner, size // taken))
            role = outer
        dim.append((role, taken))
    return joined(dim) if size_of(tuple(dim)) == wanted else None


def ranked(dims: Dims, rank: int) -> Dims:
    """Put as many dimensions of size 1 in front as make them `rank`, as broadcasting has them.

    >>> ranked((plain(5),), 3)
    ((), (), (('', 5),))
    """
    return ((),) * (rank - len(dims)) + dims


def joined(dim: Iterable[Atom]) -> Dim:
    """Put the parts of a split, where they are neighbours, together again in one dimension."""
    out: list[Atom] = []
    for role, size in dim:
        if out and (role == out[-1][0] == "" or (role and role == out[-1][0] + ".")):
            out[-1] = out[-1][0], out[-1][1] * size
        elif role or size != 1:
            out.append((role, size))
    return tuple(out)


def broadcast(one: Dims, other: Dims) -> Dims | None:
    """Broadcast the dimensions of an elementwise operation; None where the shapes do not fit."""
    out: list[Dim] = []
    longer = max(len(one), len(other))
    for a, b in zip(ranked(one, longer), ranked(other, longer), strict=True):
        if size_of(a) != size_of(b) and 1 not in (size_of(a), size_of(b)):
            return None
        rows = [[role for role, n in dim if role and n > 1] for dim in (a, b)]
        if all(rows) and rows[0] != rows[1]:
            return None  # rows of one are columns of the other
        larger = max(a, b, key=lambda dim: (size_of(dim), sum(role != "" for role, _ in dim)))
        out.append(larger)
    return tuple(out)
