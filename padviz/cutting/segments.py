"""Which maps of a run in parts are stored, so that all that are stored at once fit into memory.

A segment ends at each map that is stored. What is not stored is made again, with its context, for
each part of a map that reads it: longer segments need less memory, and take more computing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf, prod

from padviz.cutting.nodes import Box, Node, Notes, Operands, needs_of, reads_around, rows_of, unmade
from padviz.cutting.plan import Choice, Segments
from padviz.errors import OptionError
from padviz.phrases import in_bytes

MOST_PARTS = 16  # of a map of which the computing is counted; of more these are a sample


class _Outcome:
    """What it takes to store some maps: the computing, and the bytes at each event."""

    def __init__(self, events: int) -> None:
        self.work = 0.0
        self.peaks = [0] * events
        self.alive: list[list[Node]] = [[] for _ in range(events)]
        self.last: dict[Node, int] = {}

    @property
    def peak(self) -> int:
        return max(self.peaks)

    def excess(self, limit: float) -> float:
        """The bytes beyond a limit, over all events."""
        return sum(max(0, peak - limit) for peak in self.peaks)


class _Simulated:
    """Runs of a network in parts, without running anything."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.segments: dict[tuple[Node, ...], tuple[float, int, set[Node]]] = {}

    def stored(self, stores: Collection[int]) -> _Outcome:
        """Return what it takes if costly maps of these numbers are stored."""
        events, calls = self.notes.events, self.notes.calls
        outcome = _Outcome(len(events))
        made = dict(self.notes.given)
        while_made = [0] * len(events)
        for index, (kind, node) in enumerate(events):
            if kind == "costly" and node.number not in stores:
                continue
            if node in made or node not in calls:
                outcome.last[node] = index
                continue
            order = unmade(node, made, self._operands)
            work, tile, read = self._segment((*order,))
            outcome.work += work
            # The deviations of a part from its mean are as large as the part.
            sizes = (_values(node, node.box(k, node.fine)) for k in range(prod(node.fine.values())))
            values = max(sizes)
            while_made[index] = tile + (kind == "pooled") * values * node.dtype.itemsize
            for source in read:
                outcome.last[source] = index
            if kind != "pooled":
                made[node] = outcome.last[node] = index
        self._add_alive(outcome, made)
        for index, nodes in enumerate(outcome.alive):
            outcome.peaks[index] = sum(node.bytes for node in nodes) + while_made[index]
        return outcome

    def _add_alive(self, outcome: _Outcome, made: Mapping[Node, int]) -> None:
        """List the maps that are stored at each event, from the one that made them on."""
        for node, first in made.items():
            if first == len(outcome.peaks):
                continue  # nothing reads what is put together last
            if first == 0 and node in self.notes.given:
                outcome.last[node] = len(outcome.peaks) - 1  # an image, which its owner keeps
            for index in range(first, outcome.last.get(node, first) + 1):
                outcome.alive[index].append(node)

    def _operands(self, node: Node) -> Operands:
        """Return what a map is made of; nothing for one that is given."""
        if node in self.notes.calls:
            return self.notes.calls[node].operands
        return ()

    def _segment(self, order: tuple[Node, ...]) -> tuple[float, int, set[Node]]:
        """Return the multiplications of the last of some maps, the bytes of a part while it is
        made, and the stored maps that are read.
        """
        if order not in self.segments:
            calls, node = self.notes.calls, order[-1]
            parts = prod(node.fine.values())
            sample = sorted({k * parts // MOST_PARTS for k in range(MOST_PARTS)})
            work, tile = 0.0, 0
            for k in sample:
                needs = needs_of(order, node.box(k, node.fine), self._operands)
                work += sum(_values(made, needs[made]) * calls[made].work for made in order)
                tile = max(tile, self._bytes_of_part(order, needs))
            read = {
                operand
                for made in order
                for operand, _ in calls[made].operands
                if operand not in needs
            }
            self.segments[order] = work * parts / len(sample), tile, read
        return self.segments[order]

    def _bytes_of_part(self, order: Sequence[Node], needs: dict[Node, Box]) -> int:
        calls, alive, most = self.notes.calls, dict[Node, int](), 0
        last = {operand: made for made in order for operand, _ in calls[made].operands}
        for made in order:
            alive[made] = _values(made, needs[made]) * made.dtype.itemsize
            copied = 0
            for operand, links in calls[made].operands:
                # A window copies what it reads, with its padding.
                if reads_around(links):
                    read = {
                        link.dim: link.rule.reads(*rows_of(needs[made], link)) for link in links
                    }
                    copied += _values(operand, read) * operand.dtype.itemsize
            most = max(most, sum(alive.values()) + copied)
            for operand, _ in calls[made].operands:
                if last[operand] is made:
                    alive.pop(operand, None)
        return most


def _values(node: Node, box: Box) -> int:
    sizes = [*node.shape]
    for dim, (first, end) in box.items():
        sizes[dim] = end - first
    return prod(sizes)


def choose(notes: Notes, limit: float, taken_by: Callable[[Segments], int]) -> Segments:
    """Choose the maps that are stored, so that a run needs no more than a number of bytes.

    The choice goes by an estimate. `taken_by` counts what a run with it takes; if that is more than
    the limit, the next choice is held to so much less.

    Raises OptionError with the least that was reached, if that is more.
    """
    run, most, least = _Simulated(notes), limit, inf
    while True:
        segments = _estimated(run, most)
        estimate, computing = segments.chosen
        taken = taken_by(segments)
        least = min(least, taken)
        if taken <= limit:
            break
        if estimate > most:
            hint = "make the tiles smaller, or name a folder for maps with `scratch`"
            what = f"{in_bytes(int(limit))} are too few: the least found is {least / 1e6:.2f} MB"
            raise OptionError(what, option="memory", hint=hint)
        most = estimate * limit / taken
    faster = segments.faster
    if faster:
        faster = faster._replace(bytes=int(faster.bytes * taken / estimate))
    return segments._replace(chosen=Choice(taken, computing), faster=faster)


def _estimated(run: _Simulated, limit: float) -> Segments:
    """Choose the maps that are stored by estimates, which may end above the limit.

    Beginning with all costly maps, the one is left out, again and again, that saves most beyond the
    limit for the computing that it takes.
    """
    stores = {index for index, (kind, _) in enumerate(run.notes.events) if kind == "costly"}
    outcome = once = run.stored(stores)
    before: Choice | None = None
    while outcome.peak > limit:
        worst = max(range(len(outcome.peaks)), key=outcome.peaks.__getitem__)
        others = []
        for number in {node.number for node in outcome.alive[worst]} & stores:
            other = run.stored(stores - {number})
            saved = outcome.excess(limit) - other.excess(limit)
            price = max(other.work - outcome.work, 1.0)
            # Two that only save together are left out one after the other.
            others.append((saved / price if saved > 0 else saved * price, number, other))
        if not others:
            break
        _, number, other = max(others, key=lambda choice: choice[:2])
        before = Choice(outcome.peak, outcome.work / once.work)
        stores, outcome = stores - {number}, other
    drops: dict[int, list[int]] = {}
    for node, index in outcome.last.items():
        if node.number is not None:
            drops.setdefault(index, []).append(node.number)
    chosen = Choice(outcome.peak, outcome.work / once.work)
    return Segments(frozenset(stores), drops, chosen, before)
