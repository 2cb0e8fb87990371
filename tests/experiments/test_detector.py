"""The experiment of detectors and padding: two arms are trained for a few steps, and its parts checked."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
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
def experiment() -> ModuleType:
    sys.path.insert(0, str(ROOT))
    spec = spec_from_file_location("detector", ROOT / "detector.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules["detector"] = module
    spec.loader.exec_module(module)
    sys.path.remove(str(ROOT))
    return module


@pytest.fixture(scope="module")
def marks(experiment: ModuleType) -> Any:
    return experiment.digits(digits())[0].numpy()


def test_two_arms_are_trained_and_make_a_table(experiment: ModuleType, marks: Any) -> None:
    rows = experiment.run(marks, experiment.ARMS[:2], 1, steps=12, images=64)
    assert [*rows] == ["zero", "reflect"]
    assert all(0 <= value <= 100 for seeds in rows.values() for seed in seeds for value in seed.values())
    text = experiment.table(rows)
    assert "| the deck's SSD, mirror | 83.2 | 57.0 | 8.4 | | |" in text
    assert "1 seeds" in text


def test_arms_differ_in_their_padding_alone(experiment: ModuleType) -> None:
    for arm in experiment.ARMS:
        torch.manual_seed(0)
        net: nn.Module = experiment.Net()
        padded = padviz.repad(net, arm.scheme, size=arm.size) if arm.scheme else net
        cells = -(-arm.size // 4)
        assert padded(torch.zeros(1, 1, arm.size, arm.size)).shape == (1, 5, cells, cells)
        assert sum(each.numel() for each in padded.parameters()) == sum(each.numel() for each in net.parameters())
    assert padviz.uneven(experiment.Net(), 97).balanced
    assert not padviz.uneven(experiment.Net(), 96).balanced


@pytest.mark.parametrize("size", [96, 97])
def test_what_is_to_be_said_is_read_back(experiment: ModuleType, marks: Any, size: int) -> None:
    """A network that says of each scene what it is to say finds nearly all: two centres may share a peak."""
    of = experiment.pictures(marks, experiment.TEST // 3, size, 0)
    cells = -(-size // 4)
    heat, where, said = experiment.targets(of, np.arange(len(of.pixels)), cells)
    out = torch.full((len(of.pixels), 5, cells, cells), 0.0)
    out[:, 0] = torch.logit(heat * 0.99 + 0.001)
    image, row, column = where.T
    out[image, 1:, row, column] = said

    class Oracle(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return out

    assert experiment.figures(experiment.found_in(Oracle(), of))["all 0.5"] > 90


def test_maps_turned_and_turned_back_are_the_same(experiment: ModuleType) -> None:
    x = torch.rand(2, 1, 7, 7)
    for turn in range(8):
        maps = experiment.turned(x, turn).expand(2, 5, 7, 7)
        assert torch.equal(experiment.back(maps, turn)[:, 0], x[:, 0])


def test_ground_has_no_phase(experiment: ModuleType) -> None:
    grounds = np.stack([experiment.ground(np.random.default_rng(k), 96) for k in range(60)])
    steps = np.abs(np.diff(grounds, axis=2)).mean((0, 1))
    by_phase = [steps[phase::4].mean() for phase in range(4)]
    assert max(by_phase) / min(by_phase) < 1.05
