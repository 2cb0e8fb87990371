"""Where a trained network sees, at each place of a grid: run, kept while it goes on, and set beside usage."""

from __future__ import annotations

import numpy as np

from padviz.counting.count import usage
from padviz.files.unfinished import Keeping, Unfinished, keeping
from padviz.progress import Progress
from padviz.trained.sessions.inputs import normalisation
from padviz.trained.sessions.runners import runner_of
from padviz.trained.trying.crops import Frame, crops_of
from padviz.trained.trying.seen import (
    Looking,
    Seen,
    check_reacts,
    distance_at,
    edge_of,
    estimates,
    places_of,
    usage_at,
)
from padviz.trained.trying.trial import few_pictures
from padviz.trained.trying.tried import Pictures, added_up
from padviz.trained.weights.trained_network import Trained


def look(
    trained: Trained, patch: int, grid: int, pictures: Pictures, kept: Keeping, on_progress: Progress | None
) -> Seen:
    """Lay a patch at each place of a grid over crops of pictures, and compare the change of the output with usage."""
    at = places_of(trained.size, patch, grid)
    counts = usage(trained.network, trained.size, heads="share")
    runner, n = runner_of(trained), pictures.n
    crops = crops_of(pictures.images, trained.size, n, Frame(0, 0, *trained.size), runner.channels, pictures.seed)
    places = np.array([(top, left) for top in at[0] for left in at[1]])
    options = f"{crops.name} {n} {patch} {grid} {pictures.seed} {pictures.mean} {pictures.std}"
    values = Unfinished(kept.path, f"seen {kept.about} {trained.size} {options}", n * len(places), kept.resume)
    normal = normalisation(runner.channels, pictures.mean, pictures.std)
    looking = Looking(runner, patch, places, normal, added_up(n * len(places), on_progress))
    with keeping(values):
        output, squares, of = looking.run(crops, values)
    check_reacts(squares, grid, trained.where)
    by_place = usage_at(counts, patch, *at), distance_at(trained.size, patch, *at)
    figures = estimates(squares, of, *by_place)
    return Seen(
        trained.network.name,
        trained.network.title,
        trained.size,
        crops.name,
        len(of),
        len({*of.tolist()}),
        output,
        patch,
        *at,
        figures[0],
        *by_place,
        *figures[1:],
        edge_of(by_place[0]),
        (*trained.notes, *crops.notes, *few_pictures(of.tolist())),
    )
