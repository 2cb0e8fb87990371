"""Mean filters and their skew: a slow twin, laws, and what stands in the way of measuring."""

import warnings
from itertools import product
from math import isclose
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import DescriptionError
from padviz.trained.mean_filters import AxisSkew, MeanFilter, filters_of
from padviz.trained.networks.reading import as_trained


def convolution(weights: NDArray[Any], **options: Any) -> nn.Conv2d:
    out, into, *kernel = weights.shape
    made = nn.Conv2d(into * options.get("groups", 1), out, tuple(kernel), bias=False, **options)
    made.weight.data = torch.from_numpy(np.asarray(weights, dtype=np.float32))
    return made


def measured(weights: NDArray[Any], **options: Any) -> MeanFilter:
    (row,) = padviz.filters(convolution(weights, **options), 32).rows
    return row


def weights_of(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def slow_skew(weights: NDArray[Any], axis: int) -> tuple[float, float]:
    """D, and the raw asymmetry, tap by tap."""
    out, into, *kernel = weights.shape
    k, skews, mean = kernel[axis], [], np.zeros(kernel)
    for o in range(out):
        first = second = total = 0.0
        for i, y, x in product(range(into), *map(range, kernel)):
            size, at = abs(float(weights[o, i, y, x])) / into, (y, x)[axis]
            total += size
            first += size if at < k // 2 else 0
            second += size if at >= k - k // 2 else 0
            mean[y, x] += float(weights[o, i, y, x]) / into
        if total:
            skews.append((second - first) / total)
    mean /= len(skews)
    odd = 0.0
    for y, x in np.ndindex(*kernel):
        mirrored = mean[k - 1 - y, x] if axis == 0 else mean[y, k - 1 - x]
        odd += ((mean[y, x] - mirrored) / 2) ** 2
    return sum(skews) / len(skews), (odd / sum(n * n for n in mean.flat)) ** 0.5


@pytest.mark.parametrize("shape", [(5, 3, 3, 3), (4, 2, 5, 2), (3, 1, 7, 7), (1, 1, 2, 3), (6, 4, 1, 4)])
def test_figures_are_those_of_a_slow_twin(shape: tuple[int, ...]) -> None:
    weights = weights_of(sum(shape), *shape)
    dead = int(shape[0] > 3)
    weights[1 : 1 + dead] = 0
    row = measured(weights)
    assert (row.kernel, row.channels, row.dead) == (shape[2:], shape[0], dead)
    for axis, found in enumerate((row.height, row.width)):
        if shape[2 + axis] == 1:
            assert found is None
            continue
        assert found is not None
        skew, asymmetry = slow_skew(weights, axis)
        assert isclose(found.skew, skew, abs_tol=1e-7)
        assert isclose(found.asymmetry, asymmetry, abs_tol=1e-6)


def axes(row: MeanFilter) -> tuple[AxisSkew, AxisSkew]:
    assert row.height is not None
    assert row.width is not None
    return row.height, row.width


def test_a_folded_batch_normalisation_leaves_d_as_it_is() -> None:
    weights = weights_of(1, 12, 5, 3, 3)
    scales = np.random.default_rng(2).normal(size=(12, 1, 1, 1)).astype(np.float32)
    plain, folded = axes(measured(weights))[0], axes(measured(weights * scales))[0]
    assert isclose(plain.skew, folded.skew, abs_tol=1e-7)
    assert not isclose(plain.asymmetry, folded.asymmetry, rel_tol=0.01)


def test_channels_that_folding_makes_vanish_are_left_out_before_it_too() -> None:
    """Weight decay leaves 1e-6 of a channel that is not used; its scale is as small, and folding multiplies them."""
    weights = weights_of(8, 12, 5, 3, 3)
    weights[:4] *= 1e-6
    weights[:4, :, 2] *= 9  # and they lean
    scales = np.where(np.arange(12) < 4, 1e-7, 1.0).reshape(12, 1, 1, 1)
    plain, folded = measured(weights), measured(weights * scales)
    assert (plain.dead, folded.dead) == (4, 4)
    assert (axes(plain), plain.channels) == (axes(folded), 12)
    assert plain.height == measured(weights[4:]).height


def test_a_channel_is_dead_up_to_a_ten_thousandth_of_the_median() -> None:
    weights = np.ones((5, 1, 3, 3))
    weights[0], weights[1] = 2.0**-13, 2.0**-14  # .00012 and .00006
    assert measured(weights).dead == 1


def test_p_is_the_share_of_sign_flips_that_lean_as_much() -> None:
    weights = weights_of(4, 9, 3, 3, 3)
    weights[:7, :, 2] *= 1.3
    found = axes(measured(weights))[0]
    sizes = np.abs(weights).mean(1).sum(2)
    skews = (sizes[:, 2] - sizes[:, 0]) / sizes.sum(1)
    flips = np.array([*product([-1, 1], repeat=9)])
    exact = float((np.abs(flips @ skews) >= abs(skews.sum()) * (1 - 1e-9)).mean())
    assert abs(found.p - exact) < 4 * (exact * (1 - exact) / 999) ** 0.5 + 0.001
    assert found.z is not None
    assert isclose(found.z, skews.mean() / (skews.std(ddof=1) / 3), rel_tol=1e-5)
    odd = (weights.mean(1) - weights.mean(1)[:, ::-1]).reshape(9, -1)
    sizes = np.linalg.norm(flips @ odd, axis=1)
    exact = float((sizes >= np.linalg.norm(odd.sum(0)) * (1 - 1e-6)).mean())
    assert abs(found.asymmetry_p - exact) < 4 * (exact * (1 - exact) / 999) ** 0.5 + 0.001
    assert (axes(measured(weights[:1]))[0].p, axes(measured(weights[:1]))[0].z) == (1.0, None)


def test_the_skew_is_what_half_a_turn_changes() -> None:
    weights = np.ones((2, 1, 3, 3), dtype=np.float32)
    weights[:, :, 2, 2] = 3
    expected = np.zeros((3, 3))
    expected[2, 2], expected[0, 0] = 1, -1
    np.testing.assert_allclose(measured(weights).skew, expected / (11 / 9))  # type: ignore[arg-type]


@pytest.mark.parametrize(("values", "dead", "why"), [
    ([0, 0], 4, "weights are all 0"),
    ([np.nan, 1], 0, "weights are NaN or infinite"),
    ([np.inf, -np.inf], 0, "weights are NaN or infinite"),
])  # fmt: skip
def test_weights_of_which_nothing_is_measured_are_told(values: list[float], dead: int, why: str) -> None:
    weights = weights_of(5, 4, 3, 3, 3) if any(values) else np.zeros((4, 3, 3, 3))
    weights[0, :2, 0, 0] = values
    with warnings.catch_warnings(action="error"):
        (row,) = filters_of(as_trained(convolution(weights), 32, None)).rows
        with pytest.raises(padviz.PadvizError, match=why):
            padviz.filters(convolution(weights), 32)
    assert (row.dead, row.why, row.mean, row.skew, row.axes, row.strides) == (dead, why, None, None, (), (1, 1))


class Twice(nn.Conv2d):
    """One convolution on maps of two sizes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.relu(super().forward(x)))


@pytest.mark.parametrize(("size", "offset", "consumed"), [(33, 0, (1, 1)), (32, None, (1, 0))])
def test_weights_that_layers_share_are_counted_once(size: int, offset: float | None, consumed: Any) -> None:
    (row,) = padviz.filters(Twice(3, 3, 3, stride=2, padding=1), size).rows
    assert (row.uses, axes(row)[0].offset, axes(row)[0].consumed) == (2, offset, consumed)


def test_grid_and_padding_go_with_each_axis() -> None:
    first = convolution(weights_of(6, 4, 3, 3, 3), stride=2)
    found = padviz.filters(nn.Sequential(nn.ZeroPad2d((0, 1, 1, 0)), first, nn.ConvTranspose2d(4, 3, 2, 2)), 32)
    tall, wide = axes(found.rows[0])
    assert (tall.offset, tall.consumed, wide.offset, wide.consumed) == (-0.5, (1, 0), 0.5, (0, 1))
    assert [group[:4] for group in found.groups] == [(True, -1, 1, 1), (True, 1, -1, 1)]
    assert (found.rows[1].kind, found.rows[1].strided) == ("convtranspose", False)
    assert (len(found.off_centre), found.went_with) == (2, (tall.skew > 0) + (wide.skew < 0))


def test_transposed_and_grouped_weights_are_those_of_channels_out() -> None:
    module = nn.ConvTranspose2d(6, 4, 3, groups=2, bias=False)
    (row,) = padviz.filters(module, 16).rows
    stored = module.weight.detach().numpy()  # (6, 2, 3, 3): groups of 3 channels in make 2 each
    by_hand = np.stack([stored[g * 3 : g * 3 + 3, o] for g in range(2) for o in range(2)])
    assert row.channels == 4
    assert row.mean is not None
    np.testing.assert_allclose(row.mean, by_hand.mean((0, 1)), atol=1e-6)
    assert isclose(axes(row)[0].skew, slow_skew(by_hand, 0)[0], abs_tol=1e-6)


def test_layers_can_be_picked_and_nothing_to_measure_is_said() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 5))
    assert [row.layer for row in padviz.filters(module, 32, layer="2").rows] == ["2"]
    assert len(padviz.filters(module, 32).rows) == 2
    with pytest.raises(DescriptionError, match="no convolution of several taps among those layers"):
        padviz.filters(module, 32, layer=["0"])


class Flipped(nn.Sequential):
    """A convolution, and what padviz does not follow."""

    def forward(self, x: Tensor) -> Tensor:
        return self[1](self[0](x).flip(2))


def test_what_lies_before_something_unknown_can_be_measured() -> None:
    module = Flipped(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    with pytest.raises(padviz.PadvizError, match="`layer` 0 stops before it"):
        padviz.filters(module, 32)
    (row,) = padviz.filters(module, 32, layer="0").rows
    assert axes(row)[0].offset == 0
