"""What each dimension of a tensor holds: channels, rows, columns, or several of these as one.

A dimension, `Dim`, is a tuple of factors, the outermost first, as einops writes them; its size is
their product. So transposes, and reshapes there and back, lose nothing. An image of 8 channels and
6 x 4 pixels, and what becomes of it (H3/2 are three rows, every second one; h2 two neighbours
inside of each):

    tensor                                  shape                dimensions
    image                                   1, 8, 6, 4           () C8 H6 W4
    flattened                               1, 8, 24             () C8 H6·W4
    transposed, as tokens                   1, 24, 8             () H6·W4 C8
    with a class token in front             1, 25, 8             () Tokens(25, of H6·W4) C8
    four neighbours joined to one token     1, 6, 8              () Runs(6, of H6·W4) C8
    split into windows of 2 x 2             1, 8, 3, 2, 2, 2     () C8 H3/2 h2 W2/2 w2
    windows as the batch                    6, 4, 8              H3/2·W2/2 h2·w2 C8
    merged patches, laid as joined crops    1, 3, 2, 32          () H3 W2 Block(h2)·Block(w2)·C8
    scores: queries times keys              1, 24, 24            () H6·W4 H6·W4, the last looked at
    image in a batch with constants         3, 8, 6, 4           Batch(3, at 0) C8 H6 W4

What may be done with a dimension depends on its `kind`:

    kind        what it holds                                       example
    channels    channels, or a single number                        C8, ()
    block       the places of one block                             Block(h2)
    places      places of several blocks, or beside channels        Block(h2)·C8
    batch       the image, or several, in a batch with constants    Batch(3, at 0)
    single      rows and columns of which there is one              H1, H1·W1
    axis        the rows, or the columns: all, or every n-th        H6, H3/2
    part        neighbours in windows, or an axis that is looked at h2
    tokens      tokens beside positions, or runs of positions       Tokens(25, of H6·W4)
    line        several of the last four together                   H6·W4, h2·w2
    mixed       positions together with channels                    C8·H6

Single rows and columns may stand anywhere. Beside anything larger they do not change the kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from math import prod
from typing import Literal, TypeVar

F = TypeVar("F", bound="Factor")
ROLES = ("d", "h", "w")  # of the last axes that an image has
Kind = Literal[
    "channels",
    "block",
    "places",
    "batch",
    "single",
    "axis",
    "part",
    "tokens",
    "line",
    "mixed",
]
# Of kinds with positions, all but mixed ones are made of rows and columns alone.
POSITIONS: frozenset[Kind] = frozenset({"axis", "part", "tokens", "line", "mixed"})
PLACES: frozenset[Kind] = frozenset({"block", "places", "batch"})
ROWS: frozenset[Kind] = frozenset({"single", "axis", "part", "tokens", "line"})


@dataclass(frozen=True, slots=True)
class Factor:
    size: int

    @property
    def unsized(self) -> Factor:
        """The factor without its size, to compare what it is."""
        return replace(self, size=0)

    def split(self, outer: int) -> tuple[Factor, Factor] | None:
        """Split into an outer part of a size and an inner one; None where it must stay whole."""
        return Block(outer), Block(self.size // outer)


@dataclass(frozen=True, slots=True)
class Channel(Factor):
    """Numbers of one position: channels, heads, groups, images of a batch.

    Several maps that were `stacked` may differ, so that no window may slide along them.
    """

    stacked: bool = False

    def split(self, outer: int) -> tuple[Factor, Factor]:
        return replace(self, size=outer), replace(self, size=self.size // outer)


@dataclass(frozen=True, slots=True)
class Block(Factor):
    """Channels that are places in a block.

    The role says of what: rows ("h") or columns ("w"), the "taps" of a window, or the "bins" of an
    adaptive pool, each of which counts its whole window. Places that were picked or split have the
    role "".
    """

    role: str = ""


@dataclass(frozen=True, slots=True)
class Batch(Factor):
    """A batch with the image at one place and constants at others; None if several are maps."""

    at: int | None = None


@dataclass(frozen=True, slots=True)
class Position(Factor):
    """A factor along which positions differ.

    In scores of attention, positions of keys are `looked` at, and those of queries are not.
    """

    looked: bool = field(default=False, kw_only=True)

    def split(self, outer: int) -> tuple[Factor, Factor] | None:
        return None


@dataclass(frozen=True, slots=True)
class Axis(Position):
    """Rows ("h"), columns ("w", which a signal has alone) or a third axis ("d").

    Neighbours are a `step` apart. Of an axis that was split, all parts but the outermost are
    `inner`. An axis is called a role where `axis` numbers the dimensions of a tensor.
    """

    role: str
    step: int = 1
    inner: bool = False

    @property
    def unsized(self) -> Axis:
        if self.inner:
            return replace(self, size=0)
        return replace(self, size=0, step=1)

    @property
    def is_whole(self) -> bool:
        return not (self.inner or self.looked)

    def continues(self, outer: Axis) -> bool:
        """Whether this inner part of an axis and the one outside of it are one longer part."""
        same = self.role == outer.role and self.looked == outer.looked
        return same and self.step * self.size == outer.step

    def split(self, outer: int) -> tuple[Factor, Factor]:
        inner = self.size // outer
        windows = replace(self, size=outer, step=self.step * inner)
        return windows, replace(self, size=inner, inner=True)


@dataclass(frozen=True, slots=True)
class Composite(Position):
    of: Dim

    @property
    def unsized(self) -> Composite:
        return replace(self, size=0, of=Dim(*(factor.unsized for factor in self.of)))


@dataclass(frozen=True, slots=True)
class Tokens(Composite):
    """Tokens and the positions that they are in front of, or `behind`."""

    behind: bool = False


@dataclass(frozen=True, slots=True)
class Runs(Composite):
    """Runs of flattened positions, each joined to one position.

    Attention may look at them together, but they are no image.
    """


class Dim(tuple[Factor, ...]):
    """A dimension by its factors, and its `kind`, by which all that reads it decides what to do."""

    kind: Kind

    def __new__(cls, *factors: Factor) -> Dim:
        dim = super().__new__(cls, factors)
        dim.kind = kind_of(factors)
        return dim

    def __add__(self, other: Dim) -> Dim:  # type: ignore[override]
        return Dim(*self, *other)

    @property
    def size(self) -> int:
        return prod(factor.size for factor in self)

    @property
    def positions(self) -> list[Position]:
        return [factor for factor in self if isinstance(factor, Position)]

    @property
    def has_positions(self) -> bool:
        """Whether positions differ along it."""
        return self.size > 1 and self.kind in POSITIONS

    @property
    def inner(self) -> list[Axis]:
        """The parts of split axes that lie inside of windows."""
        return [part for part in self if isinstance(part, Axis) and part.inner and part.size > 1]

    @property
    def looked(self) -> Dim:
        """The positions that attention looks at."""
        return Dim(*(position for position in self.positions if position.looked))

    @property
    def stacked(self) -> bool:
        """Whether it has places of blocks, or several maps side by side."""
        return self.kind in PLACES or any(channel.stacked for channel in self.within(Channel))

    @property
    def axis(self) -> str:
        """The axis that it is, but for single rows and columns; or ""."""
        match [factor for factor in self if factor.size > 1] or self:
            case [Axis(role=role, inner=False, looked=False)]:
                return role
        return ""

    def within(self, kind: type[F]) -> list[F]:
        """List the factors of a kind, also among those that tokens, and runs, are made of."""
        out: list[F] = []
        for factor in self:
            if isinstance(factor, kind):
                out.append(factor)
            if isinstance(factor, Composite):
                out += factor.of.within(kind)
        return out

    def joined(self) -> Dim:
        """Join neighbouring channels, and neighbouring parts of one axis, to one factor each."""
        out: list[Factor] = []
        for factor in self:
            match out[-1:], factor:
                case [Channel(n, one)], Channel(m, other):
                    out[-1] = Channel(n * m, one or other)
                case [Axis() as outer], Axis(inner=True) as part if part.continues(outer):
                    out[-1] = replace(outer, size=outer.size * part.size, step=part.step)
                case _ if factor != Channel(1):
                    out.append(factor)
        return Dim(*out)

    def with_tokens(self, n: int, behind: bool) -> Dim:
        return Dim(Tokens(self.size + n, self, behind))

    def looked_at(self, looked: bool = True) -> Dim:
        """Mark its positions as those that are looked at, rather than those that look."""
        factors = [*self]
        for i, factor in enumerate(factors):
            if isinstance(factor, Position):
                factors[i] = replace(factor, looked=looked)
        return Dim(*factors)


def kind_of(factors: tuple[Factor, ...]) -> Kind:
    """Return the kind of a dimension by its large factors.

    The table at the top of this module has them all.

    >>> kind_of((Axis(6, "h"), Axis(1, "w"))), kind_of((Channel(8), Axis(6, "h")))
    ('axis', 'mixed')
    """
    large = [factor for factor in factors if factor.size > 1]
    counted = large or [*factors]
    if len(counted) == 1:
        return _kind_of_one(*counted)
    positions = [isinstance(factor, Position) for factor in counted]
    if large and any(positions):
        if all(positions):
            return "line"
        return "mixed"
    if factors and all(positions):
        return "single"
    if any(isinstance(factor, Block | Batch) for factor in counted):
        return "places"
    return "channels"


def _kind_of_one(factor: Factor) -> Kind:
    match factor:
        case Axis(size=1, inner=False, looked=False):
            return "single"
        case Axis(inner=False, looked=False):
            return "axis"
        case Axis():
            return "part"
        case Composite():
            return "tokens"
        case Batch():
            return "batch"
        case Block():
            return "block"
    return "channels"


Dims = tuple[Dim, ...]


def without_single(dim: Dim) -> Dim:
    """Leave single rows and columns out, which may stand anywhere."""
    return Dim(*(factor for factor in dim if factor.size > 1 or not isinstance(factor, Position)))


def plain(n: int) -> Dim:
    if n == 1:
        return Dim()
    return Dim(Channel(n))


def whole(role: str, n: int) -> Dim:
    return Dim(Axis(n, role))


def as_channels(dims: Sequence[Dim], n: int) -> Dim:
    """Return `n` channels picked or joined from dimensions, whose blocks are no longer whole."""
    if any(dim.kind in PLACES for dim in dims):
        return Dim(Block(n))
    if n > 1 and any(dim.stacked for dim in dims):
        return Dim(Channel(n, stacked=True))
    return plain(n)


def with_dim(dims: Dims, at: int, *new: Dim) -> Dims:
    return (*dims[:at], *new, *dims[at + 1 :])


def with_channels(dims: Dims, shape: Sequence[int]) -> Dims:
    """Replace channels by those that a shape has."""
    out = [*dims]
    for i, n in enumerate(shape):
        if out[i].size != n and not out[i].positions:
            out[i] = plain(n)
    return tuple(out)


def shape_of(dims: Dims) -> list[int]:
    return [dim.size for dim in dims]


def flat(dims: Iterable[Dim]) -> Dim:
    return Dim(*chain.from_iterable(dims))


def is_image(dims: Dims, axes: int) -> bool:
    """Whether rows and columns are in the last dimensions alone, whole, and not looked at."""
    together = flat(dims)
    return not (together.looked or together.inner or flat(dims[:-axes]).has_positions)


def reshape_dims(dims: Dims, shape: Sequence[int]) -> Dims | None:
    """Reshape dimensions to `shape`; None where a size does not divide."""
    left = [*flat(dims).joined()][::-1]  # the next one last
    out: list[Dim] = []
    for wanted in shape:
        taken = _take(left, wanted)
        if taken is None:
            return None
        out.append(Dim(*taken).joined())
    if any(factor.size > 1 for factor in left):
        return None
    # Scores that were summed still know what they looked at: it is left over as single positions.
    looked = Dim(*left[::-1]).looked
    if looked and out:
        out[-1] += looked
    return tuple(out)


def _take(left: list[Factor], wanted: int) -> list[Factor] | None:
    """Remove factors of this size in all from the end of a list, splitting the last if needed.

    None if no factors have that size.
    """
    if wanted == 1 and left and left[-1].size == 1:
        return [left.pop()]
    taken: list[Factor] = []
    while wanted > 1 and left:
        factor = left.pop()
        if factor.size > wanted and factor.size % wanted == 0:
            parts = factor.split(wanted)
            if parts:
                factor, inner = parts
                left.append(inner)
        if not factor.size or wanted % factor.size:
            return None
        taken.append(factor)
        wanted //= factor.size
    if wanted != 1:
        return None
    return taken


def broadcast_all(maps: Sequence[Dims], constants: Sequence[Dims] = ()) -> Dims | None:
    """Broadcast what an elementwise operation reads; None where that does not fit.

    Rows meet the same rows, a single one, or numbers of a constant, and no channels of another map;
    rows that are looked at may meet these, too.

    >>> rows, image = whole("h", 4), (plain(4), whole("h", 4))
    >>> broadcast_all([image], [(plain(4),)]) == image, broadcast_all([image, (plain(4),)])
    (True, None)
    """
    dims: Dims = ()
    for read in (*maps, *constants):
        joined: list[Dim] = []
        for pair in zip_longest(dims[::-1], read[::-1], fillvalue=Dim()):
            dim = _broadcast(*pair)
            if dim is None:
                return None
            joined.insert(0, dim)
        dims = tuple(joined)
    for read in maps:
        for dim, result in zip(read[::-1], dims[::-1], strict=False):
            if dim.size > 1 and dim.has_positions != result.has_positions and not result.looked:
                return None
    return dims


def _broadcast(one: Dim, other: Dim) -> Dim | None:
    """Return the larger of two dimensions.

    None if their sizes differ, or if one has rows where the other has columns.
    """
    if one.size != other.size and 1 not in (one.size, other.size):
        return None
    first, second = _without_channels(one), _without_channels(other)
    differ = [factor.unsized for factor in first] != [factor.unsized for factor in second]
    if first and second and differ:
        return None

    def order(dim: Dim) -> tuple[int, int, bool]:
        return dim.size, sum(not isinstance(factor, Channel) for factor in dim), dim.stacked

    return max(one, other, key=order)


def _without_channels(dim: Dim) -> list[Factor]:
    return [factor for factor in dim if factor.size > 1 and not isinstance(factor, Channel)]
