"""Programs of torch.export as networks: they count as the modules that they were made of."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.nn import functional

import padviz
from padviz.errors import PadvizError


class Joining(nn.Module):
    """What exported programs have other names for: slices, pads, resizes, concatenations."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.up, self.last = nn.ConvTranspose2d(4, 4, 2, 2), nn.Conv2d(11, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(x)
        near = functional.interpolate(functional.max_pool2d(y, 3, 1, 1), scale_factor=2)
        wide = functional.pad(self.up(y)[:, :, 2:-1], (0, 0, 1, 2))
        return self.last(torch.cat([x, wide, near], 1)).sigmoid()


def exported(module: nn.Module, size: tuple[int, int], open_: bool) -> Any:
    """The program of a module, which takes multiples of 16 if its size is open."""
    shapes = ({2: 16 * Dim("h", max=20), 3: 16 * Dim("w", max=20)},) if open_ else None
    return export(module.eval(), (torch.zeros(1, 3, *size),), dynamic_shapes=shapes)


@pytest.mark.parametrize(("decomposed", "open_"), [(False, False), (True, True), (True, False)])
def test_an_exported_program_counts_as_its_module(decomposed: bool, open_: bool) -> None:
    module = Joining()
    made = exported(module, (64, 96), open_)
    program = (made.run_decompositions() if decomposed else made).module()
    network = padviz.load(program)
    assert network.size == (64, 96)
    for size in [(64, 96), (128, 48)][: 1 + open_]:
        np.testing.assert_array_equal(padviz.usage(program, size).counts, padviz.usage(module, size).counts)
    if not open_ and hasattr(program, "_guards_fn"):  # which older versions of PyTorch leave out: they follow any size
        for each in (network, program):
            with pytest.raises(PadvizError, match=r"its forward fails on 3 x 96 x 96.*Guard failed"):
                padviz.usage(each, (96, 96))


def test_an_exported_program_in_training_is_followed() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Dropout(), nn.Conv2d(4, 4, 3, padding=1)).train()
    program = export(module, (torch.zeros(1, 3, 16, 24),)).module()
    assert padviz.usage(program).max == 81
    assert program.training == module.training
