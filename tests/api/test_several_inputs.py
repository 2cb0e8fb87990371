"""A module with two inputs: what the error of each public function advises works, in that function."""

import inspect
import re
from collections.abc import Callable
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


PLAIN = ["audit", "convert", "costs", "coverage", "fields", "filters", "layers", "load", "taps", "uneven", "usage"]
ANSWERED: dict[str, Callable[[Any], Any]] = {
    name: lambda net, name=name: getattr(padviz, name)(net, SIZE) for name in PLAIN
} | {
    "chunks": lambda net: padviz.chunks(net, 16),
    "compare": lambda net: padviz.compare(net, SIZE, ["zero", "reflect"]),
    "diff": lambda net: padviz.diff(net, "vgg11", SIZE),
    "explore": lambda net: padviz.explore(net, [SIZE], padding=["zero"]),
    "repad": lambda net: padviz.repad(net, "reflect", SIZE),
    "rings": lambda net: padviz.rings("gt.json", "pred.json", net, SIZE, rings=1),
    "sizes": lambda net: padviz.sizes(net, "30:60"),
    "tiles": lambda net: padviz.tiles(net, SIZE, 16),
}
RUN: dict[str, Callable[[Any], Any]] = {  # which asks for one image
    "detect": lambda net: padviz.detect(net, size=SIZE),
    "responses": lambda net: padviz.responses(net, SIZE),
    "seen": lambda net: padviz.seen(net, noise=True, size=SIZE, patch=8, grid=5),
    "trial": lambda net: padviz.trial(net, noise=True, trained_at=SIZE),
    "verify_tiles": lambda net: padviz.verify_tiles(net, SIZE),
}
ELSEWHERE = {"export", "kernel", "networks", "read_counts", "tiled"}  # that take no module, or call it themselves


def test_every_public_function_that_takes_a_network_is_here() -> None:
    public = {name for name in padviz.__all__ if inspect.isfunction(getattr(padviz, name))}
    assert public == {*ANSWERED, *RUN, *ELSEWHERE}


def advice(ask: Callable[[Any], Any], module: nn.Module) -> list[str]:
    with pytest.raises(padviz.PadvizError, match="missing 1 required positional argument") as error:
        ask(module)
    found = re.findall(r"padviz\.load\(network, .*?\}\)", str(error.value))
    assert len(found) == 2
    return found


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("module", "which"), [(Two, 0), (Mask, 1)], ids=["a number", "a tensor"])
@pytest.mark.parametrize("name", [name for name in ANSWERED if name not in ("chunks", "load")])
def test_what_the_error_advises_works(name: str, module: type[nn.Module], which: int) -> None:
    coco_files(scenes(0, images=2))
    torch.manual_seed(0)
    network = module().eval()
    said = advice(ANSWERED[name], network)
    loaded = eval(said[which], {"padviz": padviz, "network": network})
    assert ANSWERED[name](loaded) is not None


@pytest.mark.parametrize("name", RUN)
def test_what_is_run_says_that_it_takes_one_image(name: str) -> None:
    network = Two().eval()
    loaded = eval(advice(RUN[name], network)[0], {"padviz": padviz, "network": network})
    with pytest.raises(padviz.PadvizError, match="can be analysed but not run; a module that wraps it and takes one"):
        RUN[name](loaded)


def test_a_repadded_module_of_two_inputs_uses_its_pixels_as_asked() -> None:
    network = Two().eval()
    loaded = padviz.load(network, SIZE, shape={"timestep": 2})
    wrapped = padviz.repad(loaded, "reflect")
    assert isinstance(wrapped, nn.Module)
    again = padviz.load(wrapped, SIZE, shape={"timestep": 2})
    assert (padviz.usage(again, SIZE).counts == padviz.usage(loaded, SIZE, padding="reflect").counts).all()
    assert padviz.filters(padviz.load(loaded))[0].layer == "conv"
