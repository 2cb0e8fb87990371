"""One language: each function takes what the command of its name takes, by the same names, with the same defaults."""

from __future__ import annotations

import inspect
from typing import Any

import click
import pytest

import padviz
from padviz.cli.group import COMMANDS, cli
from padviz.cli.vocabulary import parameter

PICTURE = {"dpi", "width", "theme", "cmap"}  # which `save` and `plot` take
TERMINAL = {*PICTURE, "format_", "o", "overwrite", "open_", "check", "no_picture"}  # a result saves itself
LOADING = {"neutral", "shape", "input_"}  # of `padviz.load`
PYTHON = {"network", "on_progress", "unfinished", "engine"}
OTHERWISE = {  # what is said in another way, as (option, parameter)
    "compare": {("model", "")},  # a list of networks
    "diff": {("", "other")},  # MODEL_B
    "export": {("", name) for name in ("source", "folder", "on_outcome", "on_note", *sorted(LOADING))},
    "repad": {("", "share")},
    "responses": {("no_shuffled", "shuffled")},
    "tiles": {("for_", ""), ("chunk", ""), ("verify", ""), ("weights", "")},  # chunks, verify_tiles
    "uneven": {("taps", "")},  # padviz.taps
    "usage": {("scale", "")},  # of plot()
}
DEFAULTS = {"size", "padding", "layer", "only", "except_", "jobs", "object_"}  # none, written otherwise


def options_of(name: str) -> dict[str, click.Option]:
    """List the options of a command by the names that Python has for them."""
    command: Any = cli.get_command(None, name)  # type: ignore[arg-type]
    options = [param for param in command.params if isinstance(param, click.Option)]
    return {parameter(max(option.opts, key=len).lstrip("-")): option for option in options}


@pytest.mark.parametrize("name", COMMANDS)
def test_functions_take_what_commands_take(name: str) -> None:
    parameters = inspect.signature(getattr(padviz, name)).parameters
    otherwise = OTHERWISE.get(name, set())
    options = {*options_of(name)} - TERMINAL - LOADING - {option for option, _ in otherwise}
    assert options == {*parameters} - PYTHON - TERMINAL - {name for _, name in otherwise}


def test_verify_tiles_takes_what_tiles_takes_with_verify() -> None:
    parameters = inspect.signature(padviz.verify_tiles).parameters
    assert {*parameters} - PYTHON - {"seed"} <= {*options_of("tiles")}


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_those_of_commands(name: str) -> None:
    parameters = inspect.signature(getattr(padviz, name)).parameters
    for option, of in options_of(name).items():
        if option not in parameters or option in DEFAULTS | TERMINAL:
            continue
        default = parameters[option].default
        if of.is_flag:
            assert default is False, option
        else:
            told = None if of.to_info_dict()["default"] is None else of.default
            assert default == told or (told is None and default in ((), inspect.Parameter.empty)), option


def test_nothing_that_is_listed_is_gone() -> None:
    for name, pairs in OTHERWISE.items():
        parameters = inspect.signature(getattr(padviz, name)).parameters
        for option, called in pairs:
            assert not option or option in options_of(name)
            assert not called or called in parameters
