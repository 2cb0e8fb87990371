"""What each dimension of a tensor holds: channels, rows, columns, or several of these as one.

A dimension, `Dim`, is a tuple of factors, the outermost first, as einops writes them; its size is their product. So
transposes, and reshapes there and back, lose nothing. An image of 8 channels and 6 x 4 pixels, and what becomes of it
(H3/2 are three rows, every second one; h2 two neighbours inside of each):

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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from typing import TypeVar

F = TypeVar("F", bound="Factor")
ROLES = ("d", "h", "w")  # of the last axes that an image has


@dataclass(frozen=True, slots=True)
class Factor:
    size: int

    @property
    def kind(self) -> Factor:
        """The factor without its size, to compare what it is."""
        return replace(self, size=0)

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
    """A batch with the image at one place and constants at others; None if several are maps."""

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
    def kind(self) -> Axis:
        return replace(self, size=0, step=self.step if self.inner else 1)

    @property
    def is_whole(self) -> bool:
        return not (self.inner or self.looked)

    def split(self, outer: int) -> tuple[Factor, Factor]:
        inner = self.size // outer
        return replace(self, size=outer, step=self.step * inner), replace(self, size=inner, inner=True)


@dataclass(frozen=True, slots=True)
class Composite(Position):
    of: Dim

    @property
    def kind(self) -> Composite:
        return replace(self, size=0, of=Dim(*(factor.kind for factor in self.of)))


@dataclass(frozen=True, slots=True)
class Tokens(Composite):
    """Tokens and the positions that they are in front of, or `behind`."""

    behind: bool = False


@dataclass(frozen=True, slots=True)
class Runs(Composite):
    """Runs of flattened positions, each joined to one: they may be looked at together, but are no image."""


class Dim(tuple[Factor, ...]):
    __slots__ = ()

    def __new__(cls, *factors: Factor) -> Dim:
        return super().__new__(cls, factors)

    def __add__(self, other: Dim) -> Dim:  # type: ignore[override]
        return Dim(*self, *other)

    @property
    def size(self) -> int:
        return prod(factor.size for factor in self)

    @property
    def positions(self) -> list[Position]:
        return [factor for factor in self if isinstance(factor, Position)]

    @property
    def inner(self) -> list[Axis]:
        return [factor for factor in self if isinstance(factor, Axis) and factor.inner]

    @property
    def has_parts(self) -> bool:
        return any(part.size > 1 for part in self.inner)

    @property
    def has_looked(self) -> bool:
        return any(position.looked for position in self.positions)

    @property
    def has_positions(self) -> bool:
        return any(factor.size > 1 for factor in self.positions)

    @property
    def is_positions(self) -> bool:
        """Whether it is made of rows and columns alone, even single ones."""
        return bool(self) and len(self.positions) == len(self)

    @property
    def is_channels(self) -> bool:
        """Whether it is made of channels alone, without places in a block."""
        return all(isinstance(factor, Channel) for factor in self)

    @property
    def is_mixed(self) -> bool:
        return self.has_positions and any(factor.size > 1 and not isinstance(factor, Position) for factor in self)

    @property
    def is_flattened(self) -> bool:
        return len({factor.role for factor in self if isinstance(factor, Axis) and factor.is_whole}) > 1

    @property
    def without_single(self) -> Dim:
        """The dimension without single rows and columns, which may stand anywhere."""
        return Dim(*(factor for factor in self if factor.size > 1 or not isinstance(factor, Position)))

    @property
    def has_places(self) -> bool:
        """Whether some channels are places in blocks of rows or columns, or in a batch."""
        return any(isinstance(factor, Block | Batch) for factor in self)

    @property
    def alone(self) -> Factor | None:
        """The rows, columns or places that it consists of, but for single ones; None for all else."""
        large = [factor for factor in self if factor.size > 1] or self
        return large[0] if len(large) == 1 and not isinstance(large[0], Channel) else None

    @property
    def axis(self) -> str:
        """The axis that it is, but for single rows and columns; or ""."""
        factor = self.alone
        return factor.role if isinstance(factor, Axis) and factor.is_whole else ""

    @property
    def image_at(self) -> int | None:
        """The place of the image in a batch whose others are constants; None where there is none."""
        return self[0].at if len(self) == 1 and isinstance(self[0], Batch) else None

    @property
    def tokens(self) -> Composite | None:
        """The tokens beside positions, or the runs of them, that it is."""
        return self[0] if len(self) == 1 and isinstance(self[0], Composite) else None

    def within(self, kind: type[F]) -> list[F]:
        """List the factors of a kind, also among those that tokens, and runs, are made of."""
        out: list[F] = []
        for factor in self:
            out += [factor] if isinstance(factor, kind) else []
            out += factor.of.within(kind) if isinstance(factor, Composite) else []
        return out

    def joined(self) -> Dim:
        """Join neighbouring channels, and neighbouring parts of one axis, to one factor each."""
        out: list[Factor] = []
        for factor in self:
            match out[-1:], factor:
                case [Channel(n)], Channel(m):
                    out[-1] = Channel(n * m)
                case [Axis() as outer], Axis(inner=True) as inner if (
                    (outer.role, outer.looked, outer.step) == (inner.role, inner.looked, inner.step * inner.size)
                ):  # fmt: skip
                    out[-1] = replace(outer, size=outer.size * inner.size, step=inner.step)
                case _ if factor != Channel(1):
                    out.append(factor)
        return Dim(*out)

    def with_tokens(self, n: int, behind: bool) -> Dim:
        return Dim(Tokens(self.size + n, self, behind))

    def looked_at(self, looked: bool = True) -> Dim:
        """Mark its positions as those that are looked at, rather than those that look."""
        return Dim(*(replace(factor, looked=looked) if isinstance(factor, Position) else factor for factor in self))


Dims = tuple[Dim, ...]


def plain(n: int) -> Dim:
    return Dim() if n == 1 else Dim(Channel(n))


def whole(role: str, n: int) -> Dim:
    return Dim(Axis(n, role))


def as_channels(dims: Sequence[Dim], n: int) -> Dim:
    """Return `n` channels picked or joined from other dimensions, whose places no longer form whole blocks."""
    return Dim(Block(n)) if any(dim.has_places for dim in dims) else plain(n)


def with_dim(dims: Dims, at: int, *new: Dim) -> Dims:
    return (*dims[:at], *new, *dims[at + 1 :])


def shape_of(dims: Dims) -> list[int]:
    return [dim.size for dim in dims]


def flat(dims: Iterable[Dim]) -> Dim:
    return Dim(*chain.from_iterable(dims))


def is_image(dims: Dims, axes: int) -> bool:
    """Whether rows and columns lie in the last dimensions alone, whole, and none is looked at by attention."""
    return not (flat(dims).has_looked or flat(dims).has_parts or flat(dims[:-axes]).has_positions)


def reshape_dims(dims: Dims, shape: Sequence[int]) -> Dims | None:
    """Reshape dimensions to `shape`; None where a size does not divide."""
    left = [*flat(dims).joined()][::-1]  # the next one last
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
        out.append(Dim(*taken).joined())
    if any(factor.size > 1 for factor in left):
        return None
    summed = Dim(*(position for position in Dim(*left[::-1]).positions if position.looked))  # in scores
    return (*out[:-1], out[-1] + summed) if summed and out else tuple(out)


def broadcast_all(maps: Sequence[Dims], constants: Sequence[Dims] = ()) -> Dims | None:
    """Broadcast what an elementwise operation reads; None where that does not fit.

    Rows meet the same rows, a single one, or numbers of a constant, and no channels of another map; rows that are
    looked at may meet these, too.

    >>> rows, image = whole("h", 4), (plain(4), whole("h", 4))
    >>> broadcast_all([image], [(plain(4),)]) == image, broadcast_all([image, (plain(4),)])
    (True, None)
    """
    dims: Dims = ()
    for read in (*maps, *constants):
        out: list[Dim] = []
        rank = max(len(dims), len(read))
        aligned = ((Dim(),) * (rank - len(own)) + own for own in (dims, read))
        for pair in zip(*aligned, strict=True):
            sizes = {dim.size for dim in pair} - {1}
            kinds = [[f.kind for f in dim if f.size > 1 and not isinstance(f, Channel)] for dim in pair]
            if len(sizes) > 1 or (all(kinds) and kinds[0] != kinds[1]):
                return None  # or rows of one are columns of the other
            out.append(max(pair, key=lambda dim: (dim.size, sum(not isinstance(f, Channel) for f in dim))))
        dims = tuple(out)
    for own, dim in [pair for read in maps for pair in zip(read[::-1], dims[::-1], strict=False)]:
        if own.size > 1 and own.has_positions != dim.has_positions and not dim.has_looked:
            return None
    return dims
