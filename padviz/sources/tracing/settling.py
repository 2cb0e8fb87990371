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
from padviz.network.network import Size
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
    asked: Over
    followed: list[Traced]
    known: list[Traced]
    closed: Over
    said: dict[str, Size] = field(default_factory=dict)
    walks: dict[int, Walked] = field(default_factory=dict)

    @property
    def turned(self) -> list[tuple[Traced, Turns]]:
        """The traces that were followed, with the turns that each took."""
        return [(traced, traced.turns) for traced in self.followed if traced.turns is not None]

    def walk(self, traced: Traced) -> Walked:
        """The rows of each layer of a trace that was followed, at all sizes."""
        if id(traced) not in self.walks:
            self.walks[id(traced)] = walked(traced.layers, traced.moving, self.probes.axes)
        return self.walks[id(traced)]


def settled(
    tracer: Tracer, traces: Sequence[Traced], probes: Probes | None, fixed: tuple[int, ...]
) -> tuple[Unified | None, tuple[str, ...]]:
    """The layers that explain the traces, and what the forward does at all other sizes.

    With them come sentences on what is assumed, where a forward decides by its size what to do and cannot be followed,
    or where no rule is right at every size.
    """
    found = unified(traces)
    if found is None or probes is None or len(fixed) == 2 or not any(map(_depends, traces)):
        return found, ()
    asked = np.ones(probes.height.shape, dtype=bool)
    for axis in fixed:
        asked &= probes.axes[axis] == probes.size[axis]
    case = Case(tracer, probes, asked, [*traces], [*traces], np.zeros(asked.shape, dtype=bool))
    for _ in range(MADE_UP):
        better = _mended(case, found)
        if better is found:
            better = _opened(case, found)
        if better is found:
            break
        if better is None:
            return None, ()
        found = better
    return found, _assumed(case, found)


def _depends(traced: Traced) -> bool:
    """Whether the forward makes anything of its size."""
    turns = traced.turns
    return bool(traced.moving) or (turns is not None and (bool(turns.plain) or bool((turns.first >= 0).any())))


def _mended(case: Case, found: Unified) -> Unified | None:
    """The layers that do, at a size where these do not, what the forward does; the same where there is none."""
    _lose(case)
    for traced, turns in case.turned:
        if turns.lost:
            continue
        wrong, walk = _wrong(case, found, traced)
        if not wrong.any():
            continue
        at = _nearest(case.probes, wrong)
        made_up = _at(traced, walk, at)
        better = unified([*case.known, made_up])
        if better is not None and better != found:
            case.known.append(made_up)
            return better
        held = _holds(case, traced) & walk.fits & case.asked
        if wrong.sum() > MANY * held.sum():
            return None
        case.said.setdefault("rule", _size(case.probes, at))
    return found


def _opened(case: Case, found: Unified) -> Unified | None:
    """The layers that explain a further trace too, at a size where the forward may take another turn."""
    for _ in range(FOLLOWED):
        left = _open(case, found)
        if not left.any() or len(case.followed) > FOLLOWED:
            return found
        at = _nearest(case.probes, left)
        size = _size(case.probes, at)
        like = _as(case, at)
        try:
            other = finish(case.tracer(size, case.probes))
        except PadvizError:
            case.closed |= like
            case.said.setdefault("refused", size)
            continue
        if not alike(case.followed[0], other):
            case.closed |= like
            case.said.setdefault("turn", size)
            continue
        better = unified([*case.known, other])
        if better is None:
            if (like & case.asked).sum() > MANY * case.asked.sum():
                return None
            case.closed |= like
            case.said.setdefault("rule", size)
            continue
        case.followed.append(other)
        case.known.append(other)
        return better if better != found else _opened(case, found)
    return found


def _lose(case: Case) -> None:
    """Mark all as lost where layers do something else in each trace, and nothing tells how that comes about."""
    if any(turns.plain for _, turns in case.turned):
        return
    for versions in zip(*([(traced, i) for i in range(len(traced.layers))] for traced in case.followed), strict=True):
        if len({tuple(_still(_op(traced, i, axis)) for axis in (0, 1)) for traced, i in versions}) > 1:
            for _, turns in case.turned:
                turns.lost = True


def _still(op: Op | None) -> tuple[Any, ...]:
    """What of an operation does not depend on the size."""
    names = () if op is None else op.__dataclass_fields__
    values = [value for name in names for value in _each(getattr(op, name))]
    return tuple(None if isinstance(value, np.ndarray) else value for value in values)


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _holds(case: Case, traced: Traced) -> Over:
    """The sizes at which a trace tells what the forward does."""
    turns = traced.turns
    held: Over = case.asked.copy()
    if turns is not None:
        held &= turns.first < 0
        for value, over in turns.plain:
            held &= over == value
    return held


def _open(case: Case, found: Unified) -> Over:
    """The sizes at which no trace tells what the forward does, and the layers fit."""
    left = case.asked & ~case.closed
    told = [(turns.first < 0) & case.walk(traced).fits for traced, turns in case.turned]
    left &= ~np.logical_or.reduce(told) | _rounded_anew(case)
    return left & walked(found[0], {}, case.probes.axes).fits if left.any() else left


def _rounded_anew(case: Case) -> Over:
    """Where a number that Python made whole has a sign, or a fraction, that it has in no trace."""
    plain = [turns.plain for _, turns in case.turned]
    found = np.zeros(case.asked.shape, dtype=bool)
    for i, (_, over) in enumerate(plain[0] if plain else ()):
        seen = np.array([_kind(each[i][0]) for each in plain if i < len(each)])
        found |= ~np.isin(_kind(over), seen)
    return found


def _kind(number: Any) -> Any:
    return np.sign(number) * 4 + np.mod(number, 1)


def _as(case: Case, at: int) -> Over:
    """The sizes that part from all traces where one does."""
    same = case.asked.copy()
    for traced, turns in case.turned:
        fits = case.walk(traced).fits
        same &= (turns.first == turns.first[at]) & (fits == fits[at])
    return same


def _wrong(case: Case, found: Unified, traced: Traced) -> tuple[Over, Walked]:
    """The sizes at which the layers do not do what a trace says, and those of its layers."""
    walk, ours = case.walk(traced), walked(found[0], {}, case.probes.axes)
    index = {layer.name: i for i, layer in enumerate(found[0])}
    wrong = np.zeros(case.asked.shape, dtype=bool)
    with np.errstate(all="ignore"):
        for i, layer in enumerate(traced.layers[1:], start=1):
            if layer.name in index:
                here = index[layer.name]
                for axis in (0, 1):
                    wrong |= _differs(traced, walk, i, axis, found, ours, here)
    held = _holds(case, traced) & walk.fits & ~case.closed
    return wrong & held, walk


def _differs(traced: Traced, walk: Walked, i: int, axis: int, found: Unified, ours: Walked, here: int) -> Over:
    """Where one layer, with the pads before it that were left out, does something else than the one found."""
    layer, mine = traced.layers[i], found[0][here]
    names = {each.name for each in found[0]}
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
    said = figures(_op(traced, i, axis), walk.sizes[layer.inputs[0]][axis], walk.sizes[i][axis])
    if said[0] == "window":
        said = (*said[:4], said[4] + before, said[5] + after)
    else:
        wrong |= (np.asarray(before) != 0) | (np.asarray(after) != 0)
    told = figures(mine.ops[axis], n, ours.sizes[here][axis])
    return wrong | differs(said, told, shape)


def _op(traced: Traced, i: int, axis: int) -> Op | None:
    over = traced.moving[i][axis] if i in traced.moving else None
    return traced.layers[i].ops[axis] if over is None else over


def _ends(traced: Traced, walk: Walked, i: int, axis: int) -> tuple[Over, Over]:
    return walk.sizes[traced.layers[i].inputs[0]][axis], walk.sizes[i][axis]


def _at(traced: Traced, walk: Walked, at: int) -> Traced:
    """What the trace would be at another size."""
    layers = list(traced.layers)
    for i, ops in traced.moving.items():
        height, width = (
            own if over is None else _picked(over, at) for own, over in zip(layers[i].ops, ops, strict=True)
        )
        layers[i] = replace(layers[i], height=height, width=width)
    sizes = tuple((int(h[at]), int(w[at])) for h, w in walk.sizes)
    return traced._replace(layers=tuple(layers), sizes=sizes)


def _picked(op: Op, at: int) -> Op:
    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(plain, value))
        return int(value[at]) if isinstance(value, np.ndarray) else value

    return replace(op, **{name: plain(getattr(op, name)) for name in op.__dataclass_fields__})


def _nearest(probes: Probes, where: Over) -> int:
    """The one of some sizes that is nearest to the one at which the graph is read."""
    away = sum(np.abs(n - own) for n, own in zip(probes.axes, probes.size, strict=True))
    return int(np.argmin(np.where(where, away, np.iinfo(np.int64).max)))


def _size(probes: Probes, at: int) -> Size:
    return int(probes.height[at]), int(probes.width[at])


def _assumed(case: Case, found: Unified) -> tuple[str, ...]:
    """What is assumed, in a sentence, with a size at which it may be otherwise."""
    left = _open(case, found)
    said = dict(case.said)
    if left.any():
        said.setdefault("turn", _size(case.probes, _nearest(case.probes, left)))
    if any(turns.lost for _, turns in case.turned):
        said.setdefault("lost", case.probes.size)
    if not said:
        return ()
    what, (height, width) = next(iter(said.items()))
    own = " x ".join(map(str, case.probes.size))
    return (f"it is read at {own}, and {WHY[what].format(f'{height} x {width}')}: other sizes are assumed to be alike",)


WHY = {
    "rule": "pads, crops or resizes by a rule that does not hold at {}",
    "turn": "decides by its size what to do, as at {}",
    "refused": "cannot be followed at some sizes, as at {}",
    "lost": "makes of its size what cannot be followed",
}


def alike(one: Traced, other: Traced) -> bool:
    """Whether two traces are of one graph: the same names, kinds and edges."""
    if len(one.layers) != len(other.layers) or one.lasts != other.lasts:
        return False
    pairs = zip(one.layers, other.layers, strict=True)
    return all((a.name, a.kind, a.inputs, a.like) == (b.name, b.kind, b.inputs, b.like) for a, b in pairs)
