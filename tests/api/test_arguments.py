"""What `import padviz` takes: each function what the command of its name takes, by the same names and defaults."""

import builtins
import inspect
import keyword
from typing import Any

import click
import numpy as np
import pytest

import padviz
from padviz.cli import cli

nn = pytest.importorskip("torch.nn")
SMALL = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1))

PICTURE = {"dpi", "width", "theme", "cmap"}  # which `save` and `plot` take
TERMINAL = {*PICTURE, "format_", "o", "overwrite", "open_", "check", "no_picture"}  # a result saves itself
LOADING = {"neutral", "shape", "input_"}  # of `padviz.load`
PYTHON = {"network", "on_progress", "unfinished", "engine"}
OTHERWISE = {  # what is said in another way, as (option, parameter)
    "compare": {("model", "")},  # a list of networks
    "detect": {(name, "") for name in ("cover", "grid", "images", "n", "noise", "patch", "seed")},  # padviz.seen
    "diff": {("", "other")},  # MODEL_B
    "export": {("", name) for name in ("source", "folder", "on_outcome", "on_note", *sorted(LOADING))},
    "repad": {("", "share")},
    "responses": {("no_shuffled", "shuffled")},
    "tiles": {("for_", ""), ("chunk", ""), ("verify", ""), ("weights", "")},  # chunks, verify_tiles
    "uneven": {("taps", "")},  # padviz.taps
    "usage": {("scale", "")},  # of plot()
}
DEFAULTS = {"size", "padding", "layer", "only", "except_", "jobs", "object_"}  # none, written otherwise
COMMANDS = cli.list_commands(None)  # type: ignore[arg-type]


def options_of(name: str) -> dict[str, click.Option]:
    command: Any = cli.get_command(None, name)  # type: ignore[arg-type]
    options = {}
    for option in command.params:
        if isinstance(option, click.Option):
            python = max(option.opts, key=len).lstrip("-").replace("-", "_")
            options[f"{python}_" if keyword.iskeyword(python) or hasattr(builtins, python) else python] = option
    return options


@pytest.mark.parametrize("name", COMMANDS)
def test_functions_take_what_commands_take_with_their_defaults(name: str) -> None:
    parameters, options = inspect.signature(getattr(padviz, name)).parameters, options_of(name)
    otherwise = OTHERWISE.get(name, set())
    assert {option for option, _ in otherwise} <= {"", *options}
    assert {called for _, called in otherwise} <= {"", *parameters}
    taken = {*options} - TERMINAL - LOADING - {option for option, _ in otherwise}
    assert taken == {*parameters} - PYTHON - TERMINAL - {called for _, called in otherwise}
    for option in taken & {*parameters} - DEFAULTS:
        default, of = parameters[option].default, options[option]
        said = None if of.to_info_dict()["default"] is None else of.default
        if of.is_flag:
            assert default is False, option
        else:
            assert default == said or (said is None and default in ((), inspect.Parameter.empty)), option


def test_verify_tiles_takes_what_tiles_takes_with_verify() -> None:
    parameters = inspect.signature(padviz.verify_tiles).parameters
    assert {*parameters} - PYTHON - {"seed"} <= {*options_of("tiles")}


@pytest.mark.parametrize(
    ("function", "network", "arguments", "says"),
    [
        *(
            (padviz.usage, "vgg11", {"size": size}, "size")
            for size in (2.5, True, b"ab", {64}, "64", (64, 64.0), [64, True])
        ),
        *((padviz.usage, "vgg11", {"unit": unit}, "unit") for unit in (5, (1,), (1, 2, 3), "1,1", (1.0, 1), (2, 0))),
        *((padviz.usage, "vgg11", {"unit": (part, 0)}, "unit") for part in (slice(0, 2, 2), slice(0, 99))),
        *((padviz.usage, "vgg11", {"layer": layer}, "layer") for layer in (5, [None], b"x", [["a"]], [])),
        *((padviz.load, network, {}, "is not a network") for network in (None, 5, b"vgg11")),
        *((padviz.detect, SMALL, {"step": step}, "step") for step in (0, -3, 2.5)),
        (padviz.detect, SMALL, {"height": 0}, "height: 0: must be an integer, at least 1"),
        (padviz.detect, SMALL, {"image": "a.png", "shift": -1}, "shift: -1: must be an integer, at least 0"),
        *((each, SMALL, {"noise": True, "seed": -1, "size": None}, "seed") for each in (padviz.trial, padviz.seen)),
        (padviz.seen, SMALL, {"noise": True, "n": 1.5}, "n: 1.5: must be an integer, 1 to 10,000"),
        (padviz.responses, SMALL, {"seed": -1}, "seed: -1: must be an integer, at least 0"),
        (padviz.usage, "vgg11", {"padding": []}, "padding"),
        (padviz.load, "vgg11", {"size": 0}, "size: 0 is not one to three numbers of pixels"),
    ],
)
def test_arguments_are_checked(function: Any, network: Any, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(padviz.PadvizError, match=says):
        function(network, **({"size": 64} | arguments))


def test_numbers_of_numpy_and_lists_are_taken() -> None:
    counts = padviz.usage("vgg11", np.int64(64))
    assert counts.shape == padviz.usage("vgg11", (np.int32(64), np.uint8(64))).shape == (64, 64)
    assert padviz.usage("vgg11", 64, unit=(-1, slice(None))).unit == [[1, 2], [0, 2]]
    assert padviz.load(SMALL, [32, 40]).size == (32, 40)


def test_a_module_is_repadded_by_its_name_and_takes_no_options_of_files() -> None:
    assert padviz.repad("tests.api.test_arguments:SMALL", "reflect", 64, "1").repadded.changed == ("1",)
    for options in ({"even": True}, {"padding": "reflect", "except_": "conv1"}):
        with pytest.raises(padviz.PadvizError, match="is for ONNX files"):
            padviz.repad(nn.Conv2d(3, 8, 3, padding=1), **options)
