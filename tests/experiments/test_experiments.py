"""The experiments of grid offset and of detectors: two arms of each are trained for a few steps, its parts checked."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import padviz
from padviz.advice.evidence import SMALL
from tests.sweeps import SLOW
from tests.wheels import digits

pytestmark = SLOW
ROOT = Path(__file__).parents[2]
MODULES = ("grid_offset", "detector", "detector_scenes", "detector_training")


@pytest.fixture(scope="module")
def lab() -> Any:
    sys.path.insert(0, str(ROOT / "experiments"))
    yield SimpleNamespace(
        **{name.removeprefix("detector_"): import_module(name) for name in MODULES}
    )
    sys.path.remove(str(ROOT / "experiments"))


@pytest.fixture(scope="module")
def marks(lab: Any) -> Any:
    return lab.scenes.scaled(lab.scenes.digits(digits())[0].numpy())


def trained(experiment: Any, folder: Path, mark: str, head: str, *asked: str) -> list[Any]:
    """Train two arms: their runs, which are kept and not trained again, with a page and a picture."""
    kept, page, picture = folder / "runs.jsonl", folder / "page.md", folder / "picture.png"
    page.write_text(f"before\n<!-- {mark} -->\nold\n<!-- /{mark} -->\nafter\n")
    again = [str(digits()), "--seeds", "1", "--jobs", "1", "--runs", str(kept), *asked]
    experiment.main([*again, "-o", str(picture), "--page", str(page)])
    assert page.read_text().startswith(f"before\n<!-- {mark} -->\n{head}")
    assert page.read_text().endswith(f"\n<!-- /{mark} -->\nafter\n")
    assert picture.stat().st_size > 5000
    experiment.main(again)
    assert len(kept.read_text().splitlines()) == 2
    runs: list[Any] = experiment.kept(kept)
    return runs


def test_two_detectors_are_trained_and_make_a_table(lab: Any, tmp_path: Path, capsys: Any) -> None:
    asked = [
        "--steps",
        "8",
        "--tasks",
        "stride 4, rim unseen",
        "--arms",
        "zero;reflect",
        "--coco",
        str(tmp_path),
    ]
    runs = trained(lab.detector, tmp_path, "detector", "| detector | padding |", *asked)
    assert "| SSD of the slides | mirror | 83.2 | 57.0 | 8.4 | | | |" in capsys.readouterr().out
    assert [(run.task, run.arm) for run in runs] == [
        ("stride 4, rim unseen", arm) for arm in ("zero", "reflect")
    ]
    assert all(0 <= value <= 100 for run in runs for value in run.ap + run.rings)
    (ring,) = padviz.rings(
        tmp_path / "instances.json", tmp_path / "results.json", rings=1, iou=[0.2, 0.5, 0.75]
    )
    assert [100 * ring.figures[name].value for name in ("AP20", "AP50", "AP75")] == pytest.approx(
        runs[0].ap
    )


def test_arms_differ_in_their_padding_alone(lab: Any) -> None:
    for task in lab.training.TASKS:
        net: nn.Module = lab.training.network(task)
        for arm in lab.training.ARMS:
            size = task.size + arm.larger
            padded = padviz.repad(net, arm.scheme, size=size) if arm.scheme else net
            cells = -(-size // task.stride)
            assert padded(torch.zeros(1, 1, size, size)).shape == (1, 5, cells, cells)
            assert sum(each.numel() for each in padded.parameters()) == sum(
                each.numel() for each in net.parameters()
            )
        assert padviz.uneven(net, task.size + 1).balanced
        assert not padviz.uneven(net, task.size).balanced


@pytest.mark.parametrize(("size", "stride"), [(97, 4), (160, 32)])
def test_what_is_to_be_said_is_read_back(lab: Any, marks: Any, size: int, stride: int) -> None:
    """A network that says of each scene what it is to say finds all but those that share a cell or a peak."""
    of = lab.scenes.pictures(marks, 100, size, 0)
    cells = -(-size // stride)
    heat, where, said = lab.training.targets(torch.from_numpy(of.box), cells, stride)
    out = torch.full((len(of.pixels), 5, cells, cells), 0.0)
    out[:, 0] = torch.logit(heat * 0.99 + 0.001)
    image, row, column = where.T
    out[image, 1:, row, column] = said
    shared = 1 - len({tuple(each) for each in where.tolist()}) / len(where)

    class Oracle(nn.Module):
        at = 0

        def forward(self, x: Tensor) -> Tensor:
            self.at += len(x)
            return out[self.at - len(x) : self.at]

    aps, _ = lab.detector.judged(lab.training.found_in(Oracle(), of, stride))
    assert aps[1] > 100 * (1 - shared) - 12


@pytest.mark.parametrize("turn", range(8))
def test_boxes_turn_with_their_images(lab: Any, turn: int) -> None:
    x, box = torch.zeros(1, 1, 9, 9), torch.tensor([[[1, 5, 2, 3]]])
    x[..., 5:8, 1:3] = 1
    ((left, top, width, height),) = lab.training.turned_boxes(box, turn, 9)[0].tolist()
    there = torch.zeros(9, 9)
    there[top : top + height, left : left + width] = 1
    assert torch.equal(lab.training.turned(x, turn)[0, 0], there)


def test_the_network_is_as_described_its_offsets_are_padvizs_and_d_is_that_of_filters(
    lab: Any,
) -> None:
    experiment = lab.grid_offset
    torch.manual_seed(0)
    expected = {"32 zero": -3.5, "33 zero": 0, "32 far side": 3.5, "33 one-sided": 0, "33 one-sided AdamW": 0,
                "32 mirrored": -3.5, "32 circular": None, "32 pooled": 0, "38 no padding": -3.5,
                "39 no padding": 0}  # fmt: skip
    assert {arm.name: arm.offset for arm in experiment.ARMS} == expected
    for arm in experiment.ARMS:
        net = experiment.Net(arm).eval()
        assert sum(each.numel() for each in net.parameters()) == 39_790
        assert net(torch.zeros(2, 1, arm.size, arm.size)).shape == (2, 10)
        assert padviz.fields(net, arm.size)[-1].offsets == (arm.offset, arm.offset)
    net = experiment.Net(experiment.ARMS[0])
    found, error = experiment.leaning(net)
    own = [
        axis.skew for row in padviz.filters(net.eval(), 32).rows if row.strided for axis in row.axes
    ]
    assert np.allclose(found, own, atol=1e-6)
    assert 0.002 < error < 0.05


def test_edges_are_those_of_a_digit_at_them_minus_the_interior(lab: Any) -> None:
    class Rows(nn.Module):
        """Surer of class 1, the further down an image is ink."""

        def forward(self, x: Tensor) -> Tensor:
            ink = (x - x.median()).abs() > 0.9
            low = (ink * torch.arange(x.shape[2])[:, None]).sum((1, 2, 3)) / ink.sum((1, 2, 3))
            return torch.stack([torch.zeros(len(x)), (low - 16) / 4], dim=1)

    marks = torch.zeros(3, 22, 22)
    marks[:, 3:19, 3:19] = 3
    by_place = lab.grid_offset.scores(Rows(), 32, marks, torch.ones(3, dtype=torch.long))
    assert by_place.shape == (4, 4)
    assert (np.diff(by_place, axis=0) > 0.1).all()
    top, bottom, left, right = lab.grid_offset.edges_of(by_place)
    assert top < -0.2 < 0.2 < bottom
    assert max(abs(left), abs(right)) < 0.05
    run = lab.grid_offset.Run("32 zero", 0, [0.0] * 6, 0.0, 0.0, 0.0, [top, bottom, left, right])
    assert run.far == pytest.approx((bottom - top) / 2, abs=0.05)


def test_two_arms_lean_to_opposite_sides_and_see_less_there(
    lab: Any, tmp_path: Path, capsys: Any
) -> None:
    experiment = lab.grid_offset
    runs = trained(experiment, tmp_path, "experiment", "| arm |", "--arms", "32 zero,32 far side")
    near, far = experiment.results(runs)
    assert (
        f"| 32 zero | -3.5 | {near.skew[0]:+.3f} ± {near.skew[1]:.3f} |" in capsys.readouterr().out
    )
    assert (near.arm, far.arm) == ("32 zero", "32 far side")
    assert near.skew[0] - near.skew[1] > 0 > far.skew[0] + far.skew[1]
    assert near.far[0] < 0 < far.far[0]
    # each edge sees less than the interior
    assert max(edge for run in runs for edge in run.edges) < 0
    assert min(near.accuracy[0], far.accuracy[0]) > 0.6


def test_the_page_has_the_table_of_all_arms(lab: Any) -> None:
    page = (ROOT / "docs" / "evidence" / "experiment.md").read_text()
    table = page.partition("<!-- experiment -->")[2].partition("<!-- /experiment -->")[0]
    rows = {line.split(" | ")[0].strip("| "): line for line in table.splitlines() if " ± " in line}
    assert list(rows) == [arm.name for arm in lab.grid_offset.ARMS]
    spans = {}
    for name, line in rows.items():
        mean, half = (float(part) for part in line.split(" | ")[2].split(" ± "))
        spans[name] = mean - half, mean + half
    assert spans["32 zero"][0] > max(0.0, spans["33 zero"][1])
    assert spans["32 far side"][1] < min(0.0, spans["33 zero"][0])


def test_an_audit_states_the_size_and_the_rims_of_the_networks_that_were_trained(lab: Any) -> None:
    nets = [(lab.grid_offset.Net(lab.grid_offset.ARMS[0]), 32)]
    nets += [(lab.training.network(task), task.size) for task in lab.training.TASKS[:3]]
    convolutions, depths = [], []
    for net, size in nets:
        convolutions.append(sum(isinstance(module, nn.Conv2d) for module in net.modules()))
        rims = padviz.usage(net.eval(), size).rims
        assert rims
        depths += rims[0].depths
    few, many = min(convolutions), max(convolutions)
    said = f"({few} to {many} convolutions, rims of {min(depths)} to {max(depths)} px)"
    assert said in SMALL
