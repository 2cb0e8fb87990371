"""Factors of dimensions against arrays that hold, at each place of a tensor, the row and the column that it is of."""

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from padviz.sources.tracing.dims import Axis, Channel, Dims, plain, reshape_dims, shape_of, whole
from tests.sweeps import examples

SIZES = st.tuples(st.sampled_from([1, 2, 4, 6]), st.sampled_from([4, 6, 8, 12]), st.sampled_from([4, 6, 9]))
Tensor = tuple[Dims, np.ndarray]  # with the channel, the row and the column of each place in front


def factors(n: int) -> list[int]:
    least = next((p for p in range(2, n + 1) if n % p == 0), 1)
    return [least, *factors(n // least)] if n > 1 else []


def shapes(dims: Dims) -> st.SearchStrategy[list[int]]:
    """Shapes that cut the sizes of dimensions between any of their prime factors."""
    parts = [each for n in shape_of(dims) for each in factors(n)]
    cuts = st.sets(st.integers(1, max(len(parts) - 1, 1))).map(sorted)
    return cuts.map(lambda at: [prod(parts[a:b]) for a, b in zip([0, *at], [*at, len(parts)], strict=True)])


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """An image that was transposed, reshaped, and of whose channels some were picked, a few times."""
    channels, rows, cols = size = draw(SIZES)
    dims: Dims = (plain(1), plain(channels), whole("h", rows), whole("w", cols))
    places = np.indices((1, *size))[1:]
    for step in draw(st.lists(st.sampled_from(["transpose", "reshape", "slice"]), max_size=8)):
        if step == "transpose":
            order = draw(st.permutations(range(len(dims))))
            dims, places = tuple(dims[i] for i in order), places.transpose(0, *(i + 1 for i in order))
        elif step == "reshape":
            shape = draw(shapes(dims))
            if made := reshape_dims(dims, shape):
                dims, places = made, places.reshape(3, *shape)
        elif of := [i for i, dim in enumerate(dims) if dim and all(isinstance(factor, Channel) for factor in dim)]:
            at = draw(st.sampled_from(of))
            left = draw(st.integers(1, places.shape[at + 1]))
            dims = (*dims[:at], plain(left), *dims[at + 1 :])
            places = np.take(places, range(left), axis=at + 1)
    return dims, places


def rows_of(dims: Dims, role: str) -> np.ndarray:
    """The row (or column) that the factors say each place is of."""
    own = [factor for dim in dims for factor in dim]
    rows = np.zeros([factor.size for factor in own], dtype=int)
    for i, factor in enumerate(own):
        step = factor.step if isinstance(factor, Axis) and factor.role == role else 0
        rows += np.arange(factor.size).reshape([-1 if i == j else 1 for j in range(len(own))]) * step
    return rows.reshape(shape_of(dims))


@examples(40)
@given(tensors(), st.data())
def test_factors_say_which_row_and_column_each_place_is_of(tensor: Tensor, data: st.DataObject) -> None:
    """And a reshape there and back leaves them as they are."""
    dims, (channel, *places) = tensor
    for role, expected in zip("hw", places, strict=True):
        np.testing.assert_array_equal(rows_of(dims, role), expected)
    for i, dim in enumerate(dims):
        changes = [np.ptp(of, axis=i).any() for of in (channel, *places)]
        named = {f.role if isinstance(f, Axis) else "c" for f in dim}
        assert {role for role, changed in zip("chw", changes, strict=True) if changed} <= named
    if there := reshape_dims(dims, data.draw(shapes(dims))):
        assert reshape_dims(there, shape_of(dims)) == dims
