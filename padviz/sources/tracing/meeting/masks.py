"""Masks of attention: which positions of a window see each other, and how windows that were rolled are cut by that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from padviz.sources.tracing.arranging import Cuts, Stuck
from padviz.sources.tracing.axis_labels import ROLES, Atom, Dims

MASKED = -50  # what is added to scores that count for nothing


def cuts_of(dims: Dims, seen: NDArray[np.bool_]) -> Cuts:
    """Find after how many rows, and columns, the last window is cut in two by what of scores is `seen`.

    Scores have the dimensions `dims`, with which `seen` broadcasts. Windows may only be cut as rolled images have it:
    the last one of each axis, in two parts of which each sees itself.

    Raises
    ------
    Stuck
        If a mask does anything else.
    """
    if seen.all():
        return ()
    atoms = [atom for dim in dims for atom in dim]
    shape = [atom.size for atom in atoms]
    whole = np.broadcast_to(seen, [int(np.prod([atom.size for atom in dim])) for dim in dims]).reshape(shape)
    parts = {role: _of_axis(whole, atoms, role) for role in ROLES}
    both = np.ones([1] * len(atoms), dtype=bool)
    for part, order in parts.values():
        both = both & part.reshape(part.shape + (1,) * (len(atoms) - part.ndim)).transpose(np.argsort(order))
    if not (both == whole).all():
        raise Stuck("masks attention in another way than windows do")
    return tuple((role, cut) for role in ROLES if (cut := _cut(*parts[role], atoms)))


def _of_axis(whole: NDArray[np.bool_], atoms: Sequence[Atom], role: str) -> tuple[NDArray[np.bool_], list[int]]:
    """Find what rows see each other along one axis, and the order of atoms: windows, who looks, who is looked at."""
    own = [i for i, atom in enumerate(atoms) if atom.axis == role and atom.is_position]
    own.sort(key=lambda i: (atoms[i].looked, -atoms[i].step))
    rest = [i for i in range(len(atoms)) if i not in own]
    turned = whole.transpose(own + rest)
    part: NDArray[np.bool_] = np.asarray(turned.any(axis=tuple(range(len(own), len(atoms)))))
    return part, own + rest


def _cut(part: NDArray[np.bool_], order: Sequence[int], atoms: Sequence[Atom]) -> int:
    """Find after how many rows the last window is cut; 0 where it is not."""
    looked = int(np.prod([atoms[i].size for i in order[: part.ndim] if atoms[i].looked]))
    windows = part.reshape(-1, looked, looked)
    first = int(windows[-1, 0].sum())
    side = np.arange(looked) < first
    if not windows[:-1].all() or not (windows[-1] == (side[:, None] == side)).all():
        raise Stuck("masks attention in another way than windows do")
    return first % looked
