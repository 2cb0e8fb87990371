"""Random networks in tiles, among shards and in chunks: the whole's output, or a line that names a layer."""

from typing import Any

import pytest
import torch

import padviz
from tests.cutting.drawn_networks import ENDS, KINDS, apart, drawn_network
from tests.cutting.drawn_outcomes import Outcome, cause, chunked, cut, verdict_of
from tests.cutting.drawn_signals import drawn_stream
from tests.sweeps import SLOW

MOST_REFUSED = 0.75


def check(outcomes: list[Outcome], seed: int) -> bool:
    """Hold the outcomes of a network; return whether it was refused."""
    for outcome in outcomes:
        assert outcome.verdict in ("exact", "refused"), (seed, outcome)
    return any(outcome.verdict == "refused" for outcome in outcomes)


@pytest.mark.parametrize("first", [0, 12])
def test_networks_that_are_cut_are_the_whole(first: int) -> None:
    seeds = range(first, first + 12)
    refused = [seed for seed in seeds if check(cut(drawn_network(seed), most=1), seed)]
    assert len(refused) <= 1 + MOST_REFUSED * len(seeds), refused


@SLOW
def test_many_networks_that_are_cut_are_the_whole() -> None:
    refused = [seed for seed in range(1000, 1200) if check(cut(drawn_network(seed)), seed)]
    assert len(refused) <= MOST_REFUSED * 200, refused


def test_streams_are_the_whole() -> None:
    refused = [seed for seed in range(8) if check(chunked(drawn_stream(seed)), seed)]
    assert len(refused) <= 4, refused


@SLOW
def test_many_streams_are_the_whole() -> None:
    refused = [seed for seed in range(1000, 1100) if check(chunked(drawn_stream(seed)), seed)]
    assert len(refused) <= 30, refused


def test_a_seed_draws_one_network() -> None:
    for draw in (drawn_network, drawn_stream):
        for seed in (3, 7):
            one, other = draw(seed), draw(seed)
            assert str(one.model) == str(other.model)
            assert torch.equal(one.x, other.x)
            assert apart(one.whole, other.whole) == 0


def test_each_kind_is_drawn() -> None:
    names = [name for seed in range(120) for name, _ in drawn_network(seed).model.named_children()]
    assert {name.rpartition("_")[0] for name in names} == {*KINDS, *ENDS}


def test_a_wrong_row_and_a_refusal_without_a_layer_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = drawn_network(2)

    def wrong(model: Any, image: Any, *args: Any, **options: Any) -> Any:
        output = model(image).clone()
        output[..., -1, :] *= 1 + 1e-9
        return output

    def refuse(*args: Any, **options: Any) -> Any:
        raise padviz.PadvizError("cannot be cut")

    def fail(*args: Any, **options: Any) -> Any:
        raise ValueError("of 3 rows")

    monkeypatch.setattr(padviz, "sharded", wrong)
    assert verdict_of(cut(drawn, most=1)) == "wrong"
    monkeypatch.setattr(padviz, "sharded", refuse)
    assert "refused without a layer" in {outcome.verdict for outcome in cut(drawn, most=1)}
    monkeypatch.setattr(padviz, "tiled", fail)
    outcomes = cut(drawn, most=1)
    assert verdict_of(outcomes) == "wrong"
    assert cause(outcomes[0].why).startswith("raises ValueError: of N rows (test_drawn_networks.py")
