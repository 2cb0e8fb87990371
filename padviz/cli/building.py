"""Click commands made of functions: a parameter that is annotated with an option or an argument is
typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from inspect import Parameter, signature
from itertools import chain
from typing import Any, NamedTuple

import click

import padviz
from padviz import options
from padviz.cli import value_types
from padviz.cli.session import state
from padviz.errors import OptionError
from padviz.options import (
    Argument,
    Choice,
    Command,
    Flag,
    Input,
    Layer,
    Name,
    Option,
    Scheme,
    Size,
    Whole,
)

EXPORTED = (
    options.SIZE.name,
    options.PADDING.name,
    options.LAYER.name,
)  # of which an export takes several


class Typed(NamedTuple):
    """A parameter of a function that is typed in a command."""

    name: str
    option: Option | Argument
    default: object = None

    @property
    def required(self) -> bool:
        optional = isinstance(self.option, Argument) and self.option.optional
        return self.default is Parameter.empty and not optional

    @property
    def listed(self) -> bool:
        """Whether several values are taken."""
        return self.option.several or self.option.each


@cache
def record_of(name: str) -> Command:
    """Return how a command is made, which stands in the file of its function."""
    command: Command = import_module(getattr(padviz, name.replace("-", "_")).__module__).COMMAND
    return command


def typed_of(function: Callable[..., object]) -> list[Typed]:
    """Return the parameters of a function that are annotated as options or arguments."""
    typed = []
    for name, parameter in signature(function, eval_str=True).parameters.items():
        (option,) = getattr(parameter.annotation, "__metadata__", (None,))
        if option:
            typed.append(Typed(name, option, parameter.default))
    return typed


def of_command(option: Option) -> Typed:
    """Return an option that no function takes."""
    return Typed(option.name.replace("-", "_"), option)


def reading_of(typed: Sequence[Typed]) -> list[Typed]:
    """Return the options of `padviz.load` that go with the networks of a command."""
    networks = [
        param.option for param in typed if isinstance(param.option, Argument) and param.option.read
    ]
    if not networks:
        return []
    # What is run takes one image alone.
    run = any(network.weights == "run" for network in networks)
    known = (options.NEUTRAL,) if run else (options.INPUT, options.SHAPE, options.NEUTRAL)
    return [param for param in typed_of(padviz.load) if param.option in known]


def parameters_of(
    typed: Iterable[Typed], reading: Iterable[Typed], output: Iterable[click.Option]
) -> list[click.Parameter]:
    """Return click's parameters in the order of help; those for reading go to the state
    of the run.
    """
    parameters: list[click.Parameter] = [
        _argument(param) if isinstance(param.option, Argument) else option_of(param)
        for param in typed
    ]
    parameters += [option_of(param, expose_value=False, callback=_remember) for param in reading]
    return sorted([*parameters, *output], key=_place)


PLACES: dict[str, int] = {}
for _option in vars(options).values():
    if isinstance(_option, Option):
        PLACES.setdefault(_option.name, len(PLACES))


def _place(parameter: click.Parameter) -> int:
    """Return the position of an option in help; arguments come first."""
    if isinstance(parameter, click.Argument):
        return -1
    return PLACES[parameter.opts[0].lstrip("-")]


def _argument(typed: Typed) -> click.Argument:
    argument = typed.option
    assert isinstance(argument, Argument)
    shown = argument.shown if typed.required else f"[{argument.shown}]"
    if argument is options.RULE:
        complete = value_types.complete_rule
    else:
        complete = value_types.complete_model
    number = -1 if typed.listed else 1
    return click.Argument(
        [typed.name], typed.required, metavar=shown, nargs=number, shell_complete=complete
    )


def option_of(typed: Typed, **settings: Any) -> click.Option:
    """Return click's option; `settings` replace those that follow from the kind."""
    option = typed.option
    assert isinstance(option, Option)
    names = [f"-{option.name}" if len(option.name) == 1 else f"--{option.name}", typed.name]
    if isinstance(option.kind, Flag) and "type" not in settings:
        return click.Option(names, is_flag=True, help=option.help, **settings)
    kind = value_types.type_of(option.kind)
    about: dict[str, Any] = {"type": kind, "help": option.help, "required": typed.required}
    if not isinstance(option.kind, Choice):
        about["metavar"] = getattr(option.kind, "shown", kind.name)
    # click takes even a default of None as a value.
    if not typed.required:
        about["default"] = typed.default if _told(typed) else None
        about["show_default"] = about["default"] is not None
    # Commas are understood where one value is taken, too, to say that it is one.
    if option.several or isinstance(option.kind, Size | Scheme | Layer):
        assert isinstance(kind, value_types.NameType)
        several = value_types.SeveralType(kind)
        about |= {
            "type": several,
            "multiple": True,
            "callback": _all if typed.listed else _only_one,
        }
        about["metavar"] = several.name if typed.listed else kind.name
    return click.Option(names, **(about | settings))


def _told(typed: Typed) -> bool:
    """Whether help shows the default."""
    simple = isinstance(typed.default, int | str) and not isinstance(typed.default, bool)
    return (
        simple
        and isinstance(typed.option, Option)
        and isinstance(typed.option.kind, Choice | Whole | Name)
    )


def _all(
    ctx: click.Context, param: click.Parameter, values: tuple[tuple[object, ...], ...]
) -> tuple[object, ...]:
    """Return the values of all repeats, each once."""
    return tuple(dict.fromkeys(chain(*values)))


def _only_one(
    ctx: click.Context, param: click.Parameter, values: tuple[tuple[object, ...], ...]
) -> object:
    taken = _all(ctx, param, values)
    if len(taken) > 1:
        what = f"{ctx.info_name} takes one value, and {len(taken)} are given"
        more = ""
        if param.opts[0].lstrip("-") in EXPORTED:
            more = ", or see padviz export"
        raise OptionError(what, where=param.opts[0], hint=f"use one{more}")
    if taken:
        return taken[0]
    return None


def _remember(ctx: click.Context, param: click.Parameter, values: Any) -> None:
    """Keep an option of `padviz.load`."""
    if param.multiple:
        values = _all(ctx, param, values)
    if param.opts[0] == f"--{options.SHAPE.name}":
        values = dict(values)
    state(ctx).reading[str(param.name)] = values
    if param.opts[0] == f"--{options.NEUTRAL.name}" and values:
        from padviz.sources.tracing.reading import checked_neutral

        checked_neutral(values)


def arguments_of(typed: Iterable[Typed], values: Mapping[str, Any]) -> dict[str, object]:
    """Return the arguments that were given: flags negate their default, several values
    are a list.
    """
    context, default = click.get_current_context(), click.core.ParameterSource.DEFAULT
    arguments = {}
    for name, option, usual in typed:
        value = values[name]
        if context.get_parameter_source(name) == default or value in (None, ()):
            continue
        if option.several or option.each:
            value = [*dict.fromkeys(value)]
        if isinstance(option, Option) and isinstance(option.kind, Flag):
            value = not usual
        elif isinstance(option, Option) and isinstance(option.kind, Input):
            value = dict(value)
        elif value == value_types.DECLARED:
            continue
        arguments[name] = value
    return arguments
