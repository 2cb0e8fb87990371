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
# Times the computing at which the search ends: what is made again for a part is then so large that
# leaving out more maps rarely saves memory.
MOST_COMPUTING = 8


class _Outcome:
    """What it takes to store some maps: the computing, and the bytes at each event."""

    def __init__(self, stores: Collection[int], events: int) -> None:
        self.stores = {*stores}
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
        outcome = _Outcome(stores, len(events))
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

    def one_less(self, outcome: _Outcome, limit: float) -> _Outcome | None:
        """Leave out the map that saves most beyond the limit for the computing that it takes."""
        worst = max(range(len(outcome.peaks)), key=outcome.peaks.__getitem__)
        gains: dict[_Outcome, tuple[float, int]] = {}
        for node in outcome.alive[worst]:
            if node.number in outcome.stores:
                other = self.stored(outcome.stores - {node.number})
                saved = outcome.excess(limit) - other.excess(limit)
                price = max(other.work - outcome.work, 1.0)
                # Two that only save together are left out one after the other.
                gains[other] = saved / price if saved > 0 else saved * price, node.number
        return max(gains, key=gains.__getitem__, default=None)

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

    Beginning with all costly maps, one after another is left out, by estimates. What a choice takes
    is counted by `taken_by`: if that is more than the limit, the next estimate must be less by the
    excess. If no estimate is low enough, the lowest is counted.

    Raises OptionError with the least that was reached, if that is more.
    """
    run = _Simulated(notes)
    outcomes = [run.stored({node.number for kind, node in notes.events if kind == "costly"})]
    # A module that only puts a map together computes nothing.
    once = outcomes[0].work or 1
    most, least = limit, inf
    while True:
        outcome = outcomes[-1]
        less = None
        if outcome.peak > most and outcome.work < MOST_COMPUTING * once:
            less = run.one_less(outcome, most)
        if less:
            outcomes.append(less)
            continue
        if outcome.peak > most:
            outcome = min(outcomes, key=lambda outcome: outcome.peak)
        drops: dict[int, list[int]] = {}
        for node, index in outcome.last.items():
            drops.setdefault(index, []).append(node.number)
        estimate = Choice(outcome.peak, outcome.work / once)
        segments = Segments(frozenset(outcome.stores), drops, estimate, None)
        taken = taken_by(segments)
        if taken <= limit:
            break
        least = min(least, taken)
        if outcome.peak > most:
            hint = "make the tiles smaller, or name a folder for maps with `scratch`"
            what = f"{in_bytes(int(limit))} are too few: the least found is {least / 1e6:.2f} MB"
            raise OptionError(what, option="memory", hint=hint)
        most = outcome.peak - (taken - limit)
    faster = None
    if index := outcomes.index(outcome):
        fuller = outcomes[index - 1]
        faster = Choice(fuller.peak + taken - outcome.peak, fuller.work / once)
    return segments._replace(chosen=estimate._replace(bytes=taken), faster=faster)
