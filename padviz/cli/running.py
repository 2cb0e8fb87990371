"""Commands made of functions: networks are read, the function is called, and its result
is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import click

from padviz import options
from padviz.cli import session
from padviz.cli.building import (
    Typed,
    arguments_of,
    of_command,
    parameters_of,
    reading_of,
    record_of,
    typed_of,
)
from padviz.cli.session import loaded, read_trained, say_heads, unfinished_path
from padviz.cli.showing import DRAWING, To, default_path, directed, output_options, progress, show
from padviz.errors import OptionError, SizeError
from padviz.network.network import Network, Size
from padviz.options import Argument, Command, Option
from padviz.progress import counter
from padviz.version import __version__

# Options of pictures alone, which help lists last.
PICTURED = [option.name for option in (*DRAWING, options.CMAP, options.SCALE, options.NO_PICTURE)]
MOST_TRIED = 64  # sizes, of a network that refuses its usual one

if TYPE_CHECKING:
    from padviz.analyses.result import Result
    from padviz.trained.networks.trained_network import Trained

Arguments: TypeAlias = dict[str, Any]
Runner: TypeAlias = Callable[[Command, Sequence[Typed], Arguments, To], None]


def _short() -> list[click.Parameter]:
    """Return -q and -V, which all commands take."""

    @click.command(add_help_option=False)
    @session.quiet_option()
    @click.version_option(__version__, "-V", "--version", prog_name="padviz", hidden=True)
    def carrier() -> None:
        """Carries the options, which click makes with decorators."""

    return carrier.params


SHORT = _short()


class _Command(click.Command):
    """A command whose help has the options of its picture in a section of their own."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return its parameters, and the short options that all commands have."""
        return [*super().get_params(ctx), *SHORT]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Picture options": []}
        for parameter in self.get_params(ctx):
            record = None
            if isinstance(parameter, click.Option):
                record = parameter.get_help_record(ctx)
            if record:
                pictured = parameter.opts[0].lstrip("-") in PICTURED
                sections["Picture options" if pictured else "Options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def command_of(name: str, run: Runner) -> click.Command:
    """Return the command of the public function of that name, which `run` calls."""
    command = record_of(name)
    typed, reading = typed_of(command.function), reading_of(typed_of(command.function))
    beside = [of_command(option) for option in (*command.look, *command.more)]

    def callback(**values: object) -> None:
        to = directed(command, values)
        with _drawing(values):
            run(command, typed, arguments_of([*typed, *beside], values), to)

    # An option of the function goes before one of the report, as the -o of `run-tiles`.
    own = {param.option.name for param in typed if isinstance(param.option, Option)}
    output = [option for option in output_options(command) if option.opts[0].strip("-") not in own]
    parameters = parameters_of([*typed, *beside], reading, output)
    return _Command(name, callback=callback, params=parameters, help=command.help)


def _drawing(values: Mapping[str, object]) -> AbstractContextManager[object]:
    """Set the size and the theme of pictures."""
    drawing: Arguments = {option.name: values.get(option.name) for option in DRAWING}
    if not any(drawing.values()):
        return nullcontext()
    from padviz.figures.canvas import drawing_options

    return drawing_options(**drawing)


def run_analysis(command: Command, typed: Sequence[Typed], arguments: Arguments, to: To) -> None:
    """Call the function for each network at each size, and show its result, or one
    report of all.
    """
    given = [option.name for option in command.look if option.name in arguments]
    look = {name: arguments.pop(name) for name in given}
    calls = _calls(typed, arguments)
    if len(calls) > 1:
        _check_one(command, arguments, to)
    _check_file(command, arguments, look, to)
    with progress("networks") as on_progress:
        advance = counter(len(calls), on_progress if len(calls) > 1 else None)
        for call in calls:
            read_networks(typed, call)
            advance(1)
    default = _default_path(command, typed, calls[0])
    path = to.drawn(default)
    if path:
        to.check(path)
    unfinished = None
    if "resume" in signature(command.function).parameters:
        unfinished = unfinished_path(
            path or to.path or default, "resume" in arguments, to.overwrite
        )
        calls[0]["unfinished"] = unfinished
    results, parts = _results(command, typed, calls)
    report = None
    if command.together and len(calls) > 1:
        report = command.together(parts)
    show(results[0], to, path, report, unfinished, **look)


def _calls(typed: Sequence[Typed], arguments: Arguments) -> list[Arguments]:
    """Return the arguments of each call of the function: one for each of several networks, at each
    of several sizes.
    """
    several = [param.name for param in typed if param.option.each and param.name in arguments]
    others = {name: value for name, value in arguments.items() if name not in several}
    combinations = product(*(arguments[name] for name in several))
    return [{**others, **dict(zip(several, values, strict=True))} for values in combinations]


def _check_one(command: Command, arguments: Arguments, to: To) -> None:
    """Reject what is of one network at one size."""
    if to.other_file:
        raise OptionError(
            "a picture shows one network at one size", where="-o", hint="name one, or use .md"
        )
    for typed in typed_of(command.function):
        if typed.option in command.alone and typed.name in arguments:
            what = "is about one network at one size"
            raise OptionError(what, option=typed.option.name, hint="name one")


def _check_file(command: Command, arguments: Arguments, look: Arguments, to: To) -> None:
    """Reject a file that cannot be made of these options."""
    if command.check_file and (to.other_file or to.pictured):
        command.check_file({**arguments, "o": to.path})
    if options.CMAP.name in look:
        from padviz.figures.colours import colour_map

        colour_map(look[options.CMAP.name])


def read_networks(typed: Sequence[Typed], call: Arguments) -> None:
    """Read the networks that are named, at their size, in place of their names."""
    for param in typed:
        argument = param.option
        if not isinstance(argument, Argument) or not argument.read or param.name not in call:
            continue
        named = call[param.name]
        if argument.weights:
            call[param.name] = _trained(typed, named, call)
        elif argument.several:
            call[param.name] = [_network(argument, name, call) for name in named]
        else:
            call[param.name] = _network(argument, named, call)


def _network(argument: Argument, name: str, call: Arguments) -> Network:
    size = call.get("size")
    if not argument.at_size:
        # A network that refuses its usual size is read at one that is asked about.
        if isinstance(size, list):
            asked_about = size[:MOST_TRIED]
        else:
            asked_about = []
        return loaded(name, None, *asked_about, sized=True)
    # The first of several sizes that the network takes.
    if isinstance(size, list):
        return loaded(name, *size)
    return loaded(name, size)


def _trained(typed: Sequence[Typed], name: str, call: Arguments) -> Trained:
    by = "size"
    if any(param.option == options.TRAINED_AT for param in typed):
        by = "trained_at"
    return read_trained(name, call.get(by), call.pop("weights", None), by)


def _default_path(command: Command, typed: Sequence[Typed], call: Arguments) -> Path:
    """Return the name of the picture without -o, after the networks and the sizes."""
    networks = [network for _, network in _networks(typed, call)]
    size = call.get("size")
    if isinstance(size, list):
        sizes: Sequence[Size] = size
    else:
        sizes = [network.pixels(size) for network in networks[:1]]
    return default_path(
        getattr(command.function, "__name__", ""), [network.name for network in networks], sizes
    )


def _networks(typed: Sequence[Typed], call: Arguments) -> list[tuple[Typed, Network]]:
    """List the networks of a call."""
    networks = []
    for param in typed:
        if isinstance(param.option, Argument) and param.option.read and param.name in call:
            sources = call[param.name]
            if not isinstance(sources, list):
                sources = [sources]
            networks += [(param, getattr(source, "network", source)) for source in sources]
    return networks


def _results(
    command: Command, typed: Sequence[Typed], calls: Sequence[Arguments]
) -> tuple[list[Result[object]], list[object]]:
    """Call the function for each network; return its results, and their parts of a report of
    several.
    """
    results, parts, errors = [], [], []
    parameters = signature(command.function).parameters
    with progress(command.counting) as on_progress:
        advance = counter(len(calls), on_progress if len(calls) > 1 else None)
        for call in calls:
            networks = _networks(typed, call)
            if "heads" in parameters:
                for param, network in networks:
                    if isinstance(param.option, Argument) and not param.option.weights:
                        say_heads(network, call.get("layer"), call.get("heads"))
            if "on_progress" in parameters:
                call["on_progress"] = on_progress
            try:
                result = cast("Result[object]", command.function(**call))
            except SizeError as error:
                # One of several sizes may be too small.
                if not command.failed or call.get("size") is None:
                    raise
                errors.append(error)
                parts.append(command.failed(error=error, **call))
            else:
                results.append(result)
                parts.append(result._shown.part)
            advance(1)
    if not results:
        raise errors[0]
    return results, parts
