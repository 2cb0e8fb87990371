"""What the dimensions of an ONNX tensor are made of: which of them, or which part of one, is height or width.

A dimension is a tuple of atoms (role, size), the outermost first; its size is their product. A role is
"h" or "w" for the rows and columns of the layer that the tensor came from, "h." or "w." for the inner part
of a height or width that was split, "H" or "W" for the positions that attention looks at, and "" for all
else: batch, channels, groups. So a transpose, and a reshape there and back, lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

Atom = tuple[str, int]
Dim = tuple[Atom, ...]
Dims = tuple[Dim, ...]


def plain(n: int) -> Dim:
    """A dimension of `n` without a role."""
    return () if n == 1 else (("", n),)


def size_of(dim: Dim) -> int:
    """How large a dimension is."""
    return prod(size for _, size in dim)


def shape_of(dims: Dims) -> list[int]:
    """The shape of a tensor, as ONNX sees it.

    >>> shape_of(((("h", 4), ("w", 5)), plain(3)))
    [20, 3]
    """
    return [size_of(dim) for dim in dims]


def roles_of(dims: Iterable[Dim]) -> list[str]:
    """The roles in some dimensions, in their order."""
    return [role for dim in dims for role, _ in dim if role]


def is_split(dims: Dims, role: str) -> bool:
    """Whether the rows (or columns) that a role stands for are in two parts, an outer and an inner one.

    >>> is_split(((("h", 2),), (("h.", 4),)), "h"), is_split(((("h", 8),),), "h")
    (True, False)
    """
    return role.endswith(".") or any(each == f"{role}." and n > 1 for dim in dims for each, n in dim)


def alone(dim: Dim) -> str:
    """The role that a dimension consists of, or ""."""
    return dim[0][0] if len(dim) == 1 else ""


def reshaped(dims: Dims, shape: Sequence[int]) -> Dims | None:
    """The dimensions after a reshape to `shape`, or None where a size does not divide.

    >>> reshaped((plain(8), (("h", 4),), (("w", 5),)), [2, 4, 20])
    ((('', 2),), (('', 4),), (('h', 4), ('w', 5)))
    """
    atoms = [atom for dim in dims for atom in dim][::-1]
    out: list[Dim] = []
    for wanted in shape:
        dim: list[Atom] = []
        have = 1
        if wanted == 1 and atoms and atoms[-1][1] == 1:
            dim.append(atoms.pop())
        while have < wanted:
            if not atoms or wanted % have:
                return None
            role, size = atoms.pop()
            taken = min(size, wanted // have)
            if taken < 1 or size % taken or (taken < size and role.endswith(".")):
                return None
            if taken < size:
                atoms.append((role + "." if role else "", size // taken))
            dim.append((role, taken))
            have *= taken
        if have != wanted:
            return None
        out.append(joined(dim))
    return tuple(out) if all(size == 1 for _, size in atoms) else None


def joined(dim: Iterable[Atom]) -> Dim:
    """A dimension with the parts of a split put together again, where they are neighbours."""
    out: list[Atom] = []
    for role, size in dim:
        if out and (role == out[-1][0] == "" or (role and role == out[-1][0] + ".")):
            out[-1] = out[-1][0], out[-1][1] * size
        elif role or size != 1:
            out.append((role, size))
    return tuple(out)


def broadcast(one: Dims, other: Dims) -> Dims | None:
    """The dimensions of an elementwise operation, or None where the shapes do not fit."""
    out: list[Dim] = []
    longer = max(len(one), len(other))
    padded = [((),) * (longer - len(dims)) + dims for dims in (one, other)]
    for a, b in zip(*padded, strict=True):
        if size_of(a) != size_of(b) and 1 not in (size_of(a), size_of(b)):
            return None
        rows = [[role for role, n in dim if role and n > 1] for dim in (a, b)]
        if all(rows) and rows[0] != rows[1]:
            return None  # rows of one are columns of the other
        larger = a if (size_of(a), len(roles_of([a]))) >= (size_of(b), len(roles_of([b]))) else b
        out.append(larger)
    return tuple(out)
