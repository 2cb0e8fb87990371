"""The commands that are made of analyses: options become arguments of the function, and its result is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.naming import default_path
from padviz.cli.progress import progress
from padviz.cli.showing import To, outputs, show
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import MODELS, TABLE, Command, arguments_of, given, option
from padviz.errors import OptionError, SizeError
from padviz.network.network import Network
from padviz.reports.report import COUNTS

if TYPE_CHECKING:
    from padviz.analyses.door import Door
    from padviz.trained.weights.trained_network import Trained

LOOK = ("cmap", "scale")  # of a picture


def command_of(name: str) -> click.Command:
    """Make the command of an analysis, which is the module of its name."""
    door: Door = import_module(f"padviz.analyses.{name}").DOOR

    def command(**typed: Any) -> None:
        _run(name, door, **typed)

    command.__doc__ = door.help
    made = outputs(door.picture, COUNTS * door.counts, bool(door.check))(command)
    if door.check:
        made = option("check", type=click.Choice(door.check), metavar=f"[{'|'.join(door.check)}]")(made)
    made = MODELS[door.model](given(door.options, **_defaults(door))(made))
    return click.command(name=name, cls=Command)(made)


def _defaults(door: Door) -> dict[str, int]:
    """Collect the defaults that help shows: the numbers that the functions have."""
    parameters = [
        each for function in (*door.instead.values(), door.function) for each in signature(function).parameters.values()
    ]
    return {
        each.name: each.default
        for each in parameters
        if type(each.default) is int and not TABLE[each.name.strip("_")].several
    }


def _run(
    name: str, door: Door, to: To, model: str | None = None, models: Sequence[str | None] = (), **typed: Any
) -> None:
    """Call the function with what was typed, of each network at each size, and show what it finds."""
    asked = _given(typed)
    sizes = asked.pop("size", ()) if door.model == "several" else ()
    pairs = [(each, size) for each in dict.fromkeys(models or [model]) for size in sizes or (None,)]
    if door.refuse:
        door.refuse({**asked, "pairs": pairs, "to": to})
    if to.beside and len(pairs) > 1:
        raise OptionError("a picture holds one network at one size", where="-o", hint="name one, or use .md")
    function = door.chosen(asked, model)
    takes = signature(function).parameters
    one = len(pairs) == 1 and to.format != "github" and bool(model or models or not to.beside)
    _check_together(name, door, asked, function, one)
    own = {**door.presets, **_taken(asked, takes)}
    networks = [(_read(door, each, size, own), size) for each, size in pairs]
    default = _default(function.__name__, networks[0][0], own) if "resume" in takes or not to.textual else None
    path, kept = to.drawn(default), None
    if "resume" in takes and default:
        kept = own["unfinished"] = options.kept_beside(path or to.path or default, "resume" in own, to.overwrite)
    with progress(door.counting) as on_progress:
        more = {"on_progress": on_progress} if "on_progress" in takes else {}
        found = [_found(function, network, own | more, size, bool(door.failed)) for network, size in networks]
    results = [each for each in found if not isinstance(each, SizeError)]
    if not results:
        raise found[0]
    report = None
    if door.together and (len(found) > 1 or "check" in asked):
        parts = [
            door.failed(network, size, each, own) if door.failed and isinstance(each, SizeError) else each._shown.part
            for each, (network, size) in zip(found, networks, strict=True)
        ]
        report = door.together(parts, **_taken(asked, signature(door.together).parameters))
    look = {key: asked[key] for key in LOOK if key in asked and key not in takes}
    show(results[0], to, path, report, kept, **look)


def _given(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Name the arguments that were given; the functions have the defaults of the others."""
    context, default = click.get_current_context(), click.core.ParameterSource.DEFAULT
    return arguments_of({key: each for key, each in typed.items() if context.get_parameter_source(key) != default})


def _check_together(name: str, door: Door, asked: Mapping[str, Any], function: Callable[..., Any], one: bool) -> None:
    """Reject options that do not go together: those of one function of a command with another of its functions."""
    flag = next((flag for flag, other in door.instead.items() if other is function), None)
    taken = {*LOOK, *door.instead, *signature(function).parameters}
    if flag is None and door.together:
        taken |= {*signature(door.together).parameters}
    other = next((key for key in asked if key not in taken), None)
    if flag == "" and (other or not one):
        hint = f"as padviz {name} resnet50, or leave the options out"
        raise OptionError("is not named", where="MODEL", hint=hint)
    if flag and (other or not one):
        what = (
            f"does not go with `{other.strip('_')}`" if other else "is of one network at one size, and has no findings"
        )
        raise OptionError(what, option=flag, hint="leave one of them out")
    if other:
        needed = next(flag for flag, each in door.instead.items() if other in signature(each).parameters)
        raise OptionError(f"goes with `{needed}`", option=other.strip("_"), hint="add it, or leave this out")


def _taken(asked: Mapping[str, Any], takes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if key in takes}


def _read(door: Door, model: str | None, size: Pixels | None, own: dict[str, Any]) -> Network | Trained | None:
    """Read the network that is named, with its weights if it is a trained one."""
    if model is None:
        return None
    if door.model in ("trained", "weights"):
        by = "trained_at" if "trained-at" in door.options else "size"
        return options.read_trained(model, own.get(by), own.pop("weights", None), by)
    sizes = own.get("size", ()) if size is None else size
    several = sizes and not isinstance(sizes[0], int)
    return options.loaded(model, *(dict.fromkeys((sizes[0], sizes[-1])) if several else [sizes or None]))


def _default(name: str, found: Network | Trained | None, own: dict[str, Any]) -> Path:
    """Name what is drawn where -o does not."""
    network = found if found is None or isinstance(found, Network) else found.network
    return default_path(name, *([network.name], [network.pixels(own.get("size"))]) if network else ([], []))


def _found(
    function: Callable[..., Any],
    read: Network | Trained | None,
    own: dict[str, Any],
    size: Pixels | None,
    goes_on: bool,
) -> Any:
    """Call the function; where several sizes are asked for, an error stands for one that a network cannot take."""
    about = {key: value for key, value in (("network", read), ("size", size)) if value is not None}
    if "heads" in signature(function).parameters and isinstance(read, Network):
        options.say_heads(read, own.get("layer"), own.get("heads"))
    try:
        return function(**own, **about)
    except SizeError as error:
        if not goes_on or size is None:
            raise
        return error
