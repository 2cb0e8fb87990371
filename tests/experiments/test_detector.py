"""The experiment of detectors and padding: two arms are trained for a few steps, and its parts checked."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import padviz
from tests.sweeps import SLOW
from tests.wheels import digits

pytestmark = SLOW
ROOT = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def experiment() -> Any:
    """Import the experiment's modules by their names."""
    sys.path.insert(0, str(ROOT))
    yield {name: import_module(f"detector{name}") for name in ("", "_scenes", "_training", "_figure")}
    sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def marks(experiment: Any) -> Any:
    return experiment["_scenes"].scaled(experiment["_scenes"].digits(digits())[0].numpy())


def test_two_arms_are_trained_and_make_a_table(
    experiment: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, page = tmp_path / "runs.jsonl", tmp_path / "page.md"
    page.write_text("before\n<!-- detector -->\nold\n<!-- /detector -->\nafter\n")
    asked = [str(digits()), "--seeds", "1", "--steps", "8", "--jobs", "1", "--runs", str(kept)]
    asked += ["--tasks", "stride 4, rim unseen", "--arms", "zero;reflect"]
    experiment[""].main([*asked, "-o", str(tmp_path / "d.png"), "--page", str(page), "--coco", str(tmp_path)])
    (ring,) = padviz.rings(tmp_path / "instances.json", tmp_path / "results.json", rings=1, iou=[0.2, 0.5, 0.75])
    assert [100 * ring.ap[name].value for name in ("20", "50", "75")] == pytest.approx(experiment[""].kept(kept)[0].ap)
    runs = experiment[""].kept(kept)
    assert [(run.task, run.arm) for run in runs] == [("stride 4, rim unseen", arm) for arm in ("zero", "reflect")]
    assert all(0 <= value <= 100 for run in runs for value in run.ap + run.rings)
    said = capsys.readouterr().out
    assert "| SSD of the slides | mirror | 83.2 | 57.0 | 8.4 | | | |" in said
    assert page.read_text().startswith("before\n<!-- detector -->\n| detector | padding |")
    assert page.read_text().endswith("\n<!-- /detector -->\nafter\n")
    assert (tmp_path / "d.png").stat().st_size > 20_000
    experiment[""].main(asked)  # nothing is trained again
    assert len(kept.read_text().splitlines()) == 2


@pytest.mark.parametrize("option", [["--tasks", "stride 5"], ["--arms", "zero;mirror"]])
def test_names_of_none_are_refused(experiment: Any, option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        experiment[""].main([str(digits()), *option])
    assert ended.value.code == 2
    assert "is none of" in capsys.readouterr().err


def test_arms_differ_in_their_padding_alone(experiment: Any) -> None:
    training = experiment["_training"]
    for task in training.TASKS:
        for arm in training.ARMS:
            net: nn.Module = training.network(task)
            size = task.size + arm.larger
            padded = padviz.repad(net, arm.scheme, size=size) if arm.scheme else net
            cells = -(-size // task.stride)
            assert padded(torch.zeros(1, 1, size, size)).shape == (1, 5, cells, cells)
            assert sum(each.numel() for each in padded.parameters()) == sum(each.numel() for each in net.parameters())
        assert padviz.uneven(net, task.size + 1).balanced
        assert not padviz.uneven(net, task.size).balanced


@pytest.mark.parametrize(("size", "stride"), [(96, 4), (97, 4), (96, 16), (160, 32)])
def test_what_is_to_be_said_is_read_back(experiment: Any, marks: Any, size: int, stride: int) -> None:
    """A network that says of each scene what it is to say finds all but those that share a cell or a peak."""
    training = experiment["_training"]
    of = experiment["_scenes"].pictures(marks, 100, size, 0)
    cells = -(-size // stride)
    heat, where, said = training.targets(torch.from_numpy(of.box), cells, stride)
    out = torch.full((len(of.pixels), 5, cells, cells), 0.0)
    out[:, 0] = torch.logit(heat * 0.99 + 0.001)
    image, row, column = where.T
    out[image, 1:, row, column] = said
    shared = 1 - len({tuple(each) for each in where.tolist()}) / len(where)

    class Oracle(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return out[: len(x)] if len(x) == len(out) else out[self.part(len(x))]

        def part(self, n: int) -> slice:
            self.at = getattr(self, "at", -n) + n
            return slice(self.at, self.at + n)

    aps, _ = experiment[""].judged(training.found_in(Oracle(), of, stride))
    assert aps[1] > 100 * (1 - shared) - 12


@pytest.mark.parametrize("turn", range(8))
def test_boxes_turn_with_their_images(experiment: Any, turn: int) -> None:
    training = experiment["_training"]
    x, box = torch.zeros(1, 1, 9, 9), torch.tensor([[[1, 5, 2, 3]]])
    x[..., 5:8, 1:3] = 1
    ((left, top, width, height),) = training.turned_boxes(box, turn, 9)[0].tolist()
    there = torch.zeros(9, 9)
    there[top : top + height, left : left + width] = 1
    assert torch.equal(training.turned(x, turn)[0, 0], there)


def test_digits_of_the_training_keep_off_the_border_and_clutter_does_not(experiment: Any, marks: Any) -> None:
    of = experiment["_scenes"].pictures(marks, 200, 96, 0, inside=16)
    centre = of.box[..., :2] + of.box[..., 2:] / 2
    assert centre.min() >= 15
    assert centre.max() <= 81
    anywhere = experiment["_scenes"].pictures(marks, 200, 96, 0).box
    assert anywhere[..., :2].min() == 0
    assert anywhere[..., 2:].min() < 8  # some are cut
    rim = of.pixels[:, :4].max((1, 2)) - of.pixels[:, :4].min((1, 2))
    assert rim.max() > 1  # strokes


def test_ground_has_no_phase(experiment: Any) -> None:
    ground = experiment["_scenes"].ground(np.random.default_rng(0))
    steps = np.abs(np.diff(ground, axis=1)).mean(0)
    by_phase = [steps[phase::4].mean() for phase in range(4)]
    assert max(by_phase) / min(by_phase) < 1.05


def test_a_frame_slides_about_its_digit(experiment: Any) -> None:
    figure = experiment["_figure"]
    tall, at = figure.scenes_to_slide(digits())
    assert len(tall) == len(at) == figure.SCENES
    for away in (0, 16, figure.FARTHEST):
        frames = figure.framed(tall, at, away)
        assert frames.shape == (figure.SCENES, 96, 96)
    row, column = np.round(at[5, ::-1]).astype(int)
    assert figure.framed(tall, at, 16)[5, 16, 48] == tall[5, row, column]
