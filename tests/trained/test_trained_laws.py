"""Laws of what is measured of trained networks; mean filters against a slow twin."""

import warnings
from itertools import product
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import padviz
from padviz.errors import DescriptionError
from padviz.trained.border_responses import BorderResponse, Sides, border_responses
from padviz.trained.detecting.detectability import PositionMap
from padviz.trained.detecting.outputs import as_maps, fits, scorer_of
from padviz.trained.mean_filters import AxisSkew, MeanFilter, filters_of
from padviz.trained.networks.reading import as_trained
from padviz.trained.networks.torch_network import TorchRunner
from tests.torch_calls import to_onnx
from tests.trained.known import known, mirrored, turned

Pair = tuple[int, int]
GREY: dict[str, Any] = {"mean": (0.5,), "std": (0.5,)}
SHAPES: list[dict[str, Any]] = [
    {"kernel": (3, 3), "stride": (2, 2), "pads": (1, 0, 1, 0)},
    {"kernel": (3, 5), "stride": (2, 1), "pads": (0, 0, 1, 2)},
    {"kernel": (1, 4), "stride": (1, 2), "pads": (2, 1, 0, 0)},
    {"kernel": (5, 2), "stride": (1, 1), "pads": (0, 0, 2, 2)},
    {"kernel": (2, 2), "stride": (1, 2), "pads": (0, 0, 0, 0)},
]  # pads as in torch: left, right, top, bottom


def whole(kernel: Pair, stride: Pair, pads: tuple[int, ...]) -> nn.Sequential:
    """Two convolutions with whole weights, whose sums are exact in any order; the first is padded as asked."""
    draw = np.random.default_rng(7)
    convs = nn.Conv2d(2, 4, kernel, stride, bias=False), nn.Conv2d(4, 4, kernel, bias=False)
    for conv in convs:
        conv.weight.data = torch.from_numpy(
            draw.integers(-4, 5, conv.weight.shape).astype(np.float32)
        )
    return nn.Sequential(nn.ZeroPad2d(pads), convs[0], nn.ReLU(), convs[1])


def figures(axis: AxisSkew | None, mirrored: bool = False) -> list[Any]:
    """The figures of an axis; those that its mirror image has."""
    if axis is None:
        return []
    sign, pads = (-1, axis.used and axis.used[::-1]) if mirrored else (1, axis.used)
    z, offset = (None if each is None else sign * each for each in (axis.z, axis.offset))
    return [
        sign * axis.skew,
        axis.asymmetry,
        z,
        axis.p,
        axis.asymmetry_p,
        axis.stride,
        offset,
        *(pads or []),
    ]


def alike(one: list[Any], other: list[Any]) -> bool:
    return bool(one == pytest.approx(other, abs=1e-12))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_turned_network_has_turned_filters(shape: dict[str, Any]) -> None:
    net = whole(**shape)
    rows, others = padviz.filters(net, (24, 31)).rows, padviz.filters(turned(net), (31, 24)).rows
    assert len(rows) == len(others) == 2
    for row, other in zip(rows, others, strict=True):
        assert alike(figures(other.height), figures(row.width))
        assert alike(figures(other.width), figures(row.height))
        assert (other.kernel, other.stride, other.strided) == (
            row.kernel[::-1],
            row.stride[::-1],
            row.strided,
        )
        for name in ("mean", "magnitude", "exposure", "skew"):
            np.testing.assert_allclose(getattr(row, name).T, getattr(other, name), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_network_leans_the_other_way(shape: dict[str, Any], axis: int) -> None:
    size = tuple(shape["stride"][i] * 9 + shape["kernel"][i] - sum(shape["pads"][2:] if i == 0 else shape["pads"][:2])
                 for i in (0, 1))  # fmt: skip
    net = whole(**shape)
    rows, others = (padviz.filters(each, size).rows for each in (net, mirrored(net, axis)))
    for row, other in zip(rows, others, strict=True):
        assert alike(figures(other.height), figures(row.height, mirrored=axis == 0))
        assert alike(figures(other.width), figures(row.width, mirrored=axis == 1))


def measured(net: nn.Module, images: NDArray[Any]) -> tuple[BorderResponse, ...]:
    size = (images.shape[2], images.shape[3])
    return border_responses(TorchRunner(net.eval(), "net", size, images.shape[1]), images, None)


def pixels(*size: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).integers(0, 4, (6, 2, *size)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_turned_network_has_turned_responses_to_turned_images(shape: dict[str, Any]) -> None:
    images = pixels(40, 33)
    rows = measured(whole(**shape), images)
    others = measured(turned(whole(**shape)), images.swapaxes(2, 3))
    for row, other in zip(rows, others, strict=True):
        assert other.shape == row.shape[::-1]
        np.testing.assert_allclose(np.transpose(row.map), other.map, rtol=1e-5)  # type: ignore[arg-type]
        for one, back in ((row.energy, other.energy), (row.t, other.t)):
            expected = [*map(known, Sides(one.left, one.right, one.top, one.bottom))]
            np.testing.assert_allclose([*map(known, back)], expected, rtol=1e-3, atol=1e-5)
        assert (other.aware, other.scale) == (row.aware, pytest.approx(row.scale))
        for i, j in enumerate((2, 3, 0, 1)):
            np.testing.assert_allclose(row.profiles[i], other.profiles[j], rtol=1e-3, atol=1e-4)


def dark() -> nn.Sequential:
    """A detector of what is dark, of uneven padding and stride."""
    lifted, conv = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, (3, 5), (2, 1))
    for layer, weight, bias in ((lifted, 1.0, 0.1), (conv, -0.5, -2.0)):
        nn.init.constant_(layer.weight, weight), nn.init.constant_(layer.bias, bias)
    return nn.Sequential(lifted, nn.ZeroPad2d((3, 1, 0, 2)), conv, nn.Sigmoid()).eval()


def test_a_turned_detector_has_turned_positions() -> None:
    options: dict[str, Any] = {"height": 8, "step": 5, "contrast": 0.4, **GREY}
    own = padviz.detect(dark(), size=(38, 53), **options)
    back = padviz.detect(turned(dark()), size=(53, 38), **options)
    assert (back.tops, back.lefts, back.size) == (own.lefts, own.tops, own.size[::-1])
    one, other = own.maps[0], back.maps[0]
    np.testing.assert_allclose(one.values.T, other.values, atol=1e-6)
    edges = one.edges
    expected = [*map(known, Sides(edges.left, edges.right, edges.top, edges.bottom))]
    assert [*map(known, other.edges)] == pytest.approx(expected, abs=1e-6)
    assert max(abs(each) for each in expected) > 0.01
    assert (one.phase.stride, other.phase.stride, other.blind) == ((2, 1), (1, 2), one.blind)
    assert known(other.phase.explained) == pytest.approx(known(one.phase.explained), abs=1e-4)


def test_a_mirrored_detector_has_mirrored_edges() -> None:
    options: dict[str, Any] = {"size": (41, 56), "height": 8, "step": 1, "contrast": 0.4, **GREY}
    one, other = (padviz.detect(net, **options).maps[0] for net in (dark(), mirrored(dark(), 0)))
    np.testing.assert_allclose(one.values[::-1], other.values, atol=1e-6)
    assert known(one.edges.top) == pytest.approx(known(other.edges.bottom), abs=1e-6)
    assert abs(known(one.edges.top) - known(one.edges.bottom)) > 0.01


def test_a_detector_and_its_file_agree(tmp_path: Path) -> None:
    options: dict[str, Any] = {"size": (38, 53), "height": 8, "step": 5, **GREY}
    to_onnx(dark(), tmp_path / "net.onnx", torch.zeros(1, 1, 38, 53))
    own, of_file = padviz.detect(dark(), **options), padviz.detect(tmp_path / "net.onnx", **options)
    assert (of_file.tops, of_file.lefts) == (own.tops, own.lefts)
    assert of_file.contrast == pytest.approx(own.contrast)
    np.testing.assert_allclose(of_file.maps[0].values, own.maps[0].values, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_a_file_and_its_module_have_the_same_filters(shape: dict[str, Any], tmp_path: Path) -> None:
    net = whole(**shape).eval()
    axes = {"x": {0: "n"}}
    to_onnx(
        net, tmp_path / "net.onnx", torch.zeros(2, 2, 24, 31), input_names=["x"], dynamic_axes=axes
    )
    of_file, of_net = (padviz.filters(each, (24, 31)) for each in (tmp_path / "net.onnx", net))
    for one, other in zip(of_file.rows, of_net.rows, strict=True):
        for axis, same in zip(one.axes, other.axes, strict=True):
            assert alike(figures(axis), figures(same))
        np.testing.assert_allclose(one.exposure, other.exposure, rtol=1e-12)  # type: ignore[arg-type]
    assert of_file.groups == of_net.groups


def position_map(*values: float, background: float = 0, **about: bool) -> PositionMap:
    return PositionMap(
        None, np.array([values], np.float64), np.full((1, len(values)), background), **about
    )


def test_scores_at_a_threshold_are_on_the_side_that_is_said() -> None:
    below_half = position_map(0.8, 0.8, 0.8, 0.4, 0.39)
    above_twice = position_map(0.25, 0.25, 0.25, 0.5, 0.51, threshold=True)
    # the median
    assert below_half.hidden.tolist() == above_twice.hidden.tolist() == [[False] * 4 + [True]]
    assert position_map(0.5, 0.6, 0.49, 0.2).consistency == 2 / 3  # .5 is seen


@pytest.mark.parametrize(("scores", "about", "reacts"), [
    ([0.25, 0.26], {"background": 0.25}, True),  # by .01
    ([0.25, 0.2599], {"background": 0.25}, False),
    ([0.2, 0.3], {"background": 0.49, "threshold": True}, True),
    ([np.inf, np.inf], {"background": 0.49, "threshold": True}, False),
    ([0.2, 0.3], {"background": 0.5, "threshold": True}, False),  # the background is seen
    ([0.2, 0.3], {"background": 0.5, "threshold": True, "below": True}, True),  # the background is lost
    ([0.2, 0.3], {"background": 0.49, "threshold": True, "below": True}, False),
])  # fmt: skip
def test_a_map_reacts_from_a_hundredth_on_or_where_a_threshold_is_reached(
    scores: list[float], about: dict[str, Any], reacts: bool
) -> None:
    assert position_map(*scores, **about).reacts == reacts


def test_maps_are_told_from_class_scores_at_three_rows() -> None:
    for shape, kind in (
        ((2, 5, 3, 3), "map"),
        ((2, 3, 3), "map"),
        ((2, 7, 1, 1), "classes"),
        ((2, 7), "classes"),
    ):
        assert scorer_of({"y": np.zeros(shape)}, (32, 32), "net", class_=0).kind == kind
    neither = [
        np.zeros(shape) for shape in ((2, 5, 2, 3), (2, 2, 3, 2), (2, 2, 3), (2, 3, 2), (7,))
    ]
    for outputs in (*neither, np.zeros((2, 5, 30, 30), np.complex64)):
        with pytest.raises(
            padviz.PadvizError, match="neither a map of the image, 32 x 32, nor class"
        ):
            scorer_of({"y": outputs}, (32, 32), "net")
    assert as_maps(np.zeros((2, 4, 5, 4)), (32, 32)).shape == (2, 4, 5, 4)
    assert as_maps(np.zeros((2, 4, 5, 3)), (32, 40)).shape == (2, 3, 4, 5)


def test_a_peak_is_the_largest_of_the_units_that_a_box_touches_or_of_the_nearest() -> None:
    draw = np.random.default_rng(0)
    maps, (high, wide) = draw.random((1, 1, 8, 6)), (32, 30)  # units of 4 x 5 pixels
    corners = np.sort(draw.integers(-9, 42, (200, 2, 2)), axis=1)  # also beyond the image
    corners[:, 1] += 1
    for (top, left), (bottom, right) in corners:
        rows = [i for i in range(8) if 4 * i < bottom and 4 * (i + 1) > top] or [
            0 if bottom <= 0 else 7
        ]
        columns = [i for i in range(6) if 5 * i < right and 5 * (i + 1) > left] or [
            0 if right <= 0 else 5
        ]
        found = scorer_of({"y": maps}, (high, wide), "net").scores(
            {"y": maps}, np.array([[top, left, bottom, right]])
        )
        assert found == maps[0, 0][np.ix_(rows, columns)].max()


@pytest.mark.parametrize("size", [(96, 160), (640, 352), (225, 161)])
def test_what_a_stride_makes_of_an_image_fits_it_and_a_list_of_boxes_does_not(size: Pair) -> None:
    for stride in (1, 2, 3, 8, 16):
        high, wide = (-(-n // stride) for n in size)
        assert all(
            fits(shape, size) for shape in ((high, wide), (high - 1, wide - 1), (high + 1, wide))
        )
        assert not any(
            fits(shape, size) for shape in ((84, high * wide), (high * wide, 85), (high, 3 * wide))
        )


@pytest.mark.parametrize(
    ("value", "score"), [(0.3, 0.3), (1.0, 1.0), (0.0, 0.0), (2.0, 0.8808), (-2.0, 0.1192)]
)
def test_a_single_class_is_scored_as_a_probability_or_by_a_sigmoid(
    value: float, score: float
) -> None:
    outputs = {"y": np.array([[value]])}
    found = scorer_of(outputs, (32, 32), "net").scores(outputs, np.zeros((1, 4), np.int64))
    assert found.tolist() == [pytest.approx(score, abs=1e-4)]
    ends = [
        scorer_of({"y": np.array([[0, most]])}, (32, 32), "net", class_=0).squashed
        for most in (1.0, 1.1)
    ]
    assert ends == [False, True]


def test_what_leans_nowhere_is_not_above_0() -> None:
    """Whole weights, of which each half has as much: D is 0, and not almost."""
    net = nn.Conv2d(1, 2, 3, stride=2, padding=1, bias=False)
    nn.init.ones_(net.weight)
    found = padviz.filters(net, 32)
    (row,) = found.rows
    assert [(axis.skew, axis.offset) for axis in row.axes] == [(0.0, -0.5)] * 2
    assert [group.positive for group in found.groups] == [0]


def convolution(weights: NDArray[Any], **options: Any) -> nn.Conv2d:
    out, into, *kernel = weights.shape
    made = nn.Conv2d(into * options.get("groups", 1), out, tuple(kernel), bias=False, **options)
    made.weight.data = torch.from_numpy(np.asarray(weights, dtype=np.float32))
    return made


def filter_of(weights: NDArray[Any], **options: Any) -> MeanFilter:
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


@pytest.mark.parametrize(
    "shape", [(5, 3, 3, 3), (4, 2, 5, 2), (3, 1, 7, 7), (1, 1, 2, 3), (6, 4, 1, 4)]
)
def test_figures_are_those_of_a_slow_twin(shape: tuple[int, ...]) -> None:
    weights = weights_of(sum(shape), *shape)
    dead = int(shape[0] > 3)
    weights[1 : 1 + dead] = 0
    row = filter_of(weights)
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
    plain, folded = axes(filter_of(weights))[0], axes(filter_of(weights * scales))[0]
    assert isclose(plain.skew, folded.skew, abs_tol=1e-7)
    assert not isclose(plain.asymmetry, folded.asymmetry, rel_tol=0.01)


def test_channels_that_folding_makes_vanish_are_left_out_before_it_too() -> None:
    """Weight decay leaves 1e-6 of a channel that is not used; its scale is as small, and folding multiplies them."""
    weights = weights_of(8, 12, 5, 3, 3)
    weights[:4] *= 1e-6
    weights[:4, :, 2] *= 9  # and they lean
    scales = np.where(np.arange(12) < 4, 1e-7, 1.0).reshape(12, 1, 1, 1)
    plain, folded = filter_of(weights), filter_of(weights * scales)
    assert (plain.dead, folded.dead) == (4, 4)
    assert (axes(plain), plain.channels) == (axes(folded), 12)
    assert plain.height == filter_of(weights[4:]).height


def test_a_channel_is_dead_up_to_a_ten_thousandth_of_the_median() -> None:
    weights = np.ones((5, 1, 3, 3))
    weights[0], weights[1] = 2.0**-13, 2.0**-14  # .00012 and .00006
    assert filter_of(weights).dead == 1


def test_p_is_the_share_of_sign_flips_that_lean_as_much() -> None:
    weights = weights_of(4, 9, 3, 3, 3)
    weights[:7, :, 2] *= 1.3
    found = axes(filter_of(weights))[0]
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
    assert (axes(filter_of(weights[:1]))[0].p, axes(filter_of(weights[:1]))[0].z) == (1.0, None)


def test_the_skew_is_what_half_a_turn_changes() -> None:
    weights = np.ones((2, 1, 3, 3), dtype=np.float32)
    weights[:, :, 2, 2] = 3
    expected = np.zeros((3, 3))
    expected[2, 2], expected[0, 0] = 1, -1
    np.testing.assert_allclose(filter_of(weights).skew, expected / (11 / 9))  # type: ignore[arg-type]


@pytest.mark.parametrize(("values", "dead", "why"), [
    ([0, 0], 4, "weights are all 0"),
    ([np.nan, 1], 0, "weights are NaN or infinite"),
    ([np.inf, -np.inf], 0, "weights are NaN or infinite"),
])  # fmt: skip
def test_weights_of_which_nothing_is_measured_are_told(
    values: list[float], dead: int, why: str
) -> None:
    weights = weights_of(5, 4, 3, 3, 3) if any(values) else np.zeros((4, 3, 3, 3))
    weights[0, :2, 0, 0] = values
    with warnings.catch_warnings(action="error"):
        (row,) = filters_of(as_trained(convolution(weights), 32, None)).rows
        with pytest.raises(padviz.PadvizError, match=why):
            padviz.filters(convolution(weights), 32)
    assert (row.dead, row.why, row.mean, row.skew, row.axes, row.strides) == (
        dead,
        why,
        None,
        None,
        (),
        (1, 1),
    )


class Twice(nn.Conv2d):
    """One convolution on maps of two sizes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.relu(super().forward(x)))


@pytest.mark.parametrize(("size", "offset", "used"), [(33, 0, (1, 1)), (32, None, (1, 0))])
def test_weights_that_layers_share_are_counted_once(
    size: int, offset: float | None, used: Any
) -> None:
    (row,) = padviz.filters(Twice(3, 3, 3, stride=2, padding=1), size).rows
    assert (row.uses, axes(row)[0].offset, axes(row)[0].used) == (2, offset, used)


def test_grid_and_padding_go_with_each_axis() -> None:
    first = convolution(weights_of(6, 4, 3, 3, 3), stride=2)
    found = padviz.filters(
        nn.Sequential(nn.ZeroPad2d((0, 1, 1, 0)), first, nn.ConvTranspose2d(4, 3, 2, 2)), 32
    )
    tall, wide = axes(found.rows[0])
    assert (tall.offset, tall.used, wide.offset, wide.used) == (-0.5, (1, 0), 0.5, (0, 1))
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
