"""Border responses under several paddings and, beside them, with shuffled weights."""

from __future__ import annotations

from dataclasses import replace

from padviz.progress import Progress
from padviz.trained.border_responses import NONE, BorderResponses, border_responses, faint
from padviz.trained.sessions.inputs import BLANK, Inputs, compare_normalisation, images_of
from padviz.trained.sessions.running import Runner
from padviz.trained.shuffling import SHUFFLED, shuffled
from padviz.trained.weights.trained_network import Trained

Runners = list[tuple[str | None, Runner]]  # each with its padding: the network as it is first
Notes = tuple[str, ...]


def respond(
    trained: Trained, runners: Runners, notes: Notes, inputs: Inputs, shuffle: bool, on_progress: Progress | None
) -> BorderResponses:
    """Measure a trained network under each padding and, where asked, with its weights shuffled."""
    first, kind = runners[0][1], inputs.inputs
    images = images_of(kind, inputs.n, trained.size, first.channels, inputs.seed, inputs.mean, inputs.std)
    if shuffle:
        runners, notes = _with_shuffled(trained, inputs.seed, runners, notes)
    notes = (*notes, *_count_notes(inputs, len(images)))
    part_progress = _over(len(runners), on_progress)
    rows = [row for scheme, runner in runners for row in border_responses(runner, images, scheme, part_progress)]
    if kind != BLANK:
        known = trained.trained_on
        wrong = compare_normalisation(known, images, inputs) if known else faint(first, images, rows)
        notes = (*notes, *filter(None, [wrong]))
    if len(images) == 1 and kind != BLANK:
        rows = [replace(row, energy=NONE, profiles=()) for row in rows]
    about = trained.network.name, trained.network.title, trained.size, tuple(scheme for scheme, _ in runners)
    return BorderResponses(*about, kind, len(images), tuple(rows), notes)


def _with_shuffled(trained: Trained, seed: int, runners: Runners, notes: Notes) -> tuple[Runners, Notes]:
    """Add a runner of the network with shuffled weights; or a note that it cannot be copied."""
    shuffled_copy = shuffled(trained, seed)
    if shuffled_copy is None:
        return runners, (*notes, "the module cannot be copied, so nothing is known of shuffled weights")
    return [*runners, (SHUFFLED, runners[0][1].twin(shuffled_copy.model))], notes


def _count_notes(inputs: Inputs, count: int) -> list[str]:
    """Note where inputs are fewer than was asked for, or too few."""
    if inputs.inputs == BLANK:
        return []
    notes = []
    if count < inputs.n:
        notes.append(f"{inputs.inputs} has {count} picture{'s' if count > 1 else ''}, and {inputs.n} were asked for")
    if count == 1:
        notes.append("one input has no two halves, so E is not known; use more")
    return notes


def _over(parts: int, on_progress: Progress | None) -> Progress | None:
    """Report progress over all parts, of which each reports its own."""
    done = 0

    def advance(more: int, count: int) -> None:
        nonlocal done
        done += more
        if on_progress:
            on_progress(done, parts * count)

    return advance
