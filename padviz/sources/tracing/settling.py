"""The rules that traces at a few sizes ask for, held against what the forward does at all others.

What a forward works out of the size is known at many sizes from a trace at one, as far as it takes the same turns there
(`rows`). Where a rule does something else, a trace at that size is made up; where the forward may take another turn, it
is followed anew. What is open then is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from padviz.axis.operations import Op
from padviz.errors import PadvizError
from padviz.network.network import Size, in_words
from padviz.sources.tracing.last_maps import finish
from padviz.sources.tracing.sizes.everywhere import Walked, differs, figures, walked
from padviz.sources.tracing.sizes.rows import Over, Probes, Turns
from padviz.sources.tracing.sizes.unify import Traced, Unified, unified
from padviz.sources.tracing.trace import Trace

Tracer = Callable[[Size, "Probes | None"], Trace]
MADE_UP = 16  # traces
FOLLOWED = 8  # more traces
MANY = 0.25  # of the sizes: a rule that fails at more is none


@dataclass
class Case:
    """What is known of a graph on some axes: its traces, made up ones too, and the sizes of which nothing is."""

    tracer: Tracer
    probes: Probes
    probed: Over
    followed: list[Traced]
    known: list[Traced]
    closed: Over
    doubts: dict[str, Size] = field(default_factory=dict)
    walks: dict[int, Walked] = field(default_factory=dict)

    @property
    def turned(self) -> list[tuple[Traced, Turns]]:
        """The traces that were followed, with the turns that each took."""
        return [(traced, traced.turns) for traced in self.followed if traced.turns is not None]

    def walk(self, traced: Traced) -> Walked:
        """Walk the rows of each layer of a trace that was followed, at all sizes."""
        if id(traced) not in self.walks:
            self.walks[id(traced)] = walked(traced.layers, traced.moving, self.probes.axes)
        return self.walks[id(traced)]


def settled(
    tracer: Tracer, traces: Sequence[Traced], probes: Probes | None, fixed: tuple[int, ...]
) -> tuple[Unified | None, tuple[str, ...]]:
    """Find the layers that explain the traces, and what the forward does at all other sizes.

    With them come sentences on what is assumed, where a forward decides by its size what to do and cannot be followed,
    or where no rule is right at every size.
    """
    explained = unified(traces)
    if explained is None or probes is None or len(fixed) == len(probes.axes) or not any(map(_depends, traces)):
        return explained, ()
    probed = np.ones(probes.axes[0].shape, dtype=bool)
    for axis in fixed:
        probed &= probes.axes[axis] == probes.size[axis]
    case = Case(tracer, probes, probed, [*traces], [*traces], np.zeros(probed.shape, dtype=bool))
    for _ in range(MADE_UP):
        better = _mended(case, explained)
        if better is explained:
            better = _opened(case, explained)
        if better is explained:
            break
        if better is None:
            return None, ()
        explained = better
    return explained, _assumed(case, explained)


def _depends(traced: Traced) -> bool:
    """Tell whether the forward makes anything of its size."""
    turns = traced.turns
    return bool(traced.moving) or (turns is not None and (bool(turns.plain) or bool((turns.first >= 0).any())))


def _mended(case: Case, explained: Unified) -> Unified | None:
    """Mend the layers to do, at a size where they do not, what the forward does; the same where there is none."""
    _lose(case)
    for traced, turns in case.turned:
        if turns.lost:
            continue
        wrong, walk = _wrong(case, explained, traced)
        if not wrong.any():
            continue
        at = _nearest(case.probes, wrong)
        made_up = _at(traced, walk, at)
        better = unified([*case.known, made_up])
        if better is not None and better != explained:
            case.known.append(made_up)
            return better
        held = _holds(case, traced) & walk.fits & case.probed
        if wrong.sum() > MANY * held.sum():
            return None
        case.doubts.setdefault("rule", _size(case.probes, at))
    return explained


def _opened(case: Case, explained: Unified) -> Unified | None:
    """Extend the layers to explain a further trace, at a size where the forward may take another turn."""
    for _ in range(FOLLOWED):
        left = _open(case, explained)
        if not left.any() or len(case.followed) > FOLLOWED:
            return explained
        at = _nearest(case.probes, left)
        size = _size(case.probes, at)
        like = _as(case, at)
        try:
            other = finish(case.tracer(size, case.probes))
        except PadvizError:
            case.closed |= like
            case.doubts.setdefault("refused", size)
            continue
        if not alike(case.followed[0], other):
            case.closed |= like
            case.doubts.setdefault("turn", size)
            continue
        better = unified([*case.known, other])
        if better is None:
            if (like & case.probed).sum() > MANY * case.probed.sum():
                return None
            case.closed |= like
            case.doubts.setdefault("rule", size)
            continue
        case.followed.append(other)
        case.known.append(other)
        return better if better != explained else _opened(case, explained)
    return explained


def _lose(case: Case) -> None:
    """Mark all as lost where layers do something else in each trace, and nothing tells how that comes about."""
    if any(turns.plain for _, turns in case.turned):
        return
    for versions in zip(*([(traced, i) for i in range(len(traced.layers))] for traced in case.followed), strict=True):
        if (
            len({tuple(_still(_op(traced, i, axis)) for axis in range(len(traced.sizes[i]))) for traced, i in versions})
            > 1
        ):
            for _, turns in case.turned:
                turns.lost = True


def _still(op: Op | None) -> tuple[Any, ...]:
    """Read what of an operation does not depend on the size."""
    names = () if op is None else op.__dataclass_fields__
    values = [value for name in names for value in _as_tuple(getattr(op, name))]
    return tuple(None if isinstance(value, np.ndarray) else value for value in values)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _holds(case: Case, traced: Traced) -> Over:
    """Find the sizes at which a trace tells what the forward does."""
    turns = traced.turns
    held: Over = case.probed.copy()
    if turns is not None:
        held &= turns.first < 0
        for value, over in turns.plain:
            held &= over == value
    return held


def _open(case: Case, explained: Unified) -> Over:
    """Find the sizes at which no trace tells what the forward does, and the layers fit."""
    left = case.probed & ~case.closed
    known = [(turns.first < 0) & case.walk(traced).fits for traced, turns in case.turned]
    left &= ~np.logical_or.reduce(known) | _rounded_anew(case)
    return left & walked(explained[0], {}, case.probes.axes).fits if left.any() else left


def _rounded_anew(case: Case) -> Over:
    """Find where a number that Python made whole has a sign, or a fraction, that it has in no trace."""
    plain = [turns.plain for _, turns in case.turned]
    anew = np.zeros(case.probed.shape, dtype=bool)
    for i, (_, over) in enumerate(plain[0] if plain else ()):
        seen = np.array([_kind(numbers[i][0]) for numbers in plain if i < len(numbers)])
        anew |= ~np.isin(_kind(over), seen)
    return anew


def _kind(number: Any) -> Any:
    return np.sign(number) * 4 + np.mod(number, 1)


def _as(case: Case, at: int) -> Over:
    """Find the sizes that part from all traces where one does."""
    same = case.probed.copy()
    for traced, turns in case.turned:
        fits = case.walk(traced).fits
        same &= (turns.first == turns.first[at]) & (fits == fits[at])
    return same


def _wrong(case: Case, explained: Unified, traced: Traced) -> tuple[Over, Walked]:
    """Find the sizes at which the layers do not do what a trace says, and walk those of its layers."""
    walk, ours = case.walk(traced), walked(explained[0], {}, case.probes.axes)
    index = {layer.name: i for i, layer in enumerate(explained[0])}
    wrong = np.zeros(case.probed.shape, dtype=bool)
    with np.errstate(all="ignore"):
        for i, layer in enumerate(traced.layers[1:], start=1):
            if layer.name in index:
                here = index[layer.name]
                for axis in range(len(layer.ops)):
                    wrong |= _differs(traced, walk, i, axis, explained, ours, here)
    held = _holds(case, traced) & walk.fits & ~case.closed
    return wrong & held, walk


def _differs(traced: Traced, walk: Walked, i: int, axis: int, explained: Unified, ours: Walked, here: int) -> Over:
    """Find where one layer, with the pads before it that were left out, does something else than the one explained."""
    layer, mine = traced.layers[i], explained[0][here]
    names = {other.name for other in explained[0]}
    shape = walk.fits.shape
    before, after, wrong = 0, 0, np.zeros(shape, dtype=bool)
    for k, source in enumerate(layer.inputs):
        rows: list[Any] = [0, 0]
        while traced.layers[source].name not in names:
            gone = figures(_op(traced, source, axis), *_ends(traced, walk, source, axis))
            if gone[0] == "window":
                rows = [rows[0] + gone[4], rows[1] + gone[5]]
            source = traced.layers[source].inputs[0]
        if k == 0:
            before, after, n = rows[0], rows[1], walk.sizes[source][axis]
        else:
            wrong |= (np.asarray(rows[0]) != 0) | (np.asarray(rows[1]) != 0)
    theirs = figures(_op(traced, i, axis), walk.sizes[layer.inputs[0]][axis], walk.sizes[i][axis])
    if theirs[0] == "window":
        theirs = (*theirs[:4], theirs[4] + before, theirs[5] + after)
    else:
        wrong |= (np.asarray(before) != 0) | (np.asarray(after) != 0)
    own = figures(mine.ops[axis], n, ours.sizes[here][axis])
    return wrong | differs(theirs, own, shape)


def _op(traced: Traced, i: int, axis: int) -> Op | None:
    over = traced.moving[i][axis] if i in traced.moving else None
    return traced.layers[i].ops[axis] if over is None else over


def _ends(traced: Traced, walk: Walked, i: int, axis: int) -> tuple[Over, Over]:
    return walk.sizes[traced.layers[i].inputs[0]][axis], walk.sizes[i][axis]


def _at(traced: Traced, walk: Walked, at: int) -> Traced:
    """Make up what the trace would be at another size."""
    layers = list(traced.layers)
    for i, ops in traced.moving.items():
        pairs = zip(layers[i].ops, ops, strict=True)
        layers[i] = replace(layers[i], ops=tuple(own if over is None else _picked(over, at) for own, over in pairs))
    sizes = tuple(tuple(int(rows[at]) for rows in each) for each in walk.sizes)
    return traced._replace(layers=tuple(layers), sizes=sizes)


def _picked(op: Op, at: int) -> Op:
    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(plain, value))
        return int(value[at]) if isinstance(value, np.ndarray) else value

    return replace(op, **{name: plain(getattr(op, name)) for name in op.__dataclass_fields__})


def _nearest(probes: Probes, where: Over) -> int:
    """Find the one of some sizes that is nearest to the one at which the graph is read."""
    away = sum(np.abs(n - own) for n, own in zip(probes.axes, probes.size, strict=True))
    return int(np.argmin(np.where(where, away, np.iinfo(np.int64).max)))


def _size(probes: Probes, at: int) -> Size:
    return tuple(int(rows[at]) for rows in probes.axes)


def _assumed(case: Case, explained: Unified) -> tuple[str, ...]:
    """Say what is assumed, in a sentence, with a size at which it may be otherwise."""
    left = _open(case, explained)
    doubts = dict(case.doubts)
    if left.any():
        doubts.setdefault("turn", _size(case.probes, _nearest(case.probes, left)))
    if any(turns.lost for _, turns in case.turned):
        doubts.setdefault("lost", case.probes.size)
    if not doubts:
        return ()
    what, size = next(iter(doubts.items()))
    own = in_words(case.probes.size)
    return (f"it is read at {own}, and {WHY[what].format(in_words(size))}: other sizes are assumed to be alike",)


WHY = {
    "rule": "pads, crops or resizes by a rule that does not hold at {}",
    "turn": "decides by its size what to do, as at {}",
    "refused": "cannot be followed at some sizes, as at {}",
    "lost": "makes of its size what cannot be followed",
}


def alike(one: Traced, other: Traced) -> bool:
    """Tell whether two traces are of one graph: the same names, kinds and edges."""
    if len(one.layers) != len(other.layers) or one.lasts != other.lasts:
        return False
    pairs = zip(one.layers, other.layers, strict=True)
    return all((a.name, a.kind, a.inputs, a.like) == (b.name, b.kind, b.inputs, b.like) for a, b in pairs)
