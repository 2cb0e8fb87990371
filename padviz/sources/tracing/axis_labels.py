"""What the dimensions of a tensor are made of: which of them, or which part of one, is height or width.

A dimension is a tuple of atoms, the outermost first; its size is their product. So a transpose, and a reshape there
and back, lose nothing. The axis of an atom is called a role where `axis` numbers the dimensions of a tensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

Part = Literal["whole", "inner", "place", "tokens", "tokens behind", "runs"]
BINS = "bins"  # the axis of what the windows of an adaptive pool had, each of which counts all of its window
ROLES = ("d", "h", "w")  # of the last axes that an image has


@dataclass(frozen=True, slots=True)
class Atom:
    """A factor of a dimension, of a `size`.

    Its `axis` is "h" or "w" for rows and columns of the layer that the tensor came from ("d" for a third axis before
    them, "w" alone for that of a signal), and "" for all else: batch, channels, groups. Where an axis was split, its
    outermost part stays "whole", and its `part` is "inner" otherwise; neighbours in it are `step` rows apart. Once it
    became channels it is a "place" in a block, and of no axis where that was split again. What is `looked` at are
    positions that attention looks at, rather than those that look. Where tokens were put in front of positions, or
    behind them, they are one `part`, and `beside` the positions themselves. So are "runs" of flattened positions, each
    of which is joined to one: they may be looked at together, but are no image.
    """

    axis: str
    part: Part
    size: int
    looked: bool = False
    step: int = 1
    beside: tuple[Atom, ...] = ()

    @property
    def kind(self) -> tuple[object, ...]:
        """What it is, however large."""
        beside = tuple(atom.kind for atom in self.beside)
        return self.axis, self.part, self.looked, self.step if self.part == "inner" else 1, beside

    @property
    def is_plain(self) -> bool:
        """Whether it is of channels, and of no place in a block."""
        return not self.axis and self.part == "whole"

    @property
    def is_position(self) -> bool:
        """Whether it is of rows or columns, and so of no channels."""
        return self.axis != "" and self.part != "place"

    @property
    def is_axis(self) -> bool:
        """Whether it is of rows or columns that look, or the outer part of these."""
        return self.axis != "" and self.part == "whole" and not self.looked


Dim = tuple[Atom, ...]
Dims = tuple[Dim, ...]


def plain(n: int) -> Dim:
    """Make a dimension of `n` channels."""
    return () if n == 1 else (Atom("", "whole", n),)


def whole(axis: str, n: int) -> Dim:
    """Make a dimension of all `n` rows ("h") or columns ("w")."""
    return (Atom(axis, "whole", n),)


def size_of(dim: Dim) -> int:
    """Multiply out how large a dimension is."""
    return prod(atom.size for atom in dim)


def shape_of(dims: Dims) -> list[int]:
    """Read the shape of a tensor, as its framework sees it.

    >>> shape_of((whole("h", 4) + whole("w", 5), plain(3)))
    [20, 3]
    """
    return [size_of(dim) for dim in dims]


def positions(*dims: Dim) -> list[Atom]:
    """List the rows and columns in some dimensions, in their order."""
    return [atom for dim in dims for atom in dim if atom.is_position]


def has_positions(dim: Dim) -> bool:
    """Tell whether a dimension tells rows or columns apart."""
    return any(atom.size > 1 for atom in positions(dim))


def has_parts(dims: Dims) -> bool:
    """Tell whether rows or columns are split into an outer and an inner part.

    >>> has_parts((whole("h", 2), (Atom("h", "inner", 4),))), has_parts((whole("h", 8),))
    (True, False)
    """
    return any(atom.part == "inner" and atom.size > 1 for dim in dims for atom in dim)


def has_looked(dims: Iterable[Dim]) -> bool:
    """Tell whether there are positions that attention looks at: whether these are scores."""
    return any(atom.looked for dim in dims for atom in dim)


def is_image(dims: Dims, axes: int) -> bool:
    """Tell whether rows and columns lie in the last dimensions alone, whole, and are none that attention looks at.

    >>> rows, columns = whole("h", 4), whole("w", 5)
    >>> is_image(((), plain(8), rows, columns), 2), is_image(((), rows, plain(8), columns), 2)
    (True, False)
    """
    return not (has_looked(dims) or has_parts(dims) or any(map(has_positions, dims[:-axes])))


def has_places(dims: Iterable[Dim]) -> bool:
    """Tell whether some channels are places in blocks of rows or columns."""
    return any(atom.part == "place" for dim in dims for atom in dim)


def with_tokens(dim: Dim, n: int, behind: bool) -> Dim:
    """Put `n` tokens in front of the positions of a dimension, or behind them."""
    return (Atom("t", "tokens behind" if behind else "tokens", size_of(dim) + n, beside=dim),)


def tokens_of(dim: Dim) -> Atom | None:
    """Find the tokens, with the positions beside them, that a dimension is."""
    return dim[0] if len(dim) == 1 and dim[0].beside else None


def without_tokens(atoms: Iterable[Atom]) -> list[Atom]:
    """Put the positions beside tokens in the place of both, and those of runs in the place of these."""
    return [each for atom in atoms for each in (without_tokens(atom.beside) if atom.beside else (atom,))]


def in_runs(dim: Dim, run: int) -> Dim:
    """Join runs of so many flattened positions to one each."""
    return (Atom("t", "runs", size_of(dim) // run, beside=dim),)


def has_runs(atoms: Iterable[Atom]) -> bool:
    """Tell whether there are runs of positions, be it beside tokens."""
    return any(atom.part == "runs" or has_runs(atom.beside) for atom in atoms)


def image_among(n: int, at: int | None) -> Dim:
    """Make a batch of `n`, of which the image, or what became of it, is the one `at` a place; None where several are.

    >>> image_at(image_among(2, 1)), image_at(image_among(2, None)), image_at(plain(2))
    (1, None, None)
    """
    return (Atom("images" if at is None else f"image {at}", "place", n),)


def is_batch(dim: Dim) -> bool:
    """Tell whether a dimension is a batch that the image, or what became of it, is not all of."""
    return len(dim) == 1 and dim[0].axis.startswith("image")


def image_at(dim: Dim) -> int | None:
    """Find the place of the image in a batch, of which the others are constants; None where that is not known."""
    named = dim[0].axis.partition("image ")[2] if len(dim) == 1 else ""
    return int(named) if named else None


def regrouped(dims: Sequence[Dim], n: int) -> Dim:
    """Make `n` channels out of other dimensions, picked or side by side: their places are no whole blocks any more."""
    return (Atom("", "place", n),) if has_places(dims) else plain(n)


def is_positions(dim: Dim) -> bool:
    """Tell whether a dimension is made of rows and columns alone, be they single ones."""
    return bool(dim) and all(atom.is_position for atom in dim)


def is_mixed(dim: Dim) -> bool:
    """Tell whether rows or columns and channels are one dimension.

    >>> is_mixed(plain(8) + whole("h", 4)), is_mixed(whole("h", 4) + whole("w", 5))
    (True, False)
    """
    return has_positions(dim) and any(atom.size > 1 and not atom.is_position for atom in dim)


def is_flattened(dims: Dims) -> bool:
    """Tell whether rows and columns are one dimension.

    >>> rows, columns = whole("h", 4), whole("w", 5)
    >>> is_flattened((plain(8), rows + columns)), is_flattened((plain(8), rows, columns))
    (True, False)
    """
    return any(len({atom.axis for atom in dim if atom.is_axis}) > 1 for dim in dims)


def looked_at(dim: Dim) -> Dim:
    """Mark a dimension of positions as those that are looked at, rather than those that look."""
    return tuple(replace(atom, looked=True) if atom.is_position else atom for atom in dim)


def alone(dim: Dim) -> Atom | None:
    """Find the rows, columns or places that a dimension consists of, but for single ones; None for all others."""
    large = [atom for atom in dim if atom.size > 1] or dim
    return large[0] if len(large) == 1 and not large[0].is_plain else None


def axis_of(dim: Dim) -> str:
    """Find the axis that a dimension is, but for single rows and columns; or "".

    >>> axis_of(whole("h", 1) + whole("w", 5)), axis_of(whole("h", 4) + whole("w", 5))
    ('w', '')
    """
    atom = alone(dim)
    return atom.axis if atom and atom.is_axis else ""


def reshaped(dims: Dims, shape: Sequence[int]) -> Dims | None:
    """Reshape dimensions to `shape`; None where a size does not divide.

    >>> rows, columns = whole("h", 4), whole("w", 5)
    >>> reshaped((plain(8), rows, columns), [2, 4, 20]) == (plain(2), plain(4), rows + columns)
    True
    """
    left = [*joined(atom for dim in dims for atom in dim)][::-1]  # the next one last
    out: list[Dim] = []
    for wanted in shape:
        dim = _taken(left, wanted)
        if dim is None:
            return None
        out.append(dim)
    if any(atom.size > 1 for atom in left):
        return None
    summed = tuple(atom for atom in left[::-1] if atom.looked)  # what scores were summed over
    return (*out[:-1], out[-1] + summed) if summed and out else tuple(out)


def _taken(left: list[Atom], wanted: int) -> Dim | None:
    """Take the atoms off the end that make a dimension of a size; the last may be split."""
    if wanted == 1 and left and left[-1].size == 1:
        return joined([left.pop()])
    dim: list[Atom] = []
    while (have := size_of(tuple(dim))) < wanted:
        if not left or wanted % have:
            return None
        atom = left.pop()
        taken = min(atom.size, wanted // have)
        if taken < 1 or atom.size % taken or (atom.beside and taken < atom.size):
            return None
        if taken < atom.size:
            atom, inner = _parted(atom, taken)
            left.append(inner)
        dim.append(atom)
    return joined(dim) if size_of(tuple(dim)) == wanted else None


def _parted(atom: Atom, outer: int) -> tuple[Atom, Atom]:
    """Split an atom into an outer part of a size and an inner one; channels are alike."""
    inner = atom.size // outer
    if atom.is_position:
        return replace(atom, size=outer, step=atom.step * inner), replace(atom, part="inner", size=inner)
    return Atom("", atom.part, outer), Atom("", atom.part, inner)


def ranked(dims: Dims, rank: int) -> Dims:
    """Put as many dimensions of size 1 in front as make them `rank`, as broadcasting has them.

    >>> shape_of(ranked((plain(5),), 3))
    [1, 1, 5]
    """
    return ((),) * (rank - len(dims)) + dims


def joined(dim: Iterable[Atom]) -> Dim:
    """Put the parts of a split, where they are neighbours, together again in one dimension."""
    out: list[Atom] = []
    for atom in dim:
        if out and _goes_on(out[-1], atom):
            out[-1] = replace(out[-1], size=out[-1].size * atom.size, step=atom.step)
        elif not atom.is_plain or atom.size != 1:
            out.append(atom)
    return tuple(out)


def rejoined(atoms: Iterable[Atom]) -> Dim:
    """Put parts of one axis together again, the outermost first, however far apart in a tensor they are.

    >>> rejoined([Atom("h", "inner", 2, step=4), Atom("h", "inner", 4, step=1)])
    (Atom(axis='h', part='inner', size=8, looked=False, step=1, beside=()),)
    """
    return joined(replace(atom, looked=False) for atom in atoms)


def _goes_on(outer: Atom, inner: Atom) -> bool:
    """Tell whether one atom goes on in the next: both are channels, or neighbouring parts of one axis."""
    if outer.is_plain and inner.is_plain:
        return True
    alike = (outer.axis, outer.looked) == (inner.axis, inner.looked)
    return alike and outer.is_position and inner.part == "inner" and outer.step == inner.step * inner.size


def broadcast(one: Dims, other: Dims) -> Dims | None:
    """Broadcast the dimensions of an elementwise operation; None where the shapes do not fit."""
    out: list[Dim] = []
    longer = max(len(one), len(other))
    for a, b in zip(ranked(one, longer), ranked(other, longer), strict=True):
        if size_of(a) != size_of(b) and 1 not in (size_of(a), size_of(b)):
            return None
        kinds = [[atom.kind for atom in dim if atom.size > 1 and not atom.is_plain] for dim in (a, b)]
        if all(kinds) and kinds[0] != kinds[1]:
            return None  # rows of one are columns of the other
        larger = max(a, b, key=lambda dim: (size_of(dim), sum(not atom.is_plain for atom in dim)))
        out.append(larger)
    return tuple(out)
