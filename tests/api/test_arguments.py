"""What `import padviz` takes: what the command of its name takes, and modules of two inputs as its errors advise."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import padviz
from padviz import options
from padviz.cli import cli
from padviz.cli.building import typed_of
from padviz.errors import PadvizError
from tests.scoring.made import coco_files, scenes

SMALL = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1))

COMMANDS = cli.list_commands(None)  # type: ignore[arg-type]
# Parameters that are not typed: another way to say something, what is shown as it goes, or how it is computed.
PYTHON = {"on_progress", "on_outcome", "on_note", "unfinished", "engine", "plan", "image", "share"}


def function_of(name: str) -> Any:
    return getattr(padviz, name.replace("-", "_"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_its_function(name: str) -> None:
    """Each parameter is typed under its own name, and what help says of a default is the function's."""
    function, command = function_of(name), cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    typed = {each.name: each for each in typed_of(function)}
    parameters = inspect.signature(function).parameters
    assert {*parameters} - {*typed} <= PYTHON
    shown = {option.name: option for option in command.params}
    for parameter, each in typed.items():
        option = shown[parameter]
        if isinstance(option, click.Option):
            assert option.help == getattr(each.option, "help", None)
            said = option.to_info_dict()["default"]
            assert said in (None, False) or said == parameters[parameter].default


def test_an_editor_is_led_to_the_option() -> None:
    """The annotation names the object that the command is made of."""
    annotation = inspect.signature(padviz.uneven, eval_str=True).parameters["padding"].annotation
    assert annotation.__metadata__ == (options.PADDING,)


@pytest.mark.parametrize(
    ("function", "network", "arguments", "says"),
    [
        *(
            (padviz.usage, "vgg11", {"size": size}, "size")
            for size in (2.5, True, b"ab", {64}, "64", (64, 64.0), [64, True])
        ),
        *(
            (padviz.usage, "vgg11", {"unit": unit}, "unit")
            for unit in (5, (1,), (1, 2, 3), "1,1", (1.0, 1), (2, 0))
        ),
        *(
            (padviz.usage, "vgg11", {"unit": (part, 0)}, "unit")
            for part in (slice(0, 2, 2), slice(0, 99))
        ),
        *(
            (padviz.usage, "vgg11", {"layer": layer}, "layer")
            for layer in (5, [None], b"x", [["a"]], [])
        ),
        *((padviz.load, network, {}, "is not a network") for network in (None, 5, b"vgg11")),
        *((padviz.detect, SMALL, {"step": step}, "step") for step in (0, -3, 2.5)),
        (padviz.detect, SMALL, {"height": 0}, "height: 0: must be an integer, at least 1"),
        (
            padviz.detect,
            SMALL,
            {"image": "a.png", "shift": -1},
            "shift: -1: must be an integer, at least 0",
        ),
        *(
            (each, SMALL, {"noise": True, "seed": -1, "size": None}, "seed")
            for each in (padviz.trial, padviz.seen)
        ),
        (padviz.seen, SMALL, {"noise": True, "n": 1.5}, "n: 1.5: must be an integer, 1 to 10,000"),
        (padviz.responses, SMALL, {"seed": -1}, "seed: -1: must be an integer, at least 0"),
        (padviz.usage, "vgg11", {"padding": []}, "padding"),
        (padviz.load, "vgg11", {"size": 0}, "size: 0 is not one to three numbers of pixels"),
    ],
)
def test_arguments_are_checked(
    function: Any, network: Any, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(padviz.PadvizError, match=says):
        function(network, **({"size": 64} | arguments))


def test_numbers_of_numpy_and_lists_are_taken() -> None:
    counts = padviz.usage("vgg11", np.int64(64))
    assert counts.shape == padviz.usage("vgg11", (np.int32(64), np.uint8(64))).shape == (64, 64)
    assert padviz.usage("vgg11", 64, unit=(-1, slice(None))).unit == [[1, 2], [0, 2]]
    assert padviz.load(SMALL, [32, 40]).size == (32, 40)


def test_a_module_is_repadded_by_its_name_and_takes_no_options_of_files() -> None:
    assert padviz.repad("tests.api.test_arguments:SMALL", "reflect", 64, "1").repadded.changed == (
        "1",
    )
    for given in ({"even": True}, {"padding": "reflect", "except_": "conv1"}):
        with pytest.raises(padviz.PadvizError, match="is for ONNX files"):
            padviz.repad(nn.Conv2d(3, 8, 3, padding=1), **given)


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
RUN = [
    "detect",
    "responses",
    "run_tiles",
    "seen",
    "trial",
    "verify",
]  # which ask for one image
ARGUMENTS: dict[str, dict[str, Any]] = {  # beside the network, where a size is not enough
    "compare": {"padding": ["zero", "reflect"]},
    "diff": {"other": "vgg11"},
    "explore": {"size": [SIZE], "padding": ["zero"]},
    "keeps": {"tile": 16},
    "repad": {"padding": "reflect"},
    "rings": {"gt": "gt.json", "pred": "pred.json", "rings": 1},
    "run_tiles": {"image": "image.npy", "output": "output.npy", "tile": 16},
    "seen": {"noise": True, "patch": 8, "grid": 5},
    "shards": {"shards": 2},
    "stream": {"chunk": 16, "size": None},
    "sizes": {"size": "30:60"},
    "tiles": {"tile": 16},
    "trial": {"noise": True, "trained_at": SIZE, "size": None},
}


def answer(name: str, network: Any) -> Any:
    given = {"network": network, "size": SIZE} | ARGUMENTS.get(name, {})
    if name == "run_tiles":  # which reads the size from the image
        np.save("image.npy", np.ones((3, *given.pop("size")), np.float32))
    return getattr(padviz, name)(**given)


def advice(name: str, module: nn.Module) -> list[str]:
    with pytest.raises(padviz.PadvizError, match="missing 1 required positional argument") as error:
        answer(name, module)
    found = re.findall(r"padviz\.load\(network, .*?\}\)", str(error.value))
    assert len(found) == 2
    return found


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("module", "which"), [(Two, 0), (Mask, 1)], ids=["a number", "a tensor"])
@pytest.mark.parametrize("name", [name for name in TAKING if name not in ("stream", *RUN)])
def test_what_the_error_advises_works(name: str, module: type[nn.Module], which: int) -> None:
    coco_files(scenes(0, images=2))
    torch.manual_seed(0)
    network = module().eval()
    said = advice(name, network)
    loaded = eval(said[which], {"padviz": padviz, "network": network})
    if name == "tiles" and module is Mask:  # which adds a number to each position
        with pytest.raises(padviz.PadvizError, match=r"add \(it differs by position\)"):
            answer(name, loaded)
        return
    assert answer(name, loaded) is not None


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", RUN)
def test_what_is_run_says_that_it_takes_one_image(name: str) -> None:
    network = Two().eval()
    loaded = eval(advice(name, network)[0], {"padviz": padviz, "network": network})
    with pytest.raises(
        padviz.PadvizError,
        match="can be analysed but not run; a module that wraps it and takes one",
    ):
        answer(name, loaded)


def test_a_repadded_module_of_two_inputs_uses_its_pixels_as_asked() -> None:
    network = Two().eval()
    loaded = padviz.load(network, SIZE, shape={"timestep": 2})
    wrapped = padviz.repad(loaded, "reflect")
    assert isinstance(wrapped, nn.Module)
    again = padviz.load(wrapped, SIZE, shape={"timestep": 2})
    assert (
        padviz.usage(again, SIZE).counts == padviz.usage(loaded, SIZE, padding="reflect").counts
    ).all()
    assert padviz.filters(padviz.load(loaded))[0].layer == "conv"


class Small(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(3, 4, 3)


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: padviz.tiles("vgg19", 224, tile="128"), "tile: '128' is not"),  # type: ignore[arg-type]
    (lambda: padviz.audit(Small, 64), "Small is a class, not a network; give Small()"),  # type: ignore[arg-type]
    (lambda: padviz.audit(padviz, 64), "padviz is a Python module"),  # type: ignore[arg-type]
    (lambda: padviz.audit(None, 64), "an object of type NoneType is not a network"),  # type: ignore[arg-type]
    (lambda: padviz.usage("vgg11", 64).plot(scale="x"), "scale: 'x': must be one of share, counts"),
    (
        lambda: padviz.compare("vgg11", [64, 96], scale="x"),
        "scale: 'x': must be one of share, counts",
    ),
]


@pytest.mark.parametrize(("call", "says"), WRONG)
def test_a_wrong_argument_is_named(call: Callable[[], object], says: str) -> None:
    with pytest.raises(PadvizError) as raised:
        call()
    assert str(raised.value).startswith(says)
