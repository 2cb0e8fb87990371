"""A module or a file is read at the size that is asked for: what it does there counts, whatever it does elsewhere."""

from collections.abc import Callable
from random import Random

import pytest
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import PadvizError
from tests.resized import judged
from tests.sweeps import REST, SLOW
from tests.torch_oracle import conv


class Doing(nn.Module):
    """Something that depends on the size, and a convolution after it."""

    def __init__(self, what: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.what, self.conv = what, conv(stride=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.what(x))  # type: ignore[no-any-return]


def test_a_size_that_a_forward_refuses_is_refused_in_its_own_words() -> None:
    def even(x: Tensor) -> Tensor:
        if x.shape[-1] % 2:
            raise ValueError("the width must be even")
        return x

    network = padviz.load(Doing(even), size=(32, 32))
    with pytest.raises(PadvizError, match=r"forward fails on 1 x 32 x 31: ValueError: the width must be even"):
        padviz.usage(network, (32, 31))
    assert padviz.usage(network, (31, 32)).max == 1


def test_sizes_are_read_before_they_are_listed() -> None:
    module = Doing(lambda x: functional.pad(x, (1, 1, 1, 1)) if x.shape[2] < 20 else x)
    found = padviz.sizes(padviz.load(module, 32), "12:30")
    assert found.balanced == tuple(n for n in range(12, 31) if padviz.uneven(module, n).balanced)


def test_a_network_is_read_once_at_each_size() -> None:
    seen = []

    def counting(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[2:]))
        return x

    network = padviz.load(Doing(counting), size=(32, 32))
    for _ in range(2):
        padviz.usage(network, 32)
        padviz.usage(network, (40, 32), "reflect")
        padviz.uneven(network, (40, 32))
    assert seen == [(32, 32), (40, 32)]


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        *((str(seed), 12) for seed in range(2)),
        pytest.param("many", 300, marks=SLOW),
        pytest.param("many", 3000, marks=REST),
    ],
)
def test_random_modules_are_right_at_every_size(name: str, modules: int) -> None:
    said = [line for number in range(modules) for line in judged(Random(f"{name}/{number}"))]
    assert {*said} <= {"right", "refused"}, [line for line in said if line not in ("right", "refused")][:9]
    assert said.count("right") > max(20, said.count("refused"))
