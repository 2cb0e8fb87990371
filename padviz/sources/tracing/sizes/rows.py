"""Numbers that a forward makes of the size of its image, with what they are at many other sizes.

A forward is run at one size. What it works out of the rows of a map carries along what it would be at all others, as
long as the forward takes the same turns there; where it compares such numbers, the sizes are kept that turn the same
way.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil, floor, trunc
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padviz.axis.operations import Op, Window
from padviz.network.network import Size

DENSE = 640  # sizes from 1 on, all of them
FAR = (range(641, 2048, 13), range(2048, 8192, 101))  # steps that no stride divides
SEED = 1
Over = NDArray[Any]


@dataclass(frozen=True)
class Probes:
    """Sizes at which numbers are known: those of one axis, with the others' own, with its like, and with any.

    >>> height, width = Probes.around((224, 320)).axes
    >>> sorted({int(n) for n in height[width == 7]})[:4]
    [7, 224, 374]
    """

    size: Size
    axes: tuple[Over, ...]

    @classmethod
    def around(cls, size: Size) -> Probes:
        """Choose the sizes beside the one at which a graph is read."""
        ns = np.array([*range(1, DENSE + 1), *(n for far in FAR for n in far)])
        random = np.random.default_rng(SEED)
        own = [np.full(ns.shape, n) for n in size]
        alone = [[*own[:axis], ns, *own[axis + 1 :]] for axis in range(len(size))]
        mixed = [ns, *(random.permutation(ns) for _ in size[1:])]
        parts = zip([ns] * len(size), *alone, mixed, strict=True)
        return cls(size, tuple(np.concatenate(part) for part in parts))


@dataclass
class Turns:
    """What a forward decided by such numbers: at each size the `first` turn that is another there, -1 for none.

    `plain` are numbers that Python made whole, which nobody can follow; where they were rows, all is `lost`. While it
    is not `active`, nothing is kept: the code that runs is not the forward's own.
    """

    first: Over
    plain: list[tuple[Any, Over]] = field(default_factory=list)
    lost: bool = False
    active: bool = True
    count: int = 0

    def kept(self, outcome: bool, over: Over) -> bool:
        """Keep the sizes at which a comparison has the same outcome, and return it."""
        if self.active:
            self.first[(self.first < 0) & (over != outcome)] = self.count
            self.count += 1
        return outcome

    def escaped(self, value: Any, over: Over) -> None:
        """Keep a number that is a plain one from now on."""
        if self.active and (over != value).any():
            self.plain.append((value, over))
            self.lost |= over.dtype.kind == "i"


class Tracked:
    """A number with what it is at all sizes, `over`."""

    over: Over
    turns: Turns

    def __bool__(self) -> bool:
        return self.turns.kept(bool(bare(self)), self.over != 0)

    def __int__(self) -> int:
        self.turns.escaped(bare(self), self.over)
        return int(bare(self))

    def __float__(self) -> float:
        self.turns.escaped(bare(self), self.over)
        return float(bare(self))


class Rows(Tracked, int):
    """A whole number of rows."""

    __hash__ = int.__hash__


class Ratio(Tracked, float):
    """Any other number."""

    __hash__ = float.__hash__


def bare(value: Any) -> Any:
    """Take the number alone."""
    return (
        int.__int__(value) if isinstance(value, Rows) else float.__float__(value) if isinstance(value, Ratio) else value
    )


def over_of(value: Any) -> Any:
    """Read what a number is at all sizes; a plain one is the same at each."""
    return value.over if isinstance(value, Tracked) else value


def tracked(value: Any, over: Over, turns: Turns) -> Any:
    """Track a number with what it is at all sizes."""
    number: Any = Rows(value) if isinstance(value, int) else Ratio(value)
    number.over, number.turns = over, turns
    return number


def _of_two(how: Callable[[Any, Any], Any], swapped: bool) -> Callable[[Any, Any], Any]:
    def run(self: Any, other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented
        pair = (other, self) if swapped else (self, other)
        value = how(*map(bare, pair))
        with np.errstate(all="ignore"):
            over = how(*(np.asarray(over_of(one)) for one in pair))
        return self.turns.kept(value, over) if isinstance(value, bool) else tracked(value, over, self.turns)

    return run


def _of_one(how: Callable[..., Any], many: Callable[[Over], Over]) -> Callable[..., Any]:
    def run(self: Any) -> Any:
        return tracked(how(bare(self)), many(self.over), self.turns)

    return run


def _whole(many: Callable[[Over], Over]) -> Callable[[Over], Over]:
    return lambda over: np.nan_to_num(many(over)).astype(np.int64)


for _name in ("add", "sub", "mul", "floordiv", "mod", "truediv"):
    for _kind in (Rows, Ratio):
        setattr(_kind, f"__{_name}__", _of_two(getattr(operator, _name), False))
        setattr(_kind, f"__r{_name}__", _of_two(getattr(operator, _name), True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    for _kind in (Rows, Ratio):
        setattr(_kind, f"__{_name}__", _of_two(getattr(operator, _name), False))
for _kind in (Rows, Ratio):
    setattr(_kind, "__neg__", _of_one(operator.neg, np.negative))  # noqa: B010
    setattr(_kind, "__abs__", _of_one(abs, np.abs))  # noqa: B010
_ROUNDED: dict[str, tuple[Any, Any]] = {
    "ceil": (ceil, np.ceil),
    "floor": (floor, np.floor),
    "round": (round, np.rint),
    "trunc": (trunc, np.trunc),
}
for _name, (_how, _many) in _ROUNDED.items():
    setattr(Rows, f"__{_name}__", _of_one(_how, lambda over: over))
    setattr(Ratio, f"__{_name}__", _of_one(_how, _whole(_many)))


def _chosen(real: Callable[..., Any], many: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Wrap Python's `max` or `min` to follow the numbers of all sizes."""

    def run(*given: Any, **options: Any) -> Any:
        values = [*given[0]] if len(given) == 1 and isinstance(given[0], tuple | list) else [*given]
        sized = next((value for value in values if isinstance(value, Tracked)), None)
        if options or sized is None or not all(isinstance(value, int | float) for value in values):
            return real(*given, **options)
        over = over_of(values[0])
        for other in values[1:]:
            over = many(over, over_of(other))
        return tracked(real(map(bare, values)), np.broadcast_to(over, sized.over.shape), sized.turns)

    return run


@contextmanager
def following() -> Iterator[None]:
    """Let `max` and `min`, within, choose for all sizes at once: else each would be a turn."""
    before = builtins.max, builtins.min
    builtins.max, builtins.min = _chosen(max, np.maximum), _chosen(min, np.minimum)
    try:
        yield
    finally:
        builtins.max, builtins.min = before


FIGURES = ("kernel", "stride", "dilation", "padding", "size", "output", "output_padding")


def parted(op: Op | None) -> tuple[Op | None, Op | None]:
    """Part an operation: with plain figures, and with what they are at all sizes; None where they are plain."""
    figures = {name: getattr(op, name) for name in FIGURES if hasattr(op, name)}
    pairs = {name: value if isinstance(value, tuple) else (value,) for name, value in figures.items()}
    moving = {name for name, pair in pairs.items() if any(isinstance(figure, Tracked) for figure in pair)}
    if op is None or not moving:
        return op, None

    def with_figures(of: Callable[[Any], Any]) -> Op:
        new = {name: tuple(map(of, pairs[name])) for name in moving}
        changed: dict[str, Any] = {name: pair if name == "padding" else pair[0] for name, pair in new.items()}
        return replace(op, **changed)

    return with_figures(bare), with_figures(over_of)


def cropped(start: Any, stop: Any, step: int, n: Any) -> Window:
    """Make the crop that a slice takes of `n` rows, as Python reads its ends.

    >>> cropped(1, -2, 1, 8).padding, cropped(None, 20, 1, 8).padding
    ((-1, -2), (0, 0))
    """
    first = 0 if start is None else clipped(start, n)
    last = n if stop is None else clipped(stop, n)
    return Window(1, step, padding=(-first, larger(last, first) - n))


def clipped(end: Any, n: Any) -> Any:
    """Find where a slice that ends there ends in `n` rows: counted from the back where it is negative."""
    turns = next((number.turns for number in (end, n) if isinstance(number, Tracked)), None)
    at = bare(end)
    plainly = builtins.min(at, bare(n)) if at >= 0 else builtins.max(at + bare(n), 0)
    if turns is None:
        return plainly
    over, rows = over_of(end), over_of(n)
    return tracked(plainly, np.where(over >= 0, np.minimum(over, rows), np.maximum(over + rows, 0)), turns)


larger = _chosen(max, np.maximum)
