"""Networks that others wrote: read as their own gradients say, or refused by name."""

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


class Sorted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x.sort(-1).values, x.new_ones(1, 3, 3, 3))


def test_a_network_that_is_refused_says_why() -> None:
    one = judging.judge(Sorted, [(16, 20)])
    assert (one.verdict, "sort" in one.words) == ("refused", True)
