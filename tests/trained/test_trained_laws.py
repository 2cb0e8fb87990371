"""Laws of what is measured of trained networks: turning, mirroring, thresholds at equality, formats."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import padviz
from padviz.trained.border_responses import BorderResponse, Sides, border_responses
from padviz.trained.detecting.detectability import PositionMap
from padviz.trained.detecting.outputs import as_maps, fits, scorer_of
from padviz.trained.mean_filters import AxisSkew
from padviz.trained.networks.torch_network import TorchRunner
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
        conv.weight.data = torch.from_numpy(draw.integers(-4, 5, conv.weight.shape).astype(np.float32))
    return nn.Sequential(nn.ZeroPad2d(pads), convs[0], nn.ReLU(), convs[1])


def figures(axis: AxisSkew | None, mirrored: bool = False) -> list[Any]:
    """The figures of an axis; those that its mirror image has."""
    if axis is None:
        return []
    sign, pads = (-1, axis.consumed and axis.consumed[::-1]) if mirrored else (1, axis.consumed)
    z, offset = (None if each is None else sign * each for each in (axis.z, axis.offset))
    return [sign * axis.skew, axis.asymmetry, z, axis.p, axis.asymmetry_p, axis.stride, offset, *(pads or [])]


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
        assert (other.kernel, other.stride, other.strided) == (row.kernel[::-1], row.stride[::-1], row.strided)
        for name in ("mean", "magnitude", "exposure", "skew"):
            np.testing.assert_array_equal(getattr(row, name).T, getattr(other, name))


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


@pytest.mark.filterwarnings("ignore")
def test_a_detector_and_its_file_agree(tmp_path: Path) -> None:
    options: dict[str, Any] = {"size": (38, 53), "height": 8, "step": 5, **GREY}
    torch.onnx.export(dark(), (torch.zeros(1, 1, 38, 53),), tmp_path / "net.onnx", dynamo=False)
    own, of_file = padviz.detect(dark(), **options), padviz.detect(tmp_path / "net.onnx", **options)
    assert (of_file.tops, of_file.lefts) == (own.tops, own.lefts)
    assert of_file.contrast == pytest.approx(own.contrast)
    np.testing.assert_allclose(of_file.maps[0].values, own.maps[0].values, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", SHAPES[:3])
def test_a_file_and_its_module_have_the_same_filters(shape: dict[str, Any], tmp_path: Path) -> None:
    net = whole(**shape).eval()
    torch.onnx.export(net, (torch.zeros(2, 2, 24, 31),), tmp_path / "net.onnx", dynamo=False, input_names=["x"],
                      dynamic_axes={"x": {0: "n"}})  # fmt: skip
    of_file, of_net = (padviz.filters(each, (24, 31)) for each in (tmp_path / "net.onnx", net))
    for one, other in zip(of_file.rows, of_net.rows, strict=True):
        assert (one.height, one.width) == (other.height, other.width)
        np.testing.assert_array_equal(one.exposure, other.exposure)  # type: ignore[arg-type]
    assert of_file.groups == of_net.groups


def position_map(*values: float, background: float = 0, **about: bool) -> PositionMap:
    return PositionMap(None, np.array([values], np.float64), np.full((1, len(values)), background), **about)


def test_scores_at_a_threshold_are_on_the_side_that_is_said() -> None:
    below_half = position_map(0.8, 0.8, 0.8, 0.4, 0.39)
    above_twice = position_map(0.25, 0.25, 0.25, 0.5, 0.51, threshold=True)
    assert below_half.hidden.tolist() == above_twice.hidden.tolist() == [[False] * 4 + [True]]  # the median
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
    for shape, kind in (((2, 5, 3, 3), "map"), ((2, 3, 3), "map"), ((2, 7, 1, 1), "classes"), ((2, 7), "classes")):
        assert scorer_of({"y": np.zeros(shape)}, (32, 32), "net").kind == kind
    neither = [np.zeros(shape) for shape in ((2, 5, 2, 3), (2, 2, 3, 2), (2, 2, 3), (2, 3, 2), (7,))]
    for outputs in (*neither, np.zeros((2, 5, 30, 30), np.complex64)):
        with pytest.raises(padviz.PadvizError, match="neither a map of the image, 32 x 32, nor class"):
            scorer_of({"y": outputs}, (32, 32), "net")
    assert as_maps(np.zeros((2, 4, 5, 4)), (32, 32)).shape == (2, 4, 5, 4)
    assert as_maps(np.zeros((2, 4, 5, 3)), (32, 40)).shape == (2, 3, 4, 5)


def test_a_peak_is_the_largest_of_the_units_that_a_box_touches_or_of_the_nearest() -> None:
    draw = np.random.default_rng(0)
    maps, (high, wide) = draw.random((1, 1, 8, 6)), (32, 30)  # units of 4 x 5 pixels
    corners = np.sort(draw.integers(-9, 42, (200, 2, 2)), axis=1)  # also beyond the image
    corners[:, 1] += 1
    for (top, left), (bottom, right) in corners:
        rows = [i for i in range(8) if 4 * i < bottom and 4 * (i + 1) > top] or [0 if bottom <= 0 else 7]
        columns = [i for i in range(6) if 5 * i < right and 5 * (i + 1) > left] or [0 if right <= 0 else 5]
        found = scorer_of({"y": maps}, (high, wide), "net").all({"y": maps}, np.array([[top, left, bottom, right]]))
        assert found == maps[0, 0][np.ix_(rows, columns)].max()


@pytest.mark.parametrize("size", [(96, 160), (640, 352), (225, 161)])
def test_what_a_stride_makes_of_an_image_fits_it_and_a_list_of_boxes_does_not(size: Pair) -> None:
    for stride in (1, 2, 3, 8, 16):
        high, wide = (-(-n // stride) for n in size)
        assert all(fits(shape, size) for shape in ((high, wide), (high - 1, wide - 1), (high + 1, wide)))
        assert not any(fits(shape, size) for shape in ((84, high * wide), (high * wide, 85), (high, 3 * wide)))


@pytest.mark.parametrize(("value", "score"), [(0.3, 0.3), (1.0, 1.0), (0.0, 0.0), (2.0, 0.8808), (-2.0, 0.1192)])
def test_a_single_class_is_scored_as_a_probability_or_by_a_sigmoid(value: float, score: float) -> None:
    outputs = {"y": np.array([[value]])}
    found = scorer_of(outputs, (32, 32), "net").all(outputs, np.zeros((1, 4), np.int64))
    assert found.tolist() == [[pytest.approx(score, abs=1e-4)]]
    ends = [scorer_of({"y": np.array([[0, most]])}, (32, 32), "net").squashed for most in (1.0, 1.1)]
    assert ends == [False, True]


def test_what_leans_nowhere_is_not_above_0() -> None:
    """Whole weights, of which each half has as much: D is 0, and not almost."""
    net = nn.Conv2d(1, 2, 3, stride=2, padding=1, bias=False)
    nn.init.ones_(net.weight)
    found = padviz.filters(net, 32)
    (row,) = found.rows
    assert [(axis.skew, axis.offset) for axis in row.axes] == [(0.0, -0.5)] * 2
    assert [group.positive for group in found.groups] == [0]
