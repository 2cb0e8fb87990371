"""Commands made of analyses: options become arguments of the function, and its result is shown."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

import click

from padviz.cli import options
from padviz.cli.showing import To, default_path, outputs, progress, show
from padviz.cli.value_types import Pixels
from padviz.cli.vocabulary import MODELS, TABLE, Command, arguments_of, given
from padviz.errors import OptionError, SizeError
from padviz.network.network import Network
from padviz.progress import counter
from padviz.reports.report import COUNTS

if TYPE_CHECKING:
    from padviz.analyses.result import Door, Result
    from padviz.trained.networks.trained_network import Trained

LOOK = ("cmap", "scale")  # of a picture


def command_of(name: str) -> click.Command:
    """Return the command of the analysis in the module of that name."""
    door: Door = import_module(f"padviz.analyses.{name}").DOOR

    def command(to: To, model: str | None = None, models: Sequence[str] = (), **typed: object) -> None:
        context, default = click.get_current_context(), click.core.ParameterSource.DEFAULT
        chosen = {key: value for key, value in typed.items() if context.get_parameter_source(key) != default}
        _run(name, door, to, [*dict.fromkeys(models)] or [model], arguments_of(chosen))

    command.__doc__ = door.help
    defaults = {  # shown in help; those of the functions apply
        each.name: each.default
        for function in (*door.instead.values(), door.function)
        for each in signature(function).parameters.values()
        if type(each.default) is int and not TABLE[each.name.strip("_")].several
    }
    decorated = outputs(door.picture, COUNTS * door.counts)(command)
    return click.command(name=name, cls=Command)(MODELS[door.model](given(door.options, **defaults)(decorated)))


def _run(name: str, door: Door, to: To, models: Sequence[str | None], asked: dict[str, Any]) -> None:
    """Call the analysis for every model at every size, and show one result or a report of all."""
    sizes: Sequence[Pixels | None] = asked.pop("size", ()) if door.model == "several" else ()
    pairs = [(model, size) for model in models for size in sizes or (None,)]
    if door.refuse:
        door.refuse({**asked, "pairs": pairs})
    if to.other_file and len(pairs) > 1:
        raise OptionError("a picture shows one network at one size", where="-o", hint="name one, or use .md")
    flag = door.flag(asked, models[0])
    _check_options(name, door, flag, asked, to, len(pairs))
    function = door.function if flag is None else door.instead[flag]
    parameters = signature(function).parameters
    arguments = _only(asked, parameters)
    networks = []
    with progress("networks") as on_progress:
        advance = counter(len(pairs), on_progress if len(pairs) > 1 else None)
        for model, size in pairs:
            networks.append(_read(door, model, size, arguments))
            advance(1)

    default, unfinished = None, None
    if "resume" in parameters or to.pictured:
        source: Any = networks[0]
        first: Network | None = getattr(source, "network", source)  # of a trained network
        sizes = [first.pixels(arguments.get("size"))] if first else []
        default = default_path(getattr(function, "__name__", name), [first.name] if first else [], sizes)
    path = to.drawn(default)
    if default and "resume" in parameters:
        unfinished = options.unfinished_path(path or to.path or default, "resume" in arguments, to.overwrite)
        arguments["unfinished"] = unfinished

    results, parts = _results(door, function, networks, [size for _, size in pairs], arguments)
    report = None
    if door.together and len(pairs) > 1:
        report = door.together(parts, **_only(asked, signature(door.together).parameters))
    look = {key: asked[key] for key in LOOK if key in asked and key not in parameters}
    show(results[0], to, path, report, unfinished, **look)


def _results(
    door: Door, function: Callable[..., Result[object]], networks: Sequence[Network | Trained | None],
    sizes: Sequence[Pixels | None], arguments: dict[str, Any],
) -> tuple[list[Result[object]], list[object]]:  # fmt: skip
    """Call the analysis for each network; return its results, and their parts of a report of several."""
    results, parts, errors = [], [], []
    parameters = signature(function).parameters
    with progress(door.counting) as on_progress:
        advance = counter(len(sizes), on_progress if len(sizes) > 1 else None)
        if "on_progress" in parameters:
            arguments["on_progress"] = on_progress
        for network, size in zip(networks, sizes, strict=True):
            if "heads" in parameters and isinstance(network, Network):
                options.say_heads(network, arguments.get("layer"), arguments.get("heads"))
            about = {key: value for key, value in (("network", network), ("size", size)) if value is not None}
            try:
                results.append(function(**arguments, **about))
                parts.append(results[-1]._shown.part)
            except SizeError as error:  # one of several sizes may be too small
                if not door.failed or size is None:
                    raise
                errors.append(error)
                parts.append(door.failed(network, size, error, arguments))
            advance(1)
    if not results:
        raise errors[0]
    return results, parts


def _only(asked: Mapping[str, Any], names: Container[str]) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if key in names}


def _check_options(name: str, door: Door, flag: str | None, asked: Mapping[str, object], to: To, pairs: int) -> None:
    """Reject options of one function of a command next to another of its functions."""
    functions = [door.function, door.together] if flag is None else [door.instead[flag]]
    parameters = {key for function in functions if function for key in signature(function).parameters}
    other = next((key for key in asked if key not in {*LOOK, *door.instead, *parameters}), None)
    single = pairs == 1
    if flag is None and other:
        needed = next(flag for flag, each in door.instead.items() if other in signature(each).parameters)
        raise OptionError(f"goes with `{needed}`", option=other.strip("_"), hint="add it, or leave this out")
    if flag == "" and (other or not single or to.other_file):
        raise OptionError("is missing", where="MODEL", hint=f"as padviz {name} resnet50, or leave the options out")
    if flag and (other or not single):
        needs = "takes one network at one size"
        what = f"does not go with `{other.strip('_')}`" if other else needs
        raise OptionError(what, option=flag, hint="leave one of them out")


def _read(door: Door, model: str | None, size: Pixels | None, arguments: dict[str, Any]) -> Network | Trained | None:
    """Read a network, with its weights if the analysis needs them; take `weights` out of the arguments."""
    if model is None:
        return None
    if door.model in ("trained", "weights"):
        by = "trained_at" if "trained-at" in door.options else "size"
        return options.read_trained(model, arguments.get(by), arguments.pop("weights", None), by)
    sizes = arguments.get("size", ()) if size is None else size
    if sizes and not isinstance(sizes[0], int):  # sizes to try, which the network may refuse
        return options.loaded(model, sized=True)
    return options.loaded(model, sizes or None)
