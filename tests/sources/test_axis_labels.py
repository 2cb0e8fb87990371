"""Labels of dimensions against arrays that hold, at each place of a tensor, the row that it is of."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from padviz.sources.tracing.axis_labels import Dims, plain, reshaped, shape_of, whole
from tests.sweeps import examples

SIZES = st.tuples(st.sampled_from([1, 2, 4, 6]), st.sampled_from([4, 6, 8, 12]), st.sampled_from([4, 6, 9]))


def factors(n: int) -> list[int]:
    least = next((p for p in range(2, n + 1) if n % p == 0), 1)
    return [least, *factors(n // least)] if n > 1 else []


def rows_of(dims: Dims, axis: str) -> np.ndarray:
    """The row (or column) that the labels say each place is of."""
    atoms = [atom for dim in dims for atom in dim]
    rows = np.zeros([atom.size for atom in atoms], dtype=int)
    for i, atom in enumerate(atoms):
        step = atom.step if atom.axis == axis else 0
        rows += np.arange(atom.size).reshape([-1 if i == j else 1 for j in range(len(atoms))]) * step
    return rows.reshape(shape_of(dims))


@examples(40)
@given(SIZES, st.data())
def test_labels_say_which_row_and_column_each_place_is_of(size: tuple[int, int, int], data: st.DataObject) -> None:
    """However a tensor is transposed and reshaped, as long as its reshapes are not refused."""
    channels, rows, cols = size
    dims: Dims = ((), plain(channels), whole("h", rows), whole("w", cols))
    places = np.indices((1, *size))[2:]
    for _ in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):
            order = data.draw(st.permutations(range(len(dims))))
            dims, places = tuple(dims[i] for i in order), places.transpose(0, *(i + 1 for i in order))
            continue
        parts = [each for n in shape_of(dims) for each in factors(n)]
        cuts = sorted(data.draw(st.sets(st.integers(1, len(parts) - 1))))
        shape = [prod(parts[a:b]) for a, b in zip([0, *cuts], [*cuts, len(parts)], strict=True)]
        if made := reshaped(dims, shape):
            dims, places = made, places.reshape(2, *shape)
    for axis, expected in zip("hw", places, strict=True):
        np.testing.assert_array_equal(rows_of(dims, axis), expected)
