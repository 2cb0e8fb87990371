"""Constants that are made of the size of the image, folded for all sizes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from padviz.sources.onnx.constants.folding import ELEMENTWISE, FOLDS, Array, Attrs, fold
from padviz.sources.onnx.constants.stored import BROKEN
from padviz.sources.tracing.arranging import Constant

ALONE = ELEMENTWISE | {"Abs", "Cast", "CastLike", "Ceil", "Floor", "Identity", "Neg", "Not", "Round", "Sign", "Sqrt"}
MOVING = {"Expand", "Flatten", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
LOST = False  # what a constant is at other sizes, where that is not known


def folded_everywhere(op: str, attrs: Attrs, inputs: Sequence[Constant | None], made: Sequence[Array]) -> list[Any]:
    """What the results of an operation are at all sizes, in front of their own dimensions; None where they are plain.

    `made` are the results at the size that is read. What is not known is `LOST`.
    """
    overs = [None if each is None else each.over for each in inputs]
    if all(over is None for over in overs):
        return [None] * len(made)
    if any(over is LOST for over in overs):
        return [LOST] * len(made)
    given = [None if each is None else each.array if each.over is None else each.over for each in inputs]
    moved = op == "Concat" or (op in MOVING and all(over is None for over in overs[1:]))
    try:
        with np.errstate(all="ignore"):
            if op in ALONE:
                found = _alone(op, attrs, given, overs, made)
            elif moved:
                found = _moved(op, attrs, given, overs)
            else:
                found = _each(op, attrs, given, overs)
    except BROKEN:
        return [LOST] * len(made)
    if [each.shape[1:] for each in found] != [each.shape for each in made]:
        return [LOST] * len(made)
    return [None if (over == one).all() else over for over, one in zip(found, made, strict=True)]


def _count(overs: Sequence[Any]) -> int:
    return next(len(over) for over in overs if over is not None)


def _alone(op: str, attrs: Attrs, given: Sequence[Any], overs: Sequence[Any], made: Sequence[Array]) -> list[Array]:
    """Each number by itself: the sizes are one more dimension in front."""
    rank = max(each.ndim - (over is not None) for each, over in zip(given, overs, strict=True) if each is not None)
    spread = [
        each if over is None else each.reshape(len(each), *[1] * (rank + 1 - each.ndim), *each.shape[1:])
        for each, over in zip(given, overs, strict=True)
    ]
    return [np.broadcast_to(FOLDS[op](attrs, *spread), (_count(overs), *made[0].shape))]


def _moved(op: str, attrs: Attrs, given: Sequence[Any], overs: Sequence[Any]) -> list[Array]:
    """Numbers that are moved: where each comes from is found by moving their places."""
    count, pools, places, first = _count(overs), [], [], 0
    for i, (each, over) in enumerate(zip(given, overs, strict=True)):
        if i and op != "Concat":
            places.append(each)
            continue
        numbers = np.broadcast_to(each, (count, *each.shape)) if over is None else each
        pools.append(numbers.reshape(count, -1))
        places.append(np.arange(first, first + pools[-1].shape[1]).reshape(numbers.shape[1:]))
        first += pools[-1].shape[1]
    pool = np.concatenate(pools, 1)
    moved = fold(op, attrs, places)
    return [] if moved is None else [pool[:, each.astype(np.int64)] for each in moved]


def _each(op: str, attrs: Attrs, given: Sequence[Any], overs: Sequence[Any]) -> list[Array]:
    """Anything else, at one size after another; those that are given the same make the same."""
    moving = np.concatenate([over.reshape(len(over), -1) for over in overs if over is not None], 1)
    _, first, which = np.unique(moving, axis=0, return_index=True, return_inverse=True)
    made = []
    for i in first:
        found = fold(op, attrs, [each if over is None else each[i] for each, over in zip(given, overs, strict=True)])
        if found is None:
            return []
        made.append(found)
    return [np.stack(each)[which.reshape(-1)] for each in zip(*made, strict=True)]
