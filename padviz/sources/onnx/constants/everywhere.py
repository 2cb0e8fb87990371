"""Constants that are made of the size of the image, folded for all sizes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from padviz.sources.onnx.constants.folding import ELEMENTWISE, FOLDS, UNFIT, Array, Attrs, Malformed, fold
from padviz.sources.tracing.arranging import Constant

ALONE = ELEMENTWISE | {"Abs", "Cast", "CastLike", "Ceil", "Floor", "Identity", "Neg", "Not", "Round", "Sign", "Sqrt"}
MOVING = {"Expand", "Flatten", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
LOST = False  # what a constant is at other sizes, where that is not known


def folded_everywhere(op: str, attrs: Attrs, inputs: Sequence[Constant | None], results: Sequence[Array]) -> list[Any]:
    """Fold an operation at all sizes, a dimension in front of each result's own; None where they are plain.

    `results` are those at the size that is read. What is not known is `LOST`.
    """
    overs = [None if x is None else x.over for x in inputs]
    if all(over is None for over in overs):
        return [None] * len(results)
    if any(over is LOST for over in overs):
        return [LOST] * len(results)
    given = [None if x is None else x.array if x.over is None else x.over for x in inputs]
    moved = op == "Concat" or (op in MOVING and all(over is None for over in overs[1:]))
    try:
        if op in ALONE:
            folded = _alone(op, attrs, given, overs, results)
        elif moved:
            folded = _moved(op, attrs, given, overs)
        else:
            folded = _at_each_size(op, attrs, given, overs)
    except Malformed:
        return [LOST] * len(results)
    if [over.shape[1:] for over in folded] != [result.shape for result in results]:
        return [LOST] * len(results)
    return [None if (over == result).all() else over for over, result in zip(folded, results, strict=True)]


def _count(overs: Sequence[Any]) -> int:
    return next(len(over) for over in overs if over is not None)


def _alone(op: str, attrs: Attrs, given: Sequence[Any], overs: Sequence[Any], results: Sequence[Array]) -> list[Array]:
    """Fold each number by itself: the sizes are one more dimension in front."""
    rank = max(x.ndim - (over is not None) for x, over in zip(given, overs, strict=True) if x is not None)
    spread = [
        x if over is None else x.reshape(len(x), *[1] * (rank + 1 - x.ndim), *x.shape[1:])
        for x, over in zip(given, overs, strict=True)
    ]
    try:
        with np.errstate(all="ignore"):
            return [np.broadcast_to(FOLDS[op](attrs, *spread), (_count(overs), *results[0].shape))]
    except UNFIT as error:
        raise Malformed(str(error)) from None


def _moved(op: str, attrs: Attrs, given: Sequence[Any], overs: Sequence[Any]) -> list[Array]:
    """Move numbers: where each comes from is found by moving their places."""
    count, pools, places, first = _count(overs), [], [], 0
    for i, (x, over) in enumerate(zip(given, overs, strict=True)):
        if i and op != "Concat":
            places.append(x)
            continue
        numbers = np.broadcast_to(x, (count, *x.shape)) if over is None else x
        pools.append(numbers.reshape(count, -1))
        places.append(np.arange(first, first + pools[-1].shape[1]).reshape(numbers.shape[1:]))
        first += pools[-1].shape[1]
    pool = np.concatenate(pools, 1)
    moved = fold(op, attrs, places)
    return [] if moved is None else [pool[:, at.astype(np.int64)] for at in moved]


def _at_each_size(op: str, attrs: Attrs, given: Sequence[Any], overs: Sequence[Any]) -> list[Array]:
    """Fold anything else, at one size after another; nothing where shapes differ between sizes."""
    moving = np.concatenate([over.reshape(len(over), -1) for over in overs if over is not None], 1)
    _, first, which = np.unique(moving, axis=0, return_index=True, return_inverse=True)
    folded = []
    for i in first:
        results = fold(op, attrs, [x if over is None else x[i] for x, over in zip(given, overs, strict=True)])
        if results is None:
            return []
        folded.append(results)
    if any([x.shape for x in results] != [x.shape for x in folded[0]] for results in folded):
        return []
    return [np.stack(x)[which.reshape(-1)] for x in zip(*folded, strict=True)]
