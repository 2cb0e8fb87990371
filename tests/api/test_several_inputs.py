"""A module with two inputs: what the error of each public function advises works, in that function."""

import inspect
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import padviz
from tests.scoring.made import coco_files, scenes

SIZE = (40, 64)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 1)

    def forward(self, image: Tensor, timestep: Tensor | float) -> Tensor:
        made: Tensor = self.last(self.conv(image) * timestep)
        return made


class Mask(Two):
    def forward(self, image: Tensor, mask: Any) -> Tensor:  # type: ignore[override]
        assert mask.shape[1:] == image.shape[1:]
        made: Tensor = self.last(self.conv(image + mask))
        return made


PARAMETERS = {
    name: inspect.signature(function).parameters
    for name in padviz.__all__
    if inspect.isfunction(function := getattr(padviz, name))
}
TAKING = [name for name, parameters in PARAMETERS.items() if "network" in parameters]
RUN = ["detect", "responses", "seen", "trial", "verify_tiles"]  # which ask for one image
ARGUMENTS: dict[str, dict[str, Any]] = {  # beside the network, where a size is not enough
    "chunks": {"chunk": 16, "size": None},
    "compare": {"padding": ["zero", "reflect"]},
    "diff": {"other": "vgg11"},
    "explore": {"size": [SIZE], "padding": ["zero"]},
    "repad": {"padding": "reflect"},
    "rings": {"gt": "gt.json", "pred": "pred.json", "rings": 1},
    "seen": {"noise": True, "patch": 8, "grid": 5},
    "sizes": {"size": "30:60"},
    "tiles": {"tile": 16},
    "trial": {"noise": True, "trained_at": SIZE, "size": None},
}


def answer(name: str, network: Any) -> Any:
    return getattr(padviz, name)(**{"network": network, "size": SIZE} | ARGUMENTS.get(name, {}))


def advice(name: str, module: nn.Module) -> list[str]:
    with pytest.raises(padviz.PadvizError, match="missing 1 required positional argument") as error:
        answer(name, module)
    found = re.findall(r"padviz\.load\(network, .*?\}\)", str(error.value))
    assert len(found) == 2
    return found


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("module", "which"), [(Two, 0), (Mask, 1)], ids=["a number", "a tensor"])
@pytest.mark.parametrize("name", [name for name in TAKING if name not in ("chunks", *RUN)])
def test_what_the_error_advises_works(name: str, module: type[nn.Module], which: int) -> None:
    coco_files(scenes(0, images=2))
    torch.manual_seed(0)
    network = module().eval()
    said = advice(name, network)
    loaded = eval(said[which], {"padviz": padviz, "network": network})
    assert answer(name, loaded) is not None


@pytest.mark.parametrize("name", RUN)
def test_what_is_run_says_that_it_takes_one_image(name: str) -> None:
    network = Two().eval()
    loaded = eval(advice(name, network)[0], {"padviz": padviz, "network": network})
    with pytest.raises(padviz.PadvizError, match="can be analysed but not run; a module that wraps it and takes one"):
        answer(name, loaded)


def test_a_repadded_module_of_two_inputs_uses_its_pixels_as_asked() -> None:
    network = Two().eval()
    loaded = padviz.load(network, SIZE, shape={"timestep": 2})
    wrapped = padviz.repad(loaded, "reflect")
    assert isinstance(wrapped, nn.Module)
    again = padviz.load(wrapped, SIZE, shape={"timestep": 2})
    assert (padviz.usage(again, SIZE).counts == padviz.usage(loaded, SIZE, padding="reflect").counts).all()
    assert padviz.filters(padviz.load(loaded))[0].layer == "conv"
