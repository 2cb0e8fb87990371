"""What each dimension of a tensor holds: channels, rows, columns, or several of these as one.

A dimension is a tuple of factors, the outermost first, as einops writes them; its size is their product. So transposes,
and reshapes there and back, lose nothing. An image of 8 channels and 6 x 4 pixels, and what becomes of it (H3/2 are
three rows, every second one; h2 two neighbours inside of each):

    tensor                                  shape                dimensions
    image                                   1, 8, 6, 4           () C8 H6 W4
    flattened                               1, 8, 24             () C8 H6·W4
    transposed, as tokens                   1, 24, 8             () H6·W4 C8
    with a class token in front             1, 25, 8             () Tokens(25, of H6·W4) C8
    four neighbours joined to one token     1, 6, 8              () Runs(6, of H6·W4) C8
    split into windows of 2 x 2             1, 8, 3, 2, 2, 2     () C8 H3/2 h2 W2/2 w2
    windows as the batch                    6, 4, 8              H3/2·W2/2 h2·w2 C8
    merged patches, laid as joined crops    1, 3, 2, 32          () H3 W2 Block(h2)·Block(w2)·C8
    scores: queries times keys              1, 24, 24            () H6·W4, and H6·W4 that are looked at
    image in a batch with constants         3, 8, 6, 4           Batch(3, at 0) C8 H6 W4
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TypeVar

ROLES = ("d", "h", "w")  # of the last axes that an image has


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a dimension, of a `size`."""

    size: int

    def split(self, outer: int) -> tuple[Factor, Factor] | None:
        """Split into an outer part of a size and an inner one; None where it must stay whole."""
        return Block(outer), Block(self.size // outer)


@dataclass(frozen=True, slots=True)
class Channel(Factor):
    """Numbers of one position: channels, heads, groups, images of a batch. All of them are alike."""

    def split(self, outer: int) -> tuple[Factor, Factor]:
        return Channel(outer), Channel(self.size // outer)


@dataclass(frozen=True, slots=True)
class Block(Factor):
    """Channels that are places in a block: of rows ("h") or columns, of the "taps" of a window, or of its "bins".

    Each bin, of an adaptive pool, counts all of its window. Where places were picked, or split, their role is "".
    """

    role: str = ""


@dataclass(frozen=True, slots=True)
class Batch(Factor):
    """A batch in which the image is at one place, beside constants; None if several are no constants."""

    at: int | None = None


@dataclass(frozen=True, slots=True)
class Position(Factor):
    """A factor along which positions differ; in scores, those that attention looks at (keys) are `looked` at."""

    looked: bool = field(default=False, kw_only=True)

    def split(self, outer: int) -> tuple[Factor, Factor] | None:
        return None


@dataclass(frozen=True, slots=True)
class Axis(Position):
    """Rows ("h"), columns ("w", which a signal has alone) or a third axis ("d"); neighbours are a `step` apart.

    Of an axis that was split, all parts but the outermost are `inner`. An axis is called a role where `axis` numbers
    the dimensions of a tensor.
    """

    role: str
    step: int = 1
    inner: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole axis that looks, or the outer part of one."""
        return not (self.inner or self.looked)

    def split(self, outer: int) -> tuple[Factor, Factor]:
        inner = self.size // outer
        return replace(self, size=outer, step=self.step * inner), replace(self, size=inner, inner=True)


@dataclass(frozen=True, slots=True)
class Tokens(Position):
    """Tokens and the positions that they are in front of, or `behind`."""

    of: Dim
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Runs(Position):
    """Runs of flattened positions, each joined to one: they may be looked at together, but are no image."""

    of: Dim


Dim = tuple[Factor, ...]
Dims = tuple[Dim, ...]
F = TypeVar("F", bound=Factor)


def plain(n: int) -> Dim:
    """Return a dimension of `n` channels."""
    return () if n == 1 else (Channel(n),)


def whole(role: str, n: int) -> Dim:
    """Return a dimension of all `n` rows ("h") or columns ("w")."""
    return (Axis(n, role),)


def with_tokens(dim: Dim, n: int, behind: bool) -> Dim:
    """Return a dimension with `n` tokens in front of its positions, or behind them."""
    return (Tokens(size_of(dim) + n, dim, behind),)


def as_channels(dims: Sequence[Dim], n: int) -> Dim:
    """Return `n` channels picked or joined from other dimensions: places are no whole blocks any more."""
    return (Block(n),) if has_places(dims) else plain(n)


def with_dim(dims: Dims, at: int, *new: Dim) -> Dims:
    """Replace one dimension by another, by several or by none."""
    return (*dims[:at], *new, *dims[at + 1 :])


def size_of(dim: Dim) -> int:
    return prod(factor.size for factor in dim)


def shape_of(dims: Dims) -> list[int]:
    return [size_of(dim) for dim in dims]


def positions(*dims: Dim) -> list[Position]:
    """List the factors of some dimensions along which positions differ, in their order."""
    return [factor for dim in dims for factor in dim if isinstance(factor, Position)]


def inner_parts(*dims: Dim) -> list[Axis]:
    """List the inner parts that rows and columns are split into."""
    return [factor for dim in dims for factor in dim if isinstance(factor, Axis) and factor.inner]


def within(kind: type[F], factors: Iterable[Factor]) -> list[F]:
    """List the factors of a kind, also among those that tokens, and runs, are made of."""
    out: list[F] = []
    for factor in factors:
        out += [factor] if isinstance(factor, kind) else []
        out += within(kind, factor.of) if isinstance(factor, Tokens | Runs) else []
    return out


def kind_of(factor: Factor) -> Factor:
    """Return a factor without its size, to compare what it is."""
    match factor:
        case Axis():
            return replace(factor, size=0, step=factor.step if factor.inner else 1)
        case Tokens() | Runs():
            return replace(factor, size=0, of=tuple(map(kind_of, factor.of)))
    return replace(factor, size=0)


def has_positions(dim: Dim) -> bool:
    return any(factor.size > 1 for factor in positions(dim))


def is_positions(dim: Dim) -> bool:
    """Whether a dimension is made of rows and columns alone, be they single ones."""
    return bool(dim) and len(positions(dim)) == len(dim)


def is_channels(dim: Dim) -> bool:
    """Whether a dimension is made of channels alone, none of which is a place in a block."""
    return all(isinstance(factor, Channel) for factor in dim)


def is_mixed(dim: Dim) -> bool:
    """Whether rows or columns and channels are one dimension."""
    return has_positions(dim) and any(factor.size > 1 and not isinstance(factor, Position) for factor in dim)


def is_flattened(dims: Dims) -> bool:
    """Whether rows and columns are one dimension."""
    return any(len({f.role for f in dim if isinstance(f, Axis) and f.is_whole}) > 1 for dim in dims)


def is_image(dims: Dims, axes: int) -> bool:
    """Whether rows and columns lie in the last dimensions alone, whole, and none is looked at by attention."""
    return not (has_looked(dims) or has_parts(dims) or any(map(has_positions, dims[:-axes])))


def has_parts(dims: Dims) -> bool:
    """Whether rows or columns are split into an outer and an inner part."""
    return any(part.size > 1 for part in inner_parts(*dims))


def has_looked(dims: Iterable[Dim]) -> bool:
    """Whether these are scores, with positions that attention looks at."""
    return any(position.looked for position in positions(*dims))


def has_places(dims: Iterable[Dim]) -> bool:
    """Whether some channels are places in blocks of rows or columns, or in a batch."""
    return any(isinstance(factor, Block | Batch) for dim in dims for factor in dim)


def looked_at(dim: Dim, looked: bool = True) -> Dim:
    """Mark the positions of a dimension as those that are looked at, rather than those that look."""
    return tuple(replace(factor, looked=looked) if isinstance(factor, Position) else factor for factor in dim)


def alone(dim: Dim) -> Factor | None:
    """Return the rows, columns or places that a dimension consists of, but for single ones; None for all others."""
    large = [factor for factor in dim if factor.size > 1] or dim
    return large[0] if len(large) == 1 and not isinstance(large[0], Channel) else None


def axis_of(dim: Dim) -> str:
    """Return the axis that a dimension is, but for single rows and columns; or "".

    >>> axis_of(whole("h", 1) + whole("w", 5)), axis_of(whole("h", 4) + whole("w", 5))
    ('w', '')
    """
    factor = alone(dim)
    return factor.role if isinstance(factor, Axis) and factor.is_whole else ""


def image_at(dim: Dim) -> int | None:
    """Return the place of the image in a batch whose others are constants; None where there is none."""
    return dim[0].at if len(dim) == 1 and isinstance(dim[0], Batch) else None


def tokens_of(dim: Dim) -> Tokens | Runs | None:
    """Return the tokens beside positions, or the runs of them, that a dimension is."""
    return dim[0] if len(dim) == 1 and isinstance(dim[0], Tokens | Runs) else None


def reshape_dims(dims: Dims, shape: Sequence[int]) -> Dims | None:
    """Reshape dimensions to `shape`; None where a size does not divide.

    >>> rows, columns = whole("h", 4), whole("w", 5)
    >>> reshape_dims((plain(8), rows, columns), [2, 4, 20]) == (plain(2), plain(4), rows + columns)
    True
    """
    left = [*join_factors(factor for dim in dims for factor in dim)][::-1]  # the next one last
    out: list[Dim] = []
    for wanted in shape:
        taken: list[Factor] = []
        if wanted == 1 and left and left[-1].size == 1:
            taken.append(left.pop())
        while wanted > 1 and left:
            factor = left.pop()
            if factor.size > wanted and factor.size % wanted == 0 and (parts := factor.split(wanted)):
                factor, inner = parts
                left.append(inner)
            if not factor.size or wanted % factor.size:
                return None
            taken.append(factor)
            wanted //= factor.size
        if wanted != 1:
            return None
        out.append(join_factors(taken))
    if any(factor.size > 1 for factor in left):
        return None
    summed = tuple(position for position in positions(tuple(left[::-1])) if position.looked)  # in scores
    return (*out[:-1], out[-1] + summed) if summed and out else tuple(out)


def join_factors(dim: Iterable[Factor]) -> Dim:
    """Join neighbouring channels, and neighbouring parts of one axis, to one factor each."""
    out: list[Factor] = []
    for factor in dim:
        match out[-1:], factor:
            case [Channel(n)], Channel(m):
                out[-1] = Channel(n * m)
            case [Axis() as outer], Axis(inner=True) as inner if (
                (outer.role, outer.looked, outer.step) == (inner.role, inner.looked, inner.step * inner.size)
            ):  # fmt: skip
                out[-1] = replace(outer, size=outer.size * inner.size, step=inner.step)
            case _ if factor != Channel(1):
                out.append(factor)
    return tuple(out)


def reduce_dims(dims: Dims, axes: Collection[int], keep: bool) -> Dims:
    """Reduce some dimensions, of which single rows are kept; what was looked at stays known, in the last dimension."""
    single = {axis: tuple(replace(position, size=1) for position in positions(dims[axis])) for axis in axes}
    looked = tuple(position for position in positions(*single.values()) if position.looked)
    if not keep:
        rest = [dim for axis, dim in enumerate(dims) if axis not in axes]
        return (*rest[:-1], rest[-1] + looked) if rest else ()
    for axis, dim in single.items():
        if len(dims[axis]) > 1 and not has_looked([dim]):
            single[axis] = ()
    return tuple(single.get(axis, dim) for axis, dim in enumerate(dims))


def ranked(dims: Dims, rank: int) -> Dims:
    """Insert dimensions of size 1 in front until there are `rank`, as broadcasting does."""
    return ((),) * (rank - len(dims)) + dims


def broadcast(one: Dims, other: Dims) -> Dims | None:
    """Broadcast the dimensions of an elementwise operation; None where the shapes do not fit."""
    out: list[Dim] = []
    longer = max(len(one), len(other))
    for pair in zip(ranked(one, longer), ranked(other, longer), strict=True):
        sizes = {*map(size_of, pair)} - {1}
        kinds = [[kind_of(f) for f in dim if f.size > 1 and not isinstance(f, Channel)] for dim in pair]
        if len(sizes) > 1 or (all(kinds) and kinds[0] != kinds[1]):
            return None  # or rows of one are columns of the other
        out.append(max(pair, key=lambda dim: (size_of(dim), sum(not isinstance(f, Channel) for f in dim))))
    return tuple(out)


def broadcast_all(maps: Sequence[Dims], constants: Sequence[Dims] = ()) -> Dims | None:
    """Broadcast what an elementwise operation reads; None where that does not fit.

    Rows meet the same rows, a single one, or numbers of a constant, and no channels of another map; rows that are
    looked at may meet these, too.

    >>> rows, image = whole("h", 4), (plain(4), whole("h", 4))
    >>> broadcast_all([image], [(plain(4),)]) == image, broadcast_all([image, (plain(4),)])
    (True, None)
    """
    dims: Dims | None = ()
    for read in (*maps, *constants):
        dims = None if dims is None else broadcast(dims, read)
    for own, dim in [pair for read in maps for pair in zip(read[::-1], (dims or ())[::-1], strict=False)]:
        if size_of(own) > 1 and has_positions(own) != has_positions(dim) and not has_looked([dim]):
            return None
    return dims
