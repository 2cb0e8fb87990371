"""One run: networks read as the options ask, notes and errors with options as they are typed."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import click

from padviz import options
from padviz.errors import ForwardError, OptionError, PadvizError, SizeError, printable

if TYPE_CHECKING:
    from padviz.network.network import Network, Size
    from padviz.sources.tracing.reading import Reading
    from padviz.trained.networks.trained_network import Trained

NAMES = {
    option.name.replace("-", "_")
    for option in vars(options).values()
    if isinstance(option, options.Option)
}
PATIENCE = 1.0  # seconds
MARK = re.compile(f"`({'|'.join(sorted(NAMES))})_?`")  # others are of names


@dataclass
class State:
    """State of one run: what `load` takes beside a size, networks loaded, lines printed, notes to
    print at the end. If it is `quiet`, errors alone are printed.
    """

    reading: dict[str, Any] = field(default_factory=dict)
    loaded: dict[str, Network] = field(default_factory=dict)
    printed: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    quiet: bool = False


def state(ctx: click.Context | None = None) -> State:
    known: State = (ctx or click.get_current_context()).meta.setdefault("padviz", State())
    return known


def quiet_option() -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Return the decorator of `-q`."""
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_be_quiet,
        help="Print errors alone on stderr.",
    )


def _be_quiet(ctx: click.Context, param: click.Parameter, quiet: bool) -> None:
    # A command without -q must not undo that of `padviz -q`.
    if quiet:
        state(ctx).quiet = True
        ctx.with_resource(warnings.catch_warnings())
        warnings.simplefilter("ignore")


def is_quiet() -> bool:
    """Return whether errors alone are printed; outside a command, nobody asked for it."""
    context = click.get_current_context(silent=True)
    return context is not None and state(context).quiet


def spelled(error: PadvizError | str, command: click.Command | None = None) -> str:
    """Return an error or a line with options as typed, without hints on options that the command
    lacks.

    The command is the running one by default.

    >>> spelled(OptionError("0 is not a size", option="size",
    ...     hint="use `size` 224, or `allow_modules`"))
    '--size: 0 is not a size; use --size 224, or --allow-modules'
    >>> spelled(OptionError("is for boxes", option="by_class"))
    '--by-class: is for boxes'
    """
    context = click.get_current_context(silent=True)
    command = command or (context.command if context else None)
    known = None
    if command is not None:
        known = {spelling.lstrip("-") for param in command.params for spelling in param.opts}
    if isinstance(error, str):
        text = error
    elif error.where or not error.option:
        text = error.line(error.where)
    else:
        text = error.line(_typed(error.option, command))
    if known is not None:
        text = _without_unknown(text, known)
    return MARK.sub(lambda match: as_typed(match[1]), text)


def _typed(option: str, command: click.Command | None) -> str:
    """Return how a parameter of a function is typed: as an option, an argument, or as in Python."""
    for param in command.params if command else ():
        if isinstance(param, click.Argument) and param.name == option:
            return (param.metavar or "").strip("[]")
    known = command is None or any(as_typed(option) in param.opts for param in command.params)
    if known:
        return as_typed(option)
    return option


def as_typed(option: str) -> str:
    return f"{'-' if len(option) == 1 else '--'}{option.strip('_').replace('_', '-')}"


def _without_unknown(text: str, known: Container[str]) -> str:
    """Drop the parts of a line that mention unknown options.

    >>> _without_unknown("a: is small; try another `size` or `padding`", {"size"})
    'a: is small; try another `size`'
    >>> _without_unknown("a: no rule; `neutral` a leaves it, `layer` b stops before it", {"layer"})
    'a: no rule; `layer` b stops before it'
    """
    kept, *parts = re.split(r"(; |, or |, | or )", text)
    dropped = ""  # the separator in front of the first of the parts dropped last
    for between, part in zip(parts[::2], parts[1::2], strict=True):
        if any(name.replace("_", "-") not in known for name in MARK.findall(part)):
            dropped = dropped or between
        else:
            kept += (dropped or between) + part
            dropped = ""
    return kept


def loaded(model: str, *sizes: Size | None, sized: bool = False) -> Network:
    """Load a network, once per command, at the first of some sizes that it takes, or at its own.

    A note says that a file leaves its size open, unless the command is about sizes: `sized`.
    """
    from padviz.analyses.load import load
    from padviz.sources import shadowing

    if line := shadowing(model):
        say_once(line)
    known = state().loaded
    size, *others = sizes or (None,)
    try:
        with announced(model):
            if model in known and size:
                network = known[model].at(size)
            else:
                network = load(model, size, **state().reading)
    except (SizeError, ForwardError):
        for other in others:
            with suppress(PadvizError):
                return loaded(model, other, sized=sized)
        raise
    known.setdefault(model, network)
    note_later(network, network.size if sized else size)
    return network


@contextmanager
def announced(model: str) -> Iterator[None]:
    """Announce on a terminal what is being read, where that takes long."""
    timer = Timer(PATIENCE, print_line, [f"reading {model}"])
    timer.daemon = True
    if sys.stderr.isatty() and not is_quiet():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def read_trained(
    model: str, size: Size | None = None, weights: str | None = None, sized_by: str = "size"
) -> Trained:
    """Read a network with its weights; `sized_by` is the option that sets its size."""
    from padviz.geometry.sizing.nearest import near_sizes_named
    from padviz.sources import load, shadowing
    from padviz.trained.networks.reading import read

    if line := shadowing(model):
        say_once(line)
    with announced(model), near_sizes_named(partial(load, model, None, reading()), size):
        trained = read(model, size, weights, reading())
    note_later(trained.network, size, sized_by)
    return trained


def unfinished_path(picture: Path, resume: bool, overwrite: bool) -> Path:
    """Return the file that saves an interrupted run, next to its picture."""
    from padviz.files.unfinished import SUFFIX

    path = picture.with_name(picture.name + SUFFIX)
    if path.exists() and not (resume or overwrite):
        hint = "add --resume to continue it, or --overwrite to start over"
        raise OptionError("has an interrupted run", where=path.name, hint=hint)
    if resume and not path.exists():
        state().notes.append(f"{path.name} does not exist: the run starts from the beginning")
    return path


def reading() -> Reading:
    from padviz.sources.tracing.reading import as_reading

    return as_reading(**state().reading)


def say(line: str) -> None:
    """Print a note; with -q none is printed."""
    if not is_quiet():
        print_line(spelled(line))


def print_line(line: str) -> None:
    """Print a line to stderr; where that cannot be written, the exit code must do."""
    with suppress(OSError):
        click.echo(f"padviz: {printable(line)}", err=True)


def say_once(line: str) -> None:
    if line not in state().printed:
        state().printed.add(line)
        say(line)


def note_later(network: Network, size: Size | None, sized_by: str = "size") -> None:
    """Queue the notes on a network until there is an answer: an error is one line."""
    from padviz.network.network import notes_on

    state().notes += [
        spelled(f"{network.name}: {note}") for note in notes_on(network, size is not None, sized_by)
    ]


def say_notes() -> None:
    notes, state().notes = state().notes, []
    for line in notes:
        say_once(line)


def say_heads(network: Network, layers: object, heads: str | None) -> None:
    """Note which heads count, and their weights, unless an option says so."""
    from padviz.network.targets import head_weighting, last_maps

    if heads is None and head_weighting(heads, layers or None, network) == "share":
        last = f"{network.name}: its last maps {', '.join(last_maps(network))}"
        say_once(f"{last} have the same weight; `heads` sum adds them, `layer` names some")
