"""Constants that are worked out only where their numbers matter, since they are many, or lie in another file."""

from __future__ import annotations

from dataclasses import dataclass

from padviz.sources.onnx.constants.external import Unread
from padviz.sources.onnx.constants.folding import Array, Attrs, fold
from padviz.sources.onnx.constants.stored import BROKEN, Stored, filled_with
from padviz.sources.tracing.arranging import Value

MOST_AT_ONCE = 1 << 22  # numbers in an array
MOST_IN_ALL = 1 << 26  # numbers that are made and read while a graph is laid out


@dataclass(frozen=True, slots=True)
class Later:
    """One of so many outputs of an operation on constants, which may be missing where they are optional."""

    op: str
    attrs: Attrs
    of: tuple[Value | None, ...]
    outputs: int
    which: int


@dataclass
class Budget:
    """How many numbers may still be made: a small file can ask for any number of them.

    >>> Budget(1).spend(0)  # a step that makes none
    >>> Budget(1).spend(1)
    Traceback (most recent call last):
        ...
    padviz.sources.onnx.constants.external.Unread: takes too much to be worked out
    """

    left: int = MOST_IN_ALL

    def spend(self, made: int) -> None:
        self.left -= made + 1  # each step counts
        if self.left < 0:
            raise Unread("takes too much to be worked out")


def worked_out(value: Value, budget: Budget) -> Array:
    """The numbers of a constant.

    Raises
    ------
    Unread
        Saying why there are none, where there are too many, they are not there, or they are made in a way of its own.
    """
    done: dict[int, Array] = {}
    pending = [value]  # no recursion: chains may be long
    while pending:
        each = pending[-1]
        missing = [] if each.array is not None or not isinstance(each.later, Later) else _missing(each.later, done)
        if missing:
            pending += missing
            continue
        pending.pop()
        if id(each) not in done:
            done[id(each)] = _made(each, done, budget)
    return done[id(value)]


def _missing(later: Later, done: dict[int, Array]) -> list[Value]:
    return [each for each in later.of if each is not None and id(each) not in done]


def _made(value: Value, done: dict[int, Array], budget: Budget) -> Array:
    """One constant, of those that it is made of."""
    if value.array is not None:
        found: Array = value.array
    elif isinstance(value.later, Stored):
        budget.spend(0)
        found = value.later.read(min(MOST_AT_ONCE, budget.left))
        budget.spend(found.size)
    elif isinstance(value.later, Later):
        found = _folded(value.later, done, budget)
    else:
        raise Unread("is no stored constant")
    return found


def _folded(later: Later, done: dict[int, Array], budget: Budget) -> Array:
    arrays = [None if each is None else done[id(each)] for each in later.of]
    budget.spend(sum(each.size for each in arrays if each is not None))
    try:
        more = {"outputs": later.outputs, "filled": filled_with(later.attrs.get("value"))}
        made = fold(later.op, later.attrs | more, arrays, min(MOST_AT_ONCE, budget.left))
    except BROKEN:
        made = None
    if made is None:
        raise Unread(f"is made by a {later.op} that is not worked out")
    budget.spend(sum(each.size for each in made))
    return made[later.which]
