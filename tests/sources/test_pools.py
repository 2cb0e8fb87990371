"""Pools in every spelling: one over its whole map, without padding, is global; any other is a window like all."""

from collections.abc import Callable, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import padviz
from tests.sources.test_onnx_ops import model_of
from tests.torch_calls import conv, counted

Pool = Callable[..., Tensor]
SIZES = ((6, 6), (5, 7), (1, 4), (1, 1))

GLOBAL: dict[str, Pool] = {
    "shape": lambda x: functional.avg_pool2d(x, x.shape[2:]),
    "list": lambda x: functional.avg_pool2d(x, [*x.shape[2:]]),
    "keyword": lambda x: functional.avg_pool2d(
        x, kernel_size=x.shape[2:], stride=1, padding=(0, 0)
    ),
    "module": lambda x: nn.AvgPool2d(
        (x.shape[2], x.shape[3]), stride=(1, 1), count_include_pad=False
    )(x),
    "maximum": lambda x: functional.max_pool2d(x, x.shape[2:], stride=x.shape[2:]),
    "maximum, module": lambda x: nn.MaxPool2d(
        kernel_size=tuple(x.shape[2:]), stride=1, ceil_mode=True
    )(x),
    "power": lambda x: functional.lp_pool2d(x, 2, (x.shape[2], x.shape[3])),
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "adaptive maximum": lambda x: functional.adaptive_max_pool2d(x, (1, 1)),
}


BEHIND: dict[str, Callable[[Tensor], Tensor]] = {
    "a pad": lambda x: functional.pad(x, (1, 2, 0, 1)),
    "a transposed convolution": lambda x: functional.conv_transpose2d(
        x, torch.ones(1, 1, 2, 3).to(x), stride=2
    ),
    "windows of padding alone": lambda x: functional.conv2d(
        functional.unfold(x, 1, padding=1, stride=2).view(1, 1, 2, 2), torch.ones(1, 1, 1, 1).to(x)
    ),
}


class Net(nn.Module):
    """A convolution, a pool, and what is made of both."""

    def __init__(self, pool: Pool, use: Callable[[Tensor, Tensor, nn.Module], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.pool, self.use = conv(padding=1), conv(1), pool, use

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.use(y, self.pool(y), self.last)


USES: dict[str, Callable[[Tensor, Tensor, nn.Module], Tensor]] = {
    "returned": lambda y, pooled, last: pooled,
    "flattened": lambda y, pooled, last: pooled.flatten(1),
    "head": lambda y, pooled, last: last(pooled),
    "gate": lambda y, pooled, last: y * last(pooled).sigmoid(),
    "spread": lambda y, pooled, last: last(y + pooled),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("spelling", GLOBAL)
def test_a_pool_over_its_whole_map_is_global_at_all_sizes(spelling: str, use: str) -> None:
    module, wanted = (
        Net(pool, USES[use])
        for pool in (GLOBAL[spelling], lambda x: functional.adaptive_avg_pool2d(x, 1))
    )
    network, same = padviz.load(module, size=8), padviz.load(wanted, size=8)
    for size in SIZES:
        found, right = network.at(size), same.at(size)
        assert found.targets == right.targets
        np.testing.assert_array_equal(
            padviz.usage(found, size).counts, padviz.usage(right, size).counts
        )
        if size != (1, 1):  # of one position, a window makes the same
            kinds = [(layer.kind, layer.ops, layer.inputs) for layer in right.layers]
            assert [(layer.kind, layer.ops, layer.inputs) for layer in found.layers] == kinds


# kernel, stride and padding over 4 rows: some windows are as large as the map, others as the map with its padding
WINDOWS = [
    (kernel, stride, padding)
    for kernel, stride, padding in product((1, 3, 4, 5, 6), (1, 4), range(3))
    if kernel <= 4 + 2 * padding and padding <= kernel // 2
]
SPELLED: dict[str, Pool] = {
    "int": lambda x, k, s, p, ceil: functional.avg_pool2d(x, k, s, p, ceil, True, 1),
    "tuple": lambda x, k, s, p, ceil: functional.avg_pool2d(
        x, (k, k), (s, s), (p, p), ceil, True, 1
    ),
    "keyword": lambda x, k, s, p, ceil: functional.avg_pool2d(
        input=x, kernel_size=[k], stride=[s], padding=[p], ceil_mode=ceil, divisor_override=1
    ),
    "module": lambda x, k, s, p, ceil: nn.AvgPool2d(
        kernel_size=(k, k), stride=(s, s), padding=p, ceil_mode=ceil, divisor_override=1
    )(x),
}


def test_pools_count_as_their_gradients_say_however_they_are_spelled() -> None:
    after = conv(padding=1)
    spellings = cycle(SPELLED.values())
    for window, ceil in product(WINDOWS, (False, True)):
        spelled = next(spellings)

        def pool(
            x: Tensor, spelled: Pool = spelled, window: Sequence[Any] = (*window, ceil)
        ) -> Tensor:
            return spelled(x, *window)

        module = Net(pool, lambda y, pooled, last: after(pooled))
        found = padviz.usage(module, size=4).counts
        np.testing.assert_array_equal(found, counted(module, (4, 4)), str((window, ceil)))


@pytest.mark.parametrize("window", WINDOWS)
def test_only_a_pool_without_padding_ends_before_it(window: tuple[int, int, int]) -> None:
    module = Net(lambda x: SPELLED["int"](x, *window, False), lambda y, pooled, last: pooled)
    kernel, _, padding = window
    wanted = conv(padding=1) if (kernel, padding) == (4, 0) else module
    np.testing.assert_array_equal(padviz.usage(module, size=4).counts, counted(wanted, (4, 4)))


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
@pytest.mark.parametrize(("attributes", "is_global"), [
    ("kernel_shape = [8, 8]", True),
    ("kernel_shape = [8, 8], strides = [8, 8], auto_pad = \"SAME_UPPER\"", True),
    ("kernel_shape = [9, 9], strides = [2, 2], ceil_mode = 1", True),
    ("kernel_shape = [8, 8], strides = [8, 8], pads = [1, 1, 1, 1]", False),
    ("kernel_shape = [9, 9], strides = [8, 8], pads = [0, 0, 1, 1]", False),
    ("kernel_shape = [9, 9], strides = [9, 9], auto_pad = \"SAME_UPPER\"", False),
    ("kernel_shape = [7, 8]", False),
])  # fmt: skip
def test_a_files_pool_is_global_if_it_reads_no_padding(
    op: str, attributes: str, is_global: bool, tmp_path: Path
) -> None:
    body = f"c = Conv <pads = [1, 1, 1, 1]> (x, w3x3)\n y = {op} <{attributes}> (c)"
    onnx.save(model_of(body, 17), path := tmp_path / "net.onnx")
    assert (padviz.load(path, size=8).layers[-1].kind == "conv") == is_global


def test_a_map_of_one_position_at_a_small_size_stays_a_map() -> None:
    """Behind the pool of a deep network, at a small size, windows slide over one position."""
    net = nn.Sequential(conv(padding=1), nn.MaxPool2d(2), conv(1), conv(padding=1), conv(1))
    small, large = (padviz.load(net, size=n) for n in (2, 8))
    assert small.targets == large.targets == ("4",)
    assert [(layer.kind, layer.ops) for layer in small.layers] == [
        (layer.kind, layer.ops) for layer in large.layers
    ]


@pytest.mark.parametrize("behind", BEHIND)
def test_windows_slide_over_the_only_position_that_a_pool_left(behind: str) -> None:
    module = Net(
        lambda x: SPELLED["int"](x, 4, 4, 0, False), lambda y, pooled, last: BEHIND[behind](pooled)
    )
    np.testing.assert_array_equal(padviz.usage(module, size=4).counts, counted(module, (4, 4)))


ROWS: dict[str, Pool] = {
    "mean": lambda x: x.mean(2, keepdim=True),
    "sum": lambda x: torch.sum(x, dim=-2, keepdim=True),
    "adaptive": lambda x: functional.adaptive_avg_pool2d(x, (1, None)),
    "module": lambda x: nn.AdaptiveMaxPool2d((1, None))(x),
}


@pytest.mark.parametrize("spelling", ROWS)
def test_a_mean_of_rows_counts_alike_in_every_spelling(spelling: str) -> None:
    module, wanted = (Net(pool, USES["spread"]) for pool in (ROWS[spelling], ROWS["mean"]))
    network, same = padviz.load(module, size=8), padviz.load(wanted, size=8)
    for size in ((8, 8), (1, 5), (4, 1), (1, 1)):
        counts = padviz.usage(network, size).counts
        np.testing.assert_array_equal(counts, padviz.usage(same, size).counts, str(size))
