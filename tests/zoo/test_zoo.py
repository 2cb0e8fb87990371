"""Networks that others wrote: read as their own gradients say, or refused by name."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

import padviz
from tests.sweeps import REST
from tests.zoo import judging
from tests.zoo.building import Entry, build, entries, load_library

HERE = [each for each in entries() if each.quick]
SAMPLED = [pytest.param(each, marks=() if i % 6 == 3 else REST) for i, each in enumerate(HERE)]


@pytest.mark.parametrize("entry", SAMPLED, ids=lambda each: f"{each.library}-{each.name}")
def test_networks_are_read_as_their_gradients_say(entry: Entry) -> None:
    load_library(entry)
    one = judging.judge(lambda: build(entry), entry.sizes)
    assert one.verdict in ("counts", "support"), one.words


def _convolution(kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, kernel, stride, kernel // 2), nn.AdaptiveAvgPool2d(1))


def test_a_network_read_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = padviz.load(_convolution(3), size=(16, 20))
    monkeypatch.setattr(padviz, "load", lambda *args, **options: narrow)
    for oracle in (True, False):
        if not oracle:
            monkeypatch.setattr(judging, "count", None)  # the support alone
        one = judging.judge(lambda: _convolution(5), [(16, 20)])
        assert (one.verdict, "less than its gradient" in one.words) == ("wrong", True)
    assert judging.judge(lambda: _convolution(3), [(16, 20)]).verdict == "support"


class Factored(nn.Module):
    """Attention by factors: what all positions have in common weighs each, and a window is beside it."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv, self.then = nn.Conv2d(3, 12, 3, 2, 1), nn.Conv2d(4, 4, kernel, 1, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.conv(x).chunk(3, 1)
        common = k.flatten(2).softmax(2) @ v.flatten(2).mT
        return self.then(q * v + (q.flatten(2).mT @ common).mT.unflatten(2, q.shape[2:]))


def test_what_all_positions_have_in_common_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judging.judge(lambda: Factored(3), [(20, 28), (28, 20)]).verdict == "support"
    wide = padviz.load(Factored(3), size=(20, 28))
    monkeypatch.setattr(padviz, "load", lambda *args, **options: wide)
    assert judging.judge(lambda: Factored(1), [(20, 28)]).verdict == "wrong"


class Twice(nn.Module):
    """Two heads by one module, of which the first sees more, and a copy that no gradient goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.up = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 5, 1, 2), nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        near = self.a(x).tanh()
        return self.up(self.b(near.detach()) + near), self.up(near)


def test_heads_that_one_module_makes_are_told_apart() -> None:
    assert judging.judge(Twice, [(20, 28)]).verdict == "support"


class Sorted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x.sort(-1).values, x.new_ones(1, 3, 3, 3))


def test_a_network_that_is_refused_says_why() -> None:
    one = judging.judge(Sorted, [(16, 20)])
    assert (one.verdict, "sort" in one.words) == ("refused", True)
