"""The kinds of a tensor's dimensions, by what they hold."""

import pytest

from padviz.sources.tracing.dims import (
    Axis,
    Batch,
    Block,
    Channel,
    Dim,
    Kind,
    Runs,
    Tokens,
    plain,
    whole,
)

ROWS, COLUMNS = whole("h", 6), whole("w", 4)
WINDOWS, NEIGHBOURS = map(Dim, Axis(6, "h").split(3))
PLACES = Block(2, "h"), Block(2, "w")
KINDS: list[tuple[Dim, Kind, str]] = [
    (plain(1), "channels", ""),
    (plain(8), "channels", ""),
    (Dim(Channel(8), Axis(1, "h")), "channels", ""),
    (Dim(PLACES[0]), "block", ""),
    (Dim(Block(1)), "block", ""),
    (Dim(*PLACES, Channel(8)), "places", ""),
    (Dim(Batch(3, 0)), "batch", ""),
    (whole("w", 1), "single", "w"),
    (whole("h", 1) + whole("w", 1), "single", ""),
    (ROWS, "axis", "h"),
    (ROWS + whole("w", 1), "axis", "h"),
    (WINDOWS, "axis", "h"),
    (NEIGHBOURS, "part", ""),
    (ROWS.looked_at(), "part", ""),
    ((ROWS + COLUMNS).with_tokens(1, behind=False), "tokens", ""),
    (Dim(Runs(6, ROWS + COLUMNS)), "tokens", ""),
    (ROWS + COLUMNS, "line", ""),
    (NEIGHBOURS + COLUMNS, "line", ""),
    (plain(8) + ROWS, "mixed", ""),
    (Dim(Tokens(7, ROWS), Channel(8)), "mixed", ""),
]


@pytest.mark.parametrize(("dim", "kind", "axis"), KINDS, ids=str)
def test_a_dimension_has_a_kind_and_may_be_an_axis(dim: Dim, kind: Kind, axis: str) -> None:
    assert (dim.kind, dim.axis) == (kind, axis)


@pytest.mark.parametrize("dim", [dim for dim, *_ in KINDS if dim.size > 1], ids=str)
def test_single_rows_beside_more_do_not_change_a_kind(dim: Dim) -> None:
    assert (dim + whole("d", 1)).kind == (whole("d", 1) + dim).kind == dim.kind


@pytest.mark.parametrize("dim", [dim for dim, *_ in KINDS], ids=str)
def test_positions_differ_along_rows_and_columns_of_which_there_are_several(dim: Dim) -> None:
    assert dim.has_positions == any(position.size > 1 for position in dim.positions)
