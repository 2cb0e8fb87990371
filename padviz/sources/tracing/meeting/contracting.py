"""Where positions meet: sums of products, attention, reductions and softmax along dimensions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from padviz.sources.tracing.arranging import Map, Stuck, Value, whole_axes
from padviz.sources.tracing.axis_labels import (
    Atom,
    Dim,
    Dims,
    has_parts,
    has_positions,
    has_runs,
    is_mixed,
    is_positions,
    looked_at,
    plain,
    positions,
    size_of,
)
from padviz.sources.tracing.calls import Call
from padviz.sources.tracing.meeting.mixing import innermost, joined_inside, mixed

Letters = Sequence[object]
Times = Callable[[Sequence[Map]], int]  # lays the product of maps, and says where


@dataclass(frozen=True, slots=True)
class Term:
    """A factor of a product: its dimensions by their letters."""

    value: Map
    named: Mapping[object, Dim]

    @property
    def places(self) -> set[object]:
        """The letters of positions."""
        return {letter for letter, dim in self.named.items() if has_positions(dim)}


def contract(call: Call, terms: Iterable[tuple[Map, Letters]], out: Letters, times: Times) -> Map:
    """Sum products of maps: values with a letter for each dimension, and the letters that are left.

    It is one of four: scores times values, which is attention; a product of maps that is summed over rows or columns;
    a product position by position; or scores, where the positions of two maps meet without being summed (queries and
    keys), of which those of the second are looked at.
    """
    factors = [_term(call, value, letters, out) for value, letters in terms]
    places = {letter for term in factors for letter in term.places}
    if any(len({_kinds(term.named[i], i in out) for term in factors if i in term.places}) > 1 for i in places):
        raise Stuck("multiplies rows with columns")
    gone = [dim for term in factors for letter, dim in term.named.items() if letter not in out]
    dims = met(tuple(_widest(term.named.get(letter, ()) for term in factors) for letter in out), gone)
    if summed := places - {*out}:
        for scores, seen in zip(factors, factors[::-1], strict=True) if len(factors) == 2 else ():
            if _looks(scores, seen, summed):
                return _attended(call, scores, seen, summed, dims)
        settled = [(call.arranger.settled(term.value), [*term.named]) for term in factors]
        if any(value.at != term.value.at for (value, _), term in zip(settled, factors, strict=True)):
            return contract(call, settled, out, times)
        return _summed(call, factors, summed, dims, times)
    if any(term.places == places for term in factors):
        layer = times([term.value for term in factors])
        return Map(call.arranger.sized(dims, layer), layer)
    looked = _looked_at(factors)
    meeting = tuple(looked_at(dim) if letter in looked else dim for letter, dim in zip(out, dims, strict=True))
    return Map(meeting, factors[0].value.at, acted=True)


def _term(call: Call, value: Map, letters: Letters, out: Letters) -> Term:
    """Make a factor; rows or columns that are one dimension with channels, and are summed, are pooled first."""
    value = call.arranger.uncut(value)
    if any(is_mixed(dim) for letter, dim in zip(letters, value.known, strict=True) if letter not in out):
        value = call.arranger.unmixed(call.name("line"), value)
    return Term(value, dict(zip(letters, value.known, strict=True)))


def _looked_at(terms: Sequence[Term]) -> set[object]:
    """Find the letters of positions that the second of two maps has alone, as keys have."""
    looks, looked = (one.places - other.places for one, other in zip(terms[:2], terms[1::-1], strict=True))
    if len(terms) > 2 or looked & {*terms[0].named} or looks & {*terms[1].named}:
        raise Stuck("multiplies maps of different rows or columns")
    return looked


def _kinds(dim: Dim, kept: bool) -> tuple[object, ...]:
    """List the rows and columns of a dimension; those that are looked at are others, unless they are summed."""
    return tuple((atom.axis, atom.part, kept and atom.looked) for atom in positions(dim) if atom.size > 1)


def _widest(dims: Iterable[Dim]) -> Dim:
    return max(dims, key=lambda dim: (size_of(dim), has_positions(dim), len(dim)))


def met(dims: Dims, gone: Iterable[Dim]) -> Dims:
    """Make the places in blocks that are among dimensions gone channels like others: they have met."""
    axes = {atom.axis for dim in gone for atom in dim if atom.part == "place"} - {""}
    return tuple(
        tuple(Atom("", "whole", atom.size) if atom.part == "place" and atom.axis in axes else atom for atom in dim)
        for dim in dims
    )


def _attended(call: Call, scores: Term, seen: Term, summed: Collection[object], dims: Dims) -> Map:
    """Attend: scores times values, where every position that looks sees every one that is looked at."""
    like = call.trace.asking.get(scores.value.at, scores.value.at)
    dims = tuple(tuple(atom for atom in dim if atom.size > 1 or not atom.looked) for dim in dims)
    if has_runs(atom for atom in positions(*dims) if not atom.looked):
        raise Stuck("attends from runs of positions")
    call.arranger.taken |= _has_tokens(_atoms(seen, summed)) and not _has_tokens(positions(*dims))
    if not seen.places - {*summed} and not scores.value.windows:
        return Map(dims, call.trace.mix(call.name(), seen.value.at, like))
    lost, windows = _atoms(seen, summed), scores.value.windows
    return replace(mixed(call.arranger, call.name(), seen.value, lost, "attention", like, windows), dims=dims)


def _has_tokens(atoms: Iterable[Atom]) -> bool:
    return any(atom.part.startswith("tokens") for atom in atoms)


def _atoms(term: Term, letters: Iterable[object]) -> list[Atom]:
    """List the rows and columns that a factor has along some letters."""
    return positions(*(term.named[letter] for letter in letters))


def _summed(call: Call, terms: Sequence[Term], summed: Collection[object], dims: Dims, times: Times) -> Map:
    """Multiply maps, and join the product over rows, columns or both."""
    if any(term.places != terms[0].places for term in terms):
        raise Stuck("sums over some rows or columns only")
    lost = _atoms(terms[0], summed)
    if any(atom.looked for atom in lost):
        raise Stuck("sums over positions that are looked at")
    return Map(dims, call.arranger.pooled_over(call.name(), times([term.value for term in terms]), whole_axes(lost)))


def _looks(scores: Term, seen: Term, summed: Collection[object]) -> bool:
    """Tell whether all that is summed are positions that the scores look at, and that the other map has."""
    if not {*summed} <= scores.places & seen.places or not seen.places - {*summed} <= scores.places:
        return False
    return all(atom.looked for atom in _atoms(scores, summed)) and not any(atom.looked for atom in _atoms(seen, summed))


def linear(call: Call, x: Value, own: Letters, out: Letters, sizes: Mapping[object, int], part: object) -> Value:
    """Multiply by a constant: of channels others, a `part`; of positions, each result sees them all."""
    gone = [dim for letter, dim in zip(own, x.known, strict=True) if letter not in out]
    back = [i for i, letter in enumerate(out) if letter not in own and sizes.get(letter, 1) == size_of(gone[0])]
    as_many = len(gone) == 1 and bool(back) and is_positions(gone[0])
    if isinstance(x, Map) and (has_parts(x.known) and not as_many if positions(*gone) else x.cuts):
        x = call.arranger.settled(x)
    named = dict(zip(own, x.known, strict=True))
    gone = [dim for letter, dim in named.items() if letter not in out]
    lost = positions(*gone)
    dims = met(tuple(named.get(letter) or plain(sizes.get(letter, 1)) for letter in out), gone)
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x.part_of(dims, part)
    if as_many:
        seen = mixed(call.arranger, call.name(), call.arranger.uncut(x), lost, "linear over positions")
        return replace(seen, dims=(*dims[: back[0]], gone[0], *dims[back[0] + 1 :]))
    return Map(dims, call.arranger.joined(call.name(), x, whole_axes(lost)))


def along(call: Call, x: Value, axes: Collection[int], why: str) -> Value:
    """Run softmax and the like: over channels, or over positions that are looked at, each position alone.

    Over rows or columns each sees them all; over the places in a block, all of the block.
    """
    over = [x.known[axis] for axis in axes]
    x = x.activated(met(x.known, over))
    lost = [atom for atom in positions(*over) if not atom.looked and atom.size > 1]
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x
    return mixed(call.arranger, call.name(), call.arranger.uncut(x), lost, why)


def over(call: Call, x: Value, axes: Collection[int], keep: bool) -> Value:
    """Reduce to a mean, sum or extreme: over channels each position alone, over rows and columns pooling.

    Over positions that are looked at it is what scores are divided by.
    """
    if isinstance(x, Map) and (inner := innermost(x, [x.known[axis] for axis in axes])):
        x = joined_inside(call.arranger, call.name(), "maxpool", x, inner)
    if (isinstance(x, Map) and x.cuts) or (has_parts(x.known) and any(has_positions(x.known[axis]) for axis in axes)):
        x = call.arranger.settled(x)
    gone = [x.known[axis] for axis in axes]
    single = {axis: _single(x.known[axis]) for axis in axes}
    dims = tuple(single.get(axis, dim) for axis, dim in enumerate(x.known) if keep or axis not in axes)
    if not keep and dims:  # what was looked at stays known
        dims = (*dims[:-1], dims[-1] + tuple(atom for dim in single.values() for atom in dim if atom.looked))
    dims, lost = (
        met(dims, gone),
        [atom for atom in positions(*gone) if not atom.looked and (atom.is_axis or atom.size > 1)],
    )
    if not lost or not isinstance(x, Map) or call.trace.pooled[x.at]:
        return x.activated(dims)
    return Map(dims, call.arranger.pooled_over(call.name(), x.at, whole_axes(lost)))


def running(x: Value, axis: int) -> Value:
    """Sum channels up, each position alone."""
    if has_positions(x.known[axis]):
        raise Stuck("sums up rows or columns, so that each position sees those before it alone")
    return x.activated(x.known)


def _single(dim: Dim) -> Dim:
    """Make what a reduction leaves of a dimension that it keeps."""
    atoms = positions(dim)
    keeps = len(dim) == 1 or any(atom.looked for atom in atoms)
    return tuple(replace(atom, size=1) for atom in atoms) if keeps else ()
