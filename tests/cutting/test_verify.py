"""A plan is held against the network itself: exact where it says so, and where it is not that is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import padviz
from padviz.cutting.plan import smallest_plan
from padviz.cutting.verify import verify
from padviz.errors import DescriptionError, OptionError
from tests.cutting.test_plan import MODULES, seeded
from tests.wheels import real_file

NORMED = seeded(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.Conv2d(4, 1, 3, padding=1)))


@pytest.mark.parametrize("name", MODULES)
def test_tiles_are_exact_and_one_unit_less_of_context_is_not(name: str) -> None:
    module, size, _ = MODULES[name]
    verified = padviz.verify_tiles(seeded(module), size)
    assert verified.tiles == 9
    assert verified.precision == "float64"
    assert verified.holds
    assert verified.difference < 1e-14
    if name == "u-net of valid convolutions":  # it makes no unit that is not right
        assert verified.one_less == {}
    else:
        assert verified.one_less.keys() == {"top", "bottom", "left", "right"}
        assert min(verified.one_less.values()) > 1e-9


def test_what_is_not_exact_is_seen() -> None:
    with pytest.raises(OptionError, match="no tiles are exact: 1 "):
        padviz.verify_tiles(NORMED, 64)
    verified = padviz.verify_tiles(NORMED, 64, ignore_norms=True)
    assert verified.difference > 0.01
    assert not verified.holds


def test_a_module_of_single_precision_inside_runs_as_it_is() -> None:
    class Single(nn.Module):
        weight = torch.rand(4, 3, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv2d(x, self.weight, padding=1)

    module = nn.Sequential(nn.Conv2d(3, 3, 1), Single())
    verified = padviz.verify_tiles(module, 32)
    assert verified.precision == "float32"
    assert verified.tolerance == 1e-5
    assert verified.holds


def test_a_real_detector_is_exact_up_to_its_first_gate_and_not_behind_it() -> None:
    path = real_file("ch_PP-OCRv4_det_infer")
    with pytest.raises(OptionError, match=r"no tiles are exact: p2o\.Mul\.110 \(gate\)"):
        padviz.verify_tiles(path)
    first = padviz.verify_tiles(path, layer="p2o.Conv.21")
    assert (first.precision, first.image, first.tile) == ("float32", (448, 448), (384, 384))
    assert first.holds
    assert min(first.one_less.values()) > first.tolerance
    whole = padviz.verify_tiles(path, layer="p2o.Conv.33", ignore_norms=True)
    assert whole.holds  # a branch with no gate
    gated = padviz.verify_tiles(path, layer="p2o.Mul.162", ignore_norms=True)
    assert gated.difference > 1e-3


def test_heads_are_compared_each_by_itself() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near, self.far = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 5, 2, padding=2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"a": self.near(x).relu(), "b": self.far(x).relu()}

    verified = padviz.verify_tiles(Two(), 64)
    assert verified.holds
    assert verified.one_less["top"] > 0.01


def test_a_network_that_makes_the_same_of_everything_shows_nothing() -> None:
    silent = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False), nn.Conv2d(2, 1, 3, padding=1, bias=False))
    nn.init.zeros_(silent[1].weight)
    with pytest.raises(DescriptionError, match="is the same everywhere for noise"):
        padviz.verify_tiles(silent, 32)


def test_an_image_that_would_take_too_long_is_refused() -> None:
    def never(image: object) -> list[np.ndarray]:
        raise AssertionError

    with pytest.raises(OptionError, match=r"runs the network on \d+ x \d+ px, which takes too long"):
        verify(never, padviz.load("densenet201"), (224, 224), 3)


@pytest.mark.parametrize("name", ["unet", "unet_padded", "resnet50", "vgg16"])
@pytest.mark.parametrize("size", [(512, 509), (700, 1311)])
def test_the_smallest_tiles_are_three_a_side_and_none_are_smaller(name: str, size: tuple[int, int]) -> None:
    network = padviz.load(name)
    plan = smallest_plan(network, size)
    assert [len(line.starts) for line in plan.lines] == [3, 3]
    step = plan.contexts[0][0].lattice
    for axis in (0, 1):
        assert (plan.image[axis] - size[axis]) % step == 0
        less = [n - step * (axis == i) for i, n in enumerate(plan.tile)]
        with pytest.raises(OptionError, match=f"a tile needs {plan.tile[axis]}"):
            padviz.tiles(network, plan.image, less)
