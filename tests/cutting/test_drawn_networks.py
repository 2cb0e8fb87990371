"""Random networks in tiles, among shards and in chunks: the whole's output, or a line that names a layer."""

from typing import Any

import pytest
import torch
from torch import nn

import padviz
from padviz.cutting.plan import LayerPlan
from tests.cutting.drawn_networks import ENDS, KINDS, Attention, Gate, apart, drawn_network
from tests.cutting.drawn_outcomes import (
    Outcome,
    cause,
    chunked,
    cut,
    cut_along_axes,
    uneven,
    verdict_of,
)
from tests.cutting.drawn_signals import drawn_stream
from tests.cutting.drawn_writes import drawn_with_writes
from tests.sweeps import SLOW

MOST_REFUSED = 0.01


def check(outcomes: list[Outcome], seed: int) -> bool:
    """Hold the outcomes of a network; return whether it was refused."""
    for outcome in outcomes:
        assert outcome.verdict in ("exact", "refused"), (seed, outcome)
    return any(outcome.verdict == "refused" for outcome in outcomes)


@pytest.mark.parametrize("first", [0, 12])
def test_networks_that_are_cut_are_the_whole(first: int) -> None:
    seeds = range(first, first + 12)
    refused = [seed for seed in seeds if check(cut(drawn_network(seed), most=1), seed)]
    assert not refused


@SLOW
def test_many_networks_that_are_cut_are_the_whole() -> None:
    refused = [seed for seed in range(1000, 1200) if check(cut(drawn_network(seed)), seed)]
    assert len(refused) <= MOST_REFUSED * 200, refused


def test_streams_are_the_whole() -> None:
    refused = [seed for seed in range(8) if check(chunked(drawn_stream(seed)), seed)]
    assert not refused


@SLOW
def test_many_streams_are_the_whole() -> None:
    refused = [seed for seed in range(100) if check(chunked(drawn_stream(seed)), seed)]
    assert not refused


def check_writes(seeds: range, axes: int) -> None:
    """Hold networks with writes; a write may be refused, and the tiles may be too small."""
    outcomes = [
        (seed, outcome)
        for seed in seeds
        for outcome in cut_along_axes(drawn_with_writes(seed, axes))
    ]
    assert not [each for each in outcomes if each[1].verdict == "wrong"]
    assert sum(outcome.verdict == "exact" for _, outcome in outcomes) > len(outcomes) / 4


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_networks_with_writes_are_the_whole(axes: int) -> None:
    check_writes(range(4), axes)


@SLOW
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("first", [1000, 1030, 1060])
def test_many_networks_with_writes_are_the_whole(axes: int, first: int) -> None:
    check_writes(range(first, first + 30), axes)


def test_a_seed_draws_one_network() -> None:
    for draw in (drawn_network, drawn_stream):
        for seed in (3, 7):
            one, other = draw(seed), draw(seed)
            assert str(one.model) == str(other.model)
            assert torch.equal(one.x, other.x)
            assert apart(one.whole, other.whole) == 0


def test_a_row_that_differs_alone_is_seen() -> None:
    one = torch.rand(1, 2, 9, 7)
    other = one.clone()
    other[:, :, 4] += 1e-4
    assert uneven(one, other)
    assert not uneven(one, one + 1e-6 * torch.rand(one.shape))


def test_each_kind_is_drawn() -> None:
    names = [name for seed in range(120) for name, _ in drawn_network(seed).model.named_children()]
    assert {name.rpartition("_")[0] for name in names} == {*KINDS, *ENDS}


def plan_of(layer: nn.Module) -> LayerPlan:
    """Plan tiles of a small network, of which the layer has four channels."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), layer).eval()
    plan = padviz.tiles(model, (24, 30), (12, 15), norms="shared").plan
    assert isinstance(plan, LayerPlan)
    return plan


@pytest.mark.parametrize("pool", ["mean", "flat mean", "mean of a view", "mean of tokens", "amax"])
def test_pools_of_each_spelling_put_nothing_together(pool: str) -> None:
    assert plan_of(Gate(4, pool)).gathered == ()


@pytest.mark.parametrize("kind", ["written out", "batched", "fused", "heads"])
def test_attention_puts_keys_and_values_together_alone(kind: str) -> None:
    (gathered,) = plan_of(Attention(4, kind)).gathered
    assert gathered.layer == "1"
    assert gathered.bytes == 2 * 4 * 24 * 30 * 4


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
